//! Rules and alerts in Prometheus's shapes.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, response::Response};
use rules::{
    ActiveAlert, GroupStatus, Kind, RuleSpec, RuleStatus,
    template::{exponential, rfc3339},
};
use serde_json::{Map, Value, json};

use super::{App, params::Params, problem::ApiError, prometheus::success};

/// What Prometheus says of a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Which rules a request wants.
struct Wanted {
    alerting: bool,
    recording: bool,
    rules: BTreeSet<String>,
    groups: BTreeSet<String>,
    files: BTreeSet<String>,
    matchers: Vec<Vec<model::Matcher>>,
    with_alerts: bool,
}

impl Wanted {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let kind = params.get("type").unwrap_or_default().to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            let message = format!("invalid parameter \"type\": not supported value {kind:?}");
            return Err(ApiError::bad(message));
        }
        let names = |key: &str| params.all(key).map(str::to_owned).collect();
        let exclude = params.get("exclude_alerts").unwrap_or_default();
        let exclude_alerts = match exclude.to_lowercase().as_str() {
            "" | "0" | "f" | "false" => false,
            "1" | "t" | "true" => true,
            other => {
                let message = format!("invalid parameter \"exclude_alerts\": {other:?}");
                return Err(ApiError::bad(message));
            }
        };
        Ok(Self {
            alerting: kind != "record",
            recording: kind != "alert",
            rules: names("rule_name[]"),
            groups: names("rule_group[]"),
            files: names("file[]"),
            matchers: params.matchers()?,
            with_alerts: !exclude_alerts,
        })
    }

    fn group(&self, group: &GroupStatus) -> bool {
        let among = |set: &BTreeSet<String>, name: &String| set.is_empty() || set.contains(name);
        among(&self.groups, &group.spec.name) && among(&self.files, &group.spec.file)
    }

    fn rule(&self, rule: &RuleSpec) -> bool {
        let is_kind = match rule.kind {
            Kind::Alert(_) => self.alerting,
            Kind::Record { .. } => self.recording,
        };
        let is_named = self.rules.is_empty() || self.rules.contains(&rule.name);
        let labels = rule.labels();
        let holds = |matcher: &model::Matcher| {
            matcher.matches(labels.get(&matcher.name).unwrap_or_default())
        };
        let is_matched =
            self.matchers.is_empty() || self.matchers.iter().any(|all| all.iter().all(holds));
        is_kind && is_named && is_matched
    }
}

/// `GET /api/v1/rules`
pub(super) async fn rules(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let wanted = Wanted::of(&params)?;
    let (limit, token) = page(&params)?;
    let mut groups = app.ruling.status();
    groups.sort_by(|a, b| (&a.spec.file, &a.spec.name).cmp(&(&b.spec.file, &b.spec.name)));
    let mut skipping = token.is_some();
    let mut shown: Vec<Value> = Vec::new();
    let mut next = None;
    for group in groups.iter().filter(|group| wanted.group(group)) {
        let own = token_of(group);
        skipping &= token != Some(own.as_str());
        if skipping {
            continue;
        }
        let Some(value) = group_json(group, &wanted) else {
            continue;
        };
        if limit > 0 && shown.len() == limit {
            next = Some(own);
            break;
        }
        shown.push(value);
    }
    if skipping {
        let token = token.unwrap_or_default();
        return Err(ApiError::bad(format!(
            "invalid group_next_token '{token}'. were rule groups changed?"
        )));
    }
    let mut data = Map::new();
    data.insert("groups".to_owned(), Value::Array(shown));
    if let Some(next) = next {
        data.insert("groupNextToken".to_owned(), json!(next));
    }
    Ok(success(data))
}

/// Groups a page, 0 for all, and where it begins.
fn page(params: &Params) -> Result<(usize, Option<&str>), ApiError> {
    let token = params.get("group_next_token").filter(|t| !t.is_empty());
    let said = params.get("group_limit").filter(|l| !l.is_empty());
    let Some(said) = said else {
        return match token {
            None => Ok((0, None)),
            Some(_) => Err(ApiError::bad(
                "invalid parameter \"group_limit\": group_limit needs to be present in order to \
                 paginate over the groups",
            )),
        };
    };
    match said.parse() {
        Ok(limit) if limit > 0 => Ok((limit, token)),
        _ => Err(ApiError::bad(format!(
            "invalid parameter \"group_limit\": {said:?} is not a whole number above 0"
        ))),
    }
}

/// Names a group in the address of a page.
fn token_of(group: &GroupStatus) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(group.spec.key().as_bytes());
    digest[..20]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `None` when it has no rule that is wanted.
fn group_json(group: &GroupStatus, wanted: &Wanted) -> Option<Value> {
    let rules: Vec<Value> = group
        .rules
        .iter()
        .map(|rule| (&group.spec.rules[rule.index], rule))
        .filter(|(spec, _)| wanted.rule(spec))
        .map(|(spec, rule)| rule_json(spec, rule, wanted.with_alerts))
        .collect();
    if rules.is_empty() && !group.rules.is_empty() {
        return None;
    }
    Some(json!({
        "name": group.spec.name,
        "file": group.spec.file,
        "rules": rules,
        "interval": group.spec.interval.as_secs_f64(),
        "limit": group.spec.limit,
        "evaluationTime": group.took.as_secs_f64(),
        "lastEvaluation": group.at_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
    }))
}

fn rule_json(spec: &RuleSpec, rule: &RuleStatus, with_alerts: bool) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| {
        shown.insert(key.to_owned(), value);
    };
    let labels = spec.labels();
    if let Some(alert) = spec.alert() {
        put("state", json!(rule.state().as_str()));
        put("duration", json!(alert.hold.as_secs_f64()));
        put("keepFiringFor", json!(alert.keep_firing.as_secs_f64()));
        let annotations = alert.annotations.iter();
        let annotations: Map<String, Value> = annotations
            .map(|(name, template)| (name.clone(), json!(template.text())))
            .collect();
        put("annotations", Value::Object(annotations));
        let alerts = rule.active().filter(|_| with_alerts);
        put("alerts", alerts.map(alert_json).collect());
    }
    if spec.alert().is_some() || !labels.is_empty() {
        put("labels", json!(labels));
    }
    put("name", json!(spec.name));
    put("query", json!(spec.query));
    put("health", json!(rule.health.as_str()));
    if let Some(error) = &rule.last_error {
        put("lastError", json!(error));
    }
    put("evaluationTime", json!(rule.took.as_secs_f64()));
    let at = rule.at_ms.map_or_else(|| NEVER.to_owned(), rfc3339);
    put("lastEvaluation", json!(at));
    let kind = if spec.alert().is_some() {
        "alerting"
    } else {
        "recording"
    };
    put("type", json!(kind));
    Value::Object(shown)
}

fn alert_json(alert: &ActiveAlert) -> Value {
    let mut shown = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": rfc3339(alert.active_at_ms),
        "value": exponential(alert.value),
    });
    if let (Some(since), Some(map)) = (alert.keep_firing_since_ms, shown.as_object_mut()) {
        map.insert("keepFiringSince".to_owned(), json!(rfc3339(since)));
    }
    shown
}

/// `GET /api/v1/alerts`: those pending or firing.
pub(super) async fn alerts(State(app): State<Arc<App>>) -> Response {
    let groups = app.ruling.status();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts: Vec<Value> = rules.flat_map(RuleStatus::active).map(alert_json).collect();
    success(json!({ "alerts": alerts }))
}
