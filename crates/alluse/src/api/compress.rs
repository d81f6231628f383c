//! Bodies compressed with gzip for clients that take it.
//!
//! Only whole bodies of some size: below [`BYTES_MIN`] a packet is saved at most, and what is
//! streamed is sent as it comes. Level 1: it leaves a tenth of a matrix of 2 MB; zlib's level 6
//! takes over four times as long for another fortieth. zstd is not offered: what asks for
//! answers here, Go's HTTP client in Grafana and Prometheus, names gzip only.

use std::io::Write as _;

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use flate2::{Compression, write::GzEncoder};

/// Smallest body worth it, bytes.
const BYTES_MIN: u64 = 4 << 10;

/// Compresses what goes out, where that is wanted and worth it.
pub(super) async fn gzip(request: Request, next: Next) -> Response {
    let is_wanted = accepts_gzip(request.headers());
    let response = next.run(request).await;
    let size = response.body().size_hint().exact();
    let is_worth = size.is_some_and(|bytes| bytes >= BYTES_MIN)
        && !response.headers().contains_key(header::CONTENT_ENCODING)
        && is_text(response.headers());
    if !is_worth {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let vary = HeaderValue::from_static("accept-encoding");
    parts.headers.insert(header::VARY, vary);
    if !is_wanted {
        return Response::from_parts(parts, body);
    }
    let Ok(plain) = axum::body::to_bytes(body, usize::MAX).await else {
        // A whole body is in memory already: it cannot fail to come.
        return Response::from_parts(parts, Body::empty());
    };
    let original = plain.clone();
    let packed = tokio::task::spawn_blocking(move || packed(&plain)).await;
    let Ok(Ok(packed)) = packed else {
        return Response::from_parts(parts, Body::from(original));
    };
    let encoding = HeaderValue::from_static("gzip");
    parts.headers.insert(header::CONTENT_ENCODING, encoding);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

fn packed(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether `Accept-Encoding` names gzip, or everything, without forbidding it.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).iter();
    let said = said.filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|one| {
        let (name, rest) = one.split_once(';').unwrap_or((one, ""));
        let is_gzip = matches!(name.trim(), "gzip" | "x-gzip" | "*");
        is_gzip && !is_zero(rest)
    })
}

/// Whether parameters are a quality of zero.
fn is_zero(parameters: &str) -> bool {
    let quality = parameters.trim().strip_prefix("q=");
    quality.is_some_and(|q| q.trim().parse::<f64>().is_ok_and(|q| q == 0.0))
}

/// Whether the body is text: what else there is, is compressed already.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/json")
        || kind.starts_with("application/javascript")
        || kind.starts_with("text/") && !kind.starts_with("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_forbidden() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip") && accepts("deflate, gzip;q=0.5, br") && accepts("*"));
        assert!(!accepts("identity") && !accepts("gzip;q=0") && !accepts("br, zstd"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
