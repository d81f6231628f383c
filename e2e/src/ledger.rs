//! The ledger, as its users and its tuner see it.

use std::{path::Path, process::ExitStatus};

use serde_json::Value;

use crate::{http::Client, program::Program};

/// A running ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Its process.
    pub program: Program,
    /// Asks it.
    pub http: Client,
}

impl Ledger {
    /// Starts a ledger with its books in a folder; `more` are options of `ledger serve`.
    pub async fn start(folder: &Path, more: &[&str]) -> Self {
        let data = folder.join("ledger").display().to_string();
        let mut arguments = vec!["ledger", "serve", "--listen=127.0.0.1:0", "--data", &data];
        arguments.extend(more);
        let program = Program::start(&arguments, &folder.join("ledger.log")).await;
        let http = Client::new(&program.url);
        Self { program, http }
    }

    /// All its knobs, as it shows them itself.
    pub async fn inventory(&self) -> Value {
        self.http.get("/knobs").await.json()
    }

    /// A knob's value in force.
    pub async fn knob(&self, name: &str) -> Value {
        let inventory = self.inventory().await;
        let knobs = inventory["knobs"].as_array().expect("knobs are a list");
        let knob = knobs.iter().find(|k| k["name"] == name);
        knob.unwrap_or_else(|| panic!("no knob {name}"))["value"].clone()
    }

    /// Whether every knob has the value it was built with, for good, and nothing is leased.
    pub async fn is_at_defaults(&self) -> bool {
        let inventory = self.inventory().await;
        let knobs = inventory["knobs"].as_array().expect("knobs are a list");
        let home = |k: &Value| k["value"] == k["default"] && k["baseline"] == k["default"];
        inventory["lease_ms"].is_null() && knobs.iter().all(home)
    }

    /// Asks it to end.
    pub async fn terminate(self) -> ExitStatus {
        self.program.terminate().await
    }
}
