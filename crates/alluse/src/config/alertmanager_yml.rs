//! `alertmanager.yml` as it is: routes, receivers, inhibition and times mean here what they mean
//! there (<https://prometheus.io/docs/alerting/latest/configuration/>).
//!
//! Nothing in it is passed over in silence. What would leave somebody untold, such as a receiver
//! of a kind that is not built in, is a mistake, and the file is not taken; what only changes the
//! looks of a message, such as templates, is a notice. Both have their places.

mod receiver;
mod route;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use collect::{
    HttpSettings,
    http::{Reach, Secret, SecretSource, TlsSettings},
    prometheus_config::{http_settings, read_yaml, tls_settings},
};
use model::{MatchOp, Matcher};
use notify::{
    InhibitRule, Plan, Way, matchers,
    times::{self, TimeInterval},
};
use yaml::{Kind, Node, Note, Notes, Table, Weight};

use crate::notifying::{smtp::Encryption, ways::WayConfig};

use super::zone;

/// What a file means.
#[derive(Debug)]
pub(crate) struct Alertmanager {
    pub(crate) plan: Plan,
    /// By receiver.
    pub(crate) receivers: BTreeMap<String, Vec<WayConfig>>,
    /// An alert posted without an end is over after this.
    pub(crate) resolve_timeout: Duration,
    /// What has no effect, in the order of the text.
    pub(crate) notices: Vec<Note>,
}

/// Alertmanager's default.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

/// How this host greets a mail server.
const HELLO: &str = "localhost";

/// Keys of `global` that are for receivers that are not built in.
const OF_OTHERS: [&str; 27] = [
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "opsgenie_api_url",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "slack_app_token",
    "slack_app_token_file",
    "slack_app_url",
    "telegram_api_url",
    "telegram_bot_token",
    "telegram_bot_token_file",
    "victorops_api_key",
    "victorops_api_key_file",
    "victorops_api_url",
    "webex_api_url",
    "wechat_api_corp_id",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_url",
    "weixin_api_url",
    "hipchat_api_url",
];

