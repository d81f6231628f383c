//! Scraping a real HTTP server.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::Response,
};
use collect::{
    Format, HttpClient, Limits, Rule, RuleConfig, Scrape, ScrapeError, Scraper, Target,
    relabel::Action,
};
use model::{Value, is_stale};

use crate::clock::TestClock;

/// What the server answers next, and the headers it was asked with last.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) encoding: Option<&'static str>,
    pub(crate) body: Vec<u8>,
    pub(crate) hang: bool,
    pub(crate) asked: Vec<(String, String)>,
}

pub(crate) type Shared = Arc<Mutex<Script>>;

pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; version=0.0.4";

/// A server with one page; its URL and its script.
pub(crate) async fn server() -> (String, Shared) {
    let script = Script {
        status: 200,
        content_type: Some(TEXT),
        ..Script::default()
    };
    let script = Arc::new(Mutex::new(script));
    let app = Router::new().fallback(answer).with_state(script.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, script)
}

async fn answer(State(script): State<Shared>, request: Request) -> Response<Body> {
    let (response, hang) = {
        let mut script = script.lock().unwrap();
        let headers = request.headers().iter();
        script.asked = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let mut response = Response::builder().status(script.status);
        if let Some(content_type) = script.content_type {
            response = response.header("content-type", content_type);
        }
        if let Some(encoding) = script.encoding {
            response = response.header("content-encoding", encoding);
        }
        (
            response.body(Body::from(script.body.clone())).unwrap(),
            script.hang,
        )
    };
    if hang {
        std::future::pending::<()>().await;
    }
    response
}

fn says(script: &Shared, content_type: &'static str, body: &str) {
    let mut script = script.lock().unwrap();
    script.content_type = Some(content_type);
    script.body = body.as_bytes().to_vec();
}

fn scraper(target: Target) -> Scraper {
    Scraper::new(
        target,
        HttpClient::new(std::sync::Arc::default()),
        TestClock::shared(0),
    )
}

/// One line a sample: series without `job` and `instance`, value, time. Durations are not shown.
fn shown(scrape: &Scrape) -> Vec<String> {
    let samples = scrape.batch.samples.iter();
    let line = |s: &model::Sample| {
        let mut labels = s.labels.to_builder();
        labels.remove("job").remove("instance");
        let labels = labels.build();
        let Value::Float(value) = s.value else {
            panic!("a histogram")
        };
        let value = if is_stale(value) {
            "stale".to_owned()
        } else {
            value.to_string()
        };
        format!("{labels} {value} @{}", s.time_ms)
    };
    samples
        .map(line)
        .filter(|line| !line.starts_with("scrape_duration_seconds"))
        .collect()
}

#[tokio::test]
async fn samples_carry_the_tick_and_the_labels_of_the_target() {
    let (url, script) = server().await;
    says(&script, TEXT, "a{job=\"theirs\"} 1\nb 2 77\n");
    let mut target = Target::new("mine", &url);
    target.labels.push(("zone".to_owned(), "z1".to_owned()));
    let mut scraper = scraper(target.clone());
    let scrape = scraper.scrape(5_000).await;
    assert!(scrape.error.is_none());
    let first = &scrape.batch.samples[0].labels;
    assert_eq!(
        first.to_string(),
        format!(
            r#"a{{exported_job="theirs", instance="{}", job="mine", zone="z1"}}"#,
            target.instance
        )
    );
    let up = scrape
        .batch
        .samples
        .iter()
        .find(|s| s.labels.metric_name() == "up")
        .unwrap();
    assert_eq!(
        up.labels.to_string(),
        format!(
            r#"up{{instance="{}", job="mine", zone="z1"}}"#,
            target.instance
        )
    );
    assert_eq!(
        shown(&scrape)[1..],
        [
            r#"b{zone="z1"} 2 @77"#,
            r#"up{zone="z1"} 1 @5000"#,
            r#"scrape_samples_scraped{zone="z1"} 2 @5000"#,
            r#"scrape_samples_post_metric_relabeling{zone="z1"} 2 @5000"#,
            r#"scrape_series_added{zone="z1"} 1 @5000"#,
        ]
    );
    let asked = script.lock().unwrap().asked.clone();
    let header = |name: &str| {
        asked
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    };
    assert_eq!(
        header("x-prometheus-scrape-timeout-seconds").as_deref(),
        Some("1")
    );
    assert!(
        header("accept")
            .unwrap()
            .starts_with("application/openmetrics-text;version=1.0.0")
    );
}

