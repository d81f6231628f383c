//! People are told of alerts: by webhook, mail and file, through failures and restarts; silenced
//! and acknowledged by the command line and by Alertmanager's own tool.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use e2e::{program, server::Server, wait};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
};

/// A receiver of webhooks: what it heard, and what it answers before it begins to take things.
#[derive(Debug, Clone, Default)]
struct Receiver {
    heard: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(hear))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits for a message about this alert.
    async fn told(&self, alertname: &str, status: &str) -> Value {
        let what = format!("{alertname} to be told as {status}");
        wait::until(&what, async || self.of(alertname, status).pop()).await
    }

    fn of(&self, alertname: &str, status: &str) -> Vec<Value> {
        let about = |m: &Value| m["groupLabels"]["alertname"] == alertname && m["status"] == status;
        self.heard().into_iter().filter(about).collect()
    }
}

async fn hear(State(receiver): State<Receiver>, Json(message): Json<Value>) -> StatusCode {
    if let Some(answer) = receiver.answers.lock().unwrap().pop_front() {
        return StatusCode::from_u16(answer).unwrap();
    }
    receiver.heard.lock().unwrap().push(message);
    StatusCode::OK
}

fn config(url: &str, more: &str) -> String {
    format!(
        "[collect]\nhost = \"off\"\n\
         [notify.route]\nreceiver = \"team\"\ngroup_by = [\"alertname\"]\n\
         group_wait = \"0s\"\ngroup_interval = \"1s\"\n{more}\
         [[notify.receiver]]\nname = \"team\"\n[[notify.receiver.webhook]]\nurl = \"{url}\"\n"
    )
}

async fn raise(server: &Server, labels: Value, ends_at: Option<&str>) {
    let mut alert = json!({"labels": labels, "annotations": {"summary": "Look."}});
    if let Some(ends_at) = ends_at {
        alert["endsAt"] = ends_at.into();
        alert["startsAt"] = "2020-01-01T00:00:00Z".into();
    }
    let reply = server
        .http
        .json("POST", "/api/v2/alerts", &json!([alert]))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_flaky_receiver_is_told_in_the_end_once_and_of_the_end() {
    let receiver = Receiver::default();
    // A minute of group_interval: only a retry can tell it in time.
    receiver.answers.lock().unwrap().extend([503, 500, 429]);
    let url = receiver.listen().await;
    let folder = tempfile::tempdir().unwrap();
    let text = config(&url, "").replace("\"1s\"", "\"1m\"");
    let server = Server::start(folder.path(), &text).await;
    raise(&server, json!({"alertname": "Slow", "host": "a"}), None).await;
    let told = receiver.told("Slow", "firing").await;
    assert_eq!(told["version"], "4");
    assert_eq!(told["receiver"], "team");
    assert_eq!(told["alerts"][0]["annotations"]["summary"], "Look.");
    assert_eq!(receiver.heard().len(), 1);
    let failed = r#"alluse_notifications_total{receiver="team",outcome="failed"}"#;
    let delivered = r#"alluse_notifications_total{receiver="team",outcome="delivered"}"#;
    wait::until("the outcome to be counted", async || {
        (server.own(delivered).await == 1.0).then_some(())
    })
    .await;
    assert_eq!(server.own(failed).await, 3.0);
}

#[tokio::test]
async fn what_is_over_is_told_and_a_restart_tells_nothing_twice() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config(&url, "")).await;
    raise(&server, json!({"alertname": "A"}), None).await;
    receiver.told("A", "firing").await;
    // The outcome is on the disk a moment later; a kill before that may double it.
    let delivered = r#"alluse_notifications_total{receiver="team",outcome="delivered"}"#;
    wait::until("the outcome", async || {
        (server.own(delivered).await == 1.0).then_some(())
    })
    .await;
    assert!(server.terminate().await.success());

    let server = Server::start(folder.path(), &config(&url, "")).await;
    raise(&server, json!({"alertname": "A"}), None).await;
    raise(&server, json!({"alertname": "B"}), None).await;
    receiver.told("B", "firing").await;
    raise(
        &server,
        json!({"alertname": "A"}),
        Some("2020-01-02T00:00:00Z"),
    )
    .await;
    receiver.told("A", "resolved").await;
    assert_eq!(
        receiver.of("A", "firing").len(),
        1,
        "{:#?}",
        receiver.heard()
    );
    server.program.kill().await;

    // Killed: who was told of B is known, and so it is told to be over.
    let server = Server::start(folder.path(), &config(&url, "")).await;
    raise(
        &server,
        json!({"alertname": "B"}),
        Some("2020-01-02T00:00:00Z"),
    )
    .await;
    receiver.told("B", "resolved").await;
}

