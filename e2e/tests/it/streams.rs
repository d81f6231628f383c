//! Streams of the configuration in the real binary: results are ordinary series, and a restart in
//! the middle of a window does not spoil it.

use e2e::{server::Server, wait};

const CONFIG: &str = r#"
[collect]
host = "off"

[[stream]]
name = "checkout"
select = 'checkout_seconds'
lateness = "1s"
[[stream.step]]
do = "validate"
at_least = 0
[[stream.step]]
do = "window"
every = "10s"
by = ["job"]
stats = ["count", "max"]

[[stream]]
name = "busy_share"
select = 'busy'
lateness = "1s"
[[stream.step]]
do = "join"
with = 'total'
on = ["job"]
within = "500ms"
make = "div"
"#;

fn now_ms() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Stores one sample of a metric.
async fn push(server: &Server, metric: &str, time_ms: i64, value: f64) {
    let line = format!(
        r#"{{"metric":{{"__name__":"{metric}","job":"a"}},"values":[{value}],"timestamps":[{time_ms}]}}"#
    );
    let reply = server.http.raw("/api/v1/import", "application/json", line);
    assert_eq!(reply.await.status, 204);
}

/// The value of a series at a time, once it is there.
async fn value(server: &Server, series: &str, time_ms: i64) -> f64 {
    let at = format!("{series} @ {}", time_ms as f64 / 1e3);
    wait::until(series, async || server.number(&at).await).await
}

#[tokio::test]
async fn windows_and_joins_become_series_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // A window that began after the server: what was stored since it began is all there was.
    let begin = (now_ms() / 10_000 + 1) * 10_000;
    let server = Server::start(folder.path(), CONFIG).await;
    push(&server, "checkout_seconds", begin - 1, 1.0).await;
    push(&server, "checkout_seconds", begin, 1.0).await;
    push(&server, "checkout_seconds", begin + 1_000, 7.0).await;
    push(&server, "checkout_seconds", begin + 1_500, -3.0).await;
    push(&server, "total", begin, 8.0).await;
    push(&server, "busy", begin + 100, 2.0).await;
    assert_eq!(
        value(&server, "busy_share{job=\"a\"}", begin + 100).await,
        0.25
    );
    let letters = server
        .http
        .get("/api/v1/streams/checkout/dead_letters")
        .await;
    let letters = letters.json();
    assert_eq!(letters["data"][0]["reason"], "invalid", "{letters}");
    assert_eq!(letters["data"][0]["value"], "-3");
    drop(server);

    let server = Server::start(folder.path(), CONFIG).await;
    push(&server, "checkout_seconds", begin + 9_999, 5.0).await;
    push(&server, "checkout_seconds", begin + 11_000, 100.0).await;
    assert_eq!(
        value(&server, "checkout_count{job=\"a\"}", begin + 10_000).await,
        3.0
    );
    assert_eq!(
        value(&server, "checkout_max{job=\"a\"}", begin + 10_000).await,
        7.0
    );
    let streams = server.http.get("/api/v1/streams").await.json();
    assert_eq!(streams["data"][0]["name"], "checkout", "{streams}");
}

#[tokio::test]
async fn an_unknown_stream_has_no_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG).await;
    let reply = server.http.get("/api/v1/streams/nobody/dead_letters").await;
    assert_eq!(reply.status, 404, "{}", reply.text);
}
