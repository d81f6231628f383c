//! The same question, fixed in time: `@ <time>` on every selector and subquery that has none.
//!
//! Whenever such a query is evaluated, its answer must be the one it had at that time. Text is
//! inserted at the positions the parser gives, so that positions are tested as well.

use query::ast::Expr;

/// Functions whose result depends on when they are evaluated, whatever their arguments say.
const DEPEND_ON_TIME: [&str; 15] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// The query with all its times fixed, or `None` if its result depends on the time even then.
pub(super) fn fixed_at(query: &str, expr: &Expr, at_ms: i64) -> Option<String> {
    let mut places = Vec::new();
    if !collect(expr, &mut places) {
        return None;
    }
    places.sort_unstable();
    let mut text = query.to_owned();
    for place in places.into_iter().rev() {
        text.insert_str(place, &format!(" @ {:.3}", at_ms as f64 / 1000.0));
    }
    Some(text)
}

/// Times at which a query fixed at `at_ms` is asked again.
pub(super) fn times(at_ms: i64) -> Vec<i64> {
    if at_ms == 0 {
        return vec![-1000, 0, 1000];
    }
    vec![-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms]
}

/// Collects where `@` goes; false if the expression depends on the time of evaluation.
fn collect(expr: &Expr, places: &mut Vec<usize>) -> bool {
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Paren(paren) => collect(&paren.inner, places),
        Expr::Unary(unary) => collect(&unary.inner, places),
        Expr::Binary(binary) => collect(&binary.left, places) && collect(&binary.right, places),
        Expr::Call(call) => {
            !DEPEND_ON_TIME.contains(&call.function.name)
                && call.args.iter().all(|arg| collect(arg, places))
        }
        Expr::Aggregate(aggregate) => {
            aggregate
                .parameter
                .as_ref()
                .is_none_or(|p| collect(p, places))
                && collect(&aggregate.inner, places)
        }
        Expr::Vector(selector) => {
            places.extend(selector.at.is_none().then_some(selector.position.end));
            true
        }
        Expr::Matrix(matrix) => {
            places.extend(matrix.selector.at.is_none().then_some(matrix.position.end));
            true
        }
        Expr::Subquery(subquery) => {
            places.extend(subquery.at.is_none().then_some(subquery.position.end));
            // Inside, times follow from the subquery's; but what depends on time still does.
            collect(&subquery.inner, &mut Vec::new())
        }
    }
}
