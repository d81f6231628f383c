//! Alertmanagers that `alerting:` of a `prometheus.yml` finds by HTTP and by DNS: told of what our
//! rules raise, and forgotten when discovery forgets them.

use std::{
    fs::Permissions,
    net::UdpSocket,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use e2e::{server::Server, wait};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const RULES: &str = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(7)', \
                     labels: {severity: page}}]}]\n";

/// An Alertmanager as far as one is told alerts, and the server that says where it is.
#[derive(Debug, Clone, Default)]
struct Scene {
    heard: Arc<Mutex<Vec<Value>>>,
    targets: Arc<Mutex<Value>>,
    asked_for_targets: Arc<Mutex<u32>>,
}

impl Scene {
    /// Its address.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/am/api/v2/alerts", post(hear))
            .route("/targets", get(targets))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Waits until it is told of the alert; its labels.
    async fn told(&self) -> Value {
        wait::until("the Alertmanager to be told", async || {
            let heard = self.heard.lock().unwrap().pop()?;
            Some(heard[0]["labels"].clone())
        })
        .await
    }
}

async fn hear(State(scene): State<Scene>, Json(alerts): Json<Value>) -> StatusCode {
    scene.heard.lock().unwrap().push(alerts);
    StatusCode::OK
}

async fn targets(State(scene): State<Scene>) -> Json<Value> {
    *scene.asked_for_targets.lock().unwrap() += 1;
    Json(scene.targets.lock().unwrap().clone())
}

/// The configuration of a server whose `prometheus.yml` has one set of Alertmanagers.
fn configured(folder: &Path, set: &str) -> String {
    std::fs::write(folder.join("rules.yml"), RULES).unwrap();
    let yaml = format!("rule_files: [rules.yml]\nalerting: {{alertmanagers: [{{{set}}}]}}\n");
    std::fs::write(folder.join("p.yml"), yaml).unwrap();
    "[collect]\nhost = \"off\"\nprometheus_config = \"p.yml\"\n[rules]\ndefaults = false\n"
        .to_owned()
}

/// Waits until the server knows these Alertmanagers, and drops those.
async fn knows(server: &Server, active: &[String], dropped: &[&str]) {
    let urls = |all: Vec<&str>| all.into_iter().map(|url| json!({ "url": url })).collect();
    let wanted: [Vec<Value>; 2] = [
        urls(active.iter().map(String::as_str).collect()),
        urls(dropped.to_vec()),
    ];
    wait::until("discovery", async || {
        let known = server.http.get("/api/v1/alertmanagers").await.json();
        let data = &known["data"];
        let found = [&data["activeAlertmanagers"], &data["droppedAlertmanagers"]];
        (found == [&json!(wanted[0]), &json!(wanted[1])]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn alertmanagers_are_found_by_http_and_come_and_go_with_the_list() {
    let scene = Scene::default();
    let address = scene.listen().await;
    *scene.targets.lock().unwrap() = json!([
        {"targets": [address, "10.0.0.1:9093"], "labels": {"__meta_tier": "one"}},
    ]);
    let folder = tempfile::tempdir().unwrap();
    let set = format!(
        "path_prefix: /am, http_sd_configs: [{{url: 'http://{address}/targets', refresh_interval: 1s}}], \
         relabel_configs: [{{source_labels: [__address__], regex: '10\\..*', action: drop}}], \
         alert_relabel_configs: [{{target_label: via, replacement: http}}]"
    );
    let server = Server::start(folder.path(), &configured(folder.path(), &set)).await;
    let labels = scene.told().await;
    assert_eq!(
        labels,
        json!({"alertname": "Always", "severity": "page", "via": "http"})
    );
    let url = format!("http://{address}/am/api/v2/alerts");
    let dropped = ["http://10.0.0.1:9093/am/api/v2/alerts"];
    knows(&server, &[url], &dropped).await;

    *scene.targets.lock().unwrap() = json!([]);
    knows(&server, &[], &[]).await;
    assert!(*scene.asked_for_targets.lock().unwrap() >= 2);
}

/// A name server that answers every question for an address with 127.0.0.1. Name servers are asked
/// at port 53, on an address of the loopback network that nobody else uses; `None` where this
/// process may not listen there.
fn name_server() -> Option<&'static str> {
    const ADDRESS: &str = "127.53.9.7";
    let socket = UdpSocket::bind((ADDRESS, 53)).ok()?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut reply = buffer[..length].to_vec();
            // An answer without error, with one record: the question's name, A, IN, an hour.
            reply[2..4].copy_from_slice(&[0x81, 0x80]);
            reply[7] = 1;
            reply.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0x0E, 0x10, 0, 4, 127, 0, 0, 1]);
            drop(socket.send_to(&reply, from));
        }
    });
    Some(ADDRESS)
}

/// A program that starts the server where `resolv.conf` names this name server; `None` where this
/// process may not mount.
fn resolving_by(name_server: &str, folder: &Path) -> Option<PathBuf> {
    let conf = folder.join("resolv.conf");
    std::fs::write(&conf, format!("nameserver {name_server}\n")).unwrap();
    let program = folder.join("alluse-there");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount sh -c \
         'mount --bind \"{}\" /etc/resolv.conf && exec \"$0\" \"$@\"' \"{}\" \"$@\"\n",
        conf.display(),
        e2e::program::alluse().display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let tried = Command::new(&program).arg("--version").output().ok()?;
    tried.status.success().then_some(program)
}

#[tokio::test]
async fn alertmanagers_are_found_by_dns() {
    let folder = tempfile::tempdir().unwrap();
    let program = name_server().and_then(|server| resolving_by(server, folder.path()));
    let Some(program) = program else {
        println!("not run: a name server at port 53 and a mount need privileges");
        return;
    };
    let scene = Scene::default();
    let address = scene.listen().await;
    let (_, port) = address.split_once(':').unwrap();
    let set = format!(
        "path_prefix: /am, dns_sd_configs: [{{names: [am.example.], type: A, port: {port}}}], \
         relabel_configs: [{{source_labels: [__meta_dns_name], regex: am.example., action: keep}}]"
    );
    let config = configured(folder.path(), &set);
    let server = Server::start_by(&program, folder.path(), &config).await;
    let labels = scene.told().await;
    assert_eq!(labels, json!({"alertname": "Always", "severity": "page"}));
    knows(
        &server,
        &[format!("http://{address}/am/api/v2/alerts")],
        &[],
    )
    .await;
}
