//! The label pairs of the active series: each text once, and beside it its postings.
//!
//! A pair is kept as it stands in a series' canonical label bytes (see `model::Labels`), so that
//! a series is the list of its pairs' numbers: 4 bytes a label, and its label bytes are the
//! pairs' bytes one after another. Such codes are free of prefixes: the order of label bytes is
//! the order of the first pair that differs.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use hashbrown::HashTable;
use roaring::RoaringBitmap;
use rustc_hash::FxSeededState;

/// Series a pair lists one by one; more of them are a bitmap, which costs about 150 bytes empty.
const LIST_MAX: usize = 64;
/// Bytes of dead text that are kept rather than cleaned up.
const DEAD_BYTES_KEPT: usize = 1 << 16;

/// A fast hash, seeded so that labels cannot be chosen to collide.
#[derive(Clone)]
pub(crate) struct Seed(FxSeededState);

impl Seed {
    pub(crate) fn random() -> Self {
        let seed = RandomState::new().hash_one(0u8) as usize;
        Self(FxSeededState::with_seed(seed))
    }

    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash_one(bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The series that have a pair.
#[derive(Debug)]
enum Posting {
    One(u32),
    /// Sorted; empty if no series is left.
    List(Vec<u32>),
    Many(RoaringBitmap),
}

impl Posting {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::List(list) => list.len(),
            Self::Many(set) => set.len() as usize,
        }
    }

    fn set(&self) -> Cow<'_, RoaringBitmap> {
        match self {
            Self::One(id) => Cow::Owned(RoaringBitmap::from([*id])),
            Self::List(list) => Cow::Owned(list.iter().copied().collect()),
            Self::Many(set) => Cow::Borrowed(set),
        }
    }

    fn add_to(&self, all: &mut RoaringBitmap) {
        match self {
            Self::One(id) => {
                all.insert(*id);
            }
            Self::List(list) => all.extend(list),
            Self::Many(set) => *all |= set,
        }
    }

    fn insert(&mut self, id: u32) {
        match self {
            Self::One(other) if *other == id => {}
            Self::One(other) => *self = Self::List(vec![id.min(*other), id.max(*other)]),
            Self::List(list) => match list.binary_search(&id) {
                Ok(_) => {}
                Err(_) if list.len() >= LIST_MAX => {
                    let mut set: RoaringBitmap = list.iter().copied().collect();
                    set.insert(id);
                    *self = Self::Many(set);
                }
                Err(at) => {
                    if list.len() == list.capacity() {
                        list.reserve_exact((list.len() / 2).max(1));
                    }
                    list.insert(at, id);
                }
            },
            Self::Many(set) => {
                set.insert(id);
            }
        }
    }

    fn remove(&mut self, id: u32) {
        match self {
            Self::One(own) if *own == id => *self = Self::List(Vec::new()),
            Self::One(_) => {}
            Self::List(list) => {
                if let Ok(at) = list.binary_search(&id) {
                    list.remove(at);
                }
            }
            Self::Many(set) => {
                set.remove(id);
                if set.is_empty() {
                    *self = Self::List(Vec::new());
                }
            }
        }
    }
}

/// The values of a label name.
#[derive(Debug, Default)]
struct Values {
    /// Their pairs, in no order; dead ones, too.
    pairs: Vec<u32>,
    /// How many of them some series has. Every new series asks, so it is counted, not searched.
    live: usize,
}

/// Numbers of pairs stay the same until [`Pairs::compact`].
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Canonical bytes of the pairs, one after another, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    by_text: HashTable<u32>,
    postings: Vec<Posting>,
    names: BTreeMap<Box<str>, Values>,
    seed: Seed,
    /// Text of pairs that no series has.
    dead_bytes: usize,
}

