//! Remote write 1.0 and 2.0: a test for each MUST, against bytes written here.

use collect::receive::{Fault, Limits, Receiver, Reply, Request};
use model::{Durability, Labels, MetricType, ResetHint, STALE_NAN_BITS, Span, Value};
use proptest::prelude::*;

use super::{
    Sink, header, text,
    writer::{Message, random, snappy},
};

const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn request<'a>(content_type: &'a str, body: &'a [u8]) -> Request<'a> {
    Request {
        content_type: Some(content_type),
        content_encoding: Some("snappy"),
        body,
        ..Request::default()
    }
}

fn serve(content_type: &str, message: &Message) -> (Reply, Sink) {
    let sink = Sink::default();
    let body = snappy(&message.0);
    let receiver = Receiver::default();
    let reply = receiver.serve_remote_write(&request(content_type, &body), &sink, Durability::Fast);
    (reply, sink)
}

fn written(reply: &Reply) -> [u64; 3] {
    ["Samples", "Histograms", "Exemplars"].map(|kind| {
        let name = format!("X-Prometheus-Remote-Write-{kind}-Written");
        header(reply, &name).expect(&name).parse().unwrap()
    })
}

fn stored(sink: &Sink) -> Vec<String> {
    sink.kept.lock().unwrap().iter().flat_map(text).collect()
}

fn label(name: &str, value: &str) -> Message {
    Message::default().text(1, name).text(2, value)
}

fn sample(value: f64, time_ms: i64) -> Message {
    Message::default().double(1, value).int(2, time_ms)
}

fn series_v1(labels: &[(&str, &str)], values: &[(f64, i64)]) -> Message {
    let mut series = Message::default();
    for (name, value) in labels {
        series = series.message(1, &label(name, value));
    }
    for (value, time_ms) in values {
        series = series.message(2, &sample(*value, *time_ms));
    }
    series
}

/// Symbols and the series that refer to them.
#[derive(Default)]
struct V2Request {
    symbols: Vec<String>,
    series: Message,
}

impl V2Request {
    fn new() -> Self {
        let symbols = vec![String::new()];
        Self {
            symbols,
            ..Self::default()
        }
    }

    fn symbol(&mut self, text: &str) -> u64 {
        let known = self.symbols.iter().position(|symbol| symbol == text);
        let index = known.unwrap_or_else(|| {
            self.symbols.push(text.to_owned());
            self.symbols.len() - 1
        });
        index as u64
    }

    fn references(&mut self, labels: &[(&str, &str)]) -> Vec<u64> {
        let texts = labels.iter().flat_map(|(n, v)| [*n, *v]);
        texts.map(|text| self.symbol(text)).collect()
    }

    fn add(&mut self, labels: &[(&str, &str)], rest: &Message) {
        let references = self.references(labels);
        let mut series = Message::default().packed(1, &references);
        series.0.extend(&rest.0);
        self.series = std::mem::take(&mut self.series).message(5, &series);
    }

    fn message(&self) -> Message {
        let mut message = Message::default();
        for symbol in &self.symbols {
            message = message.text(4, symbol);
        }
        message.0.extend(&self.series.0);
        message
    }
}

fn one_sample() -> Message {
    Message::default().message(2, &sample(1.0, 1000))
}

const UP: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

#[test]
fn a_1_0_request_is_stored_whole_with_204_and_no_body() {
    let body = Message::default()
        .message(1, &series_v1(&UP, &[(1.0, 1000), (0.5, 2000)]))
        .message(1, &series_v1(&[("__name__", "x")], &[(-0.0, -5)]));
    let (reply, sink) = serve(V1, &body);
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert_eq!(written(&reply), [3, 0, 0]);
    assert_eq!(
        stored(&sink),
        [
            r#"up{job="a"} 1 @1000"#,
            r#"up{job="a"} 0.5 @2000"#,
            "x -0 @-5"
        ]
    );
}

