//! The server, as its users see it.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use serde_json::Value;

use crate::{
    http::Client,
    program::{self, Program},
    wait,
};

/// A running server in a folder of its own.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub program: Program,
    /// Asks it.
    pub http: Client,
    folder: PathBuf,
}

impl Server {
    /// Starts a server that keeps its data, configuration and log in a folder. A folder of an
    /// earlier server is taken over, as after a restart.
    pub async fn start(folder: &Path, config: &str) -> Self {
        let data = folder.join("data");
        Self::start_on(folder, &data, config).await
    }

    /// A server whose data lie elsewhere, such as on another disk.
    pub async fn start_on(folder: &Path, data: &Path, config: &str) -> Self {
        Self::start_as(&program::alluse(), folder, data, config).await
    }

    /// A server that another program becomes.
    pub async fn start_by(program: &Path, folder: &Path, config: &str) -> Self {
        Self::start_as(program, folder, &folder.join("data"), config).await
    }

    async fn start_as(program: &Path, folder: &Path, data: &Path, config: &str) -> Self {
        let arguments = arguments(folder, data, config);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = folder.join("alluse.log");
        let program = Program::start_by(program, &arguments, &log).await;
        let http = Client::new(&program.url);
        Self {
            program,
            http,
            folder: folder.to_owned(),
        }
    }

    /// Starts a server as [`Self::start`] does and kills it after `time`: before, while or after
    /// it opens its store.
    pub async fn start_and_kill(folder: &Path, config: &str, time: Duration) {
        let arguments = arguments(folder, &folder.join("data"), config);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Program::start_and_kill(&arguments, &folder.join("alluse.log"), time).await;
    }

    /// Where its store lies.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("data/store")
    }

    /// Waits until it says that it can store and answer.
    pub async fn ready(&self) {
        wait::until("/-/ready", async || {
            (self.http.get("/-/ready").await.status == 200).then_some(())
        })
        .await;
    }

    /// One of the server's own metrics.
    pub async fn own(&self, metric: &str) -> f64 {
        let text = self.http.get("/metrics").await.text;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(metric)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no metric {metric}:\n{text}"))
    }

    /// Asks it to end.
    pub async fn terminate(self) -> ExitStatus {
        self.program.terminate().await
    }

    /// The result of an instant query now.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let reply = self
            .http
            .form("/api/v1/query", &[("query", expression)])
            .await;
        assert_eq!(reply.status, 200, "{expression}: {}", reply.text);
        match &reply.json()["data"]["result"] {
            Value::Array(rows) => rows.clone(),
            other => panic!("{expression}: not rows: {other}"),
        }
    }

    /// The one number a query answers, if it answers one.
    pub async fn number(&self, expression: &str) -> Option<f64> {
        let rows = self.query(expression).await;
        let [row] = rows.as_slice() else { return None };
        row["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query answers something.
    pub async fn answered(&self, expression: &str) -> Vec<Value> {
        wait::until(expression, async || {
            Some(self.query(expression).await).filter(|rows| !rows.is_empty())
        })
        .await
    }

    /// A reply of the loop's own API that must be there.
    pub async fn look(&self, path: &str) -> Value {
        let reply = self.http.get(&format!("/api/v1/loop/{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()
    }

    /// A change in one of these states.
    pub async fn change_in(&self, id: u64, states: &[&str]) -> Value {
        let what = format!("change {id} to be one of {states:?}");
        wait::until(&what, async || {
            let change = self.look(&format!("changes/{id}")).await;
            let state = change["state"].as_str()?.to_owned();
            states.contains(&state.as_str()).then_some(change)
        })
        .await
    }
}

/// The command line of a server that keeps everything in a folder.
fn arguments(folder: &Path, data: &Path, config: &str) -> Vec<String> {
    let file = folder.join("alluse.toml");
    std::fs::write(&file, config).expect("the folder can be written");
    let (config, data) = (file.display().to_string(), data.display().to_string());
    let arguments = ["serve", "--listen=127.0.0.1:0", "--config", &config];
    let arguments = arguments.into_iter().chain(["--data", &data]);
    arguments.map(str::to_owned).collect()
}
