//! A server under measurement: how it is started, loaded, asked, and made to settle on disk.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;

use super::{
    figures::{Figure, Figures},
    http::{Connection, escaped},
    process::{Running, folder_bytes, free_address, now, pause},
    workload::Load,
};
use crate::{packages::on_path, step::target};

/// A server that does not answer within this has failed to start.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// After a load, background work is waited for until it uses less than this of a core.
const QUIET_SHARE: f64 = 0.05;
/// And no longer than this.
const QUIET_WITHIN: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(in crate::bench) enum Kind {
    Alluse,
    Victoriametrics,
    Prometheus,
}

impl Kind {
    pub(in crate::bench) fn name(self) -> &'static str {
        match self {
            Self::Alluse => "ALL-USE",
            Self::Victoriametrics => "VictoriaMetrics",
            Self::Prometheus => "Prometheus",
        }
    }

    /// Debian's package.
    pub(in crate::bench) fn package(self) -> &'static str {
        match self {
            Self::Alluse => "alluse",
            Self::Victoriametrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
        }
    }

    /// Ours is built here; the others are found or not.
    pub(in crate::bench) fn is_installed(self) -> bool {
        self == Self::Alluse || on_path(self.package())
    }

    fn ready_path(self) -> &'static str {
        match self {
            Self::Alluse | Self::Prometheus => "/-/ready",
            Self::Victoriametrics => "/health",
        }
    }

    fn command(self, alluse: &Path, address: SocketAddr, data: &Path) -> Result<Command, String> {
        let written = |file: &Path, text: &str| {
            std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
        };
        let (config, data_text) = (data.join("config"), data.display());
        match self {
            Self::Alluse => {
                // Only what is pushed is stored: the sizes are of that alone. Queries keep to their
                // thread: the time of threads that have ended cannot be read any more.
                written(
                    &config,
                    "[server]\nquery_threads = 1\n[collect]\nhost = \"off\"\n[store]\n\
                     retention = \"365d\"\n",
                )?;
                let mut command = Command::new(alluse);
                command.args(["serve", "--quiet", "--config"]).arg(&config);
                command.arg(format!("--listen={address}"));
                command.arg("--data").arg(data.join("data"));
                Ok(command)
            }
            Self::Victoriametrics => {
                let mut command = Command::new("victoria-metrics");
                command.args([
                    &format!("-httpListenAddr={address}"),
                    &format!("-storageDataPath={data_text}/data"),
                    "-retentionPeriod=1y",
                    "-search.latencyOffset=0s",
                    "-search.maxPointsPerTimeseries=50000",
                    "-loggerLevel=WARN",
                ]);
                Ok(command)
            }
            Self::Prometheus => {
                written(&config, "global: {scrape_interval: 15s}\n")?;
                let mut command = Command::new("prometheus");
                command.args([
                    &format!("--config.file={}", config.display()),
                    &format!("--storage.tsdb.path={data_text}/data"),
                    "--storage.tsdb.retention.time=1y",
                    &format!("--web.listen-address={address}"),
                    "--web.enable-remote-write-receiver",
                    "--web.enable-admin-api",
                    "--log.level=warn",
                ]);
                Ok(command)
            }
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(in crate::bench) struct Peer {
    pub(in crate::bench) kind: Kind,
    process: Running,
    address: SocketAddr,
    folder: PathBuf,
    idle_bytes: u64,
}

/// What a load cost.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Took {
    cpu_s: f64,
    idle_bytes: u64,
    after_bytes: u64,
    peak_bytes: u64,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Disk {
    pub(in crate::bench) data: u64,
    pub(in crate::bench) index: u64,
}

impl Peer {
    /// Starts a server with an empty folder and waits until it is ready.
    pub(in crate::bench) fn start(
        kind: Kind,
        alluse: &Path,
        parent: &Path,
    ) -> Result<Self, String> {
        let address = free_address()?;
        let folder = parent.join(format!("{}-{}", kind.package(), address.port()));
        std::fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let log = File::create(folder.join("log")).map_err(|e| format!("a log: {e}"))?;
        let mut command = kind.command(alluse, address, &folder)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot start {command:?}: {e}"))?;
        let mut peer = Self {
            kind,
            process: Running::new(child),
            address,
            folder,
            idle_bytes: 0,
        };
        peer.wait_until_ready()?;
        peer.idle_bytes = peer.process.memory_bytes("VmRSS")?;
        Ok(peer)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let begun = now();
        loop {
            let asked = Connection::open(self.address)
                .and_then(|mut connection| connection.get(self.kind.ready_path()));
            if matches!(asked, Ok((200, _))) {
                return Ok(());
            }
            if self.process.has_ended() || begun.elapsed() > READY_WITHIN {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("{} does not start:\n{log}", self.kind.name()));
            }
            pause();
        }
    }

    /// Writes a load, each connection in its own thread, and waits for what the server still does
    /// with it.
    pub(in crate::bench) fn take(&self, load: &Load) -> Result<Took, String> {
        let before = self.process.cpu_seconds()?;
        let begun = now();
        std::thread::scope(|scope| {
            let sending: Vec<_> = load
                .connections
                .iter()
                .map(|bodies| scope.spawn(|| self.send(bodies)))
                .collect();
            let sent = sending.into_iter().map(|s| s.join());
            let mut sent = sent.map(|s| s.expect("a sender reports its failures"));
            sent.try_for_each(|result| result)
        })?;
        let took = begun.elapsed();
        let after_bytes = self.process.memory_bytes("VmRSS")?;
        self.wait_until_quiet()?;
        let cpu_s = self.process.cpu_seconds()? - before;
        eprintln!(
            "  {:<16} {:>10} samples, {:>4.1} wire bytes each: {cpu_s:>6.2} CPU-s ({:.0} s of wall time)",
            self.kind.name(),
            load.samples(),
            load.wire_bytes(),
            took.as_secs_f64()
        );
        Ok(Took {
            cpu_s,
            idle_bytes: self.idle_bytes,
            after_bytes,
            peak_bytes: self.process.memory_bytes("VmHWM")?,
        })
    }

    fn send(&self, bodies: &[Vec<u8>]) -> Result<(), String> {
        const HEADERS: &str = "Content-Type: application/x-protobuf\r\n\
            Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";
        let mut connection = Connection::open(self.address)?;
        for body in bodies {
            let (status, reply) = connection.post("/api/v1/write", HEADERS, body)?;
            if !(200..300).contains(&status) {
                let text = String::from_utf8_lossy(&reply);
                return Err(format!(
                    "{} answers a write with {status}: {text}",
                    self.kind.name()
                ));
            }
        }
        Ok(())
    }

    fn wait_until_quiet(&self) -> Result<(), String> {
        let begun = now();
        let mut last = (self.process.cpu_seconds()?, now());
        while begun.elapsed() < QUIET_WITHIN {
            for _ in 0..20 {
                pause();
            }
            let cpu = self.process.cpu_seconds()?;
            let share = (cpu - last.0) / last.1.elapsed().as_secs_f64();
            if share < QUIET_SHARE {
                return Ok(());
            }
            last = (cpu, now());
        }
        Ok(())
    }

    /// Asks instant queries in turn on one connection; CPU milliseconds each.
    pub(in crate::bench) fn ask(
        &self,
        queries: &[String],
        times: usize,
        at_s: i64,
    ) -> Result<f64, String> {
        let nocache = match self.kind {
            Kind::Victoriametrics => "&nocache=1",
            Kind::Alluse | Kind::Prometheus => "",
        };
        let path = |query: &String| {
            format!(
                "/api/v1/query?query={}&time={at_s}{nocache}",
                escaped(query)
            )
        };
        let paths: Vec<String> = queries.iter().map(path).collect();
        let mut connection = Connection::open(self.address)?;
        let before = self.process.cpu_seconds()?;
        for path in paths.iter().cycle().take(times) {
            let (status, body) = connection.get(path)?;
            let found = body.windows(8).any(|w| w == b"\"value\":");
            if status != 200 || !found {
                let text = String::from_utf8_lossy(&body);
                return Err(format!(
                    "{} answers {path} with {status}: {text}",
                    self.kind.name()
                ));
            }
        }
        Ok((self.process.cpu_seconds()? - before) * 1_000.0 / times as f64)
    }

    /// A connection to it.
    pub(in crate::bench) fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.address)
    }

    /// Its process.
    pub(in crate::bench) fn process(&self) -> &Running {
        &self.process
    }

    /// Has everything written to disk and merged, as the server does by itself in time, and says
    /// how much that is. The server ends.
    pub(in crate::bench) fn settle(self) -> Result<Disk, String> {
        match self.kind {
            Kind::Alluse => self.settle_alluse(),
            Kind::Victoriametrics => self.settle_victoriametrics(),
            Kind::Prometheus => self.settle_prometheus(),
        }
    }

    fn settle_alluse(self) -> Result<Disk, String> {
        self.process.end()?;
        let mut tool = Command::new(target().join("release/examples/settle"));
        let said = tool.arg(self.folder.join("data/store")).output();
        let said = said.map_err(|e| format!("cannot start {tool:?}: {e}"))?;
        let text = String::from_utf8_lossy(&said.stdout);
        let number = |name: &str| {
            let said = serde_json::from_str::<serde_json::Value>(&text).ok()?;
            said.get(name)?.as_u64()
        };
        match (number("data_bytes"), number("index_bytes")) {
            (Some(data), Some(index)) => Ok(Disk { data, index }),
            _ => Err(format!(
                "settle said {text:?}, {}",
                String::from_utf8_lossy(&said.stderr)
            )),
        }
    }

    fn settle_victoriametrics(self) -> Result<Disk, String> {
        let mut connection = Connection::open(self.address)?;
        connection.get("/internal/force_flush")?;
        connection.get("/internal/force_merge")?;
        self.wait_until_quiet()?;
        let (_, metrics) = connection.get("/metrics")?;
        let metrics = String::from_utf8_lossy(&metrics);
        let sum = |wanted: fn(&str) -> bool| {
            let lines = metrics
                .lines()
                .filter(|l| l.starts_with("vm_data_size_bytes{") && wanted(l));
            let values = lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum::<f64>() as u64
        };
        let disk = Disk {
            data: sum(|line| line.contains("storage/")),
            index: sum(|line| line.contains("indexdb/")),
        };
        self.process.end()?;
        Ok(disk)
    }

    fn settle_prometheus(self) -> Result<Disk, String> {
        let mut connection = Connection::open(self.address)?;
        let (status, reply) = connection.post("/api/v1/admin/tsdb/snapshot", "", &[])?;
        if status != 200 {
            return Err(format!("no snapshot: {}", String::from_utf8_lossy(&reply)));
        }
        let snapshots = self.folder.join("data/snapshots");
        let all = folder_bytes(&snapshots)?;
        let data = chunk_bytes(&snapshots)?;
        self.process.end()?;
        Ok(Disk {
            data,
            index: all - data,
        })
    }
}

/// Bytes in folders called `chunks`.
fn chunk_bytes(folder: &Path) -> Result<u64, String> {
    if folder.ends_with("chunks") {
        return folder_bytes(folder);
    }
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            bytes += chunk_bytes(&path)?;
        }
    }
    Ok(bytes)
}

impl Took {
    /// Ingest figures of a load.
    pub(in crate::bench) fn record(
        &self,
        what: &str,
        load: &Load,
        kind: Kind,
        figures: &mut Figures,
    ) {
        let rate = load.samples() as f64 / self.cpu_s / 1e6;
        figures.add(Figure::Ingest(what.to_owned()), kind, rate);
        let peak = self.peak_bytes as f64 / f64::from(1 << 20);
        figures.add(Figure::PeakMiB(what.to_owned()), kind, peak);
    }

    /// Memory a series at the end of the load, over the idle server.
    pub(in crate::bench) fn series_bytes(&self, load: &Load) -> f64 {
        self.after_bytes.saturating_sub(self.idle_bytes) as f64 / load.series() as f64
    }
}
