//! The health of what comes in, from outside: exemplars kept through a crash, the change feed, an
//! explosion of series that hurts nobody else, refusals that can be looked at.

use e2e::{program::output, server::Server, wait};
use serde_json::{Value, json};

const QUIET: &str = "[collect]\nhost = \"off\"\n";

fn now_ms() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn line(metric: &str, i: usize, value: f64) -> String {
    let time = now_ms();
    format!(
        r#"{{"metric":{{"__name__":"{metric}","i":"{i}"}},"values":[{value}],"timestamps":[{time}]}}"#
    )
}

async fn import(server: &Server, lines: &[String]) -> u16 {
    let body = lines.join("\n");
    let reply = server.http.raw("/api/v1/import", "application/json", body);
    reply.await.status
}

/// One point of a counter with an exemplar.
fn counted(value: u64, trace: &str) -> String {
    let time = format!("{}000000", now_ms());
    let point = json!({
        "timeUnixNano": time, "asInt": value.to_string(),
        "exemplars": [{
            "timeUnixNano": time, "asDouble": 0.25, "traceId": trace, "spanId": "00f067aa0ba902b7",
            "filteredAttributes": [{"key": "user", "value": {"stringValue": "u1"}}],
        }],
    });
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{
        "name": "orders",
        "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point]},
    }]}]}]})
    .to_string()
}

async fn exemplars(server: &Server, query: &str) -> Value {
    let reply = server
        .http
        .ask("/api/v1/query_exemplars", &[("query", query)])
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["data"].clone()
}

#[tokio::test]
async fn exemplars_are_answered_and_outlive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (value, trace) in [(1, trace), (2, "5bf92f3577b34da6a3ce929d0e0e4736")] {
        let body = counted(value, trace);
        let reply = server
            .http
            .raw("/v1/metrics", "application/json", body)
            .await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
    }
    let found = exemplars(&server, "rate(orders_total[5m]) > 0").await;
    assert_eq!(
        found[0]["seriesLabels"],
        json!({"__name__": "orders_total"})
    );
    let of_first = &found[0]["exemplars"][0];
    assert_eq!(
        (&of_first["labels"], &of_first["value"]),
        (
            &json!({"span_id": "00f067aa0ba902b7", "trace_id": trace, "user": "u1"}),
            &json!("0.25")
        )
    );
    assert!(of_first["timestamp"].as_f64().unwrap() > 1.6e9);
    assert_eq!(found[0]["exemplars"].as_array().unwrap().len(), 2);
    assert_eq!(exemplars(&server, "other").await, json!([]));
    server.program.kill().await;

    let again = Server::start(folder.path(), QUIET).await;
    assert_eq!(exemplars(&again, "orders_total").await, found);
}

