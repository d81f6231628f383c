//! A run's cumulative figures as Prometheus text 0.0.4: the client's view of a service, to be
//! scraped beside the service's own.

use std::fmt::Write;

use crate::record::{BOUNDS, Code, Outcomes, Period, Recorder};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders everything recorded so far.
pub(crate) fn render(recorder: &Recorder, queued: usize, rate: f64) -> String {
    let mut out = Text::default();
    let both = recorder.lock();
    let total = &both.total;
    let names: Vec<String> = recorder.names.iter().map(|name| escaped(name)).collect();
    out.durations(&names, total);
    out.requests(&names, total);
    out.lag(total);
    out.counter(
        "load_due_total",
        "Requests that were due.",
        total.due as f64,
    );
    let help = "Requests dropped because the generator's queue was full.";
    out.counter("load_dropped_total", help, total.dropped as f64);
    let help = "CPU time the generator's threads used.";
    out.counter(
        "load_cpu_seconds_total",
        help,
        both.cpu_total().as_secs_f64(),
    );
    out.gauge(
        "load_queued",
        "Requests due and waiting for a connection.",
        queued as f64,
    );
    out.gauge(
        "load_target_rate",
        "Requests a second planned for now.",
        rate,
    );
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn durations(&mut self, names: &[String], total: &Period) {
        let help = "Time from a request's intended start to its last byte.";
        self.family("load_request_duration_seconds", "histogram", help);
        for (name, outcomes) in names.iter().zip(&total.operations) {
            self.histogram(name, outcomes);
        }
    }

    fn requests(&mut self, names: &[String], total: &Period) {
        self.family(
            "load_requests_total",
            "counter",
            "Requests done, by how they ended.",
        );
        for (name, outcomes) in names.iter().zip(&total.operations) {
            for (code, count) in Code::ALL.into_iter().zip(outcomes.codes) {
                let code = code.as_str();
                let series = format!("load_requests_total{{op=\"{name}\",code=\"{code}\"}}");
                self.line(&series, count as f64);
            }
        }
    }

    fn lag(&mut self, total: &Period) {
        let help = "How late the generator handed requests on, since the run began.";
        self.family("load_schedule_lag_seconds", "summary", help);
        for quantile in [0.5, 0.99] {
            let lag = total.lag_micros.value_at_quantile(quantile) as f64 / 1e6;
            // A quantile of nothing is NaN, by the format's definition.
            let lag = if total.due == 0 { f64::NAN } else { lag };
            self.line(
                &format!("load_schedule_lag_seconds{{quantile=\"{quantile}\"}}"),
                lag,
            );
        }
        self.line("load_schedule_lag_seconds_sum", total.lag_sum_seconds);
        self.line("load_schedule_lag_seconds_count", total.due as f64);
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.line(name, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.line(name, value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, series: &str, value: f64) {
        self.push(format_args!("{series} {value}\n"));
    }

    fn histogram(&mut self, name: &str, outcomes: &Outcomes) {
        let series = "load_request_duration_seconds";
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(outcomes.buckets) {
            below += count;
            self.push(format_args!(
                "{series}_bucket{{op=\"{name}\",le=\"{bound}\"}} {below}\n"
            ));
        }
        let count = outcomes.micros.len();
        self.push(format_args!(
            "{series}_bucket{{op=\"{name}\",le=\"+Inf\"}} {count}\n"
        ));
        self.push(format_args!(
            "{series}_sum{{op=\"{name}\"}} {}\n",
            outcomes.sum_seconds
        ));
        self.push(format_args!("{series}_count{{op=\"{name}\"}} {count}\n"));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes any text");
    }
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
