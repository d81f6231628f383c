//! The HTTP exchange of one scrape, bounded in time and bytes.

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::{ScrapeError, Target};
use crate::exposition::Format;

/// What we read, best first (Prometheus 3's order, without protobuf).
const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                        application/openmetrics-text;version=0.0.1;q=0.5,\
                        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// Fetches a target's body, and says how to read it.
pub(super) async fn fetch(
    client: &reqwest::Client,
    target: &Target,
    body: &mut Vec<u8>,
) -> Result<Format, ScrapeError> {
    let timeout = target.timeout.min(target.interval);
    let exchange = tokio::time::timeout(timeout, exchange(client, target, timeout, body));
    match exchange.await {
        Ok(fetched) => fetched,
        Err(_elapsed) => Err(ScrapeError::Timeout {
            url: target.url.clone(),
            timeout,
        }),
    }
}

async fn exchange(
    client: &reqwest::Client,
    target: &Target,
    timeout: Duration,
    body: &mut Vec<u8>,
) -> Result<Format, ScrapeError> {
    body.clear();
    let failed = |source| ScrapeError::Fetch {
        url: target.url.clone(),
        source,
    };
    let mut request = client.get(&target.url).header(ACCEPT, ACCEPTED).header(
        "X-Prometheus-Scrape-Timeout-Seconds",
        timeout.as_secs_f64().to_string(),
    );
    if target.gzip {
        request = request.header(ACCEPT_ENCODING, "gzip");
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(ScrapeError::Status {
            url: target.url.clone(),
            status,
        });
    }
    let format =
        Format::from_content_type(text(response.headers(), &CONTENT_TYPE), target.fallback)?;
    let too_large = || ScrapeError::TooLarge {
        url: target.url.clone(),
        limit: target.limits.body_bytes,
    };
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > target.limits.body_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    if text(response.headers(), &CONTENT_ENCODING) == Some("gzip") {
        unpack(target, body)?;
    }
    Ok(format)
}

fn text<'h>(headers: &'h HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'h str> {
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
