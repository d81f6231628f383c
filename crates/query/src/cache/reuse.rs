//! A range query with a cache: what holds is taken from it, the rest is evaluated.

use model::SeriesReader;

use super::join::joined;
use super::reach::Reach;
use super::{Key, ResultsCache};
use crate::answer::{Answer, QueryValue};
use crate::engine::{Engine, Prepared, Watch};
use crate::error::QueryError;
use crate::eval::Grid;

impl Engine {
    /// The answer of a range query, with the steps a cache has of it. `None` if no cache can tell:
    /// the reader does not know what changed, or the value of a step depends on more than the
    /// step.
    pub(crate) fn reused(
        &self,
        cache: &ResultsCache,
        reader: &dyn SeriesReader,
        query: &Prepared<'_>,
        watch: Watch<'_>,
    ) -> Option<Result<Answer, QueryError>> {
        let (grid, lookback_ms) = (query.grid, self.options().lookback_ms);
        let reach = Reach::of(query.expr, query.when.times(), lookback_ms)?;
        let key = Key::new(query.text.to_owned(), grid, lookback_ms);
        let kept = cache.get(&key);
        // Before anything is read: what changes meanwhile is found next time.
        let changes = reader.changes(kept.as_ref().map_or(0, |extent| extent.version))?;
        let holds = |extent: &super::Extent| extent.holds(grid, reach, changes);
        let found = kept.and_then(|extent| holds(&extent).map(|span| (extent, span)));
        let Some((extent, span)) = found else {
            cache.missed();
            return Some(self.evaluated(reader, query, watch).inspect(|answer| {
                cache.put(key, changes.version, grid, answer);
            }));
        };
        let steps = usize::try_from((span.1 - span.0) / grid.step + 1).unwrap_or(grid.count);
        cache.hit(steps);
        watch.account.reused(steps);
        let answer = watch.account.hold(extent.bytes()).and_then(|_room| {
            let (before, behind) = around(grid, span);
            let more = behind.map_or(0, |piece| piece.count);
            let piece = |grid: Option<Grid>| match grid {
                Some(grid) => self.evaluated(reader, &query.over(grid), watch),
                None => Ok(nothing()),
            };
            let (before, behind) = (piece(before)?, piece(behind)?);
            Ok(whole(before, extent.series(span, more), behind))
        });
        if steps < grid.count
            && let Ok(answer) = &answer
        {
            cache.put(key, changes.version, grid, answer);
        }
        Some(answer)
    }
}

/// What of a grid lies before and behind the times from the first to the last.
fn around(grid: Grid, (first, last): (i64, i64)) -> (Option<Grid>, Option<Grid>) {
    let piece = |start: i64, end: i64| {
        let count = usize::try_from((end - start).div_euclid(grid.step) + 1).ok()?;
        (count > 0).then_some(Grid {
            start,
            count,
            ..grid
        })
    };
    (
        piece(grid.start, first - grid.step),
        piece(last + grid.step, grid.end()),
    )
}

fn nothing() -> Answer {
    Answer {
        value: QueryValue::Matrix(Vec::new()),
        warnings: Vec::new(),
        infos: Vec::new(),
    }
}

fn whole(before: Answer, kept: Vec<crate::MatrixSeries>, behind: Answer) -> Answer {
    let series = |answer: &mut Answer| match &mut answer.value {
        QueryValue::Matrix(series) => std::mem::take(series),
        _ => Vec::new(),
    };
    let [mut before, mut behind] = [before, behind];
    let value = joined(joined(series(&mut before), kept), series(&mut behind));
    let both = |mut a: Vec<String>, b: Vec<String>| {
        a.extend(b);
        a.sort_unstable();
        a.dedup();
        a
    };
    Answer {
        value: QueryValue::Matrix(value),
        warnings: both(before.warnings, behind.warnings),
        infos: both(before.infos, behind.infos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_what_is_kept_and_what_lies_around_it() {
        let grid = Grid {
            start: 10,
            step: 5,
            count: 6,
        };
        let piece = |start, count| {
            Some(Grid {
                start,
                step: 5,
                count,
            })
        };
        assert_eq!(around(grid, (10, 35)), (None, None));
        assert_eq!(around(grid, (10, 30)), (None, piece(35, 1)));
        assert_eq!(around(grid, (20, 20)), (piece(10, 2), piece(25, 3)));
        assert_eq!(around(grid, (35, 35)), (piece(10, 5), None));
    }
}
