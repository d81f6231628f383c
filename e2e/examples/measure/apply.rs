//! How fast the loop acts on an idle ledger: from a proposal to its value in force, seen at the
//! ledger itself; and from a guard's breach to the verified roll-back.
//!
//! A trial begins with the side its coin falls on. Only those that begin with the variant count:
//! the others wait a window for their turn, which is no work of anybody's.

use std::time::Duration;

use e2e::{
    figures::{Spread, quantile},
    offered,
    stage::{DEFAULT, KNOB, PROPOSED, Settings, Stage},
    wait,
};
use model::Clock;
use serde_json::json;

const PROPOSALS: u32 = 100;
const BREACHES: u32 = 8;
/// Not in force by then: the trial began with the baseline. Half of its first window.
const NOT_FIRST: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Applied {
    answered_ms: Vec<f64>,
    seen_ms: Vec<f64>,
    known_ms: Vec<f64>,
}

pub(crate) async fn measure() {
    let stage = Stage::set(Settings::default()).await;
    let clock = offered::clock();
    let mut applied = Applied::default();
    for _ in 0..PROPOSALS {
        propose(&stage, clock.as_ref(), &mut applied).await;
    }
    for (what, values) in [
        ("answered: admitted and on record", &applied.answered_ms),
        ("in force, as the ledger shows it", &applied.seen_ms),
        ("read back, as the server shows it", &applied.known_ms),
    ] {
        let at = |q| quantile(values, q).expect("something was measured");
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        println!(
            "from proposal to {what}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms, n {}",
            values.len()
        );
    }
    let (mut known, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..BREACHES {
        let (rollback_ms, seen_ms) = breach(&stage, clock.as_ref()).await;
        known.push(rollback_ms);
        seen.push(seen_ms);
    }
    println!(
        "breach to verified roll-back, as the server times it: {:.0} ms",
        Spread::of(&known)
    );
    println!(
        "alarm raised to old value in force, as seen at the ledger: {:.0} ms (scraped every 200 ms)",
        Spread::of(&seen)
    );
}

fn ms(span: Duration) -> f64 {
    1e3 * span.as_secs_f64()
}

async fn propose(stage: &Stage, clock: &dyn Clock, applied: &mut Applied) {
    let begun = clock.monotonic();
    let reply = stage.propose(json!({ KNOB: PROPOSED })).await;
    let answered = clock.monotonic() - begun;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let change = reply.json()["change"].as_u64().expect("it was admitted");
    let seen = loop {
        let value = stage.ledger.knob(KNOB).await;
        let passed = clock.monotonic() - begun;
        if value == PROPOSED {
            break Some(passed);
        }
        if passed > NOT_FIRST {
            break None;
        }
    };
    applied.answered_ms.push(ms(answered));
    if let Some(seen) = seen {
        applied.seen_ms.push(ms(seen));
        read_back(stage, change).await;
        applied.known_ms.push(ms(clock.monotonic() - begun));
    }
    undo(stage, change).await;
}

/// Waits until the server has read the value back.
async fn read_back(stage: &Stage, change: u64) {
    loop {
        let change = stage.server.look(&format!("changes/{change}")).await;
        if change["apply_ms"].is_u64() {
            return;
        }
    }
}

async fn undo(stage: &Stage, change: u64) {
    let reply = stage.order("POST", &format!("changes/{change}/undo")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let undone = stage.server.change_in(change, &["undone"]).await;
    assert_eq!(undone["verified"], true, "{undone}");
}

/// Raises the alarm while a change is in force; both times, ms.
async fn breach(stage: &Stage, clock: &dyn Clock) -> (f64, f64) {
    let change = stage.admitted().await;
    stage.in_force(PROPOSED).await;
    stage.service.set("alarm", 1.0);
    let raised = clock.monotonic();
    while stage.ledger.knob(KNOB).await != DEFAULT {}
    let seen = clock.monotonic() - raised;
    let undone = stage.server.change_in(change, &["undone"]).await;
    stage.service.set("alarm", 0.0);
    assert_eq!(undone["verified"], true, "{undone}");
    let timed = undone["rollback_ms"].as_f64();
    wait::until("the guard to be calm again", async || {
        let target = stage.server.look("targets").await;
        (target[0]["guards"][0]["last"] == 0.0).then_some(())
    })
    .await;
    (timed.expect("a guard ended it"), ms(seen))
}
