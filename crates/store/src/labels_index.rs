//! From labels to series: sorted lists of series numbers ("postings") for each label pair, and
//! how matchers combine them, whoever keeps the lists.

use std::collections::BTreeMap;

use model::{Labels, MatchOp, Matcher};

/// Something that keeps postings. Lists are sorted and unique.
pub(crate) trait Postings {
    /// Every series.
    fn all(&self) -> Vec<u32>;

    /// How many series have this pair.
    fn size(&self, name: &str, value: &str) -> usize;

    /// Series with this pair.
    fn lookup(&self, name: &str, value: &str) -> Vec<u32>;

    /// Series whose value of `name` is kept.
    fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> Vec<u32>;

    /// Whether one series satisfies a matcher.
    fn holds(&self, series: u32, matcher: &Matcher) -> bool;
}

/// Series found so far up to which the rest of the matchers are tried on each of them, rather
/// than on lists.
const FEW: usize = 512;

/// Series for which all matchers hold; all series if there is no matcher. Starts from the
/// shortest list there is.
pub(crate) fn resolve(source: &dyn Postings, matchers: &[Matcher]) -> Vec<u32> {
    let (absent_ok, mut present): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches(""));
    present.sort_by_cached_key(|m| match m.op {
        MatchOp::Equal => source.size(&m.name, &m.value),
        MatchOp::NotEqual | MatchOp::Regex | MatchOp::NotRegex => usize::MAX,
    });
    let mut present = present.into_iter();
    let mut found = match present.next() {
        Some(first) => holding(source, first),
        None => source.all(),
    };
    for matcher in present {
        if found.len() <= FEW {
            found.retain(|id| source.holds(*id, matcher));
        } else {
            let list = holding(source, matcher);
            found.retain(|id| list.binary_search(id).is_ok());
        }
    }
    for matcher in absent_ok {
        if found.len() <= FEW {
            found.retain(|id| source.holds(*id, matcher));
        } else {
            let against = source.filter(&matcher.name, &mut |value| !matcher.matches(value));
            found.retain(|id| against.binary_search(id).is_err());
        }
    }
    found
}

/// Series that have the label with a value that matches.
fn holding(source: &dyn Postings, matcher: &Matcher) -> Vec<u32> {
    match matcher.op {
        MatchOp::Equal => source.lookup(&matcher.name, &matcher.value),
        MatchOp::Regex if is_alternation(&matcher.value) => union(
            matcher
                .value
                .split('|')
                .map(|value| source.lookup(&matcher.name, value))
                .collect(),
        ),
        MatchOp::Regex | MatchOp::NotEqual | MatchOp::NotRegex => {
            source.filter(&matcher.name, &mut |value| matcher.matches(value))
        }
    }
}

/// `a|b|c` of plain text: no need to try every value.
fn is_alternation(regex: &str) -> bool {
    regex
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-:/ |".contains(&b))
}

