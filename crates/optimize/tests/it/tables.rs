//! Measured configurations of real systems as problems, read as the data set's README says.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use model::{Domain, KnobValue, Params, Scale};
use numerics::summary::median;
use optimize::{Param, Space};

/// A table: every configuration somebody measured, with its objective, smaller is better.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) space: Space,
    /// Configurations, one coordinate a parameter, scaled to 0–1 by the parameter's range.
    rows: Vec<(Vec<f64>, f64)>,
    /// Objectives, rising.
    sorted: Vec<f64>,
    /// Smallest and largest value by parameter, in the order of the space.
    ranges: Vec<(f64, f64)>,
}

/// Where the tables are, if they are there.
pub(crate) fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/system_tables");
    path.is_dir().then_some(path)
}

/// All tables of the folder, by name.
pub(crate) fn all(folder: &Path) -> Vec<Table> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "gz"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Table::read(path)).collect()
}

fn parameter(name: &str, values: &[f64]) -> Param {
    let mut distinct = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let (min, max) = (distinct[0], distinct[distinct.len() - 1]);
    let scale = if min > 0.0 && max >= 64.0 * min {
        Scale::Log
    } else {
        Scale::Linear
    };
    let whole = distinct.iter().all(|v| v.fract() == 0.0);
    let domain = if distinct.len() == 2 {
        Domain::Bool
    } else if whole {
        Domain::Int {
            min: min as i64,
            max: max as i64,
            scale,
        }
    } else if distinct.len() <= 24 {
        Domain::Choice {
            choices: distinct.iter().map(f64::to_string).collect(),
            ordered: true,
        }
    } else {
        Domain::Float {
            min,
            max,
            scale: Scale::Linear,
        }
    };
    Param::new(name, domain)
}

impl Table {
    fn read(path: &Path) -> Self {
        let mut text = String::new();
        let file = std::fs::File::open(path).expect("a table can be opened");
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .expect("a table can be read");
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
        let goal = header
            .iter()
            .position(|h| h.ends_with('-'))
            .expect("an objective to minimise");
        let cells: Vec<Vec<f64>> = lines
            .map(|l| {
                l.split(',')
                    .map(|c| c.trim().parse().expect("a number"))
                    .collect()
            })
            .collect();
        let column = |i: usize| cells.iter().map(|row| row[i]).collect::<Vec<f64>>();
        let varies = |i: usize| column(i).windows(2).any(|w| w[0] != w[1]);
        let mut used: Vec<usize> = (0..header.len())
            .filter(|&i| i != goal && varies(i))
            .collect();
        used.sort_by_key(|&i| header[i]);
        let space = Space::new(
            used.iter()
                .map(|&i| parameter(header[i], &column(i)))
                .collect(),
        );
        let ranges: Vec<(f64, f64)> = used
            .iter()
            .map(|&i| {
                column(i)
                    .iter()
                    .fold((f64::MAX, f64::MIN), |r, v| (r.0.min(*v), r.1.max(*v)))
            })
            .collect();
        let rows = configurations(&cells, &used, &ranges, goal);
        let mut sorted: Vec<f64> = rows.iter().map(|r| r.1).collect();
        sorted.sort_by(f64::total_cmp);
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .replace(".csv.gz", "");
        Self {
            name,
            space: space.expect("a sound space"),
            rows,
            sorted,
            ranges,
        }
    }

    /// The true objective of the nearest measured configuration.
    pub(crate) fn value(&self, params: &Params) -> f64 {
        let numbers = params
            .iter()
            .zip(&self.ranges)
            .map(|((_, value), (low, high))| {
                let number = match value {
                    KnobValue::Bool(on) => return f64::from(u8::from(*on)),
                    KnobValue::Int(v) => *v as f64,
                    KnobValue::Float(v) => *v,
                    KnobValue::Choice(name) => name.parse().expect("choices here are numbers"),
                };
                (number - low) / (high - low)
            });
        let at: Vec<f64> = numbers.collect();
        let apart = |row: &[f64]| row.iter().zip(&at).map(|(a, b)| (a - b).abs()).sum::<f64>();
        let nearest = self
            .rows
            .iter()
            .min_by(|a, b| apart(&a.0).total_cmp(&apart(&b.0)));
        nearest.expect("a table has rows").1
    }

    /// Share of configurations that are better, in percent.
    pub(crate) fn percentile(&self, value: f64) -> f64 {
        let better = self.sorted.partition_point(|v| *v < value);
        100.0 * better as f64 / self.sorted.len() as f64
    }

    /// The objectives of all configurations, rising.
    pub(crate) fn values(&self) -> &[f64] {
        &self.sorted
    }
}

/// Rows of one configuration have the median of their objectives.
fn configurations(
    cells: &[Vec<f64>],
    used: &[usize],
    ranges: &[(f64, f64)],
    goal: usize,
) -> Vec<(Vec<f64>, f64)> {
    let mut groups: BTreeMap<Vec<u64>, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for row in cells {
        let scaled: Vec<f64> = used
            .iter()
            .zip(ranges)
            .map(|(&i, (low, high))| (row[i] - low) / (high - low))
            .collect();
        let key = scaled.iter().map(|v| v.to_bits()).collect();
        groups
            .entry(key)
            .or_insert_with(|| (scaled, Vec::new()))
            .1
            .push(row[goal]);
    }
    let of =
        |(point, values): (Vec<f64>, Vec<f64>)| (point, median(&values).expect("one at least"));
    groups.into_values().map(of).collect()
}
