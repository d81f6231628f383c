//! A backup taken over HTTP: a snapshot on the server, fetched file by file, then dropped there.

use std::{io::Write as _, path::Path};

use serde_json::Value;

use super::{STORE, cannot, create, manifest::is_inside};
use crate::{Failure, store_cli::bytes_bar};

/// Fetches a snapshot of the server at `url` into a backup's folder.
pub(super) fn fetch(url: &str, to: &Path, quiet: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::of(&error))?;
    runtime.block_on(async {
        let api = format!("{}/api/v1/admin", url.trim_end_matches('/'));
        let client = reqwest::Client::new();
        let made = client.post(format!("{api}/tsdb/snapshot?journal=true"));
        let made = answer(made).await?;
        let name = made["data"]["name"].as_str().unwrap_or_default().to_owned();
        let snapshot = format!("{api}/snapshots/{name}");
        let fetched = fetch_all(&client, &snapshot, to, quiet).await;
        // A snapshot left behind costs space, nothing else.
        let dropped = answer(client.delete(&snapshot)).await;
        fetched.and(dropped.map(drop))
    })
}

async fn fetch_all(
    client: &reqwest::Client,
    snapshot: &str,
    to: &Path,
    quiet: bool,
) -> Result<(), Failure> {
    let listed = answer(client.get(snapshot)).await?;
    let files: Vec<(&str, u64)> = listed["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|f| Some((f["name"].as_str()?, f["bytes"].as_u64()?)))
        .collect();
    let bar = bytes_bar("fetching", quiet);
    bar.set_length(files.iter().map(|(_, bytes)| bytes).sum());
    for (name, bytes) in files {
        if !is_inside(name) || name.contains('/') {
            return Err(Failure::new(format!(
                "alluse: the server names a file {name:?}"
            )));
        }
        let path = match name {
            super::JOURNAL => to.join(name),
            _ => to.join(STORE).join(name),
        };
        let mut out = create(&path)?;
        let reply = client.get(format!("{snapshot}/{name}")).send().await;
        let mut reply = reply
            .and_then(reqwest::Response::error_for_status)
            .map_err(|e| Failure::of(&e))?;
        let mut got = 0;
        while let Some(chunk) = reply.chunk().await.map_err(|e| Failure::of(&e))? {
            out.write_all(&chunk)
                .map_err(cannot(format!("write {name}")))?;
            got += chunk.len() as u64;
            bar.inc(chunk.len() as u64);
        }
        if got != bytes {
            let message = format!("alluse: {name} came as {got} bytes instead of {bytes}");
            return Err(Failure::new(message));
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A reply of the API that says success.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value, Failure> {
    let reply = request.send().await.map_err(|e| Failure::of(&e))?;
    let status = reply.status();
    let text = reply.text().await.map_err(|e| Failure::of(&e))?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(json);
    }
    let reason = json["error"].as_str().unwrap_or("no reason given");
    Err(Failure::new(format!(
        "alluse: the server says {status}: {reason}"
    )))
}
