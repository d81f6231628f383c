//! The HTTP API: routes, and the way every request takes.
//!
//! A request is dated when its head has arrived, waits its turn in the executor, does its work,
//! and is timed from arrival to answer. `/healthz`, `/metrics` and `/knobs` do not queue: a
//! service that is overloaded must still be seen and helped.

mod bodies;
mod extract;
mod handlers;
mod problem;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use runtime::{
    Clock, Executor,
    metrics::{Format, Registry},
};

use self::{extract::Arrival, problem::Problem};
use crate::{
    ledger::Ledger,
    store::Failure,
    telemetry::{Ending, Operation, Telemetry},
};

/// Bytes of a request's body: the largest, a merge of ten accounts, has about 300.
const BODY_LIMIT: usize = 16 * 1_024;

/// What every handler can reach.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) ledger: Ledger,
    pub(crate) executor: Executor,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) metrics: Registry,
    pub(crate) clock: Clock,
}

/// A body that is JSON already.
struct Reply {
    status: StatusCode,
    json: String,
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let account = get(handlers::account)
        .patch(handlers::rename)
        .delete(handlers::close);
    Router::new()
        .route(
            "/accounts",
            post(handlers::open_account).get(handlers::list),
        )
        .route("/accounts/{id}", account)
        .route("/accounts/{id}/status", post(handlers::set_state))
        .route("/accounts/{id}/transactions", post(handlers::book))
        .route("/accounts/{id}/fork", post(handlers::fork))
        .route("/accounts/{id}/reinvest", post(handlers::reinvest))
        .route("/accounts/{id}/analytics", get(handlers::analytics))
        .route("/accounts/{id}/lineage", get(handlers::lineage))
        .route("/portfolios", post(handlers::open_portfolio))
        .route("/portfolios/{id}/merge", post(handlers::merge_portfolio))
        .route("/transfers", post(handlers::transfer))
        .route("/merges", post(handlers::merge))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { Problem::NO_ROUTE.into_response() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

impl App {
    /// The way of a request: wait, work, answer, count.
    async fn serve(
        &self,
        operation: Operation,
        arrival: Arrival,
        work: impl Future<Output = Result<Reply, Failure>>,
    ) -> Response {
        let result = match self.executor.enter().await {
            Ok(_admission) => work.await.map_err(Problem::from),
            Err(_busy) => Err(Problem::QUEUE_FULL),
        };
        let ending = match &result {
            Ok(_) => Ending::Ok,
            Err(problem) => problem.ending(),
        };
        let response = match result {
            Ok(reply) => reply.into_response(),
            Err(problem) => self.refuse(problem),
        };
        let metrics = self.telemetry.operation(operation);
        let took = self.clock.now().saturating_sub(arrival.0);
        metrics.duration.observe_duration(took);
        metrics.ended(ending);
        response
    }

    fn refuse(&self, problem: Problem) -> Response {
        self.telemetry.error(problem.class());
        problem.into_response()
    }
}

impl Reply {
    fn ok(json: String) -> Self {
        let status = StatusCode::OK;
        Self { status, json }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (self.status, json, self.json).into_response()
    }
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let kind = [(header::CONTENT_TYPE, format.content_type())];
    (kind, app.metrics.render(format)).into_response()
}
