//! What the parser takes, what it refuses and where, and that printing is its inverse.

use proptest::prelude::*;
use query::ast::Expr;
use query::{Engine, Limits, Options, ParseError, parse};

fn refusal(text: &str) -> ParseError {
    match parse(text) {
        Err(e) => e,
        Ok(expr) => panic!("{text:?} was parsed as {expr}"),
    }
}

#[test]
fn invalid_queries_are_refused_with_their_place() {
    let cases = [
        ("", "1:1: parse error: no expression found in input"),
        (
            "# only a comment",
            "1:1: parse error: no expression found in input",
        ),
        ("1+", "1:3: parse error: unexpected end of input"),
        ("*1", "1:1: parse error: unexpected <op:*>"),
        (".", "1:1: parse error: unexpected character: '.'"),
        (
            "2.5.",
            "1:1: parse error: bad number or duration syntax: \"2.5.\"",
        ),
        ("(1))", "1:4: parse error: unexpected right parenthesis ')'"),
        ("((1)", "1:5: parse error: unclosed left parenthesis"),
        ("1 /", "1:4: parse error: unexpected end of input"),
        (
            "1 == 1",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
        (
            "1 or 1",
            "1:1: parse error: set operator \"or\" not allowed in binary scalar expression",
        ),
        (
            "1 !~ 1",
            "1:3: parse error: unexpected character after '!': '~'",
        ),
        (
            "1 =~ 1",
            "1:3: parse error: unexpected character after '=': '~'",
        ),
        (
            "-\"string\"",
            "1:1: parse error: unary expression only allowed on expressions of type scalar or \
             instant vector, got \"string\"",
        ),
        ("*test", "1:1: parse error: unexpected <op:*>"),
        (
            "foo + on(bar) group_left(bar) baz",
            "1:5: parse error: label \"bar\" must not occur in ON and GROUP clause at once",
        ),
        (
            "foo and on(bar) group_left(baz) baz",
            "1:1: parse error: no grouping allowed for \"and\" operation",
        ),
        (
            "http_requests{group=\"production\"} + bool ignoring(group) x",
            "1:35: parse error: bool modifier can only be used on comparison operators",
        ),
        (
            "foo offset 1h offset 2h",
            "1:1: parse error: offset may not be set multiple times",
        ),
        (
            "foo @ 1 @ 2",
            "1:1: parse error: @ <timestamp> may not be set multiple times",
        ),
        (
            "foo @ inf",
            "1:1: parse error: timestamp out of bounds for @ modifier: inf",
        ),
        (
            "foo[5m] [5m]",
            "1:9: parse error: ranges only allowed for vector selectors",
        ),
        (
            "foo offset 1m[5m]",
            "1:14: parse error: no offset modifiers allowed before range",
        ),
        (
            "foo[0m]",
            "1:5: parse error: duration must be greater than 0",
        ),
        (
            "foo[5mx]",
            "1:5: parse error: bad number or duration syntax: \"5mx\"",
        ),
        (
            "foo[5m1h]",
            "1:5: parse error: not a valid duration string: \"5m1h\"",
        ),
        (
            "foo[]",
            "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, \
             duration, step(), or range()",
        ),
        (
            "foo{",
            "1:5: parse error: unexpected end of input inside braces",
        ),
        (
            "{}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "{x=~\".*\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "foo{__name__=\"bar\"}",
            "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
        ),
        (
            "foo{a=1}",
            "1:7: parse error: unexpected character inside braces: '1'",
        ),
        (
            "foo{a>\"b\"}",
            "1:6: parse error: unexpected character inside braces: '>'",
        ),
        (
            "foo{a}",
            "1:6: parse error: unexpected \"}\" in label matching, expected label matching \
             operator",
        ),
        (
            "sum()",
            "1:1: parse error: no arguments for aggregate expression provided",
        ),
        (
            "sum(a, b)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, \
             expected 1, got 2",
        ),
        (
            "topk(a)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, \
             expected 2, got 1",
        ),
        (
            "topk(a, b)",
            "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
        ),
        (
            "sum by (5) (a)",
            "1:9: parse error: unexpected number \"5\" in grouping opts, expected label",
        ),
        (
            "nope(1)",
            "1:1: parse error: unknown function with name \"nope\"",
        ),
        (
            "rate(foo)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "floor()",
            "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0",
        ),
        (
            "round(a, 1, 2)",
            "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3",
        ),
        (
            "abs(a,)",
            "1:6: parse error: trailing commas not allowed in function call args",
        ),
        (
            "1[5m:]",
            "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
        ),
        (
            "a\n+\n  rate(b)",
            "3:8: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("\"unclosed", "1:1: parse error: unterminated quoted string"),
        (
            "foo{a=~\"(\"}",
            "1:5: parse error: error parsing regexp: unclosed group",
        ),
    ];
    let found = cases.map(|(text, wanted)| (text, wanted, refusal(text).to_string()));
    let wrong: Vec<_> = found
        .iter()
        .filter(|(_, wanted, found)| wanted != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn valid_queries_print_in_their_canonical_form() {
    let cases = [
        ("1", "1"),
        ("0x1F + 0755 + 1_000", "31 + 493 + 1000"),
        ("-1^2", "-1 ^ 2"),
        ("+Inf - nan", "+Inf - NaN"),
        ("5m", "5m"),
        ("1+2*3^4", "1 + 2 * 3 ^ 4"),
        ("a{ c=\"d\" ,b!=\"x\",}", "a{b!=\"x\",c=\"d\"}"),
        (
            "{\"my.metric\", 'l 1'=\"v\"}",
            "{__name__=\"my.metric\",\"l 1\"=\"v\"}",
        ),
        ("sum(x)by(job)", "sum by (job) (x)"),
        ("SUM without() (x)", "sum without () (x)"),
        ("topk by (a, 'b.c') (3, x)", "topk by (a, \"b.c\") (3, x)"),
        ("a / ON(x) GROUP_LEFT() b", "a / on (x) group_left () b"),
        ("a>bool ignoring(c)b", "a > bool ignoring (c) b"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + fill_right(-1) b", "a + fill_right (-1) b"),
        ("rate(x[1800])", "rate(x[30m])"),
        (
            "rate(x[5m] offset -1h @ 1.5)",
            "rate(x[5m] @ 1.500 offset -1h)",
        ),
        (
            "x @ end() offset (step()*2)",
            "x @ end() offset (step() * 2)",
        ),
        (
            "max_over_time(rate(x[1m])[1h:] @ start())",
            "max_over_time(rate(x[1m])[1h:] @ start())",
        ),
        (
            "x[min_of(step(), 1m)+1s:30s]",
            "x[min_of(step(), 1m) + 1s:30s]",
        ),
        ("rate(x[5m] smoothed)", "rate(x[5m] smoothed)"),
        ("h </ 5 >/ 1", "h </ 5 >/ 1"),
        ("sum", "sum"),
        ("offset + by", "offset + by"),
        ("fill + fill(1) fill_left", "fill + fill (1) fill_left"),
        ("start() + END()", "start() + end()"),
        ("\"a\\n\\\"\"", "\"a\\n\\\"\""),
        ("'x'", "\"x\""),
        ("`a\\b`", "\"a\\\\b\""),
    ];
    for (text, printed) in cases {
        let expr = parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(expr.to_string(), printed, "{text:?}");
        assert_eq!(
            parse(printed).as_ref(),
            Ok(&expr),
            "{printed:?} reads differently"
        );
    }
}

#[test]
fn operators_bind_as_prometheus_s_do() {
    let same = [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("2 ^ 3 ^ 2", "2 ^ (3 ^ 2)"),
        ("-2 ^ 2", "-(2 ^ 2)"),
        ("-a * b", "(-a) * b"),
        ("a or b and c", "a or (b and c)"),
        ("a == bool b + c", "a == bool (b + c)"),
        ("a - b - c", "(a - b) - c"),
        ("a > b </ 1", "(a > b) </ 1"),
        ("a atan2 b % c", "(a atan2 b) % c"),
        ("x offset 1m + 1m", "(x offset 1m) + 1m"),
        ("x offset -2 ^ 2", "(x offset -2) ^ 2"),
    ];
    for (text, grouped) in same {
        let shape = |text: &str| ungrouped(&parse(text).unwrap());
        assert_eq!(shape(text), shape(grouped), "{text:?}");
    }
}

/// The structure of a tree, its own parentheses left out.
fn ungrouped(expr: &Expr) -> String {
    match expr {
        Expr::Paren(p) => ungrouped(&p.inner),
        Expr::Unary(u) => format!("(- {})", ungrouped(&u.inner)),
        Expr::Binary(b) => {
            format!(
                "({} {} {})",
                ungrouped(&b.left),
                b.op.as_str(),
                ungrouped(&b.right)
            )
        }
        other => other.to_string(),
    }
}

#[test]
fn every_node_knows_its_place() {
    let text = " sum(rate(x{a=\"b\"}[5m] offset 1m)) + -y";
    let Expr::Binary(b) = parse(text).unwrap() else {
        panic!("no operator")
    };
    let slice = |e: &Expr| &text[e.position().start..e.position().end];
    assert_eq!(slice(&b.left), "sum(rate(x{a=\"b\"}[5m] offset 1m))");
    assert_eq!(slice(&b.right), "-y");
    let Expr::Aggregate(a) = &b.left else {
        panic!("no aggregation")
    };
    assert_eq!(slice(&a.inner), "rate(x{a=\"b\"}[5m] offset 1m)");
    let Expr::Call(c) = &a.inner else {
        panic!("no call")
    };
    assert_eq!(slice(&c.args[0]), "x{a=\"b\"}[5m] offset 1m");
}

#[test]
fn hostile_queries_are_judged_at_once() {
    let megabyte = "1+".repeat(1 << 19) + "1";
    assert!(refusal(&megabyte).message.contains("bytes long"));
    let operators = "1+".repeat(8_000) + "1";
    assert!(
        refusal(&operators)
            .message
            .contains("more than 1000 operators")
    );
    for nested in [
        "(".repeat(5_000) + "1" + &")".repeat(5_000),
        "-".repeat(5_000) + "1",
        "abs(".repeat(2_000) + "x",
        "1^".repeat(5_000) + "1",
        "sum(".repeat(2_000) + "x",
        "x[".to_owned() + &"(".repeat(5_000) + "1",
        "x offset ".to_owned() + &"-".repeat(9_000) + "1",
        "x[1".to_owned() + &"+1".repeat(5_000) + "]",
    ] {
        let message = refusal(&nested).message;
        assert!(
            message.contains("nested deeper") || message.contains("unexpected"),
            "{message}"
        );
    }
}

#[test]
fn long_chains_are_built_walked_and_dropped_without_recursion() {
    let limits = Limits {
        query_bytes: 1 << 21,
        operators: usize::MAX,
        ..Limits::default()
    };
    let engine = Engine::new(Options {
        limits,
        ..Options::default()
    });
    let text = "1+".repeat(200_000) + "1";
    let expr = engine.parse(&text).unwrap();
    assert_eq!(expr.to_string().len(), 4 * 200_000 + 1);
    let reader = testkit::MemoryStore::new();
    let answer = engine.instant(&reader, &text, 0).unwrap();
    let wanted = query::QueryValue::Scalar {
        time_ms: 0,
        value: 200_001.0,
    };
    assert_eq!(answer.value, wanted);
}

/// Expressions of type vector.
fn vectors() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_owned()),
        Just("x{a=\"b\",c!~\"d.*\"} offset 5m".to_owned()),
        Just("{__name__=\"y z\"} @ 12.345".to_owned()),
        Just("sum_over_time(x[5m])".to_owned()),
        "[a-z]{1,6}".prop_map(|label| format!("x{{{label}=\"1\"}}")),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), "[-+*/%^]")
                .prop_map(|(a, b, op)| format!("{a} {op} {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and on (a) {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} > bool {b}")),
            (inner.clone(), any::<f64>())
                .prop_map(|(a, n)| format!("{a} + {}", query::format_value(n))),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("topk by (l) (3, {a})")),
            inner
                .clone()
                .prop_map(|a| format!("rate(({a})[1h30m:15s] @ end() offset -1d)")),
            inner.prop_map(|a| format!("label_replace({a}, \"d\", \"$1\", \"s\", \"(.*)\\\\.x\")")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_printed_reads_the_same(text in vectors()) {
        let expr = parse(&text).unwrap();
        let printed = expr.to_string();
        prop_assert_eq!(parse(&printed).unwrap(), expr);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,200}") {
        parse(&text).map(drop).unwrap_or_default();
    }

    #[test]
    fn any_words_are_judged_without_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "sum", "by", "(", ")", "{", "}", "[", "]", "5m", "1", "x", "offset", "@", "-",
                "start", "on", "group_left", "\"s\"", ",", "=", "=~", "fill", ":", "rate", "^",
                "bool", ">", "and", "smoothed", "step", "inf",
            ]),
            0..40,
        )
    ) {
        parse(&words.join(" ")).map(drop).unwrap_or_default();
    }
}