#[tokio::test]
async fn who_does_not_acknowledge_is_passed_over_and_who_does_ends_it() {
    let (team, boss) = (Receiver::default(), Receiver::default());
    let (team_url, boss_url) = (team.listen().await, boss.listen().await);
    let folder = tempfile::tempdir().unwrap();
    let more = "escalate = [{after = \"2s\", receiver = \"boss\"}]\n";
    let mut text = config(&team_url, more);
    text.push_str(&format!(
        "[[notify.receiver]]\nname = \"boss\"\n[[notify.receiver.webhook]]\nurl = \"{boss_url}\"\n"
    ));
    let server = Server::start(folder.path(), &text).await;
    raise(&server, json!({"alertname": "Known"}), None).await;
    team.told("Known", "firing").await;
    let firing = server.http.get("/api/v2/alerts").await.json();
    let id = firing[0]["fingerprint"].as_str().unwrap().to_owned();
    let url = &server.http.url;
    let ack = ["alerts", "ack", &id, "--by", "ann", "--url", url];
    let acked = program::output(&ack).await;
    assert!(acked.status.success(), "{acked:?}");
    raise(&server, json!({"alertname": "Unknown"}), None).await;
    let called = boss.told("Unknown", "firing").await;
    assert_eq!(called["reason"], "escalated 1");
    assert_eq!(boss.of("Known", "firing").len(), 0);
    let listed = program::output(&["alerts", "list", "alertname=Known", "--url", url]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("acknowledged by ann"), "{listed}");
    assert!(!listed.contains("Unknown"), "{listed}");
    let nobody = program::output(&["alerts", "ack", "0000000000000000", "--url", url]).await;
    assert_eq!(nobody.status.code(), Some(1));
}

#[tokio::test]
async fn silences_by_the_command_line_survive_a_kill() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config(&url, "")).await;
    let add = program::output(&[
        "silence",
        "add",
        "alertname=Loud",
        "host=~a|b",
        "--for",
        "2h",
        "--comment",
        "known",
        "--author",
        "ann",
        "--url",
        &server.http.url,
    ])
    .await;
    assert!(add.status.success(), "{add:?}");
    let id = String::from_utf8(add.stdout).unwrap().trim().to_owned();
    server.program.kill().await;

    let server = Server::start(folder.path(), &config(&url, "")).await;
    raise(&server, json!({"alertname": "Loud", "host": "a"}), None).await;
    raise(&server, json!({"alertname": "Other"}), None).await;
    receiver.told("Other", "firing").await;
    assert_eq!(receiver.of("Loud", "firing").len(), 0);
    let alerts = server
        .http
        .get("/api/v2/alerts?filter=alertname%3DLoud")
        .await
        .json();
    assert_eq!(alerts[0]["status"]["state"], "suppressed");
    assert_eq!(alerts[0]["status"]["silencedBy"][0], id.as_str());
    let url = &server.http.url;
    let list = program::output(&["silence", "list", "--url", url]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains(&id) && list.contains("host=~\"a|b\"") && list.contains("ann"),
        "{list}"
    );
    let expire = program::output(&["silence", "expire", &id, "--url", url]).await;
    assert!(expire.status.success(), "{expire:?}");
    receiver.told("Loud", "firing").await;
    let all = program::output(&["silence", "add", "alertname=~.*", "-c", "x", "--url", url]).await;
    assert_eq!(all.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&all.stderr).contains("everything"),
        "{all:?}"
    );
}

