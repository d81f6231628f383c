//! Grows queries of all of PromQL as of Prometheus 2.42, well typed but for a share that is not.
//!
//! Two rules keep a difference of rounding one of rounding. What jumps (`floor`, `%`, `==`,
//! `topk`, ...) or cancels (`-`) is applied to *exact* operands only: samples, and sums and
//! choices of them, whose values no order of evaluation changes. And no window's edge falls on a
//! sample or on a step of a subquery: times of evaluation have 250 ms, samples 300 to 700, steps of
//! subqueries none, and a subquery inside another is shifted by 130 ms. Which of equals `topk`
//! takes is nobody's promise: it is given metrics without equals.

use std::fmt::Write as _;

use numerics::rng::Rng;

use super::judge::Order;

/// Milliseconds of every time of evaluation.
pub(super) const EVALUATED_AT_MS: i64 = 250;

const NAMES: &[&str] = &[
    "instance", "job", "code", "room", "path", "end", "le", "nothing",
];
const RANGES: &[&str] = &["20s", "1m", "3m", "5m", "12m", "30m"];
const STEPS: &[&str] = &["10s", "15s", "40s", "1m", "3m", ""];
const OFFSETS: &[&str] = &["7s", "1m", "6m", "20m", "-30s", "-4m"];
const QUANTILES: &[&str] = &["0", "0.25", "0.5", "0.9", "0.99", "1", "-1", "2"];

/// Metrics whose values are never negative, infinite or missing.
const PLAIN: &[&str] = &[
    "requests_total",
    "bytes_total",
    "limit",
    "latency_seconds_count",
    "latency_seconds_bucket",
];
const ALL: &[&str] = &[
    "requests_total",
    "requests_total",
    "bytes_total",
    "temperature",
    "level",
    "limit",
    "sparse",
    "sparse",
    "gone",
    "shape",
    "build_info",
    "latency_seconds_bucket",
    "latency_seconds_sum",
    "no_such_metric",
];

/// Metrics no two series of which are equal at any time.
const RANKED: &[&str] = &["bytes_total", "limit", "latency_seconds_sum", "shape"];

/// Metrics without gaps: at the edge of a gap 3 extrapolates a rate less far.
const WHOLE: &[&str] = &[
    "requests_total",
    "bytes_total",
    "temperature",
    "level",
    "limit",
    "shape",
    "latency_seconds_bucket",
];

const MATCHERS: &[&str] = &[
    "job=\"api\"",
    "job!=\"api\"",
    "job=\"\"",
    "instance=~\"h[12].*\"",
    "instance!~\"h1:9100|\"",
    "code=~\"2..|404\"",
    "code!=\"500\"",
    "path=~\".+\"",
    "path!~\"/.*\"",
    "end=~\"ma.*|si.*\"",
    "room=~\"(?i)HALL|attic\"",
    "le=\"+Inf\"",
    "nothing=~\".*\"",
];

/// Whether the values of an operand may differ in their last bits between two right answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Exact,
    Rounded,
}

use Values::{Exact, Rounded};

/// A query and what may be compared of its answer.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) order: Order,
}

impl Query {
    /// The text as 2.42 has it: one function had another name.
    pub(super) fn theirs(&self) -> String {
        self.text
            .replace("double_exponential_smoothing", "holt_winters")
    }
}

/// Grows queries.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) rng: Rng,
    /// The middle of the samples, a whole second.
    pub(super) middle_s: i64,
    /// How many subqueries the part being grown lies in.
    inside: usize,
}

