//! What the server goes and gets, and the doors that are sockets: a `prometheus.yml` as it is,
//! read again on request; StatsD; OTLP over gRPC; probes; triggers.

use e2e::{program, server::Server, service::Service, wait};
use rustix::process::Signal;

const QUIET: &str = "[collect]\nhost = \"off\"\n";

/// A server with a `prometheus.yml` beside its configuration.
async fn start(folder: &std::path::Path, yaml: &str) -> Server {
    std::fs::write(folder.join("prometheus.yml"), yaml).unwrap();
    let config = format!("{QUIET}prometheus_config = \"prometheus.yml\"\n");
    Server::start(folder, &config).await
}

fn yaml(jobs: &str) -> String {
    format!("global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs:\n{jobs}")
}

#[tokio::test]
async fn a_prometheus_yml_is_scraped_shown_and_read_again_all_or_nothing() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    service.set("answer", 42.0);
    let address = service.url.trim_start_matches("http://");
    std::fs::write(
        folder.path().join("targets.json"),
        format!(r#"[{{"targets": ["{address}", "dropped:1"], "labels": {{"zone": "z1"}}}}]"#),
    )
    .unwrap();
    let job = "- job_name: app\n  file_sd_configs: [{files: ['*.json']}]\n  relabel_configs:\n  \
               - {source_labels: [__address__], regex: 'dropped:.*', action: drop}\n  \
               - {source_labels: [zone], target_label: region, replacement: 'r-$1'}\n";
    let server = start(folder.path(), &yaml(job)).await;
    server
        .answered(r#"answer{job="app",region="r-z1",zone="z1"} == 42"#)
        .await;

    let targets = server.http.get("/api/v1/targets").await.json();
    let data = &targets["data"];
    assert_eq!(data["droppedTargetCounts"]["app"], 1);
    assert_eq!(
        data["droppedTargets"][0]["discoveredLabels"]["__address__"],
        "dropped:1"
    );
    let active = data["activeTargets"].as_array().unwrap();
    let ours = active.iter().find(|t| t["scrapePool"] == "app").unwrap();
    assert_eq!(
        (&ours["health"], &ours["scrapeInterval"]),
        (&"up".into(), &"200ms".into())
    );
    assert_eq!(ours["discoveredLabels"]["__address__"], address);
    assert_eq!(ours["labels"]["region"], "r-z1");
    let pools = server.http.get("/api/v1/scrape_pools").await.json();
    assert!(
        pools["data"]["scrapePools"]
            .as_array()
            .unwrap()
            .contains(&"app".into())
    );

    // A mistake: refused with its place, the jobs go on.
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, yaml("- job_name: app\n  scheme: ftp\n")).unwrap();
    let refused = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(refused.status, 500);
    assert!(
        refused
            .text
            .contains("prometheus.yml:4:11: scrape_configs[0].scheme"),
        "{}",
        refused.text
    );
    server
        .answered("alluse_config_last_reload_successful == 0")
        .await;
    server.answered(r#"up{job="app"} == 1"#).await;

    // A good one, by signal: the old job's series end, the new one's begin.
    let job = format!("- {{job_name: other, static_configs: [{{targets: ['{address}']}}]}}\n");
    std::fs::write(&file, yaml(&job)).unwrap();
    server.program.signal(Signal::HUP);
    server.answered(r#"answer{job="other"} == 42"#).await;
    server
        .answered("alluse_config_last_reload_successful == 1")
        .await;
    wait::until("the old job's series to end", async || {
        server
            .query(r#"answer{job="app"}"#)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_prometheus_yml_is_checked_with_places_and_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prometheus.yml");
    let text = "global: {query_log_file: q.log}\nscrape_configs: [{job_name: a}]\n";
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let checked = program::output(&["config", "check", &path]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(
        said.contains("prometheus.yml:1:10: global.query_log_file: has no effect here"),
        "{said}"
    );
    std::fs::write(&file, "scrape_configs: [{job_name: a, skeme: https}]\n").unwrap();
    let checked = program::output(&["config", "check", &path]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(2));
    assert!(
        said.contains("prometheus.yml:1:32: scrape_configs[0].skeme") && said.contains("`scheme`"),
        "{said}"
    );
    let data = folder.path().join("data").display().to_string();
    let arguments = [
        "serve",
        "--listen=127.0.0.1:0",
        "--data",
        &data,
        "--prometheus-config",
        &path,
    ];
    let served = program::output(&arguments).await;
    assert_eq!(served.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&served.stderr).contains("skeme"));
}

#[tokio::test]
async fn statsd_is_heard_on_a_unix_socket_and_by_udp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statsd.sock");
    // A port nobody has now: StatsD has no way to say which one it took.
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = format!(
        "{QUIET}[collect.statsd]\nudp = \"{free}\"\nunix = \"{}\"\nflush_interval = \"200ms\"\n",
        path.display()
    );
    let server = Server::start(folder.path(), &config).await;
    let unix = std::os::unix::net::UnixDatagram::unbound().unwrap();
    unix.send_to(
        b"jobs.done:3|c|#queue:mail\njobs.done:4|c|#queue:mail\n!\n",
        &path,
    )
    .unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"temp:21.5|g", free).unwrap();
    udp.send_to(b"took:10:20:30|ms", free).unwrap();
    server
        .answered(r#"jobs_done_total{queue="mail"} == 7"#)
        .await;
    server.answered("temp == 21.5").await;
    server.answered("histogram_count(took) == 3").await;
    server
        .answered(r#"alluse_statsd_rejected_lines_total{reason="syntax"} == 1"#)
        .await;
    server
        .answered(r#"alluse_statsd_packets_total{socket="udp"} == 2"#)
        .await;
    server.terminate().await;
    assert!(!path.exists(), "the socket goes with the server");
}

#[tokio::test]
async fn probes_are_run_and_a_trigger_looks_closer_while_its_condition_holds() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    service.set("pressure", 0.0);
    let config = format!(
        r#"{QUIET}
[[collect.scrape]]
job = "app"
url = "{}/metrics"
interval = "500ms"

[[collect.probes]]
name = "uptime"
command = ["cat", "/proc/uptime"]
format = "none"
interval = "300ms"

[[collect.probes]]
name = "answer"
command = ["sh", "-c", "echo 42"]
format = "value"
interval = "300ms"

[[collect.probes]]
name = "hangs"
command = ["sh", "-c", "sleep 1000 & sleep 1000"]
interval = "300ms"

[[collect.triggers]]
name = "hot"
series = 'pressure{{job="app"}}'
above = 0.8
exit = 0.2
interval = "100ms"
applies_to = ["job:app"]
"#,
        service.url
    );
    let server = Server::start(folder.path(), &config).await;
    server
        .answered(r#"answer{probe="answer",job="probe"} == 42"#)
        .await;
    server
        .answered(r#"alluse_probe_success{probe="uptime"} == 1"#)
        .await;
    server
        .answered(r#"alluse_probe_success{probe="hangs"} == 0"#)
        .await;
    server
        .answered(r#"alluse_probe_failures_total{probe="hangs",reason="timeout"} > 0"#)
        .await;
    server
        .answered(r#"alluse_probe_duration_seconds{probe="answer"} > 0"#)
        .await;

    server
        .answered(r#"alluse_trigger_active{trigger="hot"} == 0"#)
        .await;
    service.set("pressure", 0.9);
    server
        .answered(r#"alluse_trigger_active{trigger="hot"} == 1"#)
        .await;
    // Ten scrapes a second now, where there were two.
    server
        .answered(r#"count_over_time(pressure{job="app"}[2s]) > 12"#)
        .await;
    service.set("pressure", 0.1);
    server
        .answered(r#"alluse_trigger_active{trigger="hot"} == 0"#)
        .await;
    server
        .answered(r#"alluse_trigger_turns_total{trigger="hot",to="left"} == 1"#)
        .await;
    // By its own way, so that the probe that hangs ends with it.
    assert!(server.terminate().await.success());
}
