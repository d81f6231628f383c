//! Bodies made to explode: each is a correct 4xx, and takes at most 8 MB on the way there.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use collect::receive::{Receiver, Reply, Request};
use model::{AppendError, Appended, Batch, Durability, Point, SampleSink, SeriesTable};

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
fn zstd_bombs_stop_at_the_ratio_the_window_and_the_number_of_frames() {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zeros = ruzstd::encoding::compress_to_vec(vec![b'0'; 64 << 20].as_slice(), level);
    // A frame with nothing in it: magic, single segment of 0 bytes, an empty last raw block.
    let empty = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00";
    let many = empty.repeat(100_000);
    // A window of 1 GiB: exponent 20 above 2^10.
    let wide = b"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00";
    for (what, body, status) in [
        ("zeros", &zeros[..], 413),
        ("many frames", &many, 413),
        ("a wide window", wide, 400),
        ("not zstd", b"plain text", 400),
    ] {
        let request = Request {
            content_encoding: Some("zstd"),
            body,
            ..Request::default()
        };
        let receiver = Receiver::default();
        let (result, peak) = peak_bytes(|| receiver.influx(&request));
        assert_eq!(result.map_err(|r| r.status).err(), Some(status), "{what}");
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

/// A sink that keeps nothing but counts.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn count(&self, samples: usize) -> Appended {
        let stored = samples as u64;
        self.0.fetch_add(stored, Relaxed);
        Appended {
            stored,
            ..Appended::default()
        }
    }
}

/// Takes points as points, as the store does: a batch of them would be a copy.
impl SampleSink for Counter {
    fn append(&self, batch: &Batch, _: Durability) -> Result<Appended, AppendError> {
        Ok(self.count(batch.samples.len()))
    }

    fn append_points(
        &self,
        _: &mut SeriesTable,
        points: &[Point],
        _: &'static str,
        _: Durability,
    ) -> Result<Appended, AppendError> {
        Ok(self.count(points.len()))
    }
}

/// Status, samples stored, and memory taken at the highest, the body apart.
fn served(content_type: &str, body: &[u8]) -> (u16, u64, usize) {
    let request = Request {
        content_type: Some(content_type),
        content_encoding: Some("snappy"),
        body,
        ..Request::default()
    };
    let (receiver, sink) = (Receiver::default(), Counter::default());
    let serve = || receiver.serve_remote_write(&request, &sink, Durability::Fast);
    let (reply, peak) = peak_bytes(serve);
    (reply.status, sink.0.load(Relaxed), peak)
}

#[test]
fn a_long_request_is_stored_whole_in_the_memory_of_a_short_one() {
    let sample = Message::default().double(1, 1.5).int(2, 1_790_000_000_000);
    let mut v1 = Message::default();
    let mut v2 = Message::default().text(4, "").text(4, "__name__");
    v2 = v2.text(4, "x").text(4, "i");
    for i in 0..300_u64 {
        let name = Message::default().text(1, "__name__").text(2, "x");
        let id = Message::default().text(1, "i").text(2, &i.to_string());
        let mut one = Message::default().message(1, &name).message(1, &id);
        let mut two = Message::default().packed(1, &[1, 2, 3, 4 + i]);
        for _ in 0..1_000 {
            one = one.message(2, &sample);
            two = two.message(2, &sample);
        }
        v1 = v1.message(1, &one);
        v2 = v2.message(5, &two).text(4, &i.to_string());
    }
    for (content_type, plain) in [
        ("application/x-protobuf", v1),
        (
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            v2,
        ),
    ] {
        let body = snappy(&plain.0);
        let (status, stored, peak) = served(content_type, &body);
        assert_eq!((status, stored), (204, 300_000), "{content_type}");
        assert!(
            peak < ALLOWED_BYTES,
            "{content_type}: {peak} of {}",
            plain.0.len()
        );
        // Cut off near its end: nothing is stored, as of any request that cannot be read.
        let cut = snappy(&plain.0[..plain.0.len() - 3]);
        let (status, stored, peak) = served(content_type, &cut);
        assert_eq!((status, stored), (400, 0), "{content_type}");
        assert!(peak < ALLOWED_BYTES, "{content_type}: {peak}");
    }
}

#[test]
fn long_bodies_made_to_explode_are_refused_in_the_memory_of_a_short_one() {
    let v1 = "application/x-protobuf";
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let label = Message::default().text(1, "__name__").text(2, "x");
    let empty = Message::default().message(2, &Message::default());
    let series = |samples| {
        let mut series = Message::default().message(1, &label);
        series.0.extend(empty.0.repeat(samples));
        Message::default().message(1, &series).0
    };
    let buckets = Message::default().bytes(12, &vec![2; 900_000]);
    let histogram = Message::default().message(1, &label).message(4, &buckets);
    let histogram = Message::default().message(1, &histogram).0;
    for (what, content_type, plain, status) in [
        ("zeros", v1, vec![0; 60 << 20], 400),
        (
            "one series of two million samples",
            v1,
            series(2_000_000),
            413,
        ),
        (
            "symbols",
            v2,
            Message::default().text(4, "").0.repeat(9_000_000),
            413,
        ),
        ("buckets", v1, histogram.repeat(20), 413),
    ] {
        let (got, stored, peak) = served(content_type, &snappy(&plain));
        assert_eq!((got, stored), (status, 0), "{what}");
        assert!(peak < ALLOWED_BYTES, "{what}: {peak}");
    }
    // Two million samples in series of bounded size are simply many samples.
    let many = series(100_000).repeat(20);
    let (status, stored, peak) = served(v1, &snappy(&many));
    assert_eq!((status, stored), (204, 2_000_000));
    assert!(peak < ALLOWED_BYTES, "{peak}");
}

