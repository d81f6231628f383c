//! What the fault tests of a run came to: each leaves a line beside its binary
//! (`testkit::report`), because a passing test keeps its figures to itself and one that could not
//! run must not look like one that passed.

use std::{fs, path::PathBuf};

use crate::step::target;

fn folder() -> PathBuf {
    target().join("debug/faults")
}

/// Forgets what an earlier run said.
pub(crate) fn begin() -> Result<(), String> {
    match fs::remove_dir_all(folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", folder().display()))
        }
        _ => Ok(()),
    }
}

/// Prints every line.
pub(crate) fn report() {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let mut lines: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    lines.sort();
    eprintln!("▸ faults");
    for line in lines {
        eprint!("  {line}");
    }
}
