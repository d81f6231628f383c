//! Builds of the program with one protection removed each: the test that guards the protection
//! must go red, or it proves nothing.
//!
//! A mutant is a file in `docs/testing/mutants`: lines `fault:`, `build:` (arguments of
//! `cargo build`, may be missing) and `test:` (arguments of `cargo test`), then the patch. Each is
//! applied to a clone of the last commit in the target folder, built, tested and reverted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::{cargo, root, target};

/// One protection removed.
struct Mutant {
    name: String,
    patch: PathBuf,
    fault: String,
    build: Vec<String>,
    test: Vec<String>,
}

/// What a mutant came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The test went red.
    Killed,
    /// The test passed: it guards nothing.
    Survived,
}

impl Mutant {
    fn read(patch: PathBuf) -> Result<Self, String> {
        let text = fs::read_to_string(&patch).map_err(|e| format!("{}: {e}", patch.display()))?;
        let said = |key: &str| {
            let mut head = text.lines().take_while(|l| !l.starts_with("diff "));
            head.find_map(|l| l.strip_prefix(key)).map(str::trim)
        };
        let words = |key: &str| -> Vec<String> {
            let words = said(key).unwrap_or_default().split_whitespace();
            words.map(str::to_owned).collect()
        };
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        let (fault, build, test) = (said("fault:"), words("build:"), words("test:"));
        let fault = fault
            .ok_or_else(|| format!("{name}: no `fault:`"))?
            .to_owned();
        if test.is_empty() {
            return Err(format!("{name}: no `test:`"));
        }
        Ok(Self {
            name: name.into_owned(),
            fault,
            build,
            test,
            patch,
        })
    }

    fn run(&self, clone: &Path) -> Result<Fate, String> {
        git(clone, &["checkout", "-q", "-f", "."])?;
        let patch = self.patch.display().to_string();
        git(clone, &["apply", &patch])?;
        if !self.build.is_empty() {
            let mut build = in_clone(cargo(["build", "--quiet"]), clone);
            passes(build.args(&self.build))?;
        }
        let mut compiled = in_clone(cargo(["test", "--quiet", "--no-run"]), clone);
        // What comes after `--` is for the tests, not for cargo.
        let own = self.test.iter().take_while(|word| *word != "--");
        passes(compiled.args(own))?;
        let mut test = in_clone(cargo(["test", "--quiet"]), clone);
        let output = test.args(&self.test).output();
        let output = output.map_err(|e| format!("{}: {e}", self.name))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let ran = said
            .lines()
            .any(|l| l.starts_with("test result: ") && !l.contains(" 0 passed; 0 failed"));
        match (ran, output.status.success()) {
            (false, _) => Err(format!("{}: no test of that name ran:\n{said}", self.name)),
            (true, true) => Ok(Fate::Survived),
            (true, false) => Ok(Fate::Killed),
        }
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    passes(Command::new("git").arg("-C").arg(folder).args(arguments))
}

fn passes(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{command:?}: {status}"))
}

/// The command in the clone, which builds in a folder of its own unless told otherwise.
fn in_clone(mut command: Command, clone: &Path) -> Command {
    command.current_dir(clone);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", target().join("mutants/build"));
    }
    command
}

/// A clone of the last commit; made once and brought up to date.
fn clone() -> Result<PathBuf, String> {
    let (from, to) = (root().display().to_string(), target().join("mutants/clone"));
    if !to.exists() {
        let at = to.display().to_string();
        passes(Command::new("git").args(["clone", "-q", "--shared", &from, &at]))?;
    }
    git(&to, &["fetch", "-q", "origin", "HEAD"])?;
    git(&to, &["checkout", "-q", "-f", "--detach", "FETCH_HEAD"])?;
    Ok(to)
}

/// Runs all mutants, or those whose name contains `which`; a survivor is a failure.
pub(crate) fn run(which: Option<&str>) -> Result<(), String> {
    let folder = root().join("docs/testing/mutants");
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut patches: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    patches.sort();
    let mutants = patches.into_iter().map(Mutant::read);
    let mut mutants: Vec<Mutant> = mutants.collect::<Result<_, _>>()?;
    mutants.retain(|m| which.is_none_or(|which| m.name.contains(which)));
    let clone = clone()?;
    let mut wrong = Vec::new();
    for mutant in &mutants {
        eprintln!("▸ {}: {}", mutant.name, mutant.fault);
        match mutant.run(&clone) {
            Ok(Fate::Killed) => eprintln!("  red, as it must be"),
            Ok(Fate::Survived) => {
                eprintln!("  SURVIVED");
                wrong.push(mutant.name.clone());
            }
            Err(message) => {
                eprintln!("  {message}");
                wrong.push(mutant.name.clone());
            }
        }
    }
    git(&clone, &["checkout", "-q", "-f", "."])?;
    eprintln!(
        "{} mutants, {} killed",
        mutants.len(),
        mutants.len() - wrong.len()
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not killed: {}", wrong.join(", ")))
    }
}
