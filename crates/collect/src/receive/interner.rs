//! Label sets that come again and again: their bytes to a slot of a [`SeriesTable`], without
//! allocating.
//!
//! A sender repeats its series in nearly the same order, so the slot that followed the last one
//! is tried first: by the [fingerprint](super::print) of the bytes as sent where the protocol has
//! them in one piece, else by comparing canonical bytes while they are spelled. Only a miss is
//! hashed, and only a set never seen is checked (UTF-8, order, empty values) and allocated.
//!
//! The hash folds 128-bit products of the text with a secret (the construction of wyhash), seeded
//! per interner: senders choose the text, so a hash they could predict would let them make every
//! look-up collide. Equal hashes are never trusted; bytes are always compared.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

use model::{Labels, SeriesTable};

use super::{
    Fault, Limits,
    print::{Key, Print},
};

/// No slot.
const NONE: u32 = u32::MAX;

/// A label set being put together, in the layout of [`Labels::as_bytes`]. As long as it spells the
/// set that is expected, nothing is copied.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    expected: Option<Labels>,
    /// How many of the expected set's bytes have been spelled.
    matched: usize,
}

impl Scratch {
    /// Begins a set that is probably the expected one.
    #[inline]
    pub(super) fn begin(&mut self, expected: Option<Labels>) {
        self.bytes.clear();
        self.expected = expected;
        self.matched = 0;
    }

    /// Appends a pair; the order is checked when the set is new.
    #[inline]
    pub(super) fn push(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Fault> {
        if let Some(expected) = &self.expected {
            let bytes = expected.as_bytes();
            let rest = strip(&bytes[self.matched..], name).and_then(|rest| strip(rest, value));
            if let Some(rest) = rest {
                self.matched = bytes.len() - rest.len();
                return Ok(());
            }
            self.spell();
        }
        if name.len() > limits.name_bytes {
            return Err(Fault::NameTooLong);
        }
        if value.len() > limits.value_bytes {
            return Err(Fault::ValueTooLong);
        }
        put(&mut self.bytes, name)?;
        put(&mut self.bytes, value)
    }

    /// Whether exactly the expected set was spelled. If not, all of it is in `bytes` now.
    #[inline]
    fn is_expected(&mut self) -> bool {
        let whole = |expected: &Labels| expected.as_bytes().len() == self.matched;
        let is = self.expected.as_ref().is_some_and(whole);
        if !is {
            self.spell();
        }
        is
    }

    /// Gives up the expectation: what matched so far is copied.
    fn spell(&mut self) {
        if let Some(expected) = self.expected.take() {
            let matched = &expected.as_bytes()[..self.matched];
            self.bytes.extend_from_slice(matched);
        }
    }
}

/// What follows a text in canonical bytes, if they begin with it.
#[inline]
fn strip<'b>(bytes: &'b [u8], text: &[u8]) -> Option<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let same = usize::from(u16::from_le_bytes(*length)) == text.len();
    if same { rest.strip_prefix(text) } else { None }
}

fn put(bytes: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    let length = u16::try_from(text.len()).map_err(|_longer| Fault::ValueTooLong)?;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text);
    Ok(())
}

/// What is known of a slot's neighbourhood.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The slot asked for after it last time.
    next: u32,
    /// Of the bytes its set was last sent as.
    print: Print,
}

/// The sets seen, and in which order.
#[derive(Debug)]
pub(super) struct Interner {
    table: SeriesTable,
    links: Vec<Link>,
    by_hash: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    last: u32,
    seed: [u64; 2],
    key: Key,
    capacity: usize,
}

impl Interner {
    pub(super) fn new(capacity: usize) -> Self {
        let random = RandomState::new();
        Self {
            table: SeriesTable::default(),
            links: Vec::new(),
            by_hash: HashMap::default(),
            last: NONE,
            seed: [random.hash_one(0_u8) | 1, random.hash_one(1_u8) | 1],
            key: Key::random(),
            capacity: capacity.clamp(1, NONE as usize / 2),
        }
    }

    /// The sets by slot; a slot means its set until the next [`Interner::make_room`].
    pub(super) fn table(&self) -> &SeriesTable {
        &self.table
    }

    /// The sets by slot, for a sink to number.
    pub(super) fn table_mut(&mut self) -> &mut SeriesTable {
        &mut self.table
    }

    /// To be called before a request: forgets everything if more is remembered than should be.
    /// What one request brings is bounded by its body.
    pub(super) fn make_room(&mut self) {
        if self.links.len() >= self.capacity {
            self.table.clear();
            self.links.clear();
            self.by_hash.clear();
            self.last = NONE;
        }
    }

    /// The set that followed the last one asked for when it was asked for before.
    #[inline]
    pub(super) fn expected(&self) -> Option<Labels> {
        let next = self.links.get(self.last as usize)?.next;
        self.table.labels(next).cloned()
    }

