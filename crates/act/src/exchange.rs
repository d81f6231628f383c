//! One request and its answer over HTTP, bounded in time and size.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::ActError;

/// Longest wait for a connection.
pub const CONNECT_DEADLINE: Duration = Duration::from_millis(500);
/// Longest wait for a complete answer, connection included. An order is two exchanges, so that
/// its outcome is known within twice this.
pub const EXCHANGE_DEADLINE: Duration = Duration::from_secs(1);
/// Largest answer read: an inventory of a thousand wordy knobs fits in.
pub const BODY_MAX_BYTES: usize = 1 << 20;

/// The way to one target's base address.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    client: Client,
    base: String,
}

impl Exchange {
    pub(crate) fn new(base_url: &str) -> Result<Self, ActError> {
        let address = |source| ActError::Address {
            url: base_url.to_owned(),
            source,
        };
        // Knobs are asked for where the operator said: no proxy of the environment, no redirects.
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(EXCHANGE_DEADLINE)
            .build()
            .map_err(address)?;
        let base = base_url.trim_end_matches('/').to_owned();
        client.get(&base).build().map_err(address)?;
        Ok(Self { client, base })
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<T, ActError> {
        self.exchange(operation, self.request(Method::GET, path))
            .await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ActError> {
        let request = self.request(Method::POST, path).json(body);
        self.exchange(operation, request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<T, ActError> {
        let failed = |source| failure(operation, source);
        let mut response = request.send().await.map_err(failed)?;
        let body = body(operation, &mut response).await?;
        if !response.status().is_success() {
            return Err(refusal(operation, response.status(), &body));
        }
        serde_json::from_slice(&body).map_err(|source| ActError::Syntax { operation, source })
    }
}

/// The body, read piece by piece: a length that lies cannot make it exceed the limit.
async fn body(operation: &'static str, response: &mut Response) -> Result<Vec<u8>, ActError> {
    let mut body = Vec::new();
    let failed = |source| failure(operation, source);
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > BODY_MAX_BYTES {
            let limit = BODY_MAX_BYTES;
            return Err(ActError::TooLarge { operation, limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failure(operation: &'static str, source: reqwest::Error) -> ActError {
    if source.is_timeout() {
        let limit = EXCHANGE_DEADLINE;
        return ActError::Timeout { operation, limit };
    }
    ActError::Unreachable { operation, source }
}

/// A refusal of the protocol has one of its statuses and its body; all else is a broken answer.
fn refusal(operation: &'static str, status: StatusCode, body: &[u8]) -> ActError {
    let of_protocol = [
        StatusCode::CONFLICT,
        StatusCode::NOT_FOUND,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::BAD_REQUEST,
    ];
    match serde_json::from_slice::<wire::knobs::Refusal>(body) {
        Ok(refusal) if of_protocol.contains(&status) => ActError::Refused {
            operation,
            rule: refusal.rule,
            knob: refusal.knob,
            message: refusal.message,
        },
        _ => ActError::Status {
            operation,
            status: status.as_u16(),
        },
    }
}
