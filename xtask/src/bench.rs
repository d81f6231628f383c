//! Benchmarks by name. Each prints its own figures; none of them asserts a time.

use crate::step::{Steps, cargo};

/// A benchmark: its name, what it measures, and the program that measures it.
struct Bench {
    name: &'static str,
    measures: &'static str,
    package: &'static str,
    example: &'static str,
}

const BENCHES: &[Bench] = &[];

/// Runs one benchmark, or all.
pub(crate) fn run(steps: &Steps, name: Option<&str>) -> Result<(), String> {
    let chosen: Vec<&Bench> = BENCHES
        .iter()
        .filter(|b| name.is_none_or(|name| name == b.name))
        .collect();
    if chosen.is_empty() {
        let list: Vec<String> = BENCHES
            .iter()
            .map(|b| format!("  {:<10} {}", b.name, b.measures))
            .collect();
        return Err(format!(
            "no such benchmark; there are:\n{}",
            list.join("\n")
        ));
    }
    for bench in chosen {
        let command = cargo([
            "run",
            "--release",
            "--quiet",
            "-p",
            bench.package,
            "--example",
            bench.example,
        ]);
        steps.run(&format!("{}: {}", bench.name, bench.measures), command)?;
    }
    steps.report();
    Ok(())
}
