//! InfluxDB line protocol: `POST /write` (1.x) and `POST /api/v2/write`.
//!
//! `measurement,tag=value field=1.5,other=2i 1465839830100400200`: each numeric or boolean field
//! becomes the series `measurement_field` with the tags as labels, as VictoriaMetrics maps it;
//! a `db` parameter becomes the label `db`. Text fields are counted as unsupported and left out.
//! Times are nanoseconds unless `precision` says otherwise; a line without one is now.
//! Spec: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>.

use std::borrow::Cow;

use model::{Durability, SampleSink};

use super::{
    Fault, Received, Receiver, Refusal, Reply, Request,
    intake::{Intake, Stop},
    lanes::Failed,
    lines::{Relieve, each_line, float, parameter},
};

/// What its batches are counted by.
const DOOR: &str = "influx";

/// How many of a unit make a millisecond, or how many milliseconds make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Finer(i64),
    Coarser(i64),
}

impl Precision {
    fn from_query(query: &str) -> Result<Self, Refusal> {
        Ok(match parameter(query, "precision") {
            None | Some("" | "n" | "ns") => Self::Finer(1_000_000),
            Some("u" | "us" | "µ" | "%C2%B5") => Self::Finer(1_000),
            Some("ms") => Self::Coarser(1),
            Some("s") => Self::Coarser(1_000),
            Some("m") => Self::Coarser(60_000),
            Some("h") => Self::Coarser(3_600_000),
            Some(other) => return Err(Refusal::bad(format!("precision {other:?} is not known"))),
        })
    }

    /// Rounded towards the past, so that a sample is never in the future by rounding.
    fn to_ms(self, time: i64) -> Option<i64> {
        match self {
            Self::Finer(per_ms) => Some(time.div_euclid(per_ms)),
            Self::Coarser(ms) => time.checked_mul(ms),
        }
    }
}

impl Receiver {
    /// Decodes a line-protocol request.
    pub fn influx(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        self.gather_lines(DOOR, request, read)
    }