impl Pairs {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            text: Vec::new(),
            ends: Vec::new(),
            by_text: HashTable::new(),
            postings: Vec::new(),
            names: BTreeMap::new(),
            seed,
            dead_bytes: 0,
        }
    }

    /// How many numbers are in use, dead ones included.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Canonical bytes of a pair.
    pub(crate) fn bytes(&self, pair: u32) -> &[u8] {
        let pair = pair as usize;
        let start = if pair == 0 { 0 } else { self.ends[pair - 1] };
        &self.text[start..self.ends[pair]]
    }

    /// The number of a pair, by its canonical bytes.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.seed.hash(bytes);
        self.by_text
            .find(hash, |pair| self.bytes(*pair) == bytes)
            .copied()
    }

    fn find_pair(&self, name: &str, value: &str) -> Option<u32> {
        self.find(&canonical(name, value))
    }

    /// The number of a pair, taking a new one if need be.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> u32 {
        if let Some(pair) = self.find(bytes) {
            return pair;
        }
        let pair = self.ends.len() as u32;
        self.text.extend_from_slice(bytes);
        self.ends.push(self.text.len());
        self.postings.push(Posting::List(Vec::new()));
        self.dead_bytes += bytes.len();
        let name = name_of(bytes);
        match self.names.get_mut(name) {
            Some(values) => values.pairs.push(pair),
            None => {
                let pairs = vec![pair];
                self.names.insert(name.into(), Values { pairs, live: 0 });
            }
        }
        let (text, ends, seed) = (&self.text, &self.ends, &self.seed);
        let hash = |pair: u32| {
            let pair = pair as usize;
            let start = if pair == 0 { 0 } else { ends[pair - 1] };
            seed.hash(&text[start..ends[pair]])
        };
        self.by_text
            .insert_unique(hash(pair), pair, |other| hash(*other));
        pair
    }

    /// Notes that a series has a pair.
    pub(crate) fn add(&mut self, pair: u32, id: u32) {
        let posting = &mut self.postings[pair as usize];
        if posting.len() == 0 {
            *posting = Posting::One(id);
            self.dead_bytes -= self.bytes(pair).len();
            self.values_mut(pair).live += 1;
        } else {
            posting.insert(id);
        }
    }

    /// Notes that a series no longer has a pair.
    pub(crate) fn remove(&mut self, pair: u32, id: u32) {
        let posting = &mut self.postings[pair as usize];
        if posting.len() == 0 {
            return;
        }
        posting.remove(id);
        if posting.len() == 0 {
            self.dead_bytes += self.bytes(pair).len();
            self.values_mut(pair).live -= 1;
        }
    }

    /// The values of a pair's name.
    fn values_mut(&mut self, pair: u32) -> &mut Values {
        let pair = pair as usize;
        let start = if pair == 0 { 0 } else { self.ends[pair - 1] };
        let name = name_of(&self.text[start..self.ends[pair]]);
        let values = self.names.get_mut(name);
        values.expect("the name of an interned pair is known")
    }

    /// The pairs of a name, in no order; dead ones, too.
    fn pairs_of(&self, name: &str) -> &[u32] {
        self.names.get(name).map_or(&[], |values| &values.pairs)
    }

    /// Gives the memory of pairs that no series has back, if it is worth it: the new numbers of
    /// all pairs by their old ones.
    pub(crate) fn compact(&mut self) -> Option<Vec<u32>> {
        if self.dead_bytes <= DEAD_BYTES_KEPT || self.dead_bytes < self.text.len() / 2 {
            return None;
        }
        let mut fresh = Self::new(self.seed.clone());
        let mut numbers = vec![u32::MAX; self.len()];
        for (pair, posting) in std::mem::take(&mut self.postings).into_iter().enumerate() {
            if posting.len() > 0 {
                let number = fresh.intern(self.bytes(pair as u32));
                numbers[pair] = number;
                fresh.postings[number as usize] = posting;
                fresh.values_mut(number).live += 1;
            }
        }
        fresh.dead_bytes = 0;
        *self = fresh;
        Some(numbers)
    }

    /// How many series have a pair.
    pub(crate) fn size(&self, name: &str, value: &str) -> usize {
        self.find_pair(name, value)
            .map_or(0, |pair| self.postings[pair as usize].len())
    }

    /// Distinct values of a label.
    pub(crate) fn value_count(&self, name: &str) -> usize {
        self.names.get(name).map_or(0, |values| values.live)
    }

    /// Every pair that series have, with how many, in order of name and value.
    pub(crate) fn each_pair(&self, tell: &mut dyn FnMut(&str, &str, usize)) {
        for (name, values) in &self.names {
            let live = values.pairs.iter().filter_map(|pair| {
                let series = self.postings[*pair as usize].len();
                (series > 0).then(|| (value_of(self.bytes(*pair)), series))
            });
            let mut values: Vec<(&str, usize)> = live.collect();
            values.sort_unstable();
            for (value, series) in values {
                tell(name, value, series);
            }
        }
    }

    /// Series that have a pair.
    pub(crate) fn lookup(&self, name: &str, value: &str) -> Cow<'_, RoaringBitmap> {
        self.find_pair(name, value).map_or_else(
            || Cow::Owned(RoaringBitmap::new()),
            |pair| self.postings[pair as usize].set(),
        )
    }

    /// Series whose value of `name` is kept.
    pub(crate) fn filter(&self, name: &str, keep: &mut dyn FnMut(&str) -> bool) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for pair in self.pairs_of(name) {
            let posting = &self.postings[*pair as usize];
            if posting.len() > 0 && keep(value_of(self.bytes(*pair))) {
                posting.add_to(&mut all);
            }
        }
        all
    }

    /// Whether a test of pairs finds that a series with these pairs has `name="value"`.
    pub(crate) fn equal(&self, name: &str, value: &str) -> impl Fn(&[u32]) -> bool + use<> {
        let wanted = self.find_pair(name, value);
        move |pairs| wanted.is_some_and(|pair| pairs.contains(&pair))
    }

    /// The value of `name` among these pairs; empty if there is none.
    pub(crate) fn value<'a>(&'a self, pairs: &[u32], name: &str) -> &'a str {
        pairs
            .iter()
            .map(|pair| self.bytes(*pair))
            .find(|bytes| name_of(bytes) == name)
            .map_or("", value_of)
    }

    /// Whether pairs come in strictly rising order of name, as in a label set.
    pub(crate) fn in_order(&self, pairs: &[u32]) -> bool {
        let name = |pair: u32| {
            let bytes = self.bytes(pair);
            &bytes[2..text_bytes(bytes).unwrap_or(2)]
        };
        pairs.windows(2).all(|two| name(two[0]) < name(two[1]))
    }

    /// The rank of each pair in the order of canonical bytes.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.len() as u32).collect();
        sorted.sort_unstable_by(|a, b| self.bytes(*a).cmp(self.bytes(*b)));
        let mut ranks = vec![0; self.len()];
        for (rank, pair) in sorted.into_iter().enumerate() {
            ranks[pair as usize] = rank as u32;
        }
        ranks
    }
}

