//! The server: it starts, says where, watches this host and itself, ends well, and remembers.

use e2e::{program::Program, server::Server, wait};

#[tokio::test]
async fn says_where_it_listens_and_that_is_loopback_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    assert!(
        server.program.url.starts_with("http://127.0.0.1:"),
        "{}",
        server.program.url
    );
    assert!(!server.program.url.ends_with(":0"));
    let healthy = server.http.get("/-/healthy").await;
    assert_eq!(
        (healthy.status, healthy.text.as_str()),
        (200, "ALL-USE is healthy.\n")
    );
    let ready = server.http.get("/-/ready").await;
    // A host whose disk is nearly full is ready, too, and says so.
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert!(ready.text.starts_with("ALL-USE is ready"), "{}", ready.text);
    // Only loopback: the socket is not bound to every address of this host.
    let port: u16 = server
        .program
        .url
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let listening = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local: Vec<&str> = listening
        .lines()
        .filter(|l| l.split_whitespace().nth(3) == Some("0A"))
        .filter_map(|l| l.split_whitespace().nth(1))
        .filter(|a| a.ends_with(&format!(":{port:04X}")))
        .collect();
    assert_eq!(local, [format!("0100007F:{port:04X}")]);
}

#[tokio::test]
async fn samples_this_host_and_itself_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    for expression in [
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes > 0",
        "node_load1",
        "node_filesystem_avail_bytes",
        r#"process_cpu_seconds_total{job="alluse"}"#,
        r#"up{job="alluse"} == 1"#,
    ] {
        server.answered(expression).await;
    }
    // A counter of CPU time is in seconds of this host: all modes of all cores together pass as
    // fast as time does on each core.
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let all = server
        .number("count(node_cpu_seconds_total{mode=\"idle\"})")
        .await
        .unwrap();
    assert!(all >= cores, "{all} cores are sampled, {cores} may be used");
    let rate = "sum(rate(node_cpu_seconds_total[4s]))";
    let passed = wait::until(rate, async || {
        // Below until the window is filled.
        server.number(rate).await.filter(|rate| *rate > 0.7 * all)
    })
    .await;
    assert!(passed < 1.3 * all, "{passed} of {all} cores");
}

#[tokio::test]
async fn its_own_metrics_are_exposition_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    server.answered("node_load1").await;
    let metrics = server.http.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.content_type.starts_with("text/plain"),
        "{}",
        metrics.content_type
    );
    let samples: Vec<&str> = metrics
        .text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .collect();
    for line in &samples {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        assert!(!name.is_empty() && name.chars().all(legal), "{line}");
    }
    for name in [
        "process_resident_memory_bytes",
        "alluse_ingested_samples_total",
    ] {
        assert!(samples.iter().any(|l| l.starts_with(name)), "{name}");
    }
    // What it writes it can also read.
    server
        .answered(r#"scrape_samples_scraped{job="alluse"} > 10"#)
        .await;
}

#[tokio::test]
async fn ends_well_when_told_and_has_its_data_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "").await;
    server.answered("node_load1").await;
    let before = server.query("node_load1[1h]").await;
    assert!(server.terminate().await.success());

    let again = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let after = again.query("node_load1[1h]").await;
    let (before, after) = (&before[0]["values"], &after[0]["values"]);
    let kept = after.as_array().unwrap();
    for point in before.as_array().unwrap() {
        assert!(kept.contains(point), "{point} is lost");
    }
    assert!(
        !again.program.log().contains("torn"),
        "{}",
        again.program.log()
    );
}

#[tokio::test]
async fn the_environment_speaks_and_flags_have_the_last_word() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[server]\nlisten = \"127.0.0.1:1\"\ndata = \"/no/such/place\"\n";
    // The flags of `Server::start` win over both settings of the file.
    let server = Server::start(folder.path(), config).await;
    assert_eq!(server.http.get("/-/ready").await.status, 200);
    assert!(folder.path().join("data/store").is_dir());
}

#[tokio::test]
async fn a_ledger_runs_from_the_same_program() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("ledger").display().to_string();
    let arguments = ["ledger", "serve", "--listen=127.0.0.1:0", "--data", &data];
    let ledger = Program::start(&arguments, &folder.path().join("log")).await;
    assert!(ledger.terminate().await.success());
}
