//! `alluse queries`: what a server is asked at the moment, what took long, and an end to one.

use serde_json::Value;

use crate::{
    Failure, asking,
    cli::{QueriesAct, QueriesArgs},
};

/// Asks and prints.
pub(crate) fn run(args: &QueriesArgs) -> Result<(), Failure> {
    let url = asking::api(&args.url, "queries");
    let reply = asking::ask(|client| match &args.act {
        None => client.get(url),
        Some(QueriesAct::Slow) => client.get(format!("{url}/slow")),
        Some(QueriesAct::Kill { id }) => client.delete(format!("{url}/{id}")),
    })?;
    let text = match &args.act {
        _ if args.json => reply.to_string(),
        Some(QueriesAct::Kill { id }) => format!("query {id} ends"),
        None | Some(QueriesAct::Slow) => table(&reply["data"]),
    };
    asking::print(&text)
}

/// A line a query: number, where it stands or how it ended, seconds, what it took, who, what.
fn table(data: &Value) -> String {
    let rows: Vec<String> = data.as_array().into_iter().flatten().map(line).collect();
    if rows.is_empty() {
        return "none".to_owned();
    }
    let head = "ID\tSTATE\tWAITED\tRAN\tSERIES\tSAMPLES\tPEAK BYTES\tCLIENT\tQUERY".to_owned();
    [vec![head], rows].concat().join("\n")
}

fn line(row: &Value) -> String {
    let text = |key: &str| match &row[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let seconds = |key: &str| format!("{:.3} s", row[key].as_f64().unwrap_or_default());
    let state = [text("state"), text("outcome")].concat();
    [
        text("id"),
        state,
        seconds("waitSeconds"),
        seconds("runSeconds"),
        text("series"),
        text("samples"),
        text("peakBytes"),
        text("client"),
        text("query"),
    ]
    .join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_line() {
        let row = serde_json::json!([{"id": "7", "state": "running", "waitSeconds": 0.0,
            "runSeconds": 1.5, "series": 2, "samples": 3, "peakBytes": 4, "client": "curl",
            "query": "up"}]);
        let shown = table(&row);
        let wanted = "7\trunning\t0.000 s\t1.500 s\t2\t3\t4\tcurl\tup";
        assert_eq!(shown.lines().nth(1), Some(wanted));
        assert_eq!(table(&serde_json::json!([])), "none");
    }
}