#[test]
fn a_2_0_request_is_stored_whole_with_204_and_exact_counts() {
    let mut v2 = V2Request::new();
    v2.add(&UP, &one_sample());
    v2.add(
        &[("__name__", "h")],
        &Message::default().message(3, &int_histogram()),
    );
    let exemplar = Message::default().double(2, 1.0).int(3, 7);
    v2.add(&[("__name__", "x")], &one_sample().message(4, &exemplar));
    let (reply, sink) = serve(V2, &v2.message());
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert_eq!(
        written(&reply),
        [2, 1, 1],
        "both kinds of samples, and the exemplar"
    );
    assert_eq!(
        stored(&sink),
        [r#"up{job="a"} 1 @1000"#, "x 1 @1000", "h [10 12.5] @3000"]
    );
}

#[test]
fn the_message_is_picked_by_content_type_and_unknown_types_are_415() {
    let mut v2 = V2Request::new();
    v2.add(&UP, &one_sample());
    let v2 = v2.message();
    let v1 = Message::default().message(1, &series_v1(&UP, &[(1.0, 1000)]));
    for (content_type, body, status) in [
        ("application/x-protobuf", &v1, 204),
        (
            "application/x-protobuf;proto=prometheus.WriteRequest",
            &v1,
            204,
        ),
        (
            "Application/X-Protobuf; proto=\"io.prometheus.write.v2.Request\"",
            &v2,
            204,
        ),
        (
            "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            &v2,
            415,
        ),
        ("application/json", &v1, 415),
        ("text/plain;proto=prometheus.WriteRequest", &v1, 415),
    ] {
        let (reply, sink) = serve(content_type, body);
        assert_eq!(reply.status, status, "{content_type}");
        let want = u64::from(status == 204);
        assert_eq!(written(&reply), [want, 0, 0], "{content_type}");
        assert_eq!(stored(&sink).len() as u64, want);
    }
}

#[test]
fn other_encodings_are_415_and_framed_snappy_is_400() {
    let receiver = Receiver::default();
    let body = snappy(
        &Message::default()
            .message(1, &series_v1(&UP, &[(1.0, 1000)]))
            .0,
    );
    for (encoding, body, status) in [
        (Some("gzip"), &body[..], 415),
        (Some("zstd"), &body, 400),
        (
            Some("snappy"),
            b"\xff\x06\x00\x00sNaPpY\x01\x04\x00\x00abcd",
            400,
        ),
        (Some("snappy"), b"", 400),
    ] {
        let request = Request {
            content_encoding: encoding,
            ..request(V1, body)
        };
        let refusal = receiver.remote_write(&request).unwrap_err();
        assert_eq!(refusal.status, status, "{encoding:?}");
        assert_eq!(written(&refusal.into()), [0, 0, 0], "counts on failure too");
    }
}

#[test]
fn zstd_is_read_where_the_header_says_so() {
    let plain = Message::default()
        .message(1, &series_v1(&UP, &[(1.0, 1000)]))
        .0;
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let body = ruzstd::encoding::compress_to_vec(plain.as_slice(), level);
    let with = |body| Request {
        content_encoding: Some("zstd"),
        ..request(V1, body)
    };
    let receiver = Receiver::default();
    let received = receiver.remote_write(&with(&body)).unwrap();
    assert_eq!(received.batch.samples.len(), 1);
    let twice = [&body[..], &body].concat();
    let received = receiver.remote_write(&with(&twice)).unwrap();
    assert_eq!(received.batch.samples.len(), 2, "frames follow each other");
    for cut in 0..body.len() {
        let read = receiver.remote_write(&with(&body[..cut]));
        assert_eq!(read.map_err(|r| r.status).err(), Some(400), "{cut}");
    }
}

#[test]
fn a_repeated_series_is_the_same_whichever_way_it_is_recognised() {
    // Sent three times: spelled, foreseen, foreseen again; then with a label behind the sample,
    // without a sample, with two, with another label, and in another order.
    let receiver = Receiver::default();
    let t = 1_790_000_000_000_i64;
    let up = |job| [("__name__", "up"), ("job", job)];
    let round = |at: i64| -> Vec<Message> {
        ["a", "b", "c"]
            .iter()
            .map(|job| series_v1(&up(job), &[(at as f64, t + at)]))
            .collect()
    };
    let send = |series: &[Message]| {
        let body = series
            .iter()
            .fold(Message::default(), |m, s| m.message(1, s));
        let received = receiver
            .remote_write(&request(V1, &snappy(&body.0)))
            .unwrap();
        let told = received.batch.samples.iter();
        told.map(|s| (s.labels.to_string(), s.time_ms - t))
            .collect::<Vec<_>>()
    };
    let named = |job: &str, at| (format!("up{{job={job:?}}}"), at);
    for at in 0..3 {
        let want = ["a", "b", "c"].map(|job| named(job, at));
        assert_eq!(send(&round(at)), want);
    }
    let mut odd = round(3);
    odd[1] = odd[1].clone().message(1, &label("zone", "z"));
    assert_eq!(
        send(&odd),
        [
            named("a", 3),
            ("up{job=\"b\", zone=\"z\"}".to_owned(), 3),
            named("c", 3)
        ]
    );
    let mut odd = round(4);
    odd[1] = series_v1(&up("b"), &[]);
    odd[2] = series_v1(&up("c"), &[(1.0, t + 4), (2.0, 5)]);
    assert_eq!(
        send(&odd),
        [named("a", 4), named("c", 4), named("c", 5 - t)]
    );
    let mut odd = round(6);
    odd.reverse();
    assert_eq!(send(&odd), ["c", "b", "a"].map(|job| named(job, 6)));
    assert_eq!(send(&round(7)), ["a", "b", "c"].map(|job| named(job, 7)));
    assert_eq!(send(&round(8)), ["a", "b", "c"].map(|job| named(job, 8)));
}

/// A series' labels, its other fields, and what is wrong with it.
type Breach<'a> = (&'a [(&'a str, &'a str)], Message, Fault);

