//! A column of native histograms: the shape once for each run of equal shapes, then counts,
//! sums and every bucket as columns of floats.

use std::sync::Arc;

use model::{Histogram, ResetHint, Span};

use super::{Effort, values};
use crate::varint::{Reader, put_bytes, put_f64, put_i64, put_u64};

/// Appends the coded column.
pub(crate) fn encode(out: &mut Vec<u8>, column: &[Arc<Histogram>], effort: Effort) {
    for run in column.chunk_by(|a, b| same_shape(a, b)) {
        put_u64(out, run.len() as u64);
        put_shape(out, &run[0]);
        let mut put = |field: &dyn Fn(&Histogram) -> f64| {
            let floats: Vec<f64> = run.iter().map(|h| field(h)).collect();
            let mut bytes = Vec::new();
            values::encode(&mut bytes, &floats, effort);
            put_bytes(out, &bytes);
        };
        put(&|h| h.count);
        put(&|h| h.sum);
        put(&|h| h.zero_count);
        for i in 0..run[0].positive_buckets.len() {
            put(&|h| h.positive_buckets[i]);
        }
        for i in 0..run[0].negative_buckets.len() {
            put(&|h| h.negative_buckets[i]);
        }
    }
}

fn same_shape(a: &Histogram, b: &Histogram) -> bool {
    let bits = |floats: &[f64]| floats.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && a.reset_hint == b.reset_hint
        && bits(&a.custom_values) == bits(&b.custom_values)
}

fn put_shape(out: &mut Vec<u8>, h: &Histogram) {
    put_i64(out, i64::from(h.schema));
    put_f64(out, h.zero_threshold);
    out.push(match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    });
    for spans in [&h.positive_spans, &h.negative_spans] {
        put_u64(out, spans.len() as u64);
        for span in spans {
            put_i64(out, i64::from(span.offset));
            put_u64(out, u64::from(span.length));
        }
    }
    put_u64(out, h.positive_buckets.len() as u64);
    put_u64(out, h.negative_buckets.len() as u64);
    put_u64(out, h.custom_values.len() as u64);
    for bound in &h.custom_values {
        put_f64(out, *bound);
    }
}

fn take_shape(reader: &mut Reader<'_>) -> Option<Histogram> {
    let mut h = Histogram {
        schema: i32::try_from(reader.i64()?).ok()?,
        zero_threshold: reader.f64()?,
        reset_hint: match reader.u8()? {
            0 => ResetHint::Unknown,
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => return None,
        },
        ..Histogram::default()
    };
    h.positive_spans = take_spans(reader)?;
    h.negative_spans = take_spans(reader)?;
    // Each bucket is a column of at least one byte, still to come.
    h.positive_buckets = vec![0.0; reader.count()?];
    h.negative_buckets = vec![0.0; reader.count()?];
    for _ in 0..reader.count()? {
        h.custom_values.push(reader.f64()?);
    }
    Some(h)
}

fn take_spans(reader: &mut Reader<'_>) -> Option<Vec<Span>> {
    let count = reader.count()?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let offset = i32::try_from(reader.i64()?).ok()?;
        spans.push(Span {
            offset,
            length: reader.u32()?,
        });
    }
    Some(spans)
}

/// Appends `count` histograms; `None` if the bytes are not a column of that length.
pub(crate) fn decode(bytes: &[u8], count: usize, out: &mut Vec<Arc<Histogram>>) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let mut left = count;
    while left > 0 {
        let n = reader.usize().filter(|n| (1..=left).contains(n))?;
        let shape = take_shape(&mut reader)?;
        let mut run = vec![shape; n];
        take_columns(&mut reader, &mut run)?;
        out.extend(run.into_iter().map(Arc::new));
        left -= n;
    }
    reader.is_empty().then_some(())
}

fn take_columns(reader: &mut Reader<'_>, run: &mut [Histogram]) -> Option<()> {
    let (positive, negative) = (run[0].positive_buckets.len(), run[0].negative_buckets.len());
    let mut floats = Vec::new();
    let mut take = |set: &dyn Fn(&mut Histogram) -> &mut f64| {
        floats.clear();
        values::decode(reader.bytes()?, run.len(), &mut floats)?;
        for (h, value) in run.iter_mut().zip(&floats) {
            *set(h) = *value;
        }
        Some(())
    };
    take(&|h| &mut h.count)?;
    take(&|h| &mut h.sum)?;
    take(&|h| &mut h.zero_count)?;
    for i in 0..positive {
        take(&|h| &mut h.positive_buckets[i])?;
    }
    for i in 0..negative {
        take(&|h| &mut h.negative_buckets[i])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, proptest};

    use super::*;

    fn histogram(i: u32) -> Arc<Histogram> {
        Arc::new(Histogram {
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: 1.0,
            count: f64::from(10 * i + 1),
            sum: f64::from(i) * 0.37,
            positive_spans: vec![
                Span {
                    offset: -2,
                    length: 2,
                },
                Span {
                    offset: 1,
                    length: 1,
                },
            ],
            positive_buckets: vec![f64::from(i), f64::from(2 * i), f64::from(7 * i)],
            reset_hint: if i == 3 {
                ResetHint::Reset
            } else {
                ResetHint::Unknown
            },
            ..Histogram::default()
        })
    }

    #[test]
    fn runs_of_equal_shapes_read_back() {
        let mut column: Vec<_> = (0..200).map(histogram).collect();
        column.push(Arc::new(Histogram {
            schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![0.1, 1.0],
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..Histogram::default()
        }));
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        encode(&mut bytes, &column, Effort::Best);
        decode(&bytes, column.len(), &mut back).unwrap();
        assert_eq!(back, column);
        assert!(bytes.len() < 1000, "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_no_panic(bytes in vec(any::<u8>(), 0..100), n in 0usize..50) {
            let _decoded = decode(&bytes, n, &mut Vec::new());
        }
    }
}
