//! Exemplars: the newest of all series in one bounded ring, and their record in the log.
//!
//! As in Prometheus's exemplar storage: of each series in order of time, one older than a series'
//! newest is refused, and when the ring is full the one that came first goes. A repeat of any that
//! is there counts as kept and is kept once, so that a request sent again is answered as before. The ring is in memory; its records are in the log, and each new log
//! segment begins with all that the ring holds, so that it outlives the segments that are dropped.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::PoisonError,
};

use model::{AppendError, Batch, Exemplar, Labels, Matcher};

use crate::{
    registry::NONE,
    stats::count,
    store::{Core, Writer, lock},
    varint::{Reader, put_bytes, put_f64, put_i64, put_u64},
};

/// Bounds of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExemplarLimits {
    /// Exemplars kept. 20,000: some 4 MB; each new log segment carries them all.
    pub count: usize,
    /// Bytes of their labels. 8 MiB.
    pub bytes: usize,
    /// Characters of one exemplar's labels, names and values together: OpenMetrics's 128.
    pub chars: usize,
}

impl Default for ExemplarLimits {
    fn default() -> Self {
        Self {
            count: 20_000,
            bytes: 8 << 20,
            chars: 128,
        }
    }
}

/// First byte of a payload of the log: exemplars.
pub(crate) const EXEMPLARS: u8 = 2;

/// Exemplars of one record when a new segment is given them all.
const RECORD_MAX: usize = 1_000;

/// What became of an exemplar offered to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    New,
    /// The same is there.
    Repeat,
    /// Older than its series' newest, or too long.
    Refused,
}

/// The ring: per series in order of time; across series in order of coming.
#[derive(Debug)]
pub(crate) struct Exemplars {
    limits: ExemplarLimits,
    by_series: BTreeMap<Labels, VecDeque<Exemplar>>,
    order: VecDeque<Labels>,
    bytes: usize,
}

fn bytes_of(exemplar: &Exemplar) -> usize {
    exemplar.series.as_bytes().len() + exemplar.labels.as_bytes().len()
}