/// One mail as a server heard it: its envelope and its text, line by line.
async fn mail_server(listener: TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut heard = Vec::new();
    stream
        .get_mut()
        .write_all(b"220 mail.test ready\r\n")
        .await
        .unwrap();
    let mut is_text = false;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_owned();
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if is_text => {
                is_text = false;
                "250 taken"
            }
            _ if is_text => "",
            "EHLO" => "250-mail.test\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME",
            "AUTH" => "235 welcome",
            "MAIL" | "RCPT" => "250 fine",
            "DATA" => {
                is_text = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "500 what?",
        };
        let ends = line == "QUIT" || line.is_empty() && !is_text;
        heard.push(line);
        if !answer.is_empty() {
            stream
                .get_mut()
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .unwrap();
        }
        if ends {
            return heard;
        }
    }
}

#[tokio::test]
async fn a_test_notification_goes_out_by_mail_to_a_pager_and_into_a_file() {
    let pager = Receiver::default();
    let hook = pager.listen().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, "open sesame\n").unwrap();
    let lines = folder.path().join("alerts.jsonl");
    let text = format!(
        "[collect]\nhost = \"off\"\n[[notify.receiver]]\nname = \"ops\"\n\
         [[notify.receiver.email]]\nsmarthost = \"{host}\"\nfrom = \"Alerts <au@here.test>\"\n\
         to = [\"ops@there.test\"]\nencryption = \"none\"\nuser = \"me\"\npassword_file = \"{}\"\n\
         [[notify.receiver.file]]\npath = \"{}\"\n\
         [[notify.receiver.pagerduty]]\nrouting_key = \"sesame\"\nurl = \"{hook}\"\n",
        secret.display(),
        lines.display(),
    );
    let server = Server::start(folder.path(), &text).await;
    let hearing = tokio::spawn(mail_server(listener));
    let url = &server.http.url;
    let test = program::output(&["notify", "test", "ops", "--url", url]).await;
    let said = String::from_utf8(test.stdout).unwrap();
    assert_eq!(
        said,
        "pagerduty\tdelivered\nemail\tdelivered\nfile\tdelivered\n"
    );
    let event = &pager.heard()[0];
    assert_eq!(
        (&event["event_action"], &event["routing_key"]),
        (&json!("trigger"), &json!("sesame"))
    );
    let mail = hearing.await.unwrap();
    for line in [
        // \0me\0open sesame
        "AUTH PLAIN AG1lAG9wZW4gc2VzYW1l",
        "MAIL FROM:<au@here.test>",
        "RCPT TO:<ops@there.test>",
        "Subject: [FIRING:1] Test none",
    ] {
        assert!(mail.iter().any(|heard| heard == line), "{line}: {mail:#?}");
    }
    let kept = std::fs::read_to_string(&lines).unwrap();
    let kept: Value = serde_json::from_str(kept.trim()).unwrap();
    assert_eq!(kept["alerts"][0]["labels"]["alertname"], "Test");
    // Nobody listens any more: it fails, and says so.
    let again = program::output(&["notify", "test", "ops", "--url", url]).await;
    assert_eq!(again.status.code(), Some(1));
    let nobody = program::output(&["notify", "test", "nobody", "--url", url]).await;
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("ops"),
        "{nobody:?}"
    );
    assert!(!server.program.log().contains("sesame"));
}

/// Runs Alertmanager's tool; `None` where it is not installed.
async fn amtool(url: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("amtool")
        .arg(format!("--alertmanager.url={url}"))
        .args(arguments)
        .output()
        .await
        .ok()?;
    // Standard error holds a remark on versions.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.success(), text))
}

