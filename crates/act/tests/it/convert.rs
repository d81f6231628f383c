//! Inventories that make sense, and those that do not.

use act::convert;
use model::{Domain, Generation, KnobValue, Scale};
use wire::knobs::{self as protocol, Inventory, Value};

use crate::fake::{inventory, knob};

fn only(knob: protocol::Knob) -> Inventory {
    Inventory {
        knobs: vec![knob],
        ..inventory()
    }
}

fn problem(inventory: Inventory) -> String {
    convert::discovery_in(inventory).expect_err("it makes no sense")
}

fn int(min: i64, max: i64, log: bool) -> protocol::Domain {
    protocol::Domain::Int { min, max, log }
}

#[test]
fn a_sound_inventory_comes_in_sorted_and_typed() {
    let mut inventory = inventory();
    inventory.knobs.reverse();
    // As JavaScript would write it.
    inventory.knobs[1].value = Value::Int(3);
    let discovery = convert::discovery_in(inventory).unwrap();
    assert_eq!(discovery.generation, Generation(5));
    let names: Vec<_> = discovery.knobs.iter().map(|k| k.name.as_str()).collect();
    assert_eq!(names, ["linger.ms", "pool.size"]);
    assert_eq!(discovery.knobs[0].value, KnobValue::Float(3.0));
}

#[test]
fn knobs_go_out_as_they_came_in() {
    let choice = protocol::Domain::Choice {
        choices: vec!["a".into(), "b".into()],
        ordered: true,
    };
    let span = protocol::Domain::Float {
        min: 0.5,
        max: 2.0,
        log: true,
    };
    let knobs = vec![
        knob("a", protocol::Domain::Bool, Value::Bool(true)),
        knob("b", choice, Value::Text("b".into())),
        knob("c", span, Value::Float(0.75)),
        knob("d", int(1, 9, true), Value::Int(3)),
    ];
    let given = Inventory {
        knobs: knobs.clone(),
        ..inventory()
    };
    let discovery = convert::discovery_in(given).unwrap();
    let scale = Scale::Log;
    let (min, max) = (1, 9);
    assert_eq!(discovery.knobs[3].domain, Domain::Int { min, max, scale });
    let out: Vec<_> = discovery.knobs.iter().map(convert::spec_out).collect();
    assert_eq!(out, knobs);
}

#[test]
fn inventories_that_make_no_sense_are_refused_with_the_knob() {
    let newer = Inventory {
        protocol: 2,
        ..inventory()
    };
    let expected = "the target speaks version 2 of the knob protocol, this program 1";
    assert_eq!(problem(newer), expected);
    let mut twice = inventory();
    twice.knobs.push(twice.knobs[0].clone());
    assert_eq!(problem(twice), "knob linger.ms is there twice");
    let many =
        (0..=convert::KNOBS_MAX).map(|n| knob(&n.to_string(), int(0, 1, false), Value::Int(0)));
    let many = Inventory {
        knobs: many.collect(),
        ..inventory()
    };
    assert_eq!(problem(many), "1001 knobs exceed the limit of 1000");
    let bad = |domain, value| problem(only(knob("k", domain, value)));
    let outside = "knob k: its default 7 is not a whole number from 1 to 5";
    assert_eq!(bad(int(1, 5, false), Value::Int(7)), outside);
    let typed = "knob k: its default true is not a whole number from 1 to 5";
    assert_eq!(bad(int(1, 5, false), Value::Bool(true)), typed);
    assert_eq!(
        bad(int(5, 1, false), Value::Int(3)),
        "knob k: 5 to 1 is no range"
    );
    let log = "knob k: a range from 0 has no logarithm";
    assert_eq!(bad(int(0, 5, true), Value::Int(3)), log);
    let nothing = protocol::Domain::Choice {
        choices: vec![],
        ordered: false,
    };
    let empty = "knob k: there is nothing to choose from";
    assert_eq!(bad(nothing, Value::Text("a".into())), empty);
    let mut steep = knob("k", int(1, 5, false), Value::Int(1));
    steep.max_step = f64::NAN;
    assert_eq!(problem(only(steep)), "knob k: max_step NaN is not a share");
    let nameless = knob("", int(1, 5, false), Value::Int(1));
    assert_eq!(problem(only(nameless)), "a knob's name has 1 to 256 bytes");
}