    /// The slot expected next, if `message` begins with the bytes its set was sent as, and what
    /// follows them. [`Interner::arrive`] has to be called if it is taken.
    #[inline]
    pub(super) fn foresee<'m>(&self, message: &'m [u8]) -> Option<(u32, &'m [u8])> {
        let next = self.links.get(self.last as usize)?.next;
        let print = self.links.get(next as usize)?.print;
        let (sent, rest) = message.split_at_checked(print.length()?)?;
        (self.key.print(sent) == print).then_some((next, rest))
    }

    /// The series at hand is that of a slot.
    #[inline]
    pub(super) fn arrive(&mut self, slot: u32) {
        self.last = slot;
    }

    /// Notes the bytes a slot's set was sent as.
    pub(super) fn sent_as(&mut self, slot: u32, sent: &[u8]) {
        self.links[slot as usize].print = self.key.print(sent);
    }

    /// The slot of the set a scratch spells, which began with [`Interner::expected`]; checked by
    /// `limits` and `order` when it is new.
    #[inline]
    pub(super) fn get(
        &mut self,
        scratch: &mut Scratch,
        limits: &Limits,
        order: Order,
    ) -> Result<u32, Fault> {
        let found = if scratch.is_expected() {
            self.links[self.last as usize].next
        } else {
            let found = self.look_up(scratch, limits, order)?;
            if let Some(link) = self.links.get_mut(self.last as usize) {
                link.next = found;
            }
            found
        };
        self.last = found;
        Ok(found)
    }

    fn look_up(&mut self, scratch: &Scratch, limits: &Limits, order: Order) -> Result<u32, Fault> {
        let bytes = scratch.bytes.as_slice();
        if let Some(known) = self.known(bytes) {
            return Ok(known);
        }
        let labels = checked(scratch, limits, order)?;
        if labels.as_bytes() != bytes
            && let Some(known) = self.known(labels.as_bytes())
        {
            return Ok(known); // Not canonical as sent: sorted anew each time.
        }
        Ok(self.add(labels))
    }

    fn known(&self, bytes: &[u8]) -> Option<u32> {
        let slot = *self.by_hash.get(&fold(bytes, self.seed))?;
        let labels = self.table.labels(slot)?;
        (labels.as_bytes() == bytes).then_some(slot)
    }

    fn add(&mut self, labels: Labels) -> u32 {
        let hash = fold(labels.as_bytes(), self.seed);
        let slot = self.table.add(labels);
        self.links.push(Link {
            next: NONE,
            print: Print::default(),
        });
        self.by_hash.insert(hash, slot);
        slot
    }
}

/// What order of names a protocol asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Rising, no value empty: anything else is a fault.
    Strict,
    /// Any; empty values mean "no such label".
    Free,
}

/// A set never seen: everything the protocol demands of it.
fn checked(scratch: &Scratch, limits: &Limits, order: Order) -> Result<Labels, Fault> {
    let mut pairs = pairs(&scratch.bytes)?;
    let rising = pairs.is_sorted_by(|a, b| a.0 < b.0);
    if !rising {
        let unsorted = !pairs.is_sorted_by(|a, b| a.0 <= b.0);
        if order == Order::Strict && unsorted {
            return Err(Fault::UnsortedLabels);
        }
        pairs.sort_unstable();
        if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(Fault::DuplicateLabel);
        }
    }
    let empty_value = |pair: &(&str, &str)| order == Order::Strict && pair.1.is_empty();
    if pairs
        .iter()
        .any(|pair| pair.0.is_empty() || empty_value(pair))
    {
        return Err(Fault::EmptyLabel);
    }
    pairs.retain(|pair| !pair.1.is_empty());
    let named = pairs.iter().any(|pair| pair.0 == model::METRIC_NAME);
    if !named {
        return Err(Fault::NoName);
    }
    if pairs.len() > limits.labels + 1 {
        return Err(Fault::TooManyLabels);
    }
    Ok(canonical(&pairs))
}

fn canonical(pairs: &[(&str, &str)]) -> Labels {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        for text in [name, value] {
            put(&mut bytes, text.as_bytes()).expect("lengths were checked when they were pushed");
        }
    }
    Labels::from_bytes(&bytes).expect("sorted, unique, not empty")
}