/// Reads a file; all mistakes at once.
pub(crate) fn read_file(path: &Path, reach: Reach) -> Result<Alertmanager, Vec<Note>> {
    let root = read_yaml(path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    read(&path.display().to_string(), &root, folder, reach)
}

/// Whether a file is an Alertmanager's rather than Prometheus's.
pub(crate) fn is_one(root: &Node) -> bool {
    let Kind::Map(pairs) = &root.kind else {
        return false;
    };
    let has = |name: &str| pairs.iter().any(|(key, _)| key.name == name);
    has("route") || has("receivers")
}

fn read(name: &str, root: &Node, folder: &Path, reach: Reach) -> Result<Alertmanager, Vec<Note>> {
    let notes = Notes::of(name, "Alertmanager");
    let table = Table::of(&notes, root, String::new());
    let shared = Shared::read(table.table("global"), folder, reach);
    let receivers = receiver::all(&table, &shared);
    let intervals = intervals(&table);
    let inhibit = table.tables("inhibit_rules").into_iter().map(inhibit);
    let inhibit = inhibit.collect();
    let names = route::Names {
        receivers: receivers.keys().cloned().collect(),
        intervals: intervals.keys().cloned().collect(),
    };
    let root = route::root(&table, &names);
    table.ignored("templates", "messages have words of their own");
    table.ignored("tracing", "this server does not trace itself");
    let ways = receivers.iter().map(|(name, ways)| {
        let way = |way: &WayConfig| Way {
            send_resolved: way.send_resolved,
        };
        (name.clone(), ways.iter().map(way).collect())
    });
    let plan = Plan::new(root, ways.collect(), inhibit, intervals);
    let at = table.at();
    table.finish();
    let mut found = notes.into_sorted();
    let is_wrong = found.iter().any(|note| note.weight == Weight::Mistake);
    match plan {
        Ok(plan) if !is_wrong => Ok(Alertmanager {
            plan,
            receivers,
            resolve_timeout: shared.resolve_timeout,
            notices: found,
        }),
        Ok(_) => {
            found.retain(|note| note.weight == Weight::Mistake);
            Err(found)
        }
        Err(mistakes) => {
            found.retain(|note| note.weight == Weight::Mistake);
            if !is_wrong {
                found.extend(mistakes.into_iter().map(|message| Note {
                    file: name.to_owned(),
                    at,
                    key: "route".to_owned(),
                    message,
                    weight: Weight::Mistake,
                }));
            }
            Err(found)
        }
    }
}

/// What receivers have from `global`.
struct Shared {
    folder: PathBuf,
    reach: Reach,
    http: Arc<HttpSettings>,
    slack: Option<SecretSource>,
    /// Empty for PagerDuty's own.
    pagerduty: String,
    mail: SharedMail,
    resolve_timeout: Duration,
}

/// The `smtp_*` keys of `global`.
#[derive(Default)]
struct SharedMail {
    smarthost: String,
    from: String,
    hello: String,
    requires_tls: bool,
    implicit_tls: Option<bool>,
    tls: TlsSettings,
    user: Option<String>,
    password: Option<SecretSource>,
}

impl Shared {
    fn read(said: Option<Table<'_>>, folder: &Path, reach: Reach) -> Self {
        let mut shared = Self {
            folder: folder.to_owned(),
            reach,
            http: Arc::new(HttpSettings {
                follow_redirects: false,
                reach,
                ..HttpSettings::default()
            }),
            slack: None,
            pagerduty: String::new(),
            mail: SharedMail {
                hello: HELLO.to_owned(),
                requires_tls: true,
                ..SharedMail::default()
            },
            resolve_timeout: RESOLVE_TIMEOUT,
        };
        let Some(said) = said else {
            return shared;
        };
        shared.http = shared.http_of(&said);
        shared.slack = shared.secret(&said, "slack_api_url", "slack_api_url_file");
        shared.pagerduty = said.text("pagerduty_url").unwrap_or_default();
        shared.mail = shared.mail(&said);
        if let Some(timeout) = said.duration("resolve_timeout") {
            shared.resolve_timeout = timeout;
        }
        for key in OF_OTHERS {
            said.ignored(key, "no receiver of its kind is built in");
        }
        said.finish();
        shared
    }

    /// How somebody is asked: by the mapping's `http_config`, or else as `global` says.
    fn http_of(&self, said: &Table<'_>) -> Arc<HttpSettings> {
        let Some(said) = said.table("http_config") else {
            return Arc::clone(&self.http);
        };
        if said.flag("follow_redirects") == Some(true) {
            said.notice(
                "follow_redirects",
                "has no effect here: a redirect is a refusal",
            );
        }
        let http = HttpSettings {
            follow_redirects: false,
            reach: self.reach,
            ..http_settings(&said, &self.folder)
        };
        said.finish();
        Arc::new(http)
    }

    /// A secret that stands in the file or in one of its own.
    fn secret(
        &self,
        said: &Table<'_>,
        inline: &'static str,
        file: &'static str,
    ) -> Option<SecretSource> {
        match (said.text(inline), said.text(file)) {
            (Some(_), Some(_)) => {
                said.mistake(file, format!("give either {inline} or {file}"));
                None
            }
            (Some(text), None) => Some(SecretSource::Inline(Secret::new(text))),
            (None, Some(path)) => Some(SecretSource::File(self.folder.join(path))),
            (None, None) => None,
        }
    }

    fn mail(&self, said: &Table<'_>) -> SharedMail {
        for key in ["smtp_auth_secret", "smtp_auth_secret_file"] {
            if said.get(key).is_some() {
                said.mistake(key, "CRAM-MD5 is not spoken: give smtp_auth_password");
            }
        }
        said.ignored("smtp_auth_identity", "the user name is sent");
        SharedMail {
            smarthost: said.text("smtp_smarthost").unwrap_or_default(),
            from: said.text("smtp_from").unwrap_or_default(),
            hello: said.text("smtp_hello").unwrap_or_else(|| HELLO.to_owned()),
            requires_tls: said.flag("smtp_require_tls").unwrap_or(true),
            implicit_tls: said.flag("smtp_force_implicit_tls"),
            tls: tls_settings(said.table("smtp_tls_config"), &self.folder),
            user: said.text("smtp_auth_username"),
            password: self.secret(said, "smtp_auth_password", "smtp_auth_password_file"),
        }
    }
}

/// As Alertmanager has it: TLS from the start at port 465, STARTTLS elsewhere.
fn encryption(smarthost: &str, implicit: Option<bool>, is_required: bool) -> Encryption {
    match implicit {
        Some(true) => Encryption::Implicit,
        None if smarthost.ends_with(":465") => Encryption::Implicit,
        Some(false) | None if is_required => Encryption::StartTls,
        Some(false) | None => Encryption::Opportunistic,
    }
}

/// The matchers of a mapping: those of today, and Alertmanager's older `match` and `match_re`.
fn matching(said: &Table<'_>, keys: (&'static str, &'static str, &'static str)) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (key, op) in [(keys.1, MatchOp::Equal), (keys.2, MatchOp::Regex)] {
        for (name, value) in said.text_map(key) {
            match Matcher::new(name, op, value) {
                Ok(matcher) => all.push(matcher),
                Err(error) => said.mistake(key, format!("regex: {error}")),
            }
        }
    }
    for text in said.texts(keys.0) {
        match matchers::parse(&text) {
            Ok(read) => all.extend(read),
            Err(why) => said.mistake(keys.0, why),
        }
    }
    all
}

