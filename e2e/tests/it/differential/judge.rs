//! Whether two answers to one query are the same.

use e2e::http::Reply;
use serde_json::Value;

/// Largest relative difference of two values that are taken to be equal.
const RELATIVE: f64 = 1e-12;

/// What the order of series says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing: series are compared by labels. So it is with every answer at one time that is
    /// not sorted on purpose: 2.42 gives it as a hash map does.
    Any,
    /// Values have to come in the same order; series of one value in any.
    Values,
    /// Series have to come in the same order: answers over a range are sorted by labels.
    Labels,
}

/// What is different, if anything is.
pub(crate) fn difference(theirs: &Reply, ours: &Reply, order: Order) -> Option<String> {
    if theirs.status != ours.status {
        let (a, b) = (theirs.status, ours.status);
        let said = [theirs, ours].map(|r| r.text.chars().take(300).collect::<String>());
        return Some(format!("status {a} and {b}: {} | {}", said[0], said[1]));
    }
    if kind(theirs) != kind(ours) {
        return Some(format!("type {} and {}", kind(theirs), kind(ours)));
    }
    let (theirs, ours) = (theirs.json(), ours.json());
    for key in ["status", "errorType"] {
        if theirs[key] != ours[key] {
            return Some(format!("{key}: {} and {}", theirs[key], ours[key]));
        }
    }
    // 2.42 has no annotations of PromQL, so only a reason for a warning can be compared.
    let (theirs, ours) = (&theirs["data"], &ours["data"]);
    if theirs["resultType"] != ours["resultType"] {
        let types = (&theirs["resultType"], &ours["resultType"]);
        return Some(format!("type {} and {}", types.0, types.1));
    }
    match theirs["resultType"].as_str() {
        Some("vector") => vectors(rows(theirs), rows(ours), order),
        Some("matrix") if order == Order::Labels => matrices(&rows(theirs), &rows(ours)),
        Some("matrix") => vectors(rows(theirs), rows(ours), Order::Any),
        Some(_) => point(&theirs["result"], &ours["result"]),
        None => None,
    }
}

/// The media type, without its parameters.
fn kind(reply: &Reply) -> &str {
    let kind = reply.content_type.split(';').next();
    kind.unwrap_or_default()
}

fn rows(data: &Value) -> Vec<&Value> {
    data["result"].as_array().into_iter().flatten().collect()
}

fn vectors(mut theirs: Vec<&Value>, mut ours: Vec<&Value>, order: Order) -> Option<String> {
    if order == Order::Values && theirs.len() == ours.len() {
        for (a, b) in theirs.iter().zip(&ours) {
            if let Some(found) = point(&a["value"], &b["value"]) {
                return Some(format!("order: {found}"));
            }
        }
    }
    let by_labels = |row: &&Value| row["metric"].to_string();
    theirs.sort_by_key(by_labels);
    ours.sort_by_key(by_labels);
    matrices(&theirs, &ours)
}

fn matrices(theirs: &[&Value], ours: &[&Value]) -> Option<String> {
    for (a, b) in theirs.iter().zip(ours) {
        if a["metric"] != b["metric"] {
            return Some(format!("series {} and {}", a["metric"], b["metric"]));
        }
        let found = match (a.get("value"), b.get("value")) {
            (Some(a), Some(b)) => point(a, b),
            (None, None) => columns(&a["values"], &b["values"]),
            _ => Some("a point and a column".to_owned()),
        };
        if let Some(found) = found {
            return Some(format!("{}: {found}", a["metric"]));
        }
    }
    (theirs.len() != ours.len()).then(|| {
        let more = theirs.get(ours.len()).or_else(|| ours.get(theirs.len()));
        let more = more.map(|row| row["metric"].to_string());
        let more = more.unwrap_or_default();
        format!("{} and {} series: {more}", theirs.len(), ours.len())
    })
}

fn columns(theirs: &Value, ours: &Value) -> Option<String> {
    let empty = Vec::new();
    let (a, b) = (
        theirs.as_array().unwrap_or(&empty),
        ours.as_array().unwrap_or(&empty),
    );
    let found = a.iter().zip(b).find_map(|(a, b)| point(a, b));
    found.or_else(|| (a.len() != b.len()).then(|| format!("{} and {} points", a.len(), b.len())))
}

fn point(theirs: &Value, ours: &Value) -> Option<String> {
    let same_time = theirs[0].as_f64() == ours[0].as_f64();
    let same = same_time && same_value(&theirs[1], &ours[1]);
    (!same).then(|| format!("{theirs} and {ours}"))
}

fn same_value(theirs: &Value, ours: &Value) -> bool {
    let number = |v: &Value| v.as_str().and_then(|text| text.parse::<f64>().ok());
    let (Some(a), Some(b)) = (number(theirs), number(ours)) else {
        return theirs == ours;
    };
    a.to_bits() == b.to_bits()
        || a == b
        || a.is_nan() && b.is_nan()
        || (a - b).abs() <= RELATIVE * a.abs().max(b.abs())
}