fn pairs(mut bytes: &[u8]) -> Result<Vec<(&str, &str)>, Fault> {
    let mut pairs = Vec::new();
    while !bytes.is_empty() {
        pairs.push((take(&mut bytes)?, take(&mut bytes)?));
    }
    Ok(pairs)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, Fault> {
    let (length, rest) = bytes.split_first_chunk().expect("the scratch is whole");
    let (text, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
    *bytes = rest;
    std::str::from_utf8(text).map_err(|_invalid| Fault::NotUtf8)
}

/// Hash of bytes: 16 at a time, each pair of words multiplied into 128 bits and folded.
fn fold(bytes: &[u8], seed: [u64; 2]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let mut hash = seed[0] ^ bytes.len() as u64;
    for chunk in chunks.iter().chain([&last]) {
        let wide = u128::from_le_bytes(*chunk);
        let (low, high) = (wide as u64, (wide >> 64) as u64);
        let product = u128::from(low ^ hash) * u128::from(high ^ seed[1]);
        hash = (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23);
    }
    hash
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(interner: &mut Interner, pairs: &[(&str, &str)], order: Order) -> Result<Labels, Fault> {
        let limits = Limits {
            labels: 3,
            ..Limits::default()
        };
        let mut scratch = Scratch::default();
        scratch.begin(interner.expected());
        for (name, value) in pairs {
            scratch.push(name.as_bytes(), value.as_bytes(), &limits)?;
        }
        let slot = interner.get(&mut scratch, &limits, order)?;
        Ok(interner.table.labels(slot).unwrap().clone())
    }

    #[test]
    fn a_set_seen_again_is_the_same_allocation_in_any_order_of_series() {
        let mut interner = Interner::new(10);
        let set = |i: usize| [("__name__", "up"), ("i", ["a", "b", "c"][i])];
        let first: Vec<_> = (0..3)
            .map(|i| ask(&mut interner, &set(i), Order::Strict).unwrap())
            .collect();
        for i in [0, 1, 2, 2, 0, 1, 1] {
            let again = ask(&mut interner, &set(i), Order::Strict).unwrap();
            assert_eq!(again, first[i]);
            assert!(std::ptr::eq(again.as_bytes(), first[i].as_bytes()));
        }
        assert_eq!(interner.table.len(), 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut interner = Interner::new(4);
        for i in 0..100 {
            interner.make_room();
            let value = i.to_string();
            let labels = ask(
                &mut interner,
                &[("__name__", "x"), ("i", &value)],
                Order::Strict,
            );
            assert_eq!(labels.unwrap().get("i"), Some(value.as_str()));
            assert!(interner.links.len() <= 4 && interner.by_hash.len() <= 4);
            assert_eq!(interner.table.len(), interner.links.len());
        }
    }

    #[test]
    fn bytes_sent_before_are_foreseen_in_their_order_and_no_others() {
        let mut interner = Interner::new(10);
        let sent = [&b"first series"[..], b"second series", b"third"];
        for (i, bytes) in sent.iter().enumerate() {
            let value = i.to_string();
            ask(
                &mut interner,
                &[("__name__", "x"), ("i", &value)],
                Order::Free,
            )
            .unwrap();
            interner.sent_as(interner.last, bytes);
        }
        assert_eq!(
            interner.foresee(b"first series"),
            None,
            "nothing came after"
        );
        // The second round begins: the first is looked up, the others are foreseen.
        ask(&mut interner, &[("__name__", "x"), ("i", "0")], Order::Free).unwrap();
        assert_eq!(interner.foresee(b"third and more"), None);
        assert_eq!(interner.foresee(b"second serieS"), None);
        assert_eq!(interner.foresee(b"second"), None);
        let (slot, rest) = interner.foresee(b"second series and more").unwrap();
        assert_eq!((slot, rest), (1, &b" and more"[..]));
        interner.arrive(slot);
        assert_eq!(interner.foresee(b"third"), Some((2, &b""[..])));
    }

    #[test]
    fn a_set_sent_unsorted_has_the_slot_of_its_sorted_form() {
        let mut interner = Interner::new(10);
        for pairs in [
            [("b", "1"), ("__name__", "x")],
            [("__name__", "x"), ("b", "1")],
        ] {
            ask(&mut interner, &pairs, Order::Free).unwrap();
            assert_eq!(interner.last, 0);
        }
        assert_eq!(interner.table.len(), 1);
    }

    #[test]
    fn faults_are_named() {
        let mut interner = Interner::new(10);
        let name = ("__name__", "x");
        let long = "n".repeat(257);
        for (pairs, strict, free) in [
            (&[name, ("a", "1")][..], None, None),
            (&[("a", "1"), name], Some(Fault::UnsortedLabels), None),
            (
                &[name, name],
                Some(Fault::DuplicateLabel),
                Some(Fault::DuplicateLabel),
            ),
            (&[name, ("a", "")], Some(Fault::EmptyLabel), None),
            (
                &[("", "a"), name],
                Some(Fault::EmptyLabel),
                Some(Fault::EmptyLabel),
            ),
            (&[("a", "1")], Some(Fault::NoName), Some(Fault::NoName)),
            (&[], Some(Fault::NoName), Some(Fault::NoName)),
            (&[name, ("a", "1"), ("b", "1"), ("c", "1")], None, None),
            (
                &[name, ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")],
                Some(Fault::TooManyLabels),
                Some(Fault::TooManyLabels),
            ),
            (
                &[name, (&long, "1")],
                Some(Fault::NameTooLong),
                Some(Fault::NameTooLong),
            ),
        ] {
            for (order, want) in [(Order::Strict, strict), (Order::Free, free)] {
                let got = ask(&mut interner, pairs, order);
                assert_eq!(got.err(), want, "{pairs:?} {order:?}");
            }
        }
    }

    #[test]
    fn the_hash_depends_on_every_byte_and_on_the_seed() {
        let base = [7_u8; 40];
        let hash = fold(&base, [3, 5]);
        assert_ne!(hash, fold(&base, [4, 5]));
        assert_ne!(hash, fold(&base[..39], [3, 5]));
        for i in 0..40 {
            let mut other = base;
            other[i] ^= 1;
            assert_ne!(hash, fold(&other, [3, 5]), "byte {i}");
        }
    }
}