/// Reads a stream until a line satisfies.
async fn read_until(stream: &mut reqwest::Response, seen: &mut String, wanted: &str) {
    while !seen.contains(wanted) {
        let chunk = stream.chunk().await.unwrap().expect("the feed goes on");
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

async fn feed(server: &Server, parameters: &str) -> reqwest::Response {
    let url = format!("{}/api/v1/feed?{parameters}", server.http.url);
    let stream = reqwest::get(url).await.unwrap();
    assert_eq!(stream.status(), 200);
    stream
}

#[tokio::test]
async fn the_feed_shows_what_is_stored_and_goes_on_where_a_reader_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let mut events = feed(&server, "match[]=pushed").await;
    let mut lines = feed(&server, "match[]=other&match[]=pushed&format=ndjson").await;
    let pushed = [line("pushed", 1, 1.5), line("noise", 1, 9.0)];
    assert_eq!(import(&server, &pushed).await, 204);
    let mut seen = String::new();
    read_until(&mut events, &mut seen, "\n\n").await;
    assert!(seen.starts_with("event: points\nid: "), "{seen}");
    assert!(seen.contains(r#""door":"json_lines""#) && seen.contains(r#""values":[1.5]"#));
    assert!(!seen.contains("noise"), "{seen}");
    let id = seen.lines().find_map(|l| l.strip_prefix("id: ")).unwrap();
    drop(events);

    // While it is away: nothing is lost.
    assert_eq!(import(&server, &[line("pushed", 2, 2.5)]).await, 204);
    let mut again = feed(&server, &format!("match[]=pushed&from={id}")).await;
    let mut seen = String::new();
    read_until(&mut again, &mut seen, "\n\n").await;
    assert!(
        seen.contains(r#""values":[2.5]"#) && !seen.contains("[1.5]"),
        "{seen}"
    );

    // Lines are what import reads: here, by the same server under its own eyes.
    let mut seen = String::new();
    read_until(&mut lines, &mut seen, r#""i":"2""#).await;
    let whole = seen
        .trim_end()
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert_eq!(import(&server, &whole).await, 204, "{seen}");

    let reset = format!("from=1-{}", u64::MAX);
    let mut reset = feed(&server, &reset).await;
    let mut seen = String::new();
    read_until(&mut reset, &mut seen, "event: reset").await;
    let bad = server.http.get("/api/v1/feed?from=x").await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    assert!(
        server.terminate().await.success(),
        "readers do not hold it up"
    );
}

#[tokio::test]
async fn an_explosion_of_one_metric_hurts_nobody_else_and_is_attributed() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{QUIET}[store]\nseries_max_per_metric = 100\n\
         [[store.series_limit]]\nlabel = \"user\"\nmax = 3\n"
    );
    let server = Server::start(folder.path(), &config).await;
    for round in 0..5 {
        // The calm ones are between those that explode.
        let mixed: Vec<String> = (0..200)
            .flat_map(|i| {
                [
                    line("calm", i % 20, 1.0),
                    line("boom", 200 * round + i, 1.0),
                ]
            })
            .collect();
        let status = import(&server, &mixed).await;
        assert_eq!(
            status, 400,
            "a partial write is never taken for a whole one"
        );
    }
    assert_eq!(server.number("count(calm)").await, Some(20.0));
    assert_eq!(server.number("count(boom)").await, Some(100.0));

    let tsdb = server.http.get("/api/v1/status/tsdb").await.json()["data"].clone();
    let has = |list: &str, entry: Value| {
        let found = tsdb[list].as_array().unwrap();
        assert!(found.contains(&entry), "{list}: {found:?}");
    };
    has(
        "seriesCountByMetricName",
        json!({"name": "boom", "value": 100}),
    );
    has(
        "seriesCountByMetricName",
        json!({"name": "calm", "value": 20}),
    );
    has(
        "labelValueCountByLabelName",
        json!({"name": "i", "value": 100}),
    );
    let refused = json!({"reason": "metric_limit", "name": "boom", "value": 900});
    has("refusedSeriesByName", refused);

    let user = |i: usize| {
        let time = now_ms();
        format!(r#"{{"metric":{{"__name__":"seen","user":"u{i}"}},"value":1,"timestamp":{time}}}"#)
    };
    let users: Vec<String> = (0..5).map(user).collect();
    assert_eq!(import(&server, &users).await, 400);
    assert_eq!(server.number("count(seen)").await, Some(3.0));

    let metrics = server.http.get("/metrics").await.text;
    let refused = r#"alluse_refused_samples_total{door="json_lines", reason="metric_limit"} 900"#;
    assert!(metrics.contains(refused), "{metrics}");
    assert!(metrics.contains(r#"reason="label_limit"} 2"#), "{metrics}");

    let asked = server
        .http
        .ask("/api/v1/quarantine", &[("reason", "label_limit")]);
    let asked = asked.await.json();
    let newest = &asked["data"][0];
    assert_eq!(asked["data"].as_array().unwrap().len(), 2);
    assert_eq!(newest["series"], r#"seen{user="u4"}"#);
    assert_eq!(
        (&newest["door"], &newest["value"]),
        (&json!("json_lines"), &json!("1"))
    );
}

#[tokio::test]
async fn what_was_refused_can_be_looked_at_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let reply = server
        .http
        .raw("/write", "text/plain", "no field here")
        .await;
    assert_eq!(reply.status, 400);
    let old = "shelf items=3 1000000000000000";
    let reply = server.http.raw("/write", "text/plain", old).await;
    assert_eq!(reply.status, 400, "older than the retention");
    let url = server.http.url.as_str();
    let shown = output(&["quarantine", "--url", url, "--door", "influx"]).await;
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(
        lines[0].contains("out_of_bounds\tshelf_items\t3 at 1000000"),
        "{shown}"
    );
    assert!(lines[1].contains("line 1: no field here"), "{shown}");
    let as_json = output(&[
        "quarantine",
        "--url",
        url,
        "--json",
        "--reason",
        "out_of_bounds",
    ])
    .await;
    let as_json: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(as_json["data"][0]["door"], "influx");
}

#[tokio::test]
async fn each_door_is_counted_and_each_target_has_its_completeness() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on the port that was just given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let config =
        format!("{QUIET}[[collect.scrape]]\njob = \"gone\"\nurl = \"http://{closed}/metrics\"\n");
    let server = Server::start(folder.path(), &config).await;
    let own = r#"alluse_collect_completeness_ratio{exported_job="alluse"} == 1"#;
    server.answered(own).await;
    let gone = r#"alluse_collect_completeness_ratio{exported_job="gone"} == 0"#;
    server.answered(gone).await;
    let gaps = r#"alluse_collect_gaps_total{exported_job="gone"}"#;
    assert_eq!(
        server.number(gaps).await,
        Some(1.0),
        "one gap, however long"
    );
    let counted = r#"alluse_ingested_samples_total{door="scrape"} > 0"#;
    server.answered(counted).await;
    wait::until("the analysis to be shown", async || {
        let analyzed = server.number("alluse_feed_published_points_total").await?;
        (analyzed > 0.0).then_some(())
    })
    .await;
    let unreachable = server
        .http
        .ask("/api/v1/quarantine", &[("door", "scrape")])
        .await;
    assert_eq!(unreachable.json()["data"][0]["reason"], "fetch");
}
