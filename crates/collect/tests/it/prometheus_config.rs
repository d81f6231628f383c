//! `prometheus.yml`: what it means, what is explained, what is refused.

use std::{path::Path, time::Duration};

use collect::{
    Job,
    discovery::{DnsRecord, Source},
    http::{Auth, SecretSource},
    prometheus_config::{Note, PrometheusConfig, Weight, read},
};

fn meant(text: &str) -> PrometheusConfig {
    match read("p.yml", text, Path::new("/conf")) {
        Ok(config) => config,
        Err(notes) => panic!("{}", said(&notes).join("\n")),
    }
}

fn said(notes: &[Note]) -> Vec<String> {
    notes.iter().map(Note::to_string).collect()
}

fn mistakes(text: &str) -> Vec<String> {
    match read("p.yml", text, Path::new("/conf")) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(notes) => {
            assert!(notes.iter().all(|note| note.weight == Weight::Mistake));
            said(&notes)
        }
    }
}

fn job(text: &str) -> Job {
    let text = format!("scrape_configs:\n- job_name: j\n{text}");
    meant(&text).jobs.remove(0)
}

/// As it stands in Prometheus's own documentation, shortened.
const EXAMPLE: &str = r#"
global:
  scrape_interval: 15s
  evaluation_interval: 30s
  external_labels: {monitor: codelab, foo: bar}
