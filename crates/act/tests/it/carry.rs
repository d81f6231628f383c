//! What an order comes to, fault by fault.

use std::sync::Arc;

use act::{ActError, Actuator as _, HttpTarget};
use model::{ChangeId, Generation, KnobValue, Order, OrderKind, Outcome};
use tokio::net::TcpListener;

use crate::fake::{Fault, Still, serve, serve_bytes};

fn values() -> Vec<(String, KnobValue)> {
    let linger = ("linger.ms".into(), KnobValue::Float(3.0));
    let pool = ("pool.size".into(), KnobValue::Int(32));
    vec![linger, pool]
}

fn order(kind: OrderKind) -> Order {
    Order {
        change: ChangeId(1),
        target: "fake".into(),
        generation: Generation(6),
        kind,
        values: values(),
        lease_ms: if kind == OrderKind::Set { 5_000 } else { 0 },
    }
}

fn target(url: &str) -> HttpTarget {
    HttpTarget::new("fake", url, Arc::new(Still)).unwrap()
}

async fn carry(fault: Fault, kind: OrderKind) -> Outcome {
    let (_fake, url) = serve(fault).await;
    target(&url).carry(order(kind)).await
}

/// A failed order says why, and is never taken for verified.
async fn fails(fault: Fault, kind: OrderKind, why: &str) {
    let outcome = carry(fault, kind).await;
    assert!(!outcome.verified(), "{fault:?}");
    assert_eq!(outcome.at_ms, 42);
    let said = outcome.result.expect_err("the order failed");
    assert!(said.starts_with(why), "{fault:?}: {said}");
}

#[tokio::test]
async fn a_set_is_read_back_under_its_lease() {
    let (fake, url) = serve(Fault::None).await;
    // A slash too many in the configuration means nothing.
    let outcome = target(&format!("{url}/"))
        .carry(order(OrderKind::Set))
        .await;
    assert!(outcome.verified());
    assert_eq!(outcome.result, Ok(values()));
    let state = fake.state.lock().unwrap();
    assert_eq!((state.generation, state.lease_ms), (6, Some(5_000)));
    assert_eq!(state.knobs[1].baseline, wire::knobs::Value::Int(16));
}

#[tokio::test]
async fn a_commit_makes_a_baseline_and_a_restore_goes_back_to_it() {
    let (fake, url) = serve(Fault::None).await;
    let target = target(&url);
    assert!(target.carry(order(OrderKind::Commit)).await.verified());
    assert_eq!(
        fake.state.lock().unwrap().knobs[1].baseline,
        wire::knobs::Value::Int(32)
    );
    let mut away = order(OrderKind::Set);
    away.values = vec![("pool.size".into(), KnobValue::Int(8))];
    assert!(target.carry(away).await.verified());
    assert!(target.carry(order(OrderKind::Restore)).await.verified());
}

#[tokio::test]
async fn what_is_read_back_counts_and_not_what_was_acknowledged() {
    let lied = carry(Fault::LiesInTheAck, OrderKind::Set).await;
    assert!(!lied.verified());
    let before = vec![
        ("linger.ms".into(), KnobValue::Float(2.0)),
        ("pool.size".into(), KnobValue::Int(16)),
    ];
    assert_eq!(lied.result, Ok(before));
    let half = carry(Fault::CarriesOutHalf, OrderKind::Set).await;
    assert!(!half.verified());
    assert_eq!(half.result.unwrap()[0].1, KnobValue::Float(3.0));
}

#[tokio::test]
async fn a_refusal_carries_the_rule() {
    let why = "set: refused by rule stale_generation: No.";
    fails(Fault::IsAhead, OrderKind::Set, why).await;
    let (fake, url) = serve(Fault::None).await;
    let before = fake.state.lock().unwrap().clone();
    let mut unknown = order(OrderKind::Set);
    unknown.values.push(("what".into(), KnobValue::Bool(true)));
    let refused = target(&url).try_carry(&unknown).await.unwrap_err();
    assert!(matches!(&refused, ActError::Refused { rule, knob, .. }
        if rule == "unknown_knob" && knob.as_deref() == Some("what")));
    assert!(!refused.is_lost());
    assert_eq!(*fake.state.lock().unwrap(), before, "nothing was applied");
}

#[tokio::test]
async fn values_without_their_protection_do_not_count() {
    let why = "read back: the values have no lease";
    fails(Fault::ForgetsLeases, OrderKind::Set, why).await;
    let why = "read back: a lease is still running";
    fails(Fault::KeepsLeases, OrderKind::Restore, why).await;
    let why = "read back: the baseline of linger.ms is 2, not 3";
    fails(Fault::ForgetsBaselines, OrderKind::Commit, why).await;
}

#[tokio::test]
async fn an_order_overtaken_by_another_does_not_count() {
    let why = "read back: generation 7 is in force, 6 was ordered";
    fails(Fault::IsOvertaken, OrderKind::Set, why).await;
}

#[tokio::test]
async fn a_target_that_hangs_is_given_up_at_the_deadline() {
    let order = "set: no complete answer within 1000 ms";
    let read = "read back: no complete answer within 1000 ms";
    tokio::join!(
        fails(Fault::HangsOnOrder, OrderKind::Set, order),
        fails(Fault::HangsOnRead, OrderKind::Set, read),
    );
}

#[tokio::test]
async fn broken_answers_are_told_apart() {
    fails(Fault::Fails, OrderKind::Commit, "commit: status 500").await;
    fails(Fault::Redirects, OrderKind::Restore, "restore: status 307").await;
    let babble = "set: the answer is not the JSON expected: expected value at line 1";
    fails(Fault::Babbles, OrderKind::Set, babble).await;
    let shape = "read back: the answer is not the JSON expected: invalid type: integer `7`";
    fails(Fault::SpeaksOtherwise, OrderKind::Set, shape).await;
    let flood = "read back: the answer exceeds 1048576 bytes";
    fails(Fault::Floods, OrderKind::Set, flood).await;
    let gone = "read back: knob pool.size is gone";
    fails(Fault::LosesAKnob, OrderKind::Set, gone).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_lost_target() {
    let silent = serve_bytes("").await;
    let torn = serve_bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"protocol\"").await;
    let boast = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{";
    let boast = serve_bytes(boast).await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for url in [silent, torn, boast, nobody] {
        let lost = target(&url).discover().await.unwrap_err();
        assert!(matches!(lost, ActError::Unreachable { .. }), "{lost:?}");
        assert!(lost.is_lost());
        assert_ne!(lost.chain(), lost.to_string(), "the cause is told");
    }
}

#[test]
fn an_address_that_is_none_is_told_at_once() {
    for url in ["", "ledger", "http://", "http://[::1"] {
        let refused = HttpTarget::new("fake", url, Arc::new(Still));
        assert!(matches!(refused, Err(ActError::Address { .. })), "{url:?}");
    }
}
