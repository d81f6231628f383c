//! Rules in the real binary: evaluated, shown, read again, kept over a restart; their files
//! checked and tested as promtool does.

use std::{path::Path, process::Command};

use e2e::{program, server::Server, service::Service, wait};
use serde_json::Value;

/// Nothing but what the test names.
const CONFIG: &str = "[rules]\nfiles = [\"*.yml\"]\ndefaults = false\n\
                      external_url = \"http://here\"\n\
                      [rules.external_labels]\ncluster = \"eu\"\n\
                      [collect]\nhost = \"off\"\n";

const RULES: &str = "groups:\n\
    - name: g\n\
    \x20 interval: 200ms\n\
    \x20 rules:\n\
    \x20 - {record: 'job:answer:sum', expr: sum by (job) (answer), labels: {made: here}}\n\
    \x20 - alert: Firing\n\
    \x20   expr: job:answer:sum > 40\n\
    \x20   labels: {severity: page}\n\
    \x20   annotations: {summary: '{{ $labels.job }} in {{ $externalLabels.cluster }} at {{ $value }}'}\n\
    \x20 - {alert: Waiting, expr: answer > 40, for: 30m}\n\
    \x20 - {alert: Quiet, expr: answer > 100}\n";

fn config(url: &str) -> String {
    format!(
        "{CONFIG}[[collect.scrape]]\njob = \"app\"\nurl = \"{url}/metrics\"\ninterval = \"200ms\"\n"
    )
}

async fn alerts(server: &Server) -> Vec<Value> {
    let reply = server.http.get("/api/v1/alerts").await.json();
    reply["data"]["alerts"].as_array().unwrap().clone()
}

/// Waits until an alert of this name is there and has this state.
async fn alert(server: &Server, name: &str, state: &str) -> Value {
    wait::until("an alert", async || {
        let all = alerts(server).await;
        all.into_iter()
            .find(|a| a["labels"]["alertname"] == name && a["state"] == state)
    })
    .await
}

