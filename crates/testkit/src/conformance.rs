//! What every store behind the ports must do, whichever engine it is: one suite, run against the
//! embedded store, the store in memory, and stores elsewhere.
//!
//! Where an engine differs by nature its [`Capabilities`] say so; a check that needs what is not
//! there is left out and named, never loosened. Each check writes series of its own, so that the
//! suite can run against a store that already holds others.

use std::sync::Arc;

use model::{
    Batch, Durability, Histogram, LabelQuery, Labels, METRIC_NAME, MatchOp, Matcher, Metadata,
    MetricType, Sample, SampleSink, Selection, Series, SeriesReader, Span, Value,
};

/// What an engine keeps of what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Every float comes back bit for bit, payloads of NaN and staleness markers apart.
    pub exact_floats: bool,
    /// Infinities and NaN are values.
    pub special_floats: bool,
    /// -0.0 is not 0.0.
    pub negative_zero: bool,
    /// Staleness markers and other NaNs are read back with their bits.
    pub nan_bits: bool,
    /// Samples older than their series' newest are taken.
    pub out_of_order: bool,
    /// Of two samples at one time the last written stays.
    pub last_write_wins: bool,
    /// Native histograms are stored and read back.
    pub histograms: bool,
    /// Types and help texts are kept.
    pub metadata: bool,
    /// Label names outside `[a-zA-Z_][a-zA-Z0-9_]*`.
    pub utf8_names: bool,
    /// What has changed since a version is known.
    pub changes: bool,
}

impl Capabilities {
    /// Everything.
    pub const ALL: Self = Self {
        exact_floats: true,
        special_floats: true,
        negative_zero: true,
        nan_bits: true,
        out_of_order: true,
        last_write_wins: true,
        histograms: true,
        metadata: true,
        utf8_names: true,
        changes: true,
    };
}

/// A store under test.
#[expect(missing_debug_implementations, reason = "it holds ports and a closure")]
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Takes samples.
    pub sink: &'a dyn SampleSink,
    /// Gives them back.
    pub reader: &'a dyn SeriesReader,
    /// What it keeps.
    pub capabilities: Capabilities,
    /// About now, ms: times of samples lie within the hour before.
    pub now_ms: i64,
    /// Called between writing and reading: makes what was acknowledged visible, where that takes
    /// more than acknowledging.
    pub settle: &'a dyn Fn(),
}

/// The label all series of the suite carry: another store's own series are left alone.
const SUITE: &str = "conformance_suite";

/// Runs every check the capabilities allow; the names of those left out.
///
/// # Panics
/// With the first difference found.
pub fn conformance(subject: &Subject<'_>) -> Vec<&'static str> {
    let has = subject.capabilities;
    let mut left_out = Vec::new();
    let mut check = |name, possible: bool, run: fn(&Subject<'_>)| {
        if possible {
            run(subject);
        } else {
            left_out.push(name);
        }
    };
    check("plain samples", true, plain_samples);
    check("exact floats", has.exact_floats, exact_floats);
    check("special floats", has.special_floats, special_floats);
    check("negative zero", has.negative_zero, negative_zero);
    check("NaN bits", has.nan_bits, nan_bits);
    check("out of order", has.out_of_order, out_of_order);
    check("last write wins", has.last_write_wins, last_write_wins);
    check("repeats", true, repeats);
    check("ranges", true, ranges);
    check("matchers", true, matchers);
    check("odd values of labels", true, odd_label_values);
    check("UTF-8 label names", has.utf8_names, utf8_names);
    check("label queries", true, label_queries);
    check("metadata", has.metadata, metadata);
    check("histograms", has.histograms, histograms);
    check("a large batch", true, large_batch);
    check("changes", has.changes, changes);
    left_out
}

fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let own = [(METRIC_NAME, name), ("suite", SUITE)];
    Labels::from_pairs(own.into_iter().chain(pairs.iter().copied()))
}

