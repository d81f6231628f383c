//! Expositions that must be refused whole, with the place and the reason.

use collect::{Format, Limits, Parser};

fn refused(format: Format, text: &str) -> String {
    let mut parser = Parser::new(Limits::default());
    match parser.parse(format, text.as_bytes()) {
        Ok(found) => panic!("accepted {text:?} as {found:?}"),
        Err(error) => error.to_string(),
    }
}

fn check(format: Format, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let error = refused(format, text);
        if !error.contains(expected) {
            wrong.push(format!(
                "{text:?}\n  is refused by: {error}\n  expected:      {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn openmetrics_structure() {
    check(
        Format::OpenMetrics,
        &[
            ("", "line 1, column 1: # EOF is missing"),
            ("a 1\n", "line 2, column 1: # EOF is missing"),
            ("a 1\n# EOF\nb 1\n", "line 3, column 1: text after # EOF"),
            ("a 1\n# EOF\n\n", "line 3, column 1: text after # EOF"),
            ("a 1\n# EOFx", "line 2, column 1: neither # TYPE"),
            ("a 1\n#EOF\n", "line 2, column 1: neither # TYPE"),
            ("# FOO a x\n# EOF\n", "neither # TYPE"),
            ("#\n# EOF\n", "neither # TYPE"),
            ("# a remark\n# EOF\n", "neither # TYPE"),
            ("\n# EOF\n", "line 1, column 1: an empty line"),
            ("a 1\n\n# EOF\n", "line 2, column 1: an empty line"),
            ("a 1\r\n# EOF\n", "line 1, column 4: a carriage return"),
            (" a 1\n# EOF\n", "a blank at the start"),
            (" # HELP a meh\n# EOF\n", "a blank at the start"),
        ],
    );
}

#[test]
fn openmetrics_metadata() {
    check(
        Format::OpenMetrics,
        &[
            ("# HELP\n# EOF\n", "neither # TYPE"),
            (
                "# HELP \n# EOF\n",
                "line 1, column 8: a metric name expected",
            ),
            ("# HELP a\n# EOF\n", "line 1, column 9: one space expected"),
            ("# HELP a\t\n# EOF\n", "one space expected"),
            ("# HELP a x\\\n# EOF\n", "a backslash that escapes nothing"),
            (
                "# TYPE a meh\n# EOF\n",
                "line 1, column 10: \"meh\" is not a metric type",
            ),
            ("# TYPE a gauge \n# EOF\n", "is not a metric type"),
            ("# TYPE a untyped\n# EOF\n", "is not a metric type"),
            ("# TYPE a Gauge\n# EOF\n", "is not a metric type"),
            ("# TYPE a\n# EOF\n", "one space expected"),
            ("# TYPE 0a gauge\n# EOF\n", "a metric name expected"),
            (
                "# UNIT a seconds\n# EOF\n",
                "the unit \"seconds\" has to be the suffix",
            ),
            ("# UNIT a_seconds seconds \n# EOF\n", "has to be the suffix"),
            ("# UNIT aseconds seconds\n# EOF\n", "has to be the suffix"),
            ("# TYPE x_u info\n# UNIT x_u u\n# EOF\n", "have no unit"),
            ("# TYPE x_u stateset\n# UNIT x_u u\n# EOF\n", "have no unit"),
            (
                "# HELP a x\n# HELP a x\n# EOF\n",
                "line 2, column 3: a second HELP line",
            ),
            (
                "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
                "a second TYPE line",
            ),
            (
                "# TYPE a info\n# TYPE a counter\n# EOF\n",
                "a second TYPE line",
            ),
            ("# UNIT a_s s\n# UNIT a_s s\n# EOF\n", "a second UNIT line"),
            (
                "# HELP a x\na 1\n# TYPE a gauge\n# EOF\n",
                "metadata after samples",
            ),
            (
                "# TYPE a gauge\na 1\n# HELP a x\n# EOF\n",
                "metadata after samples",
            ),
            (
                "# TYPE a_created gauge\n# TYPE a counter\n# EOF\n",
                "\"a_created\" is another metric's",
            ),
            (
                "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n",
                "\"a_total\" is another metric's",
            ),
        ],
    );
}

#[test]
fn openmetrics_series_text() {
    check(
        Format::OpenMetrics,
        &[
            (
                "0a 1\n# EOF\n",
                "line 1, column 1: a character that no metric name may have",
            ),
            (
                "a.b 1\n# EOF\n",
                "line 1, column 2: a character that no metric name",
            ),
            ("a-b 1\n# EOF\n", "a character that no metric name"),
            ("a{a=1} 1\n# EOF\n", "has to be quoted"),
            ("a{a='1'} 1\n# EOF\n", "has to be quoted"),
            (
                "a{a=\"1} 1\n# EOF\n",
                "line 1, column 5: a quoted text that is not closed",
            ),
            ("a{a=\"1\" 1\n# EOF\n", "not closed by '}'"),
            ("a{a=\"1\"b=\"2\"} 1\n# EOF\n", "',' or '}' expected"),
            ("a{a=\"1\",,b=\"2\"} 1\n# EOF\n", "a label name expected"),
            ("a{a=\"1\",b=\"2\",} 1\n# EOF\n", "a label name expected"),
            ("a{,} 1\n# EOF\n", "a label name expected"),
            ("a{ a=\"1\"} 1\n# EOF\n", "a label name expected"),
            ("a{a =\"1\"} 1\n# EOF\n", "'=' expected"),
            (
                "a{1=\"1\"} 1\n# EOF\n",
                "line 1, column 3: a label name expected",
            ),
            ("a{a:b=\"1\"} 1\n# EOF\n", "'=' expected"),
            ("a{a} 1\n# EOF\n", "'=' expected"),
            ("a{a=\"1\",a=\"2\"} 1\n# EOF\n", "a second label \"a\""),
            ("a{__name__=\"b\"} 1\n# EOF\n", "__name__ is reserved"),
            ("{a=\"1\"} 1\n# EOF\n", "without a metric name"),
            ("a{\"b\"} 1\n# EOF\n", "a second metric name"),
            ("{\"\"} 1\n# EOF\n", "an empty name"),
            ("a {a=\"1\"} 1\n# EOF\n", "is not a number"),
        ],
    );
}

#[test]
fn openmetrics_values_and_timestamps() {
    check(
        Format::OpenMetrics,
        &[
            (
                "a\n# EOF\n",
                "line 1, column 2: one space and a value expected",
            ),
            ("a \n# EOF\n", "a value expected"),
            ("a  1\n# EOF\n", "line 1, column 3: a value expected"),
            ("a\t1\n# EOF\n", "one space and a value expected"),
            ("a a\n# EOF\n", "\"a\" is not a number"),
            ("a 1\t\n# EOF\n", "is not a number"),
            ("a 1 \n# EOF\n", "line 1, column 5: a timestamp expected"),
            ("a 1_2\n# EOF\n", "is not a number"),
            ("a 0x1\n# EOF\n", "is not a number"),
            ("a 0x1p-3\n# EOF\n", "is not a number"),
            ("a 0b1\n# EOF\n", "is not a number"),
            ("a +NaN\n# EOF\n", "is not a number"),
            (
                "a 1 z\n# EOF\n",
                "line 1, column 5: \"z\" is not a timestamp",
            ),
            ("a 1 1.1.1\n# EOF\n", "is not a timestamp"),
            ("a 1 NaN\n# EOF\n", "is not a timestamp"),
            ("a 1 Inf\n# EOF\n", "is not a timestamp"),
            ("a 1 -Inf\n# EOF\n", "is not a timestamp"),
            ("a 1 1 1\n# EOF\n", "the end of the line or ' # ' expected"),
        ],
    );
}

#[test]
fn openmetrics_rules_of_types() {
    check(
        Format::OpenMetrics,
        &[
            (
                "# TYPE a counter\na 1\n# EOF\n",
                "end in one of [\"_total\", \"_created\"]",
            ),
            ("# TYPE a counter\na_total NaN\n# EOF\n", "is not NaN"),
            ("# TYPE a counter\na_total -1\n# EOF\n", "is not negative"),
            (
                "# TYPE a counter\na_total 1\na_created NaN\n# EOF\n",
                "a creation time is a finite",
            ),
            ("# TYPE a info\na 1\n# EOF\n", "end in one of [\"_info\"]"),
            ("# TYPE a info\na_info 2\n# EOF\n", "an info metric is 1"),
            (
                "# TYPE a stateset\na 0\n# EOF\n",
                "the label \"a\" is missing",
            ),
            (
                "# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n",
                "a state is 0 or 1",
            ),
            (
                "# TYPE a stateset\na{a=\"x\"} NaN\n# EOF\n",
                "a state is 0 or 1",
            ),
            (
                "# TYPE a summary\na 0\n# EOF\n",
                "the label \"quantile\" is missing",
            ),
            (
                "# TYPE a summary\na{quantile=\"-0.1\"} 0\n# EOF\n",
                "is not between 0 and 1",
            ),
            (
                "# TYPE a summary\na{quantile=\"1.1\"} 0\n# EOF\n",
                "is not between 0 and 1",
            ),
            (
                "# TYPE a summary\na{quantile=\"NaN\"} 0\n# EOF\n",
                "is not between 0 and 1",
            ),
            (
                "# TYPE a summary\na{quantile=\"x\"} 0\n# EOF\n",
                "is not between 0 and 1",
            ),
            (
                "# TYPE a summary\na{quantile=\"0.5\"} -1\n# EOF\n",
                "a quantile is not negative",
            ),
            ("# TYPE a summary\na_count -1\n# EOF\n", "not negative"),
            ("# TYPE a summary\na_count NaN\n# EOF\n", "a whole number"),
            ("# TYPE a summary\na_sum -1\n# EOF\n", "not negative"),
            (
                "# TYPE a summary\na_count{quantile=\"1\"} 1\n# EOF\n",
                "does not belong here",
            ),
        ],
    );
}

#[test]
fn openmetrics_histograms() {
    check(
        Format::OpenMetrics,
        &[
            (
                "# TYPE a histogram\na_bucket 0\n# EOF\n",
                "the label \"le\" is missing",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"x\"} 0\n# EOF\n",
                "the bucket bound \"x\"",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"NaN\"} 0\n# EOF\n",
                "the bucket bound",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+INF\"} 0\n# EOF\n",
                "the bucket bound",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} NaN\n# EOF\n",
                "a whole number",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} -1\n# EOF\n",
                "not negative",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1.5\n# EOF\n",
                "a whole number",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"1.0\"} 0\n# EOF\n",
                "the +Inf bucket is missing",
            ),
            (
                "# TYPE a histogram\na_sum 1\na_count 1\n# EOF\n",
                "the +Inf bucket is missing",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"2.0\"} 0\na_bucket{le=\"1.0\"} 0\n# EOF\n",
                "line 3, column 1: buckets out of order",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
                "buckets are cumulative",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1\n# EOF\n",
                "its count is not that of the +Inf bucket",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\n# EOF\n",
                "a sum without a count",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# EOF\n",
                "a count without a sum",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"-1.0\"} 1\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n# EOF\n",
                "a sum beside negative buckets",
            ),
            (
                "# TYPE a histogram\na_bucket{le=\"+Inf\"} 0\na_count{le=\"1\"} 0\n# EOF\n",
                "does not belong",
            ),
            (
                "# TYPE a gaugehistogram\na_bucket{le=\"1.0\"} 0\n# EOF\n",
                "the +Inf bucket is missing",
            ),
            (
                "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gcount 1\na_gsum -1\n# EOF\n",
                "a negative sum without negative buckets",
            ),
            (
                "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum NaN\n# EOF\n",
                "not NaN",
            ),
        ],
    );
}

#[test]
fn openmetrics_groups_and_order() {
    check(
        Format::OpenMetrics,
        &[
            (
                "a 1\nb 1\na 1\n# EOF\n",
                "line 3, column 1: the lines of metric \"a\" are interleaved",
            ),
            (
                "# TYPE a counter\n# TYPE b gauge\na_total 1\n# EOF\n",
                "\"a_total\" is another metric's",
            ),
            (
                "# TYPE a gauge\na 1\nb 1\n# HELP a x\n# EOF\n",
                "interleaved",
            ),
            (
                "a{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"1\"} 1 5\n# EOF\n",
                "interleaved",
            ),
            ("a 1\na 2\n# EOF\n", "the same series a second time"),
            (
                "a 1 2\na 1 1\n# EOF\n",
                "a timestamp before that of the sample above",
            ),
            ("a 1\na 1 1\n# EOF\n", "with and without timestamps"),
            (
                "# TYPE a summary\na_count 0 1\na_sum 0\n# EOF\n",
                "with and without timestamps",
            ),
        ],
    );
}

#[test]
fn openmetrics_exemplars() {
    let bucket =
        |tail: &str| format!("# TYPE a histogram\na_bucket{{le=\"+Inf\"}} 1{tail}\n# EOF\n");
    let long = format!(" # {{a=\"{}\"}} 1", "x".repeat(128));
    let cases = [
        (" #", "' # ' expected"),
        (" # ", "the labels of an exemplar expected"),
        (" # {}", "one space and a value expected"),
        (" # {} ", "a value expected"),
        (" # {} 1 ", "a timestamp expected"),
        (" # {}1", "one space and a value expected"),
        (" #{} 1", "expected"),
        (" # {a=1} 1", "has to be quoted"),
        (" # {\"a\"} 1", "a second metric name, or '=' missing"),
        (" # {} 1 NaN", "is not a timestamp"),
        (" # {} 1 # {} 1", "a second exemplar"),
        (long.as_str(), "more than 128 characters"),
    ];
    for (tail, expected) in cases {
        check(Format::OpenMetrics, &[(&bucket(tail), expected)]);
    }
    check(
        Format::OpenMetrics,
        &[
            (
                "# TYPE a gauge\na 1 # {} 1\n# EOF\n",
                "only buckets and counters have exemplars",
            ),
            (
                "# TYPE a counter\na_total 1\na_created 1 # {} 1\n# EOF\n",
                "only buckets and counters",
            ),
        ],
    );
}

#[test]
fn prometheus_text() {
    check(
        Format::Prometheus,
        &[
            ("a 1", "line 1, column 4: the text ends inside a line"),
            ("a 1\nb", "line 2, column 2: the text ends inside a line"),
            ("a\n", "a value expected"),
            ("a x\n", "line 1, column 3: \"x\" is not a number"),
            ("a 0x10\n", "is not a number"),
            ("a 1_000\n", "is not a number"),
            (
                "a 1 1.5\n",
                "line 1, column 5: \"1.5\" is not a timestamp in whole milliseconds",
            ),
            ("a 1 1 1\n", "is not a timestamp"),
            ("a 1 # {} 1\n", "is not a timestamp"),
            ("a 1\r\n", "is not a number"),
            ("0a 1\n", "a character that no metric name"),
            ("a{b=\"1\"\n", "not closed by '}'"),
            ("a{b=\"1} 1\n", "a quoted text that is not closed"),
            (
                "a{b=\"1\nc=\"2\"} 1\n",
                "line 1, column 5: a quoted text that is not closed",
            ),
            ("a{b=1} 1\n", "has to be quoted"),
            ("a{b=\"1\" c=\"2\"} 1\n", "',' or '}' expected"),
            ("a{b=\"1\",b=\"2\"} 1\n", "a second label \"b\""),
            ("{b=\"1\"} 1\n", "without a metric name"),
            (
                "# TYPE a gauge\n# TYPE a gauge\n",
                "line 2, column 8: a second TYPE line",
            ),
            ("# HELP a x\n# HELP a y\n", "a second HELP line"),
            ("a 1\n# TYPE a gauge\n", "TYPE after samples"),
            ("# TYPE a meh\n", "\"meh\" is not a metric type"),
            ("# TYPE a\n", "\"\" is not a metric type"),
            ("# TYPE\n", "a metric name expected"),
            ("# HELP a-b x\n", "a character that no metric name"),
        ],
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let error = Parser::default()
            .parse(format, b"a 1\nb{x=\"\xC3\xA4\xFF\"} 1\n")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 7: bytes that are not UTF-8"
        );
    }
}

#[test]
fn every_bound_holds() {
    let limits = Limits {
        body_bytes: 400,
        line_bytes: 200,
        labels: 2,
        name_bytes: 8,
        value_bytes: 8,
        samples: 3,
    };
    let cases = [
        (
            format!("a{{b=\"{}\"}} 1\n", "x".repeat(9)),
            "a label value longer than 8 bytes",
        ),
        (
            format!("a{{b=\"{}\"}} 1\n", "x".repeat(250)),
            "the line is longer than 200 bytes",
        ),
        ("x 1\n".repeat(101), "the body is longer than 400 bytes"),
        ("abcdefghi 1\n".into(), "a name longer than 8 bytes"),
        (
            "a{abcdefghi=\"1\"} 1\n".into(),
            "a name longer than 8 bytes",
        ),
        ("# HELP abcdefghi x\n".into(), "a name longer than 8 bytes"),
        ("a{b=\"\",c=\"\",d=\"\"} 1\n".into(), "more than 2 labels"),
        (
            "a 1\nb 1\nc 1\nd 1\n".into(),
            "line 4, column 1: more than 3 samples",
        ),
    ];
    for (text, expected) in cases {
        let error = Parser::new(limits)
            .parse(Format::Prometheus, text.as_bytes())
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