fn inhibit(said: Table<'_>) -> InhibitRule {
    if said.get("sources").is_some() {
        said.mistake("sources", "one source a rule: write a rule for each");
    }
    said.ignored("name", "it is for Alertmanager's metrics");
    let side = |keys: (&'static str, &'static str, &'static str)| {
        let side = matching(&said, keys);
        if side.is_empty() {
            said.notice(keys.0, "is missing: every alert matches");
        }
        side
    };
    let rule = InhibitRule {
        source: side(("source_matchers", "source_match", "source_match_re")),
        target: side(("target_matchers", "target_match", "target_match_re")),
        equal: said.texts("equal"),
    };
    said.finish();
    rule
}

/// `time_intervals`, and `mute_time_intervals` as they were called before.
fn intervals(root: &Table<'_>) -> BTreeMap<String, Vec<TimeInterval>> {
    let mut all = BTreeMap::new();
    for key in ["time_intervals", "mute_time_intervals"] {
        for said in root.tables(key) {
            let name = said.required_text("name");
            let times = said.tables("time_intervals").into_iter();
            let times: Vec<TimeInterval> = times.map(interval).collect();
            if all.contains_key(&name) {
                said.mistake("name", format!("the time interval {name:?} is there twice"));
            }
            said.finish();
            all.insert(name, times);
        }
    }
    all
}

fn interval(said: Table<'_>) -> TimeInterval {
    let clock = |said: Table<'_>| {
        let (from, to) = (
            said.required_text("start_time"),
            said.required_text("end_time"),
        );
        let range = times::clock_range(&from, &to);
        let range = range.map_err(|why| said.mistake("start_time", why));
        said.finish();
        range.ok()
    };
    let location = said.text("location").unwrap_or_default();
    let zone = zone::find(&location).unwrap_or_else(|why| {
        said.mistake("location", why);
        notify::zone::Zone::default()
    });
    let interval = TimeInterval {
        minutes: said.tables("times").into_iter().filter_map(clock).collect(),
        weekdays: each(&said, "weekdays", times::weekdays),
        days: each(&said, "days_of_month", times::days_of_month),
        months: each(&said, "months", times::months),
        years: each(&said, "years", times::years),
        zone,
    };
    said.finish();
    interval
}

fn each<T>(
    said: &Table<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut all = Vec::new();
    for text in said.texts(key) {
        match parse(&text) {
            Ok(read) => all.push(read),
            Err(why) => said.mistake(key, why),
        }
    }
    all
}

#[cfg(test)]
mod tests;
