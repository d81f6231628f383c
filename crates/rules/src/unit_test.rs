//! `promtool`'s unit-test files for rules, as they are:
//! <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/>. Read here;
//! run by whoever has a query engine and a store.

use std::{collections::BTreeMap, time::Duration};

use yaml::{Note, Notes, Table, Weight};

/// A file of tests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestFile {
    /// Files of rules, as said: relative to this file, `*` allowed.
    pub rule_files: Vec<String>,
    /// Between two evaluations of groups that do not say.
    pub evaluation_interval: Duration,
    /// Names of groups that are evaluated first, in this order.
    pub group_order: Vec<String>,
    /// Whether values may differ in the last digits.
    pub fuzzy: bool,
    /// In order.
    pub tests: Vec<Test>,
}

/// One test: series, and what is expected at times after its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Test {
    /// Where it stands: `file:line:column`.
    pub place: String,
    /// Its name; may be empty.
    pub name: String,
    /// Between two points of a series.
    pub interval: Duration,
    /// The first time, ms since the Unix epoch.
    pub start_ms: i64,
    /// A selector and its points, in the notation of the query language's tests.
    pub series: Vec<(String, String)>,
    /// Seen by templates.
    pub external_labels: Vec<(String, String)>,
    /// Seen by templates.
    pub external_url: String,
    /// What must fire.
    pub alerts: Vec<AlertTest>,
    /// What queries must answer.
    pub queries: Vec<QueryTest>,
}

/// What must fire of one alert at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertTest {
    /// Where it stands.
    pub place: String,
    /// After the start.
    pub at: Duration,
    /// Which alert.
    pub name: String,
    /// All alerts of that name which fire, as labels and annotations.
    pub expected: Vec<Expected>,
}

/// An alert as a test says it: without `alertname`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What one query must answer at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryTest {
    /// Where it stands.
    pub place: String,
    /// After the start.
    pub at: Duration,
    /// The query.
    pub expr: String,
    /// Its elements, in any order.
    pub expected: Vec<ExpectedSample>,
}

/// An element of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedSample {
    /// As a selector writes it.
    pub labels: String,
    /// The number, unless it is a histogram.
    pub value: f64,
    /// A histogram in the notation of the query language's tests; empty for a number.
    pub histogram: String,
}

/// Reads a file. All mistakes at once.
pub fn read(name: &str, text: &str) -> Result<TestFile, Vec<Note>> {
    let notes = Notes::new(name);
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(error) => {
            notes.add(error.at, "", error.what, Weight::Mistake);
            return Err(notes.into_sorted());
        }
    };
    let table = Table::of(&notes, &root, String::new());
    let interval = table.duration("evaluation_interval");
    let interval = interval.filter(|span| !span.is_zero());
    let file = TestFile {
        rule_files: table.texts("rule_files"),
        evaluation_interval: interval.unwrap_or(DEFAULT_INTERVAL),
        group_order: table.texts("group_eval_order"),
        fuzzy: table.flag("fuzzy_compare").unwrap_or(false),
        tests: table
            .tables("tests")
            .into_iter()
            .map(|said| test(name, said))
            .collect(),
    };
    table.finish();
    let notes = notes.into_sorted();
    if notes.is_empty() {
        Ok(file)
    } else {
        Err(notes)
    }
}

/// What `promtool` takes when a file does not say.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

fn place(file: &str, said: &Table<'_>) -> String {
    let at = said.at();
    format!("{file}:{}:{}", at.line, at.column)
}

fn test(file: &str, said: Table<'_>) -> Test {
    let series = said.tables("input_series").into_iter().map(|series| {
        let pair = (
            series.required_text("series"),
            series.text("values").unwrap_or_default(),
        );
        series.finish();
        pair
    });
    let interval = said.duration("interval").filter(|span| !span.is_zero());
    let test = Test {
        place: place(file, &said),
        name: said.text("name").unwrap_or_default(),
        interval: interval.unwrap_or(DEFAULT_INTERVAL),
        start_ms: start(&said),
        series: series.collect(),
        external_labels: said.text_map("external_labels"),
        external_url: said.text("external_url").unwrap_or_default(),
        alerts: said
            .tables("alert_rule_test")
            .into_iter()
            .map(|said| alert(file, said))
            .collect(),
        queries: said
            .tables("promql_expr_test")
            .into_iter()
            .map(|said| query(file, said))
            .collect(),
    };
    said.finish();
    test
}

/// Seconds since the Unix epoch, or RFC 3339.
fn start(said: &Table<'_>) -> i64 {
    let Some(text) = said.text("start_timestamp") else {
        return 0;
    };
    let seconds = text.parse::<f64>().ok().filter(|s| s.abs() < 1e11);
    let ms = seconds.map(|s| (s * 1_000.0) as i64);
    ms.or_else(|| crate::template::rfc3339_ms(&text))
        .unwrap_or_else(|| {
            let message = format!("{text:?} is neither seconds nor RFC 3339");
            said.mistake("start_timestamp", message);
            0
        })
}

fn alert(file: &str, said: Table<'_>) -> AlertTest {
    let expected = said.tables("exp_alerts").into_iter().map(|alert| {
        let expected = Expected {
            labels: alert.text_map("exp_labels").into_iter().collect(),
            annotations: alert.text_map("exp_annotations").into_iter().collect(),
        };
        alert.finish();
        expected
    });
    let test = AlertTest {
        place: place(file, &said),
        at: said.duration("eval_time").unwrap_or_default(),
        name: said.required_text("alertname"),
        expected: expected.collect(),
    };
    said.finish();
    test
}

fn query(file: &str, said: Table<'_>) -> QueryTest {
    let expected = said.tables("exp_samples").into_iter().map(|sample| {
        let value = sample.text("value").map(|text| number(&sample, &text));
        let expected = ExpectedSample {
            labels: sample.text("labels").unwrap_or_default(),
            value: value.unwrap_or(0.0),
            histogram: sample.text("histogram").unwrap_or_default(),
        };
        sample.finish();
        expected
    });
    let test = QueryTest {
        place: place(file, &said),
        at: said.duration("eval_time").unwrap_or_default(),
        expr: said.required_text("expr"),
        expected: expected.collect(),
    };
    said.finish();
    test
}

/// A float in YAML's words: `.inf` and `.nan` too.
fn number(said: &Table<'_>, text: &str) -> f64 {
    let plain = text.replace('_', "").to_lowercase();
    let word = plain.trim_start_matches(['+', '-']).trim_start_matches('.');
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    match word {
        "inf" => sign * f64::INFINITY,
        "nan" => f64::NAN,
        _ => plain.parse().unwrap_or_else(|_number| {
            said.mistake("value", format!("{text:?} is not a number"));
            0.0
        }),
    }
}