impl Subject<'_> {
    /// A whole second, so many seconds before now.
    fn at(&self, seconds_ago: i64) -> i64 {
        (self.now_ms.div_euclid(1_000) - seconds_ago) * 1_000
    }

    fn write(&self, batch: &Batch) {
        let appended = self.sink.append(batch, Durability::Sync);
        let appended = appended.unwrap_or_else(|error| panic!("not appended: {error:?}"));
        assert_eq!(appended.rejected, [], "nothing is wrong with these samples");
        assert_eq!(
            appended.stored,
            batch.samples.len() as u64,
            "all are stored"
        );
        (self.settle)();
    }

    fn floats(&self, name: &str, points: &[(i64, f64)]) {
        let labels = labels(name, &[]);
        let sample =
            |(time_ms, value): &(i64, f64)| Sample::float(labels.clone(), *time_ms, *value);
        self.write(&Batch {
            samples: points.iter().map(sample).collect(),
            ..Batch::default()
        });
    }

    fn select(&self, matchers: Vec<Matcher>, from_ms: i64, to_ms: i64) -> Vec<Series> {
        let selection = Selection {
            matchers,
            from_ms,
            to_ms,
        };
        let found = self.reader.select(&selection).expect("it can be read");
        let mut found: Vec<Series> = found.map(|s| s.expect("it can be read")).collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// The one series of a name, over the last hour.
    fn one(&self, name: &str) -> Series {
        let matchers = vec![Matcher::equal(METRIC_NAME, name), own()];
        let mut found = self.select(matchers, self.at(3_600), self.at(0));
        assert_eq!(found.len(), 1, "{name}: one series is there");
        found.remove(0)
    }

    fn expect(&self, name: &str, points: &[(i64, f64)]) {
        let found = self.one(name);
        let bits = |points: &[(i64, f64)]| -> Vec<(i64, u64)> {
            points.iter().map(|(t, v)| (*t, v.to_bits())).collect()
        };
        let read: Vec<(i64, f64)> = found.times_ms.into_iter().zip(found.values).collect();
        assert_eq!(
            bits(&read),
            bits(points),
            "{name}: {read:?}, not {points:?}"
        );
    }
}

fn own() -> Matcher {
    Matcher::equal("suite", SUITE)
}

fn plain_samples(subject: &Subject<'_>) {
    let points: Vec<(i64, f64)> = (0..50)
        .map(|i| (subject.at(600 - i * 10), i as f64 * 0.5))
        .collect();
    subject.floats("conformance_plain", &points);
    subject.expect("conformance_plain", &points);
    let times = &subject.one("conformance_plain").times_ms;
    assert!(times.is_sorted_by(|a, b| a < b), "times rise");
}

fn exact_floats(subject: &Subject<'_>) {
    let values = [
        0.1,
        1.0 / 3.0,
        1e300,
        -1e-300,
        5e-324,
        f64::MAX,
        1_234_567_890_123_456.7,
        9_007_199_254_740_993.0,
    ];
    let points: Vec<(i64, f64)> = (0_i64..)
        .zip(values)
        .map(|(i, value)| (subject.at(600 - i), value))
        .collect();
    subject.floats("conformance_exact", &points);
    subject.expect("conformance_exact", &points);
}

fn special_floats(subject: &Subject<'_>) {
    let points = [
        (subject.at(30), f64::INFINITY),
        (subject.at(20), f64::NEG_INFINITY),
        (subject.at(5), 1.0),
    ];
    subject.floats("conformance_special", &points);
    subject.expect("conformance_special", &points);
    let nan = [(subject.at(30), 1.0), (subject.at(20), f64::NAN)];
    subject.floats("conformance_nan", &nan);
    let read = subject.one("conformance_nan");
    assert_eq!(read.times_ms.len(), 2, "NaN is a value");
    assert!(read.values[1].is_nan());
}

fn negative_zero(subject: &Subject<'_>) {
    let points = [(subject.at(30), -0.0), (subject.at(20), 0.0)];
    subject.floats("conformance_zero", &points);
    subject.expect("conformance_zero", &points);
}

fn nan_bits(subject: &Subject<'_>) {
    let points = [
        (subject.at(30), 1.0),
        (subject.at(20), model::stale_nan()),
        (subject.at(10), f64::from_bits(0x7ff8_0000_0000_0001)),
    ];
    subject.floats("conformance_nan_bits", &points);
    subject.expect("conformance_nan_bits", &points);
}

fn out_of_order(subject: &Subject<'_>) {
    let at = |seconds| subject.at(seconds);
    subject.floats("conformance_order", &[(at(10), 3.0), (at(30), 1.0)]);
    subject.floats("conformance_order", &[(at(20), 2.0), (at(40), 0.5)]);
    let sorted = [(at(40), 0.5), (at(30), 1.0), (at(20), 2.0), (at(10), 3.0)];
    subject.expect("conformance_order", &sorted);
}

