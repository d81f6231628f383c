//! The text of a series, `name{label="value",…}`, into labels.

use model::{Labels, LabelsBuilder, METRIC_NAME};

use super::{
    Limits,
    error::{Fault, Parsed},
    scan::{name_end, quoted_end, skip_blanks, unescape},
};

/// How strict the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Blanks between tokens and a comma at the end are fine.
    Loose,
    /// As OpenMetrics's grammar has it.
    Strict,
}

/// Length of the series' text at the start of a line.
pub(super) fn extent(line: &str, dialect: Dialect) -> Parsed<usize> {
    let name = line.find(['{', ' ', '\t']).unwrap_or(line.len());
    let open = if dialect == Dialect::Loose {
        skip_blanks(line, name)
    } else {
        name
    };
    if line.as_bytes().get(open) != Some(&b'{') {
        return Ok(name);
    }
    let mut at = open + 1;
    while let Some(byte) = line.as_bytes().get(at) {
        match byte {
            b'"' => at = quoted_end(line, at + 1)?,
            b'}' => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(Fault::new(open, "labels that are not closed by '}'"))
}

/// Labels of a series' text, its metric name included.
pub(super) fn parse_series(text: &str, dialect: Dialect, limits: &Limits) -> Parsed<Labels> {
    let mut reader = SeriesText {
        text,
        at: 0,
        dialect,
        limits,
        labels: Vec::new(),
        chars: 0,
    };
    let bare = name_end(text, 0, true);
    let mut name = None;
    if bare > 0 {
        name = Some(reader.checked_name(0, &text[..bare])?);
        reader.at = bare;
    }
    if reader.peek() == Some(b'{') {
        reader.pairs(&mut name)?;
    }
    if reader.at < text.len() {
        return Err(Fault::new(
            reader.at,
            "a character that no metric name may have",
        ));
    }
    let name = name.ok_or_else(|| Fault::new(0, "a sample without a metric name"))?;
    Ok(reader.build(Some(name)))
}

/// Labels of an exemplar, `{…}`, and how many characters they have.
pub(super) fn parse_exemplar_labels(text: &str, limits: &Limits) -> Parsed<(Labels, usize)> {
    let dialect = Dialect::Strict;
    let mut reader = SeriesText {
        text,
        at: 0,
        dialect,
        limits,
        labels: Vec::new(),
        chars: 0,
    };
    let mut no_name = Some(String::new());
    reader.pairs(&mut no_name)?;
    let chars = reader.chars;
    Ok((reader.build(None), chars))
}

struct SeriesText<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    limits: &'a Limits,
    labels: Vec<(String, String)>,
    chars: usize,
}

impl SeriesText<'_> {
    /// The next byte, blanks skipped where they are allowed.
    fn peek(&mut self) -> Option<u8> {
        if self.dialect == Dialect::Loose {
            self.at = skip_blanks(self.text, self.at);
        }
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, wanted: u8, what: &'static str) -> Parsed<()> {
        if self.peek() != Some(wanted) {
            return Err(Fault::new(self.at, what));
        }
        self.at += 1;
        Ok(())
    }

    /// `{…}`; a quoted text alone is the metric's name.
    fn pairs(&mut self, name: &mut Option<String>) -> Parsed<()> {
        self.expect(b'{', "'{' expected")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.item(name)?;
            match self.peek() {
                Some(b'}') => break,
                Some(b',') => self.at += 1,
                _ => return Err(Fault::new(self.at, "',' or '}' expected")),
            }
            if self.dialect == Dialect::Loose && self.peek() == Some(b'}') {
                break;
            }
        }
        self.at += 1;
        Ok(())
    }

    fn item(&mut self, name: &mut Option<String>) -> Parsed<()> {
        let quoted = self.peek() == Some(b'"');
        let start = self.at;
        let label = if quoted {
            self.quoted()?
        } else {
            self.bare_label()?
        };
        let label = self.checked_name(start, &label)?;
        if quoted && self.peek() != Some(b'=') {
            if name.replace(label).is_some() {
                return Err(Fault::new(start, "a second metric name, or '=' missing"));
            }
            return Ok(());
        }
        self.expect(b'=', "'=' expected after the label's name")?;
        self.pair(start, label)
    }

    fn pair(&mut self, start: usize, label: String) -> Parsed<()> {
        if self.peek() != Some(b'"') {
            return Err(Fault::new(
                self.at,
                "a label value has to be quoted by '\"'",
            ));
        }
        let value_at = self.at;
        let value = self.quoted()?;
        if value.len() > self.limits.value_bytes {
            let what = format!(
                "a label value longer than {} bytes",
                self.limits.value_bytes
            );
            return Err(Fault::new(value_at, what));
        }
        if label == METRIC_NAME {
            return Err(Fault::new(start, "the label __name__ is reserved"));
        }
        if self.labels.iter().any(|(known, _)| *known == label) {
            return Err(Fault::new(start, format!("a second label {label:?}")));
        }
        if self.labels.len() == self.limits.labels {
            return Err(Fault::new(
                start,
                format!("more than {} labels", self.limits.labels),
            ));
        }
        self.chars += label.chars().count() + value.chars().count();
        self.labels.push((label, value));
        Ok(())
    }

    fn bare_label(&mut self) -> Parsed<String> {
        let end = name_end(self.text, self.at, false);
        if end == self.at {
            return Err(Fault::new(self.at, "a label name expected"));
        }
        let label = self.text[self.at..end].to_owned();
        self.at = end;
        Ok(label)
    }

    fn quoted(&mut self) -> Parsed<String> {
        let from = self.at + 1;
        let end = quoted_end(self.text, from)?;
        let mut text = String::new();
        unescape(&self.text[from..end - 1], true, &mut text);
        self.at = end;
        Ok(text)
    }

    fn checked_name(&self, at: usize, name: &str) -> Parsed<String> {
        if name.is_empty() {
            return Err(Fault::new(at, "an empty name"));
        }
        if name.len() > self.limits.name_bytes {
            let what = format!("a name longer than {} bytes", self.limits.name_bytes);
            return Err(Fault::new(at, what));
        }
        Ok(name.to_owned())
    }

    fn build(self, name: Option<String>) -> Labels {
        let mut builder = LabelsBuilder::default();
        if let Some(name) = name {
            builder.set(METRIC_NAME, name);
        }
        for (label, value) in self.labels {
            builder.set(label, value);
        }
        builder.build()
    }
}