#[tokio::test]
async fn rules_are_evaluated_and_what_they_say_survives_a_restart() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start().await);
    service.set("answer", 42.0);
    std::fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let server = Server::start(folder.path(), &config(&service.url)).await;

    let firing = alert(&server, "Firing", "firing").await;
    assert_eq!(firing["annotations"]["summary"], "app in eu at 42");
    assert_eq!(firing["value"], "4.2e+01");
    server
        .answered(r#"job:answer:sum{job="app",made="here"} == 42"#)
        .await;
    server
        .answered(r#"ALERTS{alertname="Firing",alertstate="firing",severity="page"} == 1"#)
        .await;
    server
        .answered(r#"ALERTS_FOR_STATE{alertname="Waiting"}"#)
        .await;
    shapes(&server).await;

    let since = server
        .answered(r#"ALERTS_FOR_STATE{alertname="Waiting"} < time() - 3"#)
        .await;
    assert_eq!(since.len(), 1);
    server.program.kill().await;
    let server = Server::start(folder.path(), &config(&service.url)).await;
    wait::until("the clock of for to go on", async || {
        let all = alerts(&server).await;
        let waiting = all.iter().find(|a| a["labels"]["alertname"] == "Waiting")?;
        // What has no `for` began anew with this server: what has one began before it.
        let firing = all.iter().find(|a| a["labels"]["alertname"] == "Firing")?;
        (waiting["activeAt"].as_str()? < firing["activeAt"].as_str()?).then_some(())
    })
    .await;
    let history = server.http.get("/api/v1/alerts/history").await.json();
    let episodes = history["data"]["alerts"].as_array().unwrap();
    let named = |name: &str| {
        let all = episodes.iter();
        all.filter(|e| e["labels"]["alertname"] == name).count()
    };
    assert!(named("Firing") >= 1 && named("Quiet") == 0, "{episodes:?}");

    // A series of an earlier life is known, and can be ended, once this one has gone on with it.
    wait::until("some evaluations", async || {
        let text = server.http.get("/metrics").await.text;
        let mut lines = text.lines();
        let line = lines.find(|l| l.starts_with("alluse_rule_group_iterations_total{"))?;
        let count: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
        (count >= 6.0).then_some(())
    })
    .await;
    reload(&server, folder.path()).await;
}

/// The shapes of `/api/v1/rules`, and what a request may narrow it to.
async fn shapes(server: &Server) {
    let reply = server.http.get("/api/v1/rules").await.json();
    let group = &reply["data"]["groups"][0];
    assert_eq!(
        (&group["name"], &group["interval"]),
        (&"g".into(), &0.2.into())
    );
    let kinds: Vec<&str> = group["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["recording", "alerting", "alerting", "alerting"]);
    let firing = &group["rules"][1];
    assert_eq!(firing["state"], "firing");
    assert_eq!(firing["health"], "ok");
    assert_eq!(firing["query"], "job:answer:sum > 40");
    assert_eq!(firing["alerts"][0]["labels"]["severity"], "page");
    assert_eq!(group["rules"][3]["state"], "inactive");
    let count = async |parameters: &[(&str, &str)]| {
        let reply = server.http.ask("/api/v1/rules", parameters).await.json();
        let groups = reply["data"]["groups"].as_array().unwrap().clone();
        let rules = groups.iter().map(|g| g["rules"].as_array().unwrap().len());
        rules.sum::<usize>()
    };
    assert_eq!(count(&[("type", "record")]).await, 1);
    assert_eq!(count(&[("type", "alert")]).await, 3);
    assert_eq!(
        count(&[("rule_name[]", "Quiet"), ("rule_name[]", "Firing")]).await,
        2
    );
    assert_eq!(count(&[("rule_group[]", "other")]).await, 0);
    assert_eq!(count(&[("group_limit", "1")]).await, 4);
    let bad = server.http.ask("/api/v1/rules", &[("type", "x")]).await;
    assert_eq!(
        (bad.status, &bad.json()["errorType"]),
        (400, &"bad_data".into())
    );
    let said = program::output(&["alerts", "active", "--url", &server.http.url]).await;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("firing") && said.contains("app in eu at 42"),
        "{said}"
    );
    server.answered("alluse_rule_evaluations_total > 0").await;
}

/// Eight times a disk was full and the database of the same host stopped a minute later: that the
/// one follows from the other is proposed, in a form that the configuration takes.
#[tokio::test]
async fn alerts_that_follow_others_again_and_again_are_proposed_as_dependencies() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let series = |name: &str, hour: i64| {
        let host = if hour % 2 == 0 { "a" } else { "b" };
        [
            ("__name__", "ALERTS"),
            ("alertname", name),
            ("alertstate", "firing"),
            ("host", host),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    };
    let over = f64::from_bits(0x7ff0_0000_0000_0002);
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ];
    let now_ms = e2e::pushed::now_ms();
    for hour in (1..=8).rev() {
        let at_ms = now_ms - hour * 3_600_000;
        let (disk, database) = (series("DiskFull", hour), series("DatabaseDown", hour));
        for (later_s, samples) in [
            (0, vec![(disk.clone(), 1.0)]),
            (60, vec![(disk.clone(), 1.0), (database.clone(), 1.0)]),
            (300, vec![(disk, over), (database, over)]),
        ] {
            let body = e2e::pushed::write_request(samples.into_iter(), at_ms + later_s * 1_000);
            let reply = server.http.bytes("/api/v1/write", &headers, body).await;
            assert!(reply.status < 300, "{}", reply.text);
        }
    }
    let url = &server.http.url;
    let related = program::output(&["alerts", "related", "--url", url]).await;
    let said = String::from_utf8(related.stdout).unwrap();
    let line = "DatabaseDown follows DiskFull\t8 of 8 times\tafter 60.0 s\tsame host\t";
    assert!(said.starts_with(line), "{said}");
    assert!(said.contains("depends_on = [\"DiskFull\"]"), "{said}");
    // Declared, after a reload, it is told as such.
    let tables = said.split_once("says so:\n").unwrap().1;
    let file = folder.path().join("alluse.toml");
    std::fs::write(&file, format!("[collect]\nhost = \"off\"\n{tables}")).unwrap();
    let taken = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let reply = server.http.get("/api/v1/alerts/dependencies").await.json();
    assert_eq!(
        reply["data"]["dependencies"][0]["declared"], true,
        "{reply}"
    );
}

/// Files in the manner of well-known public projects: their structure, the idioms of their
/// templates and the shapes of their expressions, in words of our own.
#[test]
fn files_in_the_manner_of_public_projects_are_checked_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/rules");
    for (name, count) in [("hosts.yml", 8), ("databases.yml", 7), ("clusters.yml", 12)] {
        checked_whole(&folder.join(name), count);
    }
}

/// The rules that Ceph ships, as Debian packages them.
#[test]
fn a_file_of_a_public_project_is_checked_whole() {
    let file = Path::new("/etc/prometheus/ceph/ceph_default_alerts.yml");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("skipped: no rules of Ceph (Debian: apt-get install ceph-prometheus-alerts)");
        return;
    };
    let count = text
        .lines()
        .filter(|l| l.trim_start().starts_with("- alert:"))
        .count();
    assert!(count > 50, "{count}");
    checked_whole(file, count);
}

