//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`, with Go's strictness: an int is never compared with a float.

use std::cmp::Ordering;

use super::value::Value;

const INCOMPATIBLE: &str = "incompatible types for comparison";

/// Whether the first equals any of the others.
pub(super) fn any_equal(values: &[Value]) -> Result<bool, String> {
    let (first, others) = match values {
        [first, others @ ..] if !others.is_empty() => (first, others),
        _ => return Err("missing argument for comparison".to_owned()),
    };
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        #[expect(clippy::float_cmp, reason = "exact, as Go compares")]
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

/// Their order; `None` when one is NaN.
pub(super) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (
            Value::Int(_) | Value::Float(_) | Value::Text(_),
            Value::Int(_) | Value::Float(_) | Value::Text(_),
        ) => Err(INCOMPATIBLE.to_owned()),
        _ => Err("invalid type for comparison".to_owned()),
    }
}