impl Exemplars {
    pub(crate) fn new(limits: ExemplarLimits) -> Self {
        Self {
            limits,
            by_series: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    fn offer(&self, offered: &Exemplar) -> Offer {
        let chars = |text: &str| text.chars().count();
        let length: usize = offered
            .labels
            .iter()
            .map(|(n, v)| chars(n) + chars(v))
            .sum();
        if length > self.limits.chars || bytes_of(offered) > self.limits.bytes {
            return Offer::Refused;
        }
        let Some(series) = self.by_series.get(&offered.series) else {
            return Offer::New;
        };
        let from = series.partition_point(|e| e.time_ms < offered.time_ms);
        let mut since = series.range(from..);
        let mut at_its_time = since.clone().take_while(|e| e.time_ms == offered.time_ms);
        if at_its_time.any(|e| is_same(e, offered)) {
            Offer::Repeat
        } else if since.any(|e| e.time_ms > offered.time_ms) {
            Offer::Refused
        } else {
            Offer::New
        }
    }

    /// Takes a new one; the oldest go until all fit.
    fn insert(&mut self, exemplar: Exemplar) {
        self.bytes += bytes_of(&exemplar);
        let series = exemplar.series.clone();
        self.order.push_back(series.clone());
        self.by_series
            .entry(series)
            .or_default()
            .push_back(exemplar);
        while self.order.len() > self.limits.count || self.bytes > self.limits.bytes {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front().expect("the ring is over its bounds");
        let Entry::Occupied(mut series) = self.by_series.entry(oldest) else {
            unreachable!("each in order is there by series");
        };
        let gone = series.get_mut().pop_front();
        self.bytes -= bytes_of(&gone.expect("a series in the ring has exemplars"));
        if series.get().is_empty() {
            series.remove();
        }
    }

    /// Takes what the log has: repeats of what is there already fall out.
    pub(crate) fn replay(&mut self, exemplars: Vec<Exemplar>) {
        for exemplar in exemplars {
            if self.offer(&exemplar) == Offer::New {
                self.insert(exemplar);
            }
        }
    }

    /// Forgets those of matching series in the range; how many there were.
    pub(crate) fn remove(&mut self, any_of: &[Vec<Matcher>], from_ms: i64, to_ms: i64) -> usize {
        let before = self.len();
        let mut left = Self::new(self.limits);
        while let Some(series) = self.order.front().cloned() {
            let oldest = self.by_series.get(&series).and_then(VecDeque::front);
            let oldest = oldest.expect("each in order is there by series").clone();
            self.forget_oldest();
            if !is_any(any_of, &series) || !(from_ms..=to_ms).contains(&oldest.time_ms) {
                left.insert(oldest);
            }
        }
        *self = left;
        before - self.len()
    }

    /// Those of matching series in the range, by series, then time.
    pub(crate) fn select(
        &self,
        any_of: &[Vec<Matcher>],
        from_ms: i64,
        to_ms: i64,
    ) -> Vec<Exemplar> {
        let series = self.by_series.iter();
        let series = series.filter(|(labels, _)| is_any(any_of, labels));
        let all = series.flat_map(|(_, exemplars)| exemplars);
        all.filter(|e| (from_ms..=to_ms).contains(&e.time_ms))
            .cloned()
            .collect()
    }
}

/// Whether one of the alternatives holds whole.
fn is_any(any_of: &[Vec<Matcher>], labels: &Labels) -> bool {
    let holds = |m: &Matcher| m.matches(labels.get(&m.name).unwrap_or_default());
    any_of.iter().any(|all| all.iter().all(holds))
}

fn is_same(a: &Exemplar, b: &Exemplar) -> bool {
    a.time_ms == b.time_ms && a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
}

/// Appends a record's payload.
fn encode<'a>(out: &mut Vec<u8>, exemplars: impl ExactSizeIterator<Item = &'a Exemplar>) {
    out.push(EXEMPLARS);
    put_u64(out, exemplars.len() as u64);
    let mut last_ms = 0_i64;
    for exemplar in exemplars {
        put_bytes(out, exemplar.series.as_bytes());
        put_bytes(out, exemplar.labels.as_bytes());
        put_i64(out, exemplar.time_ms.wrapping_sub(last_ms));
        put_f64(out, exemplar.value);
        last_ms = exemplar.time_ms;
    }
}

/// Reads a record's payload behind its first byte; `None` if it is not one.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Vec<Exemplar>> {
    let mut exemplars = Vec::new();
    let mut last_ms = 0_i64;
    for _ in 0..reader.count()? {
        let series = Labels::from_bytes(reader.bytes()?)?;
        let labels = Labels::from_bytes(reader.bytes()?)?;
        last_ms = last_ms.wrapping_add(reader.i64()?);
        exemplars.push(Exemplar {
            series,
            labels,
            value: reader.f64()?,
            time_ms: last_ms,
        });
    }
    reader.is_empty().then_some(exemplars)
}

impl Core {
    /// Keeps a batch's exemplars: how many, and the ticket of the record they are in. Those of
    /// series that are not there (refused, perhaps) are left out.
    pub(crate) fn append_exemplars(&self, batch: &Batch) -> Result<(u64, u64), AppendError> {
        let mut writer = lock(&self.writer);
        if batch.exemplars.is_empty() {
            return Ok((0, writer.written));
        }
        self.check_writable()?;
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let mut ring = lock(&self.exemplars);
        let (mut fresh, mut repeats) = (Vec::new(), 0);
        for exemplar in &batch.exemplars {
            match ring.offer(exemplar) {
                _ if registry.find(&exemplar.series, NONE) == NONE => {}
                Offer::New => fresh.push(exemplar),
                Offer::Repeat => repeats += 1,
                Offer::Refused => {}
            }
        }
        if !fresh.is_empty() {
            let kept = fresh.iter().copied();
            self.log_payload(&mut writer, |out| encode(out, kept))?;
        }
        // Those of one series in one batch are judged again, against each other.
        let mut kept = repeats;
        for exemplar in fresh {
            match ring.offer(exemplar) {
                Offer::New => ring.insert(exemplar.clone()),
                Offer::Repeat => {}
                Offer::Refused => continue,
            }
            kept += 1;
        }
        count(&self.counters.exemplars, kept);
        Ok((kept, writer.written))
    }

