//! What handlers take from a request; whatever does not fit is answered and counted here.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde::de::DeserializeOwned;

use super::{App, problem::Problem};

/// When the request's head had arrived, by the service's clock. To be taken first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival(pub(super) Duration);

/// The number in the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) i64);

/// The query string.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

/// The body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl FromRequestParts<Arc<App>> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self(app.clock.now()))
    }
}

impl FromRequestParts<Arc<App>> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match Path::<i64>::from_request_parts(parts, app).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) => Err(malformed(app, rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(malformed(app, rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        match Json::<T>::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(app.refuse(Problem::malformed(
                json_status(&rejection),
                rejection.body_text(),
            ))),
        }
    }
}

/// A body too large or of another type keeps its own status; JSON of the wrong shape is a bad
/// request like JSON that is none.
fn json_status(rejection: &JsonRejection) -> StatusCode {
    match rejection.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other => other,
    }
}

fn malformed(app: &App, message: String) -> Response {
    app.refuse(Problem::malformed(StatusCode::BAD_REQUEST, message))
}
