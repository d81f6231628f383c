//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`: of native histograms, and
//! of classic ones, whose buckets are series with a label `le`.

use std::sync::Arc;

use model::{Histogram, Labels};
use rustc_hash::FxHashMap;

use super::assembly::Assembly;
use super::grid::{Cell, Grid, Row, is_present};
use super::label_set::filtered;
use super::stats::Buckets;
use super::{Evaluator, Result, Sink, relabel};
use crate::annotations::Note;
use crate::ast::Call;
use crate::float_text::format_value;
use crate::functions::Kind;
use crate::histogram;
use crate::position::Position;

/// The label of a classic bucket's upper bound.
const BOUND: &str = "le";

/// A cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// One classic histogram: rows of its buckets.
#[derive(Debug)]
struct Classic {
    labels: Labels,
    /// Upper bound and row.
    buckets: Vec<(f64, usize)>,
}

/// What is asked of each histogram.
#[derive(Debug, Clone, Copy)]
enum Question {
    Quantile(f64),
    Fraction(f64, f64),
}

impl Evaluator<'_> {
    pub(super) fn bucketed(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let place = |i: usize| c.args[i].unwrapped().position();
        let scalar = |i: usize| self.scalar(&c.args[i], grid);
        let vector = match c.function.kind {
            Kind::HistogramQuantile => 1,
            Kind::HistogramQuantiles => 0,
            _ => 2,
        };
        let position = place(vector);
        let rows = self.with_buckets(Buckets::Needed, || self.rows(&c.args[vector], grid))?;
        let classics = self.classics(&rows, position);
        let mut out = Assembly::new(grid);
        match c.function.kind {
            Kind::HistogramQuantile => {
                let column = scalar(0)?;
                self.check_quantiles(&column, place(0));
                let question = |i: usize| Question::Quantile(column[i]);
                self.answer(&rows, &classics, grid, position, &question, None, &mut out)?;
            }
            Kind::HistogramQuantiles => {
                let label = relabel::text(&c.args[1])?;
                for k in 2..c.args.len() {
                    let column = scalar(k)?;
                    self.check_quantiles(&column, place(k));
                    let question = |i: usize| Question::Quantile(column[i]);
                    let label = Some((label, column.as_slice()));
                    self.answer(&rows, &classics, grid, position, &question, label, &mut out)?;
                }
            }
            _ => {
                let (lower, upper) = (scalar(0)?, scalar(1)?);
                let question = |i: usize| Question::Fraction(lower[i], upper[i]);
                self.answer(&rows, &classics, grid, position, &question, None, &mut out)?;
            }
        }
        out.finish().into_iter().try_for_each(sink)
    }

    fn check_quantiles(&self, column: &[f64], position: Position) {
        for q in column {
            self.check_quantile(*q, position);
        }
    }

    /// The classic histograms among rows; a series without a valid bound is noted and left out.
    fn classics(&self, rows: &[Row], position: Position) -> Vec<Classic> {
        let mut numbers: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut all: Vec<Classic> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if !row.floats.iter().any(|v| is_present(*v)) {
                continue;
            }
            let written = row.labels.get(BOUND).unwrap_or_default();
            let Some(bound) = bound(written) else {
                let metric = row.labels.metric_name();
                self.note(
                    &Note::BadBucketLabel {
                        metric,
                        value: written,
                    },
                    position,
                );
                continue;
            };
            let labels = filtered(&row.labels, |name| name != BOUND);
            let number = *numbers.entry(labels.clone()).or_insert(all.len());
            if number == all.len() {
                all.push(Classic {
                    labels,
                    buckets: Vec::new(),
                });
            }
            all[number].buckets.push((bound, i));
        }
        all
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one question to all histograms, seen once"
    )]
    fn answer(
        &self,
        rows: &[Row],
        classics: &[Classic],
        grid: Grid,
        position: Position,
        question: &dyn Fn(usize) -> Question,
        label: Option<(&str, &[f64])>,
        out: &mut Assembly,
    ) -> Result<()> {
        let labelled = |labels: &Labels, i: usize| match label {
            Some((name, column)) => labels.with(name, &open_metrics(column[i])),
            None => labels.clone(),
        };
        let mut by_labels: FxHashMap<&Labels, &Classic> = FxHashMap::default();
        by_labels.extend(classics.iter().map(|c| (&c.labels, c)));
        let mut clashes = vec![false; classics.len() * grid.count];
        for row in rows.iter().filter(|row| !row.histograms.is_empty()) {
            let twin = by_labels.get(&row.labels);
            for i in 0..grid.count {
                let Some(h) = row.histogram(i) else { continue };
                if let Some(twin) = twin.filter(|t| t.is_there(rows, i)) {
                    let metric = row.labels.metric_name();
                    self.note(&Note::MixedClassicNative { metric }, position);
                    let number = classics.iter().position(|c| std::ptr::eq(c, *twin));
                    clashes[number.unwrap_or(0) * grid.count + i] = true;
                    continue;
                }
                let value = self.of_native(question(i), h, &row.labels, position);
                let target = out.row(&labelled(&row.labels, i), true);
                out.put(target, i, Cell::Float(value))?;
            }
        }
        for (number, classic) in classics.iter().enumerate() {
            for i in 0..grid.count {
                let buckets = classic.at(rows, i);
                if buckets.is_empty() || clashes[number * grid.count + i] {
                    continue;
                }
                let (value, forced) = of_classic(question(i), buckets);
                if forced {
                    let metric = classic.labels.metric_name();
                    self.note(&Note::ForcedMonotonicity { metric }, position);
                }
                let target = out.row(&labelled(&classic.labels, i), true);
                out.put(target, i, Cell::Float(value))?;
            }
        }
        Ok(())
    }

    fn of_native(
        &self,
        question: Question,
        h: &Arc<Histogram>,
        labels: &Labels,
        position: Position,
    ) -> f64 {
        let metric = labels.metric_name();
        match question {
            Question::Quantile(q) => {
                let found = histogram::quantile(q, h);
                if found.nan_observations {
                    let note = if found.value.is_nan() {
                        Note::QuantileNan { metric }
                    } else {
                        Note::QuantileSkewed { metric }
                    };
                    self.note(&note, position);
                }
                found.value
            }
            Question::Fraction(lower, upper) => {
                let in_buckets = || {
                    histogram::buckets::all(h)
                        .iter()
                        .map(|b| b.count)
                        .sum::<f64>()
                };
                let asks = h.count != 0.0 && lower < upper;
                if asks && h.sum.is_nan() && in_buckets() < h.count {
                    self.note(&Note::FractionNan { metric }, position);
                }
                histogram::fraction(lower, upper, h)
            }
        }
    }
}