/// We and promtool find so many rules and no mistake.
fn checked_whole(file: &Path, count: usize) {
    let file = file.display().to_string();
    let check = Command::new(program::alluse())
        .args(["rules", "check", &file])
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    let expected = format!("{count} rules, no mistakes");
    assert!(said.contains(&expected), "{said}");
    match Command::new("promtool")
        .args(["check", "rules", &file])
        .output()
    {
        Ok(theirs) => {
            let theirs = String::from_utf8(theirs.stdout).unwrap();
            let expected = format!("SUCCESS: {count} rules found");
            assert!(theirs.contains(&expected), "{theirs}");
        }
        Err(_absent) => eprintln!("promtool was not asked: it is not installed"),
    }
}

/// A mistake changes nothing; a good file ends the series of rules that are gone.
async fn reload(server: &Server, folder: &Path) {
    let file = folder.join("rules.yml");
    std::fs::write(&file, "groups: [{name: g, rules: [{alert: A, exprs: up}]}]").unwrap();
    let refused = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(refused.status, 500);
    assert!(refused.text.contains("rules.yml:1:"), "{}", refused.text);
    assert!(
        refused.text.contains("did you mean `expr`"),
        "{}",
        refused.text
    );
    alert(server, "Firing", "firing").await;
    std::fs::write(
        &file,
        "groups: [{name: h, rules: [{record: r, expr: '1'}]}]",
    )
    .unwrap();
    let taken = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    wait::until("the alerts to end", async || {
        let gone = server.query("ALERTS").await.is_empty();
        (gone && alerts(server).await.is_empty()).then_some(())
    })
    .await;
}

/// Rules and tests with everything that files in the wild have.
const WILD: &str = "groups:\n\
    - name: wild\n\
    \x20 interval: 1m\n\
    \x20 rules:\n\
    \x20 - record: instance:up:avg5m\n\
    \x20   expr: |\n\
    \x20     avg by (instance, job) (\n\
    \x20       avg_over_time(up[5m])\n\
    \x20     )\n\
    \x20 - alert: Down\n\
    \x20   expr: up{job!=\"x\"} == 0\n\
    \x20   for: 2m\n\
    \x20   labels: {severity: '{{ if eq $labels.job \"db\" }}page{{ else }}ticket{{ end }}'}\n\
    \x20   annotations:\n\
    \x20     summary: >-\n\
    \x20       {{ $labels.instance | stripPort }} of {{ $labels.job | title }} is down\n\
    \x20     description: '{{ range query \"sum(up)\" }}{{ . | value | humanize }} are up{{ end }}'\n\
    \x20 - alert: Filling\n\
    \x20   expr: predict_linear(free[10m], 3600) < 0\n\
    \x20   annotations: {summary: '{{ with $x := printf \"%.1f\" $value }}{{ $x }}{{ end }} {{ humanizeDuration 5400.0 }}'}\n";

