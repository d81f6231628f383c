//! Bodies made to explode: each is a correct 4xx, and takes at most 8 MB on the way there.

use std::io::Write;

use collect::receive::{Receiver, Request};

use super::{
    peak::peak_bytes,
    writer::{Message, snappy},
};

/// Most a hostile body may make us hold.
const ALLOWED_BYTES: usize = 8 << 20;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn remote_write(content_type: &str, body: &[u8]) -> (u16, usize) {
    let request = Request {
        content_type: Some(content_type),
        content_encoding: Some("snappy"),
        body,
        ..Request::default()
    };
    let receiver = Receiver::default();
    let (result, peak) = peak_bytes(|| receiver.remote_write(&request).map(|_| ()));
    (result.map_or_else(|refusal| refusal.status, |()| 204), peak)
}

#[test]
fn snappy_bombs_are_refused_before_they_are_unpacked() {
    for (bomb, status) in [
        (&b"\xff\xff\xff\xff\x0f\x00a\xfe\x01\x00\xfe"[..], 413),
        (b"\x80\x80\x80\x80\x04\x00a\xfe\x01\x00\xfe", 413),
        (b"\x80\x80\x80\x1f\x00a\xfe\x01\x00\xfe", 400),
        (b"\x80\x80\x80\x20\x00a\xfe\x01\x00\xfe", 400),
    ] {
        let (got, peak) = remote_write("application/x-protobuf", bomb);
        assert_eq!(got, status, "{bomb:x?}");
        assert!(peak < 64 << 10, "{peak} bytes for {bomb:x?}");
    }
}

#[test]
fn gzip_bombs_stop_at_the_ratio() {
    let zeros = gzip(&vec![b'0'; 64 << 20]);
    let member = gzip(&[b' '; 40_000]);
    let many: Vec<u8> = std::iter::repeat_n(member, 2_000).flatten().collect();
    for (what, body, status) in [
        ("zeros", &zeros, 413),
        ("many members", &many, 413),
        (
            "nested: the outer layer alone is taken off",
            &gzip(&zeros),
            204,
        ),
    ] {
        let request = Request {
            content_encoding: Some("gzip"),
            body,
            ..Request::default()
        };
        let receiver = Receiver::default();
        let (result, peak) = peak_bytes(|| receiver.influx(&request));
        let got = result.map_or_else(
            |refusal| refusal.status,
            |received| {
                assert_eq!(
                    (received.batch.samples.len(), received.rejected.is_empty()),
                    (0, false)
                );
                204
            },
        );
        assert_eq!(got, status, "{what}");
        // 64 MiB of zeros pack to 64 KB: the ratio alone allows a hundredfold of what was read.
        assert!(peak < ALLOWED_BYTES, "{what}: {peak}");
    }
}

#[test]
fn a_body_of_tiny_samples_stops_at_the_batch_limit() {
    let sample = Message::default().message(2, &Message::default());
    let label = Message::default().text(1, "__name__").text(2, "x");
    let mut series = Message::default().message(1, &label);
    series.0.extend(sample.0.repeat(2_000_000));
    let plain = Message::default().message(1, &series).0;
    let (status, peak) = remote_write("application/x-protobuf", &snappy(&plain));
    assert_eq!(status, 413);
    assert!(
        peak < plain.len() + (33 << 20),
        "the body, and a batch that doubles: {peak}"
    );
}

#[test]
fn a_body_of_empty_symbols_or_buckets_stops_at_the_batch_limit() {
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let symbols = Message::default().text(4, "").0.repeat(3_000_000);
    let (status, peak) = remote_write(v2, &snappy(&symbols));
    assert_eq!(status, 413);
    assert!(peak < symbols.len() + (33 << 20), "{peak}");
    let label = Message::default().text(1, "__name__").text(2, "x");
    let histogram = Message::default().bytes(12, &vec![2; 4_000_000]);
    let series = Message::default().message(1, &label).message(4, &histogram);
    let plain = Message::default().message(1, &series).0;
    let (status, peak) = remote_write("application/x-protobuf", &snappy(&plain));
    assert_eq!(status, 413);
    assert!(peak < plain.len() + (33 << 20), "{peak}");
}
