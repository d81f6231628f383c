//! What a block's header says of its floats, so that they need not be decoded.

use model::{Run, is_stale};

use crate::varint::{Reader, put_f64, put_u64};

/// Facts about the floats of a run, staleness markers left out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Values, staleness markers not counted.
    pub count: u64,
    /// Their sum, compensated (Neumaier); NaN if one of them is.
    pub sum: f64,
    /// Least value; NaNs count only if there is nothing else.
    pub min: f64,
    /// Greatest value; NaNs count only if there is nothing else.
    pub max: f64,
    /// First value.
    pub first: f64,
    /// Last value.
    pub last: f64,
    /// How often a value is below its predecessor: a counter's resets.
    pub resets: u64,
    /// Sum of the values just before resets: `last - first + correction` is a counter's increase.
    pub correction: f64,
}

impl Summary {
    /// The summary of some values.
    pub(crate) fn of(values: &[f64]) -> Self {
        Self::over(values.iter().copied().filter(|v| !is_stale(*v)))
    }

    /// The summary of some values, none of which is a staleness marker.
    pub(crate) fn over(values: impl Iterator<Item = f64>) -> Self {
        let mut summary = Self::default();
        let mut lost = 0.0;
        for value in values {
            let total = summary.sum + value;
            lost += if summary.sum.abs() >= value.abs() {
                (summary.sum - total) + value
            } else {
                (value - total) + summary.sum
            };
            summary.sum = total;
            summary.extend(value);
        }
        // With an infinity the compensation is NaN; the plain sum says it all.
        if summary.sum.is_finite() {
            summary.sum += lost;
        }
        summary
    }

    /// As a run between two times.
    pub(crate) fn run(&self, from_ms: i64, to_ms: i64) -> Run {
        Run {
            from_ms,
            to_ms,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            first: self.first,
            last: self.last,
            resets: self.resets,
            correction: self.correction,
        }
    }

    fn extend(&mut self, value: f64) {
        if self.count == 0 {
            (self.min, self.max, self.first) = (value, value, value);
        } else if value < self.last {
            self.resets += 1;
            self.correction += self.last;
        }
        if value < self.min || self.min.is_nan() {
            self.min = value;
        }
        if value > self.max || self.max.is_nan() {
            self.max = value;
        }
        self.last = value;
        self.count += 1;
    }

    /// Appends the summary of a block of `count` samples. A counter without resets is short.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, count: usize) {
        let same = |a: f64, b: f64| u8::from(a.to_bits() == b.to_bits());
        let flags = same(self.min, self.first)
            | same(self.max, self.last) << 1
            | u8::from(self.resets > 0) << 2
            | u8::from(self.count != count as u64) << 3;
        out.push(flags);
        put_f64(out, self.sum);
        put_f64(out, self.first);
        put_f64(out, self.last);
        if flags & 1 == 0 {
            put_f64(out, self.min);
        }
        if flags & 2 == 0 {
            put_f64(out, self.max);
        }
        if flags & 4 != 0 {
            put_u64(out, self.resets);
            put_f64(out, self.correction);
        }
        if flags & 8 != 0 {
            put_u64(out, self.count);
        }
    }

    /// Reads what [`Summary::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Option<Self> {
        let flags = reader.u8()?;
        let (sum, first, last) = (reader.f64()?, reader.f64()?, reader.f64()?);
        let min = if flags & 1 == 0 { reader.f64()? } else { first };
        let max = if flags & 2 == 0 { reader.f64()? } else { last };
        let (resets, correction) = if flags & 4 != 0 {
            (reader.u64()?, reader.f64()?)
        } else {
            (0, 0.0)
        };
        let count = if flags & 8 != 0 {
            reader.u64()?
        } else {
            count as u64
        };
        Some(Self {
            count,
            sum,
            min,
            max,
            first,
            last,
            resets,
            correction,
        })
    }

    /// Passes over what [`Summary::encode`] wrote.
    pub(crate) fn skip(reader: &mut Reader<'_>) -> Option<()> {
        let flags = reader.u8()?;
        let min_and_max = 2 - (flags & 1) - (flags >> 1 & 1);
        let resets = (flags >> 2 & 1) * 2;
        let count = flags >> 3 & 1;
        (0..3 + min_and_max + resets + count).try_for_each(|_| reader.skip())
    }

    /// Both runs as one; `later` comes after this one.
    pub(crate) fn join(&mut self, later: &Self) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        if later.first < self.last {
            self.resets += 1;
            self.correction += self.last;
        }
        self.count += later.count;
        self.sum += later.sum;
        if later.min < self.min || self.min.is_nan() {
            self.min = later.min;
        }
        if later.max > self.max || self.max.is_nan() {
            self.max = later.max;
        }
        self.last = later.last;
        self.resets += later.resets;
        self.correction += later.correction;
    }
}

impl From<&Run> for Summary {
    fn from(run: &Run) -> Self {
        Self {
            count: run.count,
            sum: run.sum,
            min: run.min,
            max: run.max,
            first: run.first,
            last: run.last,
            resets: run.resets,
            correction: run.correction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_add_up_to_a_counters_increase() {
        let values = [1.0, 5.0, 2.0, 4.0, model::stale_nan(), 0.0, 3.0];
        let summary = Summary::of(&values);
        assert_eq!((summary.count, summary.resets), (6, 2));
        // 1->5 is 4, reset to 2 and up to 4 is 4, reset to 0 and up to 3 is 3.
        assert_eq!(summary.last - summary.first + summary.correction, 11.0);
        assert_eq!((summary.min, summary.max, summary.sum), (0.0, 5.0, 15.0));
        let mut joined = Summary::of(&values[..3]);
        joined.join(&Summary::of(&values[3..]));
        assert_eq!(joined, summary);
    }

    #[test]
    fn summaries_read_back_and_sums_are_compensated() {
        for values in [
            &[1e16, 1.0, -1e16][..],
            &[f64::NAN, 1.0],
            &[f64::INFINITY, 1.0],
            &[],
        ] {
            let summary = Summary::of(values);
            let mut bytes = Vec::new();
            summary.encode(&mut bytes, values.len());
            let mut reader = Reader::new(&bytes);
            Summary::skip(&mut reader).unwrap();
            assert!(reader.is_empty());
            let back = Summary::decode(&mut Reader::new(&bytes), values.len()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{summary:?}"));
        }
        assert_eq!(Summary::of(&[1e16, 1.0, -1e16]).sum, 1.0);
        assert_eq!(Summary::of(&[f64::INFINITY, 1.0]).sum, f64::INFINITY);
    }
}
