//! A knob as the loop sees it: a typed, bounded setting of a live target.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The values a knob may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Domain {
    /// Whole numbers, both ends possible.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// How a search should measure distance.
        scale: Scale,
    },
    /// Numbers, both ends possible.
    Float {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// How a search should measure distance.
        scale: Scale,
    },
    /// On or off.
    Bool,
    /// One of several names.
    Choice {
        /// The names, in the order declared.
        choices: Vec<String>,
        /// Whether that order means something (small, medium, large).
        ordered: bool,
    },
}

/// How distance is measured between two values of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// By difference.
    #[default]
    Linear,
    /// By ratio; the smallest value is above zero.
    Log,
}

/// A value of a knob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KnobValue {
    /// On or off.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A choice by name.
    Choice(String),
}

/// What it costs the target to take a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyCost {
    /// In effect at once.
    #[default]
    Free,
    /// In effect at once, but the target needs a while to settle (a cache warms up).
    Settles,
    /// Needs a restart of the target: never tried live.
    Restart,
}

/// A knob as its target declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnobSpec {
    /// Name, unique within the target: `component.thing.property`.
    pub name: String,
    /// One sentence for a person.
    pub help: String,
    /// Unit of the value (`ms`, `entries`); empty when it has none.
    pub unit: String,
    /// The values it may take.
    pub domain: Domain,
    /// The value it was built with.
    pub default: KnobValue,
    /// The value it goes back to when a lease ends: the last one committed, or the default.
    pub baseline: KnobValue,
    /// The value in force.
    pub value: KnobValue,
    /// Largest step a live change may take, as a share of the range on the knob's scale, 0 to 1.
    pub max_step: f64,
    /// What a change costs the target.
    pub apply: ApplyCost,
}

impl Domain {
    /// Where a value lies in the range, 0 to 1 on the scale; choices by position. `None` when the
    /// value is of another type or outside the domain.
    #[must_use]
    pub fn position(&self, value: &KnobValue) -> Option<f64> {
        match (self, value) {
            (Self::Int { min, max, scale }, KnobValue::Int(v)) => {
                place(*min as f64, *max as f64, *scale, *v as f64)
            }
            (Self::Float { min, max, scale }, KnobValue::Float(v)) => place(*min, *max, *scale, *v),
            // JSON writes a whole float as an integer.
            (Self::Float { min, max, scale }, KnobValue::Int(v)) => {
                place(*min, *max, *scale, *v as f64)
            }
            (Self::Bool, KnobValue::Bool(v)) => Some(f64::from(u8::from(*v))),
            (Self::Choice { choices, .. }, KnobValue::Choice(v)) => {
                let index = choices.iter().position(|c| c == v)?;
                Some(index as f64 / (choices.len().max(2) - 1) as f64)
            }
            _ => None,
        }
    }

    /// The value in this domain's own type (JSON, and people, write a whole float as an
    /// integer), or `None` when it is outside the domain.
    #[must_use]
    pub fn typed(&self, value: &KnobValue) -> Option<KnobValue> {
        self.position(value)?;
        Some(match (self, value) {
            (Self::Float { .. }, KnobValue::Int(v)) => KnobValue::Float(*v as f64),
            _ => value.clone(),
        })
    }

    /// Whether the value is of this domain's type and inside it.
    #[must_use]
    pub fn contains(&self, value: &KnobValue) -> bool {
        self.position(value).is_some()
    }
}

fn place(min: f64, max: f64, scale: Scale, value: f64) -> Option<f64> {
    if !(min..=max).contains(&value) {
        return None;
    }
    if min == max {
        return Some(0.0);
    }
    Some(match scale {
        Scale::Linear => (value - min) / (max - min),
        Scale::Log => (value / min).ln() / (max / min).ln(),
    })
}

impl fmt::Display for KnobValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Float(v) => v.fmt(f),
            Self::Choice(v) => v.fmt(f),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { min, max, .. } => write!(f, "a whole number from {min} to {max}"),
            Self::Float { min, max, .. } => write!(f, "a number from {min} to {max}"),
            Self::Bool => f.write_str("true or false"),
            Self::Choice { choices, .. } => write!(f, "one of {}", choices.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_follows_the_scale_and_refuses_what_is_outside() {
        let log = Domain::Int {
            min: 1,
            max: 256,
            scale: Scale::Log,
        };
        assert_eq!(log.position(&KnobValue::Int(1)), Some(0.0));
        assert_eq!(log.position(&KnobValue::Int(16)), Some(0.5));
        assert_eq!(log.position(&KnobValue::Int(256)), Some(1.0));
        assert_eq!(log.position(&KnobValue::Int(257)), None);
        assert_eq!(log.position(&KnobValue::Bool(true)), None);
        let float = Domain::Float {
            min: 0.0,
            max: 2.0,
            scale: Scale::Linear,
        };
        assert_eq!(float.position(&KnobValue::Int(1)), Some(0.5));
        assert_eq!(float.position(&KnobValue::Float(f64::NAN)), None);
        assert_eq!(float.typed(&KnobValue::Int(1)), Some(KnobValue::Float(1.0)));
        assert_eq!(float.typed(&KnobValue::Int(3)), None);
        let choice = Domain::Choice {
            choices: vec!["a".into(), "b".into()],
            ordered: false,
        };
        assert_eq!(choice.position(&KnobValue::Choice("b".into())), Some(1.0));
    }
}
