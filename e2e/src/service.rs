//! A service whose metrics a test sets, and a clock of scrapes that counts them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

/// A running service. `ticks_total` counts its scrapes.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub url: String,
    values: Values,
    serving: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Service {
    /// Serves `/metrics` on a free port.
    pub async fn start() -> Self {
        let values = Values::default();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let shown = Arc::clone(&values);
        let router =
            Router::new().route("/metrics", get(move || async move { exposition(&shown) }));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("the service goes on");
        });
        Self {
            url: format!("http://{address}"),
            values,
            serving,
        }
    }

    /// Shows a gauge from now on.
    pub fn set(&self, name: &str, value: f64) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert(name.to_owned(), value);
    }
}

fn exposition(values: &Values) -> String {
    let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
    *values.entry("ticks_total".to_owned()).or_default() += 1.0;
    values
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect()
}
