//! Runs from their beginning to their end.

use std::{collections::BTreeMap, time::Duration};

use load::{Arrivals, Code, Config, Engine, Plan, Stage, Validity};

use crate::server::{Gets, at_once, server, start, start_with};

fn steady(rate: f64, millis: u64) -> Plan {
    let stages = vec![Stage::steady(rate, Duration::from_millis(millis))];
    Plan {
        seed: 5,
        arrivals: Arrivals::Constant,
        stages,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_that_was_due_is_accounted_for_by_operation_and_code() {
    let (address, seen) = server(|path| {
        at_once(match path.split('/').nth(1) {
            Some("missing") => 404,
            Some("broken") => 500,
            _ => 200,
        })
    })
    .await;
    let scenario = Gets::of(&["fine", "missing", "broken"]);
    let answered = scenario.answered.clone();
    let run = start(&address, steady(1000.0, 300), scenario);
    let total = run.ended().await;
    assert_eq!(
        (total.due, total.dropped, total.queued, total.abandoned),
        (300, 0, 0, 0)
    );
    let by_path = seen
        .lock()
        .unwrap()
        .iter()
        .fold(BTreeMap::new(), |mut counts, path| {
            *counts
                .entry(path.split('/').nth(1).unwrap().to_owned())
                .or_insert(0) += 1;
            counts
        });
    let codes = [Code::Success, Code::Client, Code::Server];
    for (figures, code) in total.operations.iter().zip(codes) {
        let count = by_path[&figures.operation];
        assert_eq!(
            (figures.count, &figures.codes),
            (count, &vec![(code, count)])
        );
        assert_eq!(
            figures.errors,
            if code == Code::Success { 0 } else { count }
        );
        assert!(figures.p50_seconds > 0.0 && figures.p99_seconds <= figures.max_seconds);
    }
    assert_eq!(answered.lock().unwrap().len(), 300);
    assert!(
        answered
            .lock()
            .unwrap()
            .contains(&(1, 404, "{\"id\":7}".to_owned()))
    );
    assert!(
        total.cpu_seconds > 0.0,
        "the generator's own cost is measured"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_makes_the_same_requests() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let (address, seen) = server(|_| at_once(200)).await;
        let plan = Plan {
            seed,
            arrivals: Arrivals::Poisson,
            ..steady(2000.0, 50)
        };
        let config = Config {
            connections: 1,
            ..Config::new(&address, plan)
        };
        start_with(&config, Gets::of(&["a", "b"])).ended().await;
        runs.push(seen.lock().unwrap().clone());
    }
    assert!(runs[0].len() > 50 && runs[0] == runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_and_the_run_is_invalid() {
    let (address, _) = server(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            at_once(200).await
        })
    })
    .await;
    let config = Config {
        connections: 1,
        queue: 3,
        ..Config::new(&address, steady(100.0, 500))
    };
    let total = start_with(&config, Gets::of(&["slow"])).ended().await;
    let done = total.operations[0].count;
    assert_eq!(total.due, 50);
    assert_eq!(done + total.dropped, 50);
    assert!(total.dropped >= 35, "one connection serves ten a second");
    assert_eq!(
        total.validity,
        Validity::Dropped {
            dropped: total.dropped
        }
    );
    assert!(!total.validity.is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_that_is_late_is_invalid_and_one_that_is_not_is_valid() {
    let (address, _) = server(|_| at_once(200)).await;
    let judged = |latency_target_seconds| {
        let plan = steady(500.0, 200);
        Config {
            latency_target_seconds,
            ..Config::new(&address, plan)
        }
    };
    let lenient = start_with(&judged(100.0), Gets::of(&["get"])).ended().await;
    assert_eq!(lenient.validity, Validity::Valid);
    // No machine hands on 99 % of its requests within a tenth of a nanosecond.
    let strict = start_with(&judged(1e-9), Gets::of(&["get"])).ended().await;
    assert!(
        matches!(strict.validity, Validity::Late { lag_p99_seconds, .. } if lag_p99_seconds > 0.0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_gone_or_silent_are_told_apart() {
    let gone = start("127.0.0.1:1", steady(100.0, 100), Gets::of(&["get"]))
        .ended()
        .await;
    assert_eq!(gone.operations[0].codes, [(Code::Broken, 10)]);
    let (address, _) = server(|_| Box::pin(std::future::pending())).await;
    let config = Config {
        timeout_seconds: 0.1,
        ..Config::new(&address, steady(100.0, 100))
    };
    let silent = start_with(&config, Gets::of(&["get"])).ended().await;
    assert_eq!(silent.operations[0].codes, [(Code::Timeout, 10)]);
    assert!(silent.operations[0].p50_seconds >= 0.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_can_be_changed_while_it_runs_and_the_run_stopped() {
    let (address, _) = server(|_| at_once(200)).await;
    let run = start(&address, Plan::endless(1, 0.0), Gets::of(&["get"]));
    assert!(run.set_rate(-1.0).is_err() && run.set_rate(f64::NAN).is_err());
    assert_eq!(run.total().validity, Validity::Empty);
    run.set_rate(2000.0).unwrap();
    while run.total().operations[0].count < 200 {
        tokio::task::yield_now().await;
    }
    assert!((run.rate() - 2000.0).abs() < 1e-9);
    let first = run.interval();
    assert!(first.operations[0].count >= 200);
    run.set_rate(0.0).unwrap();
    while run.rate() > 0.0 {
        tokio::task::yield_now().await;
    }
    run.stop();
    let total = run.ended().await;
    let second = run.interval();
    assert_eq!(
        total.due,
        first.due + second.due,
        "each is in exactly one interval"
    );
    assert_eq!(total.due, total.operations[0].count + total.abandoned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_abandons_what_waits_and_finishes_what_is_under_way() {
    let (address, _) = server(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            at_once(200).await
        })
    })
    .await;
    let config = Config {
        connections: 2,
        ..Config::new(&address, Plan::endless(1, 1000.0))
    };
    let run = start_with(&config, Gets::of(&["slow"]));
    while run.total().queued < 50 {
        tokio::task::yield_now().await;
    }
    run.stop();
    let total = run.ended().await;
    assert!(total.abandoned >= 50);
    assert_eq!(
        total.due,
        total.operations[0].count + total.abandoned + total.dropped
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exposition_is_good_text_and_agrees_with_the_figures() {
    let (address, _) = server(|_| at_once(200)).await;
    let run = start(
        &address,
        steady(500.0, 200),
        Gets::of(&["a", "odd \"name\"\\"]),
    );
    let empty = run.exposition();
    let total = run.ended().await;
    let text = run.exposition();
    let mut parser = collect::Parser::default();
    parser
        .parse(collect::Format::Prometheus, empty.as_bytes())
        .unwrap();
    let found = parser
        .parse(collect::Format::Prometheus, text.as_bytes())
        .unwrap()
        .clone();
    let value = |series: &str| {
        let found = found
            .samples
            .iter()
            .find(|s| parser.labels(s.slot).to_string() == series);
        found
            .unwrap_or_else(|| panic!("{series} is missing in {text}"))
            .value
    };
    assert_eq!(
        value(r#"load_request_duration_seconds_count{op="a"}"#),
        total.operations[0].count as f64
    );
    let all = value(r#"load_request_duration_seconds_bucket{le="+Inf", op="odd \"name\"\\"}"#);
    assert_eq!(all, total.operations[1].count as f64);
    let sum = value(r#"load_request_duration_seconds_sum{op="a"}"#);
    assert!(
        (sum / total.operations[0].count as f64 - total.operations[0].mean_seconds).abs() < 1e-12
    );
    assert_eq!(
        value(r#"load_requests_total{code="2xx", op="a"}"#),
        total.operations[0].count as f64
    );
    assert_eq!(value("load_due_total"), 100.0);
    assert_eq!(value("load_dropped_total"), 0.0);
    assert!(value(r#"load_schedule_lag_seconds{quantile="0.99"}"#) > 0.0);
    for bound in ["0.0001", "0.00013", "0.001", "0.1", "0.56", "7.5"] {
        value(&format!(
            r#"load_request_duration_seconds_bucket{{le="{bound}", op="a"}}"#
        ));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    #[derive(Debug)]
    struct NoTime;
    impl model::Clock for NoTime {
        fn wall_ms(&self) -> i64 {
            0
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }
    let refused = |config: Config, names: &[&str]| {
        let started = Engine::start(
            &config,
            Box::new(Gets::of(names)),
            std::sync::Arc::new(NoTime),
        );
        started.expect_err("refused").to_string()
    };
    let good = Config::new("127.0.0.1:1", steady(1.0, 1));
    let plan = Plan {
        stages: Vec::new(),
        ..good.plan.clone()
    };
    assert_eq!(
        refused(
            Config {
                plan,
                ..good.clone()
            },
            &["a"]
        ),
        "the plan has no stages"
    );
    assert!(refused(good.clone(), &[]).contains("no operation"));
    let cases = [
        (
            Config {
                connections: 0,
                ..good.clone()
            },
            "connections",
        ),
        (
            Config {
                queue: 0,
                ..good.clone()
            },
            "queue",
        ),
        (
            Config {
                timeout_seconds: -1.0,
                ..good.clone()
            },
            "timeout_seconds",
        ),
        (
            Config {
                latency_target_seconds: f64::NAN,
                ..good
            },
            "latency_target_seconds",
        ),
    ];
    for (config, setting) in cases {
        assert_eq!(
            refused(config, &["a"]),
            format!("{setting} has to be above 0")
        );
    }
}
