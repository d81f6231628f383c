//! `[notify]`: who is told of alerts, how, and when.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use collect::{
    AlertmanagerSet, Rule,
    discovery::{Group, Source},
    http::{Auth, HttpSettings, Pem, Reach, Secret, SecretSource, TlsSettings},
    prometheus_config::Alerting,
};
use model::Matcher;
use notify::{
    Escalation, GroupBy, InhibitRule, Integration, Limits, Plan, RouteSaid, Way,
    correlate::{Component, Dependencies},
    matchers,
    times::{self, TimeInterval},
};

use yaml::Note;

use super::{HOUR, SECOND, YEARS, alertmanager_yml, said::Section, zone};
use crate::notifying::{
    pagerduty::Events,
    smtp::{Encryption, Mail},
    ways::{WayConfig, WayKind},
};

/// All that `[notify]` means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notification {
    /// Where links lead; empty for the address this server listens on.
    pub(crate) external_url: String,
    pub(crate) plan: Plan,
    /// By receiver.
    pub(crate) receivers: BTreeMap<String, Vec<WayConfig>>,
    /// Who is told of what our rules raise.
    pub(crate) alertmanagers: Vec<AlertmanagerSet>,
    /// Applied to alerts that Alertmanagers are told of.
    pub(crate) alert_relabel: Vec<Rule>,
    /// Put on alerts that Alertmanagers are told of.
    pub(crate) external_labels: Vec<(String, String)>,
    /// An alert that others post without an end is over after this.
    pub(crate) resolve_timeout: Duration,
    /// An `alertmanager.yml` that holds routes, receivers, inhibition and times.
    pub(crate) file: Option<PathBuf>,
    /// Which addresses may be asked.
    pub(crate) reach: Reach,
}

impl Notification {
    /// Reads the `alertmanager.yml` that is named, if one is; what of it has no effect.
    pub(crate) fn load(&mut self) -> Result<Vec<Note>, Vec<Note>> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let read = alertmanager_yml::read_file(file, self.reach)?;
        self.plan = read.plan.like(&self.plan);
        self.receivers = read.receivers;
        self.resolve_timeout = read.resolve_timeout;
        Ok(read.notices)
    }

    /// With the Alertmanagers of a `prometheus.yml`.
    pub(crate) fn with(mut self, alerting: &Alerting) -> Self {
        let reach = self.reach;
        let sets = alerting.sets.iter().map(|set| AlertmanagerSet {
            http: Arc::new(HttpSettings {
                reach,
                ..HttpSettings::clone(&set.http)
            }),
            ..set.clone()
        });
        self.alertmanagers.extend(sets);
        self.alert_relabel.clone_from(&alerting.alert_relabel);
        self
    }

    /// Every way of every receiver.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (Integration, &WayConfig)> {
        self.receivers.iter().flat_map(|(receiver, ways)| {
            ways.iter().enumerate().map(|(index, way)| {
                let receiver = receiver.clone();
                (Integration { receiver, index }, way)
            })
        })
    }
}

/// The receiver of alerts when none is configured: what nobody set up is still not lost.
const LOG: &str = "log";

const ENCRYPTIONS: [(&str, Encryption); 4] = [
    ("opportunistic", Encryption::Opportunistic),
    ("starttls", Encryption::StartTls),
    ("tls", Encryption::Implicit),
    ("none", Encryption::None),
];

pub(super) fn notification(said: Section<'_, '_>) -> Notification {
    let reach = match said.flag("allow_link_local") {
        Some(true) => Reach::Anywhere,
        Some(false) | None => Reach::NotLinkLocal,
    };
    let url = said.text("external_url").unwrap_or_default();
    let file = said.path("alertmanager_file");
    for key in ["route", "receiver", "inhibit", "time_interval"] {
        if file.is_some() && said.has(key) {
            said.mistake(key, "is said by alertmanager_file: give one of them");
        }
    }
    let mut receivers = BTreeMap::new();
    for section in said.sections("receiver") {
        let name = section.required_text("name");
        if receivers.contains_key(&name) {
            section.mistake("name", format!("the receiver {name:?} is there twice"));
        }
        receivers.insert(name, ways(section, reach));
    }
    if receivers.is_empty() {
        receivers.insert(LOG.to_owned(), vec![log()]);
    }
    let alertmanagers = said.sections("alertmanager").into_iter();
    let alertmanagers = alertmanagers
        .map(|section| alertmanager(section, reach))
        .collect();
    let meant = Notification {
        external_url: url.trim_end_matches('/').to_owned(),
        plan: plan(&said, &receivers),
        receivers,
        alertmanagers,
        alert_relabel: Vec::new(),
        external_labels: said.section("external_labels").plain_texts(),
        resolve_timeout: alertmanager_yml::RESOLVE_TIMEOUT,
        file,
        reach,
    };
    said.finish();
    meant
}

