//! What a query would cost, told without running it: its operators, and what each selector reads.
//! Of a query that was run and measured, the same with what each operator took.
//!
//! Series are counted by the index. Samples are estimated: a few of the series, spread evenly
//! over all of them, are read, and the others taken to be like those. That costs a few short
//! reads, whatever the query itself would cost.

use std::time::Duration;

use model::{LabelQuery, Labels, Matcher, Selection, SeriesReader};

use crate::ast::{Expr, MatrixSelector, Subquery, VectorSelector};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::meter::Took;

/// Series of one selector that are read for the estimate.
const PROBED: usize = 8;

/// Bytes of the text shown of an operator.
const TEXT_BYTES: usize = 120;

/// Bytes of a sample in memory: its time and its value.
const SAMPLE_BYTES: u64 = 16;

/// The plan of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Steps it is evaluated at.
    pub steps: u64,
    /// Its outermost operator.
    pub root: Operator,
}

/// One operator and what it works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// What it is, such as `sum`, `rate()` or `selector`.
    pub name: String,
    /// Its part of the query, cut where it is long.
    pub text: String,
    /// What it reads, if it is a selector.
    pub reads: Option<Reads>,
    /// What it took, if the query was run and measured and this was evaluated on its own: the
    /// selector of `rate(x[5m])` is read and forgotten series by series as part of `rate()`.
    pub took: Option<Took>,
    /// Its operands.
    pub inner: Vec<Self>,
}

/// What a selector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// First time read, ms.
    pub from_ms: i64,
    /// Last time read, ms.
    pub to_ms: i64,
    /// Series, counted; never more than one above the limit of series.
    pub series: u64,
    /// Samples, estimated.
    pub samples: u64,
    /// Memory for one series at a time and a result at each step of each, estimated, bytes.
    pub bytes: u64,
}

impl Plan {
    /// What all selectors read.
    #[must_use]
    pub fn reads(&self) -> Vec<Reads> {
        let mut all = Vec::new();
        self.root.collect(&mut all);
        all
    }
}

impl Operator {
    /// What it took with all below it: time; reads include what is below anyway.
    #[must_use]
    pub fn took_in_all(&self) -> Duration {
        let own = self.took.map(|took| took.own).unwrap_or_default();
        own + self.inner.iter().map(Self::took_in_all).sum::<Duration>()
    }

    /// Takes over what operands read that were evaluated one after the other in its stead.
    fn count_operands(&mut self) {
        let Some(took) = &mut self.took else { return };
        let below = |of: fn(&Took) -> u64| {
            self.inner
                .iter()
                .filter_map(|o| o.took.as_ref())
                .map(of)
                .sum()
        };
        took.series_read = took.series_read.max(below(|t| t.series_read));
        took.samples_read = took.samples_read.max(below(|t| t.samples_read));
    }

    fn collect(&self, all: &mut Vec<Reads>) {
        all.extend(self.reads);
        for operand in &self.inner {
            operand.collect(all);
        }
    }
}

/// The times an operator is evaluated at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) steps: u64,
}

