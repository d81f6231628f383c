//! A tree back to text, in one canonical form: `parse(print(x)) == x`.

use std::fmt::{self, Write as _};

use model::Matcher;

use crate::ast::{
    Aggregate, At, Binary, Cardinality, Duration, Expr, Extension, Matching, Number, VectorSelector,
};
use crate::float_text::format_value;
use crate::literal::{duration_text, quote};

/// The query a tree stands for.
#[must_use]
pub fn print(expr: &Expr) -> String {
    expr.to_string()
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Text(t) => f.write_str(&quote(&t.value)),
            Self::Paren(p) => write!(f, "({})", p.inner),
            Self::Unary(u) => write!(f, "{}{}", if u.negative { "-" } else { "+" }, u.inner),
            Self::Binary(_) => {
                let (leftmost, chain) = self.spine();
                leftmost.fmt(f)?;
                chain.into_iter().try_for_each(|b| operation(b, f))
            }
            Self::Call(c) => {
                f.write_str(c.function.name)?;
                arguments(c.args.iter(), f)
            }
            Self::Aggregate(a) => aggregate(a, f),
            Self::Vector(v) => {
                selected(v, f)?;
                modifiers(v.extension, v.at, v.offset.as_ref(), f)
            }
            Self::Matrix(m) => {
                selected(&m.selector, f)?;
                write!(f, "[{}]", m.range)?;
                let s = &m.selector;
                modifiers(s.extension, s.at, s.offset.as_ref(), f)
            }
            Self::Subquery(s) => {
                write!(f, "{}[{}:", s.inner, s.range)?;
                if let Some(step) = &s.step {
                    step.fmt(f)?;
                }
                f.write_str("]")?;
                modifiers(Extension::None, s.at, s.offset.as_ref(), f)
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            f.write_str(&duration_text((self.value * 1000.0).round() as i64))
        } else {
            f.write_str(&format_value(self.value))
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(n) => n.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::Negative(inner, _) => write!(f, "-{inner}"),
            Self::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
            Self::MinOf(a, b, _) => write!(f, "min_of({a}, {b})"),
            Self::MaxOf(a, b, _) => write!(f, "max_of({a}, {b})"),
            Self::Paren(inner, _) => write!(f, "({inner})"),
        }
    }
}

fn arguments<'a>(args: impl Iterator<Item = &'a Expr>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("(")?;
    for (i, arg) in args.enumerate() {
        write!(f, "{}{arg}", if i == 0 { "" } else { ", " })?;
    }
    f.write_str(")")
}

fn operation(b: &Binary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let returns_bool = if b.returns_bool { " bool" } else { "" };
    write!(f, " {}{returns_bool}", b.op.as_str())?;
    matching(&b.matching, f)?;
    write!(f, " {}", b.right)
}

fn matching(m: &Matching, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let side = match m.cardinality {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if m.on || !m.labels.is_empty() || side.is_some() {
        f.write_str(if m.on { " on (" } else { " ignoring (" })?;
        labels(&m.labels, f)?;
        f.write_str(")")?;
    }
    if let Some(side) = side {
        write!(f, " group_{side} (")?;
        labels(&m.include, f)?;
        f.write_str(")")?;
    }
    match (m.fill_left, m.fill_right) {
        (Some(left), Some(right)) if left == right => write!(f, " fill ({left})"),
        (left, right) => {
            if let Some(left) = left {
                write!(f, " fill_left ({left})")?;
            }
            if let Some(right) = right {
                write!(f, " fill_right ({right})")?;
            }
            Ok(())
        }
    }
}

fn labels(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, name) in names.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        label(name, f)?;
    }
    Ok(())
}

/// A label's name, quoted unless it is a plain word.
fn label(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word = name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_word && !name.is_empty() {
        f.write_str(name)
    } else {
        f.write_str(&quote(name))
    }
}

fn aggregate(a: &Aggregate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(a.op.as_str())?;
    if a.without || !a.labels.is_empty() {
        f.write_str(if a.without { " without (" } else { " by (" })?;
        labels(&a.labels, f)?;
        f.write_str(") ")?;
    }
    arguments(a.parameter.iter().chain([&a.inner]), f)
}

/// Name and matchers.
fn selected(v: &VectorSelector, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(v.name.as_deref().unwrap_or_default())?;
    let shown = v.matchers.len() - usize::from(v.name.is_some());
    if shown == 0 && v.name.is_some() {
        return Ok(());
    }
    f.write_str("{")?;
    // One order for one meaning.
    let mut sorted: Vec<&Matcher> = v.matchers[..shown].iter().collect();
    sorted.sort_by_key(|m| (&m.name, m.op.as_str(), &m.value));
    for (i, m) in sorted.into_iter().enumerate() {
        f.write_str(if i == 0 { "" } else { "," })?;
        matcher(m, f)?;
    }
    f.write_str("}")
}

fn matcher(m: &Matcher, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    label(&m.name, f)?;
    write!(f, "{}{}", m.op.as_str(), quote(&m.value))
}

fn modifiers(
    extension: Extension,
    at: Option<At>,
    offset: Option<&Duration>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(match extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    })?;
    match at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(ms)) => write!(f, " @ {}", seconds(ms))?,
    }
    match offset {
        None => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

/// Milliseconds as seconds with three decimals.
fn seconds(ms: i64) -> String {
    let mut text = String::new();
    let sign = if ms < 0 { "-" } else { "" };
    let (whole, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    write!(text, "{sign}{whole}.{rest:03}").expect("writing to a string cannot fail");
    text
}
