//! Prometheus text 0.0.4, line by line.
//!
//! Looser than OpenMetrics where Prometheus is: blanks between tokens, comments, empty lines,
//! families in any order. A second HELP or TYPE line of a family, or TYPE after its samples, is
//! refused.

use model::METRIC_NAME;

use super::{
    Format, ParseError, ParsedSample, Reader,
    error::{Fault, Parsed},
    labels::Dialect,
    metric_type,
    scan::{name_end, number, quoted_end, skip_blanks, unescape},
};

pub(super) fn read(reader: &mut Reader<'_>, text: &str) -> Result<(), ParseError> {
    if !text.is_empty() && !text.ends_with('\n') {
        let line_number = text.matches('\n').count() + 1;
        let line = &text[text.rfind('\n').map_or(0, |i| i + 1)..];
        let what = "the text ends inside a line: a line feed is missing";
        return Err(Fault::new(line.len(), what).in_line(line_number, line));
    }
    for (index, line) in text.split_terminator('\n').enumerate() {
        reader
            .line(line)
            .map_err(|fault| fault.in_line(index + 1, line))?;
    }
    Ok(())
}

impl Reader<'_> {
    fn line(&mut self, line: &str) -> Parsed<()> {
        self.check_line(line)?;
        let start = skip_blanks(line, 0);
        match line.as_bytes().get(start) {
            None => Ok(()),
            Some(b'#') => self
                .comment(&line[start + 1..])
                .map_err(|f| f.shifted(start + 1)),
            Some(_) => self.sample(&line[start..]).map_err(|f| f.shifted(start)),
        }
    }

    /// A HELP or TYPE line, or a remark (ignored). `text` begins after the `#`.
    fn comment(&mut self, text: &str) -> Parsed<()> {
        let word_at = skip_blanks(text, 0);
        let word_end = text[word_at..]
            .find([' ', '\t'])
            .map_or(text.len(), |i| word_at + i);
        let is_type = match &text[word_at..word_end] {
            "TYPE" => true,
            "HELP" => false,
            _ => return Ok(()),
        };
        let name_at = skip_blanks(text, word_end);
        let (id, end) = self.family_name(text, name_at)?;
        let rest_at = skip_blanks(text, end);
        let rest = &text[rest_at..];
        if is_type {
            return self.type_line(id, name_at, rest_at, rest);
        }
        if end < text.len() && rest_at == end {
            return Err(Fault::new(end, "a character that no metric name may have"));
        }
        if !self.families.set_help(id, rest, false) {
            return Err(Fault::new(name_at, "a second HELP line for this metric"));
        }
        Ok(())
    }

    fn type_line(&mut self, id: usize, name_at: usize, rest_at: usize, rest: &str) -> Parsed<()> {
        let word = rest.trim_end_matches([' ', '\t']);
        let Some(said) = metric_type(word, Format::Prometheus) else {
            return Err(Fault::new(
                rest_at,
                format!("{word:?} is not a metric type"),
            ));
        };
        if self.families.was_sampled(id) {
            return Err(Fault::new(name_at, "TYPE after samples of this metric"));
        }
        if !self.families.set_type(id, said) {
            return Err(Fault::new(name_at, "a second TYPE line for this metric"));
        }
        Ok(())
    }

    /// A family's name, bare or quoted, and where it ends.
    pub(super) fn family_name(&mut self, text: &str, at: usize) -> Parsed<(usize, usize)> {
        if text.as_bytes().get(at) == Some(&b'"') {
            let end = quoted_end(text, at + 1)?;
            let mut name = String::new();
            unescape(&text[at + 1..end - 1], true, &mut name);
            self.check_name(at, &name)?;
            return Ok((self.families.id(&name), end));
        }
        let end = name_end(text, at, true);
        self.check_name(at, &text[at..end])?;
        Ok((self.families.id(&text[at..end]), end))
    }

    fn check_name(&self, at: usize, name: &str) -> Parsed<()> {
        if name.is_empty() {
            return Err(Fault::new(at, "a metric name expected"));
        }
        if name.len() > self.limits.name_bytes {
            let what = format!("a name longer than {} bytes", self.limits.name_bytes);
            return Err(Fault::new(at, what));
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Parsed<()> {
        let met = self.series.meet(line, Dialect::Loose, self.limits)?;
        let value_at = skip_blanks(line, met.length);
        let (value, end) = self.value(line, value_at)?;
        let time_at = skip_blanks(line, end);
        let time_ms = milliseconds(line, time_at)?;
        let name = self
            .series
            .labels(met.slot)
            .get(METRIC_NAME)
            .unwrap_or_default();
        let id = self.families.id(name);
        self.families.mark_sampled(id);
        self.push(ParsedSample {
            slot: met.slot,
            fresh: met.fresh,
            value,
            time_ms,
        })
    }

    fn value(&self, line: &str, at: usize) -> Parsed<(f64, usize)> {
        let end = line[at..].find([' ', '\t']).map_or(line.len(), |i| at + i);
        let token = &line[at..end];
        match number(token) {
            Some(value) => Ok((value, end)),
            None if token.is_empty() => Err(Fault::new(at, "a value expected")),
            None => Err(Fault::new(at, format!("{token:?} is not a number"))),
        }
    }
}

/// The timestamp at the end of a line, if there is one.
fn milliseconds(line: &str, at: usize) -> Parsed<Option<i64>> {
    let token = line[at..].trim_end_matches([' ', '\t']);
    if token.is_empty() {
        return Ok(None);
    }
    match token.parse() {
        Ok(time_ms) => Ok(Some(time_ms)),
        Err(_) => {
            let what = format!("{token:?} is not a timestamp in whole milliseconds");
            Err(Fault::new(at, what))
        }
    }
}
