//! What the kernel says of this host, once a tick: `/proc` and `/sys` read directly.
//!
//! Names and units are node_exporter's, so its dashboards and rules work. Beside the cumulative
//! counters stand gauges of our own (`alluse_host_*`) with rates and shares, computed from the
//! difference of two readings over monotonic time; a counter that fell gives no rate.
//!
//! Files stay open and are read again with `pread` into one buffer; label sets are built when a
//! device is first seen. A source that cannot be read is an absent series, and is counted in
//! `alluse_collect_source_errors_total{source}` when it begins to fail.

mod cpu;
mod disk;
mod filesystem;
mod frame;
mod kernel;
mod memory;
mod network;
mod pressure;
mod reading;
mod table;

use std::{path::PathBuf, sync::Arc, time::Duration};

use model::{Batch, Labels, METRIC_NAME};

pub(crate) use cpu::USER_HZ;
pub(crate) use frame::{Family, Frame};
pub(crate) use reading::Reading;
pub(crate) use table::Rate;

use crate::{stale::LastSeen, tally::Tally};

/// Counts sources that began to fail.
pub(crate) const SOURCE_ERRORS: &str = "alluse_collect_source_errors_total";

/// Which host is sampled, and how its series are labelled.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Time between two samples.
    pub interval: Duration,
    /// Where `/proc` and `/sys` are found: `/` for this host, a directory for a fixture.
    pub root: PathBuf,
    /// Labels added to every series, such as `job` and `instance`.
    pub labels: Vec<(String, String)>,
    /// Sources left out, by name (see [`Host::source_names`]).
    pub without: Vec<String>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            root: PathBuf::from("/"),
            labels: vec![("job".to_owned(), "node".to_owned())],
            without: Vec::new(),
        }
    }
}

/// One part of the kernel's account.
trait Source: std::fmt::Debug + Send {
    /// As in the label `source`.
    fn name(&self) -> &'static str;

    /// Adds its samples to the frame; `buffer` is for the files it reads.
    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> std::io::Result<()>;
}

/// A source, and whether it failed last time.
#[derive(Debug)]
struct Attached {
    source: Box<dyn Source>,
    failing: bool,
}

/// Samples one host.
#[derive(Debug)]
pub struct Host {
    sources: Vec<Attached>,
    base: Labels,
    buffer: Vec<u8>,
    last: LastSeen,
    tally: Arc<Tally>,
}

impl Host {
    /// A sampler; nothing is opened before the first sample.
    #[must_use]
    pub fn new(config: &HostConfig, tally: Arc<Tally>) -> Self {
        let wanted = |name: &str| !config.without.iter().any(|without| without == name);
        let sources = all_sources(&config.root)
            .into_iter()
            .filter(|s| wanted(s.name()));
        Self {
            sources: sources
                .map(|source| Attached {
                    source,
                    failing: false,
                })
                .collect(),
            base: Labels::from_pairs(config.labels.iter().cloned()),
            buffer: Vec::new(),
            last: LastSeen::default(),
            tally,
        }
    }

    /// The names of the sources, in order.
    #[must_use]
    pub fn source_names(&self) -> Vec<&'static str> {
        self.sources
            .iter()
            .map(|attached| attached.source.name())
            .collect()
    }

    /// Reads every source once. `monotonic` is when, for rates; samples carry `tick_ms`.
    /// Blocks for as long as the kernel takes, normally under a millisecond.
    pub fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        let mut batch = Batch::default();
        let mut frame = Frame::new(&mut batch, &self.base, tick_ms, monotonic);
        for attached in &mut self.sources {
            let read = attached.source.sample(&mut frame, &mut self.buffer);
            let failed = read.is_err();
            if let (Err(error), false) = (read, attached.failing) {
                let source = attached.source.name();
                self.tally.add(SOURCE_ERRORS, &[("source", source)], 1.0);
                tracing::warn!(source, %error, "a host source cannot be read: its series are absent");
            }
            attached.failing = failed;
        }
        let turnover = self.last.turn(&batch.samples, tick_ms);
        batch.samples.extend(turnover.gone);
        batch
    }

    /// Staleness markers for every series: sampling ends.
    pub fn end(&mut self, tick_ms: i64) -> Batch {
        Batch {
            samples: self.last.end(tick_ms),
            ..Batch::default()
        }
    }
}

fn all_sources(root: &std::path::Path) -> Vec<Box<dyn Source>> {
    vec![
        Box::new(cpu::Cpu::new(root)),
        Box::new(kernel::Load::new(root)),
        Box::new(memory::Memory::new(root)),
        Box::new(memory::Paging::new(root)),
        Box::new(disk::Disk::new(root)),
        Box::new(filesystem::Filesystem::new(root)),
        Box::new(network::Network::new(root)),
        Box::new(network::Sockets::new(root)),
        Box::new(pressure::Pressure::new(root)),
        Box::new(kernel::FileHandles::new(root)),
        Box::new(kernel::Uname::default()),
    ]
}

/// Labels of a series: the base set with a name and further pairs.
fn series(base: &Labels, name: &str, pairs: &[(&str, &str)]) -> Labels {
    let mut builder = base.to_builder();
    builder.set(METRIC_NAME, name);
    for (label, value) in pairs {
        builder.set(*label, *value);
    }
    builder.build()
}
