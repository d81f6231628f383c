//! A matrix drawn: a line of bars for each series, between its least and its largest value.

use serde_json::Value;

use super::{each, range::Range, series, text};

/// Columns of a line.
const WIDTH: usize = 60;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Two lines for each series: its labels; its bars, least, largest and last value.
pub(super) fn chart(result: &Value, range: Range) -> Vec<String> {
    let mut lines = Vec::new();
    for one in each(result) {
        let points: Vec<(f64, f64)> = each(&one["values"])
            .filter_map(|p| Some((p[0].as_f64()?, text(&p[1]).parse().ok()?)))
            .collect();
        lines.push(series(&one["metric"]));
        lines.push(format!("  {}", drawn(&points, range)));
    }
    lines
}

fn drawn(points: &[(f64, f64)], range: Range) -> String {
    let finite = || points.iter().map(|p| p.1).filter(|v| v.is_finite());
    let (least, most) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
        (least.min(v), most.max(v))
    });
    let Some(last) = points.last() else {
        return "no float at any step".to_owned();
    };
    if least > most {
        return format!("no finite value; last {}", last.1);
    }
    let bars: String = columns(points, range)
        .into_iter()
        .map(|mean| mean.map_or(' ', |mean| bar(mean, least, most)))
        .collect();
    let [least, most, last] = [least, most, last.1].map(short);
    format!("{bars}  min {least}  max {most}  last {last}")
}

/// The mean of the finite values of each column; as many columns as steps, if there are fewer.
fn columns(points: &[(f64, f64)], range: Range) -> Vec<Option<f64>> {
    let steps = ((range.end - range.start) / range.step).floor().max(0.0) + 1.0;
    let count = (steps as usize).clamp(1, WIDTH);
    let mut sums = vec![(0.0, 0u32); count];
    for (time, value) in points.iter().filter(|p| p.1.is_finite()) {
        let place = (time - range.start) / range.step / steps * count as f64;
        let (sum, n) = &mut sums[(place.max(0.0) as usize).min(count - 1)];
        *sum += value;
        *n += 1;
    }
    let mean = |(sum, n): (f64, u32)| (n > 0).then(|| sum / f64::from(n));
    sums.into_iter().map(mean).collect()
}

fn bar(value: f64, least: f64, most: f64) -> char {
    let share = (value - least) / (most - least);
    // Of a constant all bars are low.
    let place = if share.is_finite() {
        share * BARS.len() as f64
    } else {
        0.0
    };
    BARS[(place as usize).min(BARS.len() - 1)]
}

/// Four digits, which is what can be read off a line of bars.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    if !(-3..=9).contains(&digits) {
        return format!("{value:.3e}");
    }
    let unit = 10f64.powi(digits);
    let rounded = if digits > 0 {
        (value * unit).round() / unit
    } else {
        value.round()
    };
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range(end: f64, step: f64) -> Range {
        Range {
            start: 0.0,
            end,
            step,
        }
    }

    #[test]
    fn each_series_is_drawn_between_its_least_and_its_largest_value() {
        let values: Vec<Value> = (0..8)
            .map(|i| json!([i * 10, (i * i).to_string()]))
            .collect();
        let rising = json!([{"metric": {"__name__": "up"}, "values": values}]);
        let lines = chart(&rising, range(70.0, 10.0));
        assert_eq!(lines, ["up", "  ▁▁▁▂▃▅▆█  min 0  max 49  last 49"]);
        let gap = json!([{"metric": {}, "values": [[0, "5"], [20, "5"], [30, "NaN"]]}]);
        let lines = chart(&gap, range(30.0, 10.0));
        assert_eq!(lines, ["{}", "  ▁ ▁   min 5  max 5  last NaN"]);
        let nothing = json!([{"metric": {}, "values": [[0, "+Inf"]]}]);
        assert_eq!(
            chart(&nothing, range(30.0, 10.0))[1],
            "  no finite value; last inf"
        );
    }

    #[test]
    fn a_long_range_is_drawn_in_as_many_columns_as_fit() {
        let points: Vec<(f64, f64)> = (0..240).map(|i| (f64::from(i), f64::from(i))).collect();
        let means = columns(&points, range(239.0, 1.0));
        assert_eq!(means.len(), WIDTH);
        assert_eq!((means[0], means[59]), (Some(1.5), Some(237.5)));
    }

    #[test]
    fn numbers_are_as_long_as_a_glance() {
        let shown = [0.0, 1.0, 1234.56, 0.012_345, 123_456.7, -2.5, 1e-7, 3.2e12].map(short);
        let expected = [
            "0", "1", "1235", "0.01235", "123457", "-2.5", "1.000e-7", "3.200e12",
        ];
        assert_eq!(shown, expected);
    }
}
