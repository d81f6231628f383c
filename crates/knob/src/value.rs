//! What a knob may hold: a value, and the domain that bounds it.

use std::fmt;

/// A value of a knob.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// On or off.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A choice by name.
    Choice(String),
}

/// How distance is measured between two values of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// By difference.
    #[default]
    Linear,
    /// By ratio; the smallest value is above zero.
    Log,
}

/// The values a knob may take; both ends of a range are possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Whole numbers.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// How a search should measure distance.
        scale: Scale,
    },
    /// Finite numbers.
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
    /// One of several names, in the order declared.
    Choice(Vec<String>),
}

impl Domain {
    /// Whether the value has this domain's type and lies inside it.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        self.encode(value).is_some()
    }

    /// A value as a person writes it on a command line; `None` when it is not in the domain.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Value> {
        let value = match self {
            Self::Int { .. } => Value::Int(text.parse().ok()?),
            Self::Float { .. } => Value::Float(text.parse().ok()?),
            Self::Bool => Value::Bool(text.parse().ok()?),
            Self::Choice(_) => Value::Choice(text.into()),
        };
        self.contains(&value).then_some(value)
    }

    /// The bits a handle reads for this value; `None` when it is of another type or outside.
    /// A whole number is accepted for a float, because JSON writes `2.0` as `2`.
    pub(crate) fn encode(&self, value: &Value) -> Option<u64> {
        match (self, value) {
            (Self::Int { min, max, .. }, Value::Int(v)) => {
                (min..=max).contains(&v).then(|| v.cast_unsigned())
            }
            (Self::Float { min, max, .. }, Value::Float(v)) => encode_float(*min, *max, *v),
            (Self::Float { min, max, .. }, Value::Int(v)) => encode_float(*min, *max, *v as f64),
            (Self::Bool, Value::Bool(v)) => Some(u64::from(*v)),
            (Self::Choice(names), Value::Choice(v)) => {
                names.iter().position(|name| name == v).map(|i| i as u64)
            }
            _ => None,
        }
    }

    /// The value behind bits that [`Domain::encode`] made.
    pub(crate) fn decode(&self, bits: u64) -> Value {
        match self {
            Self::Int { .. } => Value::Int(bits.cast_signed()),
            Self::Float { .. } => Value::Float(f64::from_bits(bits)),
            Self::Bool => Value::Bool(bits != 0),
            Self::Choice(names) => Value::Choice(
                usize::try_from(bits)
                    .ok()
                    .and_then(|index| names.get(index))
                    .expect("only encoded choices are stored")
                    .clone(),
            ),
        }
    }
}

fn encode_float(min: f64, max: f64, value: f64) -> Option<u64> {
    // A NaN is in no range.
    (min..=max).contains(&value).then(|| value.to_bits())
}

impl fmt::Display for Value {
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
            Self::Choice(names) => write!(f, "one of {}", names.join(", ")),
        }
    }
}
