//! What a fault test came to, where a person finds it: a passing test keeps its figures to
//! itself, and one that could not run here must not look like one that passed.
//!
//! Each report is a line in a file of its own in `faults/` beside the test's binaries;
//! `cargo xtask test` begins with none and prints them all at its end.

use std::{fs, path::PathBuf};

/// The folder of the reports: `target/<profile>/faults`.
fn folder() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    // target/<profile>/deps/<this>
    Some(own.ancestors().nth(2)?.join("faults"))
}

fn note(fault: &str, line: &str) {
    let Some(folder) = folder() else { return };
    let name: String = fault
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join(name), format!("{fault}: {line}\n")));
    // A folder that cannot be written takes the report away, not the verdict.
    drop(written);
}

/// A fault test ran and passed: how many faults, and what else there is to say.
pub fn ran(fault: &str, count: u64, figures: &str) {
    note(fault, &format!("{count} run; {figures}"));
}

/// A fault test could not run here, and why. It has not passed.
pub fn not_run(fault: &str, why: &str) {
    note(fault, &format!("NOT RUN: {why}"));
}
