//! Types: what an operator, function or aggregation may be applied to. Runs after the syntax is
//! known to be right; the first fault, in the order of the text, is reported.

use model::METRIC_NAME;

use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ValueType, VectorSelector,
};
use crate::functions::{Kind, Variadic};
use crate::lexer::Fault;
use crate::position::Position;

/// Checks a whole tree; `text` is what it was parsed from.
pub(super) fn types(expr: &Expr, text: &str) -> Result<(), Fault> {
    match expr {
        Expr::Number(_) | Expr::Text(_) => Ok(()),
        Expr::Paren(p) => types(&p.inner, text),
        Expr::Binary(_) => {
            let (leftmost, chain) = expr.spine();
            types(leftmost, text)?;
            chain.into_iter().try_for_each(|b| {
                types(&b.right, text)?;
                binary(b, text)
            })
        }
        Expr::Unary(u) => {
            types(&u.inner, text)?;
            match u.inner.value_type() {
                ValueType::Scalar | ValueType::Vector => Ok(()),
                other => fault(
                    u.position,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant \
                         vector, got {:?}",
                        other.as_str()
                    ),
                ),
            }
        }
        Expr::Call(c) => call(c, text),
        Expr::Aggregate(a) => aggregate(a, text),
        Expr::Vector(v) => selector(v, false),
        Expr::Matrix(m) => selector(&m.selector, false),
        Expr::Subquery(s) => {
            types(&s.inner, text)?;
            match s.inner.value_type() {
                ValueType::Vector => Ok(()),
                other => fault(
                    s.position,
                    format!(
                        "subquery is only allowed on instant vector, got {} instead",
                        match other {
                            ValueType::Matrix => "matrix",
                            other => other.as_str(),
                        }
                    ),
                ),
            }
        }
    }
}

fn fault<T>(position: Position, message: impl Into<String>) -> Result<T, Fault> {
    Err((message.into(), position))
}

fn expect(expr: &Expr, wanted: ValueType, context: &str) -> Result<(), Fault> {
    let found = expr.value_type();
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (wanted.as_str(), found.as_str());
    fault(
        expr.position(),
        format!("expected type {wanted} in {context}, got {found}"),
    )
}

fn aggregate(a: &Aggregate, text: &str) -> Result<(), Fault> {
    types(&a.inner, text)?;
    expect(&a.inner, ValueType::Vector, "aggregation expression")?;
    let Some(parameter) = &a.parameter else {
        return Ok(());
    };
    types(parameter, text)?;
    let wanted = match a.op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    expect(parameter, wanted, "aggregation parameter")?;
    // The label's name is read off the tree.
    match parameter.unwrapped() {
        Expr::Text(_) => Ok(()),
        _ if wanted == ValueType::Scalar => Ok(()),
        _ => fault(
            parameter.position(),
            "expected a string literal in aggregation parameter",
        ),
    }
}

fn call(c: &Call, text: &str) -> Result<(), Fault> {
    count_arguments(c)?;
    let name = c.function.name;
    let context = format!("call to function {name:?}");
    for (i, arg) in c.args.iter().enumerate() {
        let wanted = c.function.args[i.min(c.function.args.len() - 1)];
        if c.function.kind == Kind::Info && i == 1 {
            label_selector(arg, &context)?;
        } else {
            types(arg, text)?;
            expect(arg, wanted, &context)?;
        }
    }
    Ok(())
}

fn count_arguments(c: &Call) -> Result<(), Fault> {
    let (name, found, listed) = (c.function.name, c.args.len(), c.function.args.len());
    let message = match c.function.variadic {
        Variadic::None if found != listed => {
            format!("expected {listed} argument(s) in call to {name:?}, got {found}")
        }
        Variadic::UpTo(_) | Variadic::Any if found + 1 < listed => {
            let least = listed - 1;
            format!("expected at least {least} argument(s) in call to {name:?}, got {found}")
        }
        Variadic::UpTo(more) if found > listed - 1 + more => {
            let most = listed - 1 + more;
            format!("expected at most {most} argument(s) in call to {name:?}, got {found}")
        }
        _ => return Ok(()),
    };
    fault(c.position, message)
}

