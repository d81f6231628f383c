//! The ask/tell protocol, line by line.

use optimize::{Method, Session};
use proptest::prelude::*;
use serde_json::{Value, json};

const INIT: &str = r#"{"op":"init","space":[
 {"type":"float","name":"f","low":0.5,"high":8.0,"log":true},
 {"type":"int","name":"i","low":-2,"high":2},
 {"type":"bool","name":"b","choices":["no","yes"]},
 {"type":"cat","name":"c","choices":[16,"x",2.5,true]}],
 "budget":30,"seed":1,"direction":"maximize","noise":0.0,"n_constraints":1,"later":"ignored"}"#;

fn said(session: &mut Session, request: &str) -> Value {
    let reply = session.reply(&request.replace('\n', " "));
    assert!(!reply.contains('\n'), "one line");
    serde_json::from_str(&reply).expect("a reply is JSON")
}

fn begun() -> Session {
    let mut session = Session::new(Method::TrustRegionGp);
    assert_eq!(said(&mut session, INIT), json!({ "ok": true }));
    session
}

#[test]
fn a_study_from_init_to_close_finds_the_best_it_was_told() {
    let mut session = begun();
    let mut best = (f64::NEG_INFINITY, Value::Null);
    for round in 0..30 {
        let reply = said(&mut session, r#"{"op":"ask"}"#);
        let trial = &reply["trials"][0];
        let p = &trial["params"];
        assert_eq!(trial["id"], round + 1);
        assert!(p["b"] == 0 || p["b"] == 1);
        assert!((-2..=2).contains(&p["i"].as_i64().expect("an integer")));
        assert!([json!(16), json!("x"), json!(2.5), json!(true)].contains(&p["c"]));
        let f = p["f"].as_f64().expect("a number");
        let value = -(f - 2.0).powi(2) + p["i"].as_f64().expect("a number");
        let constraint = f - 4.0;
        if constraint <= 0.0 && value > best.0 {
            best = (value, p.clone());
        }
        let tell = json!({ "op": "tell", "results": [
            { "id": trial["id"], "value": value, "constraints": [constraint] }] });
        assert_eq!(said(&mut session, &tell.to_string()), json!({ "ok": true }));
    }
    assert_eq!(
        said(&mut session, r#"{"op":"recommend"}"#)["params"],
        best.1
    );
    assert!(best.0 > 1.9, "the optimum is 2: {best:?}");
    assert_eq!(
        said(&mut session, r#"{"op":"close"}"#),
        json!({ "ok": true })
    );
    assert!(session.is_closed());
}

#[test]
fn several_trials_may_be_open_and_told_in_any_order() {
    let mut session = begun();
    let reply = said(&mut session, r#"{"op":"ask","n":4}"#);
    assert_eq!(reply["trials"].as_array().map(Vec::len), Some(4));
    for id in [3, 1, 4, 2] {
        let tell =
            json!({ "op": "tell", "results": [{ "id": id, "value": 1, "constraints": [0] }] });
        assert_eq!(said(&mut session, &tell.to_string()), json!({ "ok": true }));
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_half_told() {
    let mut session = Session::new(Method::Random);
    let mut error = |request: &str| {
        said(&mut session, request)["error"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        error(r#"{"op":"ask"}"#).as_deref(),
        Some("no study: send init first")
    );
    assert!(error("{").is_some() && error(r#"{"op":"dance"}"#).is_some() && error("").is_some());
    let no_space = error(r#"{"op":"init","space":[]}"#);
    assert_eq!(no_space.as_deref(), Some("the space has no parameter"));
    assert!(error(INIT).is_none() && error(r#"{"op":"ask"}"#).is_none());
    assert!(error(r#"{"op":"recommend"}"#).is_some());
    let unknown = r#"{"op":"tell","results":[{"id":1,"value":1,"constraints":[0]},{"id":9,"value":1,"constraints":[0]}]}"#;
    assert_eq!(error(unknown).as_deref(), Some("trial 9 was never asked"));
    assert!(
        error(r#"{"op":"recommend"}"#).is_some(),
        "trial 1 was not told either"
    );
    assert!(error(r#"{"op":"tell","results":[{"id":1,"value":1}]}"#).is_some());
    assert!(error(r#"{"op":"ask","n":0}"#).is_some());
}

proptest! {
    #[test]
    fn any_line_gets_one_reply(line in ".*") {
        let mut session = begun();
        said(&mut session, &line);
    }
}
