//! The dashboard: files built from `web/` and embedded by `build.rs`; without them, a page that
//! says how to get it.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};

use crate::api::params::Params;

/// One embedded file.
struct File {
    path: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// What a page of ours may do: nothing but talk to where it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

const ABSENT: &str = "<!doctype html><title>ALL-USE</title><p>This server was built without the \
    dashboard. Build it with <code>cargo xtask web</code> (needs Node 20), then build the server \
    again. The API is at <code>/api/v1</code>.";

/// `GET /`
pub(crate) async fn index() -> Response {
    match find("index.html") {
        Some(file) => reply(file),
        None => (StatusCode::NOT_FOUND, Html(ABSENT)).into_response(),
    }
}

/// `GET /graph?g0.expr=`, `GET /query?g0.expr=`: where links of Prometheus's alerts and of other
/// programs lead, sent on to the page that shows such an expression.
pub(crate) async fn graph(params: Params) -> Redirect {
    let expression = params.get("g0.expr").unwrap_or_default();
    let encoded: String = expression.bytes().map(encoded).collect();
    Redirect::to(&format!("/#/explore?expr={encoded}"))
}

/// A byte as it stands in an address.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// `GET /assets/{path}`
pub(crate) async fn asset(Path(path): Path<String>) -> Response {
    match find(&format!("assets/{path}")) {
        Some(file) => reply(file),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /favicon.svg`
pub(crate) async fn icon() -> Response {
    find("favicon.svg").map_or_else(|| StatusCode::NOT_FOUND.into_response(), reply)
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|f| f.path == path)
}

fn reply(file: &'static File) -> Response {
    // Assets carry the hash of their content in their name; the page itself must be asked anew.
    let keep = if file.path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, kind(file.path)),
        (header::CACHE_CONTROL, keep),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, file.bytes).into_response()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