impl Evaluator<'_> {
    /// The operator of an expression evaluated over a span.
    pub(crate) fn explained(&self, expr: &Expr, span: Span) -> Result<Operator, QueryError> {
        self.check_stop()?;
        let expr = expr.unwrapped();
        let each = |operands: &[&Expr]| -> Result<Vec<Operator>, QueryError> {
            operands.iter().map(|e| self.explained(e, span)).collect()
        };
        let (name, reads, inner) = match expr {
            Expr::Vector(v) => (
                "selector".to_owned(),
                Some(self.newest_read(v, span)?),
                vec![],
            ),
            Expr::Matrix(m) => ("range".to_owned(), Some(self.range_read(m, span)?), vec![]),
            Expr::Subquery(s) => {
                let inner = self.explained(&s.inner, self.inner_span(s, span)?)?;
                ("subquery".to_owned(), None, vec![inner])
            }
            Expr::Unary(u) => ("sign".to_owned(), None, each(&[&u.inner])?),
            Expr::Binary(b) => (b.op.as_str().to_owned(), None, each(&[&b.left, &b.right])?),
            Expr::Call(c) => {
                let operands: Vec<&Expr> = c.args.iter().collect();
                (format!("{}()", c.function.name), None, each(&operands)?)
            }
            Expr::Aggregate(a) => {
                let operands: Vec<&Expr> = a.parameter.iter().chain([&a.inner]).collect();
                (a.op.as_str().to_owned(), None, each(&operands)?)
            }
            Expr::Number(_) | Expr::Text(_) | Expr::Paren(_) => {
                ("constant".to_owned(), None, vec![])
            }
        };
        let meter = self.budget.account.meter();
        let mut operator = Operator {
            name,
            text: self.shown(expr),
            reads,
            took: meter.and_then(|meter| meter.took(expr.position())),
            inner,
        };
        operator.count_operands();
        Ok(operator)
    }

    fn shown(&self, expr: &Expr) -> String {
        let position = expr.position();
        let text = self.text.get(position.start..position.end).unwrap_or("");
        if text.len() <= TEXT_BYTES {
            return text.to_owned();
        }
        let end = text.floor_char_boundary(TEXT_BYTES);
        format!("{}…", &text[..end])
    }

    fn newest_read(&self, v: &VectorSelector, span: Span) -> Result<Reads, QueryError> {
        let (from, to) = self.references(v, span)?;
        let reads = self.read(
            v,
            from.saturating_sub(self.options.lookback_ms - 1),
            to,
            span,
        )?;
        // At one step only the newest sample of each series is looked up.
        let samples = match span.steps {
            1 => reads.series,
            _ => reads.samples,
        };
        Ok(Reads { samples, ..reads })
    }

    fn range_read(&self, m: &MatrixSelector, span: Span) -> Result<Reads, QueryError> {
        let (from, to) = self.references(&m.selector, span)?;
        let range = self.length_ms(&m.range)?;
        self.read(&m.selector, from.saturating_sub(range - 1), to, span)
    }

    /// The first and the last time a selector's window ends.
    fn references(&self, v: &VectorSelector, span: Span) -> Result<(i64, i64), QueryError> {
        let offset = self.offset_ms(v.offset.as_ref())?;
        let at = self.at_ms(v.at);
        let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
        Ok((reference(span.from_ms), reference(span.to_ms)))
    }

    fn inner_span(&self, s: &Subquery, span: Span) -> Result<Span, QueryError> {
        let offset = self.offset_ms(s.offset.as_ref())?;
        let at = self.at_ms(s.at);
        let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
        let step = match &s.step {
            Some(step) => self.length_ms(step)?,
            None => self.options.subquery_step_ms,
        };
        let from_ms = reference(span.from_ms).saturating_sub(self.length_ms(&s.range)?);
        let to_ms = reference(span.to_ms);
        let steps = to_ms.saturating_sub(from_ms) / step.max(1) + 1;
        Ok(Span {
            from_ms,
            to_ms,
            steps: u64::try_from(steps).unwrap_or(1),
        })
    }

    fn read(
        &self,
        v: &VectorSelector,
        from_ms: i64,
        to_ms: i64,
        span: Span,
    ) -> Result<Reads, QueryError> {
        let query = LabelQuery {
            any_of: vec![v.matchers.clone()],
            from_ms,
            to_ms,
            limit: self.options.limits.series.saturating_add(1),
        };
        let found = self.reader.series(&query)?;
        let (mut probed, mut samples) = (0_u64, 0_u64);
        for labels in found.iter().step_by((found.len() / PROBED).max(1)) {
            self.check_stop()?;
            samples += count(self.reader, labels, from_ms, to_ms)?;
            probed += 1;
        }
        let series = found.len() as u64;
        let a_series = samples.div_ceil(probed.max(1));
        Ok(Reads {
            from_ms,
            to_ms,
            series,
            samples: a_series.saturating_mul(series),
            bytes: a_series
                .saturating_mul(SAMPLE_BYTES)
                .saturating_add(series.saturating_mul(span.steps).saturating_mul(8)),
        })
    }
}