fn last_write_wins(subject: &Subject<'_>) {
    let at = |seconds| subject.at(seconds);
    subject.floats("conformance_last", &[(at(20), 1.0), (at(10), 2.0)]);
    subject.floats("conformance_last", &[(at(10), 3.0)]);
    subject.floats("conformance_last", &[(at(20), 4.0)]);
    subject.expect("conformance_last", &[(at(20), 4.0), (at(10), 3.0)]);
}

/// A batch sent twice, as after a lost reply, has the effect of one.
fn repeats(subject: &Subject<'_>) {
    let points = [(subject.at(20), 1.0), (subject.at(10), 2.0)];
    subject.floats("conformance_repeat", &points);
    subject.floats("conformance_repeat", &points);
    subject.expect("conformance_repeat", &points);
}

/// Who read before knows from which time on to read again: samples of the past come late, too,
/// and others of the same time replace those that were there.
fn changes(subject: &Subject<'_>) {
    let missed = |version| subject.reader.changes(version).expect("it knows");
    let mut version = missed(0).version;
    for seconds in [50, 40, 60, 10, 40] {
        let at = subject.at(seconds);
        subject.floats("conformance_changes", &[(at, 1.0), (subject.at(5), 2.0)]);
        let seen = missed(version);
        assert!(seen.from_ms <= at, "{} is after {at}", seen.from_ms);
        assert!(
            seen.from_ms > at - 60_000,
            "{} is far before {at}",
            seen.from_ms
        );
        assert_ne!(seen.version, version);
        version = seen.version;
        assert_eq!(missed(version).from_ms, i64::MAX, "nothing was written");
    }
}

fn ranges(subject: &Subject<'_>) {
    let points: Vec<(i64, f64)> = (0..10)
        .map(|i| (subject.at(100 - i * 10), i as f64))
        .collect();
    subject.floats("conformance_range", &points);
    let between = |from_ms, to_ms| {
        let name = Matcher::equal(METRIC_NAME, "conformance_range");
        let found = subject.select(vec![name, own()], from_ms, to_ms);
        found
            .into_iter()
            .flat_map(|s| s.times_ms)
            .collect::<Vec<_>>()
    };
    let times = |range: std::ops::Range<usize>| -> Vec<i64> {
        points[range].iter().map(|(time, _)| *time).collect()
    };
    let (third, sixth) = (points[2].0, points[5].0);
    assert_eq!(between(third, sixth), times(2..6), "both ends belong to it");
    assert_eq!(between(third + 1, sixth - 1), times(3..5));
    assert_eq!(between(third, third), times(2..3), "one moment");
    assert_eq!(between(third + 1, third + 2), [], "nothing between");
    assert_eq!(between(0, subject.at(0)), times(0..10), "since ever");
}

fn matchers(subject: &Subject<'_>) {
    let time_ms = subject.at(10);
    let series = |pairs: &[(&str, &str)]| labels("conformance_match", pairs);
    let all = [
        series(&[("k", "a")]),
        series(&[("k", "b")]),
        series(&[("k", "ab"), ("more", "1")]),
        series(&[]),
    ];
    let sample = |labels: &Labels| Sample::float(labels.clone(), time_ms, 1.0);
    subject.write(&Batch {
        samples: all.iter().map(sample).collect(),
        ..Batch::default()
    });
    let found = |extra: &[(&str, MatchOp, &str)]| -> Vec<String> {
        let name = Matcher::equal(METRIC_NAME, "conformance_match");
        let extra = extra
            .iter()
            .map(|(n, op, v)| Matcher::new(*n, *op, *v).expect("it compiles"));
        let matchers = [name, own()].into_iter().chain(extra).collect();
        let found = subject.select(matchers, time_ms - 1_000, time_ms);
        let key = |s: Series| s.labels.get("k").unwrap_or("-").to_owned();
        let mut keys: Vec<String> = found.into_iter().map(key).collect();
        keys.sort();
        keys
    };
    assert_eq!(found(&[]), ["-", "a", "ab", "b"]);
    assert_eq!(found(&[("k", MatchOp::Equal, "a")]), ["a"]);
    assert_eq!(found(&[("k", MatchOp::Equal, "")]), ["-"]);
    assert_eq!(found(&[("k", MatchOp::NotEqual, "a")]), ["-", "ab", "b"]);
    assert_eq!(found(&[("k", MatchOp::NotEqual, "")]), ["a", "ab", "b"]);
    assert_eq!(
        found(&[("k", MatchOp::Regex, "a|b")]),
        ["a", "b"],
        "anchored"
    );
    assert_eq!(found(&[("k", MatchOp::Regex, "a.*")]), ["a", "ab"]);
    assert_eq!(found(&[("k", MatchOp::Regex, "|a")]), ["-", "a"]);
    assert_eq!(found(&[("k", MatchOp::NotRegex, "a.*")]), ["-", "b"]);
    assert_eq!(found(&[("k", MatchOp::NotRegex, "")]), ["a", "ab", "b"]);
    assert_eq!(found(&[("gone", MatchOp::Equal, "x")]), [""; 0]);
    let both = [("k", MatchOp::Regex, "a.*"), ("more", MatchOp::Equal, "")];
    assert_eq!(found(&both), ["a"]);
    let nothing = subject.select(Vec::new(), 0, time_ms);
    assert_eq!(nothing, [], "no matcher matches nothing");
}

