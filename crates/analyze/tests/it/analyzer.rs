//! The table of series: bounds, rates, findings.

use analyze::{Analyzer, Config};
use model::{Batch, FindingKind, Labels, METRIC_NAME, Metadata, MetricType, Sample};

use crate::noise::Noise;

fn labels(name: &str, n: u64) -> Labels {
    Labels::from_pairs([(METRIC_NAME, name.to_owned()), ("n", n.to_string())])
}

fn batch(samples: impl IntoIterator<Item = Sample>) -> Batch {
    Batch {
        samples: samples.into_iter().collect(),
        ..Batch::default()
    }
}

#[test]
fn series_beyond_the_bound_are_counted_and_not_watched() {
    let mut analyzer = Analyzer::new(Config {
        max_series: 10,
        ..Config::default()
    });
    let samples = (0..25).map(|n| Sample::float(labels("up", n), 1000, 1.0));
    assert_eq!(analyzer.observe(&batch(samples)), []);
    let stats = analyzer.stats();
    assert_eq!((stats.series, stats.overflow, stats.points), (10, 15, 10));
}

#[test]
fn series_not_seen_for_an_hour_are_forgotten_and_make_room() {
    let mut analyzer = Analyzer::new(Config {
        max_series: 2,
        ..Config::default()
    });
    let one = |n, t| batch([Sample::float(labels("up", n), t, 1.0)]);
    analyzer.observe(&one(1, 0));
    analyzer.observe(&one(2, 0));
    analyzer.observe(&one(1, 3_000_000));
    analyzer.observe(&one(1, 3_700_000));
    assert_eq!(
        (analyzer.stats().series, analyzer.stats().forgotten),
        (1, 1),
        "2 is gone"
    );
    analyzer.observe(&one(3, 3_700_000));
    assert_eq!((analyzer.stats().series, analyzer.stats().overflow), (2, 0));
}

#[test]
fn one_source_with_a_wrong_clock_does_not_erase_the_others() {
    let mut analyzer = Analyzer::new(Config::default());
    let good = |t| (0..10).map(move |n| Sample::float(labels("up", n), t, 1.0));
    analyzer.observe(&batch(good(0)));
    let wrong = Sample::float(labels("clock", 0), i64::MAX, 1.0);
    analyzer.observe(&batch(good(1000).chain([wrong])));
    analyzer.observe(&batch(good(120_000)));
    assert_eq!(
        (analyzer.stats().series, analyzer.stats().forgotten),
        (11, 0)
    );
}

#[test]
fn late_samples_and_values_that_are_no_numbers_are_skipped_and_counted() {
    let mut analyzer = Analyzer::new(Config::default());
    let point = |t, v| Sample::float(labels("up", 0), t, v);
    analyzer.observe(&batch([
        point(2000, 1.0),
        point(1000, 1.0),
        point(2000, 1.0),
        point(3000, f64::NAN),
        point(3000, f64::INFINITY),
        point(3000, model::stale_nan()),
        point(4000, 1.0),
    ]));
    assert_eq!((analyzer.stats().points, analyzer.stats().skipped), (2, 5));
}

#[test]
fn state_stays_below_four_kilobytes_a_series() {
    let mut analyzer = Analyzer::new(Config::default());
    for i in 0..500 {
        let samples = (0..20).map(|n| Sample::float(labels("up", n), i * 60_000, i as f64));
        analyzer.observe(&batch(samples));
    }
    let stats = analyzer.stats();
    assert!(
        stats.state_bytes <= 20 * 4096,
        "{} bytes for 20 series",
        stats.state_bytes
    );
    assert!(stats.state_bytes > 20 * 1024, "seasons are counted");
}

/// A steady counter with restarts, scraped unevenly: its rate is level, so nothing is told; then
/// the rate jumps.
#[test]
fn counters_are_judged_by_their_rate() {
    let mut analyzer = Analyzer::new(Config::default());
    let metadata = vec![Metadata {
        family: "bytes".to_owned(),
        metric_type: MetricType::Counter,
        help: String::new(),
        unit: String::new(),
    }];
    let (mut noise, mut time, mut count, mut told) = (Noise::new(8), 0, 0.0, Vec::new());
    for i in 0..3400 {
        let step = 1000 + (noise.uniform() * 50.0) as i64;
        let rate = if i >= 2900 { 5000.0 } else { 1000.0 } + 20.0 * noise.gauss();
        time += step;
        count = if i % 700 == 699 {
            0.0
        } else {
            count + rate * step as f64 / 1000.0
        };
        let samples = vec![Sample::float(labels("bytes", 0), time, count)];
        told.extend(analyzer.observe(&Batch {
            samples,
            metadata: metadata.clone(),
            ..Batch::default()
        }));
    }
    assert!(
        told.iter()
            .all(|f| !f.summary.is_empty() && f.severity > 0.0)
    );
    let level = told.iter().filter_map(|f| match f.what {
        FindingKind::ChangePoint { before, after, .. } => Some((before, after)),
        FindingKind::Anomaly { .. } | FindingKind::Exhaustion { .. } => None,
    });
    let level: Vec<_> = level.collect();
    assert_eq!(level.len(), 1, "{told:?}");
    assert!((level[0].0 / 1000.0 - 1.0).abs() < 0.1 && (level[0].1 / 5000.0 - 1.0).abs() < 0.1);
    let change = told
        .iter()
        .find(|f| matches!(f.what, FindingKind::ChangePoint { .. }));
    let summary = &change.expect("found above").summary;
    assert!(
        summary.starts_with("The rate of bytes{n=\"0\"} moved from "),
        "{summary}"
    );
}
