//! What is written: hosts with a hundred series each, the mix of kinds that monitoring has.
//!
//! Of 100 series: 23 never change, 22 count rarely, 20 are gauges in pages of memory, 15 count
//! bytes, 10 count CPU seconds in hundredths, 8 are per cents with two decimals that wander, 2 are
//! random floats. Six labels, about 135 bytes of names and values. All of it from one seed, so
//! every server gets the same bytes. For queries that go over many series of one metric, some
//! metrics are families ([`Mix::Families`]).

use std::time::{SystemTime, UNIX_EPOCH};

use super::wire::{self, Writer};

/// Samples a request, as Prometheus sends by default.
const SAMPLES_A_REQUEST: usize = 2_000;
/// Connections; each keeps its hosts, as the shards of a sender do.
const CONNECTIONS: usize = 2;
/// Between two samples of a series.
const STEP_S: i64 = 15;
/// Series a host.
const METRICS: usize = 100;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Shape {
    hosts: usize,
    steps: usize,
    mix: Mix,
}

/// How the hundred series of a host are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mix {
    /// A metric each.
    Metrics,
    /// 88 `node_` series: `node_network_transmit_bytes_total` with ten devices,
    /// `node_cpu_seconds_total` with twenty pairs of CPU and mode (ten more of this kind, ten less
    /// that count rarely), `node_memory_numa_bytes` with seven nodes, and metrics of one series;
    /// 12 others.
    Families,
}

impl Shape {
    /// 10,000 series for six hours.
    pub(in crate::bench) const SMALL: Self = Self {
        hosts: 100,
        steps: 1_440,
        mix: Mix::Metrics,
    };
    /// As many, some of them families.
    pub(in crate::bench) const FAMILIES: Self = Self {
        mix: Mix::Families,
        ..Self::SMALL
    };
    /// 200,000 series for ten minutes.
    pub(in crate::bench) const LARGE: Self = Self {
        hosts: 2_000,
        steps: 40,
        mix: Mix::Metrics,
    };

    /// The same series for a sixth of the time.
    pub(in crate::bench) fn sixth(self) -> Self {
        Self {
            steps: self.steps / 6,
            ..self
        }
    }
}

/// Requests ready to be sent, by connection.
#[derive(Debug)]
pub(in crate::bench) struct Load {
    /// Compressed bodies.
    pub(in crate::bench) connections: Vec<Vec<Vec<u8>>>,
    samples: u64,
    series: u64,
    queries: Vec<String>,
    end_s: i64,
}

impl Load {
    /// A load that ends now.
    pub(in crate::bench) fn new(shape: Shape) -> Self {
        let end_s = now_s() / STEP_S * STEP_S;
        let share = shape.hosts.div_ceil(CONNECTIONS);
        let starts = (0..shape.hosts).step_by(share);
        let one = |first: usize| {
            let last = (first + share).min(shape.hosts);
            requests(first..last, shape, end_s)
        };
        let connections = std::thread::scope(|scope| {
            let making: Vec<_> = starts
                .map(|first| scope.spawn(move || one(first)))
                .collect();
            let made = making.into_iter().map(|m| m.join());
            made.map(|m| m.expect("requests are made without fail"))
                .collect()
        });
        let series = (shape.hosts * METRICS) as u64;
        Self {
            connections,
            samples: series * shape.steps as u64,
            series,
            queries: (0..shape.hosts.min(100))
                .map(|host| shape.mix.point_query(host))
                .collect(),
            end_s,
        }
    }

    /// A load of requests made elsewhere, on one connection.
    pub(in crate::bench) fn of(bodies: Vec<Vec<u8>>, samples: u64, series: u64) -> Self {
        Self {
            connections: vec![bodies],
            samples,
            series,
            queries: Vec::new(),
            end_s: now_s(),
        }
    }

    pub(in crate::bench) fn samples(&self) -> u64 {
        self.samples
    }

    pub(in crate::bench) fn series(&self) -> u64 {
        self.series
    }

    /// The time of the newest samples, Unix seconds.
    pub(in crate::bench) fn end_s(&self) -> i64 {
        self.end_s
    }

    /// Queries that select one series each.
    pub(in crate::bench) fn point_queries(&self) -> Vec<String> {
        self.queries.clone()
    }

    /// Bytes of a sample as sent.
    pub(in crate::bench) fn wire_bytes(&self) -> f64 {
        let bytes: usize = self.connections.iter().flatten().map(Vec::len).sum();
        bytes as f64 / self.samples as f64
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "servers refuse what is not recent"
)]
fn now_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn requests(hosts: std::ops::Range<usize>, shape: Shape, end_s: i64) -> Vec<Vec<u8>> {
    let mut series: Vec<Series> = hosts
        .flat_map(|host| (0..METRICS).map(move |metric| Series::new(shape.mix, host, metric)))
        .collect();
    let mut writer = Writer::new(SAMPLES_A_REQUEST);
    let begin_s = end_s - (shape.steps as i64 - 1) * STEP_S;
    for step in 0..shape.steps as i64 {
        for one in &mut series {
            let value = one.next();
            writer.push(&one.labels, (begin_s + step * STEP_S) * 1_000, value);
        }
    }
    writer.close();
    writer.bodies
}

