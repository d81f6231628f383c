//! Known answers of templates, Go's and Prometheus's.

use model::Labels;

use super::{Context, OUTPUT_BYTES_MAX, Template};

fn expand(text: &str) -> Result<String, String> {
    expand_value(text, 1_234_567.0)
}

fn expand_value(text: &str, value: f64) -> Result<String, String> {
    let labels = Labels::from_pairs([
        ("__name__", "up"),
        ("instance", "db-1.example.org:9100"),
        ("job", "node"),
    ]);
    let query = |expr: &str| match expr {
        "none" => Ok(Vec::new()),
        "two" => Ok(vec![
            (Labels::from_pairs([("instance", "b"), ("n", "1")]), 11.0),
            (Labels::from_pairs([("instance", "a"), ("n", "2")]), 21.0),
        ]),
        other => Err(format!("no such query {other}")),
    };
    let external = Labels::from_pairs([("cluster", "eu")]);
    let context = Context {
        labels: &labels,
        value,
        external_labels: &external,
        external_url: "http://alluse.example:9400/path",
        time_ms: 1_500,
        query: &query,
    };
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    template.expand(&context).map_err(|error| error.to_string())
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(expand(text).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn data_and_variables() {
    check(&[
        ("plain", "plain"),
        (
            "{{ $labels.instance }} {{ .Labels.job }}",
            "db-1.example.org:9100 node",
        ),
        ("{{ $value }} {{.Value}}", "1.234567e+06 1.234567e+06"),
        ("{{ $labels.nothing }}|{{ $externalLabels.cluster }}", "|eu"),
        (
            "{{ $externalURL }} {{ pathPrefix }}",
            "http://alluse.example:9400/path /path",
        ),
        ("{{ $x := 3 }}{{ $x }}{{ $x = 4 }}{{ $x }}", "34"),
        ("{{ index $labels \"job\" }} {{ len $labels }}", "node 3"),
        ("a {{- /* gone */ -}} b {{- 1 -}} c", "ab1c"),
        ("{{ `raw \\n` }}{{ \"a\\tb\" }}{{ 'x' }}", "raw \\na\tb120"),
        (
            "{{ $labels }}",
            "map[__name__:up instance:db-1.example.org:9100 job:node]",
        ),
    ]);
}

#[test]
fn control() {
    check(&[
        ("{{ if gt .Value 5.0 }}high{{ else }}low{{ end }}", "high"),
        (
            "{{ if eq $labels.job \"a\" }}1{{ else if eq $labels.job \"node\" \"b\" }}2{{ end }}",
            "2",
        ),
        ("{{ if eq $labels.job \"b\" \"node\" }}in{{ end }}", "in"),
        (
            "{{ with $labels.nothing }}{{ . }}{{ else }}none{{ end }}",
            "none",
        ),
        (
            "{{ with query \"two\" }}{{ . | first | value }}{{ end }}",
            "11",
        ),
        (
            "{{ range query \"two\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
            "b=11 a=21 ",
        ),
        (
            "{{ range query \"none\" }}x{{ else }}empty{{ end }}",
            "empty",
        ),
        (
            "{{ range $i, $s := sortByLabel \"instance\" (query \"two\") }}{{ if $i }}, {{ end }}{{ label \"instance\" $s }}{{ end }}",
            "a, b",
        ),
        (
            "{{ range query \"two\" }}{{ if eq .Labels.instance \"a\" }}{{ break }}{{ end }}{{ .Value }}{{ end }}",
            "11",
        ),
        (
            "{{ range $k, $v := $labels }}{{ if eq $k \"job\" }}{{ continue }}{{ end }}{{ $k }};{{ end }}",
            "__name__;instance;",
        ),
        (
            "{{ define \"x\" }}<{{ .arg0 }}{{ .arg1 }}>{{ end }}{{ template \"x\" (args 1 \"b\") }}",
            "<1b>",
        ),
        (
            "{{ define \"y\" }}{{ . }}{{ end }}{{ tmpl \"y\" 5 | toUpper }}",
            "5",
        ),
        (
            "{{ and 1 0 }}{{ or 0 \"\" \"z\" }}{{ not true }}",
            "0zfalse",
        ),
        ("{{ and true (eq 1 1) | printf \"%v\" }}", "true"),
    ]);
}

#[test]
fn functions() {
    check(&[
        (
            "{{ \"a b\" | title | toUpper | toLower }} {{ title \"node cpu-x_y\" }}",
            "a b Node Cpu-X_y",
        ),
        (
            "{{ match \"a+\" \"xaay\" }} {{ reReplaceAll \"(.*)-(\\\\d)\" \"$2/$1\" \"db-1\" }}",
            "true 1/db",
        ),
        (
            "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}",
            "db-1.example.org db-1:9100",
        ),
        (
            "{{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"x\" }}",
            "10.0.0.1:80 ::1 x",
        ),
        (
            "{{ graphLink \"up{a=\\\"b\\\"} == 0\" }}",
            "/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3D%3D+0&g0.tab=0",
        ),
        ("{{ tableLink \"up\" }}", "/graph?g0.expr=up&g0.tab=1"),
        (
            "{{ printf \"%.2f|%5d|%-4s|%05.1f|%q|%t|%x|%%\" 3.14159 42 \"a\" 2.5 \"q\" true 255 }}",
            "3.14|   42|a   |002.5|\"q\"|true|ff|%",
        ),
        (
            "{{ printf \"%d\" $value }} {{ printf \"%s\" 1 }} {{ printf \"%v\" }}",
            "%!d(float64=1.234567e+06) %!s(int=1) %!v(MISSING)",
        ),
        (
            "{{ print 1 2 \"a\" \"b\" 3 4 }} {{ print \"x\" nil }}",
            "1 2ab3 4 x<nil>",
        ),
        ("{{ parseDuration \"1h30m\" }} {{ now }}", "5400 1.5"),
        (
            "{{ 1435781430.781 | toTime }} {{ humanizeTimestamp 0 }}",
            "2015-07-01 20:10:30.78 +0000 UTC 1970-01-01 00:00:00 +0000 UTC",
        ),
        (
            "{{ (toTime 1435781430).Format \"Mon, 02 Jan 2006 15:04:05 MST\" }} {{ (toTime 60).Minute }}",
            "Wed, 01 Jul 2015 20:10:30 UTC 1",
        ),
        ("{{ safeHtml \"<b>\" }}{{ html \"<b>\" }}", "<b>&lt;b&gt;"),
    ]);
}

#[test]
fn numbers_for_people() {
    for (value, humanized, of_1024, duration, percent) in [
        (0.0, "0", "0", "0s", "0%"),
        (1.0, "1", "1", "1s", "100%"),
        (12_345.67, "12.35k", "12.06ki", "3h 25m 45s", "1.235e+06%"),
        (1_048_576.0, "1.049M", "1Mi", "12d 3h 16m 16s", "1.049e+08%"),
        (0.001, "1m", "0.001", "1ms", "0.1%"),
        (-60.5, "-60.5", "-60.5", "-1m 0s", "-6050%"),
        (1e-7, "100n", "1e-07", "100ns", "1e-05%"),
        (f64::NAN, "NaN", "NaN", "NaN", "NaN%"),
        (f64::INFINITY, "+Inf", "+Inf", "+Inf", "+Inf%"),
        (59.9994, "60", "60", "60s", "6000%"),
    ] {
        let one = |function: &str| expand_value(&format!("{{{{ {function} $value }}}}"), value);
        assert_eq!(one("humanize").as_deref(), Ok(humanized));
        assert_eq!(one("humanize1024").as_deref(), Ok(of_1024));
        assert_eq!(one("humanizeDuration").as_deref(), Ok(duration));
        assert_eq!(one("humanizePercentage").as_deref(), Ok(percent));
    }
    check(&[(
        "{{ \"1500\" | humanize }} {{ toDuration 5400.5 }}",
        "1.5k 1h30m0.5s",
    )]);
}

#[test]
fn mistakes_have_places() {
    for (text, expected) in [
        ("{{ nothing 1 }}", "function \"nothing\" not defined"),
        ("{{ $x }}", "undefined variable \"$x\""),
        ("a\n{{ if true }}", "an {{end}} is missing"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ \"a }}", "unterminated quoted string"),
        ("{{ ", "unclosed action"),
        ("{{ }}", "missing value for command"),
        ("{{ break }}", "outside"),
        (
            "a\n {{ gt $value 90 }}",
            "2:5: error calling gt: incompatible types for comparison",
        ),
        ("{{ query \"bad\" }}", "no such query bad"),
        (
            "{{ query \"none\" | first }}",
            "first() called on vector with no elements",
        ),
        ("{{ humanize \"x\" }}", "ParseFloat"),
        ("{{ template \"none\" }}", "not defined"),
        (
            "{{ reReplaceAll \"(\" \"\" \"\" }}",
            "error calling reReplaceAll",
        ),
        ("{{ .Nothing }}", "can't evaluate field Nothing"),
        ("{{ toUpper }}", "wrong number of args"),
        ("{{ $labels.job 1 }}", "can't give argument to non-function"),
    ] {
        let error = expand(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn work_output_and_nesting_are_bounded() {
    let endless = "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}";
    assert!(expand(endless).unwrap_err().contains("deeper"));
    let long = "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}";
    assert!(expand(long).unwrap_err().contains("steps"));
    let large = format!("{{{{ range 90000 }}}}{}{{{{ end }}}}", "x".repeat(100));
    let error = expand(&large).unwrap_err();
    assert!(error.contains(&OUTPUT_BYTES_MAX.to_string()), "{error}");
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500));
    assert!(expand(&deep).unwrap_err().contains("deeper"));
    assert!(expand(&"x".repeat(100_000)).unwrap_err().contains("longer"));
}
