//! `info()`: adds labels of info series, which share a series' identifying labels and carry facts
//! about it as labels of their own.

use std::collections::BTreeMap;

use model::{Labels, METRIC_NAME, MatchOp, Matcher, Selection};
use rustc_hash::FxHashMap;

use super::assembly::Assembly;
use super::grid::{Grid, Row};
use super::label_set::filtered;
use super::{Evaluator, Result, Sink, refuse};
use crate::ast::{At, Call, Duration, Expr};

/// The info metric used unless another is named.
const TARGET_INFO: &str = "target_info";

/// What names of info metrics end in.
const INFO_SUFFIX: &str = "_info";

/// Labels that say what a series is about.
const IDENTITY: [&str; 2] = ["instance", "job"];

/// An info series: its labels, and the time of its newest sample at each step.
#[derive(Debug)]
struct InfoSeries {
    labels: Labels,
    times: Vec<Option<i64>>,
}

/// What the second argument asks for.
struct Wanted {
    /// Which info metrics.
    names: Vec<Matcher>,
    /// Whether `names` only exclude; then info metrics are those whose name says so.
    only_negated: bool,
    /// Which of their labels; none: all.
    data: BTreeMap<String, Vec<Matcher>>,
}

impl Wanted {
    fn of(c: &Call) -> Self {
        let mut data: BTreeMap<String, Vec<Matcher>> = BTreeMap::new();
        if let Some(Expr::Vector(v)) = c.args.get(1).map(Expr::unwrapped) {
            for m in &v.matchers {
                data.entry(m.name.clone()).or_default().push(m.clone());
            }
        }
        let mut names = data.remove(METRIC_NAME).unwrap_or_default();
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        }
        let asks = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        let only_negated = !names.iter().any(asks);
        Self {
            names,
            only_negated,
            data,
        }
    }

    /// Whether a series is itself one of the info series.
    fn is_info(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        let is_named_so = !self.only_negated || name.ends_with(INFO_SUFFIX);
        is_named_so && self.names.iter().all(|m| m.matches(name))
    }

    /// Whether a series without info may stay.
    fn allows_none(&self) -> bool {
        self.data.values().flatten().all(|m| m.matches(""))
    }
}

fn identity(labels: &Labels) -> Labels {
    filtered(labels, |name| IDENTITY.contains(&name))
}