    /// Decodes, stores and answers a line-protocol request.
    pub fn serve_influx(
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
    let precision = Precision::from_query(request.query)?;
    let db = parameter(request.query, "db").unwrap_or_default();
    let limits = intake.limits;
    each_line(request, limits, &mut |number, line| {
        let read = match line {
            Ok(comment) if comment.starts_with('#') => Ok(()),
            Ok(line) => read_line(line, precision, db, request.now_ms, intake)?,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = read {
            let text = line.unwrap_or_default();
            intake.reject(fault, || format!("line {number}: {text}"));
        }
        relieve(intake);
        Ok(())
    })
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// One line, all its fields or none: a fault anywhere refuses it before anything is kept.
fn read_line(
    line: &str,
    precision: Precision,
    db: &str,
    now_ms: i64,
    intake: &mut Intake<'_>,
) -> Result<Result<(), Fault>, Stop> {
    let point = match Point::parse(line, precision, now_ms) {
        Ok(point) => point,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut series = Vec::with_capacity(point.fields.len());
    for (field, value) in &point.fields {
        let name = format!("{}_{field}", point.measurement);
        let mut pairs: Vec<(&str, &str)> = vec![(model::METRIC_NAME, &name)];
        if !db.is_empty() && !point.tags.iter().any(|(name, _)| name == "db") {
            pairs.push(("db", db));
        }
        pairs.extend(point.tags.iter().map(|(n, v)| (n.as_ref(), v.as_ref())));
        match intake.labels_of(&mut pairs) {
            Ok(labels) => series.push((labels, *value)),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    for (labels, value) in series {
        intake.float(labels, point.time_ms, value)?;
    }
    if point.texts > 0 {
        let example = || format!("text field of {}", point.measurement);
        intake.received.rejected.note(Fault::Unsupported, example);
    }
    Ok(Ok(()))
}

/// A line taken apart.
struct Point<'a> {
    measurement: Cow<'a, str>,
    tags: Vec<Pair<'a>>,
    fields: Vec<(Cow<'a, str>, f64)>,
    texts: usize,
    time_ms: i64,
}

impl<'a> Point<'a> {
    fn parse(line: &'a str, precision: Precision, now_ms: i64) -> Result<Self, Fault> {
        let mut scan = Scan { text: line, at: 0 };
        let measurement = scan.word(b", ");
        if measurement.is_empty() {
            return Err(Fault::NoName);
        }
        let mut point = Self {
            measurement,
            tags: Vec::new(),
            fields: Vec::new(),
            texts: 0,
            time_ms: now_ms,
        };
        while scan.eat(b',') {
            point.tags.push(scan.tag()?);
        }
        if !scan.eat(b' ') {
            return Err(Fault::Syntax);
        }
        scan.blanks();
        loop {
            match scan.field()? {
                (name, Some(value)) => point.fields.push((name, value)),
                (_, None) => point.texts += 1,
            }
            if !scan.eat(b',') {
                break;
            }
        }
        if let Some(time) = scan.time()? {
            point.time_ms = precision.to_ms(time).ok_or(Fault::BadNumber)?;
        }
        Ok(point)
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let met = self.peek() == Some(wanted);
        self.at += usize::from(met);
        met
    }

    fn blanks(&mut self) {
        while self.eat(b' ') {}
    }

    /// Up to one of `ends` that is not escaped; escapes of commas, blanks and equal signs undone.
    fn word(&mut self, ends: &[u8]) -> Cow<'a, str> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut escaped = false;
        while let Some(byte) = self.peek().filter(|byte| !ends.contains(byte)) {
            let escape =
                byte == b'\\' && matches!(bytes.get(self.at + 1), Some(b',' | b' ' | b'='));
            escaped |= escape;
            self.at += 1 + usize::from(escape);
        }
        let raw = &self.text[start..self.at];
        if escaped {
            Cow::Owned(unescape(raw, &[',', ' ', '=']))
        } else {
            Cow::Borrowed(raw)
        }
    }

    fn tag(&mut self) -> Result<Pair<'a>, Fault> {
        let name = self.word(b"=, ");
        if name.is_empty() || !self.eat(b'=') {
            return Err(Fault::Syntax);
        }
        let value = self.word(b", ");
        if value.is_empty() {
            Err(Fault::EmptyLabel)
        } else {
            Ok((name, value))
        }
    }

    /// A field and its number; `None` for text.
    fn field(&mut self) -> Result<(Cow<'a, str>, Option<f64>), Fault> {
        let name = self.word(b"=, ");
        if name.is_empty() || !self.eat(b'=') {
            return Err(Fault::Syntax);
        }
        if self.eat(b'"') {
            self.skip_text()?;
            return Ok((name, None));
        }
        let value = self.word(b", ");
        Ok((name, Some(number(&value).ok_or(Fault::BadNumber)?)))
    }

    fn skip_text(&mut self) -> Result<(), Fault> {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' if self.peek().is_some_and(|b| b.is_ascii()) => self.at += 1,
                _ => {}
            }
        }
        Err(Fault::Syntax)
    }

    fn time(&mut self) -> Result<Option<i64>, Fault> {
        let rest = &self.text[self.at..];
        let time = rest.trim_matches(' ');
        if time.is_empty() {
            return Ok(None);
        }
        if !rest.starts_with(' ') {
            return Err(Fault::Syntax);
        }
        time.parse().map(Some).map_err(|_bad| Fault::BadNumber)
    }
}

fn unescape(raw: &str, escapable: &[char]) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match next.filter(|n| c == '\\' && escapable.contains(n)) {
            Some(escaped) => {
                text.push(escaped);
                chars.next();
            }
            None => text.push(c),
        }
    }
    text
}

/// `1.5`, `2i`, `3u`, a boolean. NaN and infinities are none of the protocol's.
fn number(text: &str) -> Option<f64> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(0.0),
        _ => {}
    }
    if let Some(integer) = text.strip_suffix('i') {
        return integer.parse::<i64>().ok().map(|i| i as f64);
    }
    if let Some(unsigned) = text.strip_suffix('u') {
        return unsigned.parse::<u64>().ok().map(|u| u as f64);
    }
    float(text).filter(|value| value.is_finite())
}
