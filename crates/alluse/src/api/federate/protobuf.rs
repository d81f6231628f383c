//! What is federated as Prometheus's protobuf exposition (`io.prometheus.client.MetricFamily`,
//! <https://github.com/prometheus/client_model>), each family with its length before it. Only this
//! format has a place for native histograms.

use std::collections::BTreeMap;

use model::{Histogram, ResetHint, Span};
use remote::write::protobuf::{bytes, double, message, number, signed, varint};

use super::{Newest, Said, labels_of};

pub(super) const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
     proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Kinds of families, by their numbers in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

impl Kind {
    fn of(said: &Said) -> Self {
        match said {
            Said::Float(_) => Self::Untyped,
            Said::Histogram(h) if h.reset_hint == ResetHint::Gauge => Self::GaugeHistogram,
            Said::Histogram(_) => Self::Histogram,
        }
    }
}

/// The families of samples that are in order of their names; a name that has samples of several
/// kinds is several families.
pub(super) fn written(newest: &[Newest], external: &BTreeMap<String, String>) -> Vec<u8> {
    let named = |sample: &&Newest| !sample.labels.metric_name().is_empty();
    let newest: Vec<&Newest> = newest.iter().filter(named).collect();
    let alike = |a: &&Newest, b: &&Newest| {
        let same_name = a.labels.metric_name() == b.labels.metric_name();
        same_name && Kind::of(&a.said) == Kind::of(&b.said)
    };
    let mut out = Vec::new();
    for family in newest.chunk_by(alike) {
        let mut body = Vec::new();
        bytes(&mut body, 1, family[0].labels.metric_name().as_bytes());
        number(&mut body, 3, Kind::of(&family[0].said) as u64);
        for sample in family {
            message(&mut body, 4, |out| metric(out, sample, external));
        }
        varint(&mut out, body.len() as u64);
        out.extend(body);
    }
    out
}

fn metric(out: &mut Vec<u8>, sample: &Newest, external: &BTreeMap<String, String>) {
    for (name, value) in labels_of(&sample.labels, external) {
        message(out, 1, |out| {
            bytes(out, 1, name.as_bytes());
            bytes(out, 2, value.as_bytes());
        });
    }
    match &sample.said {
        Said::Float(value) => message(out, 5, |out| double(out, 1, *value)),
        Said::Histogram(it) => message(out, 7, |out| histogram(out, it)),
    }
    number(out, 6, sample.time_ms.cast_unsigned());
}

/// Counts are floats: that is what is stored.
fn histogram(out: &mut Vec<u8>, h: &Histogram) {
    double(out, 2, h.sum);
    double(out, 4, h.count);
    signed(out, 5, i64::from(h.schema));
    double(out, 6, h.zero_threshold);
    double(out, 8, h.zero_count);
    spans(out, 9, &h.negative_spans);
    for count in &h.negative_buckets {
        double(out, 11, *count);
    }
    spans(out, 12, &h.positive_spans);
    for count in &h.positive_buckets {
        double(out, 14, *count);
    }
}

fn spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        message(out, field, |out| {
            signed(out, 1, i64::from(span.offset));
            number(out, 2, u64::from(span.length));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Labels;

    use super::*;

    fn newest(name: &str, said: Said) -> Newest {
        Newest {
            labels: Labels::from_pairs([("__name__", name), ("a", "b")]),
            time_ms: 5,
            said,
        }
    }

    #[test]
    fn a_float_is_untyped_byte_for_byte() {
        let external = BTreeMap::from([("z".to_owned(), String::new())]);
        let out = written(&[newest("m", Said::Float(1.5))], &external);
        let mut expected = b"\x23\x0a\x01m\x18\x03\x22\x1c\x0a\x06\x0a\x01a\x12\x01b".to_vec();
        expected.extend(b"\x0a\x05\x0a\x01z\x12\x00\x2a\x09\x09");
        expected.extend(1.5_f64.to_le_bytes());
        expected.extend(b"\x30\x05");
        assert_eq!(out, expected);
    }

    #[test]
    fn a_name_with_floats_and_histograms_is_several_families() {
        let gauge = Histogram {
            reset_hint: ResetHint::Gauge,
            ..Histogram::default()
        };
        let all = [
            newest("m", Said::Float(1.0)),
            newest("m", Said::Histogram(Arc::default())),
            newest("m", Said::Histogram(Arc::new(gauge))),
        ];
        let out = written(&all, &BTreeMap::new());
        let mut rest = out.as_slice();
        let mut kinds = Vec::new();
        while let Some((&length, after)) = rest.split_first() {
            // Name, then the kind.
            assert_eq!(&after[..4], b"\x0a\x01m\x18");
            kinds.push(after[4]);
            rest = &after[usize::from(length)..];
        }
        assert_eq!(kinds, [3, 4, 5]);
    }
}
