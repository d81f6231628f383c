//! Prints how good a configuration each method finds on measured tables of real systems, noise-free
//! and with 10 % noise, and what a suggestion costs.
//!
//! `cargo run --release -p optimize --example tables [SEEDS [METHOD]]`; needs the data set
//! `system_tables` beside the repository.

#[path = "../tests/it/tables.rs"]
mod tables;

use std::io::Write as _;

use model::Goal;
use numerics::rng::Rng;
use numerics::summary::{mean, quantile};
use optimize::search::Setup;
use optimize::{Method, Observation, Outcome, Search};
use tables::Table;

const BUDGET: u32 = 100;

struct Run {
    percentile: f64,
    to_best_one_percent: u32,
    success: bool,
    suggestion_ms: Vec<f64>,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn run(table: &Table, method: Method, noise: f64, seed: u64) -> Run {
    let mut setup = Setup::offline(method, table.space.clone(), Goal::Minimize, seed);
    (setup.budget, setup.noise) = (Some(BUDGET), noise);
    let mut search = Search::new(setup).expect("a sound setup");
    let mut draws = Rng::stream(seed, &[0x6e6f_6973]);
    let (mut first, mut suggestion_ms) = (BUDGET + 1, Vec::new());
    for i in 1..=BUDGET {
        let begun = now();
        let asked = search.ask().expect("a large space");
        let asking = begun.elapsed();
        let truth = table.value(&asked.params);
        if table.percentile(truth) <= 1.0 {
            first = first.min(i);
        }
        let value = truth * (1.0 + noise * draws.normal());
        let told = Observation {
            trial: asked.trial,
            value,
            std_error: 0.0,
            outcome: Outcome::Ok,
        };
        let begun = now();
        search.tell(told).expect("an open trial");
        suggestion_ms.push((asking + begun.elapsed()).as_secs_f64() * 1e3);
    }
    let found = table.value(&search.recommend().expect("a value was told").params);
    Run {
        percentile: table.percentile(found),
        to_best_one_percent: first,
        success: found <= 0.95 * table.values()[table.values().len() / 2],
        suggestion_ms,
    }
}

fn report(out: &mut impl std::io::Write, label: &str, runs: &[Run]) -> std::io::Result<()> {
    let of = |f: &dyn Fn(&Run) -> f64| runs.iter().map(f).collect::<Vec<f64>>();
    let share =
        |f: &dyn Fn(&Run) -> bool| mean(&of(&|r| f64::from(u8::from(f(r))))).unwrap_or(f64::NAN);
    let costs: Vec<f64> = runs.iter().flat_map(|r| r.suggestion_ms.clone()).collect();
    let percentiles = of(&|r| r.percentile);
    writeln!(
        out,
        "{label:34} percentile mean {:6.2} median {:5.2} p90 {:6.2} | in best 1 % {:.2} | evaluations to it {:5.0} | success {:.3} | ms p50 {:.2} p99 {:.2}",
        mean(&percentiles).unwrap_or(f64::NAN),
        quantile(&percentiles, 0.5).unwrap_or(f64::NAN),
        quantile(&percentiles, 0.9).unwrap_or(f64::NAN),
        share(&|r| r.percentile <= 1.0),
        quantile(&of(&|r| f64::from(r.to_best_one_percent)), 0.5).unwrap_or(f64::NAN),
        share(&|r| r.success),
        quantile(&costs, 0.5).unwrap_or(f64::NAN),
        quantile(&costs, 0.99).unwrap_or(f64::NAN),
    )
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(folder) = tables::folder() else {
        return writeln!(out, "skipped: the data set system_tables is not there");
    };
    let mut args = std::env::args().skip(1);
    let seeds: u64 = args.next().and_then(|s| s.parse().ok()).unwrap_or(3);
    let only = args.next();
    let tables = tables::all(&folder);
    for noise in [0.0, 0.1] {
        for method in [Method::Random, Method::TrustRegionGp] {
            if only.as_deref().is_some_and(|name| name != method.name()) {
                continue;
            }
            let mut all = Vec::new();
            for table in &tables {
                let runs: Vec<Run> = (0..seeds).map(|s| run(table, method, noise, s)).collect();
                report(
                    &mut out,
                    &format!("{} noise {noise} {}", method.name(), table.name),
                    &runs,
                )?;
                all.extend(runs);
            }
            report(
                &mut out,
                &format!("{} noise {noise} ALL", method.name()),
                &all,
            )?;
        }
    }
    Ok(())
}
