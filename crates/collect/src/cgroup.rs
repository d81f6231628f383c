//! What control groups cost and may cost: CPU, memory, I/O, tasks; cgroup v2 and v1.
//!
//! Names are cAdvisor's (`container_*` with the label `id`, the group's path), so its dashboards
//! work; `alluse_container_cpu_cores` is ours, a rate over monotonic time. What a group does not
//! have (a limit that is not set, a controller that is off) is an absent series. A group that goes
//! takes its series along, marked stale.
//! Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.

mod v1;
mod v2;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::{Batch, Labels};

use crate::{
    host::{Family, Frame, Rate, Reading, SOURCE_ERRORS},
    stale::LastSeen,
    tally::Tally,
};

/// Groups sampled at most: each holds a dozen open files.
pub const GROUPS_MAX: usize = 200;

/// Where control groups are mounted.
const MOUNT: &str = "sys/fs/cgroup";

/// Which groups are sampled.
#[derive(Debug, Clone)]
pub struct CgroupConfig {
    /// The group this process is in.
    pub own: bool,
    /// Further groups by their paths, such as `system.slice/nginx.service`; a last part `*`
    /// stands for all groups in there.
    pub names: Vec<String>,
    /// Time between two samples.
    pub interval: Duration,
    /// Where `/proc` and `/sys` are found: `/`, or a directory for a fixture.
    pub root: PathBuf,
    /// Labels added to every series.
    pub labels: Vec<(String, String)>,
}

impl Default for CgroupConfig {
    fn default() -> Self {
        Self {
            own: true,
            names: Vec::new(),
            interval: Duration::from_secs(1),
            root: PathBuf::from("/"),
            labels: vec![("job".to_owned(), "cgroup".to_owned())],
        }
    }
}

const CPU: Family = Family::counter(
    "container_cpu_usage_seconds_total",
    "Cumulative cpu time consumed in seconds.",
);
const CORES: Family = Family::gauge(
    "alluse_container_cpu_cores",
    "CPU seconds used a second since the last sample (1 = one core).",
);
#[rustfmt::skip]
mod families {
    use super::Family;
    pub(super) const CPU_USER: Family = Family::counter("container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.");
    pub(super) const CPU_SYSTEM: Family = Family::counter("container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.");
    pub(super) const PERIODS: Family = Family::counter("container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.");
    pub(super) const THROTTLED_PERIODS: Family = Family::counter("container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.");
    pub(super) const THROTTLED: Family = Family::counter("container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.");
    pub(super) const QUOTA: Family = Family::gauge("container_spec_cpu_quota", "CPU quota of the container, microseconds a period.");
    pub(super) const PERIOD: Family = Family::gauge("container_spec_cpu_period", "CPU period of the container, microseconds.");
    pub(super) const MEMORY: Family = Family::gauge("container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed.");
    pub(super) const WORKING_SET: Family = Family::gauge("container_memory_working_set_bytes", "Current working set in bytes: usage without inactive file pages.");
    pub(super) const RSS: Family = Family::gauge("container_memory_rss", "Size of anonymous memory in bytes.");
    pub(super) const CACHE: Family = Family::gauge("container_memory_cache", "Number of bytes of page cache memory.");
    pub(super) const SWAP: Family = Family::gauge("container_memory_swap", "Container swap usage in bytes.");
    pub(super) const MEMORY_LIMIT: Family = Family::gauge("container_spec_memory_limit_bytes", "Memory limit for the container.");
    pub(super) const PAGE_FAULTS: Family = Family::counter("container_memory_page_faults_total", "Cumulative count of page faults.");
    pub(super) const MAJOR_FAULTS: Family = Family::counter("container_memory_major_page_faults_total", "Cumulative count of major page faults.");
    pub(super) const OOM: Family = Family::counter("container_oom_events_total", "Count of out of memory kills in the container.");
    pub(super) const READ_BYTES: Family = Family::counter("container_fs_reads_bytes_total", "Cumulative count of bytes read.");
    pub(super) const WRITTEN_BYTES: Family = Family::counter("container_fs_writes_bytes_total", "Cumulative count of bytes written.");
    pub(super) const READS: Family = Family::counter("container_fs_reads_total", "Cumulative count of reads completed.");
    pub(super) const WRITES: Family = Family::counter("container_fs_writes_total", "Cumulative count of writes completed.");
    pub(super) const THREADS: Family = Family::gauge("container_threads", "Number of threads running inside the container.");
    pub(super) const THREADS_MAX: Family = Family::gauge("container_threads_max", "Maximum number of threads allowed inside the container.");
    pub(super) const CPU_WAITING: Family = Family::counter("container_pressure_cpu_waiting_seconds_total", "Time in which some tasks waited for CPU.");
    pub(super) const CPU_STALLED: Family = Family::counter("container_pressure_cpu_stalled_seconds_total", "Time in which no task made progress for lack of CPU.");
    pub(super) const MEMORY_WAITING: Family = Family::counter("container_pressure_memory_waiting_seconds_total", "Time in which some tasks waited for memory.");
    pub(super) const MEMORY_STALLED: Family = Family::counter("container_pressure_memory_stalled_seconds_total", "Time in which no task made progress for lack of memory.");
    pub(super) const IO_WAITING: Family = Family::counter("container_pressure_io_waiting_seconds_total", "Time in which some tasks waited for I/O.");
    pub(super) const IO_STALLED: Family = Family::counter("container_pressure_io_stalled_seconds_total", "Time in which no task made progress for lack of I/O.");
}