/// A sink that counts and keeps nothing.
#[derive(Debug, Default)]
struct Counting {
    batches: AtomicUsize,
    samples: AtomicUsize,
}

impl SampleSink for Counting {
    fn append(&self, batch: &Batch, _durability: Durability) -> Result<Appended, AppendError> {
        self.batches.fetch_add(1, Relaxed);
        self.samples.fetch_add(batch.samples.len(), Relaxed);
        Ok(Appended {
            stored: batch.samples.len() as u64,
            ..Appended::default()
        })
    }
}

/// A body of lines, how many lines, and how many times its size it unpacks to.
type LongLines = (Vec<u8>, usize, usize);

/// A body of lines whose values differ, so that it packs as real ones do.
fn long_lines(line: impl Fn(u64) -> String) -> LongLines {
    let mut plain = String::new();
    let mut lines = 0;
    while plain.len() < 24 << 20 {
        plain.push_str(&line(lines as u64));
        lines += 1;
    }
    let packed = gzip(plain.as_bytes());
    let ratio = plain.len() / packed.len();
    (packed, lines, ratio)
}

#[test]
fn a_long_body_of_lines_is_stored_in_pieces_and_held_nowhere() {
    type Serve = fn(&Receiver, &Request<'_>, &dyn SampleSink, Durability) -> Reply;
    let influx = |i: u64| {
        format!(
            "m,host=h{},text=the\\ same\\ in\\ each\\ line value={i} {i}\n",
            i % 50
        )
    };
    let json = |i: u64| {
        let metric = format!(
            "{{\"__name__\":\"m\",\"host\":\"{}\",\"text\":\"the same\"}}",
            i % 50
        );
        format!("{{\"metric\":{metric},\"value\":{i},\"timestamp\":{i}}}\n")
    };
    let csv = |i: u64| match i {
        0 => "metric,host,text,timestamp,value\n".to_owned(),
        i => format!(
            "m,h{},the same text in each of all the rows,{i},{i}\n",
            i % 50
        ),
    };
    let doors: [(&str, Serve, LongLines); 3] = [
        ("influx", Receiver::serve_influx, long_lines(influx)),
        ("json lines", Receiver::serve_json_lines, long_lines(json)),
        ("csv", Receiver::serve_csv, long_lines(csv)),
    ];
    for (door, serve, (body, lines, ratio)) in doors {
        assert!((5..100).contains(&ratio), "{door}: {ratio}, as real bodies");
        let request = Request {
            content_encoding: Some("gzip"),
            body: &body,
            ..Request::default()
        };
        let (receiver, sink) = (Receiver::default(), Counting::default());
        let (reply, peak) = peak_bytes(|| serve(&receiver, &request, &sink, Durability::Fast));
        let said = String::from_utf8(reply.body).unwrap();
        assert_eq!(reply.status, 204, "{door}: {said}");
        let header = usize::from(door == "csv");
        assert_eq!(sink.samples.load(Relaxed), lines - header, "{door}");
        assert!(sink.batches.load(Relaxed) > 10, "{door}");
        assert!(
            peak < 4 << 20,
            "{door}: {peak} bytes of {} unpacked",
            24 << 20
        );

        // Broken off in the middle: what came before is stored, and counted.
        let cut = Request {
            body: &body[..body.len() / 2],
            ..request
        };
        let sink = Counting::default();
        let reply = serve(&receiver, &cut, &sink, Durability::Fast);
        assert_eq!(reply.status, 400, "{door}");
        let stored = sink.samples.load(Relaxed);
        assert!(
            stored > lines / 3 && stored < lines / 3 * 2,
            "{door}: {stored}"
        );
        let said = String::from_utf8(reply.body).unwrap();
        let wanted = format!("partial write, {stored} samples stored: the gzip body is broken");
        assert!(said.contains(&wanted), "{said}");
    }
}

#[test]
fn one_line_that_never_ends_is_not_held() {
    // At a ratio that real bodies reach: a random byte between runs.
    let mut plain = Vec::new();
    for i in 0..200_000_u32 {
        plain.extend(
            i.wrapping_mul(2_654_435_761)
                .to_le_bytes()
                .map(|b| b | 0x20),
        );
        plain.extend([b'x'; 120]);
    }
    plain.retain(|byte| *byte != b'\n');
    let body = gzip(&plain);
    let ratio = plain.len() / body.len();
    assert!((10..100).contains(&ratio), "{ratio}");
    let request = Request {
        content_encoding: Some("gzip"),
        body: &body,
        ..Request::default()
    };
    let (receiver, sink) = (Receiver::default(), Counting::default());
    let serve = || receiver.serve_influx(&request, &sink, Durability::Fast);
    let (reply, peak) = peak_bytes(serve);
    assert_eq!(reply.status, 400);
    assert!(peak < 4 << 20, "{peak}");
}
