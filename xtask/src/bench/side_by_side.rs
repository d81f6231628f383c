//! Our server and its peers, the same work in the same run: what comparisons share.
//!
//! Prometheus and VictoriaMetrics come from Debian's packages; what is not installed is left out,
//! and said so. Each server runs with its own defaults in a folder of its own on a free port, and
//! is judged by the CPU time of its process: wall time on a shared machine says how busy the
//! neighbours were. The order of the servers changes from round to round, and the median of the
//! rounds counts.

pub(super) mod figures;
pub(super) mod http;
pub(super) mod peer;
pub(super) mod process;
pub(super) mod wire;
pub(super) mod workload;

use std::path::PathBuf;

use clap::ValueEnum as _;

use self::peer::{Kind, Peer};
use crate::step::{Steps, cargo, target};

/// Which servers there are and where they may live.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) kinds: Vec<Kind>,
    alluse: PathBuf,
    folder: tempfile::TempDir,
}

impl Servers {
    /// Those of `wanted` that are installed, all if none is named; ours is built unless
    /// `alluse` is a program.
    pub(super) fn new(
        steps: &Steps,
        wanted: &[Kind],
        alluse: Option<PathBuf>,
    ) -> Result<Self, String> {
        let wanted = if wanted.is_empty() {
            Kind::value_variants()
        } else {
            wanted
        };
        let (kinds, missing): (Vec<Kind>, Vec<Kind>) =
            wanted.iter().partition(|kind| kind.is_installed());
        for kind in missing {
            eprintln!(
                "  {} is not installed and is left out: apt-get install {}",
                kind.name(),
                kind.package()
            );
        }
        if alluse.is_none() {
            steps.run(
                "build (release)",
                cargo(["build", "--release", "-p", "alluse"]),
            )?;
        }
        Ok(Self {
            kinds,
            alluse: alluse.unwrap_or_else(|| target().join("release/alluse")),
            folder: tempfile::tempdir().map_err(|e| format!("a folder for the servers: {e}"))?,
        })
    }

    /// A server with nothing in it.
    pub(super) fn start(&self, kind: Kind) -> Result<Peer, String> {
        Peer::start(kind, &self.alluse, self.folder.path())
    }

    /// The kinds in another order each round.
    pub(super) fn in_turn(&self, round: u32) -> Vec<Kind> {
        let mut kinds = self.kinds.clone();
        let first = round as usize % kinds.len().max(1);
        kinds.rotate_left(first);
        kinds
    }
}