/// One figure of a group; I/O has a device.
#[derive(Debug, Clone)]
struct Figure {
    family: Family,
    device: String,
    value: f64,
}

/// What a version's files say of one group.
#[derive(Debug, Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn push(&mut self, family: Family, value: Option<f64>) {
        self.push_for(family, "", value);
    }

    fn push_for(&mut self, family: Family, device: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.push(Figure {
                family,
                device: device.to_owned(),
                value,
            });
        }
    }
}

/// The files of one group.
#[derive(Debug)]
enum Files {
    V1(Box<v1::Files>),
    V2(Box<v2::Files>),
}

/// One group under its path.
#[derive(Debug)]
struct Group {
    files: Files,
    labels: BTreeMap<(&'static str, String), Labels>,
    cores: Rate,
    failing: bool,
}

/// Samples groups.
#[derive(Debug)]
pub struct Cgroups {
    config: CgroupConfig,
    base: Labels,
    groups: BTreeMap<String, Group>,
    described: BTreeSet<&'static str>,
    buffer: Vec<u8>,
    last: LastSeen,
    tally: Arc<Tally>,
}

impl Cgroups {
    /// A sampler; nothing is opened before the first sample.
    #[must_use]
    pub fn new(config: &CgroupConfig, tally: Arc<Tally>) -> Self {
        Self {
            base: Labels::from_pairs(config.labels.iter().cloned()),
            config: config.clone(),
            groups: BTreeMap::new(),
            described: BTreeSet::new(),
            buffer: Vec::new(),
            last: LastSeen::default(),
            tally,
        }
    }

