//! The ways of telling somebody, as configured, and one delivery by each.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use collect::http::{HttpClient, HttpError, HttpSettings, SecretSource, read_body};
use notify::Fate;
use serde_json::Value;

use super::{file, message::Message, pagerduty::Events, smtp};

/// A way as configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WayConfig {
    pub(crate) kind: WayKind,
    /// Whether it is told of what is resolved.
    pub(crate) send_resolved: bool,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WayKind {
    /// Alertmanager's webhook message, version 4.
    Webhook {
        url: SecretSource,
        http: Arc<HttpSettings>,
        /// Alerts in a message; 0 for all.
        alerts_max: usize,
    },
    /// Slack's incoming webhook, or anything that understands it.
    Slack {
        url: SecretSource,
        http: Arc<HttpSettings>,
        channel: Option<String>,
    },
    /// PagerDuty's Events API.
    PagerDuty {
        /// Empty for PagerDuty's own.
        url: String,
        http: Arc<HttpSettings>,
        key: SecretSource,
        events: Events,
        /// Critical, error, warning or info; none for the label `severity`.
        severity: Option<String>,
    },
    /// Mail.
    Email(Box<smtp::Mail>),
    /// Lines of JSON.
    File {
        path: PathBuf,
        /// Size at which the file becomes `path.1`, bytes.
        bytes_max: u64,
    },
    /// The server's own log.
    Log,
}

impl WayKind {
    /// As a label and in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Email(_) => "email",
            Self::File { .. } => "file",
            Self::Log => "log",
        }
    }
}

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SendError {
    pub(crate) message: String,
    /// Whether it may have arrived nevertheless.
    pub(crate) fate: Fate,
    /// Whether trying the same again soon is pointless.
    pub(crate) is_refusal: bool,
    /// What the receiver asked for.
    pub(crate) retry_after: Option<Duration>,
}

impl SendError {
    /// It has not arrived.
    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fate: Fate::Lost,
            is_refusal: false,
            retry_after: None,
        }
    }

    /// It may have arrived.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self {
            fate: Fate::Unknown,
            ..Self::lost(message)
        }
    }

    /// The receiver does not want it.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            is_refusal: true,
            ..Self::lost(message)
        }
    }
}

/// A way that is ready; clients keep their connections.
#[derive(Debug)]
pub(crate) struct Sender {
    kind: WayKind,
    client: Option<HttpClient>,
}

impl Sender {
    pub(crate) fn new(kind: WayKind) -> Self {
        let client = match &kind {
            WayKind::Webhook { http, .. }
            | WayKind::Slack { http, .. }
            | WayKind::PagerDuty { http, .. } => Some(HttpClient::new(Arc::clone(http))),
            WayKind::Email(_) | WayKind::File { .. } | WayKind::Log => None,
        };
        Self { kind, client }
    }

    pub(crate) fn kind(&self) -> &WayKind {
        &self.kind
    }

    /// Delivers one message.
    pub(crate) async fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        match &self.kind {
            WayKind::Webhook {
                url, alerts_max, ..
            } => self.post(url, message.webhook(*alerts_max)).await,
            WayKind::Slack { url, channel, .. } => {
                let mut body = message.slack();
                if let Some(channel) = channel {
                    body["channel"] = channel.as_str().into();
                }
                self.post(url, body).await
            }
            WayKind::PagerDuty {
                url,
                key,
                events,
                severity,
                ..
            } => {
                let key = revealed(key).await?;
                let event = events.event(&message, &key, severity.as_deref());
                let url = if url.is_empty() { events.url() } else { url };
                post_json(self.client(), url, event.to_string()).await
            }
            WayKind::Email(mail) => smtp::send(mail, &message.title(), &message.text()).await,
            WayKind::File { path, bytes_max } => {
                let line = message.webhook(0).to_string();
                file::append(path.clone(), *bytes_max, line).await
            }
            WayKind::Log => {
                tracing::warn!(
                    receiver = message.notification.to.receiver,
                    "{}\n{}",
                    message.title(),
                    message.text()
                );
                Ok(())
            }
        }
    }

    async fn post(&self, url: &SecretSource, body: Value) -> Result<(), SendError> {
        let url = revealed(url).await?;
        post_json(self.client(), &url, body.to_string()).await
    }

    fn client(&self) -> &HttpClient {
        let client = self.client.as_ref();
        client.expect("a way over HTTP has its client")
    }
}

async fn revealed(secret: &SecretSource) -> Result<String, SendError> {
    let read = secret.read().await;
    read.map_err(|error| SendError::lost(crate::api::problem::chain(&error)))
}

/// Bytes of an answer that are read, for the reason it gives.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of it that are shown.
const ANSWER_SHOWN: usize = 200;

/// Posts JSON; anything but 2xx is a failure.
pub(crate) async fn post_json(
    client: &HttpClient,
    url: &str,
    body: String,
) -> Result<(), SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let answer = client.post(url, &headers, Bytes::from(body)).await;
    let answer = answer.map_err(|error| failure(&error))?;
    let status = answer.status();
    let wait = answer.headers().get(header::RETRY_AFTER);
    // A date instead of seconds is rare and means a fault that lasts: our own wait will do.
    let retry_after = wait.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut said = Vec::new();
    let read = read_body(url, answer.into_body(), ANSWER_BYTES_MAX, &mut said).await;
    if status.is_success() {
        return Ok(());
    }
    let said = match read {
        Ok(()) => String::from_utf8_lossy(&said[..said.len().min(ANSWER_SHOWN)]).into_owned(),
        Err(_broken) => String::new(),
    };
    let message = format!("answered {status}: {}", said.trim());
    Err(SendError {
        retry_after: retry_after.map(Duration::from_secs),
        ..rejection(status, message)
    })
}

/// Addresses are left out of messages: those of chat webhooks are secrets.
fn failure(error: &HttpError) -> SendError {
    let cause = |error: &dyn std::error::Error| {
        error
            .source()
            .map_or_else(String::new, crate::api::problem::chain)
    };
    match error {
        HttpError::Exchange { source, .. } if source.is_connect() => {
            SendError::lost(format!("cannot connect: {}", cause(error)))
        }
        HttpError::Exchange { .. } => SendError::unknown(format!("no answer: {}", cause(error))),
        HttpError::Address { .. } => SendError::refused("its address cannot be asked"),
        HttpError::OutOfReach { .. } => SendError::refused(error.to_string()),
        HttpError::Body { .. } | HttpError::TooLarge { .. } | HttpError::Redirects { .. } => {
            SendError::unknown("the answer cannot be read")
        }
        HttpError::File { .. } | HttpError::Tls(_) => {
            SendError::lost(crate::api::problem::chain(error))
        }
    }
}

fn rejection(status: StatusCode, message: String) -> SendError {
    let passes = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    if passes {
        SendError::lost(message)
    } else {
        SendError::refused(message)
    }
}
