//! Requests take turns, the queue is bounded, the knob acts on what is running.

use std::{collections::BTreeMap, time::Duration};

use knob::{Order, Value};
use runtime::{
    Clock, Executor,
    executor::Config,
    metrics::{Format, Registry},
};

fn executor(concurrency: i64, queue: usize) -> (Executor, knob::Registry, Registry) {
    let (knobs, metrics) = (knob::Registry::default(), Registry::default());
    let config = Config { concurrency, queue };
    let executor = Executor::new(config, Clock::start(), &knobs, &metrics).unwrap();
    (executor, knobs, metrics)
}

fn concurrency(knobs: &knob::Registry, value: i64) {
    let values = BTreeMap::from([("executor.concurrency".into(), Value::Int(value))]);
    let order = Order {
        change: 1,
        generation: 1,
        values,
    };
    knobs
        .set(&order, Duration::from_secs(1), Duration::ZERO)
        .unwrap();
}

fn has(metrics: &Registry, line: &str) -> bool {
    metrics
        .render(Format::Prometheus)
        .lines()
        .any(|l| l == line)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_admitted_when_another_leaves_and_its_wait_is_measured() {
    let (executor, _, metrics) = executor(1, 1);
    let first = executor.enter().await.unwrap();
    let second = tokio::spawn({
        let executor = executor.clone();
        async move { executor.enter().await.unwrap().waited }
    });
    tokio::task::yield_now().await;
    assert!(has(&metrics, "executor_queue_depth 1"));
    assert!(executor.enter().await.is_err(), "the queue holds one");
    assert!(has(&metrics, "executor_turned_away_total 1"));
    tokio::time::advance(Duration::from_millis(30)).await;
    drop(first);
    assert_eq!(second.await.unwrap(), Duration::from_millis(30));
    assert!(has(&metrics, "executor_in_flight 0"));
}

#[tokio::test]
async fn a_lease_on_the_concurrency_acts_and_its_end_acts_too() {
    let (executor, knobs, metrics) = executor(1, 0);
    concurrency(&knobs, 2);
    let (_first, second) = (
        executor.enter().await.unwrap(),
        executor.enter().await.unwrap(),
    );
    assert_eq!(knobs.tick(Duration::from_secs(1)).len(), 1);
    assert!(has(&metrics, "executor_concurrency_limit 1"));
    drop(second);
    assert!(
        executor.enter().await.is_err(),
        "one is still working, one is allowed"
    );
}