    /// Reads every group once. `monotonic` is when, for rates; samples carry `tick_ms`.
    pub fn sample(&mut self, tick_ms: i64, monotonic: Duration) -> Batch {
        self.find();
        let mut batch = Batch::default();
        let base = self.base.clone();
        let mut frame = Frame::new(&mut batch, &base, tick_ms, monotonic);
        for (id, group) in &mut self.groups {
            let figures = group.read(&mut self.buffer);
            let is_silent = figures.0.is_empty();
            if is_silent && !group.failing {
                self.tally.add(SOURCE_ERRORS, &[("source", "cgroup")], 1.0);
                tracing::warn!(id, "a control group says nothing: its series are absent");
            }
            group.failing = is_silent;
            group.push(id, figures, &mut self.described, &mut frame);
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

    /// Takes up groups that came, and lets go of those that went.
    fn find(&mut self) {
        let root = &self.config.root;
        let mount = root.join(MOUNT);
        let is_v2 = mount.join("cgroup.controllers").exists();
        let mut found = BTreeMap::new();
        if self.config.own {
            let own = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
            let paths = own_paths(&own);
            let id = own_id(&paths, is_v2);
            found.insert(id.clone(), Own(paths));
        }
        let tree = if is_v2 { mount } else { mount.join("memory") };
        for name in self
            .config
            .names
            .iter()
            .flat_map(|name| expand(&tree, name))
        {
            let id = format!("/{}", name.trim_matches('/'));
            found.entry(id).or_insert_with(|| Own(BTreeMap::new()));
        }
        self.groups.retain(|id, _| found.contains_key(id));
        for (id, own) in found.into_iter().take(GROUPS_MAX) {
            self.groups.entry(id).or_insert_with_key(|id| {
                let files = if is_v2 {
                    Files::V2(Box::new(v2::Files::new(root, id)))
                } else {
                    Files::V1(Box::new(v1::Files::new(root, |controller| {
                        own.path(id, controller)
                    })))
                };
                Group {
                    files,
                    labels: BTreeMap::new(),
                    cores: Rate::default(),
                    failing: false,
                }
            });
        }
    }
}

/// A group's path by controller, where controllers differ.
struct Own(BTreeMap<String, String>);

impl Own {
    fn path(&self, id: &str, controller: &str) -> String {
        self.0.get(controller).map_or(id, String::as_str).to_owned()
    }
}

/// `/proc/self/cgroup`: `4:cpu,cpuacct:/path` a line; version 2 has no controller.
fn own_paths(text: &str) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        for controller in controllers.split(',') {
            paths.insert(controller.to_owned(), path.to_owned());
        }
    }
    paths
}

/// The path that names our group: version 2's; in version 1 the memory controller's, or the
/// CPU's where memory has none.
fn own_id(paths: &BTreeMap<String, String>, is_v2: bool) -> String {
    let order: &[&str] = if is_v2 {
        &[""]
    } else {
        &["memory", "cpu", "cpuacct"]
    };
    let found = order.iter().filter_map(|controller| paths.get(*controller));
    let named = found.clone().find(|path| *path != "/");
    named
        .or(found.clone().next())
        .map_or_else(|| "/".to_owned(), Clone::clone)
}

/// Groups a name stands for.
fn expand(tree: &Path, name: &str) -> Vec<String> {
    let name = name.trim_matches('/');
    let Some(parent) = name.strip_suffix('*') else {
        return vec![name.to_owned()];
    };
    let Ok(entries) = std::fs::read_dir(tree.join(parent)) else {
        return Vec::new();
    };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders
        .filter_map(|entry| Some(format!("{parent}{}", entry.file_name().to_str()?)))
        .collect();
    names.sort();
    names
}

impl Group {
    fn read(&mut self, buffer: &mut Vec<u8>) -> Figures {
        let mut figures = Figures::default();
        match &mut self.files {
            Files::V1(files) => files.read(buffer, &mut figures),
            Files::V2(files) => files.read(buffer, &mut figures),
        }
        figures
    }

    fn push(
        &mut self,
        id: &str,
        figures: Figures,
        described: &mut BTreeSet<&'static str>,
        frame: &mut Frame<'_>,
    ) {
        let mut figures = figures.0;
        let cpu = figures.iter().find(|figure| figure.family.name == CPU.name);
        let cores = cpu.and_then(|cpu| self.cores.step(cpu.value, frame.monotonic));
        if let Some(value) = cores {
            let device = String::new();
            figures.push(Figure {
                family: CORES,
                device,
                value,
            });
        }
        for Figure {
            family,
            device,
            value,
        } in figures
        {
            if described.insert(family.name) {
                frame.describe([&family]);
            }
            let labels = self.labels.entry((family.name, device));
            let labels = labels.or_insert_with_key(|(name, device)| {
                frame.series(name, &[("id", id), ("device", device)])
            });
            frame.push(labels, value);
        }
    }
}

/// The number after `key ` in a file of `key value` lines.
fn keyed(text: &str, key: &str) -> Option<f64> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    rest.trim().parse().ok()
}

/// A file that holds one number; `None` for `max`, which is no limit.
fn number(file: &mut Reading, buffer: &mut Vec<u8>) -> Option<f64> {
    file.text(buffer).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found_in_both_versions() {
        assert_eq!(
            own_id(&own_paths("0::/system.slice/a.service\n"), true),
            "/system.slice/a.service"
        );
        let v1 = own_paths("9:name=systemd:/\n4:memory:/box/1\n2:cpu,cpuacct:/\n0::/\n");
        assert_eq!(own_id(&v1, false), "/box/1");
        assert_eq!(v1["cpuacct"], "/");
        assert_eq!(own_id(&own_paths(""), true), "/");
    }
}
