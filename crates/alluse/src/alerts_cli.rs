//! `alluse alerts active` and `alluse alerts history`: what the rules of a server say, and what
//! they said.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use crate::Failure;

#[derive(Debug, Args)]
pub(crate) struct ActiveArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    url: String,
    /// Only alerts of this name.
    #[arg(long)]
    name: Option<String>,
    /// Print the server's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// First time: RFC 3339 or seconds since the Unix epoch. [default: a day before the last]
    #[arg(long)]
    from: Option<String>,
    /// Last time. [default: now]
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    which: ActiveArgs,
}

/// What is pending or fires.
pub(crate) fn active(args: &ActiveArgs) -> Result<(), Failure> {
    let reply = ask(args, "alerts", &[])?;
    say(args, &reply, |reply| lines(reply, args.name.as_deref()))
}

/// What was.
pub(crate) fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let asked = [
        ("from", &args.from),
        ("to", &args.to),
        ("alertname", &args.which.name),
    ];
    let reply = ask(&args.which, "alerts/history", &asked)?;
    say(&args.which, &reply, episodes)
}

fn say(
    args: &ActiveArgs,
    reply: &Value,
    text: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let text = if args.json {
        reply.to_string()
    } else {
        text(reply)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::of(&error))
}

fn ask(args: &ActiveArgs, path: &str, asked: &[(&str, &Option<String>)]) -> Result<Value, Failure> {
    let url = format!("{}/api/v1/{path}", args.url.trim_end_matches('/'));
    let mut url = reqwest::Url::parse(&url).map_err(|error| Failure::of(&error))?;
    for (key, value) in asked {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(key, value);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    let json = runtime.block_on(async {
        let reply = reqwest::Client::new().get(url).send().await?;
        reply.json::<Value>().await
    });
    let json = json.map_err(|error| Failure::of(&error))?;
    if json["status"] == "success" {
        return Ok(json);
    }
    let why = json["error"].as_str().unwrap_or("no reason given");
    Err(Failure::new(format!("alluse: {why}")))
}

fn rows<'v>(reply: &'v Value, key: &str) -> Vec<&'v Value> {
    let list = reply["data"][key].as_array();
    list.into_iter().flatten().collect()
}

fn labels(row: &Value) -> String {
    let pairs = row["labels"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default()));
    model::Labels::from_pairs(pairs).to_string()
}

fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap_or("-")
}

fn lines(reply: &Value, name: Option<&str>) -> String {
    let rows = rows(reply, "alerts").into_iter();
    let wanted = |row: &&Value| name.is_none_or(|name| row["labels"]["alertname"] == name);
    let lines: Vec<String> = rows
        .filter(wanted)
        .map(|row| {
            let summary = row["annotations"]["summary"].as_str().unwrap_or_default();
            let (state, since) = (text(row, "state"), text(row, "activeAt"));
            format!("{state}\tsince {since}\t{}\t{summary}", labels(row))
        })
        .collect();
    if lines.is_empty() {
        return "nothing is pending or fires".to_owned();
    }
    lines.join("\n")
}

fn episodes(reply: &Value) -> String {
    let rows = rows(reply, "alerts").into_iter();
    let lines: Vec<String> = rows
        .map(|row| {
            let (state, from, to) = (text(row, "state"), text(row, "from"), text(row, "to"));
            let end = if row["ongoing"] == true { "now" } else { to };
            format!("{from}\t{end}\t{state}\t{}", labels(row))
        })
        .collect();
    if lines.is_empty() {
        return "nothing was pending or fired".to_owned();
    }
    lines.join("\n")
}
