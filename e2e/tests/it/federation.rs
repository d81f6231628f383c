//! Other servers read from this one: `/federate` says what Debian's Prometheus says of the same
//! samples, and a Prometheus that has none of its own answers queries through our remote read.

use e2e::{
    http::encoded,
    prometheus::Prometheus,
    pushed::{now_ms, snappy_literals, write_request},
    server::Server,
    wait,
};

use super::differential::{
    Both,
    judge::{Order, difference},
};

const WRITE: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// External labels of both.
const CONFIG: &str = "global: {external_labels: {zone: \"z\", job: \"not this\"}}\n";

/// Series of now: some that live, one that ended, one without labels.
fn recent(time_ms: i64, value: f64, is_last: bool) -> Vec<u8> {
    let label = |name, value: &str| (name, value.to_owned());
    let mut all = vec![
        (vec![label("__name__", "alone")], value),
        (
            vec![label("__name__", "big"), label("instance", "a")],
            value * 1e7 + 0.5,
        ),
        (
            vec![
                label("__name__", "big"),
                label("instance", "b"),
                label("zone", "own"),
            ],
            f64::NAN,
        ),
        (
            vec![label("__name__", "spelt"), label("path", "a\\b\"c\nd")],
            -value / 3.0,
        ),
    ];
    let ended = if is_last {
        f64::from_bits(0x7ff0_0000_0000_0002)
    } else {
        value
    };
    all.push((vec![label("__name__", "ended")], ended));
    write_request(all.into_iter(), time_ms)
}

#[tokio::test]
async fn federation_says_what_prometheus_says() {
    let Some(both) = Both::start(CONFIG).await else {
        println!("not run: there is no Prometheus to compare with");
        return;
    };
    let now_ms = now_ms();
    for (step, is_last) in [(2, false), (1, true)] {
        let body = recent(now_ms - step * 1_000, step as f64, is_last);
        for http in [&both.theirs.http, &both.ours.http] {
            let reply = http.bytes("/api/v1/write", &WRITE, body.clone()).await;
            assert!(reply.status < 300, "{}", reply.text);
        }
    }
    for selectors in [
        vec!["alone"],
        vec!["{__name__=~\"alone|big|spelt|ended\"}"],
        vec!["big{instance=\"a\"}", "big", "spelt"],
        vec!["no_such_metric"],
        vec!["requests_total"],
        vec!["big{"],
        vec!["up[5m]"],
    ] {
        let form: Vec<String> = selectors
            .iter()
            .map(|s| format!("match[]={}", encoded(s)))
            .collect();
        let path = format!("/federate?{}", form.join("&"));
        let theirs = both.theirs.http.get(&path).await;
        let ours = both.ours.http.get(&path).await;
        assert_eq!(theirs.status, ours.status, "{selectors:?}: {}", ours.text);
        if theirs.status == 200 {
            assert_eq!(theirs.text, ours.text, "{selectors:?}");
            assert_eq!(theirs.content_type, ours.content_type);
        }
    }
}

