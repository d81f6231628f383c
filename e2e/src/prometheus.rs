//! Debian's Prometheus, as a peer to compare with or to talk to.

use std::{net::TcpListener, path::Path, process::Stdio};

use tokio::process::{Child, Command};

use crate::{http::Client, wait};

/// A running Prometheus in a folder of its own, ended when dropped.
#[derive(Debug)]
pub struct Prometheus {
    _child: Child,
    /// Asks it.
    pub http: Client,
}

impl Prometheus {
    /// Starts it with a configuration (YAML) and more arguments, and waits until it is ready;
    /// `None`, saying so, where it is not installed.
    pub async fn start(folder: &Path, config: &str, arguments: &[&str]) -> Option<Self> {
        let file = folder.join("peer.yml");
        std::fs::write(&file, config).expect("the folder can be written");
        // It does not say which port it took: one that is free now.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let listen = free.local_addr().expect("it is bound");
        drop(free);
        let log = std::fs::File::create(folder.join("peer.log"));
        let data = folder.join("peer").display().to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={data}"))
            .arg(format!("--web.listen-address={listen}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log.expect("the folder can be written"))
            .kill_on_drop(true)
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: no program `prometheus` (Debian: apt-get install prometheus)");
            return None;
        };
        let http = Client::new(&format!("http://{listen}"));
        wait::until("Prometheus to be ready", async || {
            http.try_get("/-/ready").await.filter(|r| r.status == 200)
        })
        .await;
        Some(Self {
            _child: child,
            http,
        })
    }
}
