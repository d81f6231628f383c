//! The synthetic mix: what hosts report at 15 s, without the recording's many constants.
//!
//! Of a host's 100 series: 13 counters of CPU seconds in hundredths, 17 counters of bytes, 8
//! percentages of two decimals, 24 gauges of memory in pages, 28 counters that hardly move, 2
//! random floats, 8 constants. With the figures by kind of the design this is 2.6 bytes a sample
//! for XOR alone and 1.36 for decimals through zstd.

use model::{Durability, Labels, Sample, SampleSink as _};
use store::Config;

use crate::{DAY_MS, START_MS, open_at, process_cpu};

/// Kinds, and how many of a host's 100 series are of each.
const KINDS: [(&str, usize); 7] = [
    ("cpu_seconds", 13),
    ("bytes", 17),
    ("percent", 8),
    ("pages", 24),
    ("slow", 28),
    ("random", 2),
    ("constant", 8),
];
const STEP_MS: i64 = 15_000;
/// Six hours, as the peers were measured.
const STEPS: usize = 1440;
/// Steps between flushes: the ten minutes of the default.
const FLUSH_STEPS: usize = 40;

/// `SplitMix64`: uniform bits, the same in each run.
#[derive(Debug)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Uniform in 0 to 1, all 53 bits at work.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One series on its way: what it was and what it becomes.
struct Source {
    labels: Labels,
    kind: &'static str,
    state: u64,
}

impl Source {
    fn step(&mut self, noise: &mut Noise) -> f64 {
        match self.kind {
            "cpu_seconds" => {
                self.state += noise.below(560);
                self.state as f64 / 100.0
            }
            "bytes" => {
                self.state += noise.below(3_600_000);
                self.state as f64
            }
            "percent" => (2000 + noise.below(1900)) as f64 / 100.0,
            "pages" => {
                self.state = (self.state + noise.below(431)).saturating_sub(215);
                (self.state * 4096) as f64
            }
            "slow" => {
                self.state += u64::from(noise.below(400) == 0);
                self.state as f64
            }
            "random" => noise.unit(),
            _ => self.state as f64,
        }
    }
}

fn host(number: usize, only: Option<&str>) -> Vec<Source> {
    let mut sources = Vec::new();
    for (kind, count) in KINDS {
        for i in 0..count {
            let labels = Labels::from_pairs([
                ("__name__", format!("node_{kind}_{i:02}_total")),
                ("instance", format!("host-{number:05}.example.net:9100")),
                ("job", "node".to_owned()),
                ("region", format!("region-{}", number % 7)),
                ("device", format!("device{}", i % 4)),
                ("mode", "busy".to_owned()),
            ]);
            let state = 1_000_000 + (number * 100 + i) as u64;
            sources.push(Source {
                labels,
                kind,
                state,
            });
        }
    }
    sources.retain(|s| only.is_none_or(|kind| kind == s.kind));
    sources
}

/// Bytes a sample after the day's merge, and of them those of the index.
fn size(hosts: usize, only: Option<&str>, dir: &std::path::Path) -> (f64, f64, f64) {
    let config = Config {
        background: false,
        ..Config::default()
    };
    let store = open_at(START_MS + 3 * DAY_MS, dir, config);
    let mut noise = Noise(42);
    let mut sources: Vec<Source> = (0..hosts).flat_map(|h| host(h, only)).collect();
    let mut merging = std::time::Duration::ZERO;
    // From the start of a UTC day.
    let start_ms = START_MS.div_euclid(DAY_MS) * DAY_MS;
    for step in 0..STEPS {
        let time_ms = start_ms + step as i64 * STEP_MS;
        let sample = |s: &mut Source| Sample::float(s.labels.clone(), time_ms, s.step(&mut noise));
        let batch = model::Batch {
            samples: sources.iter_mut().map(sample).collect(),
            ..model::Batch::default()
        };
        store
            .append(&batch, Durability::Fast)
            .expect("there is room");
        if step % FLUSH_STEPS == FLUSH_STEPS - 1 {
            store.flush().expect("there is room");
            let before = process_cpu();
            store.compact().expect("the parts check");
            merging += process_cpu().saturating_sub(before);
        }
    }
    let samples = store.stats().part_samples as f64;
    let later = Sample::float(sources[0].labels.clone(), start_ms + 2 * DAY_MS, 1.0);
    let batch = model::Batch {
        samples: vec![later],
        ..model::Batch::default()
    };
    store
        .append(&batch, Durability::Fast)
        .expect("there is room");
    let before = process_cpu();
    store.compact().expect("the parts check");
    merging += process_cpu().saturating_sub(before);
    let stats = store.stats();
    (
        (stats.chunk_bytes + stats.index_bytes) as f64 / samples,
        stats.index_bytes as f64 / samples,
        samples / merging.as_secs_f64() / 1e6,
    )
}

pub(crate) fn run(dir: &std::path::Path) {
    let (all, index, merged) = size(20, None, &dir.join("all"));
    println!(
        "{{\"figure\":\"mix\",\"series\":2000,\"steps\":{STEPS},\"merged_bytes_per_sample\":{all:.3},\
         \"of_it_index\":{index:.3},\"merge_M_per_cpu_s\":{merged:.1}}}"
    );
    for (kind, _) in KINDS {
        let (all, index, _) = size(1, Some(kind), &dir.join(kind));
        println!(
            "{{\"figure\":\"mix\",\"kind\":\"{kind}\",\"data_bytes_per_sample\":{:.3}}}",
            all - index
        );
    }
}
