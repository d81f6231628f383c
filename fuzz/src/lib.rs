//! Entry points of the fuzzers: bytes from nowhere into every decoder and every reader of a file.
//!
//! An entry point returns whatever the bytes are: a panic, an endless loop or memory beyond
//! [`Target::memory_max`] is a bug. `cargo fuzz` runs them under coverage (`fuzz_targets/`, with the
//! feature `libfuzzer`), and `cargo test -p fuzz` replays the corpus and mutates it for a while
//! on any toolchain.

pub mod doors;
pub mod files;
pub mod memory_disk;
pub mod mutate;
pub mod queries;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One entry point.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its folder in `corpus/`.
    pub name: &'static str,
    /// Takes the bytes.
    pub run: fn(&[u8]),
    /// Bytes it may hold at once, whatever the input. The receivers' limits, twice: a buffer
    /// that grows holds its old self as well.
    pub memory_max: usize,
}

impl Target {
    /// The target of a name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of(name: &str) -> &'static Self {
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("no target {name}"))
    }

    /// What is in its corpus, in order of the files' names.
    ///
    /// # Panics
    /// When there is nothing.
    #[must_use]
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let read =
            |file: &PathBuf| fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let inputs: Vec<_> = files.iter().map(read).collect();
        assert!(!inputs.is_empty(), "{} has no corpus", self.name);
        inputs
    }
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        memory_max: 32 << 20,
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("snappy", doors::snappy),
    target("gzip", doors::gzip),
    target("remote_write_1", doors::remote_write_1),
    target("remote_write_2", doors::remote_write_2),
    target("otlp_protobuf", doors::otlp_protobuf),
    target("otlp_json", doors::otlp_json),
    target("influx", doors::influx),
    target("json_lines", doors::json_lines),
    target("csv", doors::csv),
    target("statsd", doors::statsd),
    target("prometheus_text", doors::prometheus_text),
    target("openmetrics", doors::openmetrics),
    target("promql", doors::promql),
    target("promql_eval", queries::evaluate),
    target("rules", doors::rules),
    target("zone", doors::zone),
    target("template", doors::template),
    target("wal", files::wal),
    target("wal_record", files::wal_record),
    target("manifest", files::manifest),
    target("manifest_edit", files::manifest_edit),
    target("part", files::part),
];