fn log() -> WayConfig {
    WayConfig {
        kind: WayKind::Log,
        send_resolved: true,
    }
}

fn plan(said: &Section<'_, '_>, receivers: &BTreeMap<String, Vec<WayConfig>>) -> Plan {
    let mut root = route(said.section("route"));
    if root.receiver.is_none() && receivers.len() == 1 {
        root.receiver = receivers.keys().next().cloned();
    }
    root.group_by = root
        .group_by
        .or_else(|| GroupBy::parse(&["alertname"]).ok());
    let inhibit = said.sections("inhibit").into_iter().map(inhibit).collect();
    let mut intervals: BTreeMap<String, Vec<TimeInterval>> = BTreeMap::new();
    for section in said.sections("time_interval") {
        let (name, interval) = time_interval(section);
        intervals.entry(name).or_default().push(interval);
    }
    let dependencies = dependencies(said);
    let alerts = super::size(said, "alerts_max", 10_000, 1_000_000);
    let limits = Limits {
        alerts,
        ..Limits::default()
    };
    let ways = receivers.iter().map(|(name, ways)| {
        let way = |way: &WayConfig| Way {
            send_resolved: way.send_resolved,
        };
        (name.clone(), ways.iter().map(way).collect())
    });
    let plan = Plan::new(root, ways.collect(), inhibit, intervals).unwrap_or_else(|mistakes| {
        for mistake in mistakes {
            said.mistake("route", mistake);
        }
        unheard()
    });
    plan.with_dependencies(dependencies).with_limits(limits)
}

/// Stands in for a plan with mistakes, which no server starts with.
fn unheard() -> Plan {
    let root = RouteSaid {
        receiver: Some(LOG.to_owned()),
        ..RouteSaid::default()
    };
    let receivers = BTreeMap::from([(LOG.to_owned(), Vec::new())]);
    Plan::new(root, receivers, Vec::new(), BTreeMap::new()).expect("a root that names a receiver")
}

fn route(said: Section<'_, '_>) -> RouteSaid {
    let span = |key| {
        let span = said.duration(key, Duration::ZERO..=YEARS)?;
        i64::try_from(span.as_millis()).ok()
    };
    let group_by = said.has("group_by").then(|| {
        GroupBy::parse(&said.texts("group_by")).unwrap_or_else(|why| {
            said.mistake("group_by", why);
            GroupBy::All
        })
    });
    let escalate = said.has("escalate").then(|| {
        said.sections("escalate")
            .into_iter()
            .map(escalation)
            .collect()
    });
    let route = RouteSaid {
        receiver: said.text("receiver"),
        matchers: matching(&said, "match"),
        continues: said.flag("continue").unwrap_or(false),
        group_by,
        group_wait_ms: span("group_wait"),
        group_interval_ms: span("group_interval"),
        repeat_interval_ms: span("repeat_interval"),
        mute_times: said.texts("mute_time_intervals"),
        active_times: said.texts("active_time_intervals"),
        escalate,
        routes: said.sections("routes").into_iter().map(route).collect(),
    };
    said.finish();
    route
}

fn escalation(said: Section<'_, '_>) -> Escalation {
    said.require("after");
    let after = said.duration("after", SECOND..=YEARS).unwrap_or(HOUR);
    let step = Escalation {
        after_ms: i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        receiver: said.required_text("receiver"),
    };
    said.finish();
    step
}

/// A list of matchers such as `severity="critical"`, each possibly several.
fn matching(said: &Section<'_, '_>, key: &'static str) -> Vec<Matcher> {
    let mut all = Vec::new();
    for text in said.texts(key) {
        match matchers::parse(&text) {
            Ok(read) => all.extend(read),
            Err(why) => said.mistake(key, why),
        }
    }
    all
}

fn inhibit(said: Section<'_, '_>) -> InhibitRule {
    for key in ["source", "target"] {
        said.require(key);
    }
    let rule = InhibitRule {
        source: matching(&said, "source"),
        target: matching(&said, "target"),
        equal: said.texts("equal"),
    };
    said.finish();
    rule
}

fn time_interval(said: Section<'_, '_>) -> (String, TimeInterval) {
    let name = said.required_text("name");
    let clock = |text: &String| {
        let (from, to) = text
            .split_once('-')
            .ok_or_else(|| format!("{text:?} is not a time of day such as 22:00-24:00"))?;
        times::clock_range(from, to)
    };
    let interval = TimeInterval {
        minutes: each(&said, "times", clock),
        weekdays: each(&said, "weekdays", |text| times::weekdays(text)),
        days: each(&said, "days_of_month", |text| times::days_of_month(text)),
        months: each(&said, "months", |text| times::months(text)),
        years: each(&said, "years", |text| times::years(text)),
        zone: said.parsed("location", zone::find).unwrap_or_default(),
    };
    said.finish();
    (name, interval)
}

