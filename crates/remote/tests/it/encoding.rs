//! What the encoder writes, our own receiver reads back: both versions, every kind of value.

use std::sync::Arc;

use collect::receive::protobuf::{Fields, Malformed};
use model::{
    Batch, Exemplar, Histogram, Labels, Metadata, MetricType, ResetHint, Sample, Span, Value,
};
use proptest::prelude::*;
use remote::write::{Protocol, bodies, uncompressed};

use crate::peer::received;

pub(crate) const TYPES: [(Protocol, &str); 2] = [
    (Protocol::V1, "application/x-protobuf"),
    (
        Protocol::V2,
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    ),
];

/// What comes back of a batch sent in requests of so many samples, in order of series and time,
/// floats before histograms; values by their bits.
fn round_trip(batch: &Batch, protocol: Protocol, kind: &str, samples_max: usize) -> Batch {
    let mut all = Batch::default();
    for body in bodies(batch, protocol, samples_max) {
        let came = received(kind, &body);
        assert_eq!(came.rejected, collect::receive::Rejected::default());
        all.samples.extend(came.batch.samples);
        all.metadata.extend(came.batch.metadata);
        all.exemplars.extend(came.batch.exemplars);
    }
    all
}

fn key(sample: &Sample) -> (Labels, i64, String) {
    let value = match &sample.value {
        Value::Float(value) => format!("{:016x}", value.to_bits()),
        Value::Histogram(h) => format!("{:?} {:016x}", without_nan(h), h.sum.to_bits()),
    };
    (sample.labels.clone(), sample.time_ms, value)
}

fn without_nan(h: &Histogram) -> Histogram {
    Histogram {
        sum: 0.0,
        ..h.clone()
    }
}

fn sorted(samples: &[Sample]) -> Vec<(Labels, i64, String)> {
    let mut keys: Vec<_> = samples.iter().map(key).collect();
    keys.sort();
    keys
}

fn labels(series: u8) -> Labels {
    let name = format!("metric_{}", series % 5);
    Labels::from_pairs([
        ("__name__", name),
        ("series", series.to_string()),
        ("ütf.8", "\"ß\n".to_owned()),
    ])
}

