//! OTLP over HTTP, protobuf and JSON, against bytes written here.

use collect::receive::{Received, Receiver, Reply, Request};
use model::{Durability, MetricType, Value, is_stale};
use proptest::prelude::*;

use super::{
    Sink, header, text,
    writer::{Message, random},
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json; charset=utf-8";
/// 1,700,000,000,000 ms.
const TIME: u64 = 1_700_000_000_000_000_000;

fn request<'a>(content_type: &'a str, body: &'a [u8]) -> Request<'a> {
    Request {
        content_type: Some(content_type),
        body,
        ..Request::default()
    }
}

fn serve(content_type: &str, body: &[u8]) -> (Reply, Vec<String>) {
    let sink = Sink::default();
    let reply =
        Receiver::default().serve_otlp(&request(content_type, body), &sink, Durability::Fast);
    let stored = sink.kept.lock().unwrap().iter().flat_map(text).collect();
    (reply, stored)
}

fn received(body: &Message) -> Received {
    Receiver::default()
        .otlp(&request(PROTOBUF, &body.0))
        .unwrap()
}

fn attribute(key: &str, value: &Message) -> Message {
    Message::default().text(1, key).message(2, value)
}

fn text_attribute(key: &str, value: &str) -> Message {
    attribute(key, &Message::default().text(1, value))
}

/// A request with one metric of one resource and scope.
fn export(metric: &Message) -> Message {
    let resource = Message::default()
        .message(1, &text_attribute("service.name", "shop"))
        .message(1, &text_attribute("service.namespace", "eu"))
        .message(1, &text_attribute("service.instance.id", "i-1"))
        .message(1, &text_attribute("host.name", "h1"));
    let scope = Message::default().text(1, "lib").text(2, "1.0");
    let scope_metrics = Message::default().message(1, &scope).message(2, metric);
    let resource_metrics = Message::default()
        .message(1, &resource)
        .message(2, &scope_metrics);
    Message::default().message(1, &resource_metrics)
}

fn metric(name: &str, unit: &str, kind: u32, data: &Message) -> Message {
    Message::default()
        .text(1, name)
        .text(2, "Help.")
        .text(3, unit)
        .message(kind, data)
}

fn number(value: f64) -> Message {
    Message::default().fixed64(3, TIME).double(4, value)
}

/// A sum's or histogram's data: one point, cumulative, monotonic.
fn cumulative(point: &Message) -> Message {
    Message::default()
        .message(1, point)
        .varint(2, 2)
        .varint(3, 1)
}

const IDENTITY: &str = r#"instance="i-1", job="eu/shop", "#;
const SCOPE: &str = r#"otel_scope_name="lib", otel_scope_version="1.0""#;
const INFO: &str = r#"target_info{host_name="h1", instance="i-1", job="eu/shop"} 1 @1700000000000"#;

#[test]
fn a_counter_gets_unit_and_total_and_the_resource_becomes_job_instance_and_target_info() {
    let point = Message::default()
        .fixed64(2, TIME - 5_000_000)
        .fixed64(3, TIME)
        .fixed64(6, 7)
        .message(7, &text_attribute("http.method", "GET"))
        .message(7, &attribute("code", &Message::default().int(3, 200)))
        .message(7, &attribute("ok", &Message::default().varint(2, 1)))
        .message(7, &text_attribute("a.b", "2"))
        .message(7, &text_attribute("a-b", "1"));
    let body = export(&metric("net.io", "By", 7, &cumulative(&point)));
    let (reply, stored) = serve(PROTOBUF, &body.0);
    assert_eq!(
        (reply.status, reply.body.len()),
        (200, 0),
        "unset on full success"
    );
    assert_eq!(header(&reply, "Content-Type"), Some(PROTOBUF));
    let labels =
        format!(r#"a_b="1;2", code="200", http_method="GET", {IDENTITY}ok="true", {SCOPE}"#);
    assert_eq!(
        stored,
        [
            format!("net_io_bytes_total{{{labels}}} 7 @1700000000000"),
            INFO.to_owned()
        ]
    );
    let received = received(&body);
    assert_eq!(received.starts_ms, [(0, 1_699_999_999_995)]);
    let metadata = &received.batch.metadata[0];
    assert_eq!(
        (metadata.family.as_str(), metadata.unit.as_str()),
        ("net_io_bytes_total", "bytes")
    );
    assert_eq!(
        (metadata.metric_type, metadata.help.as_str()),
        (MetricType::Counter, "Help.")
    );
}

#[test]
fn gauges_and_sums_that_fall_are_gauges() {
    for (kind, extra) in [
        (5, Message::default()),
        (7, Message::default().varint(2, 2)),
    ] {
        let mut data = Message::default().message(1, &number(-2.5));
        data.0.extend(&extra.0);
        let (_, stored) = serve(PROTOBUF, &export(&metric("queue", "", kind, &data)).0);
        let want = format!("queue{{{IDENTITY}{SCOPE}}} -2.5 @1700000000000");
        assert_eq!(stored, [want, INFO.to_owned()]);
    }
}

#[test]
fn delta_sums_are_rejected_by_partial_success_with_200() {
    let delta = Message::default()
        .message(1, &number(1.0))
        .message(1, &number(2.0))
        .varint(2, 1);
    let (reply, stored) = serve(PROTOBUF, &export(&metric("d", "", 7, &delta)).0);
    assert_eq!(reply.status, 200);
    assert_eq!(stored.len(), 0);
    let partial = Message::default()
        .varint(1, 2)
        .text(2, "unsupported (2, first: d)");
    assert_eq!(reply.body, Message::default().message(1, &partial).0);
}

#[test]
fn a_histogram_becomes_cumulative_buckets_sum_and_count() {
    let mut counts = Vec::new();
    for count in [1_u64, 2, 3] {
        counts.extend(count.to_le_bytes());
    }
    let point = Message::default()
        .fixed64(3, TIME)
        .fixed64(4, 6)
        .double(5, 12.5)
        .bytes(6, &counts)
        .packed_double(7, &[0.5, 2.0]);
    let (_, stored) = serve(
        PROTOBUF,
        &export(&metric("lat", "s", 9, &cumulative(&point))).0,
    );
    let series = |name: &str, le: &str, value: f64| {
        format!("lat_seconds_{name}{{{IDENTITY}{le}{SCOPE}}} {value} @1700000000000")
    };
    assert_eq!(
        stored,
        [
            series("bucket", r#"le="0.5", "#, 1.0),
            series("bucket", r#"le="2", "#, 3.0),
            series("bucket", r#"le="+Inf", "#, 6.0),
            series("sum", "", 12.5),
            series("count", "", 6.0),
            INFO.to_owned(),
        ]
    );
    let wrong = point.double(7, 3.0);
    let (reply, stored) = serve(
        PROTOBUF,
        &export(&metric("lat", "s", 9, &cumulative(&wrong))).0,
    );
    assert_eq!(
        (reply.status, stored.len(), reply.body.is_empty()),
        (200, 0, false)
    );
}

#[test]
fn exemplars_stand_behind_the_first_bucket_that_counts_them() {
    let example = |value: f64, trace: &[u8]| {
        Message::default()
            .fixed64(2, TIME)
            .double(3, value)
            .bytes(5, trace)
            .message(7, &text_attribute("user.id", "u1"))
    };
    let point = Message::default()
        .fixed64(3, TIME)
        .fixed64(4, 2)
        .fixed64(6, 1)
        .fixed64(6, 1)
        .double(7, 0.5)
        .message(8, &example(0.5, &[0xab; 16]))
        .message(8, &example(7.0, &[0; 16]))
        .message(8, &Message::default().double(3, 0.1));
    let received = received(&export(&metric("latency", "s", 9, &cumulative(&point))));
    let shown: Vec<String> = received
        .batch
        .exemplars
        .iter()
        .map(|e| {
            let le = e.series.get("le").unwrap();
            format!(
                "{} {le} {} {} @{}",
                e.series.metric_name(),
                e.labels,
                e.value,
                e.time_ms
            )
        })
        .collect();
    let trace = "ab".repeat(16);
    assert_eq!(
        shown,
        [
            format!(
                "latency_seconds_bucket 0.5 {{trace_id={trace:?}, user_id=\"u1\"}} 0.5 @1700000000000"
            ),
            "latency_seconds_bucket +Inf {user_id=\"u1\"} 7 @1700000000000".to_owned(),
        ]
    );
    assert_eq!(received.rejected.exemplars, 1, "one has no time");
    assert_eq!(received.rejected.samples, 0);
}

#[test]
fn an_exponential_histogram_becomes_a_native_one() {
    let buckets = |offset, counts: &[u64]| Message::default().sint(1, offset).packed(2, counts);
    let point = |scale| {
        Message::default()
            .fixed64(3, TIME)
            .fixed64(4, 10)
            .double(5, 3.0)
            .sint(6, scale)
            .fixed64(7, 1)
            .message(8, &buckets(-1, &[0, 2, 3, 0, 1, 0]))
            .message(9, &buckets(4, &[3]))
            .double(14, 0.25)
    };
    let histogram = |scale| {
        let body = export(&metric("lat", "", 10, &cumulative(&point(scale))));
        let received = received(&body);
        match &received.batch.samples[0].value {
            Value::Histogram(histogram) => (**histogram).clone(),
            Value::Float(_) => panic!("a histogram"),
        }
    };
    let h = histogram(3);
    assert_eq!(
        (h.schema, h.zero_count, h.count, h.zero_threshold),
        (3, 1.0, 10.0, 0.25)
    );
    // OTLP's bucket 0 is (1, base]; Prometheus calls it 1.
    assert_eq!(
        (h.positive_spans[0].offset, h.positive_spans[0].length),
        (1, 4)
    );
    assert_eq!(h.positive_buckets, [2.0, 3.0, 0.0, 1.0]);
    assert_eq!(
        (h.negative_spans[0].offset, h.negative_buckets.as_slice()),
        (5, &[3.0][..])
    );
    // Two scales down: buckets 0, 1 and 3 all lie in bucket 0.
    let h = histogram(10);
    assert_eq!((h.schema, h.positive_buckets.as_slice()), (8, &[6.0][..]));
    assert_eq!(
        (h.positive_spans[0].offset, h.negative_spans[0].offset),
        (1, 2)
    );
    let coarse = export(&metric("lat", "", 10, &cumulative(&point(-5))));
    assert_eq!(received(&coarse).rejected.samples, 1);
}

#[test]
fn a_summary_becomes_quantiles_sum_and_count_and_a_missing_value_a_stale_marker() {
    let quantile = Message::default().double(1, 0.99).double(2, 5.0);
    let point = Message::default()
        .fixed64(3, TIME)
        .fixed64(4, 4)
        .double(5, 9.0)
        .message(6, &quantile);
    let data = Message::default().message(1, &point);
    let (_, stored) = serve(PROTOBUF, &export(&metric("rpc", "", 11, &data)).0);
    assert!(
        stored[0].contains(r#"quantile="0.99""#) && stored[0].contains(" 5 @"),
        "{}",
        stored[0]
    );
    assert!(stored[1].starts_with("rpc_sum{") && stored[2].starts_with("rpc_count{"));
    let gone = Message::default().message(1, &Message::default().fixed64(3, TIME).varint(8, 1));
    let received = received(&export(&metric("g", "", 5, &gone)));
    let Value::Float(value) = received.batch.samples[0].value else {
        panic!("a float")
    };
    assert!(is_stale(value));
}

#[test]
fn points_without_time_or_value_are_counted() {
    let no_time = Message::default().double(4, 1.0);
    let no_value = Message::default().fixed64(3, TIME);
    let data = Message::default()
        .message(1, &no_time)
        .message(1, &no_value)
        .message(1, &number(1.0));
    let (reply, stored) = serve(PROTOBUF, &export(&metric("g", "", 5, &data)).0);
    assert_eq!((reply.status, stored.len()), (200, 2));
    assert!(String::from_utf8_lossy(&reply.body).contains("no_timestamp"));
}

const JSON_BODY: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"tags","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}],"unknown":{"x":[1]}},
  "scopeMetrics":[{"scope":{"name":"lib","newField":3},"metrics":[
    {"name":"reqs","unit":"1","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[
      {"timeUnixNano":"1700000000000000000","startTimeUnixNano":1699999999000000000,"asInt":"41",
       "attributes":[{"key":"n","value":{"intValue":"9007199254740993"}},{"key":"d","value":{"doubleValue":0.5}}]},
      {"timeUnixNano":1700000000000000000,"asInt":42}]}},
    {"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asDouble":"NaN"}]}},
    {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1700000000000000000",
      "count":"3","sum":1.5,"bucketCounts":["1",2],"explicitBounds":[1]}]}}]}]}]}"#;