/// Sorted union of sorted lists.
pub(crate) fn union(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    if lists.len() == 1 {
        return lists.pop().unwrap_or_default();
    }
    let mut all = lists.concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// Postings in memory, for the active series.
#[derive(Debug, Default)]
pub(crate) struct LabelsIndex {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
}

impl LabelsIndex {
    pub(crate) fn insert(&mut self, id: u32, labels: &Labels) {
        for (name, value) in labels.iter() {
            let list = self.list(name, value);
            match list.last() {
                Some(last) if *last >= id => {
                    if let Err(at) = list.binary_search(&id) {
                        list.insert(at, id);
                    }
                }
                _ => list.push(id),
            }
        }
    }

    fn list(&mut self, name: &str, value: &str) -> &mut Vec<u32> {
        if !self.names.contains_key(name) {
            self.names.insert(name.into(), BTreeMap::new());
        }
        let values = self.names.get_mut(name).expect("inserted above");
        if !values.contains_key(value) {
            values.insert(value.into(), Vec::new());
        }
        values.get_mut(value).expect("inserted above")
    }

    /// Removes the series for which `gone` holds; costs a walk over all lists.
    pub(crate) fn remove(&mut self, gone: &dyn Fn(u32) -> bool) {
        for values in self.names.values_mut() {
            for list in values.values_mut() {
                list.retain(|id| !gone(*id));
            }
            values.retain(|_, list| !list.is_empty());
        }
        self.names.retain(|_, values| !values.is_empty());
    }
}

impl LabelsIndex {
    pub(crate) fn all(&self) -> Vec<u32> {
        union(
            self.names
                .values()
                .flat_map(BTreeMap::values)
                .cloned()
                .collect(),
        )
    }

    pub(crate) fn size(&self, name: &str, value: &str) -> usize {
        self.names
            .get(name)
            .and_then(|values| values.get(value))
            .map_or(0, Vec::len)
    }

    /// Distinct values of a label.
    pub(crate) fn value_count(&self, name: &str) -> usize {
        self.names.get(name).map_or(0, BTreeMap::len)
    }

    /// Every pair with the length of its list, in order.
    pub(crate) fn each_pair(&self, tell: &mut dyn FnMut(&str, &str, usize)) {
        for (name, values) in &self.names {
            for (value, list) in values {
                tell(name, value, list.len());
            }
        }
    }

    pub(crate) fn lookup(&self, name: &str, value: &str) -> Vec<u32> {
        self.names
            .get(name)
            .and_then(|values| values.get(value))
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> Vec<u32> {
        let Some(values) = self.names.get(name) else {
            return Vec::new();
        };
        union(
            values
                .iter()
                .filter(|(v, _)| keep(v))
                .map(|(_, list)| list.clone())
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn matchers_combine_as_promql_says() {
        let sets = [
            [("__name__", "up"), ("job", "a")],
            [("__name__", "up"), ("job", "b")],
            [("__name__", "up"), ("zone", "x")],
            [("__name__", "down"), ("job", "a")],
        ];
        let mut index = Registry::new();
        for (id, pairs) in sets.iter().enumerate() {
            assert_eq!(
                index.add(&Labels::from_pairs(pairs.iter().copied())),
                id as u32
            );
        }
        let check_in = |index: &Registry, matchers: &[(&str, MatchOp, &str)], expected: &[u32]| {
            let matchers: Vec<_> = matchers
                .iter()
                .map(|(n, op, v)| Matcher::new(*n, *op, *v).unwrap())
                .collect();
            assert_eq!(resolve(index, &matchers), expected, "{matchers:?}");
        };
        check_in(&index, &[], &[0, 1, 2, 3]);
        check_in(&index, &[("__name__", MatchOp::Equal, "up")], &[0, 1, 2]);
        check_in(
            &index,
            &[
                ("__name__", MatchOp::Equal, "up"),
                ("job", MatchOp::NotEqual, "a"),
            ],
            &[1, 2],
        );
        check_in(&index, &[("job", MatchOp::Equal, "")], &[2]);
        check_in(&index, &[("job", MatchOp::NotEqual, "")], &[0, 1, 3]);
        check_in(
            &index,
            &[
                ("job", MatchOp::Regex, "a|b"),
                ("__name__", MatchOp::Regex, "u.*"),
            ],
            &[0, 1],
        );
        check_in(&index, &[("job", MatchOp::Regex, "a|")], &[0, 2, 3]);
        check_in(&index, &[("job", MatchOp::NotRegex, "a|b")], &[2]);
        check_in(&index, &[("job", MatchOp::NotRegex, "a|")], &[1]);
        index.evict(0, &|id| id == 0 || id == 3);
        check_in(&index, &[("__name__", MatchOp::Equal, "up")], &[0]);
        check_in(&index, &[("zone", MatchOp::NotEqual, "")], &[]);
    }
}
