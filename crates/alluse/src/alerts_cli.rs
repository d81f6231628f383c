//! `alluse alerts active`, `history` and `related`: what the rules of a server say, what they
//! said, and what seems to follow from what.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::Value;

use crate::{Failure, asking};

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

#[derive(Debug, Args)]
pub(crate) struct RelatedArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    url: String,
    /// First time: RFC 3339 or seconds since the Unix epoch. [default: 30 days before the last]
    #[arg(long)]
    from: Option<String>,
    /// Last time. [default: now]
    #[arg(long)]
    to: Option<String>,
    /// Print the server's JSON.
    #[arg(long)]
    json: bool,
}

/// What seems to follow from what.
pub(crate) fn related(args: &RelatedArgs) -> Result<(), Failure> {
    let asked = [("from", &args.from), ("to", &args.to)];
    let reply = ask(&args.url, "alerts/dependencies", &asked)?;
    asking::print(&match args.json {
        true => reply.to_string(),
        false => proposals(&reply),
    })
}

/// What is pending or fires.
pub(crate) fn active(args: &ActiveArgs) -> Result<(), Failure> {
    let reply = ask(&args.url, "alerts", &[])?;
    say(args, &reply, |reply| lines(reply, args.name.as_deref()))
}

/// What was.
pub(crate) fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let asked = [
        ("from", &args.from),
        ("to", &args.to),
        ("alertname", &args.which.name),
    ];
    let reply = ask(&args.which.url, "alerts/history", &asked)?;
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
    asking::print(&text)
}

fn ask(server: &str, path: &str, asked: &[(&str, &Option<String>)]) -> Result<Value, Failure> {
    let url = asking::api(server, path);
    let mut url = reqwest::Url::parse(&url).map_err(|error| Failure::of(&error))?;
    for (key, value) in asked {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(key, value);
        }
    }
    asking::ask(|client| client.get(url))
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

/// A line a proposal, and what would declare those that are not declared yet.
fn proposals(reply: &Value) -> String {
    let rows = rows(reply, "dependencies");
    if rows.is_empty() {
        let onsets = &reply["data"]["onsets"];
        return format!(
            "nothing follows from anything often enough, of {onsets} alerts that began"
        );
    }
    let lines = rows.iter().map(|row| {
        let (effect, cause) = (text(row, "effect"), text(row, "cause"));
        let equal = row["equal"].as_array().into_iter().flatten();
        let equal: Vec<&str> = equal.filter_map(Value::as_str).collect();
        let (support, incidents) = (&row["support"], &row["incidents"]);
        let (lag, lift) = (&row["lagSeconds"], row["lift"].as_f64().unwrap_or_default());
        let declared = match row["declared"] == true {
            true => "\tdeclared",
            false => "",
        };
        format!(
            "{effect} follows {cause}\t{support} of {incidents} times\tafter {lag} s\tsame {}\t{lift:.0} times more often than by chance{declared}",
            equal.join(", ")
        )
    });
    let mut lines: Vec<String> = lines.collect();
    let fresh: Vec<&&Value> = rows.iter().filter(|row| row["declared"] != true).collect();
    if !fresh.is_empty() {
        lines.push("\n# If they do depend on each other, this says so:".to_owned());
        lines.extend(components(&fresh));
    }
    lines.join("\n")
}

/// Tables for the configuration: a component an alert, those that nothing causes first.
fn components(rows: &[&&Value]) -> Vec<String> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        all.entry(text(row, "cause")).or_default();
        let causes = all.entry(text(row, "effect")).or_default();
        causes.insert(text(row, "cause"));
    }
    let table = |(name, causes): (&str, BTreeSet<&str>)| {
        let causes: Vec<&str> = causes.into_iter().collect();
        let depends = match causes.is_empty() {
            true => String::new(),
            false => format!("\ndepends_on = {causes:?}"),
        };
        format!("[[notify.component]]\nname = {name:?}\nmatch = ['alertname={name:?}']{depends}")
    };
    all.into_iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn proposals_are_lines_and_what_would_declare_them() {
        let reply = json!({"data": {"onsets": 20, "dependencies": [{
            "cause": "Disk", "effect": "Db", "equal": ["host"], "support": 9, "incidents": 10,
            "confidence": 0.9, "lift": 41.7, "lagSeconds": 60.0, "declared": false,
        }]}});
        let said = proposals(&reply);
        let line = "Db follows Disk\t9 of 10 times\tafter 60.0 s\tsame host\t42 times more often than by chance\n";
        assert!(said.starts_with(line), "{said}");
        let tables = "[[notify.component]]\nname = \"Db\"\nmatch = ['alertname=\"Db\"']\n\
                      depends_on = [\"Disk\"]\n\
                      [[notify.component]]\nname = \"Disk\"\nmatch = ['alertname=\"Disk\"']";
        assert!(said.ends_with(tables), "{said}");
        let read = crate::config::read("a", &format!("[notify]\n{tables}"), &[]);
        assert!(read.is_ok(), "{read:?}");
    }
}
