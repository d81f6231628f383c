//! A metric whose label never repeats offers a million series: the limit holds, the sender is
//! told which metric and why, memory stays bounded, and other series lose nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use e2e::{
    proc,
    pushed::{Order, Sent, Stream, now, now_ms, write_request},
    server::Server,
    wait,
};
use testkit::report;

/// Series offered by one metric.
const OFFERED: u64 = 1_000_000;
/// Series a request.
const A_REQUEST: u64 = 5_000;
/// Active series allowed; half of them to one metric.
const SERIES_MAX: u64 = 20_000;

/// Memory the flood may cost: the series that are allowed, and requests being decoded.
const ALLOWED_BYTES: u64 = 160 << 20;

const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];

/// A stream that writes until it is told to stop; every batch must be taken.
async fn steady(stream: Stream, url: String, stop: Arc<AtomicBool>, acks: Arc<AtomicU64>) -> Sent {
    let client = reqwest::Client::new();
    let mut sent = Sent {
        stream,
        acked: Vec::new(),
        tried: 0,
        ended: String::new(),
    };
    while !stop.load(Relaxed) {
        let status = sent.stream.push(&client, &url, sent.tried).await.unwrap();
        assert_eq!(status, 204, "others are harmed");
        sent.tried += 1;
        sent.acked.push(now());
        acks.fetch_add(1, Relaxed);
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_series_of_one_metric_harm_no_other() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[collect]\nhost = \"off\"\n[store]\nseries_max = {SERIES_MAX}\n");
    let server = Server::start(folder.path(), &config).await;
    server.ready().await;
    let (stop, acks) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let other = Stream::new("steady", Order::Rising, None);
    let writing = steady(
        other,
        server.http.url.clone(),
        Arc::clone(&stop),
        Arc::clone(&acks),
    );
    let writing = tokio::spawn(writing);
    wait::until("the other writer", async || {
        (acks.load(Relaxed) > 3).then_some(())
    })
    .await;

    let before = proc::memory_bytes(server.program.pid(), "VmRSS");
    let (mut refused, mut told) = (0, String::new());
    for first in (0..OFFERED).step_by(A_REQUEST as usize) {
        let ids = first..first + A_REQUEST;
        let series = ids.map(|id| {
            (
                vec![("__name__", "flood".to_owned()), ("id", id.to_string())],
                1.0,
            )
        });
        let body = write_request(series, now_ms());
        let reply = server.http.bytes("/api/v1/write", &HEADERS, body).await;
        assert!(
            reply.status == 204 || reply.status == 400 || reply.status == 429,
            "{}",
            reply.text
        );
        if reply.status != 204 {
            refused += 1;
            told = reply.text;
        }
    }
    let grown = proc::memory_bytes(server.program.pid(), "VmRSS").saturating_sub(before);
    stop.store(true, Relaxed);
    let sent = writing.await.expect("the other writer was never refused");
    println!(
        "{refused} requests refused, memory +{} MiB, told: {told}",
        grown >> 20
    );
    assert!(refused > 0, "nothing was limited");
    assert!(
        told.contains("metric_limit") && told.contains("flood"),
        "{told}"
    );
    assert!(grown < ALLOWED_BYTES, "{grown} bytes");
    let active = server.own("alluse_store_series").await;
    assert!(active <= SERIES_MAX as f64, "{active} active series");
    sent.judge(&server, sent.acked.len() as u64).await.unwrap();
    // The room that is left is the others': a metric nobody has seen is taken.
    let newcomer = Stream::new("newcomer", Order::Rising, None);
    let reply = server
        .http
        .bytes("/api/v1/write", &HEADERS, newcomer.body(0))
        .await;
    assert_eq!(reply.status, 204, "{}", reply.text);
    let figures = format!(
        "{} batches of others taken, memory +{} MiB",
        sent.acked.len(),
        grown >> 20
    );
    report::ran("a cardinality explosion, series offered", OFFERED, &figures);
}