#[tokio::test]
async fn series_that_vanish_are_marked_stale_and_so_is_everything_of_a_failed_target() {
    let (url, script) = server().await;
    let mut scraper = scraper(Target::new("j", &url));
    says(&script, OPENMETRICS, "a 1\nb 1\n# EOF\n");
    scraper.scrape(1_000).await;
    says(&script, OPENMETRICS, "b 2\nc 1\n# EOF\n");
    let second = shown(&scraper.scrape(2_000).await);
    assert_eq!(second[..3], ["b 2 @2000", "c 1 @2000", "a stale @2000"]);
    assert_eq!(second[6], "scrape_series_added 1 @2000");
    says(&script, OPENMETRICS, "b 3\nc 1\n");
    let third = scraper.scrape(3_000).await;
    assert!(
        matches!(&third.error, Some(ScrapeError::Parse(e)) if e.line == 3),
        "{third:?}"
    );
    assert_eq!(
        shown(&third),
        [
            "b stale @3000",
            "c stale @3000",
            "up 0 @3000",
            "scrape_samples_scraped 0 @3000",
            "scrape_samples_post_metric_relabeling 0 @3000",
            "scrape_series_added 0 @3000",
        ]
    );
    assert_eq!(
        shown(&scraper.scrape(4_000).await)[0],
        "up 0 @4000",
        "marked once"
    );
    says(&script, OPENMETRICS, "c 1\nb 3\n# EOF\n");
    assert_eq!(
        shown(&scraper.scrape(5_000).await)[..2],
        ["c 1 @5000", "b 3 @5000"]
    );
    let end = scraper.end(6_000);
    assert_eq!(end.samples.len(), 7);
    assert!(
        end.samples
            .iter()
            .all(|s| matches!(s.value, Value::Float(v) if is_stale(v)))
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let (url, script) = server().await;
    let mut target = Target::new("j", &url);
    target.limits = Limits {
        body_bytes: 100,
        ..Limits::default()
    };
    target.timeout = Duration::from_millis(300);
    let mut scraper = scraper(target);
    let change = |change: &dyn Fn(&mut Script)| change(&mut script.lock().unwrap());
    let mut reasons = Vec::new();
    let mut steps: Vec<&dyn Fn(&mut Script)> = vec![
        &|s| s.status = 503,
        &|s| (s.status, s.body) = (200, b"a 1\n".repeat(26)),
        &|s| (s.body, s.content_type) = (b"a 1\n".to_vec(), None),
        &|s| s.content_type = Some("text/html"),
        &|s| (s.content_type, s.encoding) = (Some(TEXT), Some("gzip")),
    ];
    steps.push(&|s| s.hang = true);
    for step in steps {
        change(step);
        let error = scraper.scrape(1_000).await.error.expect("a failure");
        reasons.push(error.reason());
    }
    assert_eq!(
        reasons,
        [
            "status",
            "body_size",
            "format",
            "format",
            "encoding",
            "timeout"
        ]
    );
    let nobody = Target::new("j", "http://127.0.0.1:1/metrics");
    let error = self::scraper(nobody).scrape(1_000).await.error.unwrap();
    assert_eq!(error.reason(), "fetch");
}

#[tokio::test]
async fn a_fallback_format_is_used_only_when_the_type_says_nothing() {
    let (url, script) = server().await;
    script.lock().unwrap().content_type = None;
    script.lock().unwrap().body = b"a 1 1500\n".to_vec();
    let mut target = Target::new("j", &url);
    target.fallback = Some(Format::Prometheus);
    target.honor_timestamps = false;
    let scrape = scraper(target).scrape(1_000).await;
    assert_eq!(shown(&scrape)[0], "a 1 @1000", "{:?}", scrape.error);
}

#[tokio::test]
async fn relabelled_series_are_renamed_or_dropped_and_counted() {
    let (url, script) = server().await;
    says(&script, TEXT, "a{x=\"1\"} 1\nnoise 2\nb 3\n");
    let mut target = Target::new("j", &url);
    let rule = |action, regex: &str, sources: &[&str]| {
        let source_labels = sources.iter().map(|s| (*s).to_owned()).collect();
        let regex = regex.to_owned();
        Rule::new(RuleConfig {
            action,
            regex,
            source_labels,
            ..RuleConfig::default()
        })
        .unwrap()
    };
    target.metric_relabel = vec![
        rule(Action::Drop, "noi.e", &["__name__"]),
        rule(Action::LabelDrop, "x", &[]),
    ];
    let mut scraper = scraper(target);
    for tick_ms in [1_000, 2_000] {
        let lines = shown(&scraper.scrape(tick_ms).await);
        assert_eq!(
            lines[..2],
            [format!("a 1 @{tick_ms}"), format!("b 3 @{tick_ms}")]
        );
        assert_eq!(lines[3], format!("scrape_samples_scraped 3 @{tick_ms}"));
        assert_eq!(
            lines[4],
            format!("scrape_samples_post_metric_relabeling 2 @{tick_ms}")
        );
    }
}

#[tokio::test]
async fn gzip_is_unpacked_within_the_limit() {
    let (url, script) = server().await;
    let mut target = Target::new("j", &url);
    target.gzip = true;
    target.limits = Limits {
        body_bytes: 10_000,
        ..Limits::default()
    };
    let mut scraper = scraper(target);
    let pack = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    script.lock().unwrap().encoding = Some("gzip");
    script.lock().unwrap().body = pack(b"a 1\n");
    assert_eq!(shown(&scraper.scrape(1_000).await)[0], "a 1 @1000");
    // A bomb: five megabytes of line feeds in a few kilobytes.
    let bomb = pack(&vec![b'\n'; 5_000_000]);
    assert!(bomb.len() < 10_000, "the packed body passes the limit");
    script.lock().unwrap().body = bomb;
    let error = scraper.scrape(2_000).await.error.unwrap();
    assert_eq!(error.reason(), "body_size");
    assert!(
        script
            .lock()
            .unwrap()
            .asked
            .contains(&("accept-encoding".into(), "gzip".into()))
    );
}

#[tokio::test]
async fn exemplars_come_along_and_one_without_a_time_is_told_once() {
    let (url, script) = server().await;
    let mut scraper = scraper(Target::new("j", url));
    let body = |value: f64| {
        format!(
            "# TYPE a counter\na_total 1 # {{trace_id=\"x\"}} {value}\n\
             # TYPE b counter\nb_total 1 # {{trace_id=\"y\"}} 2 1.5\n# EOF\n"
        )
    };
    let mut told = Vec::new();
    for (tick_ms, value) in [(1_000, 1.0), (2_000, 1.0), (3_000, 3.0)] {
        says(&script, OPENMETRICS, &body(value));
        let scrape = scraper.scrape(tick_ms).await;
        assert!(scrape.error.is_none(), "{:?}", scrape.error);
        let exemplars = scrape.batch.exemplars.into_iter();
        told.extend(exemplars.map(|e| {
            assert_eq!(e.series.get("job"), Some("j"));
            let trace = e.labels.get("trace_id").unwrap().to_owned();
            (trace, e.value, e.time_ms)
        }));
    }
    let is = |trace: &str, value, time_ms| (trace.to_owned(), value, time_ms);
    let y = is("y", 2.0, 1_500);
    // The store knows that y is the same; x would look new each time.
    let expected = [
        is("x", 1.0, 1_000),
        y.clone(),
        y.clone(),
        is("x", 3.0, 3_000),
        y,
    ];
    assert_eq!(told, expected);
}
