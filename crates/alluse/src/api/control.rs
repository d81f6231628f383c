//! The loop's own API: what it sees, tries and decided; proposals; the red button.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use wire::control::{By, ProposalRequest, Trust};

use super::{App, params::Params, problem::ControlError};
use crate::mailbox::{Ask, Reply};

type Result<T = Response> = std::result::Result<T, ControlError>;

/// Entries of a list that names no limit.
const LIST_DEFAULT: usize = 100;

/// `GET status`
pub(super) async fn status(State(app): State<Arc<App>>) -> Response {
    Json(&app.view.borrow().status).into_response()
}

/// `GET targets`
pub(super) async fn targets(State(app): State<Arc<App>>) -> Response {
    Json(&app.view.borrow().targets).into_response()
}

/// `GET changes`
pub(super) async fn changes(State(app): State<Arc<App>>, params: Params) -> Result {
    let most = limit(&params)?;
    let view = app.view.borrow();
    let newest: Vec<_> = view.changes.values().rev().take(most).collect();
    Ok(Json(newest).into_response())
}

/// `GET changes/{id}`
pub(super) async fn change(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result {
    let view = app.view.borrow();
    let change = view.changes.get(&id).ok_or_else(|| no_change(id))?;
    Ok(Json(change).into_response())
}

/// `GET decisions`
pub(super) async fn decisions(State(app): State<Arc<App>>, params: Params) -> Result {
    let most = limit(&params)?;
    let view = app.view.borrow();
    let newest: Vec<_> = view.decisions.iter().rev().take(most).collect();
    Ok(Json(newest).into_response())
}

/// `GET findings`
pub(super) async fn findings(State(app): State<Arc<App>>, params: Params) -> Result {
    let most = limit(&params)?;
    let view = app.view.borrow();
    let newest: Vec<_> = view.findings.iter().rev().take(most).collect();
    Ok(Json(newest).into_response())
}

/// `GET studies`
pub(super) async fn studies(State(app): State<Arc<App>>) -> Response {
    Json(&app.view.borrow().studies).into_response()
}

/// `GET report`
pub(super) async fn report(State(app): State<Arc<App>>) -> Response {
    Json(crate::report::report(
        &app.view.borrow(),
        crate::telemetry::own,
    ))
    .into_response()
}

/// `POST proposals`
pub(super) async fn propose(
    State(app): State<Arc<App>>,
    body: std::result::Result<Json<ProposalRequest>, JsonRejection>,
) -> Result {
    let Json(request) = body.map_err(refused_body)?;
    if request.values.is_empty() {
        return Err(ControlError::bad("values: names no knob"));
    }
    match ask(&app, Ask::Propose(request)).await? {
        Reply::Decision(decision) => {
            let status = match decision.ruling.as_str() {
                "admit" => StatusCode::CREATED,
                "await_approval" => StatusCode::ACCEPTED,
                "defer" => StatusCode::CONFLICT,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Ok((status, Json(decision)).into_response())
        }
        other => unexpected(other),
    }
}

/// `POST changes/{id}/approve`
pub(super) async fn approve(
    State(app): State<Arc<App>>,
    Path(change): Path<u64>,
    body: Option<Json<By>>,
) -> Result {
    about_change(
        ask(
            &app,
            Ask::Approve {
                change,
                by: by(body),
            },
        )
        .await?,
    )
}

/// `POST changes/{id}/reject`
pub(super) async fn reject(
    State(app): State<Arc<App>>,
    Path(change): Path<u64>,
    body: Option<Json<By>>,
) -> Result {
    about_change(
        ask(
            &app,
            Ask::Reject {
                change,
                by: by(body),
            },
        )
        .await?,
    )
}

/// `POST changes/{id}/undo`
pub(super) async fn undo(
    State(app): State<Arc<App>>,
    Path(change): Path<u64>,
    body: Option<Json<By>>,
) -> Result {
    about_change(
        ask(
            &app,
            Ask::Undo {
                change,
                by: by(body),
            },
        )
        .await?,
    )
}

/// `POST studies/{id}/stop`
pub(super) async fn stop_study(State(app): State<Arc<App>>, Path(study): Path<u64>) -> Result {
    match ask(&app, Ask::StopStudy { study }).await? {
        Reply::Status => Ok(Json(&app.view.borrow().studies).into_response()),
        other => unexpected(other),
    }
}

/// `POST red-button`
pub(super) async fn press(State(app): State<Arc<App>>, body: Option<Json<By>>) -> Result {
    with_status(&app, Ask::RedButton { by: by(body) }).await
}

/// `DELETE red-button`
pub(super) async fn release(State(app): State<Arc<App>>, body: Option<Json<By>>) -> Result {
    with_status(&app, Ask::Release { by: by(body) }).await
}

/// `POST targets/{name}/unfreeze`
pub(super) async fn unfreeze(
    State(app): State<Arc<App>>,
    Path(target): Path<String>,
    body: Option<Json<By>>,
) -> Result {
    with_status(
        &app,
        Ask::Unfreeze {
            target,
            by: by(body),
        },
    )
    .await
}

/// `PUT trust`
pub(super) async fn trust(
    State(app): State<Arc<App>>,
    body: std::result::Result<Json<Trust>, JsonRejection>,
) -> Result {
    let Json(Trust { trust }) = body.map_err(refused_body)?;
    with_status(&app, Ask::Trust(trust)).await
}

async fn with_status(app: &App, question: Ask) -> Result {
    match ask(app, question).await? {
        Reply::Status => Ok(Json(&app.view.borrow().status).into_response()),
        other => unexpected(other),
    }
}

/// Puts a question to the loop, which answers within a turn.
async fn ask(app: &App, question: Ask) -> Result<Reply> {
    let gone = || ControlError::unavailable("the loop is shutting down");
    app.loop_mail.ask(question).await.ok_or_else(gone)
}

fn about_change(reply: Reply) -> Result {
    match reply {
        Reply::Change(change) => Ok(Json(change).into_response()),
        other => unexpected(other),
    }
}

fn unexpected(reply: Reply) -> Result {
    match reply {
        Reply::NotFound(what) => Err(ControlError::not_found(what)),
        Reply::Conflict(why) => Err(ControlError::conflict(why)),
        Reply::Unrecorded => Err(ControlError::unavailable(
            "the journal cannot be written: this is not on record; look at the status and ask again",
        )),
        Reply::Decision(_) | Reply::Change(_) | Reply::Status => Err(ControlError::unavailable(
            "the loop gave an answer to another question",
        )),
    }
}

fn by(body: Option<Json<By>>) -> String {
    body.and_then(|Json(by)| by.by)
        .filter(|b| !b.is_empty())
        .unwrap_or_else(|| "api".to_owned())
}

fn refused_body(rejection: JsonRejection) -> ControlError {
    ControlError::new(rejection.status(), "bad_request", rejection.body_text())
}

fn no_change(id: u64) -> ControlError {
    ControlError::not_found(format!("there is no change {id}"))
}

fn limit(params: &Params) -> Result<usize> {
    match params.get("limit") {
        None => Ok(LIST_DEFAULT),
        Some(text) => text
            .parse()
            .map_err(|_number| ControlError::bad(format!("limit: {text:?} is not a whole number"))),
    }
}