fn odd_label_values(subject: &Subject<'_>) {
    let time_ms = subject.at(10);
    let values = [
        "quote\"",
        "back\\slash",
        "new\nline",
        "grün 山 😀",
        "{}[]$^",
    ];
    let series = |value: &str| labels("conformance_odd", &[("v", value)]);
    let sample = |value: &&str| Sample::float(series(value), time_ms, 1.0);
    subject.write(&Batch {
        samples: values.iter().map(sample).collect(),
        ..Batch::default()
    });
    for value in values {
        let matchers = vec![
            Matcher::equal(METRIC_NAME, "conformance_odd"),
            own(),
            Matcher::equal("v", value),
        ];
        let found = subject.select(matchers, time_ms, time_ms);
        let found: Vec<Labels> = found.into_iter().map(|s| s.labels).collect();
        assert_eq!(found, [series(value)]);
    }
}

fn utf8_names(subject: &Subject<'_>) {
    let time_ms = subject.at(10);
    let series = labels("conformance.utf8", &[("a.b c", "1")]);
    subject.write(&Batch {
        samples: vec![Sample::float(series.clone(), time_ms, 1.0)],
        ..Batch::default()
    });
    let matchers = vec![own(), Matcher::equal("a.b c", "1")];
    let found = subject.select(matchers.clone(), time_ms, time_ms);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels, series);
    let query = asked(subject, vec![matchers]);
    let values = subject.reader.label_values("a.b c", &query);
    assert_eq!(values.expect("it can be read"), ["1"]);
}

fn asked(subject: &Subject<'_>, any_of: Vec<Vec<Matcher>>) -> LabelQuery {
    LabelQuery {
        any_of,
        from_ms: subject.at(3_600),
        to_ms: subject.at(0),
        limit: 0,
    }
}

fn label_queries(subject: &Subject<'_>) {
    let time_ms = subject.at(10);
    let series = |name: &str, zone: &str| labels(name, &[("zone", zone)]);
    let all = [
        series("conformance_ask_a", "1"),
        series("conformance_ask_a", "2"),
        series("conformance_ask_b", "3"),
        labels("conformance_ask_c", &[("rack", "x")]),
    ];
    let sample = |labels: &Labels| Sample::float(labels.clone(), time_ms, 1.0);
    subject.write(&Batch {
        samples: all.iter().map(sample).collect(),
        ..Batch::default()
    });
    let name = |op, value: &str| Matcher::new(METRIC_NAME, op, value).expect("it compiles");
    let some = asked(
        subject,
        vec![vec![name(MatchOp::Regex, "conformance_ask_.*"), own()]],
    );
    let reader = subject.reader;
    let names = reader.label_names(&some).expect("it can be read");
    assert_eq!(names, [METRIC_NAME, "rack", "suite", "zone"]);
    let zones = |query: &LabelQuery| reader.label_values("zone", query).expect("it can be read");
    assert_eq!(zones(&some), ["1", "2", "3"]);
    let limited = LabelQuery {
        limit: 2,
        ..some.clone()
    };
    assert_eq!(zones(&limited), ["1", "2"]);
    let found = reader.series(&some).expect("it can be read");
    let mut want = all.to_vec();
    want.sort();
    assert_eq!(found, want);
    let either = vec![
        vec![name(MatchOp::Equal, "conformance_ask_b"), own()],
        vec![Matcher::equal("zone", "2"), own()],
    ];
    assert_eq!(zones(&asked(subject, either)), ["2", "3"], "either list");
    let ever = LabelQuery {
        from_ms: i64::MIN / 4,
        to_ms: i64::MAX / 4,
        ..some.clone()
    };
    assert_eq!(zones(&ever), ["1", "2", "3"], "since ever");
    let gone = vec![vec![name(MatchOp::Equal, "conformance_ask_z"), own()]];
    assert!(zones(&asked(subject, gone)).is_empty());
    let values = reader.label_values("no_such_label", &some);
    assert!(values.expect("it can be read").is_empty());
}

