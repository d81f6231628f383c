//! What a reader asks for, and what it makes of the answers.

use std::sync::{Arc, Mutex};

use model::{
    LabelQuery, Labels, MatchOp, Matcher, MetricType, ReadError, Selection, SeriesReader as _,
};
use remote::{PeerConfig, RemoteReader};

use crate::peer::{Came, Say, Scripted, connect};

fn form(came: &Came, key: &str) -> String {
    let text = String::from_utf8(came.body.to_vec()).unwrap();
    let text = if text.is_empty() {
        came.uri.query().unwrap_or_default().to_owned()
    } else {
        text
    };
    let pair = text
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{key}=")));
    decoded(pair.unwrap_or_default())
}

fn decoded(text: &str) -> String {
    let bytes = text.replace('+', " ").into_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = std::str::from_utf8(&bytes[at + 1..at + 3]).unwrap();
            out.push(u8::from_str_radix(hex, 16).unwrap());
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

const START_MS: i64 = 1_790_000_000_000;

/// A peer with a sample each second of one series; an answer of more than `most` seconds is long.
async fn seconds(spans: Arc<Mutex<Vec<i64>>>) -> Scripted {
    Scripted::start(move |came| {
        let query = form(came, "query");
        let range = query.split_once('[').unwrap().1;
        let span_ms: i64 = range.strip_suffix("ms]").unwrap().parse().unwrap();
        let end: f64 = form(came, "time").parse().unwrap();
        let end_ms = (end * 1_000.0).round() as i64;
        spans.lock().unwrap().push(span_ms);
        // Closed on both sides, as Prometheus 2 has it: one sample too many.
        let first = (end_ms - span_ms).max(START_MS - 1) / 1_000;
        let rows: Vec<String> = (first..=end_ms / 1_000)
            .filter(|s| s * 1_000 >= START_MS && s * 1_000 >= end_ms - span_ms)
            .map(|s| format!(r#"[{s}.000,"{}"]"#, s % 7))
            .collect();
        Say::json(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"m"}},"values":[{}]}}]}}}}"#,
            rows.join(",")
        ))
    })
    .await
}

fn select(
    reader: &RemoteReader,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<model::Series>, ReadError> {
    let selection = Selection {
        matchers: vec![Matcher::equal("__name__", "m")],
        from_ms,
        to_ms,
    };
    reader.select(&selection)?.collect()
}

#[test]
fn a_selection_larger_than_an_answer_may_be_is_read_in_pieces() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let spans: Arc<Mutex<Vec<i64>>> = Arc::default();
    let peer = runtime.block_on(seconds(spans.clone()));
    let config = PeerConfig {
        answer_bytes_max: 2_000,
        ..peer.config()
    };
    let reader = RemoteReader::new(connect(config));
    let (from_ms, to_ms) = (START_MS + 5_001, START_MS + 1_004_999);
    let found = select(&reader, from_ms, to_ms).unwrap();
    assert_eq!(found.len(), 1);
    let want: Vec<i64> = (6..=1_004).map(|s| START_MS + s * 1_000).collect();
    assert_eq!(
        found[0].times_ms, want,
        "each sample once, the edges included"
    );
    let spans = spans.lock().unwrap();
    assert!(
        spans.len() > 10 && spans.iter().min() < spans.iter().max(),
        "{spans:?}"
    );
}

