//! The developer's commands.

mod bench;
mod faults;
mod mutants;
mod packages;
mod step;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use step::{Steps, cargo};

/// Set up, build, test and measure ALL-USE.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set everything up and run the closed loop on a real service under real load.
    ///
    /// Builds the dashboard (npm ci, vite) and the release binary, then starts `alluse demo`.
    /// What follows `demo` goes to it: `cargo xtask demo --duration 60s --once --json out.json`.
    Demo {
        /// Options of `alluse demo`; see `cargo xtask demo -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Set everything up and pass all the tests. Prints what each step took.
    Test,
    /// Formatting, lints and documentation; no tests.
    Lint,
    /// Build the dashboard into web/dist, from the npm registry by its lockfile.
    Web,
    /// Remove one protection at a time and expect its test to go red. Not part of `test`.
    Mutants {
        /// Part of a mutant's name; see docs/testing/mutants.
        name: Option<String>,
    },
    /// Measure; without a name, everything. Figures are ratios and medians: machines are noisy.
    Bench {
        /// Which benchmark; see the list by a wrong name.
        name: Option<String>,
        /// Its options, where it has any: `cargo xtask bench store --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
}

fn main() -> ExitCode {
    let steps = Steps::new();
    let done = match Cli::parse().command {
        Command::Demo { options } => demo(&steps, &options),
        Command::Test => test(&steps),
        Command::Lint => lint(&steps),
        Command::Web => web::build(&steps),
        Command::Mutants { name } => mutants::run(name.as_deref()),
        Command::Bench { name, options } => bench::run(&steps, name.as_deref(), &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\n{message}");
            ExitCode::FAILURE
        }
    }
}

fn demo(steps: &Steps, options: &[String]) -> Result<(), String> {
    web::build(steps)?;
    steps.run(
        "build (release)",
        cargo(["build", "--release", "-p", "alluse"]),
    )?;
    let mut demo = std::process::Command::new(step::target().join("release/alluse"));
    demo.arg("demo").args(options);
    steps.hand_over(demo)
}

fn lint(steps: &Steps) -> Result<(), String> {
    steps.run("format", cargo(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo(["clippy", "--workspace", "--all-targets", "--quiet"]);
    clippy.args(["--", "-D", "warnings"]);
    steps.run("lints", clippy)?;
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D rustdoc::broken_intra_doc_links");
    steps.run("documentation", docs)
}

fn test(steps: &Steps) -> Result<(), String> {
    packages::install(steps, packages::FOR_TESTS)?;
    web::build(steps)?;
    lint(steps)?;
    // The end-to-end tests run the real programs: they must be there, and be these.
    steps.run("build", cargo(["build", "-p", "alluse", "-p", "ledger"]))?;
    faults::begin()?;
    steps.run("tests", cargo(["test", "--workspace"]))?;
    // Once more for its figures, which a passing test keeps to itself.
    let mut scripts = cargo(["test", "--quiet", "-p", "query", "--test", "it"]);
    scripts.args(["promqltest", "--", "--nocapture"]);
    steps.run("PromQL acceptance scripts", scripts)?;
    web::test(steps)?;
    faults::report();
    steps.report();
    Ok(())
}
