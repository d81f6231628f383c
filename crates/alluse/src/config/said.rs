//! What the user said: a TOML table read key by key, each mistake noted with its place, none of
//! them ending the reading. Keys nobody asked for are mistakes too, with the nearest known name.

use std::{
    cell::RefCell,
    fmt,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// `file:line:column`, or the environment variable.
    pub(crate) place: String,
    /// The key, with its table: `server.listen`; empty for a syntax error.
    pub(crate) key: String,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{colon}{}", self.place, self.key, self.message)
    }
}

/// The text being read, and the mistakes found so far.
#[derive(Debug)]
pub(crate) struct Source<'i> {
    name: &'i str,
    text: &'i str,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'i> Source<'i> {
    pub(crate) fn new(name: &'i str, text: &'i str) -> Self {
        Self {
            name,
            text,
            mistakes: RefCell::default(),
        }
    }

    pub(crate) fn note(&self, at: usize, key: &str, message: String) {
        let (line, column) = position(self.text, at);
        let place = format!("{}:{line}:{column}", self.name);
        self.mistakes.borrow_mut().push(Mistake {
            place,
            key: key.to_owned(),
            message,
        });
    }

    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// Line and column, counted from 1, of a byte offset.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

/// A table being read. [`Section::finish`] reports the keys nobody asked for.
#[derive(Debug)]
pub(crate) struct Section<'t, 'i> {
    source: &'t Source<'i>,
    table: Option<&'t DeTable<'i>>,
    path: String,
    at: usize,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t, 'i> Section<'t, 'i> {
    pub(crate) fn root(source: &'t Source<'i>, table: &'t DeTable<'i>) -> Self {
        Self {
            source,
            table: Some(table),
            path: String::new(),
            at: 0,
            asked: RefCell::default(),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.asked.borrow_mut().push(key);
        self.table?
            .iter()
            .find(|(k, _)| k.get_ref() == key)
            .map(|(_, value)| value)
    }

    fn wrong(&self, key: &str, at: usize, message: impl Into<String>) {
        self.source.note(at, &self.key(key), message.into());
    }

    /// Reads a key with `parse`, which says what it expected when it returns an error.
    fn read<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'t DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        match parse(value.get_ref()) {
            Ok(read) => Some(read),
            Err(message) => {
                self.wrong(key, value.span().start, message);
                None
            }
        }
    }

    /// A text; `None` when absent or wrong.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, |v| {
            v.as_str()
                .map(str::to_owned)
                .ok_or_else(|| expected("a text", v))
        })
    }

    /// A path, relative to the folder of the configuration.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let folder = Path::new(self.source.name).parent();
        let said = self.text(key)?;
        Some(folder.unwrap_or_else(|| Path::new("")).join(said))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        self.read(key, |v| {
            v.as_bool().ok_or_else(|| expected("true or false", v))
        })
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, key: &'static str) -> String {
        self.require(key);
        self.text(key).unwrap_or_default()
    }

    /// Notes a mistake if a key is not there.
    pub(crate) fn require(&self, key: &'static str) {
        let present = self
            .table
            .is_some_and(|t| t.iter().any(|(k, _)| k.get_ref() == key));
        if !present {
            self.wrong(key, self.at, "is missing");
        }
    }

    /// A text that `parse` understands.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, |v| {
            parse(v.as_str().ok_or_else(|| expected("a text", v))?)
        })
    }

    /// A time span such as `"1s"`, `"500ms"`, `"2h"`, `"15d"`, inside a range.
    pub(crate) fn duration(
        &self,
        key: &'static str,
        allowed: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.parsed(key, |text| {
            let span = super::duration::parse(text)?;
            if allowed.contains(&span) {
                return Ok(span);
            }
            let (low, high) = (allowed.start(), allowed.end());
            Err(format!("{text} is outside {low:?} to {high:?}"))
        })
    }

    /// A whole number inside a range.
    pub(crate) fn integer(&self, key: &'static str, allowed: RangeInclusive<u64>) -> Option<u64> {
        self.read(key, |v| {
            let number = v
                .as_integer()
                .ok_or_else(|| expected("a whole number", v))?;
            i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| allowed.contains(n))
                .ok_or_else(|| {
                    format!(
                        "{number} is outside {} to {}",
                        allowed.start(),
                        allowed.end()
                    )
                })
        })
    }

    /// A number.
    pub(crate) fn number(&self, key: &'static str) -> Option<f64> {
        self.read(key, |v| {
            let text = v.as_float().map(toml::de::DeFloat::as_str);
            let text = text.or_else(|| v.as_integer().map(toml::de::DeInteger::as_str));
            text.and_then(|t| t.parse().ok())
                .filter(|n: &f64| n.is_finite())
                .ok_or_else(|| expected("a finite number", v))
        })
    }

    /// A number inside an open-ended range.
    pub(crate) fn number_in(&self, key: &'static str, allowed: RangeInclusive<f64>) -> Option<f64> {
        let number = self.number(key)?;
        if allowed.contains(&number) {
            return Some(number);
        }
        let at = self.get(key).map_or(self.at, |v| v.span().start);
        let (low, high) = (allowed.start(), allowed.end());
        self.wrong(key, at, format!("{number} is outside {low} to {high}"));
        None
    }

    /// One of several names.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        self.parsed(key, |text| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let found = choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, value)| *value);
            found.ok_or_else(|| format!("{text:?} is none of {}", names.join(", ")))
        })
    }

    /// A list of texts; empty when absent.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        self.read(key, |v| {
            let list = v.as_array().ok_or_else(|| expected("a list of texts", v))?;
            let text = |v: &Spanned<DeValue<'_>>| v.get_ref().as_str().map(str::to_owned);
            list.iter()
                .map(text)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| expected("a list of texts", v))
        })
        .unwrap_or_default()
    }

    /// A table inside this one; an absent one reads as empty.
    pub(crate) fn section(&self, key: &'static str) -> Section<'t, 'i> {
        let value = self.get(key);
        let table = value.and_then(|v| v.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong(
                key,
                value.span().start,
                expected("a table", value.get_ref()),
            );
        }
        self.inner(
            table,
            self.key(key),
            value.map_or(self.at, |v| v.span().start),
        )
    }

    /// The tables of a `[[list]]`; none when absent.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'t, 'i>> {
        let Some(list) = self.read(key, |v| {
            v.as_array()
                .ok_or_else(|| expected("a list of tables", v))
                .map(|list: &DeArray<'i>| list)
        }) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let path = format!("{}[{index}]", self.key(key));
            let at = value.span().start;
            match value.get_ref().as_table() {
                Some(table) => sections.push(self.inner(Some(table), path, at)),
                None => self
                    .source
                    .note(at, &path, expected("a table", value.get_ref())),
            }
        }
        sections
    }

    fn inner(&self, table: Option<&'t DeTable<'i>>, path: String, at: usize) -> Section<'t, 'i> {
        Section {
            source: self.source,
            table,
            path,
            at,
            asked: RefCell::default(),
        }
    }

    /// Every key of the table with its plain value: for tables whose keys are names the user
    /// chose. Nothing else of such a table is read.
    pub(crate) fn plain_values(&self) -> Vec<(String, model::KnobValue)> {
        let mut values = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            match plain(value.get_ref()) {
                Some(plain) => values.push((key.get_ref().to_string(), plain)),
                None => {
                    let message = expected("a number, true, false or a text", value.get_ref());
                    self.wrong(key.get_ref(), value.span().start, message);
                }
            }
        }
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    }

    /// [`Section::plain_values`] as texts.
    pub(crate) fn plain_texts(&self) -> Vec<(String, String)> {
        let text = |value: model::KnobValue| match value {
            model::KnobValue::Choice(text) => text,
            model::KnobValue::Int(number) => number.to_string(),
            model::KnobValue::Float(number) => number.to_string(),
            model::KnobValue::Bool(truth) => truth.to_string(),
        };
        let all = self.plain_values().into_iter();
        all.map(|(name, value)| (name, text(value))).collect()
    }

    /// Every key of the table with the table it names: for keys that the user chose.
    pub(crate) fn tables(&self) -> Vec<(String, Section<'t, 'i>)> {
        let mut tables = Vec::new();
        for (key, value) in self.table.into_iter().flatten() {
            let (name, at) = (key.get_ref().to_string(), value.span().start);
            let path = self.key(&name);
            match value.get_ref().as_table() {
                Some(table) => tables.push((name, self.inner(Some(table), path, at))),
                None => self.wrong(&name, at, expected("a table", value.get_ref())),
            }
        }
        tables
    }

    /// Whether the table has the key.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the table is there at all.
    pub(crate) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Notes a mistake about a key of this table.
    pub(crate) fn mistake(&self, key: &'static str, message: impl Into<String>) {
        let at = self.get(key).map_or(self.at, |v| v.span().start);
        self.wrong(key, at, message);
    }

    /// Reports the keys nobody asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let hint = match yaml::nearest(name, &asked) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            self.wrong(name, key.span().start, format!("is not a known key{hint}"));
        }
    }
}

fn plain(value: &DeValue<'_>) -> Option<model::KnobValue> {
    if let Some(whole) = value.as_integer() {
        return i64::from_str_radix(whole.as_str(), whole.radix())
            .ok()
            .map(model::KnobValue::Int);
    }
    if let Some(number) = value.as_float() {
        return number.as_str().parse().ok().map(model::KnobValue::Float);
    }
    let text = || {
        value
            .as_str()
            .map(|t| model::KnobValue::Choice(t.to_owned()))
    };
    value.as_bool().map(model::KnobValue::Bool).or_else(text)
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    format!("expected {what}, found {}", found.type_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_has_a_nearest_known_one() {
        assert_eq!(yaml::nearest("lisen", &["listen", "data"]), Some("listen"));
        assert_eq!(yaml::nearest("zzz", &["listen", "data"]), None);
    }

    #[test]
    fn positions_count_from_one() {
        assert_eq!(position("ab\ncd", 0), (1, 1));
        assert_eq!(position("ab\ncd", 4), (2, 2));
    }
}
