//! OpenMetrics 1.0 text, line by line: one space between tokens, no empty lines, no remarks,
//! families in one piece, `# EOF` at the end.

use model::MetricType;

use super::{
    EXEMPLAR_CHARS_MAX, Exemplar, Format, ParseError, ParsedSample, Reader,
    error::{Fault, Parsed},
    group::{GroupCheck, Member, suffix_of, suffixes},
    labels::{Dialect, extent, parse_exemplar_labels},
    metric_type,
    scan::number,
};

pub(super) fn read(reader: &mut Reader<'_>, text: &str) -> Result<(), ParseError> {
    let mut open = Open::default();
    let mut ended = false;
    let mut count = 0;
    for (index, line) in text.split_terminator('\n').enumerate() {
        count = index + 1;
        let read = if ended {
            Err(Fault::new(0, "text after # EOF"))
        } else if line == "# EOF" {
            ended = true;
            open.close(reader)
        } else {
            open.line(reader, line)
        };
        read.map_err(|fault| fault.in_line(index + 1, line))?;
    }
    if ended {
        return Ok(());
    }
    Err(ParseError {
        line: count + 1,
        column: 1,
        what: "# EOF is missing at the end".into(),
    })
}

/// The family being read.
#[derive(Debug, Default)]
struct Open {
    name: String,
    id: Option<usize>,
    /// Its type is settled: it has samples.
    kind: Option<MetricType>,
    check: GroupCheck,
}

/// A sample's value with what may follow it.
struct Tail {
    value: f64,
    time: Option<f64>,
    exemplar_at: Option<usize>,
}

impl Open {
    fn line(&mut self, reader: &mut Reader<'_>, line: &str) -> Parsed<()> {
        reader.check_line(line)?;
        if let Some(at) = line.find('\r') {
            return Err(Fault::new(at, "a carriage return"));
        }
        match line.as_bytes().first() {
            None => Err(Fault::new(0, "an empty line")),
            Some(b'#') => self.descriptor(reader, line),
            Some(b' ' | b'\t') => Err(Fault::new(0, "a blank at the start of the line")),
            Some(_) => self.sample(reader, line),
        }
    }

    /// A TYPE, HELP or UNIT line.
    fn descriptor(&mut self, reader: &mut Reader<'_>, line: &str) -> Parsed<()> {
        let word = line.get(2..6).filter(|_| line.starts_with("# "));
        let word = word.filter(|word| matches!(*word, "TYPE" | "HELP" | "UNIT"));
        let Some(word) = word.filter(|_| line[6..].starts_with(' ')) else {
            return Err(Fault::new(0, "neither # TYPE, # HELP, # UNIT nor # EOF"));
        };
        let (id, end) = reader.family_name(line, 7)?;
        if !line[end..].starts_with(' ') {
            return Err(Fault::new(
                end,
                "one space expected after the metric's name",
            ));
        }
        if self.id != Some(id) {
            self.switch(reader, id)?;
        } else if self.kind.is_some() {
            return Err(Fault::new(7, "metadata after samples of this metric"));
        }
        let rest = &line[end + 1..];
        let first = match word {
            "TYPE" => {
                let kind = metric_type(rest, Format::OpenMetrics);
                let what = || Fault::new(end + 1, format!("{rest:?} is not a metric type"));
                reader.families.set_type(id, kind.ok_or_else(what)?)
            }
            "UNIT" => self
                .unit(reader, id, rest)
                .map_err(|f| f.shifted(end + 1))?,
            _ => {
                check_help(rest).map_err(|f| f.shifted(end + 1))?;
                reader.families.set_help(id, rest, true)
            }
        };
        if first {
            Ok(())
        } else {
            Err(Fault::new(2, format!("a second {word} line")))
        }
    }

    fn unit(&self, reader: &mut Reader<'_>, id: usize, unit: &str) -> Parsed<bool> {
        let name_fits = self
            .name
            .strip_suffix(unit)
            .is_some_and(|n| n.ends_with('_') && n.len() > 1);
        if !unit.is_empty() && !name_fits {
            let what = format!("the unit {unit:?} has to be the suffix of the metric's name");
            return Err(Fault::new(0, what));
        }
        Ok(reader.families.set_unit(id, unit))
    }

    /// Closes the open family and begins another.
    fn switch(&mut self, reader: &mut Reader<'_>, id: usize) -> Parsed<()> {
        self.close(reader)?;
        let first = reader.families.open(id);
        let name = reader.families.name(id);
        if !first {
            return Err(Fault::new(
                0,
                format!("the lines of metric {name:?} are interleaved"),
            ));
        }
        name.clone_into(&mut self.name);
        self.id = Some(id);
        Ok(())
    }

    /// Ends the open family: its last group must be whole, its names its own.
    fn close(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        if self.id.is_some() && self.kind.is_none() {
            self.settle(reader)?;
        }
        self.id = None;
        self.kind = None;
        self.check.finish_family()
    }

    /// Fixes the family's type, and takes the names its samples have.
    fn settle(&mut self, reader: &mut Reader<'_>) -> Parsed<MetricType> {
        let id = self.id.expect("a family is open");
        let kind = reader.families.metric_type(id);
        let unit = reader.families.unit(id);
        if !unit.is_empty() && matches!(kind, MetricType::Info | MetricType::StateSet) {
            return Err(Fault::new(0, "info and stateset metrics have no unit"));
        }
        let length = self.name.len();
        for suffix in suffixes(kind).iter().copied().chain(own_name(kind)) {
            self.name.push_str(suffix);
            let free = reader.families.claim(&self.name);
            let clash = (!free).then(|| format!("the name {:?} is another metric's", self.name));
            self.name.truncate(length);
            if let Some(what) = clash {
                return Err(Fault::new(0, what));
            }
        }
        self.kind = Some(kind);
        Ok(kind)
    }

