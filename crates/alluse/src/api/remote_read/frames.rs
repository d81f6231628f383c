//! The answer in chunks: frames of `prometheus.ChunkedReadResponse`, each its length (base 128),
//! the CRC-32C of the message (4 bytes, high first) and the message; a series is in as many frames
//! as its samples need.

use model::{Labels, Series};
use remote::write::{
    label,
    protobuf::{bytes, message, number, varint},
};

use super::xor;

/// Bytes of chunks in a frame, as Prometheus bounds them (`remote-read-max-bytes-in-frame`).
const FRAME_BYTES_MAX: usize = 1 << 20;

/// The number of the XOR encoding in `prometheus.Chunk.Encoding`.
const XOR: u64 = 1;

/// Adds the frames of a series of floats of the query at `query` of a request.
pub(super) fn write_series(out: &mut Vec<u8>, query: usize, labels: &Labels, series: &Series) {
    let mut chunks = Vec::new();
    let pieces = series
        .times_ms
        .chunks(xor::SAMPLES_MAX)
        .zip(series.values.chunks(xor::SAMPLES_MAX));
    for (times_ms, values) in pieces {
        if chunks.len() >= FRAME_BYTES_MAX {
            write_frame(out, query, labels, &chunks);
            chunks.clear();
        }
        write_chunk(&mut chunks, times_ms, values);
    }
    if !chunks.is_empty() {
        write_frame(out, query, labels, &chunks);
    }
}

/// A chunk as a field 2 of a `ChunkedSeries`.
fn write_chunk(out: &mut Vec<u8>, times_ms: &[i64], values: &[f64]) {
    let (Some(first), Some(last)) = (times_ms.first(), times_ms.last()) else {
        return;
    };
    message(out, 2, |out| {
        number(out, 1, first.cast_unsigned());
        number(out, 2, last.cast_unsigned());
        number(out, 3, XOR);
        bytes(out, 4, &xor::encode(times_ms, values));
    });
}

fn write_frame(out: &mut Vec<u8>, query: usize, labels: &Labels, chunks: &[u8]) {
    let mut body = Vec::with_capacity(chunks.len() + 512);
    message(&mut body, 1, |out| {
        for (name, value) in labels.iter() {
            label(out, name, value);
        }
        out.extend_from_slice(chunks);
    });
    number(&mut body, 2, query as u64);
    varint(out, body.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_length_its_sum_and_its_query() {
        let labels = Labels::from_pairs([("__name__", "a")]);
        let mut series = Series::new(labels.clone());
        for n in 0..300 {
            series.push(n, 1.0);
        }
        let mut out = Vec::new();
        write_series(&mut out, 3, &labels, &series);
        let mut rest = &out[..];
        let length = collect::receive::protobuf::varint(&mut rest).unwrap();
        let (sum, body) = rest.split_at(4);
        assert_eq!(body.len() as u64, length, "one frame");
        assert_eq!(sum, crc32c::crc32c(body).to_be_bytes());
        let mut fields = collect::receive::protobuf::Fields::new(body);
        let (_, found) = fields.next().unwrap().unwrap();
        let mut inner = found.message().unwrap();
        let mut chunks = 0;
        while let Some((field, _)) = inner.next().unwrap() {
            chunks += u32::from(field == 2);
        }
        assert_eq!(chunks, 3, "120, 120 and 60 samples");
        let (field, query) = fields.next().unwrap().unwrap();
        assert_eq!((field, query.varint().unwrap()), (2, 3));
    }
}
