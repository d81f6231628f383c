//! The change feed: points just written, shown to whoever subscribes.
//!
//! One ring of batches, shared by all subscribers and bounded in batches and bytes; each
//! subscriber has a position in it, counted in points since the store was opened. Publishing never
//! waits: when the ring is full the oldest batch goes, and a subscriber whose position fell out of
//! the ring is told how many points it missed before it is shown the next. Subscribers filter for
//! themselves, outside the lock. While nobody listens, only the count of points moves on.

mod shown;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use model::{Labels, Matcher};

pub use shown::{Points, Shown};

/// Bounds of the ring: what the slowest subscriber may lag behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimits {
    /// Batches. 4,096: seconds of scrapes of a thousand targets.
    pub batches: usize,
    /// Bytes of their samples, and of labels that are not shared. 8 MiB: a quarter of a million
    /// points.
    pub bytes: usize,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            batches: 4_096,
            bytes: 8 << 20,
        }
    }
}

/// A place between two points of one feed. As text `EPOCH-POINT`, for whoever wants to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which life of the feed: positions of another life mean nothing here.
    pub epoch: i64,
    /// Points published before this place.
    pub point: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.point)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a position of a feed, such as 1700000000000-42")]
pub struct NotAPosition(String);

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let wrong = || NotAPosition(text.to_owned());
        let (epoch, point) = text.rsplit_once('-').ok_or_else(wrong)?;
        Ok(Self {
            epoch: epoch.parse().map_err(|_number| wrong())?,
            point: point.parse().map_err(|_number| wrong())?,
        })
    }
}

/// What a subscriber is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Points, in the order they were stored.
    Points {
        /// What was stored together, and passed the filter.
        shown: Shown,
        /// When it was published, wall clock, ms.
        at_ms: i64,
        /// The place after it: where to resume.
        next: Position,
    },
    /// So many points were published that this subscriber will never see: it was too slow, or
    /// away too long. Counted before the filter.
    Missed(u64),
}

/// What a feed says of itself. Counters never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedStats {
    /// Points published, heard or not.
    pub published: u64,
    /// Points missed, summed over all subscribers.
    pub missed: u64,
    /// Subscribers now.
    pub subscribers: usize,
    /// Batches in the ring.
    pub batches: usize,
    /// Their bytes, as [`FeedLimits::bytes`] counts them.
    pub bytes: usize,
}

/// A batch in the ring.
#[derive(Debug)]
struct Published {
    /// Points before it.
    first: u64,
    at_ms: i64,
    bytes: usize,
    shown: Shown,
}

impl Published {
    fn end(&self) -> u64 {
        self.first + self.shown.len() as u64
    }
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Published>,
    /// Batches published before the first entry.
    begin: u64,
    bytes: usize,
    /// Points published.
    end: u64,
    missed: u64,
    closed: bool,
    next_subscriber: u64,
    /// Who waits for the next batch.
    wakers: BTreeMap<u64, Waker>,
}

#[derive(Debug)]
struct Shared {
    limits: FeedLimits,
    epoch: i64,
    ring: Mutex<Ring>,
    subscribers: AtomicUsize,
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The publishing end. Clones publish into the same feed.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

impl Feed {
    /// An empty feed. `epoch` tells its life from others: the time it begins, ms.
    #[must_use]
    pub fn new(limits: FeedLimits, epoch: i64) -> Self {
        Self(Arc::new(Shared {
            limits,
            epoch,
            ring: Mutex::default(),
            subscribers: AtomicUsize::new(0),
        }))
    }

    /// Shows `points` points to whoever listens; `make` is only asked for them if somebody does.
    /// Never waits for a subscriber.
    pub fn publish(&self, points: usize, at_ms: i64, make: impl FnOnce() -> Shown) {
        if self.pass_by(points) {
            return;
        }
        let shown = make();
        debug_assert_eq!(shown.len(), points, "as many as announced");
        let bytes = size_of::<Published>() + shown.bytes();
        let mut ring = self.0.ring();
        let published = Published {
            first: ring.end,
            at_ms,
            bytes,
            shown,
        };
        ring.end = published.end();
        ring.bytes += bytes;
        ring.entries.push_back(published);
        ring.trim(&self.0.limits);
        let waiting = std::mem::take(&mut ring.wakers);
        drop(ring);
        for waker in waiting.into_values() {
            waker.wake();
        }
    }