/// The second argument of `info()`: matchers in braces, without a name before them.
fn label_selector(arg: &Expr, context: &str) -> Result<(), Fault> {
    expect(arg, ValueType::Vector, context)?;
    match arg.unwrapped() {
        Expr::Vector(v) if v.name.is_none() => selector(v, true),
        Expr::Vector(_) => fault(
            arg.position(),
            "expected label selectors only, got vector selector instead",
        ),
        _ => fault(arg.position(), "expected label selectors only"),
    }
}

fn selector(v: &VectorSelector, may_match_all: bool) -> Result<(), Fault> {
    if let Some(name) = &v.name {
        let others = &v.matchers[..v.matchers.len() - 1];
        return match others.iter().find(|m| m.name == METRIC_NAME) {
            Some(second) => fault(
                v.position,
                format!(
                    "metric name must not be set twice: {name:?} or {:?}",
                    second.value
                ),
            ),
            None => Ok(()),
        };
    }
    // A typo must not select everything.
    if may_match_all || v.matchers.iter().any(|m| !m.matches("")) {
        return Ok(());
    }
    fault(
        v.position,
        "vector selector must contain at least one non-empty matcher",
    )
}

fn binary(b: &Binary, text: &str) -> Result<(), Fault> {
    operator(b, text)?;
    for side in [&b.left, &b.right] {
        if !matches!(side.value_type(), ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return fault(side.position(), message);
        }
    }
    let vectors =
        b.left.value_type() == ValueType::Vector && b.right.value_type() == ValueType::Vector;
    let fills = b.matching.fill_left.is_some() || b.matching.fill_right.is_some();
    let message = if !vectors && !b.matching.labels.is_empty() {
        "vector matching only allowed between instant vectors".to_owned()
    } else if !vectors && fills {
        "filling in missing series only allowed between instant vectors".to_owned()
    } else if !vectors && b.op.is_set() {
        format!(
            "set operator {:?} not allowed in binary scalar expression",
            b.op.as_str()
        )
    } else if b.op.is_set() && b.matching.cardinality != Cardinality::ManyToMany {
        format!("no grouping allowed for {:?} operation", b.op.as_str())
    } else if b.op.is_set() && fills {
        "filling in missing series not allowed for set operators".to_owned()
    } else if !vectors && matches!(b.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
        return trim(b);
    } else {
        return Ok(());
    };
    fault(b.position, message)
}

/// Trimming two numbers makes no sense.
fn trim(b: &Binary) -> Result<(), Fault> {
    if b.value_type != ValueType::Scalar {
        return Ok(());
    }
    let op = b.op.as_str();
    fault(
        b.position,
        format!("operator {op:?} not allowed for Scalar operations"),
    )
}

fn operator(b: &Binary, text: &str) -> Result<(), Fault> {
    let here = || operator_position(b, text);
    if b.returns_bool && !b.op.is_comparison() {
        return fault(
            here(),
            "bool modifier can only be used on comparison operators",
        );
    }
    if b.op.is_comparison() && !b.returns_bool && b.value_type == ValueType::Scalar {
        return fault(here(), "comparisons between scalars must use BOOL modifier");
    }
    match b
        .matching
        .labels
        .iter()
        .find(|l| b.matching.on && b.matching.include.contains(l))
    {
        Some(l) => {
            let message = format!("label {l:?} must not occur in ON and GROUP clause at once");
            fault(here(), message)
        }
        None => Ok(()),
    }
}

/// What stands between the operands.
fn operator_position(b: &Binary, text: &str) -> Position {
    let (start, end) = (b.left.position().end, b.right.position().start);
    let between = &text[start..end.max(start)];
    let blanks = between.len() - between.trim_start().len();
    Position::new(start + blanks, start + between.trim_end().len())
}