fn each<T>(
    said: &Section<'_, '_>,
    key: &'static str,
    parse: impl Fn(&String) -> Result<T, String>,
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

/// Alerts begun this far apart are of one incident, unless said otherwise.
const INCIDENT_WINDOW: Duration = Duration::from_secs(300);

fn dependencies(said: &Section<'_, '_>) -> Dependencies {
    let window = said
        .duration("incident_window", SECOND..=YEARS)
        .unwrap_or(INCIDENT_WINDOW);
    let component = |section: Section<'_, '_>| {
        let component = Component {
            name: section.required_text("name"),
            matchers: matching(&section, "match"),
            depends_on: section.texts("depends_on"),
        };
        if component.matchers.is_empty() {
            section.mistake("match", "is missing: which alerts are this component's?");
        }
        section.finish();
        component
    };
    let components = said
        .sections("component")
        .into_iter()
        .map(component)
        .collect();
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    Dependencies::new(components, window_ms).unwrap_or_else(|why| {
        said.mistake("component", why);
        Dependencies::default()
    })
}

/// The ways of one receiver.
fn ways(said: Section<'_, '_>, reach: Reach) -> Vec<WayConfig> {
    let mut ways = Vec::new();
    ways.extend(
        said.sections("webhook")
            .into_iter()
            .map(|s| webhook(s, reach)),
    );
    ways.extend(said.sections("slack").into_iter().map(|s| slack(s, reach)));
    let pagers = said.sections("pagerduty").into_iter();
    ways.extend(pagers.map(|s| pagerduty(s, reach)));
    ways.extend(said.sections("email").into_iter().map(email));
    ways.extend(said.sections("file").into_iter().map(file));
    if said.flag("log") == Some(true) {
        ways.push(log());
    }
    said.finish();
    ways
}

fn way(said: &Section<'_, '_>, kind: WayKind, default: Resolved) -> WayConfig {
    WayConfig {
        kind,
        send_resolved: said
            .flag("send_resolved")
            .unwrap_or(default == Resolved::Told),
    }
}

/// Whether a way is told of what is resolved unless the configuration says.
#[derive(PartialEq)]
enum Resolved {
    Told,
    NotTold,
}

fn webhook(said: Section<'_, '_>, reach: Reach) -> WayConfig {
    let kind = WayKind::Webhook {
        url: address(&said),
        http: http(&said, reach),
        alerts_max: said
            .integer("max_alerts", 0..=1 << 20)
            .map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)),
    };
    let way = way(&said, kind, Resolved::Told);
    said.finish();
    way
}

fn slack(said: Section<'_, '_>, reach: Reach) -> WayConfig {
    let kind = WayKind::Slack {
        url: address(&said),
        http: http(&said, reach),
        channel: said.text("channel"),
    };
    let way = way(&said, kind, Resolved::NotTold);
    said.finish();
    way
}

/// PagerDuty's words.
const SEVERITIES: [(&str, &str); 4] = [
    ("critical", "critical"),
    ("error", "error"),
    ("warning", "warning"),
    ("info", "info"),
];

fn pagerduty(said: Section<'_, '_>, reach: Reach) -> WayConfig {
    let key = secret(&said, "routing_key", "routing_key_file");
    if key.is_none() {
        said.mistake("routing_key", "give `routing_key` or `routing_key_file`");
    }
    let kind = WayKind::PagerDuty {
        url: said.text("url").unwrap_or_default(),
        http: http(&said, reach),
        key: key.unwrap_or_else(|| SecretSource::Inline(Secret::default())),
        events: Events::V2,
        severity: said.choice("severity", &SEVERITIES).map(str::to_owned),
    };
    let way = way(&said, kind, Resolved::Told);
    said.finish();
    way
}

/// `url` or `url_file`: addresses of chat webhooks are secrets.
fn address(said: &Section<'_, '_>) -> SecretSource {
    let checked = |text: &str| {
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        is_http
            .then(|| text.to_owned())
            .ok_or_else(|| "begins with neither http:// nor https://".to_owned())
    };
    match (said.parsed("url", checked), said.path("url_file")) {
        (Some(url), None) => SecretSource::Inline(Secret::new(url)),
        (None, Some(file)) => SecretSource::File(file),
        (None, None) if said.has("url") => SecretSource::Inline(Secret::default()),
        _ => {
            said.mistake("url", "give either `url` or `url_file`");
            SecretSource::Inline(Secret::default())
        }
    }
}