/// How values of a series move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Constant,
    Rare,
    Pages,
    Bytes,
    CpuSeconds,
    PerCent,
    Random,
}

impl Kind {
    fn of(mix: Mix, metric: usize) -> Self {
        match metric {
            35..45 if mix == Mix::Families => Self::Pages,
            55..65 if mix == Mix::Families => Self::Bytes,
            65..80 if mix == Mix::Families => Self::CpuSeconds,
            0..23 => Self::Constant,
            23..45 => Self::Rare,
            45..65 => Self::Pages,
            65..80 => Self::Bytes,
            80..90 => Self::CpuSeconds,
            90..98 => Self::PerCent,
            _ => Self::Random,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Constant => "info",
            Self::Rare => "events_total",
            Self::Pages => "memory_bytes",
            Self::Bytes => "transmit_bytes_total",
            Self::CpuSeconds => "cpu_seconds_total",
            Self::PerCent => "utilization_percent",
            Self::Random => "random",
        }
    }
}

impl Mix {
    fn metric_name(self, metric: usize) -> String {
        let kind = Kind::of(self, metric).name();
        match (self, metric) {
            (Self::Families, 0..12) => format!("app_{metric:02}_{kind}"),
            (Self::Families, 35..42) => "node_memory_numa_bytes".to_owned(),
            (Self::Families, 55..65) => "node_network_transmit_bytes_total".to_owned(),
            (Self::Families, 70..90) => "node_cpu_seconds_total".to_owned(),
            _ => format!("node_{metric:02}_{kind}"),
        }
    }

    /// The labels that tell the series of a host and a name apart, or say where the host is.
    fn others(self, host: usize, metric: usize) -> [(&'static str, String); 2] {
        const MODES: [&str; 5] = ["idle", "iowait", "softirq", "system", "user"];
        let environment = || ("environment", "production".to_owned());
        match (self, metric) {
            (Self::Families, 35..42) => [environment(), ("node", (metric - 35).to_string())],
            (Self::Families, 55..65) => [environment(), ("device", format!("eth{}", metric - 55))],
            (Self::Families, 70..90) => {
                let at = metric - 70;
                let cpu = (at / MODES.len()).to_string();
                [("cpu", cpu), ("mode", MODES[at % MODES.len()].to_owned())]
            }
            _ => [environment(), ("rack", format!("rack-{:02}", host / 40))],
        }
    }

    /// A series of one host by name; another metric for each host.
    fn point_query(self, host: usize) -> String {
        let metric = host * 37 % METRICS;
        let name = self.metric_name(metric);
        let others = self.others(host, metric);
        let others = others.map(|(name, value)| format!("{name}={value:?}"));
        format!(
            "{name}{{instance={:?},{}}}",
            instance(host),
            others.join(",")
        )
    }
}

fn instance(host: usize) -> String {
    format!("host-{host:04}.example.internal:9100")
}

/// A series and where its value stands.
#[derive(Debug)]
struct Series {
    labels: Vec<u8>,
    kind: Kind,
    random: u64,
    /// In the smallest unit of its kind: hundredths, bytes, pages, events.
    at: i64,
    /// How fast it moves.
    pace: i64,
}

impl Series {
    fn new(mix: Mix, host: usize, metric: usize) -> Self {
        let (name, instance) = (mix.metric_name(metric), instance(host));
        let others = mix.others(host, metric);
        let region = ["eu-west-1", "eu-central-1", "us-east-1"][host % 3];
        let mut labels = vec![
            ("__name__", name.as_str()),
            ("instance", &instance),
            ("job", "node-exporter"),
            ("region", region),
        ];
        labels.extend(others.iter().map(|(name, value)| (*name, value.as_str())));
        labels.sort_unstable();
        let mut series = Self {
            labels: wire::labels(&labels),
            kind: Kind::of(mix, metric),
            random: (host * METRICS + metric) as u64,
            at: 0,
            pace: 0,
        };
        series.at = series.below(1_000_000);
        series.pace = 1 + series.below(1_000);
        if series.kind == Kind::PerCent {
            series.at %= 10_000;
        }
        series
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn bits(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: i64) -> i64 {
        (self.bits() % end.cast_unsigned()).cast_signed()
    }

    fn next(&mut self) -> f64 {
        match self.kind {
            Kind::Constant => self.at as f64,
            Kind::Rare => {
                self.at += i64::from(self.below(50) == 0);
                self.at as f64
            }
            Kind::Pages => {
                if self.below(10) < 4 {
                    self.at += self.below(33) - 16;
                }
                (self.at * 4_096) as f64
            }
            Kind::Bytes => {
                self.at += self.below(self.pace * 1_500);
                self.at as f64
            }
            Kind::CpuSeconds => {
                self.at += self.below(self.pace.min(300) + 1);
                self.at as f64 / 100.0
            }
            Kind::PerCent => {
                self.at = (self.at + self.below(401) - 200).clamp(0, 10_000);
                self.at as f64 / 100.0
            }
            Kind::Random => self.bits() as f64 / u64::MAX as f64,
        }
    }
}
