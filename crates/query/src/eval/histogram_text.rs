//! A histogram in one line, as `count_values` makes a label of it: count, sum, and the populated
//! buckets, rising.

use std::fmt::Write as _;

use model::Histogram;

use crate::float_text::format_general;
use crate::histogram::buckets::{self, Bucket};

/// Such as `{count:3, sum:7, (1,2]:3}`.
pub(super) fn display(h: &Histogram) -> String {
    let mut text = format!(
        "{{count:{}, sum:{}",
        format_general(h.count),
        format_general(h.sum)
    );
    for bucket in buckets::all(h).iter().filter(|b| b.count != 0.0) {
        write!(text, ", {}", range(bucket)).expect("a string takes text");
    }
    text.push('}');
    text
}

fn range(b: &Bucket) -> String {
    let open = if b.lower_inclusive { '[' } else { '(' };
    let close = if b.upper_inclusive { ']' } else { ')' };
    let [lower, upper, count] = [b.lower, b.upper, b.count].map(format_general);
    format!("{open}{lower},{upper}{close}:{count}")
}
