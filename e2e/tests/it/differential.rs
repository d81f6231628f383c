//! Generated queries, answered by this server and by Debian's Prometheus 2.42 over the same
//! samples: every answer is the same, values to 1e-12, or the difference is on a list.
//!
//! `DIFFERENTIAL=seed:count` runs other queries than the test run does, or more of them.

mod data;
mod explained;
mod grammar;
pub(crate) mod judge;

use e2e::{
    http::{Client, Reply},
    prometheus::Prometheus,
    pushed::now_ms,
    server::Server,
};
use tempfile::TempDir;

use data::Data;
use grammar::{EVALUATED_AT_MS, Grammar, Query};
use judge::{Order, difference};

/// Queries of a test run; each is asked at one time and over a range.
const QUERIES: u64 = 600;

/// Their seed.
const SEED: u64 = 1;

/// Both servers, with the same samples.
pub(crate) struct Both {
    _folder: TempDir,
    pub(crate) theirs: Prometheus,
    pub(crate) ours: Server,
    pub(crate) data: Data,
}

impl Both {
    /// `None` where there is no Prometheus. Both have the same `scrape_configs` and `rule_files`.
    pub(crate) async fn start(config: &str) -> Option<Self> {
        Self::start_with(config, "groups: []\n").await
    }

    /// With a file `rules.yml` beside the configuration.
    pub(crate) async fn start_with(config: &str, rules: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let receiver = ["--web.enable-remote-write-receiver"];
        let theirs = Prometheus::start(folder.path(), config, &receiver).await?;
        let file = folder.path().join("peer.yml").display().to_string();
        let own = format!("[collect]\nhost = \"off\"\nprometheus_config = {file:?}\n");
        let ours = Server::start(folder.path(), &own).await;
        let data = Data::before(now_ms());
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ];
        for body in data.requests() {
            for http in [&theirs.http, &ours.http] {
                let reply = http.bytes("/api/v1/write", &headers, body.clone()).await;
                assert!(reply.status < 300, "{}: {}", http.url, reply.text);
            }
        }
        Some(Self {
            _folder: folder,
            theirs,
            ours,
            data,
        })
    }

    /// The answers of both to one request.
    async fn ask(&self, query: &Query, when: &When) -> (Reply, Reply) {
        let (path, mut form) = when.request();
        form.push(("query", query.theirs()));
        let theirs = asked(&self.theirs.http, path, &form).await;
        form.pop();
        form.push(("query", query.text.clone()));
        let ours = asked(&self.ours.http, path, &form).await;
        (theirs, ours)
    }
}

async fn asked(http: &Client, path: &str, form: &[(&str, String)]) -> Reply {
    let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    http.form(path, &form).await
}

/// When a query is evaluated; in ms, but for the step, s.
#[derive(Debug)]
enum When {
    At(i64),
    Over {
        start_ms: i64,
        end_ms: i64,
        step_s: i64,
    },
}

impl When {
    fn request(&self) -> (&'static str, Vec<(&'static str, String)>) {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        match self {
            Self::At(ms) => ("/api/v1/query", vec![("time", seconds(*ms))]),
            Self::Over {
                start_ms,
                end_ms,
                step_s,
            } => {
                let range = vec![
                    ("start", seconds(*start_ms)),
                    ("end", seconds(*end_ms)),
                    ("step", step_s.to_string()),
                ];
                ("/api/v1/query_range", range)
            }
        }
    }

    /// A moment among the samples or a little after them.
    fn moment(grammar: &mut Grammar, data: &Data) -> i64 {
        let span_s = (data.end_ms() - data.base_ms) / 1_000 + 420;
        let at_s = i64::try_from(grammar.rng.below(span_s.cast_unsigned())).unwrap();
        data.base_ms + at_s * 1_000 + EVALUATED_AT_MS
    }

    fn range(grammar: &mut Grammar, data: &Data) -> Self {
        let start_ms = Self::moment(grammar, data);
        let step_s = [1, 7, 15, 60, 300][grammar.rng.index(5)];
        let steps = i64::try_from(1 + grammar.rng.below(40)).unwrap();
        Self::Over {
            start_ms,
            end_ms: start_ms + steps * step_s * 1_000,
            step_s,
        }
    }
}

/// Seed and count: the test run's, or those asked for.
fn wanted() -> (u64, u64) {
    let said = std::env::var_os("DIFFERENTIAL");
    let said = said.as_ref().and_then(|text| text.to_str());
    let said = said.and_then(|text| {
        let (seed, count) = text.split_once(':')?;
        Some((seed.parse().ok()?, count.parse().ok()?))
    });
    said.unwrap_or((SEED, QUERIES))
}

#[tokio::test]
async fn generated_queries_are_answered_as_prometheus_answers_them() {
    let Some(both) = Both::start("global: {}\n").await else {
        println!("not run: there is no Prometheus to compare with");
        return;
    };
    let (seed, count) = wanted();
    let middle_s = (both.data.base_ms + both.data.end_ms()) / 2_000;
    let mut grammar = Grammar::new(seed, middle_s);
    let (mut answers, mut empty, mut refused) = (0, 0, 0);
    let mut wrong = Vec::new();
    for number in 0..count {
        let query = grammar.query();
        let at = When::At(When::moment(&mut grammar, &both.data));
        let over = When::range(&mut grammar, &both.data);
        for when in [at, over] {
            let (theirs, ours) = both.ask(&query, &when).await;
            answers += 1;
            refused += u64::from(theirs.status != 200);
            empty += u64::from(theirs.text.contains("\"result\":[]"));
            let order = match when {
                When::At(_) => query.order,
                When::Over { .. } => Order::Labels,
            };
            if let Some(what) = difference(&theirs, &ours, order) {
                wrong.push(format!("{number}: {}\n  {when:?}: {what}", query.text));
            }
        }
    }
    println!("{answers} answers compared: {refused} refusals, {empty} empty");
    let shown: Vec<_> = wrong.iter().take(60).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} differences of {answers}:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    // Most of them say something.
    assert!(
        empty + refused < answers / 2,
        "{empty} empty, {refused} refused"
    );
}