/// A native histogram reaches a Prometheus that scrapes us: it asks for protobuf, the only format
/// with a place for one, and has the floats by the same way.
#[tokio::test]
async fn a_prometheus_federates_our_native_histograms() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let labels = |name| model::Labels::from_pairs([("__name__", name), ("job", "shop")]);
    let histogram = model::Histogram {
        schema: 1,
        count: 14.0,
        sum: 30.5,
        zero_threshold: 1e-3,
        zero_count: 2.0,
        positive_spans: vec![
            model::Span {
                offset: 1,
                length: 2,
            },
            model::Span {
                offset: 3,
                length: 1,
            },
        ],
        positive_buckets: vec![4.0, 5.0, 1.0],
        negative_spans: vec![model::Span {
            offset: 0,
            length: 1,
        }],
        negative_buckets: vec![2.0],
        ..model::Histogram::default()
    };
    let sample = |name, value| model::Sample {
        labels: labels(name),
        time_ms: now_ms(),
        value,
    };
    let batch = model::Batch {
        samples: vec![
            sample("h", model::Value::Histogram(std::sync::Arc::new(histogram))),
            sample("f", model::Value::Float(0.1)),
        ],
        ..model::Batch::default()
    };
    for body in remote::write::bodies(&batch, remote::write::Protocol::V1, 100) {
        let reply = server.http.bytes("/api/v1/write", &WRITE, body).await;
        assert!(reply.status < 300, "{}", reply.text);
    }
    let config = format!(
        "scrape_configs: [{{job_name: f, honor_labels: true, metrics_path: /federate, \
         scrape_interval: 1s, params: {{'match[]': ['{{job=\"shop\"}}']}}, \
         static_configs: [{{targets: ['{}']}}]}}]\n",
        server.http.url.trim_start_matches("http://")
    );
    let arguments = ["--enable-feature=native-histograms"];
    let Some(peer) = Prometheus::start(folder.path(), &config, &arguments).await else {
        return;
    };
    let value = async |query: &str| {
        let reply = peer.http.form("/api/v1/query", &[("query", query)]).await;
        reply.json()["data"]["result"][0]["value"][1]
            .as_str()
            .map(str::to_owned)
    };
    wait::until("the histogram to come", async || {
        value("histogram_count(h)").await
    })
    .await;
    // Bounds of the outermost buckets: between them, 2.42 interpolates otherwise than 3.
    for (quantile, bound) in [("1", 8.0), ("0", -1.0)] {
        let theirs = value(&format!("histogram_quantile({quantile}, h)")).await;
        let theirs: f64 = theirs.unwrap().parse().unwrap();
        assert!((theirs - bound).abs() < 1e-9, "{quantile}: {theirs}");
    }
    assert_eq!(value("histogram_sum(h)").await.as_deref(), Some("30.5"));
    assert_eq!(value("histogram_count(h)").await.as_deref(), Some("14"));
    assert_eq!(value("f{job=\"shop\"}").await.as_deref(), Some("0.1"));
    // The text has the float only.
    let text = server
        .http
        .get("/federate?match[]=%7Bjob%3D%22shop%22%7D")
        .await;
    assert!(
        text.text.contains("f{") && !text.text.contains("h{"),
        "{}",
        text.text
    );
}

/// A Prometheus whose only samples are ours.
async fn through(folder: &std::path::Path, url: &str) -> Option<Prometheus> {
    let config = format!("remote_read: [{{url: '{url}/api/v1/read', read_recent: true}}]\n");
    Prometheus::start(folder, &config, &[]).await
}