#[test]
fn json_takes_integers_as_text_or_number_and_ignores_unknown_keys() {
    let (reply, stored) = serve(JSON, JSON_BODY.as_bytes());
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(header(&reply, "Content-Type"), Some("application/json"));
    assert_eq!(
        stored,
        [
            r#"reqs_total{d="0.5", job="shop", n="9007199254740993", otel_scope_name="lib"} 41 @1700000000000"#,
            r#"reqs_total{job="shop", otel_scope_name="lib"} 42 @1700000000000"#,
            r#"g{job="shop", otel_scope_name="lib"} NaN @1700000000000"#,
            r#"h_bucket{job="shop", le="1", otel_scope_name="lib"} 1 @1700000000000"#,
            r#"h_bucket{job="shop", le="+Inf", otel_scope_name="lib"} 3 @1700000000000"#,
            r#"h_sum{job="shop", otel_scope_name="lib"} 1.5 @1700000000000"#,
            r#"h_count{job="shop", otel_scope_name="lib"} 3 @1700000000000"#,
            r#"target_info{job="shop", tags="{\"values\":[{\"intValue\":\"1\"}]}"} 1 @1700000000000"#,
        ]
    );
}

#[test]
fn enums_by_name_and_broken_json_are_400_with_a_json_status() {
    let by_name = JSON_BODY.replacen(
        "\"aggregationTemporality\":2",
        "\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_CUMULATIVE\"",
        1,
    );
    for body in [by_name.as_str(), "{", "[]", r#"{"resourceMetrics":7}"#] {
        let (reply, stored) = serve(JSON, body.as_bytes());
        assert_eq!((reply.status, stored.len()), (400, 0), "{body}");
        let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(status["code"], 3, "{status}");
        assert!(status["message"].is_string());
    }
    let delta = JSON_BODY.replacen(
        "\"aggregationTemporality\":2",
        "\"aggregationTemporality\":1",
        1,
    );
    let (reply, stored) = serve(JSON, delta.as_bytes());
    let partial: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, stored.len()), (200, 6));
    assert_eq!(partial["partialSuccess"]["rejectedDataPoints"], "2");
}

