//! One step of a longer job: said before, timed, and summed up after.

use std::{
    cell::RefCell,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// The steps done so far.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
    done: RefCell<Vec<(String, Duration)>>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
        .to_owned()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` with arguments, in the root, with the toolchain that runs this program.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool times its own steps"
)]
fn now() -> Instant {
    Instant::now()
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            begun: now(),
            done: RefCell::default(),
        }
    }

    /// Runs a command to its end; its failure ends the job.
    pub(crate) fn run(&self, name: &str, mut command: Command) -> Result<(), String> {
        eprintln!("▸ {name}");
        let begun = now();
        let status = command
            .status()
            .map_err(|e| format!("{name}: cannot start {command:?}: {e}"))?;
        let took = begun.elapsed();
        eprintln!("  {name}: {:.1} s", took.as_secs_f64());
        self.done.borrow_mut().push((name.to_owned(), took));
        if status.success() {
            Ok(())
        } else {
            Err(format!("{name} failed: {status}"))
        }
    }

    /// Replaces this program by another, so that signals and exit codes are that one's own.
    pub(crate) fn hand_over(&self, mut command: Command) -> Result<(), String> {
        use std::os::unix::process::CommandExt;
        self.report();
        let error = command.exec();
        Err(format!("cannot start {command:?}: {error}"))
    }

    /// What each step took.
    pub(crate) fn report(&self) {
        eprintln!();
        for (name, took) in self.done.borrow().iter() {
            eprintln!("  {name:<28} {:>7.1} s", took.as_secs_f64());
        }
        eprintln!(
            "  {:<28} {:>7.1} s",
            "all",
            self.begun.elapsed().as_secs_f64()
        );
    }
}
