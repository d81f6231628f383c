//! What a directory holds, counted from footers, indexes and the log; nothing is decoded.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

use model::Labels;

use crate::{
    disk::Disk,
    part::{
        DAY_MS,
        index::{BlockEntry, Index},
        reader::{Part, PartError},
    },
    recover::{Found, cannot},
    scan::{Item, load, scan},
    stats::Counters,
    store::OpenError,
    tombstones::Tombstones,
    wal,
};

/// What a store holds. Samples written twice are counted twice until a merge has met them; what
/// is deleted counts until it is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Samples in parts and in the log.
    pub samples: u64,
    /// Different label sets.
    pub series: u64,
    /// Compressed samples in parts, bytes.
    pub bytes_data: u64,
    /// All else in parts: labels, postings, headers.
    pub bytes_index: u64,
    /// The log: samples that are not in parts yet.
    pub bytes_wal: u64,
    /// Samples in the log.
    pub samples_wal: u64,
    /// Parts that check; roll-ups are not among them.
    pub parts: u64,
    /// Roll-ups that check.
    pub rollups: u64,
    /// Points in them.
    pub rollup_points: u64,
    /// Their bytes, index included.
    pub bytes_rollups: u64,
    /// Parts and stretches of the log that do not check, and are not counted.
    pub damaged: u64,
    /// Deletes to be carried out.
    pub tombstones: u64,
    /// First and last time of any sample, ms.
    pub times_ms: Option<(i64, i64)>,
    /// Days with samples, in order.
    pub days: Vec<Day>,
    /// Metrics, by name.
    pub metrics: Vec<Metric>,
}

/// The parts of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// Days since the Unix epoch.
    pub day: i64,
    /// Parts.
    pub parts: u64,
    /// Samples in them and in the log.
    pub samples: u64,
    /// Compressed samples, bytes.
    pub bytes_data: u64,
    /// All else, bytes.
    pub bytes_index: u64,
}

/// One metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metric {
    /// `__name__`.
    pub name: String,
    /// Label sets.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes of its columns in parts; a column of times counts for the first that has it.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Count {
    survey: Survey,
    days: BTreeMap<i64, Day>,
    metrics: BTreeMap<String, Metric>,
    series: HashSet<Labels>,
}

/// Counts what a directory holds. `progress` is told bytes done and bytes in all.
pub fn survey(disk: &dyn Disk, progress: &mut dyn FnMut(u64, u64)) -> Result<Survey, OpenError> {
    let files = disk.list().map_err(cannot("list the store's directory"))?;
    let counters = Counters::default();
    let found = Found::new(disk, &files, &counters)?;
    let mut count = Count::default();
    let damaged = counters
        .parts_quarantined
        .load(std::sync::atomic::Ordering::Relaxed);
    count.survey.damaged = damaged;
    let logs: Vec<_> = files
        .iter()
        .filter_map(|(name, bytes)| Some((wal::number(name)?, name, *bytes)))
        .filter(|(segment, ..)| *segment >= found.contents.wal_floor)
        .collect();
    let all = found.parts.iter().map(|p| p.bytes()).sum::<u64>()
        + logs.iter().map(|(.., bytes)| bytes).sum::<u64>();
    let mut done = 0;
    for part in &found.parts {
        count.part(part).map_err(|error| match error {
            PartError::Io(source) => cannot("read a part")(source),
            PartError::Corrupt(place) => cannot(place)(io::ErrorKind::InvalidData.into()),
        })?;
        part.drop_index();
        done += part.bytes();
        progress(done, all);
    }
    for (segment, name, bytes) in logs {
        count.segment(
            &load(disk, name).map_err(cannot(format!("read {name}")))?,
            segment,
        );
        done += bytes;
        progress(done, all);
    }
    let graves = Tombstones::read(disk).map_err(cannot("read the tombstones"))?;
    count.survey.tombstones = graves.tombstones.0.len() as u64;
    count.survey.damaged += u64::from(graves.damaged_at.is_some());
    Ok(count.finish())
}