#[tokio::test]
async fn alertmanagers_own_tool_works_against_us() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    let url = &server.http.url;
    let add = [
        "alert",
        "add",
        "Slow",
        "host=a",
        "--annotation=summary=look",
    ];
    let Some(added) = amtool(url, &add).await else {
        println!("skipped: no program `amtool` (Debian: apt-get install prometheus-alertmanager)");
        return;
    };
    assert!(added.0, "{}", added.1);
    let (fine, alerts) = amtool(url, &["alert", "query", "-o", "extended"])
        .await
        .unwrap();
    assert!(
        fine && alerts.contains("Slow") && alerts.contains("summary=\"look\""),
        "{alerts}"
    );
    let silence = [
        "silence",
        "add",
        "alertname=Slow",
        "--comment=known",
        "--author=ann",
    ];
    let (fine, id) = amtool(url, &silence).await.unwrap();
    assert!(fine, "{id}");
    let (fine, listed) = amtool(url, &["silence", "query"]).await.unwrap();
    assert!(
        fine && listed.contains(id.trim()) && listed.contains("ann"),
        "{listed}"
    );
    let (_, active) = amtool(url, &["alert", "query", "--active"]).await.unwrap();
    assert!(!active.contains("Slow"), "silenced: {active}");
    let (_, silenced) = amtool(url, &["alert", "query", "--silenced"])
        .await
        .unwrap();
    assert!(silenced.contains("Slow"), "{silenced}");
    let (fine, said) = amtool(url, &["silence", "update", "--duration=3h", id.trim()])
        .await
        .unwrap();
    assert!(fine, "{said}");
    let (fine, said) = amtool(url, &["silence", "expire", id.trim()])
        .await
        .unwrap();
    assert!(fine, "{said}");
    let (_, active) = amtool(url, &["alert", "query", "--active"]).await.unwrap();
    assert!(active.contains("Slow"), "{active}");
}

/// Debian's Alertmanager, ended when dropped, and its address; `None` where it is not installed.
fn alertmanager(folder: &Path) -> Option<(tokio::process::Child, String)> {
    let config = folder.join("am.yml");
    let text = "route: {receiver: none}\nreceivers: [{name: none}]\n";
    std::fs::write(&config, text).unwrap();
    // It does not say which port it took: one that is free now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let log = std::fs::File::create(folder.join("am.log")).unwrap();
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.join("am").display()))
        .arg(format!("--web.listen-address={listen}"))
        .arg("--cluster.listen-address=")
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    Some((child, format!("http://{listen}")))
}

/// The first alert an Alertmanager has, once it was told of one.
async fn first_alert(there: &e2e::http::Client) -> Value {
    wait::until("the Alertmanager to be told", async || {
        let reply = there.try_get("/api/v2/alerts").await?;
        (reply.status == 200)
            .then(|| reply.json()[0].clone())
            .filter(Value::is_object)
    })
    .await
}

#[tokio::test]
async fn a_real_alertmanager_is_told_what_our_rules_raise() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_peer, peer)) = alertmanager(folder.path()) else {
        println!("skipped: no program `prometheus-alertmanager`");
        return;
    };
    let rules = folder.path().join("rules.yml");
    let text = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(7)', \
                labels: {severity: page}, annotations: {summary: 'It is {{ $value }}.'}}]}]\n";
    std::fs::write(&rules, text).unwrap();
    let config = format!(
        "[collect]\nhost = \"off\"\n[rules]\nfiles = [\"{}\"]\ndefaults = false\n\
         [notify]\nexternal_labels = {{ site = \"x\" }}\n[[notify.alertmanager]]\nurl = \"{peer}\"\n",
        rules.display()
    );
    let server = Server::start(folder.path(), &config).await;
    let there = e2e::http::Client::new(&peer);
    let alert = first_alert(&there).await;
    assert_eq!(
        alert["labels"],
        json!({"alertname": "Always", "severity": "page", "site": "x"})
    );
    assert_eq!(alert["annotations"]["summary"], "It is 7.");
    let link = alert["generatorURL"].as_str().unwrap();
    assert!(link.starts_with("http://"), "{link}");
    // We hold it too, under the name the Alertmanager would give the same labels.
    let ours = server.http.get("/api/v2/alerts").await.json();
    let ours = ours[0]["fingerprint"].as_str().unwrap().to_owned();
    let same = json!([{"labels": {"alertname": "Always", "severity": "page"}}]);
    assert_eq!(
        there.json("POST", "/api/v2/alerts", &same).await.status,
        200
    );
    wait::until("the same name", async || {
        let all = there.get("/api/v2/alerts").await.json();
        let names = all
            .as_array()?
            .iter()
            .map(|a| a["fingerprint"].clone())
            .collect::<Vec<_>>();
        names.contains(&Value::from(ours.clone())).then_some(())
    })
    .await;
    let known = server.http.get("/api/v1/alertmanagers").await.json();
    assert_eq!(
        known["data"]["activeAlertmanagers"][0]["url"],
        format!("{peer}/api/v2/alerts")
    );
}