/// A pair as it stands in canonical label bytes.
fn canonical(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + name.len() + value.len());
    for text in [name, value] {
        // A longer text is in no label set: the length that wraps finds nothing.
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The pairs in canonical label bytes.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let name = text_bytes(bytes)?;
        let (pair, rest) = bytes.split_at(name + text_bytes(&bytes[name..])?);
        bytes = rest;
        Some(pair)
    })
}

/// Bytes of the text at the front, its length included.
fn text_bytes(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<2>()?;
    Some(2 + usize::from(u16::from_le_bytes(*length)))
}

/// Whether these are the canonical bytes of one pair.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    model::Labels::from_bytes(bytes).is_some_and(|labels| labels.count() == 1)
}

fn name_of(pair: &[u8]) -> &str {
    let end = text_bytes(pair).expect("a pair is canonical");
    std::str::from_utf8(&pair[2..end]).expect("a pair is UTF-8")
}

fn value_of(pair: &[u8]) -> &str {
    let name = text_bytes(pair).expect("a pair is canonical");
    std::str::from_utf8(&pair[name + 2..]).expect("a pair is UTF-8")
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    #[test]
    fn pairs_of_a_label_set_are_its_bytes_and_dead_ones_go() {
        let mut pairs = Pairs::new(Seed::random());
        let of = |i: u32| {
            Labels::from_pairs([
                ("__name__", "up".to_owned()),
                ("pod", format!("{i:0>1000}")),
            ])
        };
        for i in 0..200 {
            let labels = of(i);
            let numbers: Vec<u32> = split(labels.as_bytes()).map(|p| pairs.intern(p)).collect();
            let joined: Vec<u8> = numbers
                .iter()
                .flat_map(|p| pairs.bytes(*p).to_vec())
                .collect();
            assert_eq!(joined, labels.as_bytes());
            numbers.iter().for_each(|p| pairs.add(*p, i));
        }
        assert_eq!(pairs.size("__name__", "up"), 200);
        assert_eq!(pairs.value_count("pod"), 200);
        assert_eq!(pairs.compact(), None, "nothing is dead");
        for i in 0..199 {
            let labels = of(i);
            for pair in split(labels.as_bytes()) {
                let pair = pairs.find(pair).unwrap();
                pairs.remove(pair, i);
            }
        }
        assert_eq!(pairs.value_count("pod"), 1);
        let numbers = pairs.compact().expect("most is dead");
        assert_eq!(pairs.value_count("pod"), 1);
        assert_eq!(numbers.iter().filter(|n| **n != u32::MAX).count(), 2);
        assert_eq!(
            pairs.lookup("__name__", "up").iter().collect::<Vec<_>>(),
            [199]
        );
        assert_eq!(pairs.filter("pod", &mut |_| true).len(), 1);
    }

    #[test]
    fn postings_hold_what_was_added_and_not_removed() {
        let mut posting = Posting::One(500);
        for id in (0..1000).rev().chain(0..1000) {
            posting.insert(id * 3);
        }
        posting.insert(500);
        (0..1000).step_by(2).for_each(|id| posting.remove(id * 3));
        let left: Vec<u32> = posting.set().iter().collect();
        let mut expected: Vec<u32> = (1..1000).step_by(2).map(|id| id * 3).collect();
        expected.push(500);
        expected.sort_unstable();
        assert_eq!(left, expected);
        expected.iter().for_each(|id| posting.remove(*id));
        assert_eq!(posting.len(), 0);
    }
}
