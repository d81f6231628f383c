//! The text of a query: put in order (`format_query`), and taken apart into the tree that
//! Prometheus's own pages show (`parse_query`).

use axum::response::Response;
use query::{
    ast::{At, Cardinality, Duration, Expr, Extension, Matching, ValueType, VectorSelector},
    functions::{Function, Variadic},
};
use serde_json::{Value, json};

use super::{
    params::Params,
    problem::ApiError,
    prometheus::{Reply, success},
};

fn parsed(params: &Params) -> Result<Expr, ApiError> {
    query::parse(params.get("query").unwrap_or_default())
        .map_err(|e| ApiError::bad(format!("invalid parameter \"query\": {e}")))
}

/// `GET|POST /api/v1/format_query`
pub(super) async fn format_query(params: Params) -> Reply {
    Ok(success(parsed(&params)?.to_string()))
}

/// `GET|POST /api/v1/parse_query`
pub(super) async fn parse_query(params: Params) -> Result<Response, ApiError> {
    Ok(success(tree(&parsed(&params)?)))
}

/// A node and all below it.
fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Number(number) => json!({"type": "numberLiteral", "val": literal(number.value)}),
        Expr::Text(text) => json!({"type": "stringLiteral", "val": text.value}),
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": tree(&paren.inner)}),
        Expr::Unary(unary) => json!({
            "type": "unaryExpr",
            "op": if unary.negative { "-" } else { "+" },
            "expr": tree(&unary.inner),
        }),
        Expr::Binary(_) => chain(expr),
        Expr::Call(call) => json!({
            "type": "call",
            "func": function(call.function),
            "args": call.args.iter().map(tree).collect::<Vec<_>>(),
        }),
        Expr::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": tree(&aggregate.inner),
            "param": aggregate.parameter.as_ref().map(tree),
            "grouping": aggregate.labels,
            "without": aggregate.without,
        }),
        Expr::Vector(selector) => selected(selector, "vectorSelector", None),
        Expr::Matrix(matrix) => selected(&matrix.selector, "matrixSelector", Some(&matrix.range)),
        Expr::Subquery(subquery) => json!({
            "type": "subquery",
            "expr": tree(&subquery.inner),
            "range": ms(&subquery.range),
            "offset": subquery.offset.as_ref().map_or(0, ms),
            "step": subquery.step.as_ref().map_or(0, ms),
            "timestamp": timestamp(subquery.at),
            "startOrEnd": start_or_end(subquery.at),
        }),
    }
}

/// A chain of operators, however long, without recursion along it.
fn chain(expr: &Expr) -> Value {
    let (first, operators) = expr.spine();
    let mut left = tree(first);
    for binary in operators {
        let is_vector = |side: &Expr| side.value_type() == ValueType::Vector;
        let both = is_vector(&binary.left) && is_vector(&binary.right);
        left = json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": left,
            "rhs": tree(&binary.right),
            "matching": both.then(|| matching(&binary.matching)),
            "bool": binary.returns_bool,
        });
    }
    left
}

fn matching(matching: &Matching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {
            "lhs": matching.fill_left.map(|n| n.value),
            "rhs": matching.fill_right.map(|n| n.value),
        },
    })
}

fn function(function: &Function) -> Value {
    let variadic = match function.variadic {
        Variadic::None => 0,
        Variadic::UpTo(count) => i64::try_from(count).unwrap_or(i64::MAX),
        Variadic::Any => -1,
    };
    let types: Vec<&str> = function.args.iter().map(|t| type_name(*t)).collect();
    json!({
        "name": function.name,
        "argTypes": types,
        "variadic": variadic,
        "returnType": type_name(function.returns),
    })
}

fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}

fn selected(selector: &VectorSelector, kind: &str, range: Option<&Duration>) -> Value {
    let matchers: Vec<Value> = selector
        .matchers
        .iter()
        .map(|m| json!({"name": m.name, "value": m.value, "type": m.op.as_str()}))
        .collect();
    let mut node = json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or_default(),
        "offset": selector.offset.as_ref().map_or(0, ms),
        "matchers": matchers,
        "timestamp": timestamp(selector.at),
        "startOrEnd": start_or_end(selector.at),
        "anchored": selector.extension == Extension::Anchored,
        "smoothed": selector.extension == Extension::Smoothed,
    });
    if let Some(range) = range {
        node["range"] = json!(ms(range));
    }
    node
}

/// Milliseconds of a duration that is written out; one to be computed is 0 until there is a query
/// to compute it for.
fn ms(duration: &Duration) -> i64 {
    match duration {
        Duration::Literal(number) => (number.value * 1e3).round() as i64,
        Duration::Negative(of, _) => -ms(of),
        Duration::Paren(of, _) => ms(of),
        Duration::Step(_)
        | Duration::Range(_)
        | Duration::Binary(..)
        | Duration::MinOf(..)
        | Duration::MaxOf(..) => 0,
    }
}

fn timestamp(at: Option<At>) -> Option<i64> {
    match at {
        Some(At::Time(ms)) => Some(ms),
        Some(At::Start | At::End) | None => None,
    }
}

fn start_or_end(at: Option<At>) -> Option<&'static str> {
    match at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    }
}

/// A number with all its digits, never with an exponent.
fn literal(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        query::format_value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Value {
        tree(&query::parse(text).unwrap())
    }

    #[test]
    fn a_tree_has_the_keys_prometheus_pages_look_for() {
        let expected = json!({
            "type": "binaryExpr", "op": "/", "bool": false,
            "lhs": {
                "type": "aggregation", "op": "sum", "param": null, "grouping": ["job"],
                "without": false,
                "expr": {
                    "type": "call",
                    "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0,
                             "returnType": "vector"},
                    "args": [{
                        "type": "matrixSelector", "name": "a", "range": 300_000,
                        "offset": 60_000, "timestamp": null, "startOrEnd": null,
                        "anchored": false, "smoothed": false,
                        "matchers": [
                            {"name": "b", "type": "=~", "value": "c.*"},
                            {"name": "__name__", "type": "=", "value": "a"},
                        ],
                    }],
                },
            },
            "rhs": {
                "type": "vectorSelector", "name": "d", "offset": 0, "timestamp": null,
                "startOrEnd": "end", "anchored": false, "smoothed": false,
                "matchers": [{"name": "__name__", "type": "=", "value": "d"}],
            },
            "matching": {"card": "many-to-one", "labels": ["job"], "on": true, "include": ["x"],
                         "fillValues": {"lhs": null, "rhs": null}},
        });
        let text =
            "sum by (job) (rate(a{b=~\"c.*\"}[5m] offset 1m)) / on (job) group_left (x) d @ end()";
        assert_eq!(of(text), expected);
    }

    #[test]
    fn scalars_are_not_paired_and_numbers_have_all_their_digits() {
        let sum = of("1e21 + -Inf");
        assert_eq!(sum["matching"], Value::Null);
        assert_eq!(sum["lhs"]["val"], "1000000000000000000000");
        assert_eq!(sum["rhs"]["val"], "-Inf");
        assert_eq!(of("round(vector(1))")["func"]["variadic"], 1);
        assert_eq!(of("label_join(a, \"b\", \",\")")["func"]["variadic"], -1);
    }

    #[test]
    fn a_long_chain_is_no_deep_recursion() {
        let text = format!("1{}", "+1".repeat(900));
        assert_eq!(of(&text)["op"], "+");
    }
}