/// Samples of one series.
fn count(
    reader: &dyn SeriesReader,
    labels: &Labels,
    from_ms: i64,
    to_ms: i64,
) -> Result<u64, QueryError> {
    let matchers = labels
        .iter()
        .map(|(name, value)| Matcher::equal(name, value));
    let selection = Selection {
        matchers: matchers.collect(),
        from_ms,
        to_ms,
    };
    for series in reader.select(&selection)? {
        match series {
            Ok(series) if series.labels == *labels => return Ok(series.values.len() as u64),
            // Another one with more labels, or one that cannot be read: the estimate does without.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use model::{Sample, SampleSink};
    use testkit::MemoryStore;

    use super::{Operator, Plan};
    use crate::{Account, Answer, Engine, Options, Watch};

    /// Ten series with a sample every 15 s for an hour.
    fn store() -> MemoryStore {
        let store = MemoryStore::default();
        let samples = (0..10).flat_map(|i| {
            let labels = model::Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
            (0..240).map(move |n| Sample::float(labels.clone(), n * 15_000, 1.0))
        });
        let batch = model::Batch {
            samples: samples.collect(),
            ..model::Batch::default()
        };
        store
            .append(&batch, model::Durability::Fast)
            .expect("memory takes it");
        store
    }

    #[test]
    fn a_plan_names_operators_and_estimates_what_selectors_read() {
        let engine = Engine::new(Options::default());
        let query = "sum by (i) (rate(m[5m])) / count(m) > 2";
        let plan = engine
            .explain_range(&store(), query, 600_000, 3_585_000, 15_000)
            .unwrap();
        assert_eq!(plan.steps, 200);
        assert_eq!(
            (plan.root.name.as_str(), plan.root.text.as_str()),
            (">", query)
        );
        let reads = plan.reads();
        // From just after 300 s to 3,585 s: 219 samples each.
        assert_eq!((reads[0].series, reads[0].samples), (10, 2_190));
        assert_eq!((reads[0].from_ms, reads[0].to_ms), (300_001, 3_585_000));
        assert_eq!(reads.len(), 2);
    }

    #[test]
    fn an_instant_selector_looks_up_one_sample_a_series() {
        let engine = Engine::new(Options::default());
        let plan = engine
            .explain_instant(&store(), "m{i=~\"[0-4]\"}", 3_600_000)
            .unwrap();
        assert_eq!(plan.reads()[0].samples, 5);
        let plan =
            engine.explain_instant(&store(), "max_over_time(m[10m:1m] offset 5m)", 3_600_000);
        let reads = plan.unwrap().reads();
        assert_eq!((reads[0].from_ms, reads[0].to_ms), (2_400_001, 3_300_000));
    }

    /// Name, series and points handed on, series and samples read; a line an operator.
    fn told(operator: &Operator, depth: usize, lines: &mut Vec<String>) {
        let took = operator.took.map(|t| {
            let handed = format!("{} series, {} points", t.series, t.points);
            format!("{handed}; read {}, {}", t.series_read, t.samples_read)
        });
        let took = took.unwrap_or_else(|| "-".to_owned());
        lines.push(format!("{:1$}{2}: {took}", "", 2 * depth, operator.name));
        for operand in &operator.inner {
            told(operand, depth + 1, lines);
        }
    }

    fn analyzed(query: &str, engine: &Engine) -> (Plan, Answer, Vec<String>) {
        let clock = std::sync::Arc::new(testkit::VirtualClock::at(0));
        let account = Account::default().timed_by(clock).by_operator();
        let watch = Watch {
            stop: &|| None,
            account: &account,
        };
        let times = (600_000, 3_585_000, 15_000);
        let (plan, answer) = engine.analyze_range(&store(), query, times, watch).unwrap();
        let mut lines = Vec::new();
        told(&plan.root, 0, &mut lines);
        (plan, answer, lines)
    }

    #[test]
    fn an_analysis_tells_what_each_operator_handed_on_and_read() {
        let engine = Engine::new(Options::default());
        let query = "sum(rate(m[5m])) + count(m) + 2 * max(max_over_time(m[2m:1m]))";
        let (_, answer, lines) = analyzed(query, &engine);
        let plain = engine.range(&store(), query, 600_000, 3_585_000, 15_000);
        assert_eq!(answer, plain.unwrap());
        let expected = [
            "+: 1 series, 200 points; read 30, 6580",
            "  +: 1 series, 200 points; read 20, 4380",
            "    sum: 1 series, 200 points; read 10, 2190",
            "      rate(): 10 series, 2000 points; read 10, 2190",
            "        range: -",
            "    count: 1 series, 200 points; read 10, 2190",
            "      selector: 10 series, 2000 points; read 10, 2190",
            "  *: 1 series, 200 points; read 10, 2200",
            "    constant: 1 series, 200 points; read 0, 0",
            "    max: 1 series, 200 points; read 10, 2200",
            "      max_over_time(): 10 series, 2000 points; read 10, 2200",
            "        subquery: 10 series, 510 points; read 10, 2200",
            "          selector: 10 series, 510 points; read 10, 2200",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_query_that_cannot_run_has_no_plan() {
        let engine = Engine::new(Options::default());
        assert!(engine.explain_instant(&store(), "sum(", 0).is_err());
        assert!(engine.explain_range(&store(), "m", 0, i64::MAX, 1).is_err());
    }
}
