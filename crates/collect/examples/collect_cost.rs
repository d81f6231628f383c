//! What collecting costs: `cargo run --release -p collect --example collect_cost`.
//!
//! Prints the CPU time of one sampling of this host, of one process, and of parsing node_exporter's
//! own text (steady, as at one scrape a second) if the recording is at hand.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{path::Path, sync::Arc, time::Duration};

use collect::{Format, Host, HostConfig, Parser, Process, ProcessConfig};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: u32 = 500;

/// CPU time this process has used.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// CPU time of one call, after the first.
fn each(mut work: impl FnMut(u32) -> usize) -> (Duration, usize) {
    let mut count = work(0);
    let begun = cpu();
    for round in 1..=ROUNDS {
        count = work(round);
    }
    ((cpu() - begun) / ROUNDS, count)
}

fn show(what: &str, (cost, count): (Duration, usize)) {
    let share = cost.as_secs_f64() * 100.0;
    println!("{what}: {count} samples, {cost:?} CPU; at 1 s {share:.3} % of a core");
}

fn main() {
    let second = Duration::from_secs(1);
    let mut host = Host::new(&HostConfig::default(), Arc::default());
    show(
        "host",
        each(|n| host.sample(i64::from(n) * 1000, second * n).samples.len()),
    );
    let config = ProcessConfig::new(std::process::id(), "self");
    let mut process = Process::new(&config, Arc::default());
    show(
        "process",
        each(|n| {
            process
                .sample(i64::from(n) * 1000, second * n)
                .samples
                .len()
        }),
    );
    let Some(text) = recording() else {
        println!("exposition: no recording given (argument: a file of exposition text)");
        return;
    };
    for (format, text) in [
        (Format::Prometheus, text.clone()),
        (Format::OpenMetrics, text + "# EOF\n"),
    ] {
        let mut parser = Parser::default();
        let cost = each(|_| match parser.parse(format, text.as_bytes()) {
            Ok(found) => found.samples.len(),
            Err(error) => {
                println!("{format:?}: {error}");
                0
            }
        });
        show(
            &format!("{format:?} text, steady, {} bytes", text.len()),
            cost,
        );
    }
}

/// The exposition named on the command line.
fn recording() -> Option<String> {
    let file = std::env::args().nth(1)?;
    std::fs::read_to_string(Path::new(&file)).ok()
}
