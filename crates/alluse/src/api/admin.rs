//! Prometheus's admin API: snapshots and deletes; and snapshots handed out, for backups.
//!
//! Off unless `server.admin_api = true`: whoever reaches it can delete everything.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use store::{DeleteError, Store};

use super::{App, params::Params, problem::ApiError, problem::chain};

/// What the admin API works on.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) store: Arc<Store>,
    /// The data folder.
    pub(crate) data: PathBuf,
}

/// Bytes of a file sent at a time.
const CHUNK_BYTES: usize = 1 << 18;
/// Name of the journal in a data folder and in a snapshot.
const JOURNAL: &str = "journal.sqlite";

type Reply = Result<Response, ApiError>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/tsdb/snapshot", post(snapshot).put(snapshot))
        .route(
            "/tsdb/delete_series",
            post(delete_series).put(delete_series),
        )
        .route(
            "/tsdb/clean_tombstones",
            post(clean_tombstones).put(clean_tombstones),
        )
        .route("/snapshots/{name}", get(files).delete(drop_snapshot))
        .route("/snapshots/{name}/{file}", get(file))
}

/// Runs on a thread where it may block.
async fn run<T: Send + 'static>(
    app: Arc<App>,
    work: impl FnOnce(&Admin, &App) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let task = tokio::task::spawn_blocking(move || match &app.admin {
        Some(admin) => work(admin, &app),
        None => Err(ApiError::unavailable("admin APIs disabled")),
    });
    task.await
        .map_err(|e| ApiError::internal(format!("the request failed: {e}")))?
}

fn failed(error: &dyn std::error::Error) -> ApiError {
    ApiError::internal(chain(error))
}

/// `POST|PUT /api/v1/admin/tsdb/snapshot?skip_head=`: makes `store/snapshots/NAME` in the data
/// folder; with `journal=true` the journal's copy beside the store's files.
async fn snapshot(State(app): State<Arc<App>>, params: Params) -> Reply {
    let flag = |key: &str| match params.get(key).unwrap_or("false") {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        other => Err(ApiError::bad(format!(
            "invalid parameter {key:?}: {other:?}"
        ))),
    };
    let (skip_head, with_journal) = (flag("skip_head")?, flag("journal")?);
    let name = run(app, move |admin, app| {
        let now = date_name(app.clock.wall_ms());
        let name = format!("{now}-{:016x}", app.clock.monotonic().as_nanos());
        admin
            .store
            .snapshot(&name, !skip_head)
            .map_err(|e| failed(&e))?;
        if with_journal {
            let to = admin.folder(&name).join(JOURNAL);
            journal::Journal::back_up(admin.data.join(JOURNAL), to).map_err(|e| failed(&e))?;
        }
        Ok(name)
    });
    Ok(Json(json!({"status": "success", "data": {"name": name.await?}})).into_response())
}

/// As Prometheus names snapshots: `20171210T211224Z`.
fn date_name(ms: i64) -> String {
    let date = crate::store_cli::date(ms);
    let digits = date.split('.').next().unwrap_or(&date);
    format!("{}Z", digits.replace(['-', ':'], ""))
}

/// `POST|PUT /api/v1/admin/tsdb/delete_series?match[]=&start=&end=`
async fn delete_series(State(app): State<Arc<App>>, params: Params) -> Reply {
    let any_of = params.matchers()?;
    if any_of.is_empty() {
        return Err(ApiError::bad("no match[] parameter provided"));
    }
    let from_ms = params.time_ms("start")?.unwrap_or(i64::MIN);
    let to_ms = params.time_ms("end")?.unwrap_or(i64::MAX);
    run(app, move |admin, _| {
        let deleted = admin.store.delete(&any_of, from_ms, to_ms);
        deleted.map_err(|error| match error {
            DeleteError::EmptySelector => ApiError::bad(chain(&error)),
            DeleteError::TooMany => ApiError::unavailable(chain(&error)),
            DeleteError::Maintain(_) => failed(&error),
        })
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /api/v1/admin/tsdb/clean_tombstones`
async fn clean_tombstones(State(app): State<Arc<App>>) -> Reply {
    run(app, |admin, _| {
        admin.store.clean_tombstones().map_err(|e| failed(&e))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Admin {
    fn folder(&self, name: &str) -> PathBuf {
        self.data.join("store").join("snapshots").join(name)
    }

    /// The folder of a snapshot that is there.
    fn existing(&self, name: &str) -> Result<PathBuf, ApiError> {
        let folder = self.folder(plain(name)?);
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(ApiError::bad(format!("there is no snapshot {name:?}")))
    }
}

/// A name that stays where it is looked for.
fn plain(name: &str) -> Result<&str, ApiError> {
    let stays = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(stays) {
        return Ok(name);
    }
    Err(ApiError::bad(format!("{name:?} is not a name")))
}

fn list(folder: &FilePath) -> std::io::Result<Vec<serde_json::Value>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, entry.metadata()?.len()));
    }
    files.sort();
    let file = |(name, bytes)| json!({"name": name, "bytes": bytes});
    Ok(files.into_iter().map(file).collect())
}

/// `GET /api/v1/admin/snapshots/{name}`: its files.
async fn files(State(app): State<Arc<App>>, Path(name): Path<String>) -> Reply {
    let files = run(app, move |admin, _| {
        list(&admin.existing(&name)?).map_err(|e| failed(&e))
    });
    Ok(Json(json!({"status": "success", "data": files.await?})).into_response())
}

/// `GET /api/v1/admin/snapshots/{name}/{file}`: the bytes of one.
async fn file(State(app): State<Arc<App>>, Path((name, file)): Path<(String, String)>) -> Reply {
    let (mut open, bytes) = run(app, move |admin, _| {
        let path = admin.existing(&name)?.join(plain(&file)?);
        let open = std::fs::File::open(path).map_err(|e| failed(&e))?;
        let bytes = open.metadata().map_err(|e| failed(&e))?.len();
        Ok((open, bytes))
    })
    .await?;
    // A few chunks ahead of a reader that is slower than the disk.
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = std::io::Read::read(&mut open, &mut chunk).map(|n| {
                chunk.truncate(n);
                chunk
            });
            let last = read.as_ref().is_ok_and(Vec::is_empty) || read.is_err();
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_LENGTH, bytes)], body).into_response())
}

/// `DELETE /api/v1/admin/snapshots/{name}`
async fn drop_snapshot(State(app): State<Arc<App>>, Path(name): Path<String>) -> Reply {
    run(app, move |admin, _| {
        std::fs::remove_dir_all(admin.existing(&name)?).map_err(|e| failed(&e))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_named_as_prometheus_names_them() {
        assert_eq!(date_name(1_512_940_344_000), "20171210T211224Z");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert!(plain("part-0000000001.prt").is_ok());
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0"] {
            assert!(plain(name).is_err(), "{name:?}");
        }
    }
}
