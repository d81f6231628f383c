//! CSV: a row a sample, the first row naming the columns.
//!
//! `timestamp` (ms since the epoch; the column may be missing, then it is now), `value`, and any
//! other column a label of its name; `__name__` or `metric` names the metric. Fields may be
//! quoted as RFC 4180 has it, without line breaks inside. An empty label field is no label.

use std::borrow::Cow;

use model::{Durability, SampleSink};

use super::{
    Fault, Received, Receiver, Refusal, Reply, Request,
    intake::{Intake, Stop},
    lanes::Failed,
    lines::{Relieve, each_line, float},
};

/// What its batches are counted by.
const DOOR: &str = "csv";

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Time,
    Value,
    Label(String),
}

impl Receiver {
    /// Decodes CSV. Without a header that names a value and a metric nothing can be read: refused.
    pub fn csv(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        self.gather_lines(DOOR, request, read)
    }

    /// Decodes, stores and answers CSV.
    pub fn serve_csv(
        &self,
        request: &Request<'_>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        self.serve_lines(DOOR, request, read, (sink, durability))
    }
}

fn read(
    request: &Request<'_>,
    intake: &mut Intake<'_>,
    relieve: &mut Relieve<'_>,
) -> Result<(), Failed> {
    let mut header: Option<Vec<Column>> = None;
    let limits = intake.limits;
    each_line(request, limits, &mut |number, line| {
        let Some(columns) = &header else {
            header = Some(line.ok().and_then(columns).ok_or_else(no_header)?);
            return Ok(());
        };
        let read = match line {
            Ok(line) => read_row(line, columns, request.now_ms, intake)?,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = read {
            let text = line.unwrap_or_default();
            intake.reject(fault, || format!("line {number}: {text}"));
        }
        relieve(intake);
        Ok(())
    })?;
    header.map(drop).ok_or_else(|| no_header().into())
}

fn no_header() -> Refusal {
    Refusal::bad("the first row has to name value, a metric column and the labels")
}

fn columns(head: &str) -> Option<Vec<Column>> {
    let column = |name: Cow<'_, str>| match name.as_ref() {
        "timestamp" | "time_ms" => Column::Time,
        "value" => Column::Value,
        "metric" => Column::Label(model::METRIC_NAME.to_owned()),
        label => Column::Label(label.to_owned()),
    };
    let columns: Vec<Column> = fields(head).ok()?.into_iter().map(column).collect();
    let count = |wanted: &Column| columns.iter().filter(|column| *column == wanted).count();
    let name = Column::Label(model::METRIC_NAME.to_owned());
    let sound = count(&Column::Value) == 1 && count(&Column::Time) <= 1 && count(&name) == 1;
    sound.then_some(columns)
}

fn read_row(
    line: &str,
    columns: &[Column],
    now_ms: i64,
    intake: &mut Intake<'_>,
) -> Result<Result<(), Fault>, Stop> {
    let (mut pairs, time_ms, value) = match parse_row(line, columns, now_ms) {
        Ok(row) => row,
        Err(fault) => return Ok(Err(fault)),
    };
    match intake.labels_of(&mut pairs) {
        Ok(labels) => intake.float(labels, time_ms, value).map(Ok),
        Err(fault) => Ok(Err(fault)),
    }
}

type Row<'a> = (Vec<(&'a str, Cow<'a, str>)>, i64, f64);

fn parse_row<'a>(line: &'a str, columns: &'a [Column], now_ms: i64) -> Result<Row<'a>, Fault> {
    let fields = fields(line)?;
    if fields.len() != columns.len() {
        return Err(Fault::Syntax);
    }
    let (mut pairs, mut time_ms, mut value) = (Vec::new(), now_ms, None);
    for (column, field) in columns.iter().zip(fields) {
        match column {
            Column::Time => time_ms = field.parse().map_err(|_bad| Fault::BadNumber)?,
            Column::Value => value = float(&field),
            Column::Label(name) => pairs.push((name.as_str(), field)),
        }
    }
    Ok((pairs, time_ms, value.ok_or(Fault::BadNumber)?))
}

/// The fields of a row, quotes undone.
fn fields(row: &str) -> Result<Vec<Cow<'_, str>>, Fault> {
    let mut fields = Vec::new();
    let mut rest = row;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(Fault::Syntax),
        }
    }
}

fn quoted_field(quoted: &str) -> Result<(Cow<'_, str>, &str), Fault> {
    let mut from = 0;
    loop {
        let end = from + quoted[from..].find('"').ok_or(Fault::Syntax)?;
        if !quoted[end + 1..].starts_with('"') {
            let text = &quoted[..end];
            let text = if from == 0 {
                text.into()
            } else {
                text.replace("\"\"", "\"").into()
            };
            return Ok((text, &quoted[end + 1..]));
        }
        from = end + 2;
    }
}
