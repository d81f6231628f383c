//! `alluse notify check`: an `alertmanager.yml` or a `[notify]` looked at without a server.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use collect::{http::Reach, prometheus_config::Note};
use model::{Labels, MatchOp};
use notify::{GroupBy, Plan, Route, matchers};
use serde_json::{Value, json};

use crate::{
    Failure,
    asking::print,
    config::{alertmanager_yml, notification::Notification},
    notifying::ways::WayConfig,
    serve,
};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The file: one that ends in .yml or .yaml is read as Alertmanager's.
    #[arg(default_value = "alluse.toml")]
    file: PathBuf,
    /// Labels of an alert.
    #[arg(value_name = "LABEL=VALUE")]
    labels: Vec<String>,
    /// Print all of it as JSON.
    #[arg(long)]
    json: bool,
}

type Receivers = BTreeMap<String, Vec<WayConfig>>;

/// What a file says about who is told.
struct Checked {
    plan: Plan,
    receivers: Receivers,
    notices: Vec<Note>,
}

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let labels = labels(&args.labels)?;
    let checked = read(args).map_err(|mistakes| Failure::usage(mistakes.join("\n")))?;
    let told = labels.map(|labels| checked.plan.receivers_of(&labels));
    if args.json {
        return print(&as_json(&checked, told.as_deref()).to_string());
    }
    for notice in &checked.notices {
        eprintln!("{notice}");
    }
    match told {
        Some(receivers) => print(&receivers.join("\n")),
        None => print(&as_text(&checked)),
    }
}

fn read(args: &CheckArgs) -> Result<Checked, Vec<String>> {
    let lines = |notes: Vec<Note>| notes.iter().map(ToString::to_string).collect::<Vec<_>>();
    if args
        .file
        .extension()
        .is_some_and(|e| e == "yml" || e == "yaml")
    {
        let read = alertmanager_yml::read_file(&args.file, Reach::NotLinkLocal).map_err(lines)?;
        return Ok(Checked {
            plan: read.plan,
            receivers: read.receivers,
            notices: read.notices,
        });
    }
    let mut said: Notification = serve::read_config(Some(&args.file))?.notify;
    let notices = said.load().map_err(lines)?;
    Ok(Checked {
        plan: said.plan,
        receivers: said.receivers,
        notices,
    })
}

/// The labels that were given; `None` for none.
fn labels(said: &[String]) -> Result<Option<Labels>, Failure> {
    let mut pairs = Vec::new();
    for text in said {
        let read = matchers::parse(text).map_err(|why| Failure::usage(format!("alluse: {why}")))?;
        for matcher in read {
            if matcher.op != MatchOp::Equal {
                let what = format!("alluse: {text:?} is no label such as severity=page");
                return Err(Failure::usage(what));
            }
            pairs.push((matcher.name, matcher.value));
        }
    }
    Ok((!said.is_empty()).then(|| Labels::from_pairs(pairs)))
}

/// A line a receiver, then a line a route.
fn as_text(checked: &Checked) -> String {
    let receivers = checked.receivers.iter().map(|(name, ways)| {
        let ways = match names(ways).join(", ") {
            none if none.is_empty() => "nobody is told".to_owned(),
            ways => ways,
        };
        format!("receiver {name}\t{ways}")
    });
    let routes = checked.plan.routes().iter().map(route);
    receivers.chain(routes).collect::<Vec<_>>().join("\n")
}

fn names(ways: &[WayConfig]) -> Vec<&'static str> {
    ways.iter().map(|way| way.kind.name()).collect()
}

fn route(route: &Route) -> String {
    let mut parts = vec![
        format!("route {}", route.key),
        route.receiver.clone(),
        format!("by {}", grouped(&route.group_by).join(",")),
        format!(
            "wait {}, interval {}, repeat {}",
            span(route.group_wait_ms),
            span(route.group_interval_ms),
            span(route.repeat_interval_ms)
        ),
    ];
    parts.extend(route.continues.then(|| "and further".to_owned()));
    for (word, times) in [("not in", &route.mute_times), ("in", &route.active_times)] {
        parts.extend((!times.is_empty()).then(|| format!("{word} {}", times.join(", "))));
    }
    let steps = route.escalate.iter();
    parts.extend(steps.map(|step| format!("after {} {}", span(step.after_ms), step.receiver)));
    parts.join("\t")
}

fn grouped(by: &GroupBy) -> Vec<&str> {
    match by {
        GroupBy::All => vec!["..."],
        GroupBy::Labels(names) => names.iter().map(String::as_str).collect(),
    }
}

fn span(ms: i64) -> String {
    yaml::units::duration_text(std::time::Duration::from_millis(ms.unsigned_abs()))
}

fn as_json(checked: &Checked, told: Option<&[&str]>) -> Value {
    let route = |route: &Route| {
        json!({
            "key": route.key,
            "receiver": route.receiver,
            "groupBy": grouped(&route.group_by),
            "groupWait": span(route.group_wait_ms),
            "groupInterval": span(route.group_interval_ms),
            "repeatInterval": span(route.repeat_interval_ms),
            "continue": route.continues,
            "muteTimeIntervals": route.mute_times,
            "activeTimeIntervals": route.active_times,
        })
    };
    let receivers = checked.receivers.iter();
    let receivers: BTreeMap<&String, Vec<&str>> =
        receivers.map(|(name, ways)| (name, names(ways))).collect();
    json!({
        "notices": checked.notices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "receivers": receivers,
        "routes": checked.plan.routes().iter().map(route).collect::<Vec<_>>(),
        "told": told,
    })
}
