//! `alluse query`: asks a server, prints a table or its JSON.

use serde_json::Value;

use crate::{Failure, asking, cli::QueryArgs};

/// Asks and prints.
pub(crate) fn run(args: &QueryArgs) -> Result<(), Failure> {
    let reply = ask(args)?;
    let text = match (args.json, args.explain) {
        (true, _) => reply.to_string(),
        (false, true) => plan(&reply["data"]),
        (false, false) => table(&reply),
    };
    asking::print(&text)
}

fn ask(args: &QueryArgs) -> Result<Value, Failure> {
    let mut form = vec![("query", args.expression.as_str())];
    for (key, value) in [
        ("time", &args.time),
        ("start", &args.start),
        ("end", &args.end),
        ("step", &args.step),
    ] {
        form.extend(value.as_deref().map(|v| (key, v)));
    }
    let path = match (args.explain, args.start.is_some()) {
        (true, _) => "explain_query",
        (false, true) => "query_range",
        (false, false) => "query",
    };
    let url = asking::api(&args.url, path);
    asking::ask(|client| client.post(url).form(&form))
}

/// What a query would do: an operator a line, its operands below it.
fn plan(data: &Value) -> String {
    let mut lines = vec![format!(
        "{} step(s); reads {} series, about {} samples, holds about {} bytes",
        data["steps"], data["series"], data["samples"], data["bytes"]
    )];
    operator(&data["plan"], 0, &mut lines);
    lines.join("\n")
}

fn operator(node: &Value, depth: usize, lines: &mut Vec<String>) {
    let (name, part) = (text(&node["operator"]), text(&node["text"]));
    let reads = &node["reads"];
    let reads = if reads.is_null() {
        String::new()
    } else {
        format!(
            "\t{} series, about {} samples",
            reads["series"], reads["samples"]
        )
    };
    lines.push(format!("{:1$}{name}\t{part}{reads}", "", 2 * depth));
    for operand in each(&node["operands"]) {
        operator(operand, depth + 1, lines);
    }
}

/// The result as lines of series and value.
fn table(reply: &Value) -> String {
    let data = &reply["data"];
    let rows: Vec<String> = match data["resultType"].as_str() {
        Some("vector") => each(&data["result"])
            .map(|s| format!("{}\t{}", series(&s["metric"]), text(&s["value"][1])))
            .collect(),
        Some("matrix") => each(&data["result"])
            .map(|s| {
                let points: Vec<String> = each(&s["values"])
                    .map(|p| format!("  {}\t{}", text(&p[0]), text(&p[1])))
                    .collect();
                format!("{}\n{}", series(&s["metric"]), points.join("\n"))
            })
            .collect(),
        _ => vec![text(&data["result"][1])],
    };
    let notes = ["warnings", "infos"]
        .into_iter()
        .flat_map(|key| each(&reply[key]).map(text));
    rows.into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn series(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten();
    model::Labels::from_pairs(labels.map(|(k, v)| (k.clone(), text(v)))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_vector_is_a_line_a_series() {
        let reply = json!({"data": {"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "value": [1, "1"]},
        ]}, "infos": ["note"]});
        assert_eq!(table(&reply), "up{job=\"a\"}\t1\nnote");
    }

    #[test]
    fn a_plan_is_an_operator_a_line() {
        let reads = json!({"series": 10, "samples": 2190});
        let range = json!({"operator": "range", "text": "m[5m]", "reads": reads, "operands": []});
        let data = json!({"steps": 2, "series": 10, "samples": 2190, "bytes": 3664, "plan":
            {"operator": "rate()", "text": "rate(m[5m])", "reads": null, "operands": [range]}});
        let lines = "2 step(s); reads 10 series, about 2190 samples, holds about 3664 bytes\n\
                     rate()\trate(m[5m])\n  range\tm[5m]\t10 series, about 2190 samples";
        assert_eq!(plan(&data), lines);
    }

    #[test]
    fn a_scalar_is_its_value() {
        let reply = json!({"data": {"resultType": "scalar", "result": [1, "3"]}});
        assert_eq!(table(&reply), "3");
    }
}
