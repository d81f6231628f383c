//! The HTTP exchange of one scrape, bounded in time and bytes.

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};

use super::{ScrapeError, Target};
use crate::{
    exposition::Format,
    http::{HttpClient, HttpError, read_body},
};

/// Fetches a target's body, and says how to read it.
pub(super) async fn fetch(
    client: &HttpClient,
    target: &Target,
    accept: &str,
    body: &mut Vec<u8>,
) -> Result<Format, ScrapeError> {
    let timeout = target.timeout.min(target.interval);
    let exchange = tokio::time::timeout(timeout, exchange(client, target, accept, body));
    match exchange.await {
        Ok(fetched) => fetched,
        Err(_elapsed) => Err(ScrapeError::Timeout {
            url: target.url.clone(),
            timeout,
        }),
    }
}

async fn exchange(
    client: &HttpClient,
    target: &Target,
    accept: &str,
    body: &mut Vec<u8>,
) -> Result<Format, ScrapeError> {
    let failed = |source| match source {
        HttpError::TooLarge { url, limit } => ScrapeError::TooLarge { url, limit },
        source => ScrapeError::Fetch {
            url: target.url.clone(),
            source,
        },
    };
    let response = client.get(&target.url, &headers(target, accept)).await;
    let response = response.map_err(failed)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(ScrapeError::Status {
            url: target.url.clone(),
            status,
        });
    }
    let (head, stream) = response.into_parts();
    let format = Format::from_content_type(text(&head.headers, &CONTENT_TYPE), target.fallback)?;
    let read = read_body(&target.url, stream, target.limits.body_bytes, body);
    read.await.map_err(failed)?;
    if text(&head.headers, &CONTENT_ENCODING) == Some("gzip") {
        unpack(target, body)?;
    }
    Ok(format)
}

fn headers(target: &Target, accept: &str) -> HeaderMap {
    let timeout = target.timeout.min(target.interval).as_secs_f64();
    let said = |text: &str| HeaderValue::try_from(text).expect("plain ASCII");
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, said(accept));
    headers.insert(
        HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
        said(&timeout.to_string()),
    );
    if target.gzip {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Replaces a gzip body by what it holds; never more than the limit and one byte is unpacked.
fn unpack(target: &Target, body: &mut Vec<u8>) -> Result<(), ScrapeError> {
    use std::io::Read;
    let limit = target.limits.body_bytes;
    let mut plain = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body.as_slice()).take(limit as u64 + 1);
    let read = reader.read_to_end(&mut plain);
    read.map_err(|source| ScrapeError::Encoding {
        url: target.url.clone(),
        source,
    })?;
    if plain.len() > limit {
        return Err(ScrapeError::TooLarge {
            url: target.url.clone(),
            limit,
        });
    }
    *body = plain;
    Ok(())
}
