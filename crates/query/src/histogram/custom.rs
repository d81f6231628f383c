//! From classic buckets (`le` and cumulative counts) to a histogram with custom buckets (NHCB).

use model::{Histogram, histogram::CUSTOM_BUCKETS_SCHEMA};
use thiserror::Error;

use super::layout::{compact, lay_out};

/// Why classic buckets make no histogram.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NotConvertible {
    /// A bucket holds fewer observations than a smaller one.
    #[error("bucket le=\"{le}\" holds {count} observations, fewer than the bucket before it")]
    NotCumulative {
        /// Its upper bound.
        le: f64,
        /// Its count.
        count: f64,
    },
    /// The count of all is not that of the bucket up to +Inf.
    #[error("the count is {count}, but the buckets hold {buckets}")]
    CountMismatch {
        /// What `_count` says.
        count: f64,
        /// What the last bucket says.
        buckets: f64,
    },
    /// A bucket's bound is NaN.
    #[error("a bucket's bound is not a number")]
    NanBound,
}

/// The samples of one classic histogram at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClassicHistogram {
    /// Upper bound and cumulative count, in any order.
    pub buckets: Vec<(f64, f64)>,
    /// The sample of `_count`, if there is one.
    pub count: Option<f64>,
    /// The sample of `_sum`, if there is one.
    pub sum: Option<f64>,
}

impl ClassicHistogram {
    /// The histogram these samples amount to. Without a bucket up to +Inf the count of all is
    /// taken for it; without a sum the sum is 0.
    pub fn convert(&self) -> Result<Histogram, NotConvertible> {
        let mut buckets = self.buckets.clone();
        if buckets.iter().any(|(le, _)| le.is_nan()) {
            return Err(NotConvertible::NanBound);
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets.dedup_by(|later, earlier| later.0 == earlier.0);
        if buckets.last().is_none_or(|(le, _)| *le != f64::INFINITY) {
            let last = buckets.last().map_or(0.0, |(_, count)| *count);
            buckets.push((f64::INFINITY, self.count.unwrap_or(last)));
        }
        let count = buckets.last().map_or(0.0, |(_, count)| *count);
        if let Some(said) = self.count.filter(|said| *said != count) {
            return Err(NotConvertible::CountMismatch {
                count: said,
                buckets: count,
            });
        }
        build(&buckets, count, self.sum.unwrap_or(0.0))
    }
}

fn build(buckets: &[(f64, f64)], count: f64, sum: f64) -> Result<Histogram, NotConvertible> {
    let mut cells = Vec::with_capacity(buckets.len());
    let mut before = 0.0;
    for (index, (le, cumulative)) in (0..).zip(buckets) {
        if *cumulative < before {
            return Err(NotConvertible::NotCumulative {
                le: *le,
                count: *cumulative,
            });
        }
        cells.push((index, cumulative - before));
        before = *cumulative;
    }
    let (positive_spans, positive_buckets) = lay_out(cells);
    let bounds = buckets
        .iter()
        .map(|(le, _)| *le)
        .filter(|le| le.is_finite());
    let mut h = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans,
        positive_buckets,
        custom_values: bounds.collect(),
        ..Histogram::default()
    };
    compact(&mut h);
    Ok(h)
}

#[cfg(test)]
mod tests {
    use super::{super::text::test_expression, *};

    #[test]
    fn cumulative_counts_become_counts_of_their_own() {
        let classic = ClassicHistogram {
            buckets: vec![(10.0, 3.0), (f64::INFINITY, 4.0), (5.0, 1.0)],
            count: Some(4.0),
            sum: Some(20.0),
        };
        let h = classic.convert().unwrap();
        assert_eq!(
            test_expression(&h),
            "{{schema:-53 count:4 sum:20 custom_values:[5 10] buckets:[1 2 1]}}"
        );
    }

    #[test]
    fn falling_counts_and_a_count_that_disagrees_are_refused() {
        let falling = ClassicHistogram {
            buckets: vec![(1.0, 3.0), (2.0, 2.0)],
            ..ClassicHistogram::default()
        };
        assert_eq!(
            falling.convert(),
            Err(NotConvertible::NotCumulative {
                le: 2.0,
                count: 2.0
            })
        );
        let disagreeing = ClassicHistogram {
            buckets: vec![(f64::INFINITY, 3.0)],
            count: Some(4.0),
            sum: None,
        };
        assert_eq!(
            disagreeing.convert(),
            Err(NotConvertible::CountMismatch {
                count: 4.0,
                buckets: 3.0
            })
        );
    }
}
