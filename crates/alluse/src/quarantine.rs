//! `alluse quarantine`: what a server refused lately, and why.

use serde_json::Value;

use crate::{Failure, asking, cli::QuarantineArgs};

/// Asks and prints.
pub(crate) fn run(args: &QuarantineArgs) -> Result<(), Failure> {
    let limit = args.limit.to_string();
    let mut form = vec![("limit", limit.as_str())];
    for (key, value) in [("door", &args.door), ("reason", &args.reason)] {
        form.extend(value.as_deref().map(|v| (key, v)));
    }
    let url = asking::api(&args.url, "quarantine");
    let reply = asking::ask(|client| client.post(url).form(&form))?;
    let text = if args.json {
        reply.to_string()
    } else {
        table(&reply["data"])
    };
    asking::print(&text)
}

/// A line a refusal, newest first.
fn table(data: &Value) -> String {
    let refusals = data.as_array().into_iter().flatten();
    let lines: Vec<String> = refusals.map(line).collect();
    if lines.is_empty() {
        return "nothing was refused".to_owned();
    }
    lines.join("\n")
}

fn line(refused: &Value) -> String {
    let text = |key: &str| match &refused[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut cells = vec![text("at"), text("door"), text("reason"), text("series")];
    if !refused["timestamp"].is_null() {
        cells.push(format!("{} at {}", text("value"), text("timestamp")));
    }
    cells.push(text("detail"));
    cells.retain(|cell| !cell.is_empty());
    cells.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_a_line_with_what_is_known() {
        let data = json!([
            {"id": 2, "at": 5.5, "door": "otlp", "reason": "metric_limit", "series": "up{i=\"1\"}",
             "timestamp": 5.0, "value": "1", "detail": ""},
            {"id": 1, "at": 4.0, "door": "csv", "reason": "malformed", "series": "",
             "timestamp": null, "value": null, "detail": "no header"},
        ]);
        assert_eq!(
            table(&data),
            "5.5\totlp\tmetric_limit\tup{i=\"1\"}\t1 at 5.0\n4.0\tcsv\tmalformed\tno header"
        );
        assert_eq!(table(&json!([])), "nothing was refused");
    }
}
