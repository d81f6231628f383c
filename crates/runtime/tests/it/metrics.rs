//! What a scraper reads.

use std::time::Duration;

use runtime::metrics::{Format, Registry};

#[test]
fn writes_both_formats_as_specified() {
    let registry = Registry::default();
    let labels = [("path", "a\"b\\c\nd")];
    registry
        .counter("jobs_total", "Jobs \"done\".", &labels)
        .add(3);
    registry.gauge("depth", "Depth.", &[]).set(-2);
    registry.gauge_fn("absent", "Cannot be read.", &[], || f64::NAN);
    let prometheus = "\
# HELP absent Cannot be read.
# TYPE absent gauge
# HELP depth Depth.
# TYPE depth gauge
depth -2
# HELP jobs_total Jobs \"done\".
# TYPE jobs_total counter
jobs_total{path=\"a\\\"b\\\\c\\nd\"} 3
";
    assert_eq!(registry.render(Format::Prometheus), prometheus);
    let open = prometheus
        .replace(
            "# HELP jobs_total Jobs \"done\".",
            "# HELP jobs Jobs \\\"done\\\".",
        )
        .replace("# TYPE jobs_total", "# TYPE jobs");
    assert_eq!(
        registry.render(Format::OpenMetrics),
        format!("{open}# EOF\n")
    );
}

#[test]
fn a_histogram_counts_up_to_and_including_its_bounds() {
    let registry = Registry::default();
    let latency = registry.latency("wait_seconds", "Wait.", &[("op", "x")]);
    for us in [50, 100, 101, 150, 20_000_000] {
        latency.observe_duration(Duration::from_micros(us));
    }
    let text = registry.render(Format::Prometheus);
    for line in [
        "wait_seconds_bucket{op=\"x\",le=\"0.0001\"} 2",
        "wait_seconds_bucket{op=\"x\",le=\"0.00015\"} 4",
        "wait_seconds_bucket{op=\"x\",le=\"10\"} 4",
        "wait_seconds_bucket{op=\"x\",le=\"+Inf\"} 5",
        "wait_seconds_sum{op=\"x\"} 20.000401",
        "wait_seconds_count{op=\"x\"} 5",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[test]
fn bounds_of_a_latency_are_at_most_five_thirds_apart() {
    let registry = Registry::default();
    drop(registry.latency("wait_seconds", "Wait.", &[]));
    let text = registry.render(Format::Prometheus);
    let bound = |l: &str| {
        l.split("le=\"")
            .nth(1)?
            .split('"')
            .next()?
            .parse::<f64>()
            .ok()
    };
    let bounds: Vec<f64> = text
        .lines()
        .filter_map(bound)
        .filter(|b| b.is_finite())
        .collect();
    assert_eq!((bounds[0], bounds[bounds.len() - 1]), (0.0001, 10.0));
    assert!(
        bounds
            .windows(2)
            .all(|w| w[1] / w[0] > 1.2 && w[1] / w[0] < 1.67)
    );
}

#[test]
fn sizes_are_counted_by_powers_of_two() {
    let registry = Registry::default();
    let sizes = registry.sizes("group", "Group.", &[], 8);
    for n in [1, 2, 3, 8, 9] {
        sizes.observe(n);
    }
    let text = registry.render(Format::OpenMetrics);
    let counts = |l: &str| Some(l.strip_prefix("group_bucket{le=\"")?.replace("\"}", ""));
    let lines: Vec<String> = text.lines().filter_map(counts).collect();
    assert_eq!(lines, ["1 1", "2 2", "4 3", "8 4", "+Inf 5"]);
}

#[test]
fn asking_again_gives_the_same_series() {
    let registry = Registry::default();
    registry
        .counter("jobs_total", "Jobs.", &[("a", "1")])
        .increment();
    registry
        .counter("jobs_total", "Jobs.", &[("a", "1")])
        .increment();
    registry
        .counter("jobs_total", "Jobs.", &[("a", "2")])
        .increment();
    assert_eq!(
        registry.counter("jobs_total", "Jobs.", &[("a", "1")]).get(),
        2
    );
}
