//! The recording of node_exporter as a load: 40 minutes at one scrape a second.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io::{BufRead as _, BufReader},
};

use flate2::read::GzDecoder;

use crate::bench::side_by_side::{
    wire::{self, Writer},
    workload::Load,
};
use crate::step::root;

/// Samples a request.
const SAMPLES_A_REQUEST: usize = 2_000;

/// Which times the samples get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Of a collector that stamps the tick it meant: one scrape a second.
    WholeSeconds,
    /// Of one that stamps the moment, some milliseconds off.
    Recorded,
}

impl Times {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WholeSeconds => "node_1s",
            Self::Recorded => "node_1s, jittered times",
        }
    }
}

/// The recording, if it lies beside the repository.
pub(super) fn load(times: Times) -> Result<Option<Load>, String> {
    let path = root().join("../shared/data/node_1s/node_1s.txt.gz");
    let Ok(file) = File::open(&path) else {
        return Ok(None);
    };
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut writer = Writer::new(SAMPLES_A_REQUEST);
    let mut known = BTreeMap::new();
    let (mut first_ms, mut time_ms, mut scrapes, mut samples) = (0, 0, 0, 0);
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let line = line.map_err(failed)?;
        if let Some(at) = line.strip_prefix("#T ") {
            let at: i64 = at.parse().map_err(|e| format!("{line}: {e}"))?;
            first_ms = if scrapes == 0 {
                at / 1_000 * 1_000
            } else {
                first_ms
            };
            time_ms = match times {
                Times::WholeSeconds => first_ms + scrapes * 1_000,
                Times::Recorded => at,
            };
            scrapes += 1;
            continue;
        }
        let (series, value) = line
            .rsplit_once(' ')
            .ok_or_else(|| format!("no value: {line}"))?;
        let value: f64 = value.parse().map_err(|e| format!("{line}: {e}"))?;
        let sent = match known.entry(series.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(labels(series)?),
        };
        writer.push(sent, time_ms, value);
        samples += 1;
    }
    writer.close();
    Ok(Some(Load::of(writer.bodies, samples, known.len() as u64)))
}

/// `name{a="b",c="d"}` as the labels of a request, sorted. The recording escapes nothing.
fn labels(series: &str) -> Result<Vec<u8>, String> {
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = vec![("__name__", name)];
    let mut rest = rest
        .strip_suffix('}')
        .ok_or_else(|| format!("no end: {series}"))?;
    while !rest.is_empty() {
        let cut = rest.split_once("=\"").and_then(|(key, rest)| {
            let (value, rest) = rest.split_once('"')?;
            Some((key, value, rest))
        });
        let (key, value, after) = cut.ok_or_else(|| format!("no label: {series}"))?;
        if !value.is_empty() {
            pairs.push((key, value));
        }
        rest = after.trim_start_matches(',');
    }
    pairs.push(("instance", "node:9100"));
    pairs.push(("job", "node"));
    pairs.sort_unstable();
    Ok(wire::labels(&pairs))
}
