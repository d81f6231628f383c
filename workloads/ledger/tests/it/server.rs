//! A service on a port of its own and a directory of its own, and a client for it.

use ledger::{
    ledger::Config as LedgerConfig,
    rules::Rules,
    service::{Config, Service},
    store::seed::Seed,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) client: Client,
    pub(crate) data: TempDir,
}

#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
}

pub(crate) async fn start(accounts: i64, knobs: &[(&str, &str)]) -> Server {
    let data = tempfile::tempdir().unwrap();
    let seed = Seed { accounts, weeks: 3 };
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ledger: LedgerConfig {
            data: data.path().into(),
            rules: Rules::default(),
            seed: (accounts > 0).then_some(seed),
        },
        knobs: knobs
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
        pins: Vec::new(),
    };
    let service = Service::start(config).await.unwrap();
    let client = Client::new(format!("http://{}", service.address()));
    Server {
        service,
        client,
        data,
    }
}

impl Client {
    pub(crate) fn new(base: String) -> Self {
        let http = reqwest::Client::new();
        Self { base, http }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self
            .http
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .json(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The status, or nothing if the server is gone.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Option<u16> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok()?;
        Some(status)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, body).await
    }

    pub(crate) async fn transfer(&self, from: i64, to: i64, cents: i64, key: &str) -> u16 {
        let body = json!({"from": from, "to": to, "amount_cents": cents, "key": key});
        self.post("/transfers", &body).await.0
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self
            .http
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap();
        response.text().await.unwrap()
    }

    /// One series' value.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = self.text("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
            .parse()
            .unwrap()
    }

    pub(crate) async fn set_knobs(&self, generation: u64, values: Value) {
        let body = json!({"change": 1, "generation": generation, "values": values});
        let (status, reply) = self.post("/knobs/commit", &body).await;
        assert_eq!(status, 200, "{reply}");
    }
}
