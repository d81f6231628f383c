//! The samples both servers are given.
//!
//! Values are multiples of 1/8 and small, so that sums of them are exact in any order: what
//! differs in the last bit differs because the arithmetic does. Times have milliseconds that no
//! evaluation time has, so that no sample lies on the edge of a window: Prometheus 3 counts a
//! sample there to one side only, 2.42 to both.

use e2e::pushed::write_request;

/// Between two steps, ms.
const STEP_MS: i64 = 15_000;

/// Steps: an hour and a half.
const STEPS: i64 = 360;

/// The last step of the metric `gone`.
const GONE_STEP: i64 = 119;

/// Its time, ms after the first step.
pub(crate) const GONE_MS: i64 = GONE_STEP * STEP_MS + jitter_ms(GONE_STEP);

/// How long after its second a step comes, ms.
const fn jitter_ms(step: i64) -> i64 {
    300 + step * 37 % 400
}

/// Labels, in order of names after the metric's.
type Labels = Vec<(&'static str, String)>;

/// What is written, and when.
pub(crate) struct Data {
    /// A whole second, ms: the samples lie after it.
    pub(crate) base_ms: i64,
}

/// NaN as Prometheus marks the end of a series.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

impl Data {
    /// Samples that end a few minutes before `now_ms`, from a full hour on.
    pub(crate) fn before(now_ms: i64) -> Self {
        let hour = 3_600_000;
        Self {
            base_ms: (now_ms - STEPS * STEP_MS - 300_000).div_euclid(hour) * hour,
        }
    }

    /// The end of the samples, ms.
    pub(crate) fn end_ms(&self) -> i64 {
        self.base_ms + STEPS * STEP_MS
    }

    /// The bodies of remote-write requests, one a step, in order of time; series in order of
    /// their labels.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..STEPS).map(|step| {
            let time_ms = self.base_ms + step * STEP_MS + jitter_ms(step);
            let mut series = at(step);
            series.sort_by(|a, b| a.0.cmp(&b.0));
            write_request(series.into_iter(), time_ms)
        })
    }
}

fn labels(metric: &str, rest: &[(&'static str, &str)]) -> Labels {
    let rest = rest
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    std::iter::once(("__name__", metric.to_owned()))
        .chain(rest)
        .collect()
}

/// Every series that has a sample at a step.
fn at(step: i64) -> Vec<(Labels, f64)> {
    let mut all = Vec::new();
    counters(step, &mut all);
    gauges(step, &mut all);
    gaps(step, &mut all);
    histograms(step, &mut all);
    shapes(step, &mut all);
    all
}

fn counters(step: i64, all: &mut Vec<(Labels, f64)>) {
    let mut number = 0;
    for job in ["api", "web"] {
        for instance in ["h1:9100", "h2:9100"] {
            for code in ["200", "404", "500"] {
                number += 1;
                let own = [("code", code), ("instance", instance), ("job", job)];
                // Restarts at a step of its own: counts begin again.
                let since = if step >= 90 + number * 17 {
                    step - 90 - number * 17
                } else {
                    step + 1_000 * number
                };
                let value = (since * number * 3 + since * since % 7) as f64 / 8.0;
                all.push((labels("requests_total", &own), value));
            }
            let own = [("instance", instance), ("job", job)];
            let bytes = (step * (4_096 + number * 512) + 1_000_000 + number) as f64;
            all.push((labels("bytes_total", &own), bytes));
        }
    }
}

fn gauges(step: i64, all: &mut Vec<(Labels, f64)>) {
    for (number, room) in (1_i64..).zip(["attic", "cellar", "hall"]) {
        let own = [("instance", "h1:9100"), ("room", room)];
        let value = ((step * (7 + number) + number * 40) % 160 - 80) as f64 / 8.0;
        all.push((labels("temperature", &own), value));
    }
    for (number, instance) in (1_i64..).zip(["h1:9100", "h2:9100", "h3:9100"]) {
        let own = [("instance", instance), ("job", "api")];
        let value = match (step + number * 5) % 40 {
            3 => f64::NAN,
            7 => f64::INFINITY,
            11 => f64::NEG_INFINITY,
            other => (other * number * 11 % 64) as f64 / 4.0,
        };
        all.push((labels("level", &own), value));
    }
    for (number, job) in (1_i64..).zip(["api", "batch", "web"]) {
        let limit = (number * 100 + step / 60) as f64;
        all.push((labels("limit", &[("job", job)]), limit));
    }
    for (instance, version) in [("h1:9100", "1.2"), ("h2:9100", "1.3")] {
        let own = [("instance", instance), ("version", version)];
        all.push((labels("build_info", &own), 1.0));
    }
    // The end of a second of the clock, so that calendars have something to do.
    let born = (1_600_000_000 + step * 86_400 * 3) as f64;
    all.push((labels("born_seconds", &[("instance", "h1:9100")]), born));
}

/// Series that come and go: with a marker of their end, and without.
fn gaps(step: i64, all: &mut Vec<(Labels, f64)>) {
    let phase = step % 60;
    if phase < 25 {
        let own = [("end", "marked"), ("instance", "h1:9100")];
        all.push((labels("sparse", &own), (step * 5 % 33) as f64 / 2.0));
    } else if phase == 25 {
        let own = [("end", "marked"), ("instance", "h1:9100")];
        all.push((labels("sparse", &own), STALE));
    }
    if step % 47 < 19 {
        let own = [("end", "silent"), ("instance", "h2:9100")];
        all.push((labels("sparse", &own), (step * 3 % 29) as f64 - 10.0));
    }
    if step % 4 == 1 {
        let own = [("end", "never"), ("instance", "h3:9100")];
        all.push((labels("sparse", &own), (step * 2) as f64));
    }
    if step <= GONE_STEP {
        all.push((labels("gone", &[("job", "api")]), step as f64));
    }
}

fn histograms(step: i64, all: &mut Vec<(Labels, f64)>) {
    let bounds = ["0.1", "0.5", "1", "2.5", "+Inf"];
    for (number, instance) in (1_i64..).zip(["h1:9100", "h2:9100"]) {
        let mut below = 5_000 * number;
        for (place, le) in (1_i64..).zip(bounds) {
            below += step * (6 - place) * number + step * place % 3;
            let own = [("instance", instance), ("job", "api"), ("le", le)];
            let metric = "latency_seconds_bucket";
            all.push((labels(metric, &own), below as f64));
        }
        let own = [("instance", instance), ("job", "api")];
        let sum = (below * 3) as f64 / 8.0;
        all.push((labels("latency_seconds_count", &own), below as f64));
        all.push((labels("latency_seconds_sum", &own), sum));
    }
    // No bucket for everything, and a bound that is no number.
    for le in ["1", "2"] {
        let own = [("le", le), ("torn", "yes")];
        all.push((labels("torn_bucket", &own), (step * 2) as f64));
    }
    let own = [("le", "many"), ("torn", "no")];
    all.push((labels("torn_bucket", &own), step as f64));
}

/// Labels that are hard to write down.
fn shapes(step: i64, all: &mut Vec<(Labels, f64)>) {
    let values = ["", "/a b", "/ü\\\"", "{x=~\"y\"}", "Z"];
    for (number, path) in (1_i64..).zip(values) {
        let value = (number * 16 + step % 8) as f64;
        let mut own = vec![("A", "1"), ("_under", "2")];
        if !path.is_empty() {
            own.push(("path", path));
        }
        all.push((labels("shape", &own), value));
    }
}
