//! Expositions that are good: what is read from them, and what is remembered between them.

use std::fmt::Write;

use collect::{Exposition, Format, Limits, Parser};
use model::MetricType;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

/// What a parser found, one line a thing.
fn shown(parser: &Parser, found: &Exposition) -> String {
    let mut out = String::new();
    for said in &found.metadata {
        let kind = format!("{:?}", said.metric_type).to_lowercase();
        writeln!(
            out,
            "{} is a {kind}, unit {:?}: {:?}",
            said.family, said.unit, said.help
        )
        .unwrap();
    }
    for (index, sample) in found.samples.iter().enumerate() {
        write!(out, "{} {:?}", parser.labels(sample.slot), sample.value).unwrap();
        if let Some(time_ms) = sample.time_ms {
            write!(out, " @{time_ms}").unwrap();
        }
        for exemplar in found.exemplars.iter().filter(|e| e.sample == index) {
            write!(out, " <- {} {:?}", exemplar.labels, exemplar.value).unwrap();
            if let Some(time_ms) = exemplar.time_ms {
                write!(out, " @{time_ms}").unwrap();
            }
        }
        out.push('\n');
    }
    out
}

fn read(format: Format, text: &str) -> String {
    let mut parser = Parser::new(Limits::default());
    let found = match parser.parse(format, text.as_bytes()) {
        Ok(found) => found.clone(),
        Err(error) => panic!("{error}\n{text}"),
    };
    shown(&parser, &found)
}

#[test]
fn the_golden_files_are_read_as_written_down() {
    let openmetrics = read(
        Format::OpenMetrics,
        include_str!("testdata/good.openmetrics"),
    );
    assert_eq!(
        openmetrics,
        include_str!("testdata/good.openmetrics.expected")
    );
    let prometheus = read(Format::Prometheus, include_str!("testdata/good.prometheus"));
    assert_eq!(
        prometheus,
        include_str!("testdata/good.prometheus.expected")
    );
}

#[test]
fn nan_is_a_value_and_never_the_staleness_marker() {
    for (format, text) in [
        (Format::Prometheus, "a NaN\n"),
        (Format::OpenMetrics, "a nan\n# EOF"),
    ] {
        let mut parser = Parser::default();
        let found = parser.parse(format, text.as_bytes()).unwrap();
        assert!(found.samples[0].value.is_nan() && !model::is_stale(found.samples[0].value));
    }
}

#[test]
fn timestamps_are_milliseconds_or_seconds_by_format() {
    assert_eq!(
        read(Format::Prometheus, "a 1 1520879607789\n"),
        "a 1.0 @1520879607789\n"
    );
    assert_eq!(
        read(Format::OpenMetrics, "a 1 1520879607.789\n# EOF\n"),
        "a 1.0 @1520879607789\n"
    );
    assert_eq!(
        read(Format::OpenMetrics, "a 1 1.5e3\n# EOF\n"),
        "a 1.0 @1500000\n"
    );
    let far = read(Format::OpenMetrics, "a 1 12345678901234567890.123\n# EOF\n");
    assert_eq!(far, format!("a 1.0 @{}\n", i64::MAX));
}

#[test]
fn a_series_keeps_its_slot_for_as_long_as_the_source_says_it() {
    let mut parser = Parser::default();
    let slots = |parser: &mut Parser, text: &str| {
        let found = parser.parse(Format::Prometheus, text.as_bytes()).unwrap();
        found
            .samples
            .iter()
            .map(|s| (s.slot, s.fresh))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        slots(&mut parser, "a 1\nb{x=\"1\"} 1\nc 1\n"),
        [(0, true), (1, true), (2, true)]
    );
    assert_eq!(
        slots(&mut parser, "a 2\nb{x=\"1\"} 2\nc 2\n"),
        [(0, false), (1, false), (2, false)]
    );
    assert_eq!(slots(&mut parser, "c 1\na 1\n"), [(2, false), (0, false)]);
    // The slot of b was given up, and is taken by the next new series.
    assert_eq!(
        slots(&mut parser, "c 1\nb{x=\"2\"} 1\na 1\n"),
        [(2, false), (1, true), (0, false)]
    );
    assert_eq!(parser.labels(1).to_string(), r#"b{x="2"}"#);
    // `a` and `a {x="1"}` begin alike.
    assert_eq!(slots(&mut parser, "c 1\na {x=\"1\"} 1\n").len(), 2);
    assert!(parser.parse(Format::Prometheus, b"c 1\na\n").is_err());
    assert_eq!(
        slots(&mut parser, "c 1\n"),
        [(0, true)],
        "a bad body voids all slots"
    );
}

#[test]
fn metadata_is_handed_out_when_it_is_new_or_changed() {
    let mut parser = Parser::default();
    let mut news = |text: &str| {
        let found = parser.parse(Format::Prometheus, text.as_bytes()).unwrap();
        found
            .metadata
            .iter()
            .map(|m| (m.metric_type, m.help.clone()))
            .collect::<Vec<_>>()
    };
    let first = "# HELP a One.\n# TYPE a gauge\na 1\n";
    assert_eq!(news(first), [(MetricType::Gauge, "One.".to_owned())]);
    assert_eq!(news(first), []);
    assert_eq!(
        news("# HELP a Two.\n# TYPE a gauge\na 1\n"),
        [(MetricType::Gauge, "Two.".to_owned())]
    );
    assert_eq!(
        news("# HELP a Two.\na 1\n"),
        [(MetricType::Unknown, "Two.".to_owned())]
    );
}

#[test]
fn the_format_follows_from_the_content_type_and_is_never_guessed() {
    let of = |header, fallback| Format::from_content_type(header, fallback);
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(of(Some(openmetrics), None), Ok(Format::OpenMetrics));
    assert_eq!(
        of(Some("text/plain; version=0.0.4"), None),
        Ok(Format::Prometheus)
    );
    assert_eq!(of(Some("Text/Plain"), None), Ok(Format::Prometheus));
    assert!(of(Some("application/json"), None).is_err());
    assert!(of(Some("application/openmetrics-text; version=9.0.0"), None).is_err());
    assert!(of(None, None).is_err() && of(Some(" "), None).is_err());
    assert_eq!(of(None, Some(Format::Prometheus)), Ok(Format::Prometheus));
    assert_eq!(
        of(Some("text/html"), Some(Format::OpenMetrics)),
        Ok(Format::OpenMetrics)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_labels_and_any_value_survive_being_written_and_read(
        value in "\\PC*",
        bits in any::<u64>(),
        time_ms in any::<i64>(),
    ) {
        let number = f64::from_bits(bits);
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let text = format!("{{\"a b\",\"lä bel\"=\"{escaped}\"}} {number:?} {time_ms}\n");
        let mut parser = Parser::default();
        let sample = parser.parse(Format::Prometheus, text.as_bytes()).unwrap().samples[0];
        assert_eq!(sample.time_ms, Some(time_ms));
        let same = sample.value.to_bits() == bits || (sample.value.is_nan() && number.is_nan());
        assert!(same, "{text}");
        let labels = parser.labels(sample.slot);
        assert_eq!((labels.metric_name(), labels.get("lä bel").unwrap_or("")), ("a b", &*value));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(
        lines in prop::collection::vec("[a-c#{}\"=,\\\\ 0-9.TYPEHL\\n]{0,30}", 0..6),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut parser = Parser::default();
        for format in [Format::Prometheus, Format::OpenMetrics] {
            // Whether good or bad is no matter here: only that there is an answer.
            drop(parser.parse(format, lines.join("\n").as_bytes()).cloned());
            drop(parser.parse(format, &bytes).cloned());
        }
    }
}
