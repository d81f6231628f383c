//! The knob protocol, version 1: discover, set under a lease, read back, commit, restore.
//!
//! | request | body | reply |
//! |---|---|---|
//! | `GET  /knobs` | - | [`Inventory`] |
//! | `POST /knobs/set` | [`SetRequest`] | [`State`]; the same values and generation again renew the lease |
//! | `POST /knobs/commit` | [`CommitRequest`] | [`State`]; the values are the baseline from now on |
//! | `POST /knobs/restore` | [`RestoreRequest`] | [`State`]; every leased value is back at its baseline |
//!
//! A refusal is a [`Refusal`] with status 409 (stale generation), 404 (unknown knob) or 422
//! (value out of range, lease too long, limit reached); nothing of the request is applied. The
//! service itself puts every leased value back when a lease runs out: no message is needed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const PROTOCOL_VERSION: u32 = 1;

/// A value; which kind is right follows from the knob's [`Domain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// On or off.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A choice by name.
    Text(String),
}

/// The values a knob may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Domain {
    /// Whole numbers from `min` to `max`.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// Whether a search should measure distance by ratio.
        log: bool,
    },
    /// Numbers from `min` to `max`.
    Float {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// Whether a search should measure distance by ratio.
        log: bool,
    },
    /// On or off.
    Bool,
    /// One of several names.
    Choice {
        /// The names, in the order declared.
        choices: Vec<String>,
        /// Whether that order means something.
        ordered: bool,
    },
}

/// What a change costs the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyCost {
    /// In effect at once.
    Free,
    /// In effect at once, but the service needs a while to settle.
    Settles,
    /// Needs a restart.
    Restart,
}

/// One knob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knob {
    /// Unique within the service: `component.thing.property`.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// Unit of the value; empty when it has none.
    pub unit: String,
    /// Allowed values.
    pub domain: Domain,
    /// The value it was built with.
    pub default: Value,
    /// Where it goes back to when its lease ends.
    pub baseline: Value,
    /// The value in force.
    pub value: Value,
    /// Largest step a live change should take, share of the range on its scale, 0 to 1.
    pub max_step: f64,
    /// What a change costs.
    pub apply: ApplyCost,
}

/// All knobs of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`PROTOCOL_VERSION`] of the service.
    pub protocol: u32,
    /// Name of the service.
    pub service: String,
    /// Changes with every start of the service: a new instance knows no generation yet.
    pub instance: String,
    /// Newest generation carried out; 0 before the first.
    pub generation: u64,
    /// Milliseconds the running lease still lasts; absent when nothing is leased.
    pub lease_ms: Option<u64>,
    /// Sorted by name.
    pub knobs: Vec<Knob>,
}

/// Put values in force under a lease. All or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetRequest {
    /// Who asks: the change's identity, for the service's log.
    pub change: u64,
    /// At least the newest generation carried out.
    pub generation: u64,
    /// How long the values hold without renewal.
    pub lease_ms: u64,
    /// Values by knob.
    pub values: BTreeMap<String, Value>,
}

/// Make values the baseline, without a lease. All or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRequest {
    /// The change's identity.
    pub change: u64,
    /// At least the newest generation carried out.
    pub generation: u64,
    /// Values by knob.
    pub values: BTreeMap<String, Value>,
}

/// Put every leased value back at its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The change's identity.
    pub change: u64,
    /// At least the newest generation carried out.
    pub generation: u64,
}

/// What is in force after a request, read from the knobs themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Newest generation carried out.
    pub generation: u64,
    /// Milliseconds the running lease still lasts; absent when nothing is leased.
    pub lease_ms: Option<u64>,
    /// Every knob's value in force.
    pub values: BTreeMap<String, Value>,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// `stale_generation`, `unknown_knob`, `out_of_range`, `lease_too_long`, `bad_request`.
    pub rule: String,
    /// The knob it is about, if one.
    pub knob: Option<String>,
    /// One sentence.
    pub message: String,
}