impl Count {
    fn part(&mut self, part: &Part) -> Result<(), PartError> {
        let footer = &part.footer;
        if footer.is_rollup() {
            self.survey.rollups += 1;
            self.survey.rollup_points += footer.samples;
            self.survey.bytes_rollups += part.bytes();
            return Ok(());
        }
        let (data, index_bytes) = (footer.column_bytes(), part.bytes() - footer.column_bytes());
        let day = self.days.entry(footer.day).or_default();
        day.day = footer.day;
        day.parts += 1;
        day.samples += footer.samples;
        day.bytes_data += data;
        day.bytes_index += index_bytes;
        self.survey.parts += 1;
        self.survey.samples += footer.samples;
        self.survey.bytes_data += data;
        self.survey.bytes_index += index_bytes;
        self.span(footer.from_ms, footer.to_ms);
        let index = part.index()?;
        self.index(&index)
            .ok_or_else(|| PartError::Corrupt(format!("index of part {}", footer.sequence)))
    }

    fn index(&mut self, index: &Index) -> Option<()> {
        let mut seen = HashSet::new();
        for series in 0..index.series_count() {
            let labels = index.labels(series)?;
            let blocks = index.blocks(series)?;
            let samples = blocks.iter().map(|b| b.count as u64).sum();
            let bytes = blocks.iter().map(|b| bytes_of(b, &mut seen)).sum();
            self.series(&labels, samples, bytes);
        }
        Some(())
    }

    fn series(&mut self, labels: &Labels, samples: u64, bytes: u64) {
        let fresh = !self.series.contains(labels);
        if fresh {
            self.series.insert(labels.clone());
        }
        let name = labels.metric_name();
        if !self.metrics.contains_key(name) {
            self.metrics.insert(name.to_owned(), Metric::default());
        }
        let metric = self.metrics.get_mut(name).expect("inserted above");
        metric.series += u64::from(fresh);
        metric.samples += samples;
        metric.bytes += bytes;
    }

    fn span(&mut self, from_ms: i64, to_ms: i64) {
        let (from, to) = self.survey.times_ms.unwrap_or((from_ms, to_ms));
        self.survey.times_ms = Some((from.min(from_ms), to.max(to_ms)));
    }

    fn segment(&mut self, bytes: &[u8], segment: u64) {
        self.survey.bytes_wal += bytes.len() as u64;
        let mut known: HashMap<u32, Labels> = HashMap::new();
        scan(bytes, segment, &mut |_, item| match item {
            Item::Bad { torn, .. } => self.survey.damaged += u64::from(!torn),
            Item::Batch(record, _) => {
                known.extend(record.series.iter().cloned());
                let floats = record.floats.iter().map(|(id, t, _)| (*id, *t));
                let places = floats.chain(record.histograms.iter().map(|(id, t, _)| (*id, *t)));
                for (id, time_ms) in places {
                    let Some(labels) = known.get(&id) else {
                        continue;
                    };
                    self.survey.samples += 1;
                    self.survey.samples_wal += 1;
                    let day = time_ms.div_euclid(DAY_MS);
                    let of_day = self.days.entry(day).or_default();
                    of_day.day = day;
                    of_day.samples += 1;
                    self.span(time_ms, time_ms);
                    self.series(labels, 1, 0);
                }
            }
        });
    }

    fn finish(self) -> Survey {
        let named = |(name, metric)| Metric { name, ..metric };
        Survey {
            series: self.series.len() as u64,
            days: self.days.into_values().collect(),
            metrics: self.metrics.into_iter().map(named).collect(),
            ..self.survey
        }
    }
}

/// Bytes of a block's columns; of shared times only the first time they are seen.
fn bytes_of(block: &BlockEntry, seen: &mut HashSet<u64>) -> u64 {
    let times = match block.position().1 {
        Some(at) if !seen.insert(at) => 0,
        _ => block.times.bytes(),
    };
    times + block.values.bytes()
}
