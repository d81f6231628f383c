//! What a run saw: latency by operation, the generator's own lag, and whether the run counts.
//!
//! Latencies go into HDR histograms (3 significant digits) and, for the exposition, into
//! cumulative buckets; sums are exact. Every request that was due is in exactly one place: done
//! (by code), dropped (the queue was full), abandoned (the run ended), or still under way.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart, microseconds: 1 h.
const MICROS_MAX: u64 = 3_600_000_000;

/// Significant digits of the histograms.
const DIGITS: u8 = 3;

/// A run whose generator was late by more than this share of the latency target (at the 99th
/// percentile) says nothing about the server.
const LAG_SHARE_MAX: f64 = 0.1;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Status 1xx to 3xx: as hoped.
    Success,
    /// Status 4xx.
    Client,
    /// Status 5xx.
    Server,
    /// No connection, or a broken one.
    Broken,
    /// No whole answer in time.
    Timeout,
}

impl Code {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::Client,
        Self::Server,
        Self::Broken,
        Self::Timeout,
    ];

    /// As in the label `code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Client => "4xx",
            Self::Server => "5xx",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
        }
    }

    /// The code of an HTTP status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Success,
            400..500 => Self::Client,
            500.. => Self::Server,
        }
    }
}

/// Upper bounds of the exposition's buckets, seconds: eight a decade, so that a quantile read
/// from them is at most a third off; from 100 µs to 75 s.
pub(crate) const BOUNDS: [f64; 48] = bounds();

const fn bounds() -> [f64; 48] {
    // R10-like steps with short decimals: 1 1.3 1.8 2.4 3.2 4.2 5.6 7.5.
    const STEPS: [u64; 8] = [10, 13, 18, 24, 32, 42, 56, 75];
    let mut bounds = [0.0; 48];
    let mut tens_micros = 1;
    let mut index = 0;
    while index < bounds.len() {
        // In whole tens of microseconds, then one division: the decimal comes out shortest.
        bounds[index] = (STEPS[index % 8] * tens_micros) as f64 / 100_000.0;
        index += 1;
        if index % 8 == 0 {
            tens_micros *= 10;
        }
    }
    bounds
}

/// Latencies and ends of one operation.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    pub(crate) micros: Histogram<u64>,
    pub(crate) sum_seconds: f64,
    /// Not cumulative; the last is above all bounds.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) codes: [u64; Code::ALL.len()],
}

impl Outcomes {
    fn new() -> Self {
        Self {
            micros: histogram(),
            sum_seconds: 0.0,
            buckets: [0; BOUNDS.len() + 1],
            codes: [0; Code::ALL.len()],
        }
    }

    fn add(&mut self, latency: Duration, code: Code) {
        self.micros.saturating_record(micros(latency));
        let seconds = latency.as_secs_f64();
        self.sum_seconds += seconds;
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.codes[code as usize] += 1;
    }

    fn clear(&mut self) {
        self.micros.reset();
        self.sum_seconds = 0.0;
        self.buckets.fill(0);
        self.codes.fill(0);
    }
}

/// Counts of a stretch of time.
#[derive(Debug, Clone)]
pub(crate) struct Period {
    pub(crate) begun: Duration,
    pub(crate) operations: Vec<Outcomes>,
    pub(crate) lag_micros: Histogram<u64>,
    pub(crate) lag_sum_seconds: f64,
    pub(crate) due: u64,
    pub(crate) dropped: u64,
    pub(crate) abandoned: u64,
    cpu_before: Duration,
}

impl Period {
    fn new(operations: usize) -> Self {
        Self {
            begun: Duration::ZERO,
            operations: vec![Outcomes::new(); operations],
            lag_micros: histogram(),
            lag_sum_seconds: 0.0,
            due: 0,
            dropped: 0,
            abandoned: 0,
            cpu_before: Duration::ZERO,
        }
    }

    fn due(&mut self, lag: Duration) {
        self.due += 1;
        self.lag_micros.saturating_record(micros(lag));
        self.lag_sum_seconds += lag.as_secs_f64();
    }

    fn restart(&mut self, now: Duration, cpu: Duration) {
        for outcomes in &mut self.operations {
            outcomes.clear();
        }
        self.lag_micros.reset();
        self.lag_sum_seconds = 0.0;
        (self.due, self.dropped, self.abandoned) = (0, 0, 0);
        (self.begun, self.cpu_before) = (now, cpu);
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("the bounds are constants")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Where the threads of a run write what they saw.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) names: Vec<String>,
    latency_target: Duration,
    both: Mutex<Both>,
}

/// The whole run, and the part since the last interval was read.
#[derive(Debug)]
pub(crate) struct Both {
    pub(crate) total: Period,
    interval: Period,
    /// CPU time by thread: clock, connections.
    cpu: [Duration; 2],
}

/// The generator's threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thread {
    Clock,
    Connections,
}

impl Recorder {
    pub(crate) fn new(names: Vec<String>, latency_target: Duration) -> Self {
        let period = Period::new(names.len());
        let both = Both {
            interval: period.clone(),
            total: period,
            cpu: [Duration::ZERO; 2],
        };
        Self {
            names,
            latency_target,
            both: Mutex::new(both),
        }
    }

    /// A request was due, and handed on `lag` later.
    pub(crate) fn due(&self, lag: Duration, queued: bool) {
        let mut both = self.lock();
        for period in both.periods() {
            period.due(lag);
            period.dropped += u64::from(!queued);
        }
    }

    pub(crate) fn done(&self, operation: usize, latency: Duration, code: Code) {
        for period in self.lock().periods() {
            period.operations[operation].add(latency, code);
        }
    }

