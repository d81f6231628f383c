//! The demo's view of the server: its public API, as anybody would use it.

use serde::{Serialize, de::DeserializeOwned};
use wire::{
    control::{Change, Decision, ProposalRequest, Report, Status, Study, Target},
    knobs::Inventory,
};

use crate::Failure;

/// A client of the loop's API.
#[derive(Debug, Clone)]
pub(super) struct Server {
    client: reqwest::Client,
    url: String,
}

impl Server {
    pub(super) fn new(url: &str) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: url.to_owned(),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let reply = self
            .client
            .get(format!("{}/api/v1/loop/{path}", self.url))
            .send()
            .await;
        let reply = reply.map_err(|error| Failure::of(&error))?;
        reply.json().await.map_err(|error| Failure::of(&error))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self
            .client
            .post(format!("{}/api/v1/loop/{path}", self.url))
            .json(body);
        let reply = request.send().await.map_err(|error| Failure::of(&error))?;
        reply.json().await.map_err(|error| Failure::of(&error))
    }

    pub(super) async fn status(&self) -> Result<Status, Failure> {
        self.get("status").await
    }

    /// Changes, newest first.
    pub(super) async fn changes(&self) -> Result<Vec<Change>, Failure> {
        self.get("changes?limit=1000").await
    }

    pub(super) async fn change(&self, id: u64) -> Result<Change, Failure> {
        self.get(&format!("changes/{id}")).await
    }

    pub(super) async fn targets(&self) -> Result<Vec<Target>, Failure> {
        self.get("targets").await
    }

    pub(super) async fn studies(&self) -> Result<Vec<Study>, Failure> {
        self.get("studies").await
    }

    pub(super) async fn stop_study(&self, id: u64) -> Result<Vec<Study>, Failure> {
        self.post(&format!("studies/{id}/stop"), &()).await
    }

    pub(super) async fn propose(&self, proposal: &ProposalRequest) -> Result<Decision, Failure> {
        self.post("proposals", proposal).await
    }

    pub(super) async fn report(&self) -> Result<Report, Failure> {
        self.get("report").await
    }
}

/// Whether every knob of a service is at the value it was built with, and none is leased.
pub(super) async fn knobs_at_default(url: &str) -> Result<bool, Failure> {
    let reply = reqwest::get(format!("{url}/knobs")).await;
    let inventory: Inventory = reply
        .map_err(|error| Failure::of(&error))?
        .json()
        .await
        .map_err(|error| Failure::of(&error))?;
    let home = |k: &wire::knobs::Knob| k.value == k.default && k.baseline == k.default;
    Ok(inventory.lease_ms.is_none() && inventory.knobs.iter().all(home))
}
