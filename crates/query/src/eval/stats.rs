//! Histograms without their buckets, where only count and sum are asked for.
//!
//! `histogram_count(rate(x[5m]))` needs no bucket. As in Prometheus, selectors below
//! `histogram_count`, `histogram_sum` and `histogram_avg` then give bare histograms, and what the
//! buckets would show of counter resets is found on the way and kept as a hint.

use std::sync::Arc;

use model::{Histogram, ResetHint, Series};

use super::{Evaluator, Result};
use crate::histogram::detect_reset;

/// Whether buckets matter where a selector stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Buckets {
    /// Nothing above the selector says they do not.
    #[default]
    Kept,
    /// Only count and sum are asked for.
    Spared,
    /// Something further up needs them, whatever stands between: a subquery, which may skip
    /// samples, a function of buckets, or a trim operator.
    Needed,
}

impl Evaluator<'_> {
    /// Evaluates something below a node that says whether buckets matter.
    pub(super) fn with_buckets<T>(
        &self,
        buckets: Buckets,
        evaluate: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let before = self.buckets.get();
        if before != Buckets::Needed {
            self.buckets.set(buckets);
        }
        let result = evaluate();
        self.buckets.set(before);
        result
    }

    /// A series as its selector gives it on.
    pub(super) fn prepared(&self, series: Series) -> Series {
        if self.buckets.get() == Buckets::Spared {
            bare(series)
        } else {
            series
        }
    }
}

fn bare(mut series: Series) -> Series {
    let mut before: Option<Arc<Histogram>> = None;
    for slot in &mut series.histograms {
        let Some(h) = slot.take() else { continue };
        let reset_hint = match (h.reset_hint, &before) {
            (ResetHint::Unknown, Some(before)) if detect_reset(&h, before) => ResetHint::Reset,
            (ResetHint::Unknown, Some(_)) => ResetHint::NotReset,
            (hint, _) => hint,
        };
        *slot = Some(Arc::new(Histogram {
            schema: h.schema,
            custom_values: h.custom_values.clone(),
            count: h.count,
            sum: h.sum,
            reset_hint,
            ..Histogram::default()
        }));
        before = Some(h);
    }
    series
}