    pub(crate) fn abandoned(&self, count: usize) {
        for period in self.lock().periods() {
            period.abandoned += count as u64;
        }
    }

    pub(crate) fn cpu(&self, thread: Thread, used: Duration) {
        self.lock().cpu[thread as usize] = used;
    }

    /// Figures of the whole run.
    pub(crate) fn total(&self, now: Duration, queued: usize) -> Snapshot {
        let both = self.lock();
        self.snapshot(&both.total, both.cpu_total(), now, queued)
    }

    /// Figures since the last call.
    pub(crate) fn interval(&self, now: Duration, queued: usize) -> Snapshot {
        let mut both = self.lock();
        let cpu = both.cpu_total();
        let snapshot = self.snapshot(&both.interval, cpu, now, queued);
        both.interval.restart(now, cpu);
        snapshot
    }

    fn snapshot(&self, period: &Period, cpu: Duration, now: Duration, queued: usize) -> Snapshot {
        let lag = &period.lag_micros;
        let lag_p99_seconds = seconds(lag.value_at_quantile(0.99), lag.len());
        let named = self.names.iter().zip(&period.operations);
        Snapshot {
            from_seconds: period.begun.as_secs_f64(),
            to_seconds: now.as_secs_f64(),
            operations: named
                .map(|(name, outcomes)| Figures::new(name, outcomes))
                .collect(),
            due: period.due,
            queued: queued as u64,
            dropped: period.dropped,
            abandoned: period.abandoned,
            lag_p50_seconds: seconds(lag.value_at_quantile(0.5), lag.len()),
            lag_p99_seconds,
            lag_max_seconds: seconds(lag.max(), lag.len()),
            cpu_seconds: cpu.saturating_sub(period.cpu_before).as_secs_f64(),
            validity: self.validity(period, lag_p99_seconds),
        }
    }

    fn validity(&self, period: &Period, lag_p99_seconds: f64) -> Validity {
        let lag_limit_seconds = self.latency_target.as_secs_f64() * LAG_SHARE_MAX;
        if period.due == 0 {
            Validity::Empty
        } else if period.dropped > 0 {
            Validity::Dropped {
                dropped: period.dropped,
            }
        } else if lag_p99_seconds > lag_limit_seconds {
            Validity::Late {
                lag_p99_seconds,
                lag_limit_seconds,
            }
        } else {
            Validity::Valid
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Both> {
        self.both.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Both {
    fn periods(&mut self) -> [&mut Period; 2] {
        [&mut self.total, &mut self.interval]
    }

    pub(crate) fn cpu_total(&self) -> Duration {
        self.cpu.iter().sum()
    }
}

/// Whether a stretch of a run says something about the server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "validity", rename_all = "snake_case")]
pub enum Validity {
    /// It does.
    Valid,
    /// Nothing was due.
    Empty,
    /// It does not: requests were dropped, for the queue was full.
    Dropped {
        /// How many.
        dropped: u64,
    },
    /// It does not: the generator itself was late.
    Late {
        /// By how much, at the 99th percentile.
        lag_p99_seconds: f64,
        /// What would have been in order: 10 % of the latency target.
        lag_limit_seconds: f64,
    },
}

impl Validity {
    /// Whether the figures may be used.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self == Self::Valid
    }
}

/// What one operation saw. Latencies run from the intended start, of all requests done, failed
/// ones included; 0 when there were none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The operation.
    pub operation: String,
    /// Requests done.
    pub count: u64,
    /// Those of them that did not succeed.
    pub errors: u64,
    /// Requests done by code, those with a count only.
    pub codes: Vec<(Code, u64)>,
    /// Exact mean.
    pub mean_seconds: f64,
    /// Median.
    pub p50_seconds: f64,
    /// 95th percentile.
    pub p95_seconds: f64,
    /// 99th percentile.
    pub p99_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
}

impl Figures {
    fn new(name: &str, outcomes: &Outcomes) -> Self {
        let micros = &outcomes.micros;
        let count = micros.len();
        let quantile = |q| seconds(micros.value_at_quantile(q), count);
        let codes = Code::ALL
            .into_iter()
            .zip(outcomes.codes)
            .filter(|(_, count)| *count > 0);
        Self {
            operation: name.to_owned(),
            count,
            errors: count - outcomes.codes[Code::Success as usize],
            codes: codes.collect(),
            mean_seconds: if count > 0 {
                outcomes.sum_seconds / count as f64
            } else {
                0.0
            },
            p50_seconds: quantile(0.5),
            p95_seconds: quantile(0.95),
            p99_seconds: quantile(0.99),
            max_seconds: seconds(micros.max(), count),
        }
    }
}

fn seconds(micros: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { micros as f64 / 1e6 }
}

/// Figures of a run, or of a stretch of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Beginning of the stretch, seconds from the run's.
    pub from_seconds: f64,
    /// Its end.
    pub to_seconds: f64,
    /// In the scenario's order.
    pub operations: Vec<Figures>,
    /// Requests that were due.
    pub due: u64,
    /// Due, and waiting for a free connection now.
    pub queued: u64,
    /// Due, and dropped: the queue was full.
    pub dropped: u64,
    /// Due, and given up because the run was stopped.
    pub abandoned: u64,
    /// How late the generator handed requests on: median.
    pub lag_p50_seconds: f64,
    /// The same, 99th percentile.
    pub lag_p99_seconds: f64,
    /// The same, at worst.
    pub lag_max_seconds: f64,
    /// CPU time the generator's threads used.
    pub cpu_seconds: f64,
    /// Whether the figures say something about the server.
    pub validity: Validity,
}
