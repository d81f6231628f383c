//! The loop on a stage: the real server, the real ledger, and an objective and a guard that a
//! test moves.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{http::Reply, ledger::Ledger, server::Server, service::Service, wait};

/// A knob of the ledger that costs nothing to move, its default, and a value one allowed step on.
pub const KNOB: &str = "cache.accounts.capacity";
/// What [`KNOB`] is built with.
pub const DEFAULT: i64 = 1_000;
/// What is proposed for it.
pub const PROPOSED: i64 = 2_000;

/// How the loop is set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `recommend`, `approve` or `autonomous`.
    pub trust: &'static str,
    /// How long a value holds without the server, seconds.
    pub lease_s: u32,
    /// Length of a window of a trial.
    pub window: &'static str,
    /// Between two scrapes of the target.
    pub interval: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trust: "autonomous",
            lease_s: 3,
            window: "1s",
            interval: "200ms",
        }
    }
}

/// A server that may tune a ledger.
#[derive(Debug)]
pub struct Stage {
    /// The tuner.
    pub server: Server,
    /// The tuned.
    pub ledger: Ledger,
    /// Shows `alarm`, which the guard watches: 0 is well, 1 is not.
    pub service: Service,
    config: String,
    folder: TempDir,
}

impl Stage {
    /// Everything running, and the ledger known to the server.
    pub async fn set(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = Ledger::start(folder.path(), &["--seed-accounts=100"]).await;
        let service = Service::start().await;
        service.set("alarm", 0.0);
        let config = toml(settings, &ledger.program.url, &service.url);
        let server = Server::start(folder.path(), &config).await;
        let stage = Self {
            server,
            ledger,
            service,
            config,
            folder,
        };
        stage.ready().await;
        stage
    }

    /// Kills the server; what is left is the ledger and its leases.
    pub async fn kill_server(self) -> Headless {
        self.server.program.kill().await;
        Headless {
            ledger: self.ledger,
            service: self.service,
            config: self.config,
            folder: self.folder,
        }
    }

    /// Waits until the server may act: it knows the knobs, and the guard has a value.
    async fn ready(&self) {
        wait::until("the server to know the ledger", async || {
            let targets = self.server.look("targets").await;
            let target = &targets[0];
            let watched = target["guards"][0]["last"].is_number();
            (target["up"] == true && watched).then_some(())
        })
        .await;
    }

    /// Proposes values for the ledger's knobs.
    pub async fn propose(&self, values: Value) -> Reply {
        let body =
            json!({"target": "ledger", "values": values, "reason": "a test", "by": "somebody"});
        self.server
            .http
            .json("POST", "/api/v1/loop/proposals", &body)
            .await
    }

    /// Proposes [`PROPOSED`], which must be admitted; the change.
    pub async fn admitted(&self) -> u64 {
        let reply = self.propose(json!({ KNOB: PROPOSED })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        let decision = reply.json();
        assert_eq!(decision["ruling"], "admit", "{decision}");
        decision["change"]
            .as_u64()
            .expect("an admitted proposal is a change")
    }

    /// Waits until the ledger itself shows a value of [`KNOB`] in force.
    pub async fn in_force(&self, value: i64) {
        in_force(&self.ledger, value).await;
    }

    /// Asks the loop's API for something to be done.
    pub async fn order(&self, method: &str, path: &str) -> Reply {
        let path = format!("/api/v1/loop/{path}");
        self.server
            .http
            .json(method, &path, &json!({"by": "somebody"}))
            .await
    }
}

/// A stage whose server is gone.
#[derive(Debug)]
pub struct Headless {
    /// The tuned.
    pub ledger: Ledger,
    service: Service,
    config: String,
    folder: TempDir,
}

impl Headless {
    /// Starts the server again on what it left behind.
    pub async fn restart(self) -> Stage {
        let server = Server::start(self.folder.path(), &self.config).await;
        let stage = Stage {
            server,
            ledger: self.ledger,
            service: self.service,
            config: self.config,
            folder: self.folder,
        };
        stage.ready().await;
        stage
    }

    /// Where everything lies.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::to_owned(self.folder.path())
    }
}

/// Waits until a ledger shows a value of [`KNOB`] in force.
pub async fn in_force(ledger: &Ledger, value: i64) {
    wait::until(&format!("{KNOB} to be {value}"), async || {
        (ledger.knob(KNOB).await == value).then_some(())
    })
    .await;
}

/// The objective goes up and down by itself and not with any knob: trials last.
fn toml(settings: Settings, ledger: &str, service: &str) -> String {
    let Settings {
        trust,
        lease_s,
        window,
        interval,
    } = settings;
    format!(
        r#"
[governor]
trust = "{trust}"
cool_down = "0s"
changes_an_hour = 10000
lease = "{lease_s}s"

[[collect.scrape]]
job = "service"
url = "{service}/metrics"
interval = "{interval}"

[[target]]
name = "ledger"
url = "{ledger}"
interval = "{interval}"

[target.objective]
name = "restless"
query = 'avg_over_time(ticks_total[$window]) % 7 + 1'

[[target.guard]]
name = "no alarm"
query = "alarm"
at_most = 0.5
breaches = 1
of = 1

[target.trial]
window = "{window}"
settle = "200ms"
pairs_max = 1000
"#
    )
}
