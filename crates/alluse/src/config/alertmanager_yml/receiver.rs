//! The receivers of `alertmanager.yml`: webhooks, Slack's webhooks, PagerDuty and mail.

use std::{collections::BTreeMap, time::Duration};

use collect::http::SecretSource;
use yaml::Table;

use crate::notifying::{
    SEND_TIMEOUT,
    pagerduty::Events,
    smtp::Mail,
    ways::{WayConfig, WayKind},
};

use super::{Shared, encryption};

/// Kinds of receivers that Alertmanager has and this program has not.
const OTHERS: [&str; 15] = [
    "discord_configs",
    "hipchat_configs",
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "opsgenie_configs",
    "pushover_configs",
    "rocketchat_configs",
    "sns_configs",
    "telegram_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
];

/// What a message of Slack's looks like there.
const LOOKS: [&str; 22] = [
    "actions",
    "app_token",
    "app_token_file",
    "app_url",
    "callback_id",
    "color",
    "fallback",
    "fields",
    "footer",
    "icon_emoji",
    "icon_url",
    "image_url",
    "link_names",
    "message_text",
    "mrkdwn_in",
    "pretext",
    "short_fields",
    "text",
    "thumb_url",
    "title",
    "title_link",
    "username",
];

/// Every receiver by its name.
pub(super) fn all(root: &Table<'_>, shared: &Shared) -> BTreeMap<String, Vec<WayConfig>> {
    let mut receivers = BTreeMap::new();
    for said in root.tables("receivers") {
        let name = said.required_text("name");
        if receivers.contains_key(&name) {
            said.mistake("name", format!("the receiver {name:?} is there twice"));
        }
        let ways = ways(&said, shared);
        said.finish();
        receivers.insert(name, ways);
    }
    receivers
}

fn ways(said: &Table<'_>, shared: &Shared) -> Vec<WayConfig> {
    for key in OTHERS {
        if said.get(key).is_some() {
            said.mistake(
                key,
                "is not built in, and nobody would be told: use webhook_configs, slack_configs, pagerduty_configs or email_configs, or leave it to an Alertmanager ([[notify.alertmanager]])",
            );
        }
    }
    let webhooks = said.tables("webhook_configs").into_iter();
    let slacks = said.tables("slack_configs").into_iter();
    let pagers = said.tables("pagerduty_configs").into_iter();
    let mails = said.tables("email_configs").into_iter();
    webhooks
        .map(|said| webhook(said, shared))
        .chain(slacks.map(|said| slack(said, shared)))
        .chain(pagers.map(|said| pagerduty(said, shared)))
        .chain(mails.map(|said| email(said, shared)))
        .collect()
}

fn way(said: Table<'_>, kind: WayKind, is_told_of_ends: bool) -> WayConfig {
    let send_resolved = said.flag("send_resolved").unwrap_or(is_told_of_ends);
    said.finish();
    WayConfig {
        kind,
        send_resolved,
    }
}

fn webhook(said: Table<'_>, shared: &Shared) -> WayConfig {
    let url = shared.secret(&said, "url", "url_file");
    if url.is_none() {
        said.mistake("url", "give `url` or `url_file`");
    }
    late(&said);
    said.ignored("payload", "the message is Alertmanager's own, version 4");
    let kind = WayKind::Webhook {
        url: checked(&said, "url", url.unwrap_or(NOWHERE)),
        http: shared.http_of(&said),
        alerts_max: said.count("max_alerts").unwrap_or(0),
    };
    way(said, kind, true)
}

fn slack(said: Table<'_>, shared: &Shared) -> WayConfig {
    let own = shared.secret(&said, "api_url", "api_url_file");
    let url = own.or_else(|| shared.slack.clone());
    if url.is_none() {
        said.mistake(
            "api_url",
            "is given neither here nor as global.slack_api_url",
        );
    }
    looks(&said, &LOOKS);
    let channel = said
        .text("channel")
        .inspect(|text| plain(&said, "channel", text));
    let kind = WayKind::Slack {
        url: checked(&said, "api_url", url.unwrap_or(NOWHERE)),
        http: shared.http_of(&said),
        channel,
    };
    late(&said);
    way(said, kind, false)
}

/// What an event of PagerDuty's looks like there.
const EVENT_LOOKS: [&str; 10] = [
    "class",
    "client",
    "client_url",
    "component",
    "description",
    "details",
    "group",
    "images",
    "links",
    "source",
];