fn histogram(seed: u8) -> Arc<Histogram> {
    let n = f64::from(seed);
    Arc::new(Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: n,
        count: 4.0 * n + 3.0,
        sum: if seed == 7 { model::stale_nan() } else { -n },
        positive_spans: vec![
            Span {
                offset: -2,
                length: 1,
            },
            Span {
                offset: 3,
                length: 2,
            },
        ],
        positive_buckets: vec![n, n + 1.0, n],
        negative_spans: vec![Span {
            offset: 4,
            length: 1,
        }],
        negative_buckets: vec![2.0],
        custom_values: Vec::new(),
        reset_hint: ResetHint::NotReset,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let odd = [
        f64::NAN,
        model::stale_nan(),
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.0,
        f64::MIN_POSITIVE / 2.0,
    ];
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        (0..odd.len()).prop_map(move |i| Value::Float(odd[i])),
        (0_u8..20).prop_map(|seed| Value::Histogram(histogram(seed))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batches_come_back_bit_for_bit(
        points in prop::collection::vec((0_u8..12, value()), 1..60),
        samples_max in 1_usize..40,
    ) {
        let sample = |(i, (series, value)): (usize, &(u8, Value))| Sample {
            labels: labels(*series),
            time_ms: -5 + i64::try_from(i).unwrap() * 1_000,
            value: value.clone(),
        };
        let batch = Batch {
            samples: points.iter().enumerate().map(sample).collect(),
            ..Batch::default()
        };
        for (protocol, kind) in TYPES {
            let back = round_trip(&batch, protocol, kind, samples_max);
            prop_assert_eq!(sorted(&back.samples), sorted(&batch.samples), "{:?}", protocol);
        }
    }
}

#[test]
fn samples_of_a_series_leave_in_order_and_of_equal_times_the_last_stays() {
    let at = |time_ms, value| Sample::float(labels(1), time_ms, value);
    let batch = Batch {
        samples: vec![at(3, 1.0), at(1, 2.0), at(2, 3.0), at(1, 4.0)],
        ..Batch::default()
    };
    for (protocol, kind) in TYPES {
        let back = round_trip(&batch, protocol, kind, 100).samples;
        let points: Vec<_> = back.iter().map(|s| (s.time_ms, s.value.clone())).collect();
        let float = |value| Value::Float(value);
        assert_eq!(points, [(1, float(4.0)), (2, float(3.0)), (3, float(1.0))]);
    }
}

#[test]
fn metadata_and_exemplars_travel_with_their_series() {
    let name = |name: &str| Labels::from_pairs([("__name__", name), ("job", "a")]);
    let say = |family: &str, metric_type| Metadata {
        family: family.into(),
        metric_type,
        help: format!("What {family} is."),
        unit: "seconds".into(),
    };
    let exemplar = Exemplar {
        series: name("latency_seconds_bucket"),
        labels: Labels::from_pairs([("trace_id", "abc")]),
        value: 0.5,
        time_ms: 7,
    };
    let batch = Batch {
        samples: vec![
            Sample::float(name("latency_seconds_bucket"), 9, 1.0),
            Sample::float(name("queue_seconds"), 9, 2.0),
        ],
        metadata: vec![
            say("latency_seconds", MetricType::Histogram),
            say("queue_seconds", MetricType::Gauge),
        ],
        exemplars: vec![exemplar.clone()],
        ..Batch::default()
    };
    for (protocol, kind) in TYPES {
        let back = round_trip(&batch, protocol, kind, 100);
        let mut metadata = back.metadata.clone();
        metadata.sort_by(|a, b| a.family.cmp(&b.family));
        assert_eq!(metadata, batch.metadata, "{protocol:?}");
        assert_eq!(back.exemplars, batch.exemplars, "{protocol:?}");
    }
}

/// What is in a 2.0 message: its symbols, and its series.
type OnTheWire = (Vec<String>, Vec<OneSeries>);

/// References, times of floats, times of histograms.
type OneSeries = (Vec<u64>, Vec<i64>, Vec<i64>);

fn on_the_wire(plain: &[u8]) -> Result<OnTheWire, Malformed> {
    let (mut symbols, mut series) = (Vec::new(), Vec::new());
    let mut fields = Fields::new(plain);
    while let Some((number, value)) = fields.next()? {
        match number {
            4 => symbols.push(value.text()?.to_owned()),
            5 => series.push(one_series(value.message()?)?),
            _ => return Err(Malformed("a field that is not of 2.0")),
        }
    }
    Ok((symbols, series))
}

fn one_series(mut fields: Fields<'_>) -> Result<OneSeries, Malformed> {
    let (mut references, mut floats, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => value.each_varint(|r| {
                references.push(r);
                Ok::<(), Malformed>(())
            })?,
            2 | 3 => {
                let (times, of_time) = match number {
                    2 => (&mut floats, 2),
                    _ => (&mut histograms, 15),
                };
                let mut inner = value.message()?;
                while let Some((number, value)) = inner.next()? {
                    if number == of_time {
                        times.push(value.int64()?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((references, floats, histograms))
}

#[test]
fn a_2_0_message_keeps_the_musts_of_its_form() {
    let mut samples = Vec::new();
    for i in [5, 3, 4_i64] {
        samples.push(Sample::float(labels(1), i, model::stale_nan()));
        samples.push(Sample::float(labels(2), i, 0.5));
        let value = Value::Histogram(histogram(3));
        samples.push(Sample {
            labels: labels(1),
            time_ms: 10 + i,
            value,
        });
    }
    let batch = Batch {
        samples,
        ..Batch::default()
    };
    let (symbols, series) = on_the_wire(&uncompressed(&batch, Protocol::V2)).unwrap();
    assert_eq!(symbols[0], "", "the first symbol");
    let distinct: std::collections::BTreeSet<&String> = symbols.iter().collect();
    assert_eq!(distinct.len(), symbols.len(), "each once");
    assert_eq!(series.len(), 3, "floats and histograms of one series apart");
    for (references, floats, histograms) in series {
        assert!(
            floats.is_empty() != histograms.is_empty(),
            "one kind, not none"
        );
        assert_eq!(floats.len() + histograms.len(), 3);
        assert!(floats.is_sorted() && histograms.is_sorted());
        assert_eq!(references.len() % 2, 0);
        let texts = references.iter().map(|r| &symbols[*r as usize]);
        let names: Vec<&String> = texts.clone().step_by(2).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert!(texts.clone().all(|text| !text.is_empty()));
        assert_eq!(names[0], "__name__");
    }
}

#[test]
fn a_second_sample_of_a_series_costs_no_labels() {
    let batch = |count: i64| Batch {
        samples: (0..count)
            .map(|i| Sample::float(labels(1), 1_790_000_000_000 + i * 1_000, 0.5))
            .collect(),
        ..Batch::default()
    };
    let (one, two) = (batch(1), batch(2));
    for (protocol, most) in [(Protocol::V1, 20), (Protocol::V2, 20)] {
        let cost = uncompressed(&two, protocol).len() - uncompressed(&one, protocol).len();
        assert!(cost <= most, "{protocol:?}: {cost} bytes");
    }
}
