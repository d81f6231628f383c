//! `alluse silence`, `alluse alerts` and `alluse notify`: asks a server, and tells what it said.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    Failure,
    asking::{block_on, print},
    config::duration,
};

mod check;

/// Which server, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:9400", env = "ALLUSE_URL")]
    url: String,
    /// Print the server's JSON.
    #[arg(long)]
    json: bool,
}

/// What can be done about silences.
#[derive(Debug, Subcommand)]
pub(crate) enum SilenceCommand {
    /// Silence the alerts that match: nobody is told of them until it ends.
    ///
    /// Matchers are Alertmanager's: alertname=Slow, 'host=~"web.*"', 'team!="x"'; an alert must
    /// satisfy all of them. What was told before and is over meanwhile is told when the silence
    /// ends. Prints the silence's ID.
    #[command(
        after_help = "Example: alluse silence add alertname=DiskFull host=db1 --for 2h --comment 'adding a disk'"
    )]
    Add {
        /// What an alert must satisfy.
        #[arg(required = true)]
        matchers: Vec<String>,
        /// How long, such as 30m, 2h or 1d.
        #[arg(long = "for", default_value = "1h", value_parser = duration::parse)]
        lasting: std::time::Duration,
        /// Why: who looks at it later has no other way to know.
        #[arg(long, short)]
        comment: String,
        /// Who silences.
        #[arg(long, env = "USER", default_value = "unknown")]
        author: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// List silences, those that have ended left out unless asked for.
    List {
        /// Also those that have ended: they are kept for five days.
        #[arg(long)]
        expired: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// End silences now.
    Expire {
        /// Their IDs, as `alluse silence list` shows them.
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// What can be done about alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List the alerts that fire: name, state, since when, labels.
    List {
        /// Only those that match, such as severity=critical.
        matchers: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// List what the rules say: pending or firing, silenced or not, since when.
    Active(crate::alerts_cli::ActiveArgs),
    /// List what was, newest first: each time an alert was pending or fired, from when to when.
    History(crate::alerts_cli::HistoryArgs),
    /// Show which alerts again and again began shortly after which others, on the same host or
    /// whatever they share: proposals for `notify.component`; nothing is applied.
    ///
    /// At least five incidents, in six of ten of which the one followed within five minutes, and
    /// five times more often than by chance. A common cause looks the same: a person decides.
    Related(crate::alerts_cli::RelatedArgs),
    /// Say that you know of an alert: it is not repeated, and nobody further is called.
    ///
    /// That it is over is told as always. If it comes back after that, it is a new alert.
    Ack {
        /// Its ID, as `alluse alerts list` shows it.
        id: String,
        /// Who knows.
        #[arg(long, env = "USER", default_value = "unknown")]
        by: String,
        /// What others should know.
        #[arg(long, short, default_value = "")]
        comment: String,
        #[command(flatten)]
        asked: Asked,
    },
}

/// What can be done about receivers.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a real notification that says it is a test, by every way of a receiver; exit 1 if one
    /// of them fails.
    Test {
        /// The receiver's name in the configuration.
        receiver: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Report every mistake of an alertmanager.yml, or of a configuration's `notify`, with
    /// its place, and show its routes; no server is asked.
    ///
    /// With labels, such as alertname=Slow severity=page: who would be told of an alert that has
    /// them, a receiver a line. Exits with 2 when there is a mistake. What has no effect here is
    /// told on standard error.
    #[command(
        after_help = "Example: alluse notify check alertmanager.yml alertname=DiskFull severity=page"
    )]
    Check(check::CheckArgs),
}

/// A request that a server answers with JSON.
async fn ask(
    asked: &Asked,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> Result<Value, Failure> {
    let url = format!("{}{path}", asked.url.trim_end_matches('/'));
    let request = reqwest::Client::new().request(method, &url);
    let request = match &body {
        Some(body) => request.json(body),
        None => request,
    };
    let reply = request.send().await.map_err(|error| Failure::of(&error))?;
    let status = reply.status();
    let text = reply.text().await.map_err(|error| Failure::of(&error))?;
    let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(said);
    }
    let why = said
        .as_str()
        .or_else(|| said["error"].as_str())
        .unwrap_or(&text);
    Err(Failure::new(format!("alluse: {why}")))
}

/// Prints the server's JSON, or a line each of what it lists.
fn show(
    asked: &Asked,
    reply: &Value,
    line: impl Fn(&Value) -> String,
    none: &str,
) -> Result<(), Failure> {
    if asked.json {
        return print(&reply.to_string());
    }
    let lines: Vec<String> = reply.as_array().into_iter().flatten().map(line).collect();
    print(
        if lines.is_empty() {
            none.to_owned()
        } else {
            lines.join("\n")
        }
        .as_str(),
    )
}

/// `alluse silence ...`
pub(crate) fn silence(command: SilenceCommand) -> Result<(), Failure> {
    match command {
        SilenceCommand::Add {
            matchers,
            lasting,
            comment,
            author,
            asked,
        } => {
            let body = draft(&matchers, lasting, &comment, &author)?;
            let path = "/api/v2/silences";
            let reply = block_on(ask(&asked, reqwest::Method::POST, path, Some(body)))?;
            let id = reply["silenceID"].as_str().unwrap_or_default();
            print(
                if asked.json {
                    reply.to_string()
                } else {
                    id.to_owned()
                }
                .as_str(),
            )
        }
        SilenceCommand::List { expired, asked } => {
            let path = "/api/v2/silences";
            let mut reply = block_on(ask(&asked, reqwest::Method::GET, path, None))?;
            if let Some(all) = reply.as_array_mut().filter(|_| !expired) {
                all.retain(|silence| silence["status"]["state"] != "expired");
            }
            let none = "nothing is silenced; `alluse silence add --help` says how";
            show(&asked, &reply, silence_line, none)
        }
        SilenceCommand::Expire { ids, asked } => {
            for id in &ids {
                let path = format!("/api/v2/silence/{id}");
                block_on(ask(&asked, reqwest::Method::DELETE, &path, None))?;
            }
            if asked.json {
                return print(&json!({ "expired": ids }).to_string());
            }
            Ok(())
        }
    }
}

/// The request for a silence from now on. The server puts its own time for a past beginning.
fn draft(
    said: &[String],
    lasting: std::time::Duration,
    comment: &str,
    author: &str,
) -> Result<Value, Failure> {
    use crate::api::targets::rfc3339;
    use model::{Clock, MatchOp};
    let mut matchers = Vec::new();
    for text in said {
        let read = notify::matchers::parse(text);
        let read = read.map_err(|why| Failure::usage(format!("alluse: {why}")))?;
        matchers.extend(read.into_iter().map(|matcher| {
            json!({
                "name": matcher.name,
                "value": matcher.value,
                "isRegex": matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex),
                "isEqual": matches!(matcher.op, MatchOp::Equal | MatchOp::Regex),
            })
        }));
    }
    let now_ms = crate::lifecycle::SystemClock::new().wall_ms();
    let ends_ms = now_ms.saturating_add(i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX / 2));
    Ok(json!({
        "matchers": matchers,
        "startsAt": rfc3339(now_ms),
        "endsAt": rfc3339(ends_ms),
        "createdBy": author,
        "comment": comment,
    }))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn silence_line(silence: &Value) -> String {
    let matcher = |m: &Value| {
        let sign = match (m["isEqual"].as_bool(), m["isRegex"].as_bool()) {
            (Some(false), Some(true)) => "!~",
            (Some(false), _) => "!=",
            (_, Some(true)) => "=~",
            _ => "=",
        };
        format!("{}{sign}{:?}", text(m, "name"), text(m, "value"))
    };
    let matchers = silence["matchers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(matcher);
    [
        text(silence, "id"),
        text(&silence["status"], "state"),
        &format!("until {}", text(silence, "endsAt")),
        &matchers.collect::<Vec<_>>().join(" "),
        text(silence, "createdBy"),
        text(silence, "comment"),
    ]
    .join("\t")
}

/// `alluse alerts ...`
pub(crate) fn alerts(command: AlertsCommand) -> Result<(), Failure> {
    match command {
        AlertsCommand::List { matchers, asked } => {
            let mut wanted = Vec::new();
            for text in &matchers {
                let read = notify::matchers::parse(text);
                wanted.extend(read.map_err(|why| Failure::usage(format!("alluse: {why}")))?);
            }
            let path = "/api/v2/alerts";
            let mut reply = block_on(ask(&asked, reqwest::Method::GET, path, None))?;
            if let Some(all) = reply.as_array_mut() {
                all.retain(|alert| notify::matchers::all_match(&wanted, &labels(alert)));
                all.sort_by(|a, b| text(a, "startsAt").cmp(text(b, "startsAt")));
            }
            show(&asked, &reply, alert_line, "nothing fires")
        }
        AlertsCommand::Active(args) => crate::alerts_cli::active(&args),
        AlertsCommand::History(args) => crate::alerts_cli::history(&args),
        AlertsCommand::Related(args) => crate::alerts_cli::related(&args),
        AlertsCommand::Ack {
            id,
            by,
            comment,
            asked,
        } => {
            let path = format!("/api/v1/alerts/{id}/ack");
            let body = json!({"by": by, "comment": comment});
            let reply = block_on(ask(&asked, reqwest::Method::POST, &path, Some(body)))?;
            if asked.json {
                return print(&reply.to_string());
            }
            Ok(())
        }
    }
}

fn labels(alert: &Value) -> model::Labels {
    let pairs = alert["labels"].as_object().into_iter().flatten();
    model::Labels::from_pairs(pairs.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default())))
}

