//! The whole collector on its own ticks.

use std::{collections::BTreeSet, time::Duration};

use collect::{Collector, Config, HostConfig, ProcessConfig, Target};
use model::{Batch, Value, is_stale};
use tokio::sync::{mpsc, oneshot};

use crate::{clock::TestClock, scraping};

const FAST: Duration = Duration::from_millis(20);

fn is_end(batch: &Batch) -> bool {
    batch
        .samples
        .iter()
        .all(|s| matches!(s.value, Value::Float(v) if is_stale(v)))
}

#[tokio::test]
async fn everything_is_stamped_on_the_tick_and_ends_with_staleness_markers() {
    let (url, script) = scraping::server().await;
    script.lock().unwrap().body = b"a 1\n".to_vec();
    let host = HostConfig {
        interval: FAST,
        ..HostConfig::default()
    };
    let mut process = ProcessConfig::new(std::process::id(), "self");
    process.interval = FAST;
    let mut target = Target::new("t", &url);
    target.interval = FAST;
    target.timeout = Duration::from_secs(1);
    let config = Config {
        host: Some(host),
        processes: vec![process],
        targets: vec![target],
        ..Config::default()
    };
    let collector = Collector::new(config, TestClock::shared(1_700_000_000_007));
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1024);
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(collector.run(sink, async {
        // Resolves when the sender is dropped.
        drop(stopped.await);
    }));
    let mut seen = BTreeSet::new();
    while !["node_load1", "process_threads", "a"]
        .iter()
        .all(|name| seen.contains(*name))
    {
        let batch = batches.recv().await.expect("the collector runs");
        for sample in &batch.samples {
            assert_eq!(sample.time_ms % 20, 0, "{sample:?}");
            seen.insert(sample.labels.metric_name().to_owned());
        }
    }
    let status = &handle.targets()[0];
    assert_eq!(
        (status.up, status.last_error.as_deref()),
        (Some(true), None)
    );
    drop(stop);
    let mut last = Vec::new();
    while let Some(batch) = batches.recv().await {
        last.push(batch);
    }
    run.await.unwrap();
    assert!(last.len() >= 3 && last[last.len() - 3..].iter().all(is_end));
    let ticks = handle
        .tally()
        .get("alluse_collect_ticks_total", &[("kind", "host")]);
    assert!(ticks.is_some_and(|ticks| ticks >= 1.0));
}

#[tokio::test]
async fn targets_come_and_go_while_it_runs() {
    let (url, script) = scraping::server().await;
    script.lock().unwrap().body = b"a 1\n".to_vec();
    let collector = Collector::new(Config::default(), TestClock::shared(0));
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1024);
    let run = tokio::spawn(collector.run(sink, std::future::pending()));
    let mut target = Target::new("t", &url);
    target.interval = FAST;
    handle.add_target(target.clone());
    assert!(!is_end(&batches.recv().await.unwrap()));
    handle.remove_target(&url);
    while !is_end(&batches.recv().await.unwrap()) {}
    assert_eq!(handle.targets(), []);
    handle.add_target(target);
    assert!(!is_end(&batches.recv().await.unwrap()));
    drop(batches);
    run.await.unwrap();
}

#[tokio::test]
async fn a_sink_that_does_not_keep_up_costs_samples_that_are_counted() {
    let host = HostConfig {
        interval: FAST,
        ..HostConfig::default()
    };
    let config = Config {
        host: Some(host),
        ..Config::default()
    };
    let collector = Collector::new(config, TestClock::shared(0));
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1);
    let run = tokio::spawn(collector.run(sink, std::future::pending()));
    let dropped = || {
        handle
            .tally()
            .get("alluse_collect_batches_dropped_total", &[("kind", "host")])
    };
    while dropped().is_none() {
        tokio::task::yield_now().await;
    }
    let first = batches.recv().await.expect("the rhythm goes on");
    assert!(!first.metadata.is_empty() && !first.samples.is_empty());
    let samples = handle.metrics(5);
    let lost = samples
        .iter()
        .find(|s| s.labels.metric_name() == "alluse_collect_samples_dropped_total");
    assert!(lost.is_some_and(|s| matches!(s.value, Value::Float(v) if v > 50.0)));
    drop(batches);
    run.await.unwrap();
}

#[tokio::test]
async fn metadata_of_a_batch_that_was_lost_comes_with_a_later_one() {
    let host = HostConfig {
        interval: FAST,
        ..HostConfig::default()
    };
    let config = Config {
        host: Some(host),
        ..Config::default()
    };
    let collector = Collector::new(config, TestClock::shared(0));
    let handle = collector.handle();
    let (sink, mut batches) = mpsc::channel(1);
    // The one place in the channel is taken, so the first batch is lost.
    sink.try_send(Batch::default()).unwrap();
    let run = tokio::spawn(collector.run(sink, std::future::pending()));
    let dropped = || {
        handle
            .tally()
            .get("alluse_collect_batches_dropped_total", &[("kind", "host")])
    };
    while dropped().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(batches.recv().await, Some(Batch::default()));
    let later = batches.recv().await.unwrap();
    assert!(
        later
            .metadata
            .iter()
            .any(|said| said.family == "node_load1")
    );
    drop(batches);
    run.await.unwrap();
}
