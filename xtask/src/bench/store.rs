//! `cargo xtask bench store`: our server and its peers, the same work in the same run.
//! How servers are compared: [`side_by_side`](super::side_by_side).
//!
//! | figure | what is done |
//! |---|---|
//! | `ingest` | remote write 1.0, 2,000 samples a request, two connections that each keep their series: 10,000 series and 200,000 |
//! | `memory` | resident bytes a series with 200,000 series, over the idle server |
//! | `query` | an instant query of one series, other hosts in turn, on one kept-alive connection |
//! | `size` | bytes a sample, data and index, once memory is on disk and merged: the 15 s mix of the ingest figure, and a recording of node_exporter at 1 s |

mod recording;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::side_by_side::{
    Servers,
    figures::{Figure, Figures},
    peer::{Kind, Peer},
    workload::{Load, Shape},
};
use crate::step::{Steps, cargo};

/// Compare the server with Prometheus and VictoriaMetrics: CPU, memory, bytes on disk.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench store", bin_name = "cargo xtask bench store")]
struct Options {
    /// Measure only this.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// A sixth of the work, one round: for a first look, not for a result.
    #[arg(long)]
    quick: bool,
    /// Rounds of ingest and of queries; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Servers to measure; all that are installed if not said.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Kind>,
    /// The figures as one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// This server instead of the release build of the working tree.
    #[arg(long, value_name = "PROGRAM")]
    alluse: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Ingest,
    Size,
    Query,
    Memory,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    fn shape(&self, shape: Shape) -> Shape {
        if self.quick { shape.sixth() } else { shape }
    }
}

/// Measures what the options ask for.
pub(super) fn run(steps: &Steps, arguments: &[String]) -> Result<(), String> {
    let name = "cargo xtask bench store".to_owned();
    let options = Options::try_parse_from(std::iter::once(&name).chain(arguments));
    let options = match options {
        Ok(options) => options,
        Err(wrong) if wrong.use_stderr() => return Err(wrong.to_string()),
        Err(help) => return help.print().map_err(|e| e.to_string()),
    };
    let bench = Bench::new(steps, &options)?;
    let mut figures = Figures::default();
    if options.wants(Part::Ingest) || options.wants(Part::Query) || options.wants(Part::Size) {
        bench.small(&options, &mut figures)?;
    }
    if options.wants(Part::Ingest) || options.wants(Part::Memory) {
        bench.large(&options, &mut figures)?;
    }
    if options.wants(Part::Size) {
        bench.recorded(&mut figures)?;
    }
    figures.tell(options.json);
    Ok(())
}

/// The comparison.
struct Bench {
    servers: Servers,
}

impl Bench {
    fn new(steps: &Steps, options: &Options) -> Result<Self, String> {
        let servers = Servers::new(steps, &options.peers, options.alluse.clone())?;
        if options.wants(Part::Size) {
            let build = [
                "build",
                "--release",
                "--quiet",
                "-p",
                "store",
                "--example",
                "settle",
            ];
            steps.run("build the merge tool (release)", cargo(build))?;
        }
        Ok(Self { servers })
    }

    /// 10,000 series: ingest, point queries on what came in, bytes a sample of it.
    fn small(&self, options: &Options, figures: &mut Figures) -> Result<(), String> {
        let load = Load::new(options.shape(Shape::SMALL));
        let rounds = if options.wants(Part::Ingest) {
            options.rounds()
        } else {
            1
        };
        for round in 0..rounds {
            let mut running = Vec::new();
            for kind in self.servers.in_turn(round) {
                let peer = self.servers.start(kind)?;
                let took = peer.take(&load)?;
                if options.wants(Part::Ingest) {
                    took.record("10 k series", &load, kind, figures);
                }
                running.push(peer);
            }
            if round + 1 < rounds {
                continue;
            }
            if options.wants(Part::Query) {
                query(&running, &load, options.rounds(), figures)?;
            }
            if options.wants(Part::Size) {
                for peer in running {
                    size("15 s mix", peer, load.samples(), figures)?;
                }
            }
        }
        Ok(())
    }

    /// 200,000 series: ingest and memory.
    fn large(&self, options: &Options, figures: &mut Figures) -> Result<(), String> {
        let load = Load::new(options.shape(Shape::LARGE));
        for round in 0..options.rounds() {
            for kind in self.servers.in_turn(round) {
                let peer = self.servers.start(kind)?;
                let took = peer.take(&load)?;
                if options.wants(Part::Ingest) {
                    took.record("200 k series", &load, kind, figures);
                }
                if options.wants(Part::Memory) {
                    figures.add(Figure::SeriesBytes, kind, took.series_bytes(&load));
                }
            }
        }
        Ok(())
    }

    /// The recording, with times on whole seconds and as they were.
    fn recorded(&self, figures: &mut Figures) -> Result<(), String> {
        for times in [recording::Times::WholeSeconds, recording::Times::Recorded] {
            let Some(load) = recording::load(times)? else {
                eprintln!("  no recording beside the repository: its figure is left out");
                return Ok(());
            };
            for kind in &self.servers.kinds {
                let peer = self.servers.start(*kind)?;
                peer.take(&load)?;
                size(times.name(), peer, load.samples(), figures)?;
            }
        }
        Ok(())
    }
}

/// Bytes a sample of a server that holds nothing else; the server ends.
fn size(what: &str, peer: Peer, samples: u64, figures: &mut Figures) -> Result<(), String> {
    let kind = peer.kind;
    let disk = peer.settle()?;
    let share = |bytes: u64| bytes as f64 / samples as f64;
    figures.add(Figure::Data(what.to_owned()), kind, share(disk.data));
    figures.add(Figure::Index(what.to_owned()), kind, share(disk.index));
    figures.add(
        Figure::Disk(what.to_owned()),
        kind,
        share(disk.data + disk.index),
    );
    Ok(())
}

/// Queries a round, after as many again to warm up.
const QUERIES: usize = 1_000;

/// Point queries, the servers in turn.
fn query(running: &[Peer], load: &Load, rounds: u32, figures: &mut Figures) -> Result<(), String> {
    let queries = load.point_queries();
    for round in 0..=rounds * 3 {
        for peer in running {
            let cpu_ms = peer.ask(&queries, QUERIES, load.end_s())?;
            // The first round warms up.
            if round > 0 {
                figures.add(Figure::QueryMs, peer.kind, cpu_ms);
            }
        }
    }
    Ok(())
}
