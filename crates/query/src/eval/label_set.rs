//! Label sets made from label sets.

use model::{Labels, METRIC_NAME};
use rustc_hash::FxHashMap;

/// Labels that say what a metric is, not where it comes from: dropped together with the name.
pub(crate) fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// Appends the pairs that `keep` holds for, in the canonical layout of [`Labels`].
pub(crate) fn write_filtered(out: &mut Vec<u8>, labels: &Labels, keep: impl Fn(&str) -> bool) {
    for (name, value) in labels.iter().filter(|(name, _)| keep(name)) {
        for text in [name, value] {
            let length = u16::try_from(text.len()).expect("labels hold texts of at most 64 KiB");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// The pairs that `keep` holds for.
pub(crate) fn filtered(labels: &Labels, keep: impl Fn(&str) -> bool) -> Labels {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len());
    write_filtered(&mut bytes, labels, keep);
    Labels::from_bytes(&bytes).expect("a part of a canonical set is canonical")
}

/// Without name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| is_metadata(name)) {
        filtered(labels, |name| !is_metadata(name))
    } else {
        labels.clone()
    }
}

/// As Prometheus writes a set in errors: the name like any other label.
pub(crate) fn written_out(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Which labels decide that two series belong together.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    /// Sorted.
    names: Vec<String>,
    /// Whether `names` decide, or all others do.
    by: bool,
}

impl Grouping {
    pub(crate) fn by(names: &[String]) -> Self {
        let mut names = names.to_vec();
        names.sort();
        Self { names, by: true }
    }

    /// All labels but these and the name.
    pub(crate) fn without(names: &[String]) -> Self {
        let mut names = names.to_vec();
        names.push(METRIC_NAME.to_owned());
        names.sort();
        Self { names, by: false }
    }

    fn keeps(&self, name: &str) -> bool {
        self.names
            .binary_search_by(|n| n.as_str().cmp(name))
            .is_ok()
            == self.by
    }

    /// The labels that decide.
    pub(crate) fn key(&self, labels: &Labels) -> Labels {
        if self.by && self.names.is_empty() {
            return Labels::empty();
        }
        filtered(labels, |name| self.keeps(name))
    }

    fn write_key(&self, out: &mut Vec<u8>, labels: &Labels) {
        if !self.by || !self.names.is_empty() {
            write_filtered(out, labels, |name| self.keeps(name));
        }
    }
}

/// Numbers groups in the order they are met.
#[derive(Debug)]
pub(crate) struct GroupIndex {
    grouping: Grouping,
    numbers: FxHashMap<Box<[u8]>, usize>,
    scratch: Vec<u8>,
}

impl GroupIndex {
    pub(crate) fn new(grouping: Grouping) -> Self {
        Self {
            grouping,
            numbers: FxHashMap::default(),
            scratch: Vec::new(),
        }
    }

    /// The group of a series.
    pub(crate) fn of(&mut self, labels: &Labels) -> usize {
        self.scratch.clear();
        self.grouping.write_key(&mut self.scratch, labels);
        if let Some(number) = self.numbers.get(self.scratch.as_slice()) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.scratch.as_slice().into(), number);
        number
    }

    /// The group of a series, if one before it is in the same.
    pub(crate) fn find(&mut self, labels: &Labels) -> Option<usize> {
        self.scratch.clear();
        self.grouping.write_key(&mut self.scratch, labels);
        self.numbers.get(self.scratch.as_slice()).copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn grouping(&self) -> &Grouping {
        &self.grouping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_as_they_come() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let mut index = GroupIndex::new(Grouping::by(&["job".to_owned()]));
        assert_eq!(index.of(&set(&[("job", "a"), ("x", "1")])), 0);
        assert_eq!(index.of(&set(&[("x", "1")])), 1);
        assert_eq!(index.of(&set(&[("job", "a"), ("x", "2")])), 0);
        assert_eq!(index.count(), 2);
        let without = Grouping::without(&["x".to_owned()]);
        let key = without.key(&set(&[("__name__", "m"), ("job", "a"), ("x", "2")]));
        assert_eq!(key, set(&[("job", "a")]));
    }
}