impl Classic {
    fn is_there(&self, rows: &[Row], i: usize) -> bool {
        self.buckets
            .iter()
            .any(|(_, row)| is_present(rows[*row].floats[i]))
    }

    /// The buckets there at a step, rising, equal bounds added up.
    fn at(&self, rows: &[Row], i: usize) -> Vec<Bucket> {
        let there = self
            .buckets
            .iter()
            .map(|(bound, row)| (*bound, rows[*row].floats[i]));
        let mut all: Vec<Bucket> = there
            .filter(|(_, count)| is_present(*count))
            .map(|(bound, count)| Bucket { bound, count })
            .collect();
        all.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        all.dedup_by(|next, kept| {
            let same = next.bound == kept.bound;
            if same {
                kept.count += next.count;
            }
            same
        });
        all
    }
}

/// The upper bound in a label, as Go reads floats.
fn bound(text: &str) -> Option<f64> {
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Rust takes "infinity" and "nan" in any case, as Go does, but no underscores or hex.
    text.parse().ok().filter(|_| !plain.is_empty())
}

/// A float as OpenMetrics writes it: whole numbers with `.0`.
fn open_metrics(value: f64) -> String {
    let text = format_value(value);
    if value.is_finite() && !text.contains('.') {
        text + ".0"
    } else {
        text
    }
}

