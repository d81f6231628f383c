//! `alluse store`: looks after a store on disk.
//!
//! Looking (stat, check, export, repair without `--yes`) takes no lock and writes nothing, so it
//! may be done while a server has the folder open: it sees what was there when it began. Changing
//! (repair `--yes`, import into a folder) takes the store's lock and is refused while a server
//! runs.

mod check;
mod export;
mod import;
mod stat;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use check::checked;

use crate::Failure;
pub(crate) use crate::api::targets::rfc3339 as date;

/// What can be done with a store on disk.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Count what a store holds: samples, series, bytes of data and of index; what is largest.
    Stat(StatArgs),
    /// Read every byte, verify every checksum and every structure; exit 1 if anything is wrong.
    Check(CheckArgs),
    /// Make a damaged store whole, less what cannot be read. Without --yes it only says how.
    ///
    /// Nothing is deleted: files that do not check are kept in quarantine/ with the reason.
    Repair(RepairArgs),
    /// Write samples as JSON lines (bit for bit), CSV, OpenMetrics text, or an SQLite database.
    Export(export::ExportArgs),
    /// Read samples from JSON lines, CSV, or OpenMetrics text with times.
    Import(import::ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    /// The data folder of a server, or the store in it. May be in use.
    pub(crate) dir: PathBuf,
    /// Metrics to list.
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// What makes a metric large.
    #[arg(long, default_value = "bytes")]
    pub(crate) by: Measure,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What metrics are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Label sets.
    Series,
    /// Samples.
    Samples,
    /// Bytes of compressed samples in parts.
    Bytes,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The data folder of a server, or the store in it. May be in use.
    pub(crate) dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The data folder of a server that is stopped, or the store in it.
    pub(crate) dir: PathBuf,
    /// Do it.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    /// Only say what would be done: the default.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs a command.
pub(crate) fn run(command: &StoreCommand, quiet: bool) -> Result<(), Failure> {
    match command {
        StoreCommand::Stat(args) => stat::run(args, quiet),
        StoreCommand::Check(args) => check::run(args, quiet),
        StoreCommand::Repair(args) => check::repair(args, quiet),
        StoreCommand::Export(args) => export::run(args, quiet),
        StoreCommand::Import(args) => import::run(args, quiet),
    }
}

/// The store of a folder: the folder itself, or `store` in a server's data folder.
pub(crate) fn store_folder(dir: &Path) -> Result<PathBuf, Failure> {
    let inner = dir.join("store");
    let folder = if inner.is_dir() { inner } else { dir.into() };
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Failure::usage(format!(
        "alluse: {} is not a folder",
        dir.display()
    )))
}

/// A bar of bytes on standard error, on a terminal only.
pub(crate) fn bytes_bar(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{msg} {bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    )
    .expect("the template is well-formed");
    ProgressBar::no_length()
        .with_style(style)
        .with_message(what)
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    writeln!(out, "{text}").map_err(|error| Failure::of(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(1_709_210_096_789), "2024-02-29T12:34:56.789Z");
        assert_eq!(date(-1), "1969-12-31T23:59:59.999Z");
    }
}
