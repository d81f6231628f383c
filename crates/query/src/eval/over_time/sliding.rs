//! Windows that move over a column: each sample enters once and leaves once, so that a step costs
//! O(1) amortised, however long the window.
//!
//! Sums use two stacks (the queue of two stacks folklore): a window is a suffix sum of its older
//! part and a running sum of its newer part, both compensated, and nothing is ever subtracted.
//! Extremes use a monotonic deque (D. Lemire, "Streaming maximum-minimum filter", 2006).

use std::collections::VecDeque;

use super::super::kahan::Kahan;

/// Fills each step whose window is not empty.
pub(super) fn each(
    windows: &[(usize, usize)],
    out: &mut [f64],
    result: impl Fn((usize, usize)) -> f64,
) {
    for (slot, window) in out.iter_mut().zip(windows) {
        if window.0 < window.1 {
            *slot = result(*window);
        }
    }
}

/// The largest or smallest value of each window, of equals (0 and -0) the first; NaN only if there
/// is nothing else. `beats` says that a newer value makes an older one useless; so does one of
/// the same bits.
pub(super) fn extremes(
    values: &[f64],
    windows: &[(usize, usize)],
    out: &mut [f64],
    beats: impl Fn(f64, f64) -> bool,
) {
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut entered = 0;
    for (slot, (low, high)) in out.iter_mut().zip(windows) {
        for i in entered.max(*low)..*high {
            if values[i].is_nan() {
                continue;
            }
            while candidates.back().is_some_and(|c| {
                let (new, old) = (values[i], values[*c]);
                beats(new, old) || new.to_bits() == old.to_bits()
            }) {
                candidates.pop_back();
            }
            candidates.push_back(i);
        }
        entered = entered.max(*high);
        while candidates.front().is_some_and(|c| c < low) {
            candidates.pop_front();
        }
        if low < high {
            *slot = candidates.front().map_or(f64::NAN, |c| values[*c]);
        }
    }
}

/// Whether no sum of these values can overflow.
pub(super) fn cannot_overflow(values: &[f64]) -> bool {
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    (largest * values.len() as f64).is_finite()
}

impl Kahan {
    /// The sum of two sums.
    fn merged(self, other: Self) -> Self {
        let sum = self.plus(other.sum);
        Self {
            lost: sum.lost + other.lost,
            ..sum
        }
    }
}

/// A function of the sum and length of each window.
pub(super) fn sums(
    values: &[f64],
    windows: &[(usize, usize)],
    out: &mut [f64],
    result: impl Fn(Kahan, usize) -> f64,
) {
    // suffix[i - low] is the sum of values[i..middle].
    let mut suffix: Vec<Kahan> = Vec::new();
    let (mut middle, mut base, mut entered) = (0, 0, 0);
    let mut newer = Kahan::default();
    for (slot, (low, high)) in out.iter_mut().zip(windows) {
        if low >= high {
            continue;
        }
        if *low >= middle {
            // The older part is used up: all there is becomes the older part.
            suffix.clear();
            suffix.resize(high - low, Kahan::default());
            let mut sum = Kahan::default();
            for i in (*low..*high).rev() {
                sum = sum.plus(values[i]);
                suffix[i - low] = sum;
            }
            (base, middle, entered, newer) = (*low, *high, *high, Kahan::default());
        }
        for value in &values[entered..(*high).max(entered)] {
            newer = newer.plus(*value);
        }
        entered = entered.max(*high);
        let older = suffix[low - base];
        let all = if entered > middle {
            older.merged(newer)
        } else {
            older
        };
        *slot = result(all, high - low);
    }
}

/// How many neighbours in each window are counted.
pub(super) fn pairs(
    values: &[f64],
    windows: &[(usize, usize)],
    out: &mut [f64],
    counts: impl Fn(f64, f64) -> bool,
) {
    // before[i] is how many pairs end at or before sample i.
    let mut before = Vec::with_capacity(values.len());
    let mut total = 0_u32;
    for i in 0..values.len() {
        total += u32::from(i > 0 && counts(values[i - 1], values[i]));
        before.push(total);
    }
    each(windows, out, |(low, high)| {
        f64::from(before[high - 1] - before[low])
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f64> {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f64 - 8e6
        };
        (0..n)
            .map(|i| if i % 31 == 7 { f64::NAN } else { next() })
            .collect()
    }

    fn windows(n: usize) -> Vec<(usize, usize)> {
        let lows = (0..n).map(|i| i * 3 / 2);
        lows.map(|low| (low.min(n), (low + 1 + low % 17).min(n)))
            .scan(0, |high, w| {
                *high = (*high).max(w.1);
                Some((w.0.min(*high), *high))
            })
            .collect()
    }

    #[test]
    fn sliding_results_equal_those_of_each_window_alone() {
        let values = noise(300);
        let finite: Vec<f64> = values
            .iter()
            .map(|v| if v.is_nan() { 0.5 } else { *v })
            .collect();
        let windows = windows(300);
        let mut sum = vec![0.0; 300];
        let mut max = vec![0.0; 300];
        sums(&finite, &windows, &mut sum, |s, _| s.value());
        extremes(&values, &windows, &mut max, |new, old| new > old);
        for (i, (low, high)) in windows.iter().enumerate().filter(|(_, (l, h))| l < h) {
            let alone = finite[*low..*high]
                .iter()
                .copied()
                .fold(Kahan::default(), Kahan::plus);
            assert!((sum[i] - alone.value()).abs() <= 1e-9 * alone.value().abs().max(1.0));
            let best = values[*low..*high].iter().copied().fold(f64::NAN, f64::max);
            assert_eq!(max[i].to_bits(), best.to_bits(), "{low}..{high}");
        }
    }

    #[test]
    fn counts_of_pairs_do_not_reach_out_of_the_window() {
        let mut out = [0.0; 3];
        pairs(
            &[1.0, 2.0, 1.0, 1.0],
            &[(0, 2), (1, 4), (2, 4)],
            &mut out,
            |a, b| a != b,
        );
        assert_eq!(out, [1.0, 1.0, 0.0]);
    }
}
