//! Probes: what they bring, and that a bad one harms nobody.

use std::{sync::Arc, time::Duration};

use collect::{
    Collector, Config, HttpSettings, Probe, ProbeConfig, Tally,
    probe::{Action, Format, ProbeRunner},
};
use model::{Batch, Labels, METRIC_NAME, Sample, Value, is_stale};
use tokio::sync::mpsc;

use crate::{clock::TestClock, scraping};

fn shell(name: &str, script: &str, format: Format) -> ProbeConfig {
    ProbeConfig {
        name: name.to_owned(),
        action: Action::Command(["sh", "-c", script].map(str::to_owned).into()),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(10),
        format,
        labels: vec![("env".to_owned(), "test".to_owned())],
    }
}

fn runner(config: &ProbeConfig) -> (ProbeRunner, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    (
        ProbeRunner::new(config, TestClock::shared(0), Arc::clone(&tally)),
        tally,
    )
}

fn value(batch: &Batch, name: &str) -> Option<f64> {
    let sample = batch
        .samples
        .iter()
        .find(|s| s.labels.metric_name() == name)?;
    match sample.value {
        Value::Float(value) => Some(value),
        Value::Histogram(_) => None,
    }
}

#[tokio::test]
async fn a_command_s_output_becomes_labelled_samples_that_end_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    std::fs::write(&file, "a{probe=\"theirs\"} 1\nb 2\n").unwrap();
    let config = shell("p", &format!("cat {}", file.display()), Format::Prometheus);
    let (mut runner, tally) = runner(&config);
    let batch = runner.run(1_000).await;
    assert_eq!(
        (value(&batch, "a"), value(&batch, "alluse_probe_success")),
        (Some(1.0), Some(1.0))
    );
    let a = batch
        .samples
        .iter()
        .find(|s| s.labels.metric_name() == "a")
        .unwrap();
    assert_eq!(
        a.labels.to_string(),
        r#"a{env="test", exported_probe="theirs", job="probe", probe="p"}"#
    );
    assert!(value(&batch, "alluse_probe_duration_seconds").is_some_and(|s| s > 0.0));
    std::fs::remove_file(&file).unwrap();
    let batch = runner.run(2_000).await;
    assert!(value(&batch, "a").is_some_and(is_stale), "its series ended");
    assert_eq!(value(&batch, "alluse_probe_success"), Some(0.0));
    let labels = [("probe", "p"), ("reason", "exit")];
    assert_eq!(tally.get("alluse_probe_failures_total", &labels), Some(1.0));
}

#[tokio::test]
async fn an_endpoint_is_a_probe_too() {
    let (url, script) = scraping::server().await;
    script.lock().unwrap().body = br#"{"queue": {"length": 7}, "ok": true}"#.to_vec();
    let config = ProbeConfig {
        action: Action::Url(url, Arc::new(HttpSettings::default())),
        ..shell("web", "", Format::Json)
    };
    let (mut runner, tally) = runner(&config);
    let batch = runner.run(1_000).await;
    assert_eq!(
        (value(&batch, "web_queue_length"), value(&batch, "web_ok")),
        (Some(7.0), Some(1.0))
    );
    script.lock().unwrap().status = 503;
    assert_eq!(
        value(&runner.run(2_000).await, "alluse_probe_success"),
        Some(0.0)
    );
    let labels = [("probe", "web"), ("reason", "status")];
    assert_eq!(tally.get("alluse_probe_failures_total", &labels), Some(1.0));
}

/// Whether any process has this word in its command line.
fn somebody_runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines
        .map(|l| String::from_utf8_lossy(&l).into_owned())
        .any(|l| l.contains(word) && !l.contains("sh\0-c"))
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_everything_it_started() {
    // A length of sleep nobody else asks for.
    let length = format!("98{}", std::process::id());
    let script = format!("sleep {length} & sleep {length}");
    let mut config = shell("hangs", &script, Format::None);
    config.timeout = Duration::from_millis(300);
    let (mut runner, tally) = runner(&config);
    let batch = runner.run(1_000).await;
    assert_eq!(value(&batch, "alluse_probe_success"), Some(0.0));
    let labels = [("probe", "hangs"), ("reason", "timeout")];
    assert_eq!(tally.get("alluse_probe_failures_total", &labels), Some(1.0));
    while somebody_runs(&length) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_when_it_ends() {
    let length = format!("97{}", std::process::id());
    let script = format!("sleep {length} & echo 5");
    let (mut runner, _) = runner(&shell("leaves", &script, Format::Value));
    let batch = runner.run(1_000).await;
    assert_eq!(
        value(&batch, "leaves"),
        Some(5.0),
        "nor does it hold the output open"
    );
    while somebody_runs(&length) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn output_without_end_is_cut_and_the_command_killed() {
    let (mut runner, tally) = runner(&shell("floods", "yes", Format::Prometheus));
    let batch = runner.run(1_000).await;
    assert_eq!(value(&batch, "alluse_probe_success"), Some(0.0));
    let labels = [("probe", "floods"), ("reason", "output_size")];
    assert_eq!(tally.get("alluse_probe_failures_total", &labels), Some(1.0));
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_and_nothing_else() {
    let mut config = shell("gone", "", Format::None);
    config.action = Action::Command(vec!["/no/such/program".to_owned()]);
    let (mut runner, tally) = runner(&config);
    assert_eq!(
        value(&runner.run(1_000).await, "alluse_probe_success"),
        Some(0.0)
    );
    let labels = [("probe", "gone"), ("reason", "start")];
    assert_eq!(tally.get("alluse_probe_failures_total", &labels), Some(1.0));
}

/// Counts its runs, and panics at the second.
#[derive(Debug, Default)]
struct Counting(u32);

impl Probe for Counting {
    #[expect(clippy::panic_in_result_fn, reason = "the panic is what is tested")]
    fn sample(
        &mut self,
        tick_ms: i64,
    ) -> Result<Vec<Sample>, Box<dyn std::error::Error + Send + Sync>> {
        self.0 += 1;
        assert_ne!(self.0, 2, "the second run");
        let labels = Labels::from_pairs([(METRIC_NAME, "runs")]);
        Ok(vec![Sample::float(labels, tick_ms, f64::from(self.0))])
    }
}

#[tokio::test]
async fn code_of_this_process_may_panic_and_is_asked_again_beside_probes_that_hang() {
    let mut hangs = shell("hangs", "sleep 1000", Format::None);
    hangs.interval = Duration::from_millis(20);
    let config = Config {
        probes: vec![hangs.clone()],
        ..Config::default()
    };
    let collector = Collector::new(config, TestClock::shared(0));
    let handle = collector.handle();
    hangs.name = "counting".to_owned();
    handle.add_probe(hangs, Box::<Counting>::default());
    let (sink, mut batches) = mpsc::channel(1024);
    let run = tokio::spawn(collector.run(sink, std::future::pending()));
    let mut seen = Vec::new();
    while seen.last() != Some(&3.0) {
        let batch = batches.recv().await.expect("the collector runs");
        seen.extend(value(&batch, "runs").filter(|v| !is_stale(*v)));
    }
    assert_eq!(seen, [1.0, 3.0]);
    let labels = [("probe", "counting"), ("reason", "panic")];
    assert_eq!(
        handle.tally().get("alluse_probe_failures_total", &labels),
        Some(1.0)
    );
    handle.remove_probe("counting");
    loop {
        let batch = batches.recv().await.expect("the collector runs");
        if value(&batch, "runs").is_some_and(is_stale) {
            break;
        }
    }
    drop(batches);
    run.await.unwrap();
}