    /// Counts points that nobody listens to; `false` if somebody does.
    fn pass_by(&self, points: usize) -> bool {
        if self.0.subscribers.load(Relaxed) > 0 {
            return false;
        }
        let mut ring = self.0.ring();
        // Who subscribes says so before it takes the lock: look again.
        if self.0.subscribers.load(Relaxed) > 0 {
            return false;
        }
        ring.end += points as u64;
        ring.begin += ring.entries.len() as u64 + 1;
        ring.entries.clear();
        ring.bytes = 0;
        true
    }

    /// Subscribes to what is published from now on. `any_of`: alternatives, of which one has to
    /// hold whole; empty for everything.
    #[must_use]
    pub fn subscribe(&self, any_of: Vec<Vec<Matcher>>) -> Subscription {
        self.subscription(any_of, None)
    }

    /// Subscribes from a place on; what has left the ring since is told as missed. `None` when
    /// the place belongs to another life of the feed, or to its future.
    #[must_use]
    pub fn resume(&self, any_of: Vec<Vec<Matcher>>, from: Position) -> Option<Subscription> {
        let known = from.epoch == self.0.epoch && from.point <= self.0.ring().end;
        known.then(|| self.subscription(any_of, Some(from.point)))
    }

    fn subscription(&self, any_of: Vec<Vec<Matcher>>, from: Option<u64>) -> Subscription {
        self.0.subscribers.fetch_add(1, Relaxed);
        let mut ring = self.0.ring();
        let next = from.unwrap_or(ring.end);
        ring.next_subscriber += 1;
        Subscription {
            id: ring.next_subscriber,
            shared: Arc::clone(&self.0),
            any_of,
            next,
            batch: ring.batch_after(next),
        }
    }

    /// No more will be published: subscribers see what is there, then the end.
    pub fn close(&self) {
        let mut ring = self.0.ring();
        ring.closed = true;
        let waiting = std::mem::take(&mut ring.wakers);
        drop(ring);
        for waker in waiting.into_values() {
            waker.wake();
        }
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        let ring = self.0.ring();
        FeedStats {
            published: ring.end,
            missed: ring.missed,
            subscribers: self.0.subscribers.load(Relaxed),
            batches: ring.entries.len(),
            bytes: ring.bytes,
        }
    }
}

impl Ring {
    fn trim(&mut self, limits: &FeedLimits) {
        while self.entries.len() > limits.batches || self.bytes > limits.bytes {
            let Some(gone) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= gone.bytes;
            self.begin += 1;
        }
    }

    /// Number of the first batch that ends after `point`.
    fn batch_after(&self, point: u64) -> u64 {
        self.begin + self.entries.partition_point(|entry| entry.end() <= point) as u64
    }

    /// The oldest batch that a subscriber at batch number `batch` has not taken.
    fn oldest_from(&self, batch: u64) -> Option<&Published> {
        self.entries.get(batch.saturating_sub(self.begin) as usize)
    }
}

/// One subscriber's place in a feed.
#[derive(Debug)]
pub struct Subscription {
    id: u64,
    shared: Arc<Shared>,
    any_of: Vec<Vec<Matcher>>,
    /// Points before its place.
    next: u64,
    /// Batches before its place: a batch may bring metadata and no points.
    batch: u64,
}

impl Subscription {
    /// What is next, if anything is; never waits.
    pub fn take(&mut self) -> Option<Delivery> {
        loop {
            let (shown, at_ms) = match self.step()? {
                Ok(found) => found,
                Err(missed) => return Some(Delivery::Missed(missed)),
            };
            if let Some(shown) = self.passed(shown) {
                let next = self.position();
                return Some(Delivery::Points { shown, at_ms, next });
            }
        }
    }

    /// The next batch, or how many points lie between our place and the oldest one kept.
    fn step(&mut self) -> Option<Result<(Shown, i64), u64>> {
        let shared = Arc::clone(&self.shared);
        let mut ring = shared.ring();
        self.batch = self.batch.max(ring.begin);
        let resume = ring.oldest_from(self.batch).map_or(ring.end, |e| e.first);
        if resume > self.next {
            let missed = resume - self.next;
            ring.missed += missed;
            self.next = resume;
            return Some(Err(missed));
        }
        let entry = ring.oldest_from(self.batch)?;
        let seen = (self.next - entry.first) as usize;
        let (shown, at_ms) = (entry.shown.clone(), entry.at_ms);
        self.next = entry.end();
        self.batch += 1;
        drop(ring);
        Some(Ok((shown.behind(seen), at_ms)))
    }

    /// What of it passes the filter; `None` if nothing does.
    fn passed(&self, shown: Shown) -> Option<Shown> {
        if self.any_of.is_empty() {
            return Some(shown);
        }
        shown.of(|labels| self.wants(labels))
    }

    fn wants(&self, labels: &Labels) -> bool {
        self.any_of.iter().any(|all| {
            all.iter()
                .all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
        })
    }