fn metadata(subject: &Subject<'_>) {
    let said = Metadata {
        family: "conformance_said_seconds".into(),
        metric_type: MetricType::Gauge,
        help: "What it \"is\": grün.".into(),
        unit: "seconds".into(),
    };
    let series = labels("conformance_said_seconds", &[]);
    subject.write(&Batch {
        samples: vec![Sample::float(series, subject.at(10), 1.0)],
        metadata: vec![said.clone()],
        ..Batch::default()
    });
    let reader = subject.reader;
    let one = reader.metadata(Some("conformance_said_seconds"));
    assert_eq!(one.expect("it can be read"), std::slice::from_ref(&said));
    let all = reader.metadata(None).expect("it can be read");
    assert!(all.contains(&said));
}

fn histograms(subject: &Subject<'_>) {
    let histogram = |n: f64| Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 3.0 * n + 1.0,
        sum: n / 4.0,
        positive_spans: vec![Span {
            offset: -1,
            length: 2,
        }],
        positive_buckets: vec![n, 2.0 * n],
        ..Histogram::default()
    };
    let series = labels("conformance_histogram", &[]);
    let sample = |i: i64| Sample {
        labels: series.clone(),
        time_ms: subject.at(20 - i),
        value: Value::Histogram(Arc::new(histogram(i as f64))),
    };
    subject.write(&Batch {
        samples: (0..3).map(sample).collect(),
        ..Batch::default()
    });
    let read = subject.one("conformance_histogram");
    let read: Vec<Histogram> = read
        .histograms
        .into_iter()
        .map(|h| Histogram::clone(&h.expect("each sample is a histogram")))
        .collect();
    assert_eq!(read, [0.0, 1.0, 2.0].map(histogram));
}

fn large_batch(subject: &Subject<'_>) {
    const SERIES: usize = 200;
    const EACH: i64 = 100;
    let series = |i: usize| labels("conformance_large", &[("i", &i.to_string())]);
    let all: Vec<Labels> = (0..SERIES).map(series).collect();
    let mut samples = Vec::new();
    for step in 0..EACH {
        let time_ms = subject.at(EACH - step);
        let sample = |(i, labels): (usize, &Labels)| {
            Sample::float(labels.clone(), time_ms, (i as i64 * EACH + step) as f64)
        };
        samples.extend(all.iter().enumerate().map(sample));
    }
    subject.write(&Batch {
        samples,
        ..Batch::default()
    });
    let name = Matcher::equal(METRIC_NAME, "conformance_large");
    let found = subject.select(vec![name, own()], subject.at(EACH), subject.at(1));
    assert_eq!(found.len(), SERIES);
    for series in found {
        let i: i64 = series
            .labels
            .get("i")
            .and_then(|i| i.parse().ok())
            .expect("a number");
        let want: Vec<f64> = (0..EACH).map(|step| (i * EACH + step) as f64).collect();
        assert_eq!(series.values, want, "{}", series.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn the_store_in_memory_conforms() {
        let store = MemoryStore::new();
        let left_out = conformance(&Subject {
            sink: &store,
            reader: &store,
            capabilities: Capabilities {
                changes: false,
                ..Capabilities::ALL
            },
            now_ms: 1_790_000_000_500,
            settle: &|| {},
        });
        assert_eq!(left_out, ["changes"]);
    }
}
