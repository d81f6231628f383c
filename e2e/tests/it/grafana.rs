//! The requests that Grafana's Prometheus data source makes, as it makes them, put to this server
//! and to Debian's Prometheus with the same samples and the same targets: the same status, the
//! same shape, and the same values where the data are the same.
//!
//! The requests are those of Grafana 12's `promlib` (health check, queries, exemplars) and of its
//! `grafana-prometheus` package (resources, caches and editors).

use e2e::{
    http::{Client, Reply, encoded},
    pushed::now_ms,
    service::Service,
    wait,
};
use serde_json::Value;

use super::differential::{
    Both,
    judge::{Order, difference},
};

/// How two replies have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// In everything, values to 1e-12.
    Values,
    /// In the names and types of everything there is.
    Shape,
    /// As lists: everything theirs has, ours has too, and what ours has beside it is its own
    /// (it scrapes itself).
    Listed,
}

/// One request.
struct Request {
    method: &'static str,
    path: String,
    params: Vec<(&'static str, String)>,
    alike: Alike,
}

fn get(path: &str, params: &[(&'static str, &str)], alike: Alike) -> Request {
    request("GET", path, params, alike)
}

fn post(path: &str, params: &[(&'static str, &str)], alike: Alike) -> Request {
    request("POST", path, params, alike)
}

fn request(
    method: &'static str,
    path: &str,
    params: &[(&'static str, &str)],
    alike: Alike,
) -> Request {
    let params = params.iter().map(|(k, v)| (*k, (*v).to_owned()));
    Request {
        method,
        path: format!("/api/v1/{path}"),
        params: params.collect(),
        alike,
    }
}

impl Request {
    async fn sent(&self, http: &Client) -> Reply {
        let pairs = self.params.iter();
        let pairs: Vec<String> = pairs
            .map(|(k, v)| format!("{}={}", encoded(k), encoded(v)))
            .collect();
        let form = pairs.join("&");
        // What promlib and the frontend's proxy send along.
        let headers = [
            ("x-dashboard-uid", "d"),
            ("x-panel-id", "1"),
            ("x-datasource-uid", "prom"),
            ("x-grafana-cache", "private, max-age=60"),
            ("accept-encoding", "gzip"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        if self.method == "GET" {
            let path = format!("{}?{form}", self.path);
            // The harness does not unpack.
            http.send("GET", &path, &headers[..4]).await
        } else {
            http.bytes(
                &self.path,
                &[headers[0], headers[1], headers[5]],
                form.into(),
            )
            .await
        }
    }
}

/// Grafana's step: at least a second, at most `points` steps in the range, and a round number.
fn step(from_s: i64, to_s: i64, points: i64) -> i64 {
    let raw = (to_s - from_s) / points;
    let round = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600];
    round.into_iter().find(|s| *s >= raw).unwrap_or(1_200)
}

/// All requests; `from` and `to` bound the samples, in seconds. Names are asked for up to now: what
/// is in its memory Prometheus tells whatever the time.
fn requests(from_s: i64, to_s: i64) -> Vec<Request> {
    let (from, to) = (&from_s.to_string(), &(now_ms() / 1_000 + 1).to_string());
    let within = [("start", from.as_str()), ("end", to.as_str())];
    let with = |more: &[(&'static str, &'static str)]| {
        let mut all: Vec<(&'static str, &str)> = more.to_vec();
        all.extend(within);
        all
    };
    let mut all = health();
    all.extend(browsers(&with));
    all.extend(variables(&with));
    all.extend(panels(from_s, to_s));
    all.extend(refused());
    all
}

/// "Save & test", and what Grafana asks to know whom it talks to.
fn health() -> Vec<Request> {
    vec![
        post("query", &[("query", "1+1"), ("time", "4")], Alike::Values),
        get("query", &[("query", "1+1"), ("time", "4")], Alike::Values),
        get("status/buildinfo", &[], Alike::Shape),
        get("metadata", &[], Alike::Listed),
        get("metadata", &[("limit", "1")], Alike::Shape),
        get("targets", &[], Alike::Shape),
        get("targets", &[("state", "active")], Alike::Shape),
        get(
            "targets/metadata",
            &[("match_target", "{job=\"shop\"}")],
            Alike::Shape,
        ),
        get("status/runtimeinfo", &[], Alike::Shape),
        get("status/tsdb", &[], Alike::Shape),
        get("rules", &[], Alike::Shape),
        get("rules", &[("type", "alert")], Alike::Shape),
        get("alerts", &[], Alike::Shape),
        get("status/config", &[], Alike::Shape),
        get("status/walreplay", &[], Alike::Shape),
    ]
}

type With<'a> = dyn Fn(&[(&'static str, &'static str)]) -> Vec<(&'static str, &'a str)> + 'a;

/// The metrics browser, the builder and completion.
fn browsers(with: &With<'_>) -> Vec<Request> {
    let limit = ("limit", "40000");
    let all = ("match[]", "{__name__!=\"\"}");
    let values = |name: &str, more: &[(&'static str, &'static str)], alike| {
        get(&format!("label/{name}/values"), &with(more), alike)
    };
    vec![
        values("__name__", &[limit], Alike::Listed),
        values(
            "__name__",
            &[limit, ("match[]", "{job=\"api\"}")],
            Alike::Values,
        ),
        values("job", &[limit], Alike::Listed),
        values(
            "job",
            &[limit, ("match[]", "requests_total")],
            Alike::Values,
        ),
        values(
            "job",
            &[
                limit,
                ("match[]", "{__name__=\"requests_total\",code!=\"200\"}"),
            ],
            Alike::Values,
        ),
        values("nothing", &[limit], Alike::Values),
        values(
            "U__job",
            &[limit, ("match[]", "requests_total")],
            Alike::Shape,
        ),
        post("labels", &with(&[limit]), Alike::Listed),
        post(
            "labels",
            &with(&[("match[]", "requests_total")]),
            Alike::Values,
        ),
        post(
            "labels",
            &with(&[("match[]", "requests_total"), ("match[]", "temperature")]),
            Alike::Values,
        ),
        get(
            "labels",
            &with(&[("match[]", "{instance=~\"h1.*\"}")]),
            Alike::Values,
        ),
        post("series", &with(&[all, limit]), Alike::Listed),
        post("series", &with(&[("match[]", "shape")]), Alike::Values),
        post(
            "series",
            &with(&[
                ("match[]", "requests_total{job=\"api\"}"),
                ("match[]", "limit"),
            ]),
            Alike::Values,
        ),
        get(
            "series",
            &with(&[("match[]", "{job=\"\",__name__=~\"temp.*\"}")]),
            Alike::Values,
        ),
    ]
}

/// Variables: `label_names()`, `label_values(x, y)`, `metrics(x)`, `query_result(x)`.
fn variables(with: &With<'_>) -> Vec<Request> {
    vec![
        get(
            "label/instance/values",
            &with(&[("match[]", "level")]),
            Alike::Values,
        ),
        get(
            "label/__name__/values",
            &with(&[("match[]", "{__name__=~\"latency.*\"}")]),
            Alike::Values,
        ),
        get(
            "query_exemplars",
            &with(&[("query", "requests_total")]),
            Alike::Values,
        ),
        post(
            "query_exemplars",
            &with(&[("query", "rate(latency_seconds_bucket[5m])")]),
            Alike::Values,
        ),
    ]
}

/// Panels, Explore and annotations: range and instant queries with the steps Grafana computes.
fn panels(from_s: i64, to_s: i64) -> Vec<Request> {
    let queries = [
        "requests_total",
        "sum by (code) (rate(requests_total[1m0s]))",
        "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m])))",
        "topk(3, increase(bytes_total[1h]))",
        "sparse",
        "level",
        "temperature > 0",
        "absent(no_such_metric)",
        "label_replace(build_info, \"v\", \"$1\", \"version\", \"(.*)\")",
        "{__name__=\"shape\",path=~\"/.*\"}",
        "1",
        "time() - born_seconds",
    ];
    let mut all = Vec::new();
    for (number, query) in queries.into_iter().enumerate() {
        let points = [1_000, 371, 43][number % 3];
        let step = step(from_s, to_s, points);
        // The range is aligned to the step, shifted off the samples.
        let (start, end) = (from_s.div_euclid(step) * step, to_s.div_euclid(step) * step);
        let (start, end) = (format!("{start}.25"), format!("{end}.25"));
        let (step, at) = (step.to_string(), format!("{}.25", (from_s + to_s) / 2));
        let range = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("step", &step),
        ];
        let instant = [("query", query), ("time", at.as_str())];
        all.push(post("query_range", &range, Alike::Values));
        all.push(get("query_range", &range, Alike::Values));
        all.push(post("query", &instant, Alike::Values));
        all.push(post(
            "query",
            &[instant[0], instant[1], ("timeout", "30s")],
            Alike::Values,
        ));
    }
    all
}

/// What Grafana shows as an error: it reads the status and the envelope.
fn refused() -> Vec<Request> {
    let range = |start: &'static str, end: &'static str, step: &'static str| {
        post(
            "query_range",
            &[
                ("query", "up"),
                ("start", start),
                ("end", end),
                ("step", step),
            ],
            Alike::Shape,
        )
    };
    vec![
        post("query", &[("query", "sum(")], Alike::Shape),
        post("query", &[("query", "")], Alike::Shape),
        post("query", &[("query", "up"), ("time", "noon")], Alike::Shape),
        post(
            "query",
            &[("query", "up"), ("timeout", "soon")],
            Alike::Shape,
        ),
        post(
            "query",
            &[("query", "requests_total * on (job) bytes_total")],
            Alike::Shape,
        ),
        range("10", "0", "1"),
        range("0", "10", "0"),
        range("0", "100000000", "1"),
        range("", "10", "1"),
        get("series", &[], Alike::Shape),
        get("series", &[("match[]", "{}")], Alike::Shape),
        get("labels", &[("match[]", "up[5m]")], Alike::Shape),
        get("labels", &[("start", "x")], Alike::Shape),
        get(
            "query_exemplars",
            &[("query", "up("), ("start", "0"), ("end", "1")],
            Alike::Shape,
        ),
        get("metadata", &[("limit", "x")], Alike::Shape),
        // A POST where only GET is known: Grafana tries GET when it sees 405.
        post("label/job/values", &[], Alike::Shape),
        post("metadata", &[], Alike::Shape),
        get("no_such_thing", &[], Alike::Shape),
    ]
}

/// Keys ours has that 2.42 has not, each of a later Prometheus or our own.
const MORE: &[&str] = &[
    // Of Prometheus 3.
    "droppedTargetCounts",
    "scrapePool",
    "state",
    // Ours: who answers, and who was refused.
    "application",
    "applicationVersion",
    "newSeriesByMetricName",
    "refusedSeriesByName",
];

/// The root of an answer whose keys are names of metrics.
const NAMES: &str = "names";

/// Where two values are of different shape.
fn shape(at: &str, theirs: &Value, ours: &Value, wrong: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            // Labels and names are data, not shape.
            let are_data = at.ends_with("abels") || at.ends_with("target") || at == NAMES;
            for (key, value) in a {
                match b.get(key) {
                    Some(found) => shape(&format!("{at}.{key}"), value, found, wrong),
                    None if are_data => {}
                    None => wrong.push(format!("{at}.{key} is missing")),
                }
            }
            for key in b.keys().filter(|key| !a.contains_key(*key)) {
                if !are_data && !MORE.contains(&key.as_str()) {
                    wrong.push(format!("{at}.{key} is not known"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (a, b) in a.iter().zip(b) {
                shape(&format!("{at}[]"), a, b, wrong);
            }
        }
        _ => {
            if std::mem::discriminant(theirs) != std::mem::discriminant(ours) {
                wrong.push(format!("{at}: {theirs} and {ours}"));
            }
        }
    }
}

/// Everything of theirs is in ours, in their order, and what else there is comes from ourselves.
fn listed(theirs: &Value, ours: &Value, wrong: &mut Vec<String>) {
    let own = |text: &str| {
        let begins = [
            "alluse",
            "process_",
            "door",
            "scrape_",
            "up",
            "le",
            "quantile",
            "exported_",
            "outcome",
            "receiver",
            "rule_group",
        ];
        begins
            .iter()
            .any(|b| text.trim_start_matches('"').starts_with(b))
            || text.contains("\"alluse\"")
            || text.contains("alluse_")
    };
    let (theirs, ours) = (items(theirs), items(ours));
    let mut rest = ours.iter();
    for item in &theirs {
        if !rest.any(|found| found == item) {
            wrong.push(format!("{item} is missing, or out of order"));
            return;
        }
    }
    // Names of our own labels are not many; whatever is strange has to be looked at.
    let foreign = ours
        .iter()
        .filter(|item| !theirs.contains(item) && !own(item));
    let foreign: Vec<&String> = foreign.take(5).collect();
    if foreign.len() > 4 {
        wrong.push(format!("not known: {foreign:?}"));
    }
}

fn items(data: &Value) -> Vec<String> {
    match data {
        Value::Array(list) => list.iter().map(Value::to_string).collect(),
        Value::Object(map) => map.keys().cloned().collect(),
        other => vec![other.to_string()],
    }
}

fn compared(request: &Request, theirs: &Reply, ours: &Reply) -> Vec<String> {
    let mut wrong = Vec::new();
    if theirs.status != ours.status {
        wrong.push(format!(
            "status {} and {}: {}",
            theirs.status, ours.status, ours.text
        ));
        return wrong;
    }
    let kinds = (theirs.content_type.as_str(), ours.content_type.as_str());
    if kinds.0 != kinds.1 {
        wrong.push(format!("type {kinds:?}"));
        return wrong;
    }
    if kinds.0 != "application/json" {
        return wrong;
    }
    let (a, b) = (theirs.json(), ours.json());
    for key in ["status", "errorType"] {
        if a[key] != b[key] {
            wrong.push(format!("{key}: {} and {}", a[key], b[key]));
        }
    }
    if theirs.status != 200 {
        return wrong;
    }
    match request.alike {
        Alike::Shape => {
            let by_name = request.path.ends_with("v1/metadata");
            let root = if by_name { NAMES } else { "data" };
            shape(root, &a["data"], &b["data"], &mut wrong);
        }
        Alike::Listed => listed(&a["data"], &b["data"], &mut wrong),
        Alike::Values if a["data"].get("resultType").is_some() => {
            let is_range = request.path.ends_with("query_range");
            let order = if is_range { Order::Labels } else { Order::Any };
            wrong.extend(difference(theirs, ours, order));
            shape("data", &a["data"], &b["data"], &mut wrong);
        }
        Alike::Values => {
            if a["data"] != b["data"] {
                wrong.push(format!("{} and {}", a["data"], b["data"]));
            }
        }
    }
    wrong
}

/// A recording rule and an alert that fires at once.
const RULES: &str = r#"
groups:
- name: shop
  interval: 1s
  rules:
  - {record: "shelf:items", expr: "sum(shelf_items)", labels: {by: rule}}
  - alert: ShelfFull
    expr: shelf_items > 2
    labels: {severity: page}
    annotations: {summary: "{{ $labels.kind }}: {{ $value }}"}
"#;

/// Whether a server has evaluated its rules and says that the alert fires.
async fn fires(http: &Client) -> Option<()> {
    let rules = http.get("/api/v1/rules").await;
    let alerts = http.get("/api/v1/alerts").await;
    let is_so = rules.text.contains("\"health\":\"ok\"") && alerts.text.contains("firing");
    is_so.then_some(())
}

#[tokio::test]
async fn grafana_s_requests_are_answered_as_prometheus_answers_them() {
    let service = Service::start().await;
    service.set("shelf_items{kind=\"book\"}", 3.0);
    let target = service.url.trim_start_matches("http://");
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    let Some(both) = Both::start_with(&config, RULES).await else {
        println!("not run: there is no Prometheus to compare with");
        return;
    };
    both.ours.answered("up{job=\"shop\"} == 1").await;
    wait::until("Prometheus to have scraped", async || {
        let up = [("query", "up{job=\"shop\"} == 1")];
        let reply = both.theirs.http.form("/api/v1/query", &up).await;
        reply.text.contains("shop").then_some(())
    })
    .await;
    for http in [&both.theirs.http, &both.ours.http] {
        wait::until("the rules to be evaluated", async || fires(http).await).await;
    }
    let (from_s, to_s) = (both.data.base_ms / 1_000, both.data.end_ms() / 1_000);
    let mut wrong = Vec::new();
    let requests = requests(from_s, to_s);
    for request in &requests {
        let theirs = request.sent(&both.theirs.http).await;
        let ours = request.sent(&both.ours.http).await;
        for what in compared(request, &theirs, &ours) {
            let (method, path) = (request.method, &request.path);
            wrong.push(format!("{method} {path} {:?}: {what}", request.params));
        }
    }
    println!("{} requests of Grafana compared", requests.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
