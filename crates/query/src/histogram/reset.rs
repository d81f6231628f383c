//! Whether a counter was reset between two samples.
//!
//! A count anywhere in the histogram may only rise; a finer schema or a narrower zero bucket can
//! only come from a fresh start.

use model::{Histogram, ResetHint};

use super::{
    buckets::{cells, is_custom},
    frame::{Frame, zero_count_at},
    layout::{spread_over, union},
};

/// Whether `current` follows a reset of the counter that `previous` sampled. What `current` says
/// of it is believed; a gauge is compared as if it were a counter.
#[must_use]
pub fn detect_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => true,
        ResetHint::NotReset => false,
        ResetHint::Unknown | ResetHint::Gauge => shows_reset(current, previous),
    }
}

fn shows_reset(current: &Histogram, previous: &Histogram) -> bool {
    if current.count < previous.count || is_custom(current) != is_custom(previous) {
        return true;
    }
    if is_custom(current) {
        return any_bucket_fell(current, previous);
    }
    if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
        return true;
    }
    // A threshold that now lies inside a populated bucket could not have moved there.
    match zero_count_at(previous, current.zero_threshold) {
        None => true,
        Some(zero) => current.zero_count < zero || any_bucket_fell(current, previous),
    }
}

fn any_bucket_fell(current: &Histogram, previous: &Histogram) -> bool {
    let Ok(frame) = Frame::common(current, previous) else {
        return true;
    };
    let (current, previous) = (frame.view(current), frame.view(previous));
    let fell = |now: (&[_], &[f64]), then: (&[_], &[f64])| {
        let at = union(now.0, then.0);
        let now = spread_over(now.0, now.1, &at);
        cells(then.0, then.1).next().is_some()
            && now
                .iter()
                .zip(spread_over(then.0, then.1, &at))
                .any(|(now, then)| *now < then)
    };
    fell(
        (&current.positive_spans, &current.positive_buckets),
        (&previous.positive_spans, &previous.positive_buckets),
    ) || fell(
        (&current.negative_spans, &current.negative_buckets),
        (&previous.negative_spans, &previous.negative_buckets),
    )
}

#[cfg(test)]
mod tests {
    use model::Span;

    use super::*;

    fn with(count: f64, counts: &[f64]) -> Histogram {
        Histogram {
            count,
            positive_spans: vec![Span {
                offset: 0,
                length: counts.len() as u32,
            }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    #[test]
    fn a_bucket_that_fell_is_a_reset_though_the_count_rose() {
        assert!(detect_reset(
            &with(5.0, &[1.0, 1.0, 3.0]),
            &with(4.0, &[1.0, 2.0, 1.0])
        ));
        assert!(!detect_reset(
            &with(6.0, &[1.0, 2.0, 3.0]),
            &with(5.0, &[1.0, 1.0, 3.0])
        ));
        assert!(
            detect_reset(&with(5.0, &[5.0]), &with(4.0, &[3.0, 1.0])),
            "a bucket vanished"
        );
        assert!(
            !detect_reset(&with(5.0, &[5.0]), &with(4.0, &[4.0, 0.0])),
            "it was empty"
        );
    }

    #[test]
    fn a_finer_schema_or_a_narrower_zero_bucket_is_a_reset() {
        let mut previous = with(1.0, &[1.0]);
        let mut current = with(2.0, &[2.0]);
        current.schema = 1;
        assert!(detect_reset(&current, &previous));
        current.schema = 0;
        previous.zero_threshold = 0.1;
        assert!(detect_reset(&current, &previous));
    }

    #[test]
    fn buckets_that_a_wider_zero_bucket_swallowed_are_compared_with_it() {
        let previous = with(3.0, &[1.0, 2.0]);
        let mut current = with(4.0, &[]);
        current.zero_threshold = 2.0;
        current.zero_count = 4.0;
        assert!(!detect_reset(&current, &previous));
        current.zero_threshold = 1.5;
        assert!(
            detect_reset(&current, &previous),
            "1.5 lies inside the populated (1, 2]"
        );
    }

    #[test]
    fn custom_bounds_that_differ_are_compared_where_they_meet() {
        let custom = |bounds: &[f64], counts: &[f64]| Histogram {
            schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
            custom_values: bounds.to_vec(),
            ..with(15.0, counts)
        };
        let previous = custom(&[2.0, 4.0, 6.0], &[1.0, 2.0, 5.0, 7.0]);
        assert!(detect_reset(
            &custom(&[2.0, 3.0, 4.0, 6.0], &[1.0, 0.0, 1.0, 5.0, 8.0]),
            &previous
        ));
        assert!(!detect_reset(
            &custom(&[2.0, 3.0, 4.0, 6.0], &[1.0, 1.0, 1.0, 5.0, 8.0]),
            &previous
        ));
    }

    #[test]
    fn hints_are_believed() {
        let mut current = with(1.0, &[1.0]);
        current.reset_hint = ResetHint::NotReset;
        assert!(!detect_reset(&current, &with(2.0, &[2.0])));
        current.reset_hint = ResetHint::Reset;
        assert!(detect_reset(&current, &with(0.0, &[])));
    }
}
