//! Why a registry refuses an order; nothing of a refused order is applied.

use std::{fmt, time::Duration};

use crate::{Domain, Value};

/// The reason, with what a sentence needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A newer order was carried out already.
    StaleGeneration {
        /// Generation of the refused order.
        given: u64,
        /// Newest generation carried out.
        newest: u64,
    },
    /// No knob has this name.
    UnknownKnob(String),
    /// Of another type than the knob, or outside its range.
    OutOfRange {
        /// The knob.
        knob: String,
        /// What was asked for.
        value: Value,
        /// What would be allowed.
        domain: Domain,
    },
    /// The lease is longer than the registry allows.
    LeaseTooLong {
        /// Asked for.
        given: Duration,
        /// Allowed.
        longest: Duration,
    },
    /// A lease of no time, or an order without values.
    Empty(&'static str),
    /// An operator holds this knob.
    Pinned(String),
}

impl Refusal {
    /// The rule's name, stable for programs.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::StaleGeneration { .. } => "stale_generation",
            Self::UnknownKnob(_) => "unknown_knob",
            Self::OutOfRange { .. } => "out_of_range",
            Self::LeaseTooLong { .. } => "lease_too_long",
            Self::Empty(_) => "bad_request",
            Self::Pinned(_) => "pinned",
        }
    }

    /// The knob it is about, if one.
    #[must_use]
    pub fn knob(&self) -> Option<&str> {
        match self {
            Self::UnknownKnob(knob) | Self::OutOfRange { knob, .. } | Self::Pinned(knob) => {
                Some(knob)
            }
            Self::StaleGeneration { .. } | Self::LeaseTooLong { .. } | Self::Empty(_) => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleGeneration { given, newest } => {
                write!(
                    f,
                    "generation {given} is older than {newest}, carried out already"
                )
            }
            Self::UnknownKnob(knob) => write!(f, "there is no knob {knob}"),
            Self::OutOfRange {
                knob,
                value,
                domain,
            } => write!(f, "{knob} cannot be {value}: it is {domain}"),
            Self::LeaseTooLong { given, longest } => {
                write!(f, "a lease of {given:?} is longer than {longest:?}")
            }
            Self::Empty(what) => f.write_str(what),
            Self::Pinned(knob) => write!(f, "{knob} is pinned by an operator"),
        }
    }
}

impl std::error::Error for Refusal {}
