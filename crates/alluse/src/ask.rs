//! `alluse query`: asks a server, prints a table or its JSON.

use std::io::Write;

use serde_json::Value;

use crate::{Failure, cli::QueryArgs};

/// Asks and prints.
pub(crate) fn run(args: &QueryArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let reply = runtime.block_on(ask(args))?;
    let text = if args.json {
        reply.to_string()
    } else {
        table(&reply)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::of(&error))
}

async fn ask(args: &QueryArgs) -> Result<Value, Failure> {
    let mut form = vec![("query", args.expression.as_str())];
    for (key, value) in [
        ("time", &args.time),
        ("start", &args.start),
        ("end", &args.end),
        ("step", &args.step),
    ] {
        form.extend(value.as_deref().map(|v| (key, v)));
    }
    let path = if args.start.is_some() {
        "query_range"
    } else {
        "query"
    };
    let url = format!("{}/api/v1/{path}", args.url.trim_end_matches('/'));
    let reply = reqwest::Client::new().post(&url).form(&form).send().await;
    let reply = reply.map_err(|error| Failure::of(&error))?;
    let json: Value = reply.json().await.map_err(|error| Failure::of(&error))?;
    if json["status"] == "success" {
        return Ok(json);
    }
    Err(Failure::new(format!(
        "alluse: {}",
        json["error"].as_str().unwrap_or("no reason given")
    )))
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
    fn a_scalar_is_its_value() {
        let reply = json!({"data": {"resultType": "scalar", "result": [1, "3"]}});
        assert_eq!(table(&reply), "3");
    }
}
