//! One test a rule.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use knob::{Apply, Cause, DeclareError, Knob, Limits, Order, Refusal, Registry, Scale, Value};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn order(generation: u64, values: &[(&str, Value)]) -> Order {
    Order {
        change: 7,
        generation,
        values: values
            .iter()
            .map(|(n, v)| (n.to_string(), v.clone()))
            .collect(),
    }
}

fn two_knobs(registry: &Registry) -> (Knob<i64>, Knob<f64>) {
    let size = Knob::int("size", 4)
        .range(1..=64)
        .scale(Scale::Log)
        .register(registry);
    let share = Knob::float("share", 0.5).register(registry);
    (size.expect("sound"), share.expect("sound"))
}

#[test]
fn an_order_is_applied_whole_or_not_at_all() {
    let registry = Registry::default();
    let (size, share) = two_knobs(&registry);
    for bad in [
        ("share", Value::Float(1.5)),
        ("share", Value::Float(f64::NAN)),
        ("share", Value::Bool(true)),
        ("nobody", Value::Int(1)),
    ] {
        let asked = order(3, &[("size", Value::Int(8)), bad]);
        assert!(registry.set(&asked, SECOND, at(0)).is_err());
        assert!(registry.commit(&asked, at(0)).is_err());
        assert_eq!((size.get(), share.get()), (4, 0.5));
        assert_eq!(
            registry.state(at(0)).generation,
            0,
            "a refused order has no generation"
        );
    }
}

#[test]
fn a_lease_that_ends_means_the_baseline() {
    let registry = Registry::default();
    let (size, _) = two_knobs(&registry);
    let asked = order(1, &[("size", Value::Int(8))]);
    let state = registry.set(&asked, SECOND, at(10)).unwrap();
    assert_eq!(state.lease, Some(SECOND));
    assert_eq!(registry.next_expiry(), Some(at(11)));
    assert!(registry.tick(at(11) - Duration::from_nanos(1)).is_empty());
    assert_eq!(size.get(), 8);
    let reverted = registry.tick(at(11));
    assert_eq!(reverted.len(), 1);
    assert_eq!(reverted[0].cause, Cause::LeaseEnded { change: 7 });
    assert_eq!((size.get(), registry.next_expiry()), (4, None));
}

#[test]
fn the_same_order_again_renews_the_lease() {
    let registry = Registry::default();
    let (size, _) = two_knobs(&registry);
    let asked = order(1, &[("size", Value::Int(8))]);
    registry.set(&asked, SECOND, at(0)).unwrap();
    registry
        .set(&asked, 5 * SECOND, Duration::from_millis(900))
        .unwrap();
    assert!(registry.tick(at(5)).is_empty());
    assert_eq!(size.get(), 8);
    assert_eq!(
        registry.events_since(0).len(),
        1,
        "a renewal changes nothing"
    );
}

#[test]
fn each_knob_keeps_the_end_of_its_own_lease() {
    let registry = Registry::default();
    let (size, share) = two_knobs(&registry);
    registry
        .set(&order(1, &[("size", Value::Int(8))]), SECOND, at(0))
        .unwrap();
    registry
        .set(
            &order(2, &[("share", Value::Float(0.1))]),
            9 * SECOND,
            at(0),
        )
        .unwrap();
    registry.tick(at(1));
    assert_eq!((size.get(), share.get()), (4, 0.1));
}

#[test]
fn a_stale_generation_is_refused() {
    let registry = Registry::default();
    let (size, _) = two_knobs(&registry);
    registry
        .set(&order(5, &[("size", Value::Int(8))]), SECOND, at(0))
        .unwrap();
    let stale = Refusal::StaleGeneration {
        given: 4,
        newest: 5,
    };
    let late = order(4, &[("size", Value::Int(2))]);
    assert_eq!(registry.set(&late, SECOND, at(0)), Err(stale.clone()));
    assert_eq!(registry.commit(&late, at(0)), Err(stale.clone()));
    assert_eq!(registry.restore(7, 4, at(0)), Err(stale));
    assert_eq!(size.get(), 8);
}

#[test]
fn a_committed_value_outlives_its_lease() {
    let registry = Registry::default();
    let (size, _) = two_knobs(&registry);
    let asked = order(1, &[("size", Value::Int(8))]);
    registry.set(&asked, SECOND, at(0)).unwrap();
    registry.commit(&asked, at(0)).unwrap();
    assert!(registry.tick(at(100)).is_empty());
    registry.restore(7, 2, at(100)).unwrap();
    assert_eq!(size.get(), 8);
    let inventory = registry.inventory(at(100));
    assert_eq!(inventory.knobs[1].baseline, Value::Int(8));
    assert_eq!(inventory.knobs[1].default, Value::Int(4));
}

#[test]
fn a_restore_takes_back_what_is_leased_and_nothing_else() {
    let registry = Registry::default();
    let (size, share) = two_knobs(&registry);
    registry
        .commit(&order(1, &[("share", Value::Float(0.2))]), at(0))
        .unwrap();
    registry
        .set(&order(2, &[("size", Value::Int(8))]), SECOND, at(0))
        .unwrap();
    let state = registry.restore(7, 3, at(0)).unwrap();
    assert_eq!((size.get(), share.get()), (4, 0.2));
    assert_eq!((state.generation, state.lease), (3, None));
}

