//! Prints how often the sequential test decides, and how soon, in simulation.
//!
//! `cargo run --release -p validate --example rates`

#[path = "../tests/it/simulated.rs"]
mod simulated;

use std::io::Write as _;

use model::{Call, Ending, Goal};
use simulated::{Noise, Shape, trial};
use validate::{Futility, Rule};

const TRIALS: u64 = 2_000;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let shapes = [
        ("t4 cv 5 %", Noise::usual(0.05)),
        ("t4 cv 10 %", Noise::usual(0.10)),
        (
            "t1.5",
            Noise {
                shape: Shape::StudentT(1.5),
                ..Noise::usual(0.05)
            },
        ),
        (
            "skewed cv 10 %",
            Noise {
                shape: Shape::Skewed,
                ..Noise::usual(0.10)
            },
        ),
    ];
    for futility in [Futility::Never, Futility::NoGain] {
        writeln!(
            out,
            "\n{futility:?}: {TRIALS} trials a cell, alpha 0.05, at most 60 pairs"
        )?;
        writeln!(
            out,
            "{:16} {:>6} {:>7} {:>7} {:>7} {:>8} {:>6}",
            "noise", "effect", "better", "worse", "futile", "pairs", "covers"
        )?;
        for (name, noise) in shapes {
            for ratio in [1.0, 0.95, 1.05, 0.9, 1.1] {
                let rule = Rule {
                    goal: Goal::Minimize,
                    alpha: 0.05,
                    mde: 0.03,
                    pairs_max: 60,
                    futility,
                };
                let verdicts: Vec<_> = (0..TRIALS)
                    .map(|seed| trial(rule, noise, ratio, seed))
                    .collect();
                let share = |of: &dyn Fn(&model::Verdict) -> bool| {
                    verdicts.iter().filter(|v| of(v)).count() as f64 / TRIALS as f64
                };
                let mut pairs: Vec<u32> = verdicts.iter().map(|v| v.pairs).collect();
                pairs.sort_unstable();
                writeln!(
                    out,
                    "{name:16} {:>+5.0}% {:>7.4} {:>7.4} {:>7.3} {:>3} {:>4} {:>6.4}",
                    (ratio - 1.0) * 100.0,
                    share(&|v| v.call == Call::Better),
                    share(&|v| v.call == Call::Worse),
                    share(&|v| v.ending == Ending::Futile),
                    pairs[pairs.len() / 2],
                    pairs[pairs.len() * 9 / 10],
                    share(&|v| v.effect.is_some_and(|e| e.interval.contains(ratio - 1.0))),
                )?;
            }
        }
    }
    Ok(())
}