#[test]
fn errors_carry_a_status_in_protobuf_and_unknown_types_are_415() {
    let (reply, _) = serve(PROTOBUF, b"\x0a\x05abc");
    assert_eq!(reply.status, 400);
    assert_eq!(header(&reply, "Content-Type"), Some(PROTOBUF));
    assert!(reply.body.starts_with(&Message::default().varint(1, 3).0));
    assert_eq!(serve("text/plain", b"").0.status, 415);
    let receiver = Receiver::default();
    let with = |encoding| Request {
        content_encoding: Some(encoding),
        ..request(PROTOBUF, b"")
    };
    assert_eq!(receiver.otlp(&with("br")).unwrap_err().status, 415);
    assert_eq!(receiver.otlp(&with("zstd")).unwrap_err().status, 400);
    let full = Sink {
        full: true,
        ..Sink::default()
    };
    let body = export(&metric(
        "g",
        "",
        5,
        &Message::default().message(1, &number(1.0)),
    ));
    let reply = receiver.serve_otlp(&request(PROTOBUF, &body.0), &full, Durability::Fast);
    assert_eq!(reply.status, 503);
    assert!(header(&reply, "Retry-After").is_some());
}

#[test]
fn a_json_body_of_tiny_objects_is_413_before_it_is_parsed() {
    let points = "{},".repeat(1_000_000);
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{points}{{}}]}}}}]}}]}}]}}"#
    );
    let receiver = Receiver::default();
    let (result, peak) = super::peak::peak_bytes(|| receiver.otlp(&request(JSON, body.as_bytes())));
    assert_eq!(result.unwrap_err().status, 413);
    assert!(peak < 64 << 10, "{peak}");
}