/// A Prometheus's configuration as it is, and nothing else, makes its Alertmanagers hear of what
/// its rules raise; they come and go with the discovery.
#[tokio::test]
async fn a_prometheus_yml_alone_tells_its_alertmanagers() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_peer, peer)) = alertmanager(folder.path()) else {
        println!("skipped: no program `prometheus-alertmanager`");
        return;
    };
    let write = |name: &str, text: &str| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, folder.path().join(name)).unwrap();
    };
    write(
        "rules.yml",
        "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(7)', \
         labels: {replica: a, severity: page}}]}]\n",
    );
    write("peers.json", "[]");
    write(
        "p.yml",
        "global: {external_labels: {site: x, replica: b}}\n\
         rule_files: [rules.yml]\n\
         alerting:\n  \
           alert_relabel_configs: [{regex: replica, action: labeldrop}]\n  \
           alertmanagers:\n  \
           - file_sd_configs: [{files: [peers.json]}]\n    \
             alert_relabel_configs: [{target_label: via, replacement: file}]\n    \
             relabel_configs: [{source_labels: [__address__], regex: 'gone.*', action: drop}]\n",
    );
    let config =
        "[collect]\nhost = \"off\"\nprometheus_config = \"p.yml\"\n[rules]\ndefaults = false\n";
    let server = Server::start(folder.path(), config).await;
    wait::until("the rule to fire", async || {
        let firing = server.http.get("/api/v2/alerts").await.json();
        (firing.as_array()?.len() == 1).then_some(())
    })
    .await;
    // It has fired before anybody was there to be told, and is told at once all the same.
    let host = peer.trim_start_matches("http://");
    write(
        "peers.json",
        &format!("[{{\"targets\": [\"{host}\", \"gone:1\"]}}]"),
    );
    let alert = first_alert(&e2e::http::Client::new(&peer)).await;
    assert_eq!(
        alert["labels"],
        json!({"alertname": "Always", "severity": "page", "site": "x", "via": "file"})
    );
    let known = server.http.get("/api/v1/alertmanagers").await.json();
    assert_eq!(
        known["data"],
        json!({
            "activeAlertmanagers": [{"url": format!("{peer}/api/v2/alerts")}],
            "droppedAlertmanagers": [{"url": "http://gone:1/api/v2/alerts"}],
        })
    );
    write("peers.json", "[]");
    wait::until("it to be forgotten", async || {
        let known = server.http.get("/api/v1/alertmanagers").await.json();
        known["data"]["activeAlertmanagers"]
            .as_array()?
            .is_empty()
            .then_some(())
    })
    .await;
}

/// An `alertmanager.yml` with one receiver that takes everything.
fn alertmanager_yml(url: &str, group_by: &str) -> String {
    format!(
        "route: {{receiver: team, group_by: [{group_by}], group_wait: 0s, group_interval: 1s}}\n\
         receivers: [{{name: team, webhook_configs: [{{url_file: {url}}}]}}]\n"
    )
}