    /// Writes all that the ring holds to a new segment.
    pub(crate) fn carry_exemplars(&self, writer: &mut Writer) {
        let ring = lock(&self.exemplars);
        let all: Vec<&Exemplar> = ring.by_series.values().flatten().collect();
        for some in all.chunks(RECORD_MAX) {
            if let Err(error) = self.log_payload(writer, |out| encode(out, some.iter().copied())) {
                tracing::warn!(%error, "exemplars could not be carried into the new log segment");
                return;
            }
        }
    }

    /// See [`model::SeriesReader::exemplars`].
    pub(crate) fn select_exemplars(
        &self,
        any_of: &[Vec<Matcher>],
        from_ms: i64,
        to_ms: i64,
    ) -> Vec<Exemplar> {
        lock(&self.exemplars).select(any_of, from_ms, to_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemplar(series: &str, trace: &str, time_ms: i64) -> Exemplar {
        Exemplar {
            series: Labels::from_pairs([("__name__", series)]),
            labels: Labels::from_pairs([("trace_id", trace)]),
            value: 0.5,
            time_ms,
        }
    }

    fn ring(count: usize) -> Exemplars {
        Exemplars::new(ExemplarLimits {
            count,
            ..ExemplarLimits::default()
        })
    }

    #[test]
    fn a_repeat_is_kept_once_and_an_older_or_longer_one_refused() {
        let mut ring = ring(10);
        let first = exemplar("up", "a", 10);
        assert_eq!(ring.offer(&first), Offer::New);
        ring.insert(first.clone());
        assert_eq!(ring.offer(&first), Offer::Repeat);
        assert_eq!(ring.offer(&exemplar("up", "b", 10)), Offer::New);
        assert_eq!(ring.offer(&exemplar("up", "b", 9)), Offer::Refused);
        ring.insert(exemplar("up", "b", 10));
        ring.insert(exemplar("up", "c", 11));
        for (trace, time_ms, offer) in [
            ("a", 10, Offer::Repeat),
            ("b", 10, Offer::Repeat),
            ("c", 10, Offer::Refused),
            ("c", 11, Offer::Repeat),
            ("a", 11, Offer::New),
        ] {
            assert_eq!(
                ring.offer(&exemplar("up", trace, time_ms)),
                offer,
                "{trace} {time_ms}"
            );
        }
        assert_eq!(ring.offer(&exemplar("down", "b", 9)), Offer::New);
        let long = exemplar("down", &"é".repeat(121), 10);
        assert_eq!(ring.offer(&long), Offer::Refused, "129 characters");
        let fits = exemplar("down", &"é".repeat(120), 10);
        assert_eq!(ring.offer(&fits), Offer::New);
    }

    #[test]
    fn the_oldest_of_all_series_go_first() {
        let mut ring = ring(3);
        for (i, series) in ["a", "b", "a", "a"].into_iter().enumerate() {
            ring.insert(exemplar(series, "t", i as i64));
        }
        let any = vec![vec![]];
        let times = |ring: &Exemplars| {
            let all = ring.select(&any, i64::MIN, i64::MAX);
            all.iter().map(|e| e.time_ms).collect::<Vec<_>>()
        };
        assert_eq!(times(&ring), [2, 3, 1], "by series, then time");
        ring.insert(exemplar("c", "t", 9));
        assert_eq!(times(&ring), [2, 3, 9], "b is gone with its last");
        assert_eq!((ring.len(), ring.by_series.len()), (3, 2));
        let bytes: usize = ring.by_series.values().flatten().map(bytes_of).sum();
        assert_eq!(ring.bytes, bytes);
        let b = vec![vec![Matcher::equal("__name__", "c")]];
        assert_eq!(ring.select(&b, 0, 9).len(), 1);
        assert_eq!(ring.select(&b, 0, 8).len(), 0);
        assert_eq!(ring.select(&[], 0, 9).len(), 0, "no alternative, nothing");
    }

    #[test]
    fn a_record_reads_back_and_every_cut_of_it_is_refused() {
        let some = [exemplar("up", "a", 5), exemplar("down", "b", i64::MIN)];
        let mut bytes = Vec::new();
        encode(&mut bytes, some.iter());
        assert_eq!(bytes[0], EXEMPLARS);
        assert_eq!(decode(&mut Reader::new(&bytes[1..])).unwrap(), some);
        for cut in 1..bytes.len() {
            assert_eq!(decode(&mut Reader::new(&bytes[1..cut])), None);
        }
    }
}
