//! Errors of the API: the one place where they become status codes and bodies.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use query::QueryError;
use serde::Serialize;
use wire::control::Problem;

use crate::queries::Refused;

/// An error in Prometheus's envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    pub(super) message: String,
}

/// Seconds after which an overloaded server asks to be tried again.
const RETRY_AFTER_S: &str = "1";

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A parameter that makes no sense.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// A body that could not be read: too large, or not text.
    pub(crate) fn body(status: StatusCode, message: String) -> Self {
        Self::new(status, "bad_data", message)
    }

    /// Too much at once, or the loop is not there.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// There is nothing of that name.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// A fault of ours.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = chain(&error);
        match error {
            QueryError::Parse(_) => Self::bad(format!("invalid parameter \"query\": {message}")),
            QueryError::BadInput(_) => Self::bad(message),
            QueryError::Execution(_) | QueryError::TooLarge(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message)
            }
            QueryError::Timeout => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message),
            QueryError::Cancelled => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "canceled", message)
            }
            QueryError::Read(model::ReadError::Remote(_)) => Self::unavailable(message),
            QueryError::Read(_) => Self::internal(message),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Killed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "canceled", message),
            Refused::QueueFull | Refused::WaitedTooLong | Refused::Closed => {
                Self::unavailable(message)
            }
        }
    }
}

impl From<model::ReadError> for ApiError {
    fn from(error: model::ReadError) -> Self {
        match error {
            model::ReadError::Remote(_) => Self::unavailable(chain(&error)),
            model::ReadError::Io { .. } | model::ReadError::Corrupt { .. } => {
                Self::internal(chain(&error))
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Prometheus's envelope of an error, in its order.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'static str,
    error: &'a str,
}

impl ApiError {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            status: "error",
            kind: self.kind,
            error: &self.message,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.envelope())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let value = header::HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// An error of the loop's own API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ControlError(pub(crate) StatusCode, pub(crate) Problem);

impl ControlError {
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self(
            status,
            Problem {
                error: error.to_owned(),
                message: message.into(),
            },
        )
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}
