//! kill -9 at random moments, and damage to the newest log: what was acknowledged stays.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use e2e::{server::Server, service::Service, wait};
use serde_json::Value;

/// Crashes in a row.
const KILLS: u32 = 10;

/// Every sample of the last hour, of this host and of the service.
const EVERYTHING: &str = r#"{__name__=~"ticks_total|node_load1|node_cpu_seconds_total|up"}[1h]"#;

/// Values by series and time, as the API gave them.
type Answered = BTreeMap<(String, String), String>;

fn note(rows: &[Value], answered: &mut Answered) {
    for row in rows {
        for point in row["values"].as_array().unwrap() {
            let key = (row["metric"].to_string(), point[0].to_string());
            answered.insert(key, point[1].as_str().unwrap().to_owned());
        }
    }
}

async fn all(server: &Server) -> Answered {
    let mut answered = Answered::new();
    note(&server.query(EVERYTHING).await, &mut answered);
    answered
}

fn config(service: &Service) -> String {
    format!(
        "[collect]\nhost_interval = \"100ms\"\n[[collect.scrape]]\njob = \"clock\"\nurl = \"{}/metrics\"\ninterval = \"100ms\"\n",
        service.url
    )
}

/// Waits until the service was scraped again after what was answered so far.
async fn scraped_again(server: &Server) {
    let now = server.number("max(ticks_total)").await.unwrap_or_default();
    wait::until("another scrape", async || {
        server.number("max(ticks_total)").await.filter(|n| *n > now)
    })
    .await;
}

/// Up to so many answers are read before the process is killed, in the middle of the next.
fn moments(round: u32) -> u32 {
    // A linear congruential step: other moments each round, the same each run.
    round.wrapping_mul(1_103_515_245).wrapping_add(12_345) / 65_536 % 8
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_ten_kills() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start().await;
    let config = config(&service);
    let mut answered = Answered::new();
    for round in 0..KILLS {
        let server = Server::start(folder.path(), &config).await;
        let found = all(&server).await;
        let lost: Vec<_> = answered
            .iter()
            .filter(|(k, v)| found.get(k) != Some(v))
            .collect();
        assert!(
            lost.is_empty(),
            "after {round} kills {} are lost: {lost:?}",
            lost.len()
        );
        scraped_again(&server).await;
        for _ in 0..=moments(round) {
            note(&server.query(EVERYTHING).await, &mut answered);
        }
        server.program.kill().await;
    }
    let last = Server::start(folder.path(), &config).await;
    let found = all(&last).await;
    let lost = answered
        .iter()
        .filter(|(k, v)| found.get(k) != Some(v))
        .count();
    println!(
        "{} acknowledged samples over {KILLS} kills, {lost} lost",
        answered.len()
    );
    assert!(
        answered.len() > 100,
        "too few to mean anything: {}",
        answered.len()
    );
    assert_eq!(lost, 0);
    assert!(last.terminate().await.success());
}

fn newest_segment(store: &Path) -> PathBuf {
    let entries = fs::read_dir(store).unwrap().flatten().map(|e| e.path());
    let is_log = |p: &PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("wal-") && name.ends_with(".log")
    };
    entries.filter(is_log).max().expect("a store has a log")
}

/// Kills a server after some samples; what it had answered, and its newest log.
async fn crashed(folder: &Path, config: &str) -> (Answered, PathBuf) {
    let server = Server::start(folder, config).await;
    server.answered("ticks_total").await;
    scraped_again(&server).await;
    let answered = all(&server).await;
    let segment = newest_segment(&server.store());
    server.program.kill().await;
    (answered, segment)
}

#[tokio::test]
async fn garbage_after_the_log_is_cut_off_counted_and_told() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start().await;
    let (answered, segment) = crashed(folder.path(), &config(&service)).await;
    let mut log = File::options().append(true).open(&segment).unwrap();
    log.write_all(&[0xAB; 777]).unwrap();

    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let found = all(&server).await;
    assert!(
        answered.iter().all(|(k, v)| found.get(k) == Some(v)),
        "intact data went"
    );
    told(&server, "777").await;
}

#[tokio::test]
async fn a_log_cut_short_loses_its_last_batch_and_nothing_before_it() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start().await;
    let (answered, segment) = crashed(folder.path(), &config(&service)).await;
    let bytes = fs::metadata(&segment).unwrap().len();
    File::options()
        .write(true)
        .open(&segment)
        .unwrap()
        .set_len(bytes - 5)
        .unwrap();

    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let found = all(&server).await;
    let wrong: Vec<_> = found
        .iter()
        .filter(|(k, v)| answered.get(k).is_some_and(|a| a != *v))
        .collect();
    assert!(wrong.is_empty(), "silently wrong: {wrong:?}");
    // The torn record was one batch: what it held is of one moment for each job, at the end.
    let lost: Vec<_> = answered.keys().filter(|k| !found.contains_key(k)).collect();
    let moments: std::collections::BTreeSet<_> = lost.iter().map(|(_, at)| at).collect();
    assert!(
        moments.len() <= 1,
        "more than the last batch is gone: {lost:?}"
    );
    told(&server, "").await;
}

/// The truncation is in the log of the program and in its metrics.
async fn told(server: &Server, bytes: &str) {
    let log = server.program.log();
    let line = log
        .lines()
        .find(|l| l.contains("WARN") && l.contains("wal-"));
    assert!(
        line.is_some_and(|l| l.contains(bytes)),
        "no warning:\n{log}"
    );
    let metrics = server.http.get("/metrics").await.text;
    assert!(
        metrics.contains("\nalluse_store_wal_truncated_total 1\n"),
        "{metrics}"
    );
}