    fn sample(&mut self, reader: &mut Reader<'_>, line: &str) -> Parsed<()> {
        let met = reader.series.meet(line, Dialect::Strict, reader.limits)?;
        let tail = tail(line, met.length)?;
        let labels = reader.series.labels(met.slot).clone();
        let (kind, suffix) = self.member(reader, labels.metric_name())?;
        let member = Member {
            kind,
            family: &self.name,
            suffix,
        };
        let grouping = reader.series.grouping(met.slot, member)?;
        if met.again && tail.time.is_none() {
            return Err(Fault::new(0, "the same series a second time"));
        }
        self.check.sample(grouping, tail.value, tail.time)?;
        if let Some(at) = tail.exemplar_at {
            self.exemplar(reader, member_takes_exemplars(kind, suffix), line, at)?;
        }
        let time_ms = tail.time.map(seconds_to_ms);
        reader.push(ParsedSample {
            slot: met.slot,
            fresh: met.fresh,
            value: tail.value,
            time_ms,
        })
    }

    /// Which part of which family a sample of that name is; begins a family of its own if the
    /// open one has no such part.
    fn member(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
    ) -> Parsed<(MetricType, &'static str)> {
        if self.id.is_some() {
            let kind = match self.kind {
                Some(kind) => kind,
                None => self.settle(reader)?,
            };
            if let Some(suffix) = suffix_of(kind, &self.name, name) {
                return Ok((kind, suffix));
            }
            if name == self.name {
                let what = format!(
                    "samples of this {kind:?} end in one of {:?}",
                    suffixes(kind)
                );
                return Err(Fault::new(0, what.to_lowercase()));
            }
        }
        let id = reader.families.id(name);
        self.switch(reader, id)?;
        let kind = self.settle(reader)?;
        Ok((kind, ""))
    }

    fn exemplar(
        &self,
        reader: &mut Reader<'_>,
        allowed: bool,
        line: &str,
        at: usize,
    ) -> Parsed<()> {
        if !allowed {
            return Err(Fault::new(at, "only buckets and counters have exemplars"));
        }
        let text = &line[at..];
        if !text.starts_with('{') {
            return Err(Fault::new(at, "the labels of an exemplar expected"));
        }
        let end = extent(text, Dialect::Strict).map_err(|f| f.shifted(at))?;
        let (labels, chars) =
            parse_exemplar_labels(&text[..end], reader.limits).map_err(|f| f.shifted(at))?;
        if chars > EXEMPLAR_CHARS_MAX {
            let what = format!("exemplar labels of more than {EXEMPLAR_CHARS_MAX} characters");
            return Err(Fault::new(at, what));
        }
        let tail = tail(line, at + end)?;
        if let Some(second) = tail.exemplar_at {
            return Err(Fault::new(second, "a second exemplar"));
        }
        let (value, time_ms) = (tail.value, tail.time.map(seconds_to_ms));
        let sample = reader.found.samples.len();
        reader.found.exemplars.push(Exemplar {
            sample,
            labels,
            value,
            time_ms,
        });
        Ok(())
    }
}

/// The family's own name is taken too, unless it is among the suffixes already.
fn own_name(kind: MetricType) -> Option<&'static str> {
    (!suffixes(kind).contains(&"")).then_some("")
}

fn member_takes_exemplars(kind: MetricType, suffix: &str) -> bool {
    matches!(
        (kind, suffix),
        (MetricType::Counter, "_total")
            | (
                MetricType::Histogram | MetricType::GaugeHistogram,
                "_bucket"
            )
    )
}

/// ` value[ timestamp][ # exemplar]`, from `at` to the end of the line.
fn tail(line: &str, at: usize) -> Parsed<Tail> {
    let (value, mut end) = token(line, at, "a value")?;
    let value_at = at + 1;
    let value =
        number(value).ok_or_else(|| Fault::new(value_at, format!("{value:?} is not a number")))?;
    let mut time = None;
    if end < line.len() && !line[end..].starts_with(" #") {
        let (text, after) = token(line, end, "a timestamp")?;
        let seconds = number(text).filter(|t| t.is_finite());
        let what = || Fault::new(end + 1, format!("{text:?} is not a timestamp in seconds"));
        time = Some(seconds.ok_or_else(what)?);
        end = after;
    }
    let exemplar_at = match &line[end..] {
        "" => None,
        rest if rest.starts_with(" # ") => Some(end + 3),
        _ => return Err(Fault::new(end, "the end of the line or ' # ' expected")),
    };
    Ok(Tail {
        value,
        time,
        exemplar_at,
    })
}

/// One space, then what comes before the next space; and where it ends.
fn token<'a>(line: &'a str, at: usize, wanted: &str) -> Parsed<(&'a str, usize)> {
    let Some(rest) = line[at..].strip_prefix(' ') else {
        return Err(Fault::new(at, format!("one space and {wanted} expected")));
    };
    let length = rest.find(' ').unwrap_or(rest.len());
    if length == 0 {
        return Err(Fault::new(at + 1, format!("{wanted} expected")));
    }
    Ok((&rest[..length], at + 1 + length))
}

/// A backslash has to stand before something; before what is no escape, it stands for itself.
fn check_help(text: &str) -> Parsed<()> {
    let trailing = text.bytes().rev().take_while(|b| *b == b'\\').count();
    if trailing % 2 == 1 {
        return Err(Fault::new(
            text.len() - 1,
            "a backslash that escapes nothing",
        ));
    }
    Ok(())
}

/// To the nearest millisecond; beyond what milliseconds can say, the nearest that they can.
fn seconds_to_ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
