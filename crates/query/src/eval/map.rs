//! Functions of one sample.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Histogram, Labels, METRIC_NAME, MatchOp, Matcher};

use super::grid::{ABSENT, Row, is_present};
use crate::ast::Expr;
use crate::functions::Kind;
use crate::histogram;

/// The function of a float, if `kind` is one.
pub(super) fn float_function(kind: Kind) -> Option<fn(f64) -> f64> {
    Some(match kind {
        Kind::Abs => f64::abs,
        Kind::Ceil => f64::ceil,
        Kind::Floor => f64::floor,
        Kind::Exp => f64::exp,
        Kind::Sqrt => f64::sqrt,
        Kind::Ln => f64::ln,
        Kind::Log2 => f64::log2,
        Kind::Log10 => f64::log10,
        Kind::Sin => f64::sin,
        Kind::Cos => f64::cos,
        Kind::Tan => f64::tan,
        Kind::Asin => f64::asin,
        Kind::Acos => f64::acos,
        Kind::Atan => f64::atan,
        Kind::Sinh => f64::sinh,
        Kind::Cosh => f64::cosh,
        Kind::Tanh => f64::tanh,
        Kind::Asinh => f64::asinh,
        Kind::Acosh => f64::acosh,
        Kind::Atanh => f64::atanh,
        Kind::Rad => |v| v * std::f64::consts::PI / 180.0,
        Kind::Deg => |v| v * 180.0 / std::f64::consts::PI,
        Kind::Sgn => |v| match v {
            v if v < 0.0 => -1.0,
            v if v > 0.0 => 1.0,
            v => v,
        },
        _ => return None,
    })
}

/// The function of a histogram, if `kind` is one.
pub(super) fn histogram_function(kind: Kind) -> Option<fn(&Histogram) -> f64> {
    Some(match kind {
        Kind::HistogramCount => |h| h.count,
        Kind::HistogramSum => |h| h.sum,
        Kind::HistogramAvg => histogram::mean,
        Kind::HistogramStddev => histogram::stddev,
        Kind::HistogramStdvar => histogram::stdvar,
        _ => return None,
    })
}

/// A float there is, never mistaken for one that is absent.
fn there(value: f64) -> f64 {
    if is_present(value) { value } else { f64::NAN }
}

/// The floats of a row through `f`; histograms are left out.
pub(super) fn mapped(mut row: Row, f: fn(f64) -> f64) -> Row {
    row.drop_name = true;
    row.histograms = Vec::new();
    for value in row.floats.iter_mut().filter(|v| is_present(**v)) {
        *value = there(f(*value));
    }
    row
}

/// The histograms of a row through `f`; floats are left out.
pub(super) fn of_histograms(row: &Row, f: fn(&Histogram) -> f64) -> Row {
    let mut out = Row::new(row.labels.clone(), true, row.steps());
    for (i, h) in row.histograms.iter().enumerate() {
        if let Some(h) = h {
            out.floats[i] = there(f(h));
        }
    }
    out
}

/// Unary minus.
pub(super) fn negated(mut row: Row) -> Row {
    row.drop_name = true;
    for value in row.floats.iter_mut().filter(|v| is_present(**v)) {
        *value = -*value;
    }
    for h in row.histograms.iter_mut().flatten() {
        histogram::negate(Arc::make_mut(h));
    }
    row
}

/// The larger number as Go's `math.Max` has it: NaN beats all but +Inf.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    match (a, b) {
        (f64::INFINITY, _) | (_, f64::INFINITY) => f64::INFINITY,
        (a, b) if a.is_nan() || b.is_nan() => f64::NAN,
        (a, b) => a.max(b),
    }
}

/// The smaller number as Go's `math.Min` has it: NaN beats all but -Inf.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    match (a, b) {
        (f64::NEG_INFINITY, _) | (_, f64::NEG_INFINITY) => f64::NEG_INFINITY,
        (a, b) if a.is_nan() || b.is_nan() => f64::NAN,
        (a, b) => a.min(b),
    }
}

/// `round` and the `clamp` functions.
pub(super) fn with_scalars(mut row: Row, kind: Kind, scalars: &[Vec<f64>]) -> Row {
    row.drop_name = true;
    row.histograms = Vec::new();
    let scalar = |k: usize, i: usize| scalars.get(k).map_or(1.0, |column| column[i]);
    for (i, value) in row
        .floats
        .iter_mut()
        .enumerate()
        .filter(|(_, v)| is_present(**v))
    {
        let (low, high) = match kind {
            Kind::ClampMin => (scalar(0, i), f64::INFINITY),
            Kind::ClampMax => (f64::NEG_INFINITY, scalar(0, i)),
            Kind::Clamp => (scalar(0, i), scalar(1, i)),
            _ => {
                // Ties round up; the inverse loses less than dividing twice.
                let inverse = 1.0 / scalar(0, i);
                *value = there((*value * inverse + 0.5).floor() / inverse);
                continue;
            }
        };
        *value = if high < low {
            ABSENT
        } else {
            there(larger(low, smaller(high, *value)))
        };
    }
    row
}

/// The labels `absent()` can know of: those a selector asks to be equal to one value. As in
/// Prometheus, matchers count in their order: a second one on a label takes it away, while one
/// of another kind before the first does not.
pub(super) fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr.unwrapped() {
        Expr::Vector(v) => &v.matchers,
        Expr::Matrix(m) => &m.selector.matchers,
        _ => &[],
    };
    let (mut known, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for matcher in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && seen.insert(&matcher.name) {
            known.insert(&matcher.name, &matcher.value);
        } else {
            known.remove(&matcher.name);
        }
    }
    Labels::from_pairs(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_knows_labels_by_the_order_of_the_matchers() {
        let of = |text: &str| absent_labels(&crate::parse(text).unwrap()).to_string();
        assert_eq!(of(r#"x{a="1",b=~"2"}"#), r#"{a="1"}"#);
        assert_eq!(of(r#"x{a="1",a="1",b="2"}[5m]"#), r#"{b="2"}"#);
        assert_eq!(of(r#"x{a="1",a!="2",b="2"}"#), r#"{b="2"}"#);
        assert_eq!(of(r#"x{a!="2",a="1"}"#), r#"{a="1"}"#);
    }

    #[test]
    fn extremes_treat_nan_as_go_does() {
        assert!(larger(f64::NAN, 1.0).is_nan() && smaller(1.0, f64::NAN).is_nan());
        assert_eq!(larger(f64::INFINITY, f64::NAN), f64::INFINITY);
        assert_eq!(smaller(f64::NAN, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!((larger(1.0, 2.0), smaller(1.0, 2.0)), (2.0, 1.0));
    }
}
