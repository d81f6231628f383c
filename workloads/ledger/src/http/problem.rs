//! Failures as HTTP answers; nowhere else.
//!
//! | status | class | when |
//! |---|---|---|
//! | 400 | `malformed` | not the JSON, path or query this route takes |
//! | 404 | `missing` | no such account, portfolio or route |
//! | 409 | `conflict` | not as things stand: a state, a rest period, a key used otherwise |
//! | 422 | `validation` | a rule is against it |
//! | 429 | `overload` | the queue is full |
//! | 503 | `database` | not stored, or stopping |

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    rules::refusal::{Class, Refusal},
    store::Failure,
    telemetry::Ending,
};

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    class: &'static str,
    rule: &'static str,
    message: Message,
}

#[derive(Debug)]
enum Message {
    Fixed(&'static str),
    Told(String),
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    class: &'a str,
    rule: &'a str,
    message: &'a str,
}

impl Problem {
    pub(super) const NO_ROUTE: Self = Self {
        status: StatusCode::NOT_FOUND,
        class: "missing",
        rule: "no_route",
        message: Message::Fixed("there is nothing at this path"),
    };

    pub(super) const QUEUE_FULL: Self = Self {
        status: StatusCode::TOO_MANY_REQUESTS,
        class: "overload",
        rule: "queue_full",
        message: Message::Fixed("too many requests are waiting; try again later"),
    };

    /// A request that makes no sense.
    pub(super) fn malformed(status: StatusCode, message: String) -> Self {
        Self {
            status,
            class: "malformed",
            rule: "bad_request",
            message: Message::Told(message),
        }
    }

    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    pub(super) fn ending(&self) -> Ending {
        match self.class {
            "overload" => Ending::Overloaded,
            "database" => Ending::Failed,
            _ => Ending::Refused,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::from(refusal),
            Failure::Overloaded => Self::QUEUE_FULL,
            Failure::Storage { .. } | Failure::Stopping => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                class: "database",
                rule: "not_stored",
                message: Message::Told(failure.to_string()),
            },
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, class) = match refusal.class() {
            Class::Missing => (StatusCode::NOT_FOUND, "missing"),
            Class::Conflict => (StatusCode::CONFLICT, "conflict"),
            Class::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "validation"),
        };
        Self {
            status,
            class,
            rule: refusal.rule(),
            message: Message::Told(refusal.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let message = match &self.message {
            Message::Fixed(text) => text,
            Message::Told(text) => text.as_str(),
        };
        let error = Error {
            class: self.class,
            rule: self.rule,
            message,
        };
        (self.status, Json(Body { error })).into_response()
    }
}