const WILD_TESTS: &str = "rule_files: [wild.yml]\n\
    evaluation_interval: 1m\n\
    group_eval_order: [wild]\n\
    tests:\n\
    - interval: 1m\n\
    \x20 input_series:\n\
    \x20 - {series: 'up{job=\"db\",instance=\"a:1\"}', values: '1 1 0x10'}\n\
    \x20 - {series: 'up{job=\"web\",instance=\"b:1\"}', values: '1x5 _x2 1 stale'}\n\
    \x20 - {series: 'free{disk=\"d\"}', values: '1000-90x10'}\n\
    \x20 alert_rule_test:\n\
    \x20 - eval_time: 5m\n\
    \x20   alertname: Down\n\
    \x20   exp_alerts:\n\
    \x20   - exp_labels: {job: db, instance: 'a:1', severity: page}\n\
    \x20     exp_annotations: {summary: 'a of Db is down', description: '1 are up'}\n\
    \x20 - {eval_time: 3m, alertname: Down}\n\
    \x20 - {eval_time: 9m, alertname: Filling, exp_alerts: [{exp_labels: {disk: d}, exp_annotations: {summary: '-5210.0 1h 30m 0s'}}]}\n\
    \x20 promql_expr_test:\n\
    \x20 - expr: instance:up:avg5m\n\
    \x20   eval_time: 4m\n\
    \x20   exp_samples:\n\
    \x20   - {labels: 'instance:up:avg5m{instance=\"a:1\",job=\"db\"}', value: 0.4}\n\
    \x20   - {labels: 'instance:up:avg5m{instance=\"b:1\",job=\"web\"}', value: 1}\n\
    \x20 - {expr: count(ALERTS) by (alertstate), eval_time: 3m, exp_samples: [{labels: '{alertstate=\"pending\"}', value: 1}, {labels: '{alertstate=\"firing\"}', value: 1}]}\n";

/// Whether `promtool` takes it; `None` where there is no promtool.
fn promtool(arguments: &[&str]) -> Option<bool> {
    match Command::new("promtool").args(arguments).output() {
        Ok(output) => Some(output.status.success()),
        Err(error) => {
            eprintln!("skipped: no promtool ({error})");
            None
        }
    }
}

#[tokio::test]
async fn files_are_checked_and_tested_as_promtool_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rules = path("wild.yml");
    std::fs::write(&rules, WILD).unwrap();
    for (name, from, to, rule_file) in [
        ("good", "", "", true),
        ("expr", "up{job!=\"x\"} == 0", "up{job!=\"x\" == 0", true),
        ("function", "stripPort", "stripPorts", true),
        ("key", "for: 2m", "fore: 2m", true),
        (
            "both",
            "record: instance:up:avg5m",
            "record: r\n    alert: s",
            true,
        ),
        ("span", "for: 2m", "for: 2 minutes", true),
        ("tests", "", "", false),
        ("label", "severity: page}", "severity: ticket}", false),
        (
            "missing",
            "{eval_time: 3m, alertname: Down}",
            "{eval_time: 5m, alertname: Down}",
            false,
        ),
        ("value", "value: 0.4", "value: 0.5", false),
    ] {
        let file = path(&format!("{name}.test-case.yml"));
        let text = if rule_file { WILD } else { WILD_TESTS };
        let changed = if from.is_empty() {
            text.to_owned()
        } else {
            text.replace(from, to)
        };
        assert_eq!(changed == text, from.is_empty(), "{name}");
        std::fs::write(&file, changed).unwrap();
        let act = if rule_file { "check" } else { "test" };
        let ours = program::output(&["rules", act, &file]).await;
        let said = String::from_utf8_lossy(&ours.stdout).into_owned();
        let expected = match (from.is_empty(), rule_file) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        assert_eq!(ours.status.code(), Some(expected), "{name}: {said}");
        if let Some(theirs) = promtool(&[act, "rules", &file]) {
            assert_eq!(theirs, expected == 0, "{name}");
        }
    }
}

#[tokio::test]
async fn the_rules_that_come_with_the_program_pass_promtool_too() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().display().to_string();
    let written = program::output(&["rules", "defaults", "--to", &to]).await;
    assert!(written.status.success());
    for name in ["alluse", "findings", "host", "loop"] {
        let test = folder.path().join(format!("{name}.test.yml"));
        let test = test.display().to_string();
        let ours = program::output(&["rules", "test", "--json", &test]).await;
        let said = String::from_utf8_lossy(&ours.stdout).into_owned();
        assert!(ours.status.success(), "{said}");
        if let Some(theirs) = promtool(&["test", "rules", &test]) {
            assert!(theirs, "{name}");
        }
    }
}
