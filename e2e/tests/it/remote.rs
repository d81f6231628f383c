//! Samples kept elsewhere: the server on another store, and the suite every store must pass, run
//! against real engines.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use e2e::{
    http::Client,
    proxy::{Harm, Proxy},
    server::Server,
    service::Service,
    wait,
};
use model::Clock;
use remote::{Peer, PeerConfig, RemoteReader, RemoteSink, WriteConfig, Writer};
use testkit::{Capabilities, Subject, conformance};

const QUIET: &str = "[collect]\nhost = \"off\"\n";

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    fn wall_ms(&self) -> i64 {
        now_ms()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a real peer keeps real time")]
fn peer(config: PeerConfig) -> Arc<Peer> {
    Peer::new(config, None, Arc::new(RealClock(Instant::now()))).unwrap()
}

/// Runs the suite through remote write and the HTTP API; what was left out.
async fn conforms(
    url: &str,
    capabilities: Capabilities,
    settle: impl Fn(&str) + Send + 'static,
) -> Vec<&'static str> {
    let (config, url) = (PeerConfig::new(url), url.to_owned());
    tokio::task::spawn_blocking(move || {
        let reader = RemoteReader::new(peer(config.clone()));
        let sink = RemoteSink::new(Writer::new(peer(config), WriteConfig::default()));
        conformance(&Subject {
            sink: &sink,
            reader: &reader,
            capabilities,
            now_ms: now_ms(),
            settle: &|| settle(&url),
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn our_own_server_conforms_through_remote_write_and_the_http_api() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let left_out = conforms(
        &server.program.url,
        Capabilities {
            // The query API shows neither staleness markers nor payloads of NaN, and histograms
            // only as bucket bounds: that is the protocol's nature, not the store's.
            nan_bits: false,
            histograms: false,
            changes: false,
            ..Capabilities::ALL
        },
        |_| {},
    )
    .await;
    assert_eq!(left_out, ["NaN bits", "histograms", "changes"]);
}

/// A request from a thread that may block; its reply is waited for.
fn get(url: &str, path: &str) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.contains(" 200 OK"), "{reply}");
}

/// A program of the system's, ended with the test.
struct Peers(Child);

impl Drop for Peers {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Debian's VictoriaMetrics on a free port, if it is installed.
async fn victoria_metrics(folder: &Path) -> Option<(Peers, Client)> {
    // A port that was free a moment ago: it cannot tell us which one it took.
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("127.0.0.1:{port}");
    let started = Command::new("victoria-metrics")
        .arg(format!("-httpListenAddr={listen}"))
        .arg(format!("-storageDataPath={}", folder.display()))
        .args([
            "-retentionPeriod=1y",
            "-search.latencyOffset=0s",
            "-loggerLevel=ERROR",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        println!("victoria-metrics is not installed: not run");
        return None;
    };
    let running = Peers(child);
    let http = Client::new(&format!("http://{listen}"));
    wait::until("VictoriaMetrics to be healthy", async || {
        http.try_get("/health").await.filter(|r| r.status == 200)
    })
    .await;
    Some((running, http))
}

#[tokio::test]
async fn victoria_metrics_conforms_as_far_as_its_nature_goes() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let Some((_running, http)) = victoria_metrics(folder.path()).await else {
        return;
    };
    let left_out = conforms(
        &http.url,
        Capabilities {
            // Decimal mantissas of 64 bits: digits and the sign of zero go, NaN is no value.
            exact_floats: false,
            special_floats: false,
            negative_zero: false,
            nan_bits: false,
            // Both samples of one time are kept, and either may be read.
            last_write_wins: false,
            histograms: false,
            metadata: false,
            utf8_names: false,
            changes: false,
            out_of_order: true,
        },
        // What was written becomes visible when it is flushed.
        |url| get(url, "/internal/force_flush"),
    )
    .await;
    println!("VictoriaMetrics conforms; left out by nature: {left_out:?}");
}

fn on(url: &str, service: &Service) -> String {
    format!(
        "[store]\nremote = \"{url}\"\n[store.peer]\ntimeout = \"2s\"\n[store.queue]\nretry_max = \"200ms\"\n\
         [collect]\nhost = \"off\"\n[[collect.scrape]]\njob = \"clock\"\nurl = \"{}/metrics\"\ninterval = \"100ms\"\n",
        service.url
    )
}

/// Waits until the server says so of the store elsewhere, and of nothing else anything worse.
async fn health_of_remote(server: &Server, wanted: &str) {
    wait::until("health of the store elsewhere", async || {
        let health = server.http.get("/api/v1/health").await.json();
        let all = health["data"]["subsystems"].as_array()?.clone();
        let state = |name: &str| all.iter().find(|s| s["name"] == name)?["status"].as_str();
        (state("remote") == Some(wanted) && state("store") == Some("healthy")).then_some(())
    })
    .await;
}

/// Requests to the store elsewhere that were repeated.
async fn retries(server: &Server) -> f64 {
    let text = server.http.get("/metrics").await.text;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("alluse_remote_retries_total "));
    line.expect("it is counted").trim().parse().unwrap()
}

async fn serves_on(url: &str, proxy: &Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start().await;
    let server = Server::start(folder.path(), &on(url, &service)).await;
    server.answered("ticks_total").await;
    // The query is answered by the other store, whole.
    wait::until("a rate over a window", async || {
        server
            .number("sum(increase(ticks_total[1m]))")
            .await
            .filter(|n| *n > 0.0)
    })
    .await;
    let names = server.http.get("/api/v1/label/__name__/values").await;
    assert!(names.text.contains("ticks_total"), "{}", names.text);

    proxy.harm(Harm::Reset);
    let down = wait::until("queries to say the other store is away", async || {
        let reply = server
            .http
            .form("/api/v1/query", &[("query", "ticks_total")])
            .await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert!(down.text.contains("unavailable"), "{}", down.text);
    let ready = wait::until("health to say so", async || {
        let reply = server.http.get("/-/ready").await;
        reply.text.contains("degraded").then_some(reply)
    })
    .await;
    assert_eq!(ready.status, 200, "samples are still taken");
    health_of_remote(&server, "degraded").await;
    let line = format!(
        r#"{{"metric":{{"__name__":"pushed_in_an_outage"}},"values":[7],"timestamps":[{}]}}"#,
        now_ms()
    );
    let taken = server
        .http
        .raw("/api/v1/import", "application/json", line)
        .await;
    assert_eq!(taken.status, 204, "{}", taken.text);
    // The outage is over only after what is queued was tried in vain.
    let before = retries(&server).await;
    wait::until("the queue to be tried in vain", async || {
        (retries(&server).await >= before + 3.0).then_some(())
    })
    .await;

    proxy.harm(Harm::None);
    let pushed = wait::until("what was pushed in the outage", async || {
        let reply = server
            .http
            .form("/api/v1/query", &[("query", "pushed_in_an_outage")])
            .await;
        (reply.status == 200 && reply.text.contains("\"7\"")).then_some(())
    });
    pushed.await;
    health_of_remote(&server, "healthy").await;
    // Nor is a scrape missing: the service counted them.
    let rows = server.query("ticks_total[1h]").await;
    let points = rows
        .iter()
        .flat_map(|row| row["values"].as_array().unwrap());
    let ticks: BTreeSet<i64> = points
        .map(|point| point[1].as_str().unwrap().parse::<f64>().unwrap() as i64)
        .collect();
    let want: BTreeSet<i64> = (1..=*ticks.last().unwrap()).collect();
    assert_eq!(ticks, want, "no scrape is missing");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_server_on_another_server_degrades_in_an_outage_and_recovers() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Server::start(folder.path(), QUIET).await;
    let proxy = Proxy::start(&store.program.url).await;
    serves_on(&proxy.url, &proxy).await;
    assert!(store.terminate().await.success());
}

#[tokio::test]
async fn a_server_on_victoria_metrics_degrades_in_an_outage_and_recovers() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let Some((_running, http)) = victoria_metrics(folder.path()).await else {
        return;
    };
    let proxy = Proxy::start(&http.url).await;
    serves_on(&proxy.url, &proxy).await;
}
