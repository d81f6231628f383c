//! Jobs that find their targets: files that change, DNS, an HTTP server; and what a scrape does
//! with a job's limits, credentials and TLS.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use collect::{
    Collector, Config, HttpClient, Scraper, Target,
    discovery::{Discoverer, DnsRecord, dns::Resolver},
    prometheus_config::read,
    scrape::{LabelLimits, ScrapeError},
};
use model::Batch;
use tokio::{net::UdpSocket, sync::mpsc};

use crate::{clock::TestClock, scraping};

fn jobs(folder: &Path, text: &str) -> Vec<collect::Job> {
    read("p.yml", text, folder).unwrap().jobs
}

/// `__address__` of everything found, in order.
fn addresses(discoverer: &Discoverer) -> Vec<String> {
    let groups = discoverer.groups();
    let targets = groups.iter().flat_map(|group| &group.targets);
    let mut addresses: Vec<String> = targets.map(|target| target[0].1.clone()).collect();
    addresses.sort();
    addresses
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_kept_when_they_break() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.json", r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#);
    write("b.yml", "- targets: [b:1, 'b:2']\n  labels: {port: 9}\n");
    write("other.txt", "not looked at");
    let text =
        "scrape_configs: [{job_name: j, file_sd_configs: [{files: ['*.json', b.yml, none.yml]}]}]";
    let job = &jobs(folder.path(), text)[0];
    let tally = Arc::default();
    let mut discoverer = Discoverer::new("j", &job.sources, Arc::clone(&tally));
    let second = Duration::from_secs(1);
    assert!(discoverer.refresh(second).await);
    assert_eq!(addresses(&discoverer), ["a:1", "b:1", "b:2"]);
    let path = &discoverer.groups()[0].labels[1];
    assert_eq!(path.0, "__meta_filepath");
    assert!(!discoverer.refresh(second).await, "nothing is due yet");
    assert!(!discoverer.refresh(10 * second).await, "nothing changed");
    write("a.json", r#"[{"targets": ["a:1", "a:22"]}]"#);
    write("c.json", r#"[{"targets": ["c:1"]}]"#);
    std::fs::remove_file(folder.path().join("b.yml")).unwrap();
    assert!(discoverer.refresh(20 * second).await);
    assert_eq!(addresses(&discoverer), ["a:1", "a:22", "c:1"]);
    write("a.json", "[{\"targets\": [");
    assert!(!discoverer.refresh(30 * second).await);
    assert_eq!(
        addresses(&discoverer),
        ["a:1", "a:22", "c:1"],
        "the last good answer is kept"
    );
    let labels = [("job", "j"), ("kind", "file")];
    assert_eq!(
        tally.get("alluse_discovery_failures_total", &labels),
        Some(1.0)
    );
}

#[tokio::test]
async fn an_http_server_is_asked_and_its_last_good_answer_kept() {
    let (url, script) = scraping::server().await;
    let says = |kind, body: &[u8]| {
        let mut script = script.lock().unwrap();
        script.content_type = Some(kind);
        script.body = body.to_vec();
    };
    says(
        "application/json",
        br#"[{"targets": ["s:1"], "labels": {"__meta_dc": "x"}}]"#,
    );
    let text = format!(
        "scrape_configs: [{{job_name: j, http_sd_configs: [{{url: '{url}', refresh_interval: 5s}}]}}]"
    );
    let job = &jobs(Path::new(""), &text)[0];
    let mut discoverer = Discoverer::new("j", &job.sources, Arc::default());
    assert!(discoverer.refresh(Duration::from_secs(1)).await);
    assert_eq!(addresses(&discoverer), ["s:1"]);
    let asked = script.lock().unwrap().asked.clone();
    assert!(asked.contains(&(
        "x-prometheus-refresh-interval-seconds".to_owned(),
        "5".to_owned()
    )));
    says("text/html", b"<html>");
    assert!(!discoverer.refresh(Duration::from_secs(7)).await);
    assert_eq!(addresses(&discoverer), ["s:1"]);
    says("application/json", b"[]");
    assert!(discoverer.refresh(Duration::from_secs(13)).await);
    assert_eq!(addresses(&discoverer), Vec::<String>::new());
}

/// A name server that knows `_m._tcp.x` (SRV) and `h.x` (A); its address.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut reply = buffer[..length].to_vec();
            let kind = reply[length - 3];
            let knows =
                reply[12..].starts_with(b"\x02_m") || reply[12..].starts_with(b"\x01h\x01x\0");
            reply[2..4].copy_from_slice(if knows { &[0x81, 0x80] } else { &[0x81, 0x83] });
            reply[7] = u8::from(knows);
            // The owner (a pointer to the question), the kind, the class, an hour.
            reply.extend_from_slice(&[0xC0, 12, 0, kind, 0, 1, 0, 0, 0x0E, 0x10]);
            match kind {
                33 => {
                    reply.extend_from_slice(&[0, 11, 0, 0, 0, 5, 0x23, 0x8C, 1, b'h', 1, b'x', 0])
                }
                _ => reply.extend_from_slice(&[0, 4, 10, 1, 2, 3]),
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn names_are_looked_up_with_the_search_list() {
    let resolver = Resolver {
        servers: vec![name_server().await],
        search: vec!["x".to_owned()],
        ..Resolver::default()
    };
    let found = async |name: &str, record| {
        let group = resolver.targets(name, record, 80).await.unwrap();
        let targets = group.targets.into_iter();
        targets
            .map(|target| target[0].1.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("_m._tcp.x", DnsRecord::Srv).await, ["h.x:9100"]);
    assert_eq!(found("h", DnsRecord::A).await, ["10.1.2.3:80"]);
    assert_eq!(found("nobody.", DnsRecord::A).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_s_targets_come_and_go_with_its_file_and_a_reload_keeps_the_rest() {
    let (url, script) = scraping::server().await;
    script.lock().unwrap().body = b"a 1\n".to_vec();
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches("/metrics");
    let config = |more: &str| {
        let text = format!(
            "global: {{scrape_interval: 20ms, scrape_timeout: 20ms}}\n\
             scrape_configs:\n\
             - {{job_name: keeps, static_configs: [{{targets: ['{address}'], labels: {{l: k}}}}]}}\n{more}"
        );
        jobs(Path::new(""), &text)
    };
    let drops = format!(
        "- {{job_name: goes, static_configs: [{{targets: ['{address}', 'x:1']}}], \
         relabel_configs: [{{source_labels: [__address__], regex: 'x:.*', action: drop}}]}}\n"
    );
    let collector = Collector::new(
        Config {
            jobs: config(&drops),
            ..Config::default()
        },
        TestClock::shared(0),
    );
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1024);
    let run = tokio::spawn(collector.run(sink, std::future::pending()));
    let mut of = async |job: &str, name: &str| -> Batch {
        loop {
            let batch = batches.recv().await.expect("the collector runs");
            let is_it = |s: &model::Sample| {
                s.labels.get("job") == Some(job) && s.labels.metric_name() == name
            };
            if batch.samples.iter().any(is_it) {
                return batch;
            }
        }
    };
    of("keeps", "a").await;
    of("goes", "a").await;
    assert_eq!(handle.targets().len(), 2);
    assert_eq!(handle.dropped()["goes"].count, 1);
    let kept = || {
        let all = handle.targets().into_iter();
        all.filter(|s| s.target.pool == "keeps")
            .map(|s| s.last_scrape_ms)
            .max()
    };
    let before = kept();
    handle.set_jobs(config(""));
    let stale = |batch: &Batch| {
        batch
            .samples
            .iter()
            .all(|s| matches!(s.value, model::Value::Float(v) if model::is_stale(v)))
    };
    while !stale(&of("goes", "a").await) {}
    of("keeps", "a").await;
    assert!(
        kept() >= before,
        "it was never replaced: its last scrape is known"
    );
    assert_eq!(handle.targets().len(), 1);
    assert!(!handle.dropped().contains_key("goes"));
    drop(batches);
    run.await.unwrap();
}

async fn scraped(target: Target) -> (Option<ScrapeError>, Batch) {
    let client = HttpClient::new(Arc::clone(&target.http));
    let mut scraper = Scraper::new(target, client, TestClock::shared(0));
    let scrape = scraper.scrape(1_000).await;
    (scrape.error, scrape.batch)
}

#[tokio::test]
async fn a_scrape_over_a_limit_fails_whole_and_recovers() {
    let (url, script) = scraping::server().await;
    script.lock().unwrap().body = b"a{l=\"long\"} 1\nb 2\n".to_vec();
    let limited = |samples, count, name_bytes, value_bytes| Target {
        sample_limit: samples,
        label_limits: LabelLimits {
            count,
            name_bytes,
            value_bytes,
        },
        ..Target::new("t", &url)
    };
    for (target, why) in [
        (limited(1, 0, 0, 0), "sample_limit exceeded: 2 samples"),
        (limited(0, 3, 0, 0), "label_limit exceeded by a{"),
        (limited(0, 0, 7, 0), "label_name_length_limit"),
        (limited(0, 0, 0, 3), "label_value_length_limit"),
    ] {
        let (error, batch) = scraped(target).await;
        assert!(error.unwrap().to_string().contains(why), "{why}");
        assert_eq!(batch.samples.len(), 5, "the scrape's own series only");
    }
    let target = limited(2, 4, 20, 40);
    let client = HttpClient::new(Arc::clone(&target.http));
    let mut scraper = Scraper::new(target, client, TestClock::shared(0));
    for (body, fails) in [
        ("a 1\nb 2\n", false),
        ("a 1\nb 2\nc 3\n", true),
        ("a 1\nc 3\n", false),
    ] {
        script.lock().unwrap().body = body.as_bytes().to_vec();
        assert_eq!(scraper.scrape(1_000).await.error.is_some(), fails, "{body}");
    }
}

#[tokio::test]
async fn credentials_are_sent_and_a_file_s_are_read_each_time() {
    let (url, script) = scraping::server().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "one\n").unwrap();
    let http = |said: &str| {
        let text = format!("scrape_configs: [{{job_name: j, {said}}}]");
        Arc::clone(&jobs(folder.path(), &text)[0].http)
    };
    let asked = async |target: &Target| {
        scraped(target.clone()).await;
        let asked = script.lock().unwrap().asked.clone();
        asked
            .into_iter()
            .find(|(name, _)| name == "authorization")
            .map(|(_, value)| value)
    };
    let mut target = Target::new("t", &url);
    assert_eq!(asked(&target).await, None);
    target.http = http("basic_auth: {username: me, password: pw}");
    assert_eq!(asked(&target).await.as_deref(), Some("Basic bWU6cHc="));
    target.http = http("authorization: {credentials_file: token}");
    assert_eq!(asked(&target).await.as_deref(), Some("Bearer one"));
    std::fs::write(folder.path().join("token"), "two").unwrap();
    assert_eq!(asked(&target).await.as_deref(), Some("Bearer two"));
    target.http = http("bearer_token_file: none");
    let (error, _) = scraped(target.clone()).await;
    assert!(
        matches!(error, Some(ScrapeError::Fetch { .. })),
        "{error:?}"
    );
}
