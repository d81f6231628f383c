//! Alertmanager's API, version 2 (`/api/v2`), so that its clients work here: alerts in from
//! anybody, alerts, groups and silences out; and, beside it, acknowledgement.
//!
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use model::{Alert, Labels, MatchOp, Matcher};
use notify::{
    Acknowledgement, AlertStatus, Fingerprint, GroupStatus, Silence, SilenceDraft, SilenceRefusal,
    matchers,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, params::Params, prometheus::success, targets::rfc3339};

/// Alerts in one request.
const ALERTS_MAX: usize = 10_000;

/// Labels of an alert, and bytes of one value: the limits of ingest.
const LABELS_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 4 << 10;

/// `/api/v2`
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/alerts", get(alerts).post(receive))
        .route("/alerts/groups", get(groups))
        .route("/silences", get(silences).post(set_silence))
        .route("/silence/{id}", get(silence).delete(expire))
        .route("/receivers", get(receivers))
        .route("/status", get(status))
}

/// What there is beside it under `/api/v1`.
pub(super) fn own_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/alertmanagers", get(alertmanagers))
        .route(
            "/alerts/{fingerprint}/ack",
            post(acknowledge).delete(unacknowledge),
        )
        .route("/receivers/{name}/test", post(test))
}

/// An error as Alertmanager gives it: a text, as JSON.
#[derive(Debug)]
pub(super) struct Refused(StatusCode, String);

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    fn missing(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<SilenceRefusal> for Refused {
    fn from(refusal: SilenceRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            SilenceRefusal::Unknown(_) => Self::missing(message),
            SilenceRefusal::TooMany => Self(StatusCode::TOO_MANY_REQUESTS, message),
            SilenceRefusal::Expired(_) => Self(StatusCode::CONFLICT, message),
            SilenceRefusal::Everything | SilenceRefusal::Ended | SilenceRefusal::Anonymous => {
                Self::bad(message)
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedAlert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// `POST /api/v2/alerts`
async fn receive(
    State(app): State<Arc<App>>,
    body: Result<Json<Vec<PostedAlert>>, axum::extract::rejection::JsonRejection>,
) -> Result<StatusCode, Refused> {
    let Json(posted) = body.map_err(|error| Refused(error.status(), error.body_text()))?;
    if posted.len() > ALERTS_MAX {
        return Err(Refused::bad(format!(
            "more than {ALERTS_MAX} alerts in a request"
        )));
    }
    let now_ms = app.clock.wall_ms();
    let alerts: Result<Vec<Alert>, Refused> = posted
        .into_iter()
        .map(|alert| meant(alert, now_ms, app.notifying.resolve_timeout_ms()))
        .collect();
    app.notifying.receive(&alerts?);
    Ok(StatusCode::OK)
}

fn meant(posted: PostedAlert, now_ms: i64, resolve_ms: i64) -> Result<Alert, Refused> {
    let is_long = posted
        .labels
        .values()
        .any(|value| value.len() > VALUE_BYTES_MAX);
    if posted.labels.len() > LABELS_MAX || is_long {
        return Err(Refused::bad(format!(
            "an alert has at most {LABELS_MAX} labels of {VALUE_BYTES_MAX} bytes each"
        )));
    }
    let labels = Labels::from_pairs(posted.labels);
    if labels.is_empty() {
        return Err(Refused::bad("an alert needs at least one label"));
    }
    let (starts, ends) = (time(posted.starts_at)?, time(posted.ends_at)?);
    let ends_at_ms = ends.unwrap_or(now_ms.saturating_add(resolve_ms));
    let starts_at_ms = starts.unwrap_or(now_ms.min(ends_at_ms));
    if ends_at_ms < starts_at_ms {
        return Err(Refused::bad("an alert ends before it starts"));
    }
    Ok(Alert {
        labels,
        annotations: posted.annotations,
        starts_at_ms,
        ends_at_ms,
        // Alertmanager's alerts have none.
        value: f64::NAN,
        generator_url: posted.generator_url,
    })
}

/// A time of RFC 3339; the year 1 is Go's way to say nothing.
fn time(text: Option<String>) -> Result<Option<i64>, Refused> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01")) else {
        return Ok(None);
    };
    let ms = super::params::time_ms(&text);
    ms.map(Some)
        .ok_or_else(|| Refused::bad(format!("{text:?} is not a time")))
}

/// What a listing asks for.
struct Wanted {
    matchers: Vec<Matcher>,
    receiver: Option<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

impl Wanted {
    fn of(params: &Params) -> Result<Self, Refused> {
        let flag = |key| params.get(key) != Some("false");
        let receiver = params.get("receiver").filter(|text| !text.is_empty());
        let receiver = receiver.map(|text| Matcher::new("receiver", MatchOp::Regex, text));
        Ok(Self {
            matchers: filters(params)?,
            receiver: receiver
                .transpose()
                .map_err(|error| Refused::bad(error.to_string()))?,
            active: flag("active"),
            silenced: flag("silenced"),
            inhibited: flag("inhibited"),
        })
    }

    fn takes(&self, status: &AlertStatus) -> bool {
        let is_inhibited = status.inhibited_by.is_some() || status.root.is_some();
        let is_state = match (status.silenced_by.is_some(), is_inhibited) {
            (true, _) => self.silenced,
            (false, true) => self.inhibited,
            (false, false) => self.active,
        };
        let is_receiver = self.receiver.as_ref().is_none_or(|wanted| {
            status
                .receivers
                .iter()
                .any(|receiver| wanted.matches(receiver))
        });
        is_state && is_receiver && matchers::all_match(&self.matchers, &status.alert.labels)
    }
}

fn filters(params: &Params) -> Result<Vec<Matcher>, Refused> {
    let mut all = Vec::new();
    for filter in params.all("filter") {
        all.extend(matchers::parse(filter).map_err(Refused::bad)?);
    }
    Ok(all)
}

/// `GET /api/v2/alerts`
async fn alerts(State(app): State<Arc<App>>, params: Params) -> Result<Response, Refused> {
    let wanted = Wanted::of(&params)?;
    let firing = app
        .notifying
        .with(|notifier, now_ms| notifier.firing(now_ms));
    let shown: Vec<Value> = firing
        .iter()
        .filter(|s| wanted.takes(s))
        .map(|s| alert(&app, s))
        .collect();
    Ok(Json(shown).into_response())
}

/// `GET /api/v2/alerts/groups`
async fn groups(State(app): State<Arc<App>>, params: Params) -> Result<Response, Refused> {
    let wanted = Wanted::of(&params)?;
    let groups = app
        .notifying
        .with(|notifier, now_ms| notifier.groups(now_ms));
    let shown = groups.iter().filter_map(|group: &GroupStatus| {
        let alerts = group.alerts.iter().filter(|status| wanted.takes(status));
        let alerts: Vec<Value> = alerts.map(|status| alert(&app, status)).collect();
        let receiver = json!({"name": group.receiver});
        (!alerts.is_empty())
            .then(|| json!({"labels": group.labels, "receiver": receiver, "alerts": alerts}))
    });
    Ok(Json(shown.collect::<Vec<_>>()).into_response())
}

/// As Alertmanager's `gettableAlert`; `value`, `root`, `told`, `escalation` and `acknowledged`
/// are ours.
fn alert(app: &App, status: &AlertStatus) -> Value {
    let alert = &status.alert;
    let receivers: Vec<Value> = status
        .receivers
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let inhibited: Vec<String> = status
        .inhibited_by
        .iter()
        .chain(&status.root)
        .map(ToString::to_string)
        .collect();
    let acknowledged = status
        .acknowledged
        .as_ref()
        .map(|ack| json!({"by": ack.by, "comment": ack.comment, "at": rfc3339(ack.at_ms)}));
    let url = app.notifying.external_url();
    json!({
        "fingerprint": status.fingerprint.to_string(),
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339(alert.starts_at_ms),
        "endsAt": rfc3339(alert.ends_at_ms),
        "updatedAt": rfc3339(status.updated_at_ms),
        "generatorURL": crate::notifying::message::linked(&url, &alert.generator_url),
        "receivers": receivers,
        "status": {
            "state": status.state().as_str(),
            "silencedBy": status.silenced_by.iter().collect::<Vec<_>>(),
            "inhibitedBy": inhibited,
            "mutedBy": [],
        },
        "value": if alert.value.is_nan() { Value::Null } else { alert.value.to_string().into() },
        "root": status.root.map(|root| root.to_string()),
        "told": status.is_told,
        "escalation": status.level,
        "acknowledged": acknowledged,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: String,
    ends_at: String,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl PostedMatcher {
    fn meant(self) -> Result<Matcher, Refused> {
        let op = match (self.is_regex, self.is_equal) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        };
        let matcher = Matcher::new(self.name, op, self.value);
        matcher.map_err(|error| Refused::bad(format!("invalid matcher: {error}")))
    }
}

/// `POST /api/v2/silences`; answered when the silence is on the disk.
async fn set_silence(
    State(app): State<Arc<App>>,
    body: Result<Json<PostedSilence>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Refused> {
    let Json(posted) = body.map_err(|error| Refused(error.status(), error.body_text()))?;
    let needed = |text: String| {
        let missing = || Refused::bad("a silence has a start and an end");
        time(Some(text))?.ok_or_else(missing)
    };
    let matchers: Result<Vec<Matcher>, Refused> = posted
        .matchers
        .into_iter()
        .map(PostedMatcher::meant)
        .collect();
    let draft = SilenceDraft {
        replaces: posted.id.filter(|id| !id.is_empty()),
        matchers: matchers?,
        starts_at_ms: needed(posted.starts_at)?,
        ends_at_ms: needed(posted.ends_at)?,
        created_by: posted.created_by,
        comment: posted.comment,
    };
    let id = app
        .notifying
        .with(|notifier, now_ms| notifier.silence(draft, uuid(), now_ms))?;
    saved(&app).await?;
    Ok(Json(json!({"silenceID": id})).into_response())
}

/// Random, of version 4: from the process's hashing keys, as nobody has to be kept from guessing.
fn uuid() -> String {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(0_u8);
    let (high, low) = (half(), half());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff,
    )
}

async fn saved(app: &App) -> Result<(), Refused> {
    let saved = app.notifying.save().await;
    saved.map_err(|error| {
        let what = format!("done, but not on the disk: a restart would lose it: {error}");
        Refused(StatusCode::INTERNAL_SERVER_ERROR, what)
    })
}

/// `GET /api/v2/silences`
async fn silences(State(app): State<Arc<App>>, params: Params) -> Result<Response, Refused> {
    let wanted = filters(&params)?;
    // As Alertmanager: a filter holds if the values the silence names satisfy it.
    let takes = |silence: &&Silence| {
        wanted.iter().all(|filter| {
            let mut same = silence.matchers.iter().filter(|m| m.name == filter.name);
            same.any(|matcher| filter.matches(&matcher.value))
        })
    };
    let shown: Vec<Value> = app.notifying.with(|notifier, now_ms| {
        let all = notifier.silences().filter(takes);
        all.map(|silence| shown_silence(silence, now_ms)).collect()
    });
    Ok(Json(shown).into_response())
}

/// `GET /api/v2/silence/{id}`
async fn silence(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refused> {
    let found = app.notifying.with(|notifier, now_ms| {
        let found = notifier.silence_of(&id);
        found.map(|silence| shown_silence(silence, now_ms))
    });
    let found = found.ok_or_else(|| Refused::missing(format!("there is no silence {id}")))?;
    Ok(Json(found).into_response())
}

/// `DELETE /api/v2/silence/{id}`
async fn expire(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    app.notifying
        .with(|notifier, now_ms| notifier.expire_silence(&id, now_ms))?;
    saved(&app).await?;
    Ok(StatusCode::OK)
}

fn shown_silence(silence: &Silence, now_ms: i64) -> Value {
    let matcher = |m: &Matcher| {
        json!({
            "name": m.name,
            "value": m.value,
            "isRegex": matches!(m.op, MatchOp::Regex | MatchOp::NotRegex),
            "isEqual": matches!(m.op, MatchOp::Equal | MatchOp::Regex),
        })
    };
    json!({
        "id": silence.id,
        "status": {"state": silence.state(now_ms).as_str()},
        "matchers": silence.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "startsAt": rfc3339(silence.starts_at_ms),
        "endsAt": rfc3339(silence.ends_at_ms),
        "updatedAt": rfc3339(silence.updated_at_ms),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    })
}

/// `GET /api/v2/receivers`
async fn receivers(State(app): State<Arc<App>>) -> Response {
    let names = app.notifying.with(|notifier, _| names_of(notifier));
    let shown: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    Json(shown).into_response()
}

fn names_of(notifier: &notify::Notifier) -> Vec<String> {
    notifier.plan().receivers().map(str::to_owned).collect()
}

/// `GET /api/v2/status`
async fn status(State(app): State<Arc<App>>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let started_ms = app.view.borrow().status.started_ms;
    Json(json!({
        "cluster": {"status": "disabled", "peers": []},
        "versionInfo": {
            "version": version, "revision": "", "branch": "", "buildUser": "", "buildDate": "",
            "goVersion": "",
        },
        // Not shown: it names addresses that are secrets.
        "config": {"original": ""},
        "uptime": rfc3339(started_ms),
    }))
    .into_response()
}

/// `GET /api/v1/alertmanagers`, in Prometheus's shape.
async fn alertmanagers(State(app): State<Arc<App>>) -> Response {
    let (told, dropped) = app.notifying.alertmanagers().urls();
    let rows = |urls: Vec<String>| -> Vec<Value> {
        urls.into_iter().map(|url| json!({"url": url})).collect()
    };
    success(json!({"activeAlertmanagers": rows(told), "droppedAlertmanagers": rows(dropped)}))
}

#[derive(Debug, Default, Deserialize)]
struct PostedAcknowledgement {
    #[serde(default)]
    by: String,
    #[serde(default)]
    comment: String,
}

/// `POST /api/v1/alerts/{fingerprint}/ack`, `{"by": "...", "comment": "..."}`.
async fn acknowledge(
    State(app): State<Arc<App>>,
    Path(fingerprint): Path<String>,
    body: Result<Json<PostedAcknowledgement>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Refused> {
    let Json(posted) = body.map_err(|error| Refused(error.status(), error.body_text()))?;
    if posted.by.is_empty() {
        return Err(Refused::bad("who acknowledges? give `by`"));
    }
    let fingerprint = named(&fingerprint)?;
    let done = app.notifying.with(|notifier, now_ms| {
        let acknowledgement = Acknowledgement {
            by: posted.by,
            comment: posted.comment,
            at_ms: now_ms,
        };
        notifier.acknowledge(fingerprint, acknowledgement)
    });
    done.map_err(|error| Refused::missing(error.to_string()))?;
    saved(&app).await?;
    Ok(success(json!({"fingerprint": fingerprint.to_string()})))
}

/// `DELETE /api/v1/alerts/{fingerprint}/ack`
async fn unacknowledge(
    State(app): State<Arc<App>>,
    Path(fingerprint): Path<String>,
) -> Result<Response, Refused> {
    let fingerprint = named(&fingerprint)?;
    let done = app
        .notifying
        .with(|notifier, _| notifier.unacknowledge(fingerprint));
    done.map_err(|error| Refused::missing(error.to_string()))?;
    saved(&app).await?;
    Ok(success(json!({"fingerprint": fingerprint.to_string()})))
}

fn named(text: &str) -> Result<Fingerprint, Refused> {
    let found = Fingerprint::parse(text);
    found.ok_or_else(|| {
        Refused::bad(format!(
            "{text:?} is not a fingerprint: sixteen hexadecimal digits"
        ))
    })
}

/// `POST /api/v1/receivers/{name}/test`: a test notification by each of its ways, now.
async fn test(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refused> {
    let results = app.notifying.test(&name).await;
    let results = results.ok_or_else(|| {
        let known = app
            .notifying
            .with(|notifier, _| names_of(notifier))
            .join(", ");
        Refused::missing(format!(
            "no receiver {name:?} has a way to be told; there are: {known}"
        ))
    })?;
    let shown = results.into_iter().map(
        |(way, result)| json!({"way": way, "error": result.err().map(|error| error.to_string())}),
    );
    Ok(success(shown.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_silences_are_uuids_of_version_4() {
        let (one, other) = (uuid(), uuid());
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{one}");
        assert!(
            one.as_bytes()[14] == b'4' && b"89ab".contains(&one.as_bytes()[19]),
            "{one}"
        );
    }

    #[test]
    fn an_alert_without_times_fires_from_now_for_five_minutes() {
        let posted = PostedAlert {
            labels: BTreeMap::from([("alertname".to_owned(), "a".to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: Some("0001-01-01T00:00:00Z".to_owned()),
            ends_at: None,
            generator_url: String::new(),
        };
        let alert = meant(posted, 1_000, 300_000).unwrap();
        assert_eq!((alert.starts_at_ms, alert.ends_at_ms), (1_000, 301_000));
    }
}
