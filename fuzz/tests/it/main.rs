//! The corpus of every target, replayed, and so many mutations of it: no panic, and no more
//! memory than the target may hold. A failing input is kept in a file and named.
//!
//! `ALLUSE_FUZZ_RUNS` makes it longer, `ALLUSE_FUZZ_SEED` makes it another one.

#![cfg(test)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fuzz::{TARGETS, Target, mutate};
use numerics::rng::Rng;
use testkit::{
    peak::{Counting, peak_bytes},
    report,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Mutations of each target in the test run.
const RUNS: u64 = 20_000;

/// The seed of the mutations.
const SEED: u64 = 20_260_101;

/// Bytes an input grows to.
const INPUT_BYTES_MAX: usize = 16 << 10;

fn said(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Keeps an input that failed, to be looked at and committed with its fix.
fn kept(target: &Target, input: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    fs::write(&path, input).unwrap();
    path
}

/// One input; what is wrong with it.
fn run(target: &Target, input: &[u8]) -> Result<usize, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| peak_bytes(|| (target.run)(input))));
    match ran {
        Err(_) => Err("panics".to_owned()),
        Ok(((), peak)) if peak > target.memory_max => Err(format!("takes {peak} bytes")),
        Ok(((), peak)) => Ok(peak),
    }
}

/// Replays and mutates; the most memory an input took.
fn fuzz(target: &Target, runs: u64, seed: u64) -> usize {
    let corpus = target.corpus();
    let mut most = 0;
    let mut check = |input: &[u8], which: String| match run(target, input) {
        Ok(peak) => most = most.max(peak),
        Err(wrong) => panic!(
            "{} {wrong} at {which}; the input is in {}",
            target.name,
            kept(target, input).display()
        ),
    };
    for (number, input) in corpus.iter().enumerate() {
        check(input, format!("entry {number} of its corpus"));
    }
    for number in 0..runs {
        let mut random = Rng::stream(seed, &[number]);
        let input = mutate::mutated(&corpus, INPUT_BYTES_MAX, &mut random);
        check(&input, format!("mutation {number} of seed {seed}"));
    }
    most
}

#[test]
fn every_target_bears_its_corpus_and_its_mutations() {
    let (runs, seed) = (
        said("ALLUSE_FUZZ_RUNS", RUNS),
        said("ALLUSE_FUZZ_SEED", SEED),
    );
    for target in TARGETS {
        let most = fuzz(target, runs, seed);
        eprintln!("{}: {runs} mutations, {most} bytes at most", target.name);
    }
    let count = runs * TARGETS.len() as u64;
    let figures = format!(
        "{} targets, 0 panics, none beyond its memory",
        TARGETS.len()
    );
    report::ran(
        "mutated input of every decoder and file reader",
        count,
        &figures,
    );
}

/// The driver finds what it is there to find.
#[test]
fn a_panic_on_a_rare_token_and_a_wasteful_decoder_are_found() {
    fn rare(data: &[u8]) {
        assert!(!data.windows(2).any(|pair| pair == b"\xff\xfe"), "planted");
    }
    fn wasteful(data: &[u8]) {
        let claimed = data
            .get(..4)
            .map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()));
        std::hint::black_box(vec![1_u8; claimed as usize % (64 << 20)]);
    }
    let corpus = vec![vec![0_u8; 64]];
    for (planted, name) in [(rare as fn(&[u8]), "rare"), (wasteful, "wasteful")] {
        let target = Target {
            name,
            run: planted,
            memory_max: 32 << 20,
        };
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = (0..20_000).any(|number| {
            let mut random = Rng::stream(SEED, &[number]);
            let input = mutate::mutated(&corpus, INPUT_BYTES_MAX, &mut random);
            run(&target, &input).is_err()
        });
        std::panic::set_hook(hook);
        assert!(found, "{name}");
    }
}
