//! Files of Alertmanager's kind: what they mean, what is explained, what is refused.

use std::path::Path;

use collect::http::{Auth, Reach, SecretSource};
use model::Labels;

use super::*;
use crate::notifying::{pagerduty::Events, ways::WayKind};

fn meant(text: &str) -> Result<Alertmanager, Vec<String>> {
    let root = yaml::parse(text).unwrap();
    let read = read("am.yml", &root, Path::new("/etc/am"), Reach::NotLinkLocal);
    read.map_err(|notes| notes.iter().map(ToString::to_string).collect())
}

fn shown(source: &SecretSource) -> String {
    match source {
        SecretSource::Inline(secret) => secret.reveal().to_owned(),
        SecretSource::File(path) => format!("file {}", path.display()),
    }
}

/// Of the kind that operators have: old and new matchers, `global`, inhibition, times.
const WHOLE: &str = r##"
global:
  resolve_timeout: 3m
  smtp_smarthost: mail.example:587
  smtp_from: alerts@example.org
  smtp_auth_username: au
  smtp_auth_password_file: secrets/mail
  slack_api_url_file: /run/slack
  pagerduty_url: https://events.example/v2
  opsgenie_api_key: k
  http_config: {basic_auth: {username: u, password_file: pw}}
templates: ["*.tmpl"]
route:
  receiver: team
  group_by: [alertname, cluster]
  group_wait: 10s
  routes:
    - match: {severity: page}
      match_re: {service: "api|web"}
      receiver: pager
      continue: true
      routes:
        - matchers: ['team = db', env=~"prod.*"]
          receiver: dbas
          group_by: ['...']
          repeat_interval: 1h30m
    - receiver: nobody
      matchers: [alertname="Watchdog"]
      mute_time_intervals: [night]
      active_time_intervals: [office]
inhibit_rules:
  - source_match: {severity: page}
    target_match_re: {severity: "warning|info"}
    equal: [cluster]
receivers:
  - name: nobody
  - name: team
    slack_configs:
      - channel: "#alerts"
        send_resolved: true
        title: '{{ .CommonLabels.alertname }}'
        color: danger
    email_configs:
      - to: "a@example.org, b@example.org"
        require_tls: false
        headers: {Subject: hello}
  - name: pager
    webhook_configs:
      - url: https://pager.example/hook
        max_alerts: 5
        http_config: {authorization: {credentials: token}}
    pagerduty_configs: [{service_key: old}, {routing_key_file: rk, severity: critical}]
  - name: dbas
    webhook_configs: [{url_file: hook}]
    email_configs: [{to: dba@example.org, smarthost: "other.example:465", auth_password: x}]
time_intervals:
  - name: night
    time_intervals:
      - times: [{start_time: "22:00", end_time: "24:00"}]
        weekdays: ["monday:friday", sunday]
        days_of_month: ["1:5", "-3:-1"]
        months: ["january:march", "5"]
        years: ["2026:2030"]
        location: Europe/Berlin
mute_time_intervals:
  - name: office
    time_intervals: [{weekdays: ["monday:friday"]}]
"##;

#[test]
fn a_whole_file_is_meant_as_it_says() {
    let read = meant(WHOLE).unwrap();
    let to = |text: &str| {
        let said = matchers::parse(text).unwrap().into_iter();
        let labels = Labels::from_pairs(said.map(|m| (m.name, m.value)));
        read.plan.receivers_of(&labels)
    };
    assert_eq!(to("a=b"), ["team"]);
    assert_eq!(to("severity=page,service=api"), ["pager"]);
    assert_eq!(to("severity=page,service=apis"), ["team"]);
    assert_eq!(to("severity=page,service=web,team=db,env=prod1"), ["dbas"]);
    assert_eq!(
        to("severity=page,service=api,alertname=Watchdog"),
        ["pager", "nobody"]
    );
    assert_eq!(read.resolve_timeout, Duration::from_secs(180));
    assert!(read.receivers["nobody"].is_empty());
}

#[test]
fn receivers_have_what_global_says_and_their_own_wins() {
    let read = meant(WHOLE).unwrap();
    let WayConfig {
        kind: WayKind::Slack { url, channel, http },
        send_resolved: true,
    } = &read.receivers["team"][0]
    else {
        panic!("{:?}", read.receivers);
    };
    assert_eq!(
        (shown(url).as_str(), channel.as_deref()),
        ("file /run/slack", Some("#alerts"))
    );
    let Some(Auth::Basic { password, .. }) = &http.auth else {
        panic!("{http:?}");
    };
    assert_eq!(shown(password), "file /etc/am/pw");
    assert_eq!(http.reach, Reach::NotLinkLocal);
    let mail = |receiver: &str, way: usize| match &read.receivers[receiver][way].kind {
        WayKind::Email(mail) => mail.clone(),
        other => panic!("{other:?}"),
    };
    let team = mail("team", 1);
    assert_eq!(team.to, ["a@example.org", "b@example.org"]);
    assert_eq!(team.encryption, Encryption::Opportunistic);
    assert_eq!(
        shown(&team.credentials.unwrap().1),
        "file /etc/am/secrets/mail"
    );
    let dbas = mail("dbas", 1);
    assert_eq!(
        (dbas.smarthost.as_str(), dbas.encryption),
        ("other.example:465", Encryption::Implicit)
    );
    assert_eq!(shown(&dbas.credentials.unwrap().1), "x");
    let WayKind::Webhook {
        http,
        alerts_max: 5,
        ..
    } = &read.receivers["pager"][0].kind
    else {
        panic!("{:?}", read.receivers["pager"]);
    };
    assert!(matches!(http.auth, Some(Auth::Token { .. })));
    let pagers = read.receivers["pager"][1..]
        .iter()
        .map(|way| match &way.kind {
            WayKind::PagerDuty {
                url,
                key,
                events,
                severity,
                ..
            } => {
                assert_eq!(url, "https://events.example/v2");
                (shown(key), *events, severity.clone())
            }
            other => panic!("{other:?}"),
        });
    let pagers: Vec<_> = pagers.collect();
    assert_eq!(pagers[0], ("old".to_owned(), Events::V1, None));
    let file = "file /etc/am/rk".to_owned();
    assert_eq!(pagers[1], (file, Events::V2, Some("critical".to_owned())));
}

