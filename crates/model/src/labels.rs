//! A label set: the identity of a series.
//!
//! Held as one shared buffer of canonical bytes, so that a set costs one allocation, clones for
//! the price of a counter, and can be hashed or compared without being taken apart. Layout, for
//! each pair in order of name: `u16 LE` length of the name, name, `u16 LE` length of the value,
//! value.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Sorted, unique label pairs without empty values (an empty value means "no such label").
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

/// Collects pairs in any order; the last value of a name wins.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder(Vec<(String, String)>);

impl Labels {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// A set from pairs in any order. Empty values are dropped; of equal names the last wins.
    /// Names and values are cut at 65,535 bytes (ingest refuses far shorter ones first).
    #[must_use]
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// A set from canonical bytes, as [`Labels::as_bytes`] gave them; `None` if they are not
    /// canonical (lengths that overrun, invalid UTF-8, names not strictly rising, empty values).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut last: Option<&str> = None;
        while !rest.is_empty() {
            let (name, after) = take(rest)?;
            let (value, after) = take(after)?;
            if value.is_empty() || last.is_some_and(|l| l >= name) {
                return None;
            }
            last = Some(name);
            rest = after;
        }
        Some(Self(Arc::from(bytes)))
    }

    /// As [`Labels::from_bytes`], for bytes that came out of label sets and are canonical for
    /// that: not looked at again. Others are a bug of the caller, found in development builds.
    #[must_use]
    pub fn from_canonical(bytes: &[u8]) -> Self {
        debug_assert!(
            Self::from_bytes(bytes).is_some(),
            "label bytes are canonical"
        );
        Self(Arc::from(bytes))
    }

    /// The canonical bytes (see the module's head for the layout).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (name, after) = take(rest).expect("label bytes are canonical");
            let (value, after) = take(after).expect("label bytes are canonical");
            rest = after;
            Some((name, value))
        })
    }

    /// The value of `name`, if the set has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// The metric's name, or "" when there is none.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or_default()
    }

    /// Whether the set has no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many labels the set has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// A builder that starts from this set.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder(
            self.iter()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
        )
    }

    /// This set with one label set (an empty value removes it).
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut builder = self.to_builder();
        builder.set(name, value);
        builder.build()
    }
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        self.0.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.retain(|(n, _)| n != name);
        self
    }

    /// Keeps the labels for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut Self {
        self.0.retain(|(n, _)| keep(n));
        self
    }

    /// The value set so far.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The finished set.
    #[must_use]
    pub fn build(mut self) -> Labels {
        self.0.sort_unstable();
        let size = self.0.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
        let mut bytes = Vec::with_capacity(size);
        for (name, value) in &self.0 {
            put(&mut bytes, name);
            put(&mut bytes, value);
        }
        Labels(bytes.into())
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let length = u16::try_from(end).expect("cut to u16 above");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

fn take(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By pairs: name, then value, then the shorter set first; the order of a PromQL matrix.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

/// As PromQL writes it: `name{a="b"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name)?;
        let mut pairs = self.iter().filter(|(n, _)| *n != METRIC_NAME).peekable();
        if pairs.peek().is_none() && !name.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (i, (n, v)) in pairs.enumerate() {
            write!(f, "{}{n}={v:?}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As a JSON object of names and values.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        if pairs
            .iter()
            .any(|(n, v)| n.len() > 0xFFFF || v.len() > 0xFFFF)
        {
            return Err(D::Error::custom("a label is longer than 65,535 bytes"));
        }
        Ok(Self::from_pairs(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_pairs_does_not_matter_and_empty_values_vanish() {
        let a = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]);
        let b = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert_eq!(a, b);
        assert_eq!(a.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(a.get("b"), Some("2"));
        assert_eq!(a.get("c"), None);
    }

    #[test]
    fn bytes_round_trip_and_bad_bytes_are_refused() {
        let labels = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "höst")]);
        assert_eq!(Labels::from_bytes(labels.as_bytes()), Some(labels.clone()));
        for cut in 1..labels.as_bytes().len() {
            if let Some(prefix) = Labels::from_bytes(&labels.as_bytes()[..cut]) {
                assert_eq!(prefix.count(), 1, "only a whole pair is a set");
            }
        }
        assert_eq!(Labels::from_bytes(&[1, 0, b'a', 0, 0]), None, "empty value");
        assert_eq!(
            Labels::from_bytes(&[1, 0, 0xFF, 1, 0, b'x']),
            None,
            "invalid UTF-8"
        );
    }

    #[test]
    fn sorts_by_name_then_value_then_length() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let mut sets = [
            set(&[("a", "2")]),
            set(&[("a", "1"), ("b", "1")]),
            set(&[("a", "1")]),
            set(&[]),
        ];
        sets.sort();
        assert_eq!(
            sets.map(|s| s.to_string()),
            ["{}", r#"{a="1"}"#, r#"{a="1", b="1"}"#, r#"{a="2"}"#]
        );
    }
}
