//! From labels to series: sorted lists of series numbers ("postings") for each label pair, and
//! how matchers combine them, whoever keeps the lists.

use std::borrow::Cow;

use model::{MatchOp, Matcher};
use roaring::RoaringBitmap;

/// A matcher made ready: whether it holds for a series.
pub(crate) type Test<'a> = Box<dyn Fn(u32) -> bool + 'a>;

/// Something that keeps postings.
pub(crate) trait Postings {
    /// Every series.
    fn all(&self) -> RoaringBitmap;

    /// How many series have this pair.
    fn size(&self, name: &str, value: &str) -> usize;

    /// Series with this pair.
    fn lookup(&self, name: &str, value: &str) -> Cow<'_, RoaringBitmap>;

    /// Series whose value of `name` is kept.
    fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> RoaringBitmap;

    /// Whether single series satisfy a matcher.
    fn test<'a>(&'a self, matcher: &'a Matcher) -> Test<'a>;
}

/// Series found so far up to which the rest of the matchers are tried on each of them, rather
/// than on lists.
const FEW: usize = 512;
/// Unless the list of a pair is at most so many times as long: looking a series up costs more
/// than walking past it in a list.
const SHORT: usize = 8;

/// Series for which all matchers hold, rising; all series if there is no matcher. Starts from
/// the shortest list there is.
pub(crate) fn resolve(source: &dyn Postings, matchers: &[Matcher]) -> Vec<u32> {
    let (absent_ok, mut present): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches(""));
    present.sort_by_cached_key(|m| match m.op {
        MatchOp::Equal => source.size(&m.name, &m.value),
        MatchOp::NotEqual | MatchOp::Regex | MatchOp::NotRegex => usize::MAX,
    });
    let mut rest = present.into_iter().chain(absent_ok).peekable();
    let mut found = match rest.next_if(|first| !first.matches("")) {
        Some(first) => holding(source, first),
        None => Cow::Owned(source.all()),
    };
    let by_list = |matcher: &&Matcher, found: usize| {
        let is_pair = matcher.op == MatchOp::Equal && !matcher.value.is_empty();
        found > FEW
            || is_pair && found > 1 && source.size(&matcher.name, &matcher.value) <= SHORT * found
    };
    while let Some(matcher) = rest.next_if(|m| by_list(m, found.len() as usize)) {
        let found = found.to_mut();
        if matcher.matches("") {
            *found -= source.filter(&matcher.name, &mut |value| !matcher.matches(value));
        } else {
            *found &= &*holding(source, matcher);
        }
    }
    let mut found: Vec<u32> = found.iter().collect();
    for matcher in rest {
        let holds = source.test(matcher);
        found.retain(|id| holds(*id));
    }
    found
}

/// Series that have the label with a value that matches.
fn holding<'a>(source: &'a dyn Postings, matcher: &Matcher) -> Cow<'a, RoaringBitmap> {
    match matcher.op {
        MatchOp::Equal => source.lookup(&matcher.name, &matcher.value),
        MatchOp::Regex if is_alternation(&matcher.value) => {
            let mut all = RoaringBitmap::new();
            for value in matcher.value.split('|') {
                all |= &*source.lookup(&matcher.name, value);
            }
            Cow::Owned(all)
        }
        MatchOp::Regex | MatchOp::NotEqual | MatchOp::NotRegex => {
            Cow::Owned(source.filter(&matcher.name, &mut |value| matcher.matches(value)))
        }
    }
}

/// `a|b|c` of plain text: no need to try every value.
fn is_alternation(regex: &str) -> bool {
    regex
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-:/ |".contains(&b))
}

#[cfg(test)]
mod tests {
    use model::Labels;

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