#[tokio::test]
async fn a_prometheus_without_samples_answers_through_our_remote_read() {
    let Some(both) = Both::start(CONFIG).await else {
        println!("not run: there is no Prometheus to compare with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let reader = through(folder.path(), &both.ours.http.url).await.unwrap();
    let at = format!("{}.25", both.data.end_ms() / 1_000 - 1_800);
    let from = format!("{}.25", both.data.base_ms / 1_000 + 600);
    for query in [
        "requests_total",
        "sum by (code) (rate(requests_total{instance=~\"h1.*\"}[5m]))",
        "level",
        "sparse[20m]",
        "shape{path!=\"\"}",
        "count({__name__=~\"temperature|bytes_total\"}) by (__name__)",
    ] {
        let instant = [("query", query), ("time", at.as_str())];
        // What it reads has our external labels, which no series of the other had itself.
        let mut ours = reader.http.form("/api/v1/query", &instant).await;
        assert!(
            query.starts_with("sum")
                || query.starts_with("count")
                || ours.text.contains("\"zone\":\"z\""),
            "{}",
            ours.text
        );
        ours.text = ours.text.replace(",\"zone\":\"z\"", "");
        ours.text = ours.text.replace(",\"job\":\"not this\"", "");
        let theirs = both.theirs.http.form("/api/v1/query", &instant).await;
        let found = difference(&theirs, &ours, Order::Any);
        assert_eq!(found, None, "{query}");
    }
    let range = [
        ("query", "max by (instance) (bytes_total)"),
        ("start", from.as_str()),
        ("end", at.as_str()),
        ("step", "30"),
    ];
    let ours = reader.http.form("/api/v1/query_range", &range).await;
    let theirs = both.theirs.http.form("/api/v1/query_range", &range).await;
    assert_eq!(difference(&theirs, &ours, Order::Any), None);
}

/// A read request for one metric, as samples.
fn read_request(metric: &str, from_ms: i64, to_ms: i64) -> Vec<u8> {
    let mut matcher = vec![0x12, 8];
    matcher.extend(b"__name__");
    matcher.extend([0x1a, metric.len() as u8]);
    matcher.extend(metric.as_bytes());
    let mut query = vec![0x08];
    varint(&mut query, from_ms.cast_unsigned());
    query.push(0x10);
    varint(&mut query, to_ms.cast_unsigned());
    query.extend([0x1a, matcher.len() as u8]);
    query.extend(matcher);
    let mut request = vec![0x0a, query.len() as u8];
    request.extend(query);
    snappy_literals(&request)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_an_empty_answer_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let read = async |body: Vec<u8>| server.http.bytes("/api/v1/read", &WRITE[..2], body).await;
    let nothing = read(read_request("no_such_metric", 0, 1_000)).await;
    assert_eq!(nothing.status, 200);
    assert_eq!(nothing.content_type, "application/x-protobuf");
    // One result, of no series: a field 1 of no bytes, in snappy.
    assert_eq!(nothing.text.as_bytes(), [2, 4, 0x0a, 0]);
    for wrong in [
        vec![],
        b"not snappy".to_vec(),
        snappy_literals(&[0x0a, 9, 1]),
    ] {
        let told = read(wrong.clone()).await;
        assert_eq!(told.status, 400, "{wrong:?}: {}", told.text);
        assert_eq!(told.json()["errorType"], "bad_data");
    }
    let get = server.http.get("/api/v1/read").await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let url = format!(
        "{}/api/v1/query_range?query=vector(1)&start=0&end=10000&step=1",
        server.http.url
    );
    let client = reqwest::Client::new();
    let sizes = wait::until("both answers", async || {
        let plain = client.get(&url).send().await.ok()?.bytes().await.ok()?;
        let packed = client.get(&url).header("accept-encoding", "gzip").send();
        let packed = packed.await.ok()?;
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert_eq!(packed.headers()["vary"], "accept-encoding");
        let packed = packed.bytes().await.ok()?;
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        std::io::Read::read_to_end(&mut reader, &mut unpacked).ok()?;
        assert_eq!(unpacked, plain);
        Some((plain.len(), packed.len()))
    })
    .await;
    assert!(sizes.1 * 4 < sizes.0, "{sizes:?}");
    // gzip is preferred where both are taken; who takes zstd alone gets that.
    for (accept, sent) in [("zstd, gzip", "gzip"), ("zstd", "zstd")] {
        let reply = client.get(&url).header("accept-encoding", accept).send();
        let reply = reply.await.unwrap();
        assert_eq!(reply.headers()["content-encoding"], sent);
        assert!(reply.bytes().await.unwrap().len() * 2 < sizes.0);
    }
    // Small ones are not: a packet is a packet.
    let small = format!("{}/api/v1/query?query=1", server.http.url);
    let small = client.get(&small).header("accept-encoding", "gzip");
    let small = small.send().await.unwrap();
    assert!(small.headers().get("content-encoding").is_none());
    for path in ["/api/v1/query", "/api/v1/nothing"] {
        let reply = server.http.send("OPTIONS", path, &[]).await;
        assert_eq!(reply.status, 204, "{path}");
    }
    // A link of an alert's leads to the page that shows its expression.
    let link = format!(
        "{}/graph?g0.expr=a%7Bb%3D%22c%22%7D&g0.tab=1",
        server.http.url
    );
    let stays = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let sent_on = stays.build().unwrap().get(&link).send().await.unwrap();
    assert_eq!(sent_on.status(), 303);
    let page = sent_on.headers()["location"].to_str().unwrap();
    assert_eq!(page, "/#/explore?expr=a%7Bb%3D%22c%22%7D");
}