#[test]
fn what_has_no_effect_is_told_with_its_line() {
    let notices: Vec<String> = meant(WHOLE)
        .unwrap()
        .notices
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(notices.len(), 4, "{notices:#?}");
    for (notice, place) in notices.iter().zip([
        "am.yml:10:3: global.opsgenie_api_key",
        "am.yml:12:1: templates",
        "slack_configs[0].color",
        "email_configs[0].headers",
    ]) {
        assert!(notice.contains(place), "{place}: {notice}");
    }
    assert!(notices[2].contains("color, title"), "{}", notices[2]);
}

#[test]
fn what_would_leave_somebody_untold_is_refused_with_its_line() {
    let base = "route: {receiver: x}\nreceivers:\n- name: x\n";
    for (more, expected) in [
        (
            "  opsgenie_configs: [{api_key: k}]\n",
            "am.yml:4:3: receivers[0].opsgenie_configs: is not built in",
        ),
        (
            "  pagerduty_configs: [{}]\n",
            "give either a routing_key or a service_key",
        ),
        (
            "  slack_configs: [{channel: c}]\n",
            "api_url: is given neither here nor",
        ),
        (
            "  slack_configs: [{api_url: 'http://x', channel: '#{{ .GroupLabels.team }}'}]\n",
            "templates are not expanded",
        ),
        (
            "  webhook_configs: [{url: 'ftp://x'}]\n",
            "neither http:// nor https://",
        ),
        ("  webhook_configs: [{}]\n", "give `url` or `url_file`"),
        (
            "  webhook_config: []\n",
            "is not a key Alertmanager knows here; did you mean `webhook_configs`?",
        ),
        (
            "  email_configs: [{to: a@b.c, from: a@b.c}]\n",
            "is not a host and a port",
        ),
        (
            "  email_configs: [{to: nobody, from: a@b.c, smarthost: 'h:25'}]\n",
            "\"nobody\" is not an address",
        ),
        ("- name: x\n", "\"x\" is there twice"),
        (
            "inhibit_rules: [{source_matchers: [a], target_matchers: [b=c]}]\n",
            "after its name",
        ),
        (
            "time_intervals: [{name: n, time_intervals: [{location: Europe/Nowhere}]}]\n",
            "is no place of the time zone database",
        ),
        (
            "time_intervals: [{name: n, time_intervals: [{times: [{start_time: '22:00', end_time: '06:00'}]}]}]\n",
            "midnight",
        ),
    ] {
        let mistakes = meant(&format!("{base}{more}")).unwrap_err();
        assert!(
            mistakes.iter().any(|m| m.contains(expected)),
            "{more}: {mistakes:?}"
        );
    }
    for (route, expected) in [
        ("", "route: is missing"),
        ("route: {}\n", "receiver: is missing"),
        (
            "route: {receiver: y}\n",
            "am.yml:1:9: route.receiver: no receiver is named \"y\"",
        ),
        (
            "route: {receiver: x, matchers: [a=b]}\n",
            "does not belong to the root",
        ),
        (
            "route: {receiver: x, routes: [{receiver: z}]}\n",
            "route.routes[0].receiver: no receiver is named \"z\"",
        ),
        (
            "route: {receiver: x, routes: [{mute_time_intervals: [n]}]}\n",
            "no time interval is named \"n\"",
        ),
        (
            "route: {receiver: x, group_interval: 0s}\n",
            "must be above 0",
        ),
        (
            "route: {receiver: x, group_by: ['...', a]}\n",
            "stands alone",
        ),
    ] {
        let mistakes = meant(&format!("{route}receivers: [{{name: x}}]\n")).unwrap_err();
        assert!(
            mistakes.iter().any(|m| m.contains(expected)),
            "{route}: {mistakes:?}"
        );
    }
}

#[test]
fn an_empty_group_by_says_nothing() {
    let text =
        "route: {receiver: x, group_by: [a], routes: [{group_by: []}]}\nreceivers: [{name: x}]\n";
    assert!(meant(text).is_ok());
}