    /// Waits until [`Subscription::take`] has something to give; `false` when the feed is closed
    /// and everything was taken.
    pub async fn ready(&mut self) -> bool {
        std::future::poll_fn(|context| self.poll_ready(context)).await
    }

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut ring = self.shared.ring();
        if ring.end > self.next || ring.oldest_from(self.batch).is_some() {
            return Poll::Ready(true);
        }
        if ring.closed {
            return Poll::Ready(false);
        }
        ring.wakers.insert(self.id, context.waker().clone());
        Poll::Pending
    }

    /// Waits for what is next; `None` when the feed is closed and everything was taken.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            if !self.ready().await {
                return None;
            }
            if let Some(delivery) = self.take() {
                return Some(delivery);
            }
        }
    }

    /// The place after what was taken last.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            epoch: self.shared.epoch,
            point: self.next,
        }
    }

    /// Points published and not yet taken, and when the oldest of them that is still there was
    /// published.
    #[must_use]
    pub fn behind(&self) -> (u64, Option<i64>) {
        let ring = self.shared.ring();
        let oldest = ring.oldest_from(self.batch);
        (ring.end - self.next, oldest.map(|entry| entry.at_ms))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.subscribers.fetch_sub(1, Relaxed);
        self.shared.ring().wakers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use model::{Batch, Sample, SeriesTable};
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "up".to_owned()), ("i", i.to_string())])
    }

    fn batch(points: std::ops::Range<usize>) -> Batch {
        Batch {
            samples: points
                .map(|i| Sample::float(labels(i), i as i64, 0.0))
                .collect(),
            ..Batch::default()
        }
    }

    fn feed(batches: usize) -> Feed {
        let limits = FeedLimits {
            batches,
            ..FeedLimits::default()
        };
        Feed::new(limits, 7)
    }

    fn publish(feed: &Feed, points: std::ops::Range<usize>) {
        feed.publish(points.len(), 0, || batch(points).into());
    }

    /// Times of the points taken, and the points missed before each take.
    fn drain(subscription: &mut Subscription) -> (Vec<i64>, u64) {
        let (mut seen, mut missed) = (Vec::new(), 0);
        while let Some(delivery) = subscription.take() {
            match delivery {
                Delivery::Points { shown, .. } => {
                    seen.extend(shown.batch().samples.iter().map(|s| s.time_ms));
                }
                Delivery::Missed(points) => missed += points,
            }
        }
        (seen, missed)
    }

    #[test]
    fn a_slow_subscriber_is_told_exactly_what_it_missed_and_a_fast_one_misses_nothing() {
        let feed = feed(2);
        let (mut slow, mut fast) = (feed.subscribe(Vec::new()), feed.subscribe(Vec::new()));
        let mut seen = Vec::new();
        for i in 0..5 {
            publish(&feed, 10 * i..10 * i + 10);
            seen.extend(drain(&mut fast).0);
        }
        assert_eq!(seen, (0..50).collect::<Vec<i64>>());
        assert_eq!(slow.take(), Some(Delivery::Missed(30)));
        assert_eq!(drain(&mut slow), ((30..50).collect(), 0));
        assert_eq!((feed.stats().missed, feed.stats().published), (30, 50));
    }

    #[test]
    fn a_filter_shows_only_what_matches() {
        let feed = feed(9);
        let one = vec![
            vec![Matcher::equal("i", "3")],
            vec![Matcher::equal("i", "5")],
        ];
        let mut subscription = feed.subscribe(one);
        publish(&feed, 0..5);
        publish(&feed, 6..9);
        publish(&feed, 5..6);
        assert_eq!(drain(&mut subscription), (vec![3, 5], 0));
    }

    #[test]
    fn points_of_a_table_are_shown_as_the_batch_they_stand_for() {
        let mut table = SeriesTable::default();
        let points = (0..5).map(|i| model::Point {
            series: table.add(labels(i)),
            time_ms: i as i64,
            value: 0.0,
        });
        let shown = Points {
            points: points.collect(),
            labels: table.shared().clone(),
            door: "a",
        };
        let feed = feed(9);
        let filter = vec![vec![Matcher::equal("i", "3")]];
        let (mut all, mut one) = (feed.subscribe(Vec::new()), feed.subscribe(filter));
        feed.publish(5, 0, || shown.into());
        // What the table becomes later is not seen.
        table.clear();
        table.add(labels(7));
        let samples = |delivery: Option<Delivery>| match delivery {
            Some(Delivery::Points { shown, .. }) => {
                assert_eq!(shown.door(), "a");
                shown.batch().samples.clone()
            }
            other => panic!("{other:?}"),
        };
        let position = all.position();
        assert_eq!(samples(all.take()), batch(0..5).samples);
        assert_eq!(samples(one.take()), batch(3..4).samples);
        let inside = Position {
            point: 2,
            ..position
        };
        let mut inside = feed.resume(Vec::new(), inside).unwrap();
        assert_eq!(samples(inside.take()), batch(2..5).samples);
    }

    #[test]
    fn a_subscriber_that_was_away_goes_on_where_it_was() {
        let feed = feed(3);
        let keeper = feed.subscribe(Vec::new());
        let mut first = feed.subscribe(Vec::new());
        publish(&feed, 0..4);
        drain(&mut first);
        let place: Position = first.position().to_string().parse().unwrap();
        drop(first);
        publish(&feed, 4..6);
        let mut again = feed.resume(Vec::new(), place).unwrap();
        assert_eq!(drain(&mut again), (vec![4, 5], 0));
        let inside = Position { epoch: 7, point: 1 };
        let mut inside = feed.resume(Vec::new(), inside).unwrap();
        assert_eq!(drain(&mut inside), ((1..6).collect(), 0), "within a batch");
        drop((again, inside, keeper));
        publish(&feed, 6..9);
        let mut late = feed.resume(Vec::new(), place).unwrap();
        assert_eq!(
            drain(&mut late),
            (vec![], 5),
            "nobody listened, all is counted"
        );
        for other in [
            Position { epoch: 8, point: 1 },
            Position {
                epoch: 7,
                point: 99,
            },
        ] {
            assert!(feed.resume(Vec::new(), other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_ring_is_bounded_in_bytes_and_a_batch_too_large_for_it_is_missed() {
        let limits = FeedLimits {
            batches: 100,
            bytes: 2_000,
        };
        let feed = Feed::new(limits, 0);
        let mut subscription = feed.subscribe(Vec::new());
        publish(&feed, 0..5);
        publish(&feed, 5..105);
        assert!(feed.stats().bytes <= limits.bytes);
        assert_eq!(drain(&mut subscription), (vec![], 105));
    }

    #[test]
    fn waiting_ends_with_the_next_point_or_the_end_of_the_feed() {
        let feed = feed(9);
        let mut subscription = feed.subscribe(Vec::new());
        let waker = std::task::Waker::noop();
        let mut context = Context::from_waker(waker);
        assert_eq!(subscription.poll_ready(&mut context), Poll::Pending);
        publish(&feed, 0..1);
        assert_eq!(subscription.poll_ready(&mut context), Poll::Ready(true));
        drain(&mut subscription);
        feed.close();
        assert_eq!(subscription.poll_ready(&mut context), Poll::Ready(false));
    }

    #[test]
    fn a_batch_of_metadata_alone_is_shown_too() {
        let feed = feed(9);
        let mut subscription = feed.subscribe(Vec::new());
        publish(&feed, 0..0);
        let context = &mut Context::from_waker(std::task::Waker::noop());
        assert_eq!(subscription.poll_ready(context), Poll::Ready(true));
        assert!(matches!(subscription.take(), Some(Delivery::Points { .. })));
        assert_eq!(subscription.take(), None);
        assert_eq!(subscription.poll_ready(context), Poll::Pending);
    }

    #[test]
    fn texts_that_are_no_position_are_refused() {
        for text in ["", "-", "1", "1-", "x-1", "1-x", "1--1"] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
        let before_1970 = Position {
            epoch: -5,
            point: 3,
        };
        assert_eq!("-5-3".parse(), Ok(before_1970));
    }

    proptest! {
        /// Seen and missed add up to published, in order, whatever the rhythm.
        #[test]
        fn nothing_is_lost_without_a_word(
            sizes in prop::collection::vec((1_usize..20, 0_usize..3), 1..60),
            batches in 1_usize..6,
        ) {
            let feed = feed(batches);
            let mut subscription = feed.subscribe(Vec::new());
            let (mut at, mut next) = (0, 0);
            for (size, takes) in sizes {
                publish(&feed, at..at + size);
                at += size;
                for _ in 0..takes {
                    match subscription.take() {
                        Some(Delivery::Points { shown, .. }) => {
                            for sample in &shown.batch().samples {
                                prop_assert_eq!(sample.time_ms, next);
                                next += 1;
                            }
                        }
                        Some(Delivery::Missed(points)) => next += points as i64,
                        None => prop_assert_eq!(next, at as i64),
                    }
                }
            }
            let (seen, missed) = drain(&mut subscription);
            prop_assert_eq!(next + seen.len() as i64 + missed as i64, at as i64);
        }
    }
}
