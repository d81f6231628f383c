//! Proposes dependencies between alerts from how they came: one that again and again begins
//! shortly after another, on the same host, cluster or whatever label they share.
//!
//! Of every ordered pair of alerts and every label both have, incidents are counted: onsets of one
//! alert with one value of the label, those within a window of the one before taken as one. What
//! is proposed has enough support (incidents of the cause that the effect followed within the
//! window), confidence (their share of the cause's incidents) and lift (how many times more often
//! than if the effect came at random times, as often as it does: association rules, Agrawal,
//! Imieliński and Swami 1993, with a Poisson process for chance). Alerts that as often come the
//! other way round, or at the same moment, say nothing about direction. A proposal is never
//! applied: a common cause looks the same.

use std::collections::{BTreeMap, BTreeSet};

use model::Labels;

/// One time that an alert began to fire.
#[derive(Debug, Clone, PartialEq)]
pub struct Onset {
    /// Its labels, its name among them.
    pub labels: Labels,
    /// When, ms.
    pub at_ms: i64,
}

/// What is enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floors {
    /// An effect begins at most so long after its cause, ms.
    pub window_ms: i64,
    /// Incidents in which it did.
    pub support: usize,
    /// Their share of the cause's incidents.
    pub confidence: f64,
    /// Times more often than by chance.
    pub lift: f64,
}

impl Default for Floors {
    /// Five incidents of ten minutes at least: fewer are anecdotes.
    fn default() -> Self {
        Self {
            window_ms: 5 * 60_000,
            support: 5,
            confidence: 0.6,
            lift: 5.0,
        }
    }
}

/// A dependency that somebody may want to declare.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The alert that comes first.
    pub cause: String,
    /// The one that follows.
    pub effect: String,
    /// Labels in which they agree.
    pub equal: Vec<String>,
    /// Incidents of the cause that the effect followed.
    pub support: usize,
    /// Incidents of the cause.
    pub incidents: usize,
    /// Times more often than by chance.
    pub lift: f64,
    /// Median time between them, ms.
    pub lag_ms: i64,
}

impl Proposed {
    /// Share of the cause's incidents that the effect followed.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.support as f64 / self.incidents as f64
    }
}

/// Alerts that are compared with each other: those with the most onsets. 200: 40,000 pairs.
const ALERTS_MAX: usize = 200;

/// The reverse order may be this many times rarer at most for the order to mean something.
const ORDER_MIN: usize = 2;

const NAME: &str = "alertname";

/// Starts of incidents by the value of a label, in order of time.
type Incidents<'a> = BTreeMap<&'a str, Vec<i64>>;

/// By alert and label.
type Table<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Incidents<'a>>>;

/// What the onsets of a span of so many ms suggest, the surest first.
#[must_use]
pub fn propose(onsets: &[Onset], span_ms: i64, floors: Floors) -> Vec<Proposed> {
    let table = table(onsets, floors.window_ms);
    let mut all = Vec::new();
    for (cause, causes) in &table {
        for (effect, effects) in table.iter().filter(|(effect, _)| *effect != cause) {
            let on = causes.iter().filter_map(|(label, first)| {
                let pair = Pair::of(first, effects.get(label)?, span_ms, floors.window_ms);
                pair.passes(&floors).then_some((*label, pair))
            });
            let on: Vec<(&str, Pair)> = on.collect();
            let Some((_, best)) = on.iter().max_by(|(_, a), (_, b)| a.order(b)) else {
                continue;
            };
            let as_good = on.iter().filter(|(_, pair)| pair.support == best.support);
            all.push(Proposed {
                cause: (*cause).to_owned(),
                effect: (*effect).to_owned(),
                equal: as_good.map(|(label, _)| (*label).to_owned()).collect(),
                support: best.support,
                incidents: best.incidents,
                lift: best.lift,
                lag_ms: best.lag_ms,
            });
        }
    }
    all.sort_by(|a, b| {
        b.confidence()
            .total_cmp(&a.confidence())
            .then(b.support.cmp(&a.support))
    });
    all
}

/// The incidents of the alerts that came most often.
fn table(onsets: &[Onset], window_ms: i64) -> Table<'_> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for onset in onsets {
        *counts.entry(name(onset)).or_default() += 1;
    }
    let mut often: Vec<(&str, usize)> = counts.into_iter().filter(|(n, _)| !n.is_empty()).collect();
    often.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let often: BTreeSet<&str> = often
        .iter()
        .take(ALERTS_MAX)
        .map(|(name, _)| *name)
        .collect();
    let mut table = Table::new();
    for onset in onsets.iter().filter(|onset| often.contains(name(onset))) {
        let labels = table.entry(name(onset)).or_default();
        for (label, value) in onset.labels.iter().filter(|(label, _)| *label != NAME) {
            let times = labels.entry(label).or_default().entry(value).or_default();
            times.push(onset.at_ms);
        }
    }
    let all = table.values_mut().flat_map(BTreeMap::values_mut);
    for times in all.flat_map(BTreeMap::values_mut) {
        *times = merged(std::mem::take(times), window_ms);
    }
    table
}

fn name(onset: &Onset) -> &str {
    onset.labels.get(NAME).unwrap_or_default()
}

/// Onsets within a window of the one before are one incident, which begins with the first.
fn merged(mut times: Vec<i64>, window_ms: i64) -> Vec<i64> {
    times.sort_unstable();
    let mut before = None;
    times.retain(|time| {
        let is_new = before.is_none_or(|before| time - before > window_ms);
        before = Some(*time);
        is_new
    });
    times
}