impl Evaluator<'_> {
    pub(super) fn info(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let wanted = Wanted::of(c);
        let rows = self.rows(&c.args[0], grid)?;
        let by_identity = self.info_series(c, &wanted, &rows, grid)?;
        let mut out = Assembly::new(grid);
        for row in rows.iter() {
            self.check_stop()?;
            if wanted.is_info(&row.labels) {
                out.merge(row.clone())?;
                continue;
            }
            let infos = by_identity.get(&identity(&row.labels));
            for i in 0..grid.count {
                let Some(cell) = row.cell(i) else { continue };
                let infos = infos.map(Vec::as_slice).unwrap_or_default();
                if let Some(labels) = enriched(row, infos, &wanted, i)? {
                    let target = out.row(&labels, row.drop_name);
                    out.put(target, i, cell)?;
                }
            }
        }
        out.finish().into_iter().try_for_each(sink)
    }

    /// The info series by identity, as of the times the samples of the first argument are from.
    fn info_series(
        &self,
        c: &Call,
        wanted: &Wanted,
        rows: &[Row],
        grid: Grid,
    ) -> Result<FxHashMap<Labels, Vec<InfoSeries>>> {
        let mut by_identity: FxHashMap<Labels, Vec<InfoSeries>> = FxHashMap::default();
        for row in rows.iter().filter(|row| !wanted.is_info(&row.labels)) {
            let key = identity(&row.labels);
            if !key.is_empty() {
                by_identity.entry(key).or_default();
            }
        }
        if by_identity.is_empty() {
            return Ok(by_identity);
        }
        let shift = self.reference(&c.args[0])?.unwrap_or_default();
        let lookback = self.options.lookback_ms;
        let times: Vec<i64> = grid.times().map(|t| shift.of(t)).collect();
        let selection = Selection {
            matchers: wanted
                .names
                .iter()
                .chain(wanted.data.values().flatten())
                .cloned()
                .collect(),
            from_ms: times[0].saturating_sub(lookback - 1),
            to_ms: times[times.len() - 1],
        };
        for (count, series) in self.reader.select(&selection)?.enumerate() {
            self.budget.series(count + 1)?;
            let Some(series) = self.readable(series)? else {
                continue;
            };
            if wanted.only_negated && !wanted.is_info(&series.labels) {
                continue;
            }
            let key = identity(&series.labels);
            let Some(found) = by_identity.get_mut(&key) else {
                continue;
            };
            if series.histograms.iter().any(Option::is_some) {
                return refuse(format!(
                    "this should be an info metric, with float samples: {}",
                    super::label_set::written_out(&series.labels)
                ));
            }
            let newest = times.iter().map(|time| {
                let after = series.times_ms.partition_point(|t| t <= time);
                let k = after.checked_sub(1)?;
                let fresh = series.times_ms[k] > time - lookback;
                (fresh && !model::is_stale(series.values[k])).then_some(series.times_ms[k])
            });
            found.push(InfoSeries {
                times: newest.collect(),
                labels: series.labels,
            });
        }
        Ok(by_identity)
    }

    /// How the first selector in an expression moves time, subqueries around it included.
    fn reference(&self, expr: &Expr) -> Result<Option<Shift>> {
        let here = |at: Option<At>, offset: Option<&Duration>| -> Result<Shift> {
            Ok(Shift {
                at: self.at_ms(at),
                offset: self.offset_ms(offset)?,
            })
        };
        match expr {
            Expr::Number(_) | Expr::Text(_) => Ok(None),
            Expr::Paren(p) => self.reference(&p.inner),
            Expr::Unary(u) => self.reference(&u.inner),
            Expr::Binary(_) => {
                let (leftmost, chain) = expr.spine();
                for e in std::iter::once(leftmost).chain(chain.iter().map(|b| &b.right)) {
                    if let Some(found) = self.reference(e)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Expr::Call(c) => {
                for e in &c.args {
                    if let Some(found) = self.reference(e)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Expr::Aggregate(a) => self.reference(&a.inner),
            Expr::Vector(v) => here(v.at, v.offset.as_ref()).map(Some),
            Expr::Matrix(m) => here(m.selector.at, m.selector.offset.as_ref()).map(Some),
            Expr::Subquery(s) => {
                let outer = here(s.at, s.offset.as_ref())?;
                Ok(self.reference(&s.inner)?.map(|inner| inner.within(outer)))
            }
        }
    }
}

/// A move in time.
#[derive(Debug, Clone, Copy, Default)]
struct Shift {
    at: Option<i64>,
    offset: i64,
}

impl Shift {
    fn of(self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }

    /// This move, made at the time another one leads to.
    fn within(self, outer: Self) -> Self {
        match self.at {
            Some(_) => self,
            None => Self {
                at: outer.at,
                offset: outer.offset.saturating_add(self.offset),
            },
        }
    }
}

/// A row's labels with those of its info series at a step; `None` if it must not stay.
fn enriched(row: &Row, infos: &[InfoSeries], wanted: &Wanted, i: usize) -> Result<Option<Labels>> {
    // The newest of each info metric.
    let mut newest: BTreeMap<&str, (i64, &Labels)> = BTreeMap::new();
    for info in infos {
        let Some(time) = info.times[i] else { continue };
        let entry = newest
            .entry(info.labels.metric_name())
            .or_insert((time, &info.labels));
        if entry.0 == time && entry.1 != &info.labels {
            return refuse(format!(
                "found duplicate series for info metric: existing {} @ {time}, new {} @ {time}",
                super::label_set::written_out(entry.1),
                super::label_set::written_out(&info.labels)
            ));
        }
        if time > entry.0 {
            *entry = (time, &info.labels);
        }
    }
    if newest.is_empty() && !wanted.allows_none() {
        return Ok(None);
    }
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, labels) in newest.values() {
        for (name, value) in labels.iter() {
            let asked = wanted.data.is_empty() || wanted.data.contains_key(name);
            if name == METRIC_NAME || !asked {
                continue;
            }
            if added.get(name).is_some_and(|other| *other != value) {
                return refuse(format!("conflicting label: {name}"));
            }
            if row.labels.get(name).is_none() {
                added.insert(name, value);
            }
        }
    }
    let mut builder = row.labels.to_builder();
    for (name, value) in added {
        builder.set(name, value);
    }
    Ok(Some(builder.build()))
}
