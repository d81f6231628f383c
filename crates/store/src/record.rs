//! A batch as one record of the log: new series, metadata, floats as columns, histograms.
//!
//! Samples name their series by number; a segment introduces each number before its first use,
//! so that it can be read without the segments before it.

use std::sync::Arc;

use model::{Exemplar, Histogram, Labels, Metadata, MetricType};

use crate::{
    chunk::{Effort, histograms},
    exemplars::{self, EXEMPLARS},
    varint::{Reader, put_bytes, put_f64, put_i64, put_u64},
};

/// First byte of the payload: a batch.
pub(crate) const BATCH: u8 = 1;

/// A batch on its way to the log. The series a batch brings are told before it
/// ([`crate::carry`]); `series` is for records of the log's version 1, written again.
#[derive(Debug, Default)]
pub(crate) struct Outgoing<'a> {
    pub(crate) series: Vec<(u32, &'a Labels)>,
    pub(crate) metadata: Vec<&'a Metadata>,
    pub(crate) floats: Vec<(u32, i64, f64)>,
    pub(crate) histograms: Vec<(u32, i64, Arc<Histogram>)>,
}

/// A batch as the log has it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) series: Vec<(u32, Labels)>,
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) floats: Vec<(u32, i64, f64)>,
    pub(crate) histograms: Vec<(u32, i64, Arc<Histogram>)>,
    /// From a record of their own.
    pub(crate) exemplars: Vec<Exemplar>,
}

impl Outgoing<'_> {
    /// Appends the record's payload.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(BATCH);
        put_u64(out, self.series.len() as u64);
        for (id, labels) in &self.series {
            put_u64(out, u64::from(*id));
            put_bytes(out, labels.as_bytes());
        }
        put_u64(out, self.metadata.len() as u64);
        for metadata in &self.metadata {
            put_metadata(out, metadata);
        }
        put_u64(out, self.floats.len() as u64);
        let mut last = (0i64, 0i64);
        for (id, time_ms, value) in &self.floats {
            put_place(out, &mut last, *id, *time_ms);
            put_f64(out, *value);
        }
        put_u64(out, self.histograms.len() as u64);
        for (id, time_ms, histogram) in &self.histograms {
            put_place(out, &mut last, *id, *time_ms);
            let mut bytes = Vec::new();
            histograms::encode(&mut bytes, std::slice::from_ref(histogram), Effort::Quick);
            put_bytes(out, &bytes);
        }
    }
}

/// Series and time, as differences from the sample before.
fn put_place(out: &mut Vec<u8>, last: &mut (i64, i64), id: u32, time_ms: i64) {
    put_i64(out, i64::from(id) - last.0);
    put_i64(out, time_ms.wrapping_sub(last.1));
    *last = (i64::from(id), time_ms);
}

fn take_place(reader: &mut Reader<'_>, last: &mut (i64, i64)) -> Option<(u32, i64)> {
    last.0 = last.0.wrapping_add(reader.i64()?);
    last.1 = last.1.wrapping_add(reader.i64()?);
    Some((u32::try_from(last.0).ok()?, last.1))
}

impl Incoming {
    /// Reads a record's payload; `None` if it is not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut record = Self::default();
        match reader.u8()? {
            BATCH => {}
            EXEMPLARS => {
                record.exemplars = exemplars::decode(&mut reader)?;
                return Some(record);
            }
            _ => return None,
        }
        for _ in 0..reader.count()? {
            let id = reader.u32()?;
            record
                .series
                .push((id, Labels::from_bytes(reader.bytes()?)?));
        }
        for _ in 0..reader.count()? {
            record.metadata.push(take_metadata(&mut reader)?);
        }
        let count = reader.count()?;
        record.floats.reserve(count);
        let mut last = (0, 0);
        for _ in 0..count {
            let (id, time_ms) = take_place(&mut reader, &mut last)?;
            record.floats.push((id, time_ms, reader.f64()?));
        }
        for _ in 0..reader.count()? {
            let (id, time_ms) = take_place(&mut reader, &mut last)?;
            let mut one = Vec::new();
            histograms::decode(reader.bytes()?, 1, &mut one)?;
            record.histograms.push((id, time_ms, one.pop()?));
        }
        reader.is_empty().then_some(record)
    }
}

/// Appends one family's metadata.
pub(crate) fn put_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    put_bytes(out, metadata.family.as_bytes());
    out.push(match metadata.metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    });
    put_bytes(out, metadata.help.as_bytes());
    put_bytes(out, metadata.unit.as_bytes());
}

/// Reads what [`put_metadata`] wrote.
pub(crate) fn take_metadata(reader: &mut Reader<'_>) -> Option<Metadata> {
    let text =
        |reader: &mut Reader<'_>| std::str::from_utf8(reader.bytes()?).ok().map(str::to_owned);
    let family = text(reader)?;
    let metric_type = match reader.u8()? {
        0 => MetricType::Unknown,
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => return None,
    };
    Some(Metadata {
        family,
        metric_type,
        help: text(reader)?,
        unit: text(reader)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop::collection::vec, proptest};

    use super::*;

    #[test]
    fn a_batch_reads_back_and_every_cut_of_it_is_refused() {
        let labels = Labels::from_pairs([("__name__", "up")]);
        let metadata = Metadata {
            family: "up".into(),
            metric_type: MetricType::StateSet,
            help: "Is it?".into(),
            unit: String::new(),
        };
        let histogram = Arc::new(Histogram {
            sum: 1.5,
            count: 3.0,
            ..Histogram::default()
        });
        let batch = Outgoing {
            series: vec![(7, &labels)],
            metadata: vec![&metadata],
            floats: vec![
                (7, i64::MAX, -0.0),
                (3, i64::MIN, f64::NAN),
                (u32::MAX - 1, 0, 0.1),
            ],
            histograms: vec![(2, 5, Arc::clone(&histogram))],
        };
        let mut bytes = Vec::new();
        batch.encode(&mut bytes);
        let back = Incoming::decode(&bytes).unwrap();
        assert_eq!(back.series, [(7, labels.clone())]);
        assert_eq!(back.metadata, std::slice::from_ref(&metadata));
        assert_eq!(back.histograms, [(2, 5, histogram)]);
        for (a, b) in back.floats.iter().zip(&batch.floats) {
            assert_eq!((a.0, a.1, a.2.to_bits()), (b.0, b.1, b.2.to_bits()));
        }
        for cut in 0..bytes.len() {
            assert_eq!(Incoming::decode(&bytes[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_no_panic(mut bytes in vec(any::<u8>(), 0..100)) {
            if let Some(first) = bytes.first_mut() {
                *first = BATCH;
            }
            let _decoded = Incoming::decode(&bytes);
        }
    }
}