/// Two alerts on one label.
#[derive(Debug, Clone, Copy)]
struct Pair {
    support: usize,
    incidents: usize,
    reversed: usize,
    lift: f64,
    lag_ms: i64,
}

impl Pair {
    fn of(causes: &Incidents<'_>, effects: &Incidents<'_>, span_ms: i64, window_ms: i64) -> Self {
        let mut lags = Vec::new();
        let mut reversed = 0;
        let mut chance = 0.0;
        for (value, first) in causes {
            let none = Vec::new();
            let then = effects.get(value).unwrap_or(&none);
            lags.extend(first.iter().filter_map(|at| follows(*at, then, window_ms)));
            reversed += then
                .iter()
                .filter(|at| follows(**at, first, window_ms).is_some())
                .count();
            let rate = then.len() as f64 / span_ms.max(window_ms) as f64;
            chance += first.len() as f64 * -(-rate * window_ms as f64).exp_m1();
        }
        lags.sort_unstable();
        Self {
            support: lags.len(),
            incidents: causes.values().map(Vec::len).sum(),
            reversed,
            lift: lags.len() as f64 / chance.max(f64::MIN_POSITIVE),
            lag_ms: lags.get(lags.len() / 2).copied().unwrap_or(0),
        }
    }

    fn confidence(&self) -> f64 {
        self.support as f64 / self.incidents.max(1) as f64
    }

    fn passes(&self, floors: &Floors) -> bool {
        self.support >= floors.support
            && self.confidence() >= floors.confidence
            && self.lift >= floors.lift
            && self.support >= ORDER_MIN * self.reversed
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_share = self.confidence().total_cmp(&other.confidence());
        let by_support = by_share.then(self.support.cmp(&other.support));
        by_support.then(self.lift.total_cmp(&other.lift))
    }
}

/// How long after a moment the next of these times comes, if within the window; at the same
/// moment nothing follows.
fn follows(at_ms: i64, times: &[i64], window_ms: i64) -> Option<i64> {
    let next = times.partition_point(|time| *time <= at_ms);
    let lag = times.get(next)? - at_ms;
    (lag <= window_ms).then_some(lag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;

    fn onset(name: &str, host: &str, at_ms: i64) -> Onset {
        let labels = [(NAME, name), ("host", host), ("severity", "page")];
        Onset {
            labels: Labels::from_pairs(labels),
            at_ms,
        }
    }

    /// Ten nights: a disk fills up on one of two hosts, a minute later the database there stops.
    fn nights() -> Vec<Onset> {
        let mut all = Vec::new();
        for night in 0..10 {
            let host = ["a", "b"][usize::try_from(night % 2).unwrap()];
            let at = night * DAY;
            all.push(onset("DiskFull", host, at));
            all.push(onset("DatabaseDown", host, at + MINUTE));
        }
        all
    }

    #[test]
    fn what_follows_again_and_again_on_the_same_host_is_proposed() {
        let found = propose(&nights(), 10 * DAY, Floors::default());
        let [one] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (one.cause.as_str(), one.effect.as_str()),
            ("DiskFull", "DatabaseDown")
        );
        assert_eq!(one.equal, ["host", "severity"]);
        assert_eq!((one.support, one.incidents, one.lag_ms), (10, 10, MINUTE));
        // Once in two days on each host: by chance in one of 576 windows.
        assert!(one.lift > 200.0, "{one:?}");
    }

    #[test]
    fn chance_rarity_disorder_and_other_hosts_are_not() {
        let check = |onsets: Vec<Onset>, days: i64, why: &str| {
            let found = propose(&onsets, days * DAY, Floors::default());
            assert_eq!(found, [], "{why}");
        };
        let four = nights().into_iter().take(8).collect();
        check(four, 10, "four incidents are anecdotes");
        let elsewhere = nights().into_iter().map(|mut o| {
            let host = match (name(&o), o.labels.get("host")) {
                ("DatabaseDown", Some("a")) => "c",
                _ => "d",
            };
            let severity = name(&o).to_owned();
            let mut labels = o.labels.to_builder();
            labels.set("host", host).set("severity", severity);
            o.labels = labels.build();
            o
        });
        check(elsewhere.collect(), 10, "they share no value of a label");
        let together = nights().into_iter().map(|o| Onset {
            at_ms: o.at_ms / DAY * DAY,
            ..o
        });
        check(
            together.collect(),
            10,
            "at the same moment there is no order",
        );
        let mut either_way = nights();
        for (night, pair) in either_way.chunks_mut(2).enumerate() {
            if night % 2 == 0 {
                let (first, second) = (pair[0].at_ms, pair[1].at_ms);
                (pair[0].at_ms, pair[1].at_ms) = (second, first);
            }
        }
        check(either_way, 10, "now this, now that comes first");
        // One that comes every six minutes follows everything.
        let mut noise: Vec<Onset> = (0..2_400)
            .map(|n| onset("Noise", "a", n * 6 * MINUTE))
            .collect();
        noise.extend((0..10).map(|n| onset("Rare", "a", n * DAY + 123_456)));
        check(noise, 10, "what always comes follows from nothing");
    }

    #[test]
    fn a_storm_is_one_incident() {
        let mut onsets = Vec::new();
        for n in 0..50 {
            onsets.push(onset("Cause", "a", n * 1_000));
            onsets.push(onset("Effect", "a", n * 1_000 + 500));
        }
        assert_eq!(propose(&onsets, DAY, Floors::default()), []);
        assert_eq!(merged(vec![3, 1, 2, 10, 4], 2), [1, 10]);
    }
}
