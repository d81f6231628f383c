//! Between the registry's nouns and the protocol's messages.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use knob::{Apply, Description, Domain, Inventory, Order, Refusal, Scale, State, Value};
use wire::knobs as protocol;

pub(super) fn set(request: protocol::SetRequest) -> (Order, Duration) {
    let lease = Duration::from_millis(request.lease_ms);
    (
        order(request.change, request.generation, request.values),
        lease,
    )
}

pub(super) fn commit(request: protocol::CommitRequest) -> Order {
    order(request.change, request.generation, request.values)
}

fn order(change: u64, generation: u64, values: BTreeMap<String, protocol::Value>) -> Order {
    let values = values.into_iter().map(|(name, v)| (name, from_wire(v)));
    Order {
        change,
        generation,
        values: values.collect(),
    }
}

pub(super) fn state(state: State) -> protocol::State {
    let values = state.values.into_iter();
    protocol::State {
        generation: state.generation,
        lease_ms: state.lease.map(milliseconds),
        values: values.map(|(name, v)| (name, to_wire(v))).collect(),
    }
}

pub(super) fn inventory(service: &str, instance: &str, from: Inventory) -> protocol::Inventory {
    protocol::Inventory {
        protocol: protocol::PROTOCOL_VERSION,
        service: service.into(),
        instance: instance.into(),
        generation: from.generation,
        lease_ms: from.lease.map(milliseconds),
        knobs: from.knobs.into_iter().map(knob).collect(),
    }
}

pub(super) fn refusal(refusal: &Refusal) -> protocol::Refusal {
    protocol::Refusal {
        rule: refusal.rule().into(),
        knob: refusal.knob().map(Into::into),
        message: refusal.to_string(),
    }
}

pub(super) fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::StaleGeneration { .. } | Refusal::Pinned(_) => StatusCode::CONFLICT,
        Refusal::UnknownKnob(_) => StatusCode::NOT_FOUND,
        Refusal::OutOfRange { .. } | Refusal::LeaseTooLong { .. } | Refusal::Empty(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}

fn knob(from: Description) -> protocol::Knob {
    protocol::Knob {
        name: from.name,
        help: from.help,
        unit: from.unit,
        domain: domain(from.domain),
        default: to_wire(from.default),
        baseline: to_wire(from.baseline),
        value: to_wire(from.value),
        max_step: from.max_step,
        apply: match from.apply {
            Apply::Free => protocol::ApplyCost::Free,
            Apply::Settles => protocol::ApplyCost::Settles,
        },
    }
}

fn domain(from: Domain) -> protocol::Domain {
    match from {
        Domain::Int { min, max, scale } => protocol::Domain::Int {
            min,
            max,
            log: scale == Scale::Log,
        },
        Domain::Float { min, max, scale } => protocol::Domain::Float {
            min,
            max,
            log: scale == Scale::Log,
        },
        Domain::Bool => protocol::Domain::Bool,
        Domain::Choice(choices) => protocol::Domain::Choice {
            choices,
            ordered: false,
        },
    }
}

fn from_wire(value: protocol::Value) -> Value {
    match value {
        protocol::Value::Bool(v) => Value::Bool(v),
        protocol::Value::Int(v) => Value::Int(v),
        protocol::Value::Float(v) => Value::Float(v),
        protocol::Value::Text(v) => Value::Choice(v),
    }
}

fn to_wire(value: Value) -> protocol::Value {
    match value {
        Value::Bool(v) => protocol::Value::Bool(v),
        Value::Int(v) => protocol::Value::Int(v),
        Value::Float(v) => protocol::Value::Float(v),
        Value::Choice(v) => protocol::Value::Text(v),
    }
}

/// Rounded up: a lease that still runs does not look ended.
fn milliseconds(left: Duration) -> u64 {
    u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