/// The answer, and whether counts had to be made to rise first.
fn of_classic(question: Question, buckets: Vec<Bucket>) -> (f64, bool) {
    let ends_open = buckets.last().is_some_and(|b| b.bound == f64::INFINITY);
    match question {
        Question::Quantile(q) if q.is_nan() => (f64::NAN, false),
        Question::Quantile(q) if q < 0.0 => (f64::NEG_INFINITY, false),
        Question::Quantile(q) if q > 1.0 => (f64::INFINITY, false),
        _ if !ends_open => (f64::NAN, false),
        Question::Quantile(q) => quantile(q, buckets),
        Question::Fraction(lower, upper) => (fraction(lower, upper, &buckets), false),
    }
}

/// Differences of counts below this share of them are rounding, not falling counts.
const ROUNDING: f64 = 1e-12;

fn quantile(q: f64, mut buckets: Vec<Bucket>) -> (f64, bool) {
    let forced = make_rising(&mut buckets);
    let last = buckets.len() - 1;
    let all = buckets[last].count;
    if buckets.len() < 2 || all == 0.0 {
        return (f64::NAN, forced && buckets.len() >= 2);
    }
    let rank = q * all;
    let b = buckets[..last].partition_point(|bucket| !reaches(bucket.count, rank));
    if b == last {
        return (buckets[last - 1].bound, forced);
    }
    if b == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, forced);
    }
    let below = b.checked_sub(1).map_or(
        Bucket {
            bound: 0.0,
            count: 0.0,
        },
        |i| buckets[i],
    );
    let Bucket { bound, count } = buckets[b];
    let share = (rank - below.count) / (count - below.count);
    (below.bound + (bound - below.bound) * share, forced)
}

/// Nothing reaches, and is reached by, NaN.
fn reaches(count: f64, rank: f64) -> bool {
    count >= rank
}

/// Levels out rounding and lifts counts that fall; tells whether any fell.
fn make_rising(buckets: &mut [Bucket]) -> bool {
    let mut before = buckets[0].count;
    let mut forced = false;
    for bucket in &mut buckets[1..] {
        let difference = (bucket.count - before).abs();
        if difference == 0.0 {
            continue;
        }
        if difference / bucket.count.abs().max(f64::MIN_POSITIVE) <= ROUNDING {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn fraction(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let all = buckets.last().map_or(0.0, |b| b.count);
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    ((rank_at(upper, buckets) - rank_at(lower, buckets)) / all).max(0.0)
}

/// How many observations lie below a value, by linear interpolation.
fn rank_at(value: f64, buckets: &[Bucket]) -> f64 {
    let first = if buckets[0].bound <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let mut below = Bucket {
        bound: first,
        count: 0.0,
    };
    for bucket in buckets {
        if below.bound >= value {
            return below.count;
        }
        if bucket.bound > value {
            // Where in an endless bucket observations lie is not known: all of them are taken to
            // be at its finite end.
            if below.bound == f64::NEG_INFINITY {
                return bucket.count;
            }
            if bucket.bound == f64::INFINITY {
                return below.count;
            }
            let share = (value - below.bound) / (bucket.bound - below.bound);
            return below.count + (bucket.count - below.count) * share;
        }
        below = *bucket;
    }
    below.count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(all: &[(f64, f64)]) -> Vec<Bucket> {
        all.iter()
            .map(|(bound, count)| Bucket {
                bound: *bound,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn quantiles_interpolate_within_a_bucket() {
        let all = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(quantile(0.25, all.clone()), (0.5, false));
        assert_eq!(quantile(0.75, all.clone()), (1.5, false));
        assert_eq!(quantile(1.0, all), (2.0, false));
        let falling = buckets(&[(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 20.0)]);
        assert!(quantile(0.5, falling).1);
    }

    #[test]
    fn a_fraction_is_the_inverse_of_a_quantile() {
        let all = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(fraction(f64::NEG_INFINITY, 1.5, &all), 0.75);
        assert_eq!(fraction(0.0, 2.0, &all), 1.0);
        assert!(fraction(f64::NAN, 1.0, &all).is_nan());
    }

    #[test]
    fn labels_of_quantiles_are_written_as_open_metrics_has_them() {
        assert_eq!(open_metrics(1.0), "1.0");
        assert_eq!(open_metrics(0.5), "0.5");
        assert_eq!(open_metrics(f64::NAN), "NaN");
    }
}