impl Grammar {
    pub(super) fn new(seed: u64, middle_s: i64) -> Self {
        Self {
            rng: Rng::new(seed),
            middle_s,
            inside: 0,
        }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.index(from.len())]
    }

    /// A query; whatever its type, a query at one time and one over a range may be answered by it.
    pub(super) fn query(&mut self) -> Query {
        let depth = 1 + self.rng.index(4);
        let mut order = Order::Any;
        let text = match self.rng.below(20) {
            0..2 => self.wrong(),
            2 => self.scalar(depth),
            3 => self.matrix(depth, Rounded),
            4 => {
                order = Order::Values;
                let function = self.pick(&["sort", "sort_desc"]);
                format!("{function}({})", self.vector(depth, Exact))
            }
            5 => {
                order = Order::Values;
                let (function, k) = (self.pick(&["topk", "bottomk"]), self.rng.below(6));
                format!("{function}({k}, {})", self.selector(RANKED))
            }
            _ => self.vector(depth, Rounded),
        };
        Query { text, order }
    }

    /// A number written down.
    fn number(&mut self) -> String {
        let numbers = ["0", "1", "2", "3", "-1", "0.5", "-2.25", "10", "1e3", "100"];
        self.pick(&numbers).to_owned()
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.rng.below(8) {
            0 => "time()".to_owned(),
            1 => format!("-{}", self.scalar(depth - 1)),
            2 | 3 => {
                let vector = self.vector(depth - 1, Exact);
                format!("scalar({vector})")
            }
            4 => {
                let op = self.pick(&["+", "-", "*", "/", "%", "^"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.number())
            }
            5 => {
                let op = self.pick(&["==", "!=", "<", ">", "<=", ">="]);
                format!("({} {op} bool {})", self.scalar(depth - 1), self.number())
            }
            6 => self
                .pick(&["pi()", "Inf", "NaN", "-Inf", "0x1F"])
                .to_owned(),
            _ => self.number(),
        }
    }

    /// A selector without its modifiers.
    fn series(&mut self, metrics: &[&str]) -> String {
        if self.rng.chance(0.04) {
            return "{__name__=~\"limit|latency_seconds_count\"}".to_owned();
        }
        let mut text = self.pick(metrics).to_owned();
        let count = [0, 0, 1, 1, 2][self.rng.index(5)];
        let matchers: Vec<&str> = (0..count).map(|_| self.pick(MATCHERS)).collect();
        if count > 0 {
            write!(text, "{{{}}}", matchers.join(",")).expect("a string takes text");
        }
        text
    }

    fn modifiers(&mut self, text: &mut String) {
        if self.rng.chance(0.12) {
            let offset = self.pick(OFFSETS);
            write!(text, " offset {offset}").expect("a string takes text");
        }
        if self.rng.chance(0.08) {
            let at_s = self.middle_s + i64::try_from(self.rng.below(4_000)).expect("small") - 2_000;
            let at = [
                "start()".to_owned(),
                "end()".to_owned(),
                format!("{at_s}.{EVALUATED_AT_MS}"),
            ];
            let at = &at[self.rng.index(3)];
            write!(text, " @ {at}").expect("a string takes text");
        }
    }

    fn selector(&mut self, metrics: &[&str]) -> String {
        let mut text = self.series(metrics);
        self.modifiers(&mut text);
        text
    }

    fn vector(&mut self, depth: usize, values: Values) -> String {
        if depth == 0 {
            return self.selector(ALL);
        }
        match self.rng.below(20) {
            0..2 => self.selector(ALL),
            2..6 => self.aggregate(depth, values),
            6..11 => self.over_time(depth, values),
            11..13 => self.elementwise(depth, values),
            13..15 => self.with_scalar(depth, values),
            15..18 => self.pair(depth, values),
            18 if values == Rounded => self.quantile_of_buckets(),
            _ => self.relabelled(depth, values),
        }
    }

    fn grouping(&mut self) -> String {
        match self.rng.below(4) {
            0 => String::new(),
            choice => {
                let word = if choice == 1 { "without" } else { "by" };
                format!(" {word} ({})", self.names())
            }
        }
    }

    fn names(&mut self) -> String {
        let count = self.rng.index(4);
        let mut names: Vec<&str> = (0..count).map(|_| self.pick(NAMES)).collect();
        names.dedup();
        names.join(", ")
    }

    fn aggregate(&mut self, depth: usize, values: Values) -> String {
        let grouping = self.grouping();
        match self.rng.below(10) {
            0..5 => {
                let op = self.pick(&["sum", "min", "max", "count", "group"]);
                format!("{op}{grouping} ({})", self.vector(depth - 1, Exact))
            }
            5 => {
                let op = self.pick(&["topk", "bottomk"]);
                let k = self.rng.below(4);
                format!("{op}{grouping} ({k}, {})", self.selector(RANKED))
            }
            6 => {
                let of = self.vector(depth - 1, Exact);
                format!("count_values{grouping} (\"value\", {of})")
            }
            _ if values == Exact => {
                format!("max{grouping} ({})", self.vector(depth - 1, Exact))
            }
            7 => {
                let q = self.pick(QUANTILES);
                format!(
                    "quantile{grouping} ({q}, {})",
                    self.vector(depth - 1, Exact)
                )
            }
            8 => format!("sum{grouping} ({})", self.rate(PLAIN)),
            _ => {
                let op = self.pick(&["avg", "stddev", "stdvar"]);
                format!("{op}{grouping} ({})", self.selector(PLAIN))
            }
        }
    }

    /// A rate of a counter.
    fn rate(&mut self, metrics: &[&str]) -> String {
        let function = self.pick(&["rate", "increase", "irate", "rate"]);
        let mut text = format!("{}[{}]", self.series(metrics), self.pick(RANGES));
        self.modifiers(&mut text);
        format!("{function}({text})")
    }

    fn matrix(&mut self, depth: usize, values: Values) -> String {
        let range = self.pick(RANGES);
        if depth == 0 || self.rng.chance(0.7) || self.inside > 1 {
            let mut text = format!("{}[{range}]", self.series(ALL));
            self.modifiers(&mut text);
            return text;
        }
        // A window without a step has no answer in 3, and an empty one in 2.42.
        let most = match range {
            "20s" => 2,
            "1m" => 4,
            _ => STEPS.len(),
        };
        let step = self.pick(&STEPS[..most]);
        self.inside += 1;
        let of = self.vector(depth - 1, values);
        self.inside -= 1;
        let shift = if self.inside > 0 { " offset 130ms" } else { "" };
        format!("({of})[{range}:{step}]{shift}")
    }

    fn over_time(&mut self, depth: usize, values: Values) -> String {
        if values == Rounded && self.rng.coin() {
            return self.rounded_over_time(depth);
        }
        let function = self.pick(&[
            "count_over_time",
            "min_over_time",
            "max_over_time",
            "sum_over_time",
            "last_over_time",
            "present_over_time",
            "changes",
            "resets",
            "idelta",
            "absent_over_time",
        ]);
        format!("{function}({})", self.matrix(depth - 1, Exact))
    }

    fn rounded_over_time(&mut self, depth: usize) -> String {
        match self.rng.below(10) {
            0..4 => self.rate(WHOLE),
            4 => {
                let function =
                    self.pick(&["delta", "deriv", "stddev_over_time", "stdvar_over_time"]);
                format!("{function}({})", self.matrix(depth - 1, Exact))
            }
            // An average that cancels out is 0 in 3, and almost 0 in 2.42.
            5 => format!(
                "avg_over_time({}[{}])",
                self.series(PLAIN),
                self.pick(RANGES)
            ),
            6 => {
                let q = self.pick(QUANTILES);
                format!("quantile_over_time({q}, {})", self.matrix(depth - 1, Exact))
            }
            7 => {
                let ahead = self.pick(&["60", "3600", "-120"]);
                // Of a window at a fixed time 2.42 loses samples from step to step.
                let of = format!("{}[{}]", self.series(WHOLE), self.pick(RANGES));
                format!("predict_linear({of}, {ahead})")
            }
            8 => {
                let (smooth, trend) = (self.pick(&["0.1", "0.5"]), self.pick(&["0.2", "0.9"]));
                let of = self.matrix(depth - 1, Exact);
                format!("double_exponential_smoothing({of}, {smooth}, {trend})")
            }
            _ => {
                let function = self.pick(&["max_over_time", "last_over_time", "sum_over_time"]);
                self.inside += 1;
                let rate = self.rate(PLAIN);
                self.inside -= 1;
                let shift = if self.inside > 0 { " offset 130ms" } else { "" };
                format!("{function}({rate}[10m:30s]{shift})")
            }
        }
    }

    fn elementwise(&mut self, depth: usize, values: Values) -> String {
        let of = self.vector(depth - 1, Exact);
        match (self.rng.below(8), values) {
            (0 | 1, _) => format!(
                "{}({of})",
                self.pick(&["abs", "ceil", "floor", "sgn", "round"])
            ),
            (2, _) => format!("clamp({of}, {}, {})", self.number(), self.number()),
            (3, _) => {
                let function = self.pick(&["clamp_min", "clamp_max"]);
                format!("{function}({of}, {})", self.number())
            }
            (4, _) => format!("-({of})"),
            (5, _) => {
                let function = self.pick(&[
                    "hour",
                    "minute",
                    "month",
                    "year",
                    "day_of_month",
                    "day_of_week",
                    "day_of_year",
                    "days_in_month",
                ]);
                let whose = self.pick(&["", "born_seconds", "vector(1.5e9)"]);
                format!("{function}({whose})")
            }
            (6, _) => format!("timestamp({of})"),
            (_, Exact) => format!("round({of}, 0.5)"),
            (_, Rounded) => {
                let function = self.pick(&[
                    "sqrt", "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos",
                    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad",
                ]);
                format!("{function}({of})")
            }
        }
    }

    fn comparison(&mut self) -> String {
        let op = self.pick(&["==", "!=", "<", ">", "<=", ">="]);
        let bool = if self.rng.coin() { " bool" } else { "" };
        format!("{op}{bool}")
    }

    fn with_scalar(&mut self, depth: usize, values: Values) -> String {
        let of = self.vector(depth - 1, Exact);
        let op = match (self.rng.below(4), values) {
            (0 | 1, _) => self.comparison(),
            (2, _) => self.pick(&["+", "-"]).to_owned(),
            (_, Exact) => "%".to_owned(),
            (_, Rounded) => self.pick(&["*", "/", "^", "%"]).to_owned(),
        };
        let scalar = self.scalar(depth.min(2) - 1);
        if self.rng.coin() {
            format!("({of}) {op} {scalar}")
        } else {
            format!("{scalar} {op} ({of})")
        }
    }

    /// Two vectors that have something to do with each other, or not.
    fn pair(&mut self, depth: usize, values: Values) -> String {
        let op = match (self.rng.below(6), values) {
            (0 | 1, _) => self.pick(&["and", "or", "unless"]).to_owned(),
            (2, _) => self.comparison(),
            (3, _) => self.pick(&["+", "-"]).to_owned(),
            (_, Exact) => self.pick(&["+", "-", "or"]).to_owned(),
            (_, Rounded) => self.pick(&["*", "/", "%", "^", "atan2"]).to_owned(),
        };
        let is_set = ["and", "or", "unless"].contains(&op.as_str());
        let fixed = [
            ("requests_total", "on (job) group_left", "limit"),
            (
                "requests_total",
                "on (job) group_left ()",
                "limit{job!=\"web\"}",
            ),
            (
                "bytes_total",
                "on (instance) group_left (version)",
                "build_info",
            ),
            (
                "build_info",
                "on (instance) group_right (version)",
                "bytes_total",
            ),
            (
                "requests_total",
                "ignoring (code) group_left",
                "bytes_total",
            ),
            ("limit", "on (job)", "sum by (job) (bytes_total)"),
            ("requests_total", "", "requests_total offset 2m"),
            ("latency_seconds_sum", "", "latency_seconds_count"),
            (
                "temperature",
                "ignoring (room) group_left",
                "temperature{room=\"hall\"}",
            ),
        ];
        let (left, matching, right) = fixed[self.rng.index(fixed.len())];
        // 3 refuses what 2.42 lets pass where a filter leaves one of many.
        let is_filter = op.starts_with(['=', '!', '<', '>']) && !op.contains("bool");
        if is_filter || !is_set && self.rng.chance(0.7) {
            return without_name(&op, format!("{left} {op} {matching} {right}"));
        }
        let matching = match self.rng.below(3) {
            0 => String::new(),
            1 => format!("on ({})", self.names()),
            _ => format!("ignoring ({})", self.names()),
        };
        let (left, right) = (self.vector(depth - 1, Exact), self.vector(depth - 1, Exact));
        without_name(&op, format!("({left}) {op} {matching} ({right})"))
    }

    fn quantile_of_buckets(&mut self) -> String {
        let q = self.pick(QUANTILES);
        let range = self.pick(&["3m", "5m", "12m"]);
        let of = match self.rng.below(4) {
            0 => "latency_seconds_bucket".to_owned(),
            1 => format!("rate(latency_seconds_bucket[{range}])"),
            2 => format!("sum by (le) (rate(latency_seconds_bucket[{range}]))"),
            _ => "torn_bucket".to_owned(),
        };
        format!("histogram_quantile({q}, {of})")
    }

    fn relabelled(&mut self, depth: usize, values: Values) -> String {
        let of = self.vector(depth - 1, values);
        let target = self.pick(NAMES);
        match self.rng.below(6) {
            0 | 1 => {
                let (value, source) = (self.pick(&["x-$1", "$2", "", "fixed"]), self.pick(NAMES));
                let pattern = self.pick(&["(.*)", "h(.):(.*)", "(a).*", ""]);
                format!(
                    "label_replace({of}, \"{target}\", \"{value}\", \"{source}\", \"{pattern}\")"
                )
            }
            2 => {
                let (a, b) = (self.pick(NAMES), self.pick(NAMES));
                format!("label_join({of}, \"{target}\", \"-\", \"{a}\", \"{b}\")")
            }
            3 => format!("absent({of})"),
            4 => format!("vector({})", self.scalar(depth - 1)),
            _ => format!("({of})"),
        }
    }

    /// What has a mistake in it: of types, of syntax, or in what is said.
    fn wrong(&mut self) -> String {
        let (vector, scalar) = (self.vector(1, Rounded), self.scalar(1));
        let matrix = self.matrix(0, Rounded);
        let texts = [
            format!("rate({vector})"),
            format!("sum({scalar})"),
            format!("{matrix} + 1"),
            format!("sum({matrix})"),
            format!("abs({scalar})"),
            format!("time({vector})"),
            format!("({vector}) and 1"),
            format!("{scalar} == {scalar}"),
            format!("({vector}) + bool ({vector})"),
            format!("({vector}"),
            format!("{vector})"),
            format!("no_such_function({vector})"),
            format!("clamp({vector}, 1)"),
            format!("topk({vector}, 1)"),
            format!("quantile(\"a\", {vector})"),
            format!("label_replace({vector}, \"dst\", \"$1\", \"src\", \"(\")"),
            format!("label_join({vector}, \"\\xff\", \"-\", \"a\")"),
            format!("count_values(\"\\xff\", {vector})"),
            "up{job=~\"(\"}".to_owned(),
            "up{job=\"a\"".to_owned(),
            "{}".to_owned(),
            "{job=\"\"}".to_owned(),
            "{nothing=~\".*\"}".to_owned(),
            "up{__name__=\"other\"}".to_owned(),
            "up[5x]".to_owned(),
            "up[0s]".to_owned(),
            "up offset".to_owned(),
            "(up) offset 5m".to_owned(),
            "sum(up) offset 5m".to_owned(),
            "up offset 1m offset 2m".to_owned(),
            "up @ noon".to_owned(),
            "rate(up[5m:1m:1s])".to_owned(),
            "sum by (a (up)".to_owned(),
            "up group_left up".to_owned(),
            "up + on (job) group_left (job) up".to_owned(),
            "up and on (job) group_left up".to_owned(),
            "1 + ".to_owned(),
            "\"text\" + 1".to_owned(),
            "-\"text\"".to_owned(),
            "'text'".to_owned(),
            "\"unclosed".to_owned(),
            "1 1".to_owned(),
            "#".to_owned(),
            "up{a=\"\\x\"}".to_owned(),
            "level + on (job) level".to_owned(),
            "requests_total / on (job) requests_total".to_owned(),
            "requests_total * on (instance) group_left bytes_total".to_owned(),
            "label_replace(requests_total, \"code\", \"\", \"code\", \".*\")".to_owned(),
            "topk(NaN, requests_total)".to_owned(),
            "topk(1e30, requests_total)".to_owned(),
            "scalar(1)".to_owned(),
            "vector(up)".to_owned(),
            "absent_over_time(up)".to_owned(),
            "double_exponential_smoothing(level[5m], 2, 0.5)".to_owned(),
            "rate({__name__=~\"limit|latency_seconds_count\"}[5m])".to_owned(),
        ];
        texts[self.rng.index(texts.len())].clone()
    }
}

/// 2.42 forgets to drop the name after `atan2` (see the explained differences): `deg` drops it.
fn without_name(op: &str, text: String) -> String {
    if op == "atan2" {
        format!("deg({text})")
    } else {
        text
    }
}
