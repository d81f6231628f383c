//! StatsD and DogStatsD datagrams, aggregated and flushed.

use collect::receive::{
    Fault, Limits,
    statsd::{Statsd, StatsdLimits},
};
use model::{MetricType, Value, is_stale};
use proptest::prelude::*;

use super::text;

fn statsd() -> Statsd {
    Statsd::new(StatsdLimits::default(), Limits::default())
}

#[test]
fn counters_run_on_gauges_move_and_sets_begin_anew() {
    let mut statsd = statsd();
    statsd.datagram(b"page.views:1|c\npage.views:2|c|@0.5|#env:prod,hot\ntemp:20|g\ntemp:+2.5|g\n");
    statsd.datagram(b"users:a|s\nusers:b|s\nusers:a|s\nhits:1:2:3|c");
    let (batch, rejected) = statsd.flush(1000);
    assert!(rejected.is_empty(), "{rejected:?}");
    let mut lines = text(&batch);
    lines.sort();
    assert_eq!(
        lines,
        [
            "hits_total 6 @1000",
            "page_views_total 1 @1000",
            r#"page_views_total{env="prod", hot="true"} 4 @1000"#,
            "temp 22.5 @1000",
            "users 2 @1000",
        ]
    );
    assert_eq!(batch.metadata.len(), 4);
    assert_eq!(batch.metadata[0].metric_type, MetricType::Counter);
    statsd.datagram(b"page.views:1|c\ntemp:-30|g");
    let (batch, _) = statsd.flush(2000);
    let lines = text(&batch);
    for line in [
        "page_views_total 2 @2000",
        "temp -7.5 @2000",
        "users 0 @2000",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line} in {lines:?}");
    }
    assert_eq!(batch.metadata.len(), 0);
}

#[test]
fn timers_and_distributions_become_native_histograms() {
    let mut statsd = statsd();
    statsd.datagram(b"rt:1:2:4|ms\nrt:4|h|@0.5\nrt:0|d\nrt:-2|d");
    let (batch, _) = statsd.flush(5);
    let Value::Histogram(h) = &batch.samples[0].value else {
        panic!("a histogram")
    };
    assert_eq!(
        (h.count, h.sum, h.zero_count, h.schema),
        (7.0, 13.0, 1.0, 3)
    );
    // 1, 2 and 4 are upper bounds of buckets 0, 8 and 16 of schema 3.
    let spans: Vec<_> = h
        .positive_spans
        .iter()
        .map(|s| (s.offset, s.length))
        .collect();
    assert_eq!(spans, [(0, 1), (7, 1), (7, 1)]);
    assert_eq!(h.positive_buckets, [1.0, 1.0, 3.0]);
    assert_eq!(
        (h.negative_spans[0].offset, h.negative_buckets.as_slice()),
        (8, &[1.0][..])
    );
}

#[test]
fn a_histogram_over_its_buckets_takes_a_coarser_schema_and_loses_no_count() {
    let limits = StatsdLimits {
        buckets: 10,
        ..StatsdLimits::default()
    };
    let mut statsd = Statsd::new(limits, Limits::default());
    for i in 0..100 {
        statsd.datagram(format!("rt:{}|ms", 1.1_f64.powi(i)).as_bytes());
    }
    let (batch, _) = statsd.flush(5);
    let Value::Histogram(h) = &batch.samples[0].value else {
        panic!("a histogram")
    };
    assert!(h.positive_buckets.len() <= 10 && h.schema < 3, "{h:?}");
    assert_eq!(h.positive_buckets.iter().sum::<f64>(), 100.0);
}

#[test]
fn bad_lines_are_counted_by_reason_and_their_neighbours_taken() {
    for (line, fault) in [
        ("x", Fault::Syntax),
        ("x:1", Fault::Syntax),
        ("x:1|q", Fault::Syntax),
        (":1|c", Fault::NoName),
        ("x:one|c", Fault::BadNumber),
        ("x:1:two|c", Fault::BadNumber),
        ("x:-1|c", Fault::BadNumber),
        ("x:NaN|g", Fault::BadNumber),
        ("x:1|c|@0", Fault::BadNumber),
        ("x:1|c|@2", Fault::BadNumber),
        ("x:1|c|#a:1,a:2", Fault::DuplicateLabel),
        ("x:1|c|#:1", Fault::EmptyLabel),
        ("x:1|c|T1656581400", Fault::Unsupported),
        ("_e{1,1}:a|b", Fault::Unsupported),
        ("_sc|name|0", Fault::Unsupported),
        ("good:1|ms", Fault::MixedValues),
    ] {
        let mut statsd = statsd();
        statsd.datagram(format!("good:1|g\n{line}\ngood:2|g").as_bytes());
        let (batch, rejected) = statsd.flush(1);
        let reasons: Vec<_> = rejected.reasons.keys().collect();
        assert_eq!(reasons, [&fault], "{line}");
        assert_eq!(text(&batch), ["good 2 @1"], "{line}");
    }
}

#[test]
fn series_are_bounded_and_those_nobody_names_end_with_a_marker() {
    let limits = StatsdLimits {
        series: 2,
        idle_flushes: 1,
        ..StatsdLimits::default()
    };
    let mut statsd = Statsd::new(limits, Limits::default());
    statsd.datagram(b"a:1|g\nb:1|g\nc:1|g");
    let (batch, rejected) = statsd.flush(1);
    assert_eq!(batch.samples.len(), 2);
    assert_eq!(rejected.reasons[&Fault::TooManySeries].0, 1);
    statsd.datagram(b"a:2|g");
    assert_eq!(text(&statsd.flush(2).0), ["a 2 @2", "b 1 @2"]);
    let (batch, _) = statsd.flush(3);
    let Value::Float(gone) = batch.samples[1].value else {
        panic!("a float")
    };
    assert!(is_stale(gone));
    statsd.datagram(b"c:1|g");
    assert_eq!(text(&statsd.flush(4).0)[1], "c 1 @4", "room again");
}

proptest! {
    #[test]
    fn any_datagram_is_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut statsd = statsd();
        statsd.datagram(&bytes);
        statsd.flush(1);
    }

    #[test]
    fn any_likely_text_is_taken_without_a_panic(text in "[a-b:|@#,.0-9cgmshd+e\\n-]{0,60}") {
        let mut statsd = statsd();
        statsd.datagram(text.as_bytes());
        statsd.flush(1);
    }
}