/// A secret in the file or in one of its own.
fn secret(
    said: &Section<'_, '_>,
    inline: &'static str,
    file: &'static str,
) -> Option<SecretSource> {
    match (said.text(inline), said.path(file)) {
        (Some(text), None) => Some(SecretSource::Inline(Secret::new(text))),
        (None, Some(path)) => Some(SecretSource::File(path)),
        (None, None) => None,
        (Some(_), Some(_)) => {
            said.mistake(file, format!("give either `{inline}` or `{file}`"));
            None
        }
    }
}

fn http(said: &Section<'_, '_>, reach: Reach) -> Arc<HttpSettings> {
    let user = said.text("user");
    let password = secret(said, "password", "password_file");
    let token = secret(said, "bearer_token", "bearer_token_file");
    let auth = match (user, password, token) {
        (None, None, None) => None,
        (Some(user), Some(password), None) => Some(Auth::Basic {
            username: SecretSource::Inline(Secret::new(user)),
            password,
        }),
        (None, None, Some(credentials)) => Some(Auth::Token {
            kind: "Bearer".to_owned(),
            credentials,
        }),
        _ => {
            said.mistake("user", "give `user` with a password, or a bearer token");
            None
        }
    };
    Arc::new(HttpSettings {
        auth,
        tls: tls(said),
        follow_redirects: false,
        headers: Vec::new(),
        reach,
    })
}

fn tls(said: &Section<'_, '_>) -> TlsSettings {
    TlsSettings {
        authorities: said.path("ca_file").map(Pem::File),
        server_name: said.text("server_name"),
        insecure_skip_verify: said.flag("insecure_skip_verify").unwrap_or(false),
        ..TlsSettings::default()
    }
}

fn email(said: Section<'_, '_>) -> WayConfig {
    let host = |text: &str| match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{text:?} is not a host and a port such as mail.example:587"
        )),
    };
    said.require("smarthost");
    let to = said.texts("to");
    if to.is_empty() {
        said.mistake("to", "names nobody: give a list of addresses");
    }
    let user = said.text("user");
    let password = secret(&said, "password", "password_file");
    if user.is_some() != password.is_some() {
        said.mistake("user", "a user and a password come together");
    }
    let mail = Mail {
        smarthost: said.parsed("smarthost", host).unwrap_or_default(),
        from: plain_address(&said, "from", said.required_text("from")),
        to: to
            .into_iter()
            .map(|to| plain_address(&said, "to", to))
            .collect(),
        hello: said.text("hello").unwrap_or_else(|| "localhost".to_owned()),
        encryption: said
            .choice("encryption", &ENCRYPTIONS)
            .unwrap_or(Encryption::StartTls),
        tls: tls(&said),
        credentials: user.zip(password),
    };
    let way = way(&said, WayKind::Email(Box::new(mail)), Resolved::NotTold);
    said.finish();
    way
}

/// An address that cannot break out of the command or the header it stands in.
fn plain_address(said: &Section<'_, '_>, key: &'static str, text: String) -> String {
    if !text.contains('@') || text.contains(char::is_control) {
        said.mistake(
            key,
            format!("{text:?} is not an address such as ops@example.org"),
        );
    }
    text
}

fn file(said: Section<'_, '_>) -> WayConfig {
    let kind = WayKind::File {
        path: {
            said.require("path");
            said.path("path").unwrap_or_default()
        },
        // 64 MiB: some 50,000 notifications; two files are kept.
        bytes_max: said
            .integer("bytes_max", 4 << 10..=1 << 40)
            .unwrap_or(64 << 20),
    };
    let way = way(&said, kind, Resolved::Told);
    said.finish();
    way
}

/// Longest an Alertmanager may take, as in Prometheus.
const ALERTMANAGER_TIMEOUT: Duration = Duration::from_secs(10);

fn alertmanager(said: Section<'_, '_>, reach: Reach) -> AlertmanagerSet {
    let url = said.required_text("url");
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        said.mistake("url", "begins with neither http:// nor https://");
    }
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let own = vec![("__address__".to_owned(), address.to_owned())];
    let group = Group {
        targets: vec![own],
        labels: Vec::new(),
    };
    let set = AlertmanagerSet {
        scheme: scheme.to_owned(),
        path_prefix: path.to_owned(),
        http: http(&said, reach),
        timeout: said
            .duration("timeout", Duration::from_millis(100)..=HOUR)
            .unwrap_or(ALERTMANAGER_TIMEOUT),
        relabel: Vec::new(),
        alert_relabel: Vec::new(),
        sources: vec![Source::Static(vec![group])],
    };
    said.finish();
    set
}
