//! Samples pushed to the server by others: they are stored, answered, and bad ones are refused in
//! their protocol's way.

use std::sync::Arc;

use e2e::server::Server;
use model::{Batch, Exemplar, Histogram, Labels, Sample, Span, Value};
use remote::write::Protocol;

const QUIET: &str = "[collect]\nhost = \"off\"\n";

/// Remote write 1.0 by hand: one series `pushed{job="a"}` with the sample 5 at `ms`, as a snappy
/// block of one literal.
fn remote_write(ms: i64) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[tag, length], bytes].concat()
    };
    let label = |name: &str, value: &str| {
        field(
            0x0a,
            &[field(0x0a, name.as_bytes()), field(0x12, value.as_bytes())].concat(),
        )
    };
    let mut time = Vec::new();
    let mut rest = u64::try_from(ms).unwrap();
    while rest >= 0x80 {
        time.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    time.push(rest as u8);
    let sample = [&[0x09][..], &5f64.to_le_bytes(), &[0x10], &time].concat();
    let series = [
        label("__name__", "pushed"),
        label("job", "a"),
        field(0x12, &sample),
    ]
    .concat();
    let message = field(0x0a, &series);
    let length = u8::try_from(message.len()).unwrap();
    // The decoded length, then one literal: tag 60 means one byte of length - 1 follows.
    [&[length, 60 << 2, length - 1][..], &message].concat()
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

async fn write(server: &Server, kind: &str, body: Vec<u8>) -> reqwest::Response {
    let url = format!("{}/api/v1/write", server.http.url);
    let request = reqwest::Client::new()
        .post(url)
        .header("content-type", kind);
    request
        .header("content-encoding", "snappy")
        .body(body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn remote_write_is_stored_counted_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let reply = write(&server, "application/x-protobuf", remote_write(now_ms())).await;
    assert_eq!(reply.status(), 204);
    let written = &reply.headers()["x-prometheus-remote-write-samples-written"];
    assert_eq!(written, "1");
    assert_eq!(server.number("pushed{job=\"a\"}").await, Some(5.0));
}

/// A counter's sample, a histogram's and two exemplars, as 2.0.
fn remote_write_2(ms: i64) -> Vec<u8> {
    let series = |name: &str| Labels::from_pairs([("__name__", name), ("job", "a")]);
    let exemplar = |trace: &str, time_ms| Exemplar {
        series: series("repeated_total"),
        labels: Labels::from_pairs([("trace_id", trace)]),
        value: 1.0,
        time_ms,
    };
    let histogram = Histogram {
        count: 2.0,
        sum: 3.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_buckets: vec![2.0],
        ..Histogram::default()
    };
    let batch = Batch {
        samples: vec![
            Sample::float(series("repeated_total"), ms, 5.0),
            Sample {
                labels: series("repeated_seconds"),
                time_ms: ms,
                value: Value::Histogram(Arc::new(histogram)),
            },
        ],
        exemplars: vec![exemplar("x", ms - 1), exemplar("y", ms)],
        ..Batch::default()
    };
    remote::write::bodies(&batch, Protocol::V2, 100).remove(0)
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before_and_stores_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let body = remote_write_2(now_ms());
    let kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for _ in 0..3 {
        let reply = write(&server, kind, body.clone()).await;
        assert_eq!(reply.status(), 204);
        let written = ["samples", "histograms", "exemplars"]
            .map(|kind| &reply.headers()[format!("x-prometheus-remote-write-{kind}-written")]);
        assert_eq!(written, ["1", "1", "2"]);
        assert_eq!(reply.text().await.unwrap(), "", "the body is reserved");
    }
    let counted = server.number("count_over_time(repeated_total[1h])").await;
    assert_eq!(counted, Some(1.0));
    let counted = server.number("count_over_time(repeated_seconds[1h])").await;
    assert_eq!(counted, Some(1.0));
    let found = server
        .http
        .form("/api/v1/query_exemplars", &[("query", "repeated_total")])
        .await;
    assert_eq!(found.text.matches("trace_id").count(), 2, "{}", found.text);
}

#[tokio::test]
async fn what_is_no_remote_write_is_refused_with_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let good = remote_write(now_ms());
    let cut = good[..good.len() - 4].to_vec();
    assert_eq!(
        write(&server, "application/x-protobuf", cut).await.status(),
        400
    );
    assert_eq!(write(&server, "text/plain", good).await.status(), 415);
    // Eleven bytes that claim to unpack to a gigabyte.
    let bomb = vec![0x80, 0x80, 0x80, 0x80, 0x04, 0xfe, 0x01, 0, 0xfe, 0x01, 0];
    assert!(
        write(&server, "application/x-protobuf", bomb)
            .await
            .status()
            .is_client_error()
    );
    assert_eq!(server.number("pushed").await, None);
}

#[tokio::test]
async fn lines_of_other_protocols_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let http = &server.http;
    let influx = http
        .raw("/write", "text/plain", "shelf,kind=book items=3")
        .await;
    assert_eq!(influx.status, 204, "{}", influx.text);
    let line = format!(
        r#"{{"metric":{{"__name__":"box","job":"a"}},"values":[7],"timestamps":[{}]}}"#,
        now_ms()
    );
    let json = http.raw("/api/v1/import", "application/json", line).await;
    assert_eq!(json.status, 204, "{}", json.text);
    let csv = http
        .raw(
            "/api/v1/import/csv",
            "text/csv",
            "metric,kind,value\ncrate,wood,9\n",
        )
        .await;
    assert_eq!(csv.status, 204, "{}", csv.text);
    let otlp = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeMetrics":[{{"metrics":[{{"name":"pallet","gauge":{{"dataPoints":[{{"timeUnixNano":"{}000000","asDouble":11}}]}}}}]}}]}}]}}"#,
        now_ms()
    );
    let otlp = http.raw("/v1/metrics", "application/json", otlp).await;
    assert_eq!(otlp.status, 200, "{}", otlp.text);
    assert_eq!(server.number("pallet{job=\"shop\"}").await, Some(11.0));
    assert_eq!(server.number("shelf_items{kind=\"book\"}").await, Some(3.0));
    assert_eq!(server.number("box").await, Some(7.0));
    assert_eq!(server.number("crate{kind=\"wood\"}").await, Some(9.0));
    let bad = http
        .raw("/api/v1/import", "application/json", "{\"metric\":")
        .await;
    assert_eq!(bad.status, 400, "{}", bad.text);
}
