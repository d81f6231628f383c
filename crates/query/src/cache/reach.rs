//! How far behind a step the newest sample may lie that its value depends on.

use crate::ast::{At, Duration, Expr, Extension, VectorSelector};
use crate::eval::{QueryTimes, duration_ms};

/// What a value at a step may depend on, at most: samples up to some time after it, and samples
/// up to some time whatever the step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// How much newer than the step, ms: negative where an offset leaves that much out;
    /// `i64::MIN` for what reads nothing.
    pub(crate) ahead_ms: i64,
    /// The newest time read because of `@`, ms; `i64::MIN` without one.
    pub(crate) fixed_ms: i64,
}

/// The time that an expression is evaluated at.
#[derive(Debug, Clone, Copy)]
enum Base {
    /// The step's, moved by so many ms.
    Step(i64),
    /// Always this one, ms.
    Time(i64),
}

impl Base {
    fn moved(self, ms: i64) -> Self {
        match self {
            Self::Step(ahead) => Self::Step(ahead.saturating_add(ms)),
            Self::Time(time) => Self::Time(time.saturating_add(ms)),
        }
    }

    /// After modifiers; `None` if they depend on the query's range.
    fn modified(
        self,
        at: Option<At>,
        offset: Option<&Duration>,
        times: QueryTimes,
    ) -> Option<Self> {
        let based = match at {
            None => self,
            Some(At::Time(ms)) => Self::Time(ms),
            Some(At::Start | At::End) => return None,
        };
        match offset {
            None => Some(based),
            Some(offset) if of_range(offset) => None,
            // One that is none is refused by the evaluation.
            Some(offset) => Some(based.moved(duration_ms(offset, times).ok()?.saturating_neg())),
        }
    }
}

impl Reach {
    /// That of an expression; `None` if its value at a step depends on the query's range, or on
    /// more than can be told.
    pub(crate) fn of(expr: &Expr, times: QueryTimes, lookback_ms: i64) -> Option<Self> {
        let mut reach = Self {
            ahead_ms: i64::MIN,
            fixed_ms: i64::MIN,
        };
        let mut waiting = vec![(expr, Base::Step(0))];
        while let Some((expr, base)) = waiting.pop() {
            let selected = |v: &VectorSelector| {
                let ahead = match v.extension {
                    Extension::Smoothed => lookback_ms,
                    Extension::None | Extension::Anchored => 0,
                };
                let base = base.modified(v.at, v.offset.as_ref(), times)?;
                Some(base.moved(ahead))
            };
            match expr {
                Expr::Number(_) | Expr::Text(_) => {}
                Expr::Paren(paren) => waiting.push((&paren.inner, base)),
                Expr::Unary(unary) => waiting.push((&unary.inner, base)),
                Expr::Binary(b) => waiting.extend([(&b.left, base), (&b.right, base)]),
                // Which series inform others is asked of the whole range.
                Expr::Call(call) if call.function.name == "info" => return None,
                Expr::Call(call) => waiting.extend(call.args.iter().map(|arg| (arg, base))),
                Expr::Aggregate(a) => {
                    waiting.push((&a.inner, base));
                    waiting.extend(a.parameter.iter().map(|p| (p, base)));
                }
                Expr::Vector(v) => reach.add(selected(v)?),
                Expr::Matrix(m) if of_range(&m.range) => return None,
                Expr::Matrix(m) => reach.add(selected(&m.selector)?),
                Expr::Subquery(s) if s.step.iter().chain([&s.range]).any(of_range) => return None,
                Expr::Subquery(s) => {
                    let base = base.modified(s.at, s.offset.as_ref(), times)?;
                    waiting.push((&s.inner, base));
                }
            }
        }
        Some(reach)
    }

    fn add(&mut self, base: Base) {
        match base {
            Base::Step(ahead) => self.ahead_ms = self.ahead_ms.max(ahead),
            Base::Time(time) => self.fixed_ms = self.fixed_ms.max(time),
        }
    }

    /// The last time at which a step depends on nothing from `from_ms` on; `None` if all do.
    pub(crate) fn last_before(self, from_ms: i64) -> Option<i64> {
        if self.fixed_ms >= from_ms {
            return None;
        }
        Some(from_ms.saturating_sub(1).saturating_sub(self.ahead_ms))
    }
}

/// Whether a duration depends on the query's range; one on its step is no matter.
fn of_range(duration: &Duration) -> bool {
    match duration {
        Duration::Literal(_) | Duration::Step(_) => false,
        Duration::Range(_) => true,
        Duration::Negative(inner, _) | Duration::Paren(inner, _) => of_range(inner),
        Duration::Binary(_, a, b) | Duration::MinOf(a, b, _) | Duration::MaxOf(a, b, _) => {
            of_range(a) || of_range(b)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    const NOTHING: i64 = i64::MIN;

    #[test]
    fn offsets_and_fixed_times_add_up() {
        let times = QueryTimes {
            start: 0,
            end: 600_000,
            step: 15_000,
        };
        let reach = |text: &str| {
            let reach = Reach::of(&parse(text).unwrap(), times, 300_000)?;
            Some((reach.ahead_ms, reach.fixed_ms))
        };
        for (text, expected) in [
            ("1 + time()", Some((NOTHING, NOTHING))),
            ("up", Some((0, NOTHING))),
            ("up offset 1m", Some((-60_000, NOTHING))),
            ("up offset -1m", Some((60_000, NOTHING))),
            ("rate(up[5m] offset 1m) + up", Some((0, NOTHING))),
            (
                "sum by (a) (rate(up[5m] offset 2m) / up offset 1m)",
                Some((-60_000, NOTHING)),
            ),
            (
                "max_over_time((up offset -1m)[5m:10s] offset 3m)",
                Some((-120_000, NOTHING)),
            ),
            ("topk(scalar(up), x offset 1m)", Some((0, NOTHING))),
            ("up @ 60", Some((NOTHING, 60_000))),
            ("up @ 60 offset 1m - x offset 1m", Some((-60_000, 0))),
            (
                "max_over_time((up offset -1m)[5m:10s] @ 120)",
                Some((NOTHING, 180_000)),
            ),
            ("up offset step()", Some((-15_000, NOTHING))),
            ("rate(up[step() * 4])", Some((0, NOTHING))),
            ("up smoothed", Some((300_000, NOTHING))),
            ("increase(up[5m] smoothed)", Some((300_000, NOTHING))),
            ("increase(up[5m] anchored)", Some((0, NOTHING))),
            ("up @ start()", None),
            ("rate(up[5m] @ end())", None),
            ("rate(up[range()])", None),
            ("up offset range()", None),
            ("max_over_time(up[5m:range() / 4])", None),
            ("max_over_time(up[5m:10s] @ start())", None),
            ("info(up)", None),
        ] {
            assert_eq!(reach(text), expected, "{text}");
        }
    }
}