rule_files: [first.rules, "my/*.rules"]
scrape_configs:
  - job_name: prometheus
    honor_labels: true
    static_configs:
      - targets: ["localhost:9090", 'localhost:9191']
        labels: {my: label, your: label}
    file_sd_configs:
      - files: [foo/*.slow.json, single/file.yml]
        refresh_interval: 10m
    relabel_configs:
      - source_labels: [job, __meta_dns_name]
        regex: (.*)some-[regex]
        target_label: job
        replacement: foo-${1}
      - source_labels: [__address__]
        modulus: 8
        target_label: __tmp_hash
        action: hashmod
      - {regex: "foo.*", action: labeldrop}
  - job_name: service-x
    basic_auth: {username: admin_name, password: "multiline\nmysecret\ntest"}
    scrape_interval: 50s
    scrape_timeout: 5s
    body_size_limit: 10MB
    sample_limit: 1000
    target_limit: 35
    label_limit: 36
    metrics_path: /my_path
    scheme: https
    params: {module: [http_2xx], target: [a, b]}
    dns_sd_configs:
      - names: [first.dns.address.domain.com]
      - names: [x.y]
        type: A
        port: 9100
        refresh_interval: 15s
    kubernetes_sd_configs:
      - role: endpoints
alerting:
  alert_relabel_configs:
    - {regex: replica, action: labeldrop}
  alertmanagers:
    - scheme: https
      path_prefix: /am
      timeout: 3s
      authorization: {credentials_file: token}
      tls_config: {ca_file: ca.pem}
      static_configs: [{targets: ["one:9093", "two:9093"]}]
      relabel_configs: [{source_labels: [__address__], regex: "two.*", action: drop}]
      alert_relabel_configs: [{target_label: via, replacement: one}]
    - dns_sd_configs: [{names: [_am._tcp.example]}]
storage: {}
"#;

#[test]
fn the_example_of_the_documentation_is_meant_as_it_says() {
    let config = meant(EXAMPLE);
    let [first, second] = config.jobs.as_slice() else {
        panic!("two jobs: {config:?}");
    };
    assert_eq!(config.external_labels[1].0, "monitor");
    assert_eq!(
        (first.name.as_str(), first.honor_labels),
        ("prometheus", true)
    );
    assert_eq!(first.interval, Duration::from_secs(15));
    assert_eq!(first.timeout, Duration::from_secs(10));
    assert_eq!((first.relabel.len(), first.sources.len()), (3, 2));
    let Source::File { patterns, refresh } = &first.sources[1] else {
        panic!("{:?}", first.sources);
    };
    assert_eq!(patterns[0], Path::new("/conf/foo/*.slow.json"));
    assert_eq!(*refresh, Duration::from_secs(600));
    assert_eq!(
        (second.interval.as_secs(), second.timeout.as_secs()),
        (50, 5)
    );
    assert_eq!(second.limits.body_bytes, 10 << 20);
    assert_eq!((second.sample_limit, second.target_limit), (1000, 35));
    assert_eq!(second.label_limits.count, 36);
    assert_eq!(second.params[1].1, ["a", "b"]);
    assert!(matches!(
        &second.sources[1],
        Source::Dns {
            record: DnsRecord::A,
            port: 9100,
            ..
        }
    ));
    let Some(Auth::Basic { password, .. }) = &second.http.auth else {
        panic!("{:?}", second.http);
    };
    let SecretSource::Inline(password) = password else {
        panic!()
    };
    assert_eq!(password.reveal(), "multiline\nmysecret\ntest");
    assert!(
        !format!("{config:?}").contains("mysecret"),
        "secrets are never printed"
    );
}

#[test]
fn keys_without_effect_are_explained_with_their_place() {
    let notices = said(&meant(EXAMPLE).notices);
    let keys: Vec<&str> = notices
        .iter()
        .filter_map(|n| n.split(": ").nth(1))
        .collect();
    assert_eq!(keys, ["scrape_configs[1].kubernetes_sd_configs", "storage"]);
    assert!(notices[0].contains("file_sd_configs"), "{}", notices[0]);
}

#[test]
fn alertmanagers_are_found_and_asked_as_they_say() {
    let alerting = meant(EXAMPLE).alerting;
    let [first, second] = alerting.sets.as_slice() else {
        panic!("two sets: {alerting:?}");
    };
    assert_eq!((first.timeout.as_secs(), second.timeout.as_secs()), (3, 10));
    assert_eq!(
        (first.alert_relabel.len(), alerting.alert_relabel.len()),
        (1, 1)
    );
    let Source::Static(groups) = &first.sources[0] else {
        panic!("{first:?}");
    };
    let found = first.found(&groups.iter().collect::<Vec<_>>());
    let active: Vec<&str> = found.active.iter().map(String::as_str).collect();
    assert_eq!(active, ["https://one:9093/am/api/v2/alerts"]);
    assert_eq!(found.dropped.len(), 1);
    let Some(Auth::Token { credentials, .. }) = &first.http.auth else {
        panic!("{:?}", first.http);
    };
    assert_eq!(*credentials, SecretSource::File("/conf/token".into()));
    assert!(matches!(second.sources[0], Source::Dns { .. }));
    let text = "alerting: {alertmanagers: [{api_version: v1, sigv4: {}, timeout: 0s}], more: 1}";
    let keys = [
        "[0].api_version",
        "[0].sigv4",
        "[0].timeout",
        "alerting.more",
    ];
    let wrong = mistakes(text).join("\n");
    assert!(keys.iter().all(|key| wrong.contains(key)), "{wrong}");
}

#[test]
fn what_rules_need_is_read_too() {
    let config = meant(EXAMPLE);
    let files: Vec<_> = config
        .rule_files
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    assert_eq!(files, ["/conf/first.rules", "/conf/my/*.rules"]);
    assert_eq!(config.evaluation_interval, Some(Duration::from_secs(30)));
}

#[test]
fn all_mistakes_are_found_at_once_each_with_its_place() {
    let found = mistakes(
        "global: {scrape_interval: 10s, scrape_timeout: 20s, scrape_intervall: 1s}\n\
         scrape_configs:\n\
         - job_name: a\n\
         \x20 scheme: ftp\n\
         \x20 honor_labels: perhaps\n\
         \x20 sample_limit: -1\n\
         \x20 relabel_configs: [{action: vanish}, {regex: '('}, {action: keep, source_label: [x]}]\n\
         \x20 static_configs: [{targets: x}]\n\
         - job_name: a\n\
         - scrape_interval: 0s\n\
         \x20 basic_auth: {password: x, password_file: y}\n\
         \x20 authorization: {type: Basic}\n\
         \x20 dns_sd_configs: [{names: [x], type: A}]\n",
    );
    let expected = [
        "p.yml:1:32: global.scrape_timeout: is longer than scrape_interval",
        "p.yml:1:53: global.scrape_intervall: is not a key Prometheus knows here; did you mean `scrape_interval`?",
        "the job \"a\" (number 1) is there twice",
        "p.yml:4:11: scrape_configs[0].scheme: \"ftp\" is none of http, https",
        "honor_labels: expected true or false",
        "sample_limit: expected a whole number",
        "relabel_configs[0].action: \"vanish\" is none of",
        "relabel_configs[1].action: action Replace needs target_label",
        "source_label: is not a key Prometheus knows here; did you mean `source_labels`?",
        "targets: expected a list, found a text",
        "scrape_configs[2].job_name: is missing",
        "scrape_interval: must be above 0",
        "give one of basic_auth, authorization",
        "give either password or password_file",
        "for basic authentication, use basic_auth",
        "port: is needed for all records but SRV",
    ];
    for expected in expected {
        assert!(
            found.iter().any(|m| m.contains(expected)),
            "{expected}\n{}",
            found.join("\n")
        );
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
}

#[test]
fn a_text_that_is_no_yaml_is_refused_with_its_place() {
    let found = mistakes("scrape_configs:\n- job_name: [\n");
    assert!(found[0].starts_with("p.yml:"), "{found:?}");
    assert_eq!(meant("").jobs, []);
}

#[test]
fn limits_and_protocols_are_inherited_from_global() {
    let config = meant(
        "global: {sample_limit: 5, scrape_protocols: [PrometheusText0.0.4], scrape_timeout: 3s}\n\
         scrape_configs: [{job_name: a}, {job_name: b, sample_limit: 7, scrape_interval: 2s,\n\
         \x20 scrape_protocols: [OpenMetricsText1.0.0]}]\n",
    );
    let [a, b] = config.jobs.as_slice() else {
        panic!()
    };
    assert_eq!((a.sample_limit, b.sample_limit), (5, 7));
    assert_eq!((a.protocols.len(), b.protocols.len()), (1, 1));
    assert_ne!(a.protocols, b.protocols);
    // A job faster than the inherited timeout has its own interval as timeout.
    assert_eq!((a.timeout.as_secs(), b.timeout.as_secs()), (3, 2));
}

#[test]
fn every_key_of_prometheus_s_schema_is_accepted_or_explained() {
    let (mut unknown, mut count) = (Vec::new(), 0);
    for line in include_str!("testdata/prometheus_keys.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (path, value) = line.split_once(' ').unwrap();
        count += 1;
        let mut text = format!("scrape_configs:\n- job_name: j\n  {value}\n");
        if let Some(key) = path.strip_prefix("top.") {
            text = format!("{key}: {}\n", value.split_once(": ").unwrap().1);
        } else if path.starts_with("global.") {
            text = format!("global:\n  {value}\n");
        }
        if let Err(notes) = read("p.yml", &text, Path::new("/conf")) {
            unknown.push(format!("{path}: {}", said(&notes).join("; ")));
        }
    }
    assert!(count > 100, "{count} keys");
    assert!(
        unknown.is_empty(),
        "{} of {count}:\n{}",
        unknown.len(),
        unknown.join("\n")
    );
}

#[test]
fn a_target_s_labels_take_prometheus_s_way() {
    let job = job(
        "  metrics_path: /probe\n  params: {module: [http], debug: [a b, c]}\n\
         \x20 static_configs: [{targets: [h:1, h:2, h:3], labels: {env: prod, __x: y}}]\n\
         \x20 relabel_configs:\n\
         \x20 - {source_labels: [__address__], regex: 'h:3', action: drop}\n\
         \x20 - {source_labels: [__address__], target_label: __param_target}\n\
         \x20 - {source_labels: [__address__], regex: 'h:2', target_label: instance, replacement: two}\n\
         \x20 - {source_labels: [__address__], regex: 'h:2', target_label: __scheme__, replacement: https}\n\
         \x20 - {source_labels: [__address__], regex: 'h:2', target_label: __scrape_interval__, replacement: 7s}\n\
         \x20 - {source_labels: [__address__], regex: 'h:2', target_label: __scrape_timeout__, replacement: 5s}\n\
         \x20 - {source_labels: [__address__], target_label: __address__, replacement: 'x:9115'}\n",
    );
    let Source::Static(groups) = &job.sources[0] else {
        panic!()
    };
    let targets = job.targets(&groups.iter().collect::<Vec<_>>());
    let [one, two] = targets.active.as_slice() else {
        panic!("{targets:?}");
    };
    assert_eq!(
        one.url,
        "http://x:9115/probe?debug=a+b&debug=c&module=http&target=h%3A1"
    );
    assert_eq!(
        one.own_labels().to_string(),
        r#"{env="prod", instance="x:9115", job="j"}"#
    );
    assert!(two.url.starts_with("https://x:9115/probe?"), "{}", two.url);
    assert_eq!((two.instance.as_str(), two.interval.as_secs()), ("two", 7));
    assert_eq!(one.discovered.get("__metrics_path__"), Some("/probe"));
    assert_eq!(one.discovered.get("__param_module"), Some("http"));
    assert_eq!(
        (targets.dropped_count, targets.dropped[0].get("env")),
        (1, Some("prod"))
    );
}

#[test]
fn targets_that_are_none_are_named_and_too_many_all_fail() {
    let bad = job(
        "  static_configs: [{targets: ['http://h/x', '', ok:1, ok:1]}]\n\
         \x20 relabel_configs: [{source_labels: [__address__], regex: '', action: replace, target_label: x, replacement: y}]\n",
    );
    let Source::Static(groups) = &bad.sources[0] else {
        panic!()
    };
    let targets = bad.targets(&groups.iter().collect::<Vec<_>>());
    assert_eq!(
        (targets.active.len(), targets.invalid.len()),
        (1, 2),
        "{targets:?}"
    );
    assert!(
        targets.invalid[0].contains("it holds a '/'"),
        "{:?}",
        targets.invalid
    );
    let many = job("  target_limit: 2\n  static_configs: [{targets: [a:1, b:1, c:1]}]\n");
    let Source::Static(groups) = &many.sources[0] else {
        panic!()
    };
    let targets = many.targets(&groups.iter().collect::<Vec<_>>());
    assert!(targets.active.iter().all(|target| target.refused.is_some()));
}