#[test]
fn an_operators_pin_is_the_strongest() {
    let registry = Registry::default();
    let (size, _) = two_knobs(&registry);
    registry
        .set(&order(1, &[("size", Value::Int(8))]), SECOND, at(0))
        .unwrap();
    registry
        .pin("size", &Value::Int(32), "operator", at(0))
        .unwrap();
    let asked = order(2, &[("size", Value::Int(2))]);
    assert_eq!(
        registry.set(&asked, SECOND, at(0)),
        Err(Refusal::Pinned("size".into()))
    );
    registry.tick(at(60));
    registry.restore(7, 3, at(60)).unwrap();
    assert_eq!(size.get(), 32);
    registry.unpin("size", "operator", at(60)).unwrap();
    assert_eq!(size.get(), 4);
}

#[test]
fn leases_of_no_time_or_too_long_and_empty_orders_are_refused() {
    let registry = Registry::new(Limits {
        lease: 10 * SECOND,
        events: 8,
    });
    two_knobs(&registry);
    let asked = order(1, &[("size", Value::Int(8))]);
    let rule = |lease| registry.set(&asked, lease, at(0)).unwrap_err().rule();
    assert_eq!(rule(11 * SECOND), "lease_too_long");
    assert_eq!(rule(Duration::ZERO), "bad_request");
    let empty = Order {
        change: 1,
        generation: 1,
        values: BTreeMap::new(),
    };
    assert_eq!(
        registry.commit(&empty, at(0)).unwrap_err().rule(),
        "bad_request"
    );
}

#[test]
fn the_log_keeps_the_newest_events_with_who_and_why() {
    let registry = Registry::new(Limits {
        lease: SECOND,
        events: 3,
    });
    two_knobs(&registry);
    registry
        .configure("size", &Value::Int(5), "command line")
        .unwrap();
    for n in 1..=4 {
        registry
            .commit(&order(n, &[("size", Value::Int(5 + n as i64))]), at(n))
            .unwrap();
    }
    let events = registry.events_since(0);
    assert_eq!(
        events.iter().map(|e| e.sequence).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    assert_eq!(
        (&events[2].old, &events[2].new),
        (&Value::Int(8), &Value::Int(9))
    );
    assert_eq!(
        events[2].cause,
        Cause::Committed {
            change: 7,
            generation: 4
        }
    );
}

#[test]
fn a_hook_runs_after_each_change_and_sees_the_new_value() {
    let registry = Registry::default();
    let seen = Arc::new(AtomicI64::new(0));
    let hook = {
        let seen = Arc::clone(&seen);
        move |wait: &Knob<Duration>| {
            let ms = i64::try_from(wait.get().as_millis()).unwrap();
            seen.fetch_add(ms, Ordering::Relaxed);
        }
    };
    let knob = Knob::millis("wait", 5)
        .range(0..=100)
        .apply(Apply::Settles)
        .on_change(hook);
    let knob = knob.register(&registry).unwrap();
    registry
        .set(&order(1, &[("wait", Value::Int(9))]), SECOND, at(0))
        .unwrap();
    registry
        .set(&order(1, &[("wait", Value::Int(9))]), SECOND, at(0))
        .unwrap();
    assert_eq!(knob.get(), Duration::from_millis(9));
    registry.tick(at(2));
    assert_eq!(
        seen.load(Ordering::Relaxed),
        9 + 5,
        "a renewal is no change"
    );
}

#[test]
fn a_contradictory_declaration_is_refused() {
    let registry = Registry::default();
    two_knobs(&registry);
    let name = || "size".to_string();
    let error = |declared: Result<Knob<i64>, DeclareError>| declared.unwrap_err();
    assert_eq!(
        error(Knob::int("size", 1).register(&registry)),
        DeclareError::Duplicate(name())
    );
    let outside = Knob::int("size", 9).range(1..=8).register(&registry);
    assert_eq!(error(outside), DeclareError::DefaultOutside(name()));
    let log = Knob::int("size", 1)
        .range(0..=8)
        .scale(Scale::Log)
        .register(&registry);
    assert_eq!(error(log), DeclareError::BadRange(name()));
    let step = Knob::int("size", 1).max_step(0.0).register(&registry);
    assert_eq!(error(step), DeclareError::BadStep(name()));
}

#[test]
fn every_type_reads_back_what_was_set() {
    let registry = Registry::default();
    let on = Knob::bool("on", false).register(&registry).unwrap();
    let mode = Knob::choice("mode", &["lru", "lfu"], "lru")
        .register(&registry)
        .unwrap();
    let wait = Knob::micros("wait", 0)
        .range(0..=1_000)
        .register(&registry)
        .unwrap();
    let share = Knob::float("share", 0.5)
        .range(-1.0..=3.0)
        .register(&registry)
        .unwrap();
    let values = [
        ("on", Value::Bool(true)),
        ("mode", Value::Choice("lfu".into())),
        ("wait", Value::Int(250)),
        ("share", Value::Int(2)),
    ];
    let state = registry.commit(&order(1, &values), at(0)).unwrap();
    assert_eq!((on.get(), mode.get(), share.get()), (true, 1, 2.0));
    assert_eq!(wait.get(), Duration::from_micros(250));
    assert_eq!(
        state.values["share"],
        Value::Float(2.0),
        "a float stays a float"
    );
    assert_eq!(state.values["mode"], Value::Choice("lfu".into()));
}