fn pagerduty(said: Table<'_>, shared: &Shared) -> WayConfig {
    let routing = shared.secret(&said, "routing_key", "routing_key_file");
    let service = shared.secret(&said, "service_key", "service_key_file");
    let (events, key) = match (routing, service) {
        (Some(key), None) => (Events::V2, key),
        (None, Some(key)) => (Events::V1, key),
        (None, None) | (Some(_), Some(_)) => {
            said.mistake("routing_key", "give either a routing_key or a service_key");
            (Events::V2, NOWHERE)
        }
    };
    looks(&said, &EVENT_LOOKS);
    let severity = said.text("severity").filter(|text| {
        let is_plain = ["critical", "error", "warning", "info"].contains(&text.as_str());
        if !is_plain {
            let message = "has no effect here: the label `severity` is sent";
            said.notice("severity", message);
        }
        is_plain
    });
    late(&said);
    let url = said.text("url").unwrap_or_else(|| shared.pagerduty.clone());
    let kind = WayKind::PagerDuty {
        url,
        http: shared.http_of(&said),
        key,
        events,
        severity,
    };
    way(said, kind, true)
}

/// A receiver has its time to answer, whatever it says.
fn late(said: &Table<'_>) {
    let timeout = said.duration("timeout").unwrap_or(SEND_TIMEOUT);
    if timeout != Duration::ZERO && timeout != SEND_TIMEOUT {
        let message = format!("has no effect here: a receiver has {SEND_TIMEOUT:?} to answer");
        said.notice("timeout", message);
    }
}

fn email(said: Table<'_>, shared: &Shared) -> WayConfig {
    looks(&said, &["headers", "html", "text", "threading"]);
    for key in ["auth_secret", "auth_secret_file"] {
        if said.get(key).is_some() {
            said.mistake(key, "CRAM-MD5 is not spoken: give auth_password");
        }
    }
    said.ignored("auth_identity", "the user name is sent");
    let global = &shared.mail;
    let address = |key: &'static str, inherited: &str| {
        let text = said.text(key).unwrap_or_else(|| inherited.to_owned());
        plain(&said, key, &text);
        if !text.contains('@') || text.contains(char::is_control) {
            said.mistake(
                key,
                format!("{text:?} is not an address such as ops@example.org"),
            );
        }
        text
    };
    let to = address("to", "");
    let smarthost = said
        .text("smarthost")
        .unwrap_or_else(|| global.smarthost.clone());
    let is_host = smarthost
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_host {
        let what = format!("{smarthost:?} is not a host and a port such as mail.example:587");
        said.mistake("smarthost", what);
    }
    let implicit = said.flag("force_implicit_tls");
    let required = said.flag("require_tls").unwrap_or(global.requires_tls);
    let mail = Mail {
        encryption: encryption(&smarthost, implicit.or(global.implicit_tls), required),
        smarthost,
        from: address("from", &global.from),
        to: to.split(',').map(|one| one.trim().to_owned()).collect(),
        hello: said.text("hello").unwrap_or_else(|| global.hello.clone()),
        tls: match said.table("tls_config") {
            Some(own) => collect::prometheus_config::tls_settings(Some(own), &shared.folder),
            None => global.tls.clone(),
        },
        credentials: credentials(&said, shared),
    };
    way(said, WayKind::Email(Box::new(mail)), false)
}

/// A name and a password, each here or in `global`.
fn credentials(said: &Table<'_>, shared: &Shared) -> Option<(String, SecretSource)> {
    let global = &shared.mail;
    let user = said.text("auth_username").or_else(|| global.user.clone());
    let own = shared.secret(said, "auth_password", "auth_password_file");
    let password = own.or_else(|| global.password.clone());
    if user.is_some() != password.is_some() {
        said.mistake("auth_username", "a user and a password come together");
    }
    user.zip(password)
}

/// Stands where an address is missing, of which a mistake is noted.
const NOWHERE: SecretSource = SecretSource::File(std::path::PathBuf::new());

/// An address over HTTP, without templates.
fn checked(said: &Table<'_>, key: &'static str, url: SecretSource) -> SecretSource {
    if let SecretSource::Inline(secret) = &url {
        let text = secret.reveal();
        plain(said, key, text);
        if !text.starts_with("http://") && !text.starts_with("https://") {
            said.mistake(key, "begins with neither http:// nor https://");
        }
    }
    url
}

/// Where something goes cannot be said by a template here: it would go elsewhere.
fn plain(said: &Table<'_>, key: &'static str, text: &str) {
    if text.contains("{{") {
        said.mistake(
            key,
            "templates are not expanded here: write a receiver for each",
        );
    }
}

/// Keys that change the looks of a message.
fn looks(said: &Table<'_>, keys: &[&'static str]) {
    let given = keys.iter().copied().filter(|key| said.get(key).is_some());
    let given: Vec<&str> = given.collect();
    if let Some(first) = keys.iter().find(|key| given.first() == Some(*key)) {
        let message = format!(
            "no effect here of {}: messages have words of their own",
            given.join(", ")
        );
        said.notice(first, message);
    }
}
