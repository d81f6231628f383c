//! What Prometheus tells of itself under `/api/v1/status`, as far as there is something of the
//! kind to tell here.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::json;

use super::{
    App,
    prometheus::success,
    targets::{duration, rfc3339},
};

/// Version of Prometheus's API this server speaks; Grafana chooses its requests by it.
const API_LEVEL: &str = "3.0.0";

/// In Prometheus's order; what only a Go program has is empty.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    application: &'static str,
    application_version: &'static str,
}

/// `GET /api/v1/status/buildinfo`
pub(super) async fn build_info() -> Response {
    success(BuildInfo {
        version: API_LEVEL,
        revision: "",
        branch: "",
        build_user: "",
        build_date: "",
        go_version: "",
        application: "alluse",
        application_version: env!("CARGO_PKG_VERSION"),
    })
}

/// In Prometheus's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    start_time: String,
    #[serde(rename = "CWD")]
    working_directory: String,
    reload_config_success: bool,
    last_config_time: String,
    corruption_count: u64,
    /// Threads: what this program has in place of goroutines.
    goroutine_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    cores: usize,
    #[serde(rename = "GOGC")]
    go_gc: &'static str,
    #[serde(rename = "GODEBUG")]
    go_debug: &'static str,
    storage_retention: String,
}

/// `GET /api/v1/status/runtimeinfo`
pub(super) async fn runtime_info(State(app): State<Arc<App>>) -> Response {
    let (is_good, read_ms) = app.scraping.last_reading();
    let folder = std::env::current_dir().map(|path| path.display().to_string());
    success(RuntimeInfo {
        start_time: rfc3339(app.view.borrow().status.started_ms),
        working_directory: folder.unwrap_or_default(),
        reload_config_success: is_good,
        last_config_time: rfc3339(read_ms),
        corruption_count: app.store.as_ref().map_or(0, |store| {
            let stats = store.stats();
            stats.blocks_corrupt + stats.parts_quarantined + stats.wal_truncated
        }),
        goroutine_count: threads().unwrap_or(0),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        go_gc: "",
        go_debug: "",
        storage_retention: duration(app.config.store.retention),
    })
}

/// Threads of this process.
fn threads() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("Threads:"))?;
    line.trim().parse().ok()
}

/// `GET /api/v1/status/flags`: the settings in force, under the names Prometheus's flags have.
pub(super) async fn flags(State(app): State<Arc<App>>) -> Response {
    let (config, limits) = (&app.config, &app.engine.options().limits);
    let file = config.collect.prometheus_config.as_ref();
    let lookback_ms = u64::try_from(app.engine.options().lookback_ms).unwrap_or_default();
    let flags = BTreeMap::from([
        (
            "config.file",
            file.map_or_else(String::new, |f| f.display().to_string()),
        ),
        (
            "query.lookback-delta",
            duration(std::time::Duration::from_millis(lookback_ms)),
        ),
        (
            "query.max-concurrency",
            config.server.queries.running_max.to_string(),
        ),
        ("query.max-samples", limits.samples.to_string()),
        ("query.timeout", duration(config.server.query_timeout)),
        (
            "storage.tsdb.path",
            config.server.data.display().to_string(),
        ),
        (
            "storage.tsdb.retention.size",
            config.store.retention_bytes.to_string() + "B",
        ),
        (
            "storage.tsdb.retention.time",
            duration(config.store.retention),
        ),
        ("web.enable-admin-api", config.server.admin_api.to_string()),
        ("web.enable-lifecycle", true.to_string()),
        ("web.enable-remote-write-receiver", true.to_string()),
        ("web.listen-address", config.server.listen.to_string()),
    ]);
    success(flags)
}

/// `GET /api/v1/status/config`: the scrape configuration in force, without what may be secret.
pub(super) async fn config(State(app): State<Arc<App>>) -> Response {
    let mut yaml = String::from("global:\n");
    let external = app.scraping.external_labels();
    if !external.is_empty() {
        yaml.push_str("  external_labels:\n");
    }
    for (name, value) in external {
        writeln!(yaml, "    {name}: {value:?}").expect("a string takes text");
    }
    let jobs = app.scraping.jobs();
    if !jobs.is_empty() {
        yaml.push_str("scrape_configs:\n");
    }
    for job in jobs {
        let (interval, timeout) = (duration(job.interval), duration(job.timeout));
        write!(
            yaml,
            "- job_name: {:?}\n  scrape_interval: {interval}\n  scrape_timeout: {timeout}\n  \
             metrics_path: {:?}\n  scheme: {}\n",
            job.name, job.metrics_path, job.scheme
        )
        .expect("a string takes text");
    }
    success(json!({ "yaml": yaml }))
}

/// `GET /api/v1/status/walreplay`: the log is replayed before the server listens.
pub(super) async fn wal_replay() -> Response {
    success(json!({"min": 0, "max": 0, "current": 0, "state": "done"}))
}