#[tokio::test]
async fn an_alertmanager_yml_is_read_as_it_is_and_again_while_running() {
    let (receiver, other) = (Receiver::default(), Receiver::default());
    let folder = tempfile::tempdir().unwrap();
    // Found beside the file that names them.
    let conf = folder.path().join("conf");
    std::fs::create_dir(&conf).unwrap();
    std::fs::write(conf.join("one"), receiver.listen().await).unwrap();
    std::fs::write(conf.join("two"), other.listen().await).unwrap();
    let file = conf.join("am.yml");
    std::fs::write(&file, alertmanager_yml("one", "alertname")).unwrap();
    let text = "[collect]\nhost = \"off\"\n[notify]\nalertmanager_file = \"conf/am.yml\"\n";
    let server = Server::start(folder.path(), text).await;
    raise(&server, json!({"alertname": "A"}), None).await;
    receiver.told("A", "firing").await;

    // Mistakes change nothing, and are told with their places.
    let broken = alertmanager_yml("two", "alertname").replace("receiver: team", "receiver: x");
    std::fs::write(&file, broken).unwrap();
    let refused = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(refused.status, 500);
    assert!(
        refused.text.contains("am.yml:1:9: route.receiver"),
        "{}",
        refused.text
    );

    // Another address for the same receiver: what was told is not told again, and of its end the
    // new one hears.
    std::fs::write(&file, alertmanager_yml("two", "alertname")).unwrap();
    let taken = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    assert!(taken.text.contains("1 receivers"), "{}", taken.text);
    raise(&server, json!({"alertname": "B"}), None).await;
    other.told("B", "firing").await;
    raise(
        &server,
        json!({"alertname": "A"}),
        Some("2020-01-02T00:00:00Z"),
    )
    .await;
    other.told("A", "resolved").await;
    assert_eq!(other.of("A", "firing").len(), 0);
    assert_eq!(receiver.of("A", "firing").len(), 1);

    // `[notify]` itself is read again, too: here it loses the file.
    let plain = format!("{text}\n").replace("alertmanager_file = \"conf/am.yml\"", "");
    std::fs::write(folder.path().join("alluse.toml"), plain).unwrap();
    let taken = server.http.raw("/-/reload", "text/plain", "").await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    let receivers = server.http.get("/api/v2/receivers").await.json();
    assert_eq!(receivers, json!([{"name": "log"}]));
}

#[tokio::test]
async fn who_cannot_be_told_is_told_by_health() {
    let folder = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let server = Server::start(folder.path(), &config(&url, "")).await;
    raise(&server, json!({"alertname": "A"}), None).await;
    let subsystem = wait::until("the notifier to be degraded", async || {
        let health = server.http.get("/api/v1/health").await.json();
        let all = health["data"]["subsystems"].as_array()?.clone();
        all.into_iter()
            .find(|s| s["name"] == "notify" && s["status"] == "degraded")
    })
    .await;
    assert_eq!(subsystem["reason"], "\"team\" cannot be told of 1 groups");
}

#[tokio::test]
async fn a_file_is_tried_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("am.yml");
    let text = "route:\n  receiver: team\n  routes:\n  - matchers: [severity=page]\n    receiver: pager\n\
                receivers:\n- name: team\n- name: pager\n  webhook_configs: [{url: 'http://x/'}]\n\
                templates: [x.tmpl]\n";
    std::fs::write(&file, text).unwrap();
    let shown = shown(&file);
    let check = program::output(&["notify", "check", &shown]).await;
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let said = String::from_utf8(check.stdout).unwrap();
    for part in [
        "receiver team\tnobody is told",
        "receiver pager\twebhook",
        "route {}/{severity=\"page\"}\tpager",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let notice = String::from_utf8(check.stderr).unwrap();
    assert!(notice.contains("am.yml:10:1: templates"), "{notice}");
    let told = program::output(&["notify", "check", &shown, "severity=page", "host=a"]).await;
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "pager\n");
    std::fs::write(&file, format!("{text}inhibit_rule: []\n")).unwrap();
    for command in ["notify", "config"] {
        let wrong = program::output(&[command, "check", &shown]).await;
        assert_eq!(wrong.status.code(), Some(2));
        let said = [wrong.stdout, wrong.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.contains("am.yml:11:1: inhibit_rule") && said.contains("inhibit_rules"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn addresses_of_metadata_services_are_not_asked_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let text = config("http://169.254.169.254/latest", "");
    let server = Server::start(folder.path(), &text).await;
    let reply = server
        .http
        .json("POST", "/api/v1/receivers/team/test", &Value::Null)
        .await;
    let error = reply.json()["data"][0]["error"].to_string();
    assert!(error.contains("link-local"), "{error}");
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_all_told_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let text = "[notify.route]\nreceiver = \"nobody\"\ngroup_wiat = \"1s\"\n\
                [[notify.receiver]]\nname = \"x\"\n[[notify.receiver.webhook]]\nurl = \"ftp://x\"\n\
                [[notify.inhibit]]\nsource = [\"a\"]\ntarget = [\"b=c\"]\n";
    std::fs::write(&file, text).unwrap();
    let output = program::output(&["config", "check", &shown(&file)]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "group_wait",
        "\"nobody\"",
        "a.toml:7:",
        "a.toml:9:",
        "neither http",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