#[test]
fn nesting_without_end_is_400() {
    let mut value = Message::default().text(1, "x");
    for _ in 0..200 {
        value = Message::default().message(5, &Message::default().message(1, &value));
    }
    let point = number(1.0).message(7, &attribute("deep", &value));
    let body = export(&metric("g", "", 5, &Message::default().message(1, &point)));
    assert_eq!(serve(PROTOBUF, &body.0).0.status, 400);
    let deep = "[".repeat(100_000);
    assert_eq!(serve(JSON, deep.as_bytes()).0.status, 400);
}

/// Each kind once.
fn everything() -> Message {
    let point = number(1.0).message(7, &text_attribute("a", "b"));
    let buckets = Message::default().sint(1, 1).packed(2, &[1, 2]);
    let exponential = Message::default()
        .fixed64(3, TIME)
        .fixed64(4, 3)
        .message(8, &buckets);
    let histogram = Message::default()
        .fixed64(3, TIME)
        .fixed64(4, 1)
        .fixed64(6, 1)
        .fixed64(6, 0)
        .double(7, 1.0);
    let mut body = export(&metric("g", "s", 5, &Message::default().message(1, &point))).0;
    body.extend(export(&metric("e", "", 10, &cumulative(&exponential))).0);
    body.extend(export(&metric("h", "", 9, &cumulative(&histogram))).0);
    Message(body)
}

#[test]
fn truncated_and_mutated_bodies_never_panic() {
    let receiver = Receiver::default();
    let whole = everything();
    assert!(received(&whole).rejected.is_empty());
    let mut state = 3;
    for (content_type, bytes) in [(PROTOBUF, whole.0.as_slice()), (JSON, JSON_BODY.as_bytes())] {
        let body_of = |cut: usize| receiver.otlp(&request(content_type, &bytes[..cut]));
        for cut in 0..bytes.len() {
            if let Err(refusal) = body_of(cut) {
                assert_eq!(refusal.status, 400, "cut at {cut}");
            }
        }
        for _ in 0..3_000 {
            let mut mutated = bytes.to_vec();
            for _ in 0..random(&mut state) % 4 + 1 {
                let at = random(&mut state) as usize % mutated.len();
                mutated[at] = random(&mut state) as u8;
            }
            if let Err(refusal) = receiver.otlp(&request(content_type, &mutated)) {
                assert!(matches!(refusal.status, 400 | 413), "{refusal:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..120)) {
        for content_type in [PROTOBUF, JSON] {
            if let Err(refusal) = Receiver::default().otlp(&request(content_type, &body)) {
                prop_assert_eq!(refusal.status, 400);
            }
        }
    }
}
