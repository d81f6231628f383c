//! The HTTP API: the route table, and what its handlers share.

pub(crate) mod admin;
mod alert_dependencies;
mod alert_history;
mod alertmanager;
mod compress;
pub(crate) mod control;
pub(crate) mod convert;
mod exemplars;
mod explain;
mod export;
mod federate;
pub(crate) mod feed;
mod health;
pub(crate) mod ingest;
pub(crate) mod live;
mod names;
pub(crate) mod params;
pub(crate) mod problem;
mod prometheus;
mod quality;
mod queries;
mod remote_read;
mod rules;
mod status;
mod streams;
mod syntax;
pub(crate) mod targets;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use model::{Clock, SeriesReader};
use query::Engine;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::{
    config::Config, health::Health, mailbox::Mailbox, measure::Measure, queries::Queries,
    ruling::Ruling, scraping::Scraping, telemetry::Telemetry, ui, view::View,
};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reader: Reader,
    pub(crate) engine: Engine,
    pub(crate) measure: Measure,
    /// The loop's state as of its last turn.
    pub(crate) view: watch::Receiver<View>,
    pub(crate) loop_mail: Mailbox,
    pub(crate) events: broadcast::Sender<live::Signal>,
    /// Queries that wait and run, and their places.
    pub(crate) queries: Arc<Queries>,
    /// Places for live pages.
    pub(crate) live: Arc<Semaphore>,
    pub(crate) telemetry: Arc<Telemetry>,
    /// How each subsystem fares; each registers itself.
    pub(crate) health: Arc<Health>,
    pub(crate) collector: collect::Handle,
    /// `None` unless the configuration asks for it.
    pub(crate) admin: Option<admin::Admin>,
    pub(crate) scraping: Arc<Scraping>,
    pub(crate) ruling: Arc<Ruling>,
    /// What senders push, and where it goes.
    pub(crate) doors: ingest::Doors,
    /// Who answers queries whole, when samples are kept elsewhere.
    pub(crate) answers: Option<Arc<remote::RemoteReader>>,
    /// The embedded store, where samples are kept here.
    pub(crate) store: Option<Arc<store::Store>>,
    /// What is stored, for readers that subscribe, and their places.
    pub(crate) feed: store::Feed,
    /// What the streams did, where the configuration has any.
    pub(crate) streams: Option<Arc<crate::streams::Streams>>,
    pub(crate) feeds: Arc<Semaphore>,
    /// Who is told of alerts.
    pub(crate) notifying: Arc<crate::notifying::Notifying>,
}

/// A shared reader of series.
#[derive(Clone)]
pub(crate) struct Reader(pub(crate) Arc<dyn SeriesReader>);

impl Reader {
    fn as_ref(&self) -> &dyn SeriesReader {
        self.0.as_ref()
    }
}

impl std::ops::Deref for Reader {
    type Target = dyn SeriesReader;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = DefaultBodyLimit::max(app.config.server.body_bytes_max);
    Router::new()
        .nest(
            "/api/v1",
            prometheus_routes().merge(alertmanager::own_routes()),
        )
        .nest("/api/v2", alertmanager::routes())
        .nest("/api/v1/admin", admin::routes())
        .nest("/api/v1/loop", loop_routes())
        .route("/-/reload", post(targets::reload).put(targets::reload))
        .merge(health::routes())
        .merge(ingest::routes())
        .route("/", get(ui::index))
        .route("/graph", get(ui::graph))
        .route("/query", get(ui::graph))
        .route("/favicon.svg", get(ui::icon))
        .route("/assets/{*path}", get(ui::asset))
        .route("/federate", get(federate::federate))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(body_limit)
        .layer(middleware::from_fn(compress::compress))
        .with_state(app)
}

/// Nothing of that name, in Prometheus's words.
async fn unknown(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS && uri.path().starts_with("/api/v1/") {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// Something of that name, but not for this method. `OPTIONS` is answered as Prometheus answers
/// it, without leave for pages of other origins.
async fn not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response()
}

fn prometheus_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/query", get(prometheus::instant).post(prometheus::instant))
        .route(
            "/query_range",
            get(prometheus::range).post(prometheus::range),
        )
        .route("/labels", get(names::label_names).post(names::label_names))
        .route("/label/{name}/values", get(names::label_values))
        .route("/series", get(names::series).post(names::series))
        .route("/metadata", get(names::metadata))
        .route(
            "/query_exemplars",
            get(exemplars::query).post(exemplars::query),
        )
        .route("/feed", get(feed::stream))
        .route("/streams", get(streams::all))
        .route("/streams/{name}/dead_letters", get(streams::dead_letters))
        .route("/rules", get(rules::rules))
        .route("/alerts", get(rules::alerts))
        .route("/alerts/history", get(alert_history::history))
        .route(
            "/alerts/dependencies",
            get(alert_dependencies::dependencies),
        )
        .route("/targets", get(targets::targets))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/export", get(export::json_lines).post(export::json_lines))
        .route(
            "/format_query",
            get(syntax::format_query).post(syntax::format_query),
        )
        .route(
            "/explain_query",
            get(explain::explain_query).post(explain::explain_query),
        )
        .route(
            "/parse_query",
            get(syntax::parse_query).post(syntax::parse_query),
        )
        .route("/read", post(remote_read::read))
        .route("/targets/metadata", get(names::target_metadata))
        .route(
            "/quarantine",
            get(quality::quarantine).post(quality::quarantine),
        )
        .route("/health", get(health::subsystems))
        .merge(queries::routes())
        .route("/status/tsdb", get(quality::tsdb))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/flags", get(status::flags))
        .route("/status/config", get(status::config))
        .route("/status/walreplay", get(status::wal_replay))
}

fn loop_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/status", get(control::status))
        .route("/targets", get(control::targets))
        .route("/targets/{name}/unfreeze", post(control::unfreeze))
        .route("/changes", get(control::changes))
        .route("/changes/{id}", get(control::change))
        .route("/changes/{id}/approve", post(control::approve))
        .route("/changes/{id}/reject", post(control::reject))
        .route("/changes/{id}/undo", post(control::undo))
        .route("/proposals", post(control::propose))
        .route("/red-button", post(control::press).delete(control::release))
        .route("/trust", put(control::trust))
        .route("/decisions", get(control::decisions))
        .route("/studies", get(control::studies))
        .route("/studies/{id}/stop", post(control::stop_study))
        .route("/findings", get(control::findings))
        .route("/report", get(control::report))
        .route("/live", get(live::stream))
}