#[test]
fn a_2_0_request_breaking_a_must_is_400_and_the_other_series_are_stored() {
    let exemplar = Message::default().double(2, 1.0).int(3, 7);
    let faults: [Breach<'_>; 8] = [
        (
            &[("b", "1"), ("__name__", "z")],
            one_sample(),
            Fault::UnsortedLabels,
        ),
        (
            &[("__name__", "z"), ("a", "1"), ("a", "2")],
            one_sample(),
            Fault::DuplicateLabel,
        ),
        (
            &[("__name__", "z"), ("a", "")],
            one_sample(),
            Fault::EmptyLabel,
        ),
        (
            &[("", "z"), ("__name__", "z")],
            one_sample(),
            Fault::EmptyLabel,
        ),
        (&[("a", "1")], one_sample(), Fault::NoName),
        (
            &[("__name__", "z")],
            one_sample().message(3, &int_histogram()),
            Fault::MixedValues,
        ),
        (
            &[("__name__", "z")],
            Message::default().message(4, &exemplar),
            Fault::NoValues,
        ),
        (&[("__name__", "z")], Message::default(), Fault::NoValues),
    ];
    for (labels, rest, fault) in faults {
        let mut v2 = V2Request::new();
        v2.add(labels, &rest);
        v2.add(&UP, &one_sample());
        let (reply, sink) = serve(V2, &v2.message());
        assert_eq!(reply.status, 400, "{fault:?}: never 2xx on a partial write");
        assert_eq!(written(&reply), [1, 0, 0], "{fault:?}");
        let message = String::from_utf8(reply.body).unwrap();
        assert!(message.contains(fault.as_str()), "{message}");
        assert_eq!(stored(&sink), [r#"up{job="a"} 1 @1000"#], "{fault:?}");
    }
}

#[test]
fn references_out_of_range_or_without_a_partner_are_400() {
    for references in [
        &[1, 2, 3, 99][..],
        &[1, 2, 3],
        &[1, u64::MAX],
        &[1 << 40, 2],
    ] {
        let series = Message::default()
            .packed(1, references)
            .message(2, &sample(1.0, 1));
        let mut message = Message::default();
        for symbol in ["", "__name__", "up", "job", "a"] {
            message = message.text(4, symbol);
        }
        let (reply, sink) = serve(V2, &message.message(5, &series));
        assert_eq!(
            (reply.status, written(&reply)),
            (400, [0, 0, 0]),
            "{references:?}"
        );
        assert_eq!(stored(&sink).len(), 0);
    }
}

#[test]
fn the_first_symbol_has_to_be_empty_and_symbols_may_come_last() {
    let series = Message::default()
        .packed(1, &[1, 2])
        .message(2, &sample(1.0, 1));
    let wrong = Message::default()
        .text(4, "x")
        .text(4, "__name__")
        .text(4, "up");
    let (reply, _) = serve(V2, &wrong.message(5, &series));
    assert_eq!((reply.status, written(&reply)), (400, [0, 0, 0]));
    let last = Message::default().message(5, &series);
    let (reply, _) = serve(V2, &last.text(4, "").text(4, "__name__").text(4, "up"));
    assert_eq!((reply.status, written(&reply)), (204, [1, 0, 0]));
}

#[test]
fn references_may_be_unpacked_and_unknown_fields_are_skipped() {
    let series = Message::default()
        .varint(1, 1)
        .varint(1, 2)
        .fixed64(90, 1)
        .message(2, &sample(1.0, 1).text(77, "x"));
    let symbols = Message::default()
        .text(4, "")
        .text(4, "__name__")
        .text(4, "up");
    let (reply, sink) = serve(V2, &symbols.varint(55, 5).message(5, &series));
    assert_eq!(reply.status, 204);
    assert_eq!(stored(&sink), ["up 1 @1"]);
}

#[test]
fn labels_of_1_0_are_sorted_and_empty_values_left_out_but_duplicates_refused() {
    let unsorted = [("job", "a"), ("empty", ""), ("__name__", "up")];
    let body = Message::default().message(1, &series_v1(&unsorted, &[(1.0, 1)]));
    let (reply, sink) = serve(V1, &body);
    assert_eq!(reply.status, 204);
    assert_eq!(stored(&sink), [r#"up{job="a"} 1 @1"#]);
    let twice = [("__name__", "up"), ("a", "1"), ("a", "2")];
    let body = Message::default().message(1, &series_v1(&twice, &[(1.0, 1), (2.0, 2)]));
    let (reply, sink) = serve(V1, &body);
    assert_eq!(
        (reply.status, written(&reply), stored(&sink).len()),
        (400, [0, 0, 0], 0)
    );
}

#[test]
fn labels_over_the_limits_cost_only_their_series() {
    let names: Vec<String> = (0..41).map(|i| format!("l{i:02}")).collect();
    let mut many = vec![("__name__", "z")];
    many.extend(names.iter().map(|name| (name.as_str(), "1")));
    let (long_name, long_value) = ("n".repeat(257), "v".repeat(4097));
    for (labels, fault) in [
        (&many[..], "too_many_labels"),
        (&[("__name__", "z"), (&long_name, "1")], "name_too_long"),
        (&[("__name__", "z"), ("a", &long_value)], "value_too_long"),
    ] {
        let mut v2 = V2Request::new();
        v2.add(labels, &one_sample());
        v2.add(&UP, &one_sample());
        let (reply, _) = serve(V2, &v2.message());
        assert_eq!((reply.status, written(&reply)), (400, [1, 0, 0]), "{fault}");
        assert!(String::from_utf8(reply.body).unwrap().contains(fault));
    }
    let mut v2 = V2Request::new();
    v2.add(&many[..41], &one_sample());
    assert_eq!(
        serve(V2, &v2.message()).0.status,
        204,
        "exactly at the limit"
    );
}

#[test]
fn label_bytes_that_are_not_utf_8_are_refused() {
    let bad = Message::default().text(1, "a").bytes(2, b"\xff\xfe");
    let series = Message::default()
        .message(1, &label("__name__", "x"))
        .message(1, &bad);
    let body = Message::default().message(1, &series.message(2, &sample(1.0, 1)));
    let (reply, _) = serve(V1, &body);
    assert_eq!((reply.status, written(&reply)), (400, [0, 0, 0]));
    assert!(String::from_utf8(reply.body).unwrap().contains("not_utf8"));
}

#[test]
fn values_keep_their_bits_stale_markers_above_all() {
    let bits = [
        STALE_NAN_BITS,
        0x7ff8_0000_0000_0001,
        f64::NEG_INFINITY.to_bits(),
        1 << 63,
    ];
    let values: Vec<(f64, i64)> = bits
        .iter()
        .map(|b| (f64::from_bits(*b), i64::MAX))
        .collect();
    let (_, sink) = serve(V1, &Message::default().message(1, &series_v1(&UP, &values)));
    let kept = sink.kept.lock().unwrap();
    let kept = kept[0].samples.iter().map(|sample| match sample.value {
        Value::Float(value) => value.to_bits(),
        Value::Histogram(_) => 0,
    });
    assert_eq!(kept.collect::<Vec<_>>(), bits);
}

#[test]
fn start_timestamps_are_read_and_zero_means_none() {
    let mut v2 = V2Request::new();
    v2.add(
        &UP,
        &one_sample().message(2, &sample(2.0, 2000).int(3, 500)),
    );
    let histogram = Message::default().message(3, &int_histogram().int(17, 600));
    v2.add(&[("__name__", "h")], &histogram);
    let body = snappy(&v2.message().0);
    let received = Receiver::default()
        .remote_write(&request(V2, &body))
        .unwrap();
    let mut starts = received.starts_ms;
    starts.sort_unstable();
    assert_eq!(starts, [(1, 500), (2, 600)], "by place in the request");
}

#[test]
fn exemplars_are_read_and_one_without_a_time_is_counted() {
    let mut v2 = V2Request::new();
    let references = v2.references(&[("trace_id", "abc")]);
    let exemplar = |time| {
        Message::default()
            .packed(1, &references)
            .double(2, 0.5)
            .int(3, time)
    };
    let rest = one_sample()
        .message(4, &exemplar(77))
        .message(4, &exemplar(0));
    v2.add(&UP, &rest);
    let body = snappy(&v2.message().0);
    let received = Receiver::default()
        .remote_write(&request(V2, &body))
        .unwrap();
    assert_eq!(received.batch.exemplars.len(), 1);
    assert_eq!(
        received.batch.exemplars[0].labels,
        Labels::from_pairs([("trace_id", "abc")])
    );
    assert_eq!(
        (
            received.batch.exemplars[0].value,
            received.batch.exemplars[0].time_ms
        ),
        (0.5, 77)
    );
    assert_eq!(received.rejected.exemplars, 1);
    let (reply, _) = serve(V2, &v2.message());
    assert_eq!(
        (reply.status, written(&reply)),
        (400, [1, 0, 1]),
        "never 2xx unless every exemplar was stored as well"
    );
    let said = String::from_utf8(reply.body).unwrap();
    assert!(said.contains("no_timestamp"), "{said}");
}

#[test]
fn exemplars_a_store_refuses_fail_a_2_0_request_and_not_one_of_1_0() {
    let exemplar = Message::default().double(2, 0.5).int(3, 77);
    let mut v2 = V2Request::new();
    v2.add(&UP, &one_sample().message(4, &exemplar));
    let series = series_v1(&UP, &[(1.0, 1000)]).message(3, &exemplar);
    let v1 = Message::default().message(1, &series);
    for (kind, message, status) in [(V2, v2.message(), 400), (V1, v1, 204)] {
        let sink = Sink {
            no_exemplars: true,
            ..Sink::default()
        };
        let body = snappy(&message.0);
        let receiver = Receiver::default();
        let reply = receiver.serve_remote_write(&request(kind, &body), &sink, Durability::Fast);
        assert_eq!((reply.status, written(&reply)), (status, [1, 0, 0]));
        let said = String::from_utf8(reply.body).unwrap();
        assert_eq!(said.contains("exemplars (1)"), status == 400, "{said}");
    }
}

#[test]
fn metadata_is_said_once_and_again_when_a_batch_was_lost() {
    let mut v2 = V2Request::new();
    let (help, unit) = (v2.symbol("How long."), v2.symbol("seconds"));
    let metadata = Message::default()
        .varint(1, 3)
        .varint(3, help)
        .varint(4, unit);
    for name in ["d_seconds_bucket", "d_seconds_sum"] {
        v2.add(&[("__name__", name)], &one_sample().message(5, &metadata));
    }
    let body = snappy(&v2.message().0);
    let receiver = Receiver::default();
    let said = || {
        receiver
            .remote_write(&request(V2, &body))
            .unwrap()
            .batch
            .metadata
    };
    let first = said();
    assert_eq!(first.len(), 1);
    assert_eq!(
        (first[0].family.as_str(), first[0].unit.as_str()),
        ("d_seconds", "seconds")
    );
    assert_eq!(
        (first[0].metric_type, first[0].help.as_str()),
        (MetricType::Histogram, "How long.")
    );
    assert_eq!(said().len(), 0);
    let full = Sink {
        full: true,
        ..Sink::default()
    };
    receiver.serve_remote_write(&request(V2, &body), &full, Durability::Fast);
    assert_eq!(said().len(), 1);
    let v1 = Message::default()
        .varint(1, 2)
        .text(2, "temp")
        .text(4, "Heat.")
        .text(5, "celsius");
    let (_, sink) = serve(V1, &Message::default().message(3, &v1));
    let kept = sink.kept.lock().unwrap();
    assert_eq!(kept[0].metadata[0].family, "temp");
    assert_eq!(kept[0].metadata[0].metric_type, MetricType::Gauge);
}

#[test]
fn a_full_disk_is_503_with_retry_after_and_a_refusing_store_is_400() {
    let body = snappy(
        &Message::default()
            .message(1, &series_v1(&UP, &[(1.0, 1000)]))
            .0,
    );
    let receiver = Receiver::default();
    let full = Sink {
        full: true,
        ..Sink::default()
    };
    let reply = receiver.serve_remote_write(&request(V1, &body), &full, Durability::Fast);
    assert_eq!((reply.status, written(&reply)), (503, [0, 0, 0]));
    assert!(header(&reply, "Retry-After").is_some());
    let refuse = Some(Labels::from_pairs(UP));
    let limited = Sink {
        refuse,
        ..Sink::default()
    };
    let reply = receiver.serve_remote_write(&request(V1, &body), &limited, Durability::Fast);
    assert_eq!((reply.status, written(&reply)), (400, [0, 0, 0]));
    assert!(
        String::from_utf8(reply.body)
            .unwrap()
            .contains("series_limit")
    );
}

fn span(offset: i64, length: u64) -> Message {
    Message::default().sint(1, offset).varint(2, length)
}

/// Count 10, sum 12.5; positive 2, 3, 1 (deltas 2, 1, -2), negative 3, zero bucket 1.
fn int_histogram() -> Message {
    Message::default()
        .varint(1, 10)
        .double(3, 12.5)
        .sint(4, 3)
        .double(5, 0.001)
        .varint(6, 1)
        .message(8, &span(-2, 1))
        .packed_sint(9, &[3])
        .message(11, &span(0, 2))
        .message(11, &span(4, 1))
        .packed_sint(12, &[2, 1, -2])
        .varint(14, 2)
        .int(15, 3000)
}

fn histogram_of(message: &Message) -> Result<model::Histogram, Fault> {
    let mut v2 = V2Request::new();
    v2.add(
        &[("__name__", "h")],
        &Message::default().message(3, message),
    );
    let body = snappy(&v2.message().0);
    let received = Receiver::default()
        .remote_write(&request(V2, &body))
        .unwrap();
    match received.batch.samples.first().map(|s| s.value.clone()) {
        Some(Value::Histogram(histogram)) => Ok((*histogram).clone()),
        Some(Value::Float(_)) => Err(Fault::NoValues),
        None => Err(*received.rejected.reasons.keys().next().unwrap()),
    }
}

#[test]
fn integer_histograms_become_absolute_counts() {
    let histogram = histogram_of(&int_histogram()).unwrap();
    assert_eq!(histogram.positive_buckets, [2.0, 3.0, 1.0]);
    assert_eq!(
        histogram.positive_spans[1],
        Span {
            offset: 4,
            length: 1
        }
    );
    assert_eq!(
        histogram.negative_spans,
        [Span {
            offset: -2,
            length: 1
        }]
    );
    assert_eq!(histogram.negative_buckets, [3.0]);
    assert_eq!(
        (
            histogram.schema,
            histogram.zero_threshold,
            histogram.zero_count
        ),
        (3, 0.001, 1.0)
    );
    assert_eq!(histogram.reset_hint, ResetHint::NotReset);
}

#[test]
fn float_and_custom_bucket_histograms_are_read() {
    let float = Message::default()
        .double(2, 3.5)
        .double(3, 1.0)
        .double(7, 0.5)
        .message(11, &span(1, 2))
        .packed_double(13, &[1.25, 1.75])
        .varint(14, 3);
    let histogram = histogram_of(&float).unwrap();
    assert_eq!(histogram.positive_buckets, [1.25, 1.75]);
    assert_eq!(
        (histogram.count, histogram.reset_hint),
        (3.5, ResetHint::Gauge)
    );
    let custom = Message::default()
        .varint(1, 6)
        .double(3, 9.0)
        .sint(4, -53)
        .message(11, &span(0, 3))
        .packed_sint(12, &[1, 1, 1])
        .packed_double(16, &[0.5, 2.0]);
    let histogram = histogram_of(&custom).unwrap();
    assert_eq!(histogram.custom_values, [0.5, 2.0]);
    assert_eq!(histogram.positive_buckets, [1.0, 2.0, 3.0]);
}

#[test]
fn histograms_that_contradict_themselves_are_refused() {
    let base = || Message::default().varint(1, 3).double(3, 1.0);
    let buckets = |m: Message| m.message(11, &span(0, 2)).packed_sint(12, &[1, 1]);
    for (what, message) in [
        ("an unknown schema", buckets(base()).sint(4, 9)),
        (
            "spans longer than buckets",
            base().message(11, &span(0, 3)).packed_sint(12, &[1, 1]),
        ),
        (
            "a span of four thousand million",
            base().message(11, &span(0, u64::from(u32::MAX))),
        ),
        (
            "a negative count",
            base().message(11, &span(0, 2)).packed_sint(12, &[4, -5]),
        ),
        ("more in buckets than in all", buckets(base()).varint(6, 9)),
        ("less in buckets than in all", base()),
        ("overlapping spans", {
            base()
                .message(11, &span(0, 1))
                .message(11, &span(-1, 1))
                .packed_sint(12, &[1, 1])
        }),
        ("buckets beyond the 32nd bit", {
            base()
                .message(11, &span(i64::from(i32::MAX), 1))
                .message(11, &span(i64::from(i32::MAX), 1))
                .packed_sint(12, &[1, 1])
        }),
        ("floats in an integer histogram", {
            base()
                .message(11, &span(0, 2))
                .packed_double(13, &[1.0, 2.0])
        }),
        ("deltas that overflow", {
            base()
                .message(11, &span(0, 2))
                .packed_sint(12, &[i64::MAX, i64::MAX])
        }),
        (
            "bounds that fall",
            buckets(base()).sint(4, -53).packed_double(16, &[2.0, 1.0]),
        ),
        (
            "bounds of an exponential schema",
            buckets(base()).packed_double(16, &[1.0]),
        ),
        (
            "a zero width that is no number",
            buckets(base()).double(5, f64::NAN),
        ),
    ] {
        assert_eq!(histogram_of(&message), Err(Fault::BadHistogram), "{what}");
    }
    assert!(histogram_of(&buckets(base())).is_ok());
}

/// A request with a bit of everything.
fn everything() -> Message {
    let mut v2 = V2Request::new();
    let help = v2.symbol("Help.");
    let metadata = Message::default().varint(1, 1).varint(3, help);
    let trace = v2.references(&[("trace_id", "x")]);
    let exemplar = Message::default()
        .packed(1, &trace)
        .double(2, 1.0)
        .int(3, 9);
    v2.add(
        &UP,
        &one_sample().message(4, &exemplar).message(5, &metadata),
    );
    v2.add(
        &[("__name__", "h")],
        &Message::default().message(3, &int_histogram()),
    );
    v2.message()
}

fn everything_v1() -> Message {
    let exemplar = Message::default()
        .message(1, &label("t", "x"))
        .double(2, 1.0)
        .int(3, 9);
    let series = series_v1(&UP, &[(1.0, 1)])
        .message(3, &exemplar)
        .message(4, &int_histogram());
    let metadata = Message::default()
        .varint(1, 1)
        .text(2, "up")
        .text(4, "Help.");
    Message::default().message(1, &series).message(3, &metadata)
}

#[test]
fn truncation_at_every_byte_is_400_or_a_shorter_valid_request() {
    let receiver = Receiver::default();
    for (content_type, message) in [(V1, everything_v1()), (V2, everything())] {
        let whole = receiver
            .remote_write(&request(content_type, &snappy(&message.0)))
            .unwrap();
        assert_eq!(
            (whole.batch.samples.len(), whole.rejected.is_empty()),
            (2, true)
        );
        for cut in 0..message.0.len() {
            let body = snappy(&message.0[..cut]);
            match receiver.remote_write(&request(content_type, &body)) {
                Ok(received) => {
                    let samples = received.batch.samples.len();
                    assert!(samples < 2 || content_type == V1, "cut at {cut}");
                }
                Err(refusal) => assert_eq!(refusal.status, 400, "cut at {cut}"),
            }
        }
        let packed = snappy(&message.0);
        for cut in 0..packed.len() {
            let refused = receiver.remote_write(&request(content_type, &packed[..cut]));
            assert_eq!(refused.unwrap_err().status, 400, "packed, cut at {cut}");
        }
    }
}

#[test]
fn mutated_bytes_never_panic_and_leave_the_receiver_working() {
    let receiver = Receiver::default();
    let mut state = 7;
    for (content_type, message) in [(V1, everything_v1()), (V2, everything())] {
        for _ in 0..5_000 {
            let mut bytes = message.0.clone();
            for _ in 0..random(&mut state) % 4 + 1 {
                let at = random(&mut state) as usize % bytes.len();
                bytes[at] = random(&mut state) as u8;
            }
            let body = snappy(&bytes);
            if let Err(refusal) = receiver.remote_write(&request(content_type, &body)) {
                assert!(matches!(refusal.status, 400 | 413), "{refusal:?}");
            }
        }
        let body = snappy(&message.0);
        let whole = receiver
            .remote_write(&request(content_type, &body))
            .unwrap();
        assert_eq!(whole.batch.samples.len(), 2);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(
        body in prop::collection::vec(any::<u8>(), 0..200),
        v2 in any::<bool>(),
    ) {
        let receiver = Receiver::default();
        let content_type = if v2 { V2 } else { V1 };
        for body in [body.clone(), snappy(&body)] {
            if let Err(refusal) = receiver.remote_write(&request(content_type, &body)) {
                prop_assert!(matches!(refusal.status, 400 | 413));
            }
        }
    }

    #[test]
    fn both_versions_give_back_what_was_written(
        series in prop::collection::vec(
            (prop::collection::btree_map("[b-z]{1,8}", "[^\0]{1,12}", 0..6),
             prop::collection::vec((any::<f64>(), any::<i64>()), 1..4)),
            1..8,
        ),
    ) {
        let (mut v1, mut v2) = (Message::default(), V2Request::new());
        let mut want = Vec::new();
        for (i, (labels, values)) in series.iter().enumerate() {
            let name = format!("metric_{i}");
            let mut pairs = vec![("__name__", name.as_str())];
            pairs.extend(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            v1 = v1.message(1, &series_v1(&pairs, values));
            let samples = values.iter().fold(Message::default(), |message, (value, time_ms)| {
                message.message(2, &sample(*value, *time_ms))
            });
            v2.add(&pairs, &samples);
            let set = Labels::from_pairs(pairs);
            want.extend(values.iter().map(|(v, t)| (set.clone(), *t, v.to_bits())));
        }
        let receiver = Receiver::new(Limits { remembered_series: 5, ..Limits::default() });
        for (content_type, message) in [(V1, &v1), (V2, &v2.message()), (V1, &v1)] {
            let body = snappy(&message.0);
            let received = receiver.remote_write(&request(content_type, &body)).unwrap();
            let got = received.batch.samples.into_iter().map(|sample| {
                let Value::Float(value) = sample.value else { panic!("a float") };
                (sample.labels, sample.time_ms, value.to_bits())
            });
            prop_assert_eq!(got.collect::<Vec<_>>(), want.clone());
        }
    }
}