fn alert_line(alert: &Value) -> String {
    let status = &alert["status"];
    let is_there = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let state = match &alert["acknowledged"]["by"] {
        _ if is_there(&status["silencedBy"]) => "silenced".to_owned(),
        _ if alert["root"].is_string() => format!("follows from {}", text(alert, "root")),
        _ if is_there(&status["inhibitedBy"]) => "inhibited".to_owned(),
        Value::String(by) => format!("acknowledged by {by}"),
        _ => "firing".to_owned(),
    };
    let since = format!("since {}", text(alert, "startsAt"));
    [
        text(alert, "fingerprint"),
        &state,
        &since,
        &labels(alert).to_string(),
    ]
    .join("\t")
}

/// `alluse notify ...`
pub(crate) fn notify(command: NotifyCommand) -> Result<(), Failure> {
    let (receiver, asked) = match command {
        NotifyCommand::Check(args) => return check::run(&args),
        NotifyCommand::Test { receiver, asked } => (receiver, asked),
    };
    let path = format!("/api/v1/receivers/{receiver}/test");
    let reply = block_on(ask(&asked, reqwest::Method::POST, &path, None))?;
    let line = |way: &Value| match way["error"].as_str() {
        Some(error) => format!("{}\tfailed: {error}", text(way, "way")),
        None => format!("{}\tdelivered", text(way, "way")),
    };
    show(&asked, &reply["data"], line, "")?;
    let failed = reply["data"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|way| !way["error"].is_null());
    if failed {
        return Err(Failure::new(""));
    }
    Ok(())
}
