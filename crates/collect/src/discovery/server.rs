//! Groups of targets from an HTTP server (`http_sd_configs`).
//! Spec: <https://prometheus.io/docs/prometheus/latest/http_sd/>.

use std::time::Duration;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use yaml::TEXT_BYTES_MAX;

use super::{Group, file::from_json};
use crate::http::{HttpClient, read_body};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The label with the server's address.
const META_URL: &str = "__meta_url";

pub(super) async fn ask(
    client: &HttpClient,
    url: &str,
    refresh: Duration,
) -> Result<Vec<Group>, String> {
    let exchange = tokio::time::timeout(TIMEOUT, exchange(client, url, refresh));
    let mut groups = exchange
        .await
        .map_err(|_elapsed| format!("no answer within {TIMEOUT:?}"))??;
    for group in &mut groups {
        group.labels.push((META_URL.to_owned(), url.to_owned()));
    }
    Ok(groups)
}

async fn exchange(client: &HttpClient, url: &str, refresh: Duration) -> Result<Vec<Group>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        "X-Prometheus-Refresh-Interval-Seconds",
        HeaderValue::from(refresh.as_secs()),
    );
    let said = |error: crate::http::HttpError| crate::scrape::with_causes(&error);
    let response = client.get(url, &headers).await.map_err(said)?;
    if response.status() != 200 {
        return Err(format!("it answered {}", response.status().as_u16()));
    }
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
    if !kind.trim().starts_with("application/json") {
        return Err(format!("it answered {kind:?}, not application/json"));
    }
    let mut body = Vec::new();
    let read = read_body(url, response.into_body(), TEXT_BYTES_MAX, &mut body);
    read.await.map_err(said)?;
    from_json(&body)
}