#[test]
fn odd_values_errors_and_wrong_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let matrix = |values: &str| {
        Say::json(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"m"}},"values":{values}}}]}}}}"#
        ))
    };
    let answers = vec![
        matrix(r#"[[0.001,"NaN"],[0.002,"+Inf"],[0.003,"-Inf"],[0.004,"-0"],[0.004,"5e-324"]]"#),
        matrix(r#"[[0.9,"1"],[0.5,"2"]]"#),
        matrix(r#"[[0.5,"one"]]"#),
        Say(
            422,
            vec![],
            r#"{"status":"error","errorType":"execution","error":"too much"}"#.into(),
        ),
        Say::json("<html>"),
        Say(503, vec![], "down".into()),
    ];
    let peer = runtime.block_on(Scripted::saying(answers));
    let reader = RemoteReader::new(connect(peer.config()));
    let found = select(&reader, 0, 999).unwrap();
    assert_eq!(found[0].times_ms, [1, 2, 3, 4]);
    assert!(found[0].values[0].is_nan());
    assert_eq!(
        found[0].values[1..],
        [f64::INFINITY, f64::NEG_INFINITY, 5e-324]
    );
    for (wrong, says) in [
        ("falling times", "do not rise"),
        ("no number", "\"one\""),
        ("refused", "too much"),
        ("no JSON", "cannot be read"),
        ("down", "503"),
    ] {
        let error = select(&reader, 0, 999).unwrap_err().to_string();
        assert!(error.contains(says), "{wrong}: {error}");
    }
}

#[test]
fn names_values_series_and_metadata() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let peer = runtime.block_on(Scripted::start(|came| {
        let data = match came.uri.path() {
            "/select/0/prometheus/api/v1/labels" => r#"["job","__name__"]"#,
            "/select/0/prometheus/api/v1/label/U__a_2e_b/values" => r#"["2","1","1"]"#,
            "/select/0/prometheus/api/v1/series" => {
                r#"[{"__name__":"m","a":"1"},{"__name__":"b"}]"#
            }
            "/select/0/prometheus/api/v1/metadata" => {
                r#"{"m":[{"type":"counter","help":"Counts.","unit":""}]}"#
            }
            other => panic!("{other}"),
        };
        Say::json(format!(r#"{{"status":"success","data":{data}}}"#))
    }));
    let config = PeerConfig {
        read_prefix: "/select/0/prometheus".into(),
        ..peer.config()
    };
    let reader = RemoteReader::new(connect(config));
    let not_a = Matcher::new("job", MatchOp::NotEqual, "a").unwrap();
    let query = LabelQuery {
        any_of: vec![vec![not_a]],
        from_ms: i64::MIN / 4,
        to_ms: i64::MAX / 4,
        limit: 1,
    };
    assert_eq!(reader.label_names(&query).unwrap(), ["__name__"]);
    assert_eq!(reader.label_values("a.b", &query).unwrap(), ["1"]);
    let every = LabelQuery {
        any_of: vec![],
        limit: 0,
        ..query
    };
    let series = reader.series(&every).unwrap();
    assert_eq!(series[0], Labels::from_pairs([("__name__", "b")]));
    let said = reader.metadata(None).unwrap();
    assert_eq!(
        (said[0].family.as_str(), said[0].metric_type),
        ("m", MetricType::Counter)
    );
    assert!(reader.metadata(Some("other")).unwrap().is_empty());
    let asked = peer.came();
    assert_eq!(form(&asked[0], "match[]"), "");
    assert!(
        asked[0]
            .uri
            .query()
            .unwrap()
            .contains("match%5B%5D=%7B__name__%21%3D%22%22%2Cjob%21%3D%22a%22%7D")
    );
    assert!(
        asked[0]
            .uri
            .query()
            .unwrap()
            .contains("start=0.000&end=9223372036.000&limit=1")
    );
    assert!(
        asked[2]
            .uri
            .query()
            .unwrap()
            .contains("match%5B%5D=%7B__name__%21%3D%22%22%7D")
    );
}

#[test]
fn queries_are_handed_on_whole_with_their_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let body = r#"{"status":"error","errorType":"bad_data","error":"no","warnings":["w"]}"#;
    let answer = Say(
        400,
        vec![("content-type", "application/json".into())],
        body.into(),
    );
    let peer = runtime.block_on(Scripted::saying(vec![answer]));
    let reader = RemoteReader::new(connect(peer.config()));
    let query = [("query".to_owned(), "sum(x) + 1".to_owned())];
    let answered = reader.forward("query", &query).unwrap();
    assert_eq!(
        (answered.status, answered.body.as_slice()),
        (400, body.as_bytes())
    );
    assert_eq!(form(&peer.came()[0], "query"), "sum(x) + 1");
}
