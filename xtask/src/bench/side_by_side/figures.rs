//! The figures of a run: medians by server, side by side, with the ratio to the best peer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::peer::Kind;

/// What was measured; in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bench) enum Figure {
    /// Million samples a CPU second of the server, of a load.
    Ingest(String),
    /// Most memory resident during a load, MiB.
    PeakMiB(String),
    /// Memory a series, bytes.
    SeriesBytes,
    /// CPU milliseconds of a point query.
    QueryMs,
    /// CPU milliseconds of a query, by its place in the table and what it is.
    Asked(usize, &'static str),
    /// Most memory resident while those were asked, MiB.
    AskedPeakMiB,
    /// Wall milliseconds until a hostile query was answered.
    HostileMs(usize, &'static str),
    /// Growth of the most memory resident while it was, MiB.
    HostileMiB(usize, &'static str),
    /// Bytes of data a sample.
    Data(String),
    /// Bytes of index a sample.
    Index(String),
    /// Both.
    Disk(String),
}

impl Figure {
    fn name(&self) -> String {
        match self {
            Self::Ingest(what) => format!("ingest, {what}: M samples/CPU-s"),
            Self::PeakMiB(what) => format!("ingest, {what}: peak RSS, MiB"),
            Self::SeriesBytes => "memory a series (200 k), bytes".to_owned(),
            Self::QueryMs => "point query over HTTP, CPU ms".to_owned(),
            Self::Asked(_, what) => format!("{what}: CPU ms"),
            Self::AskedPeakMiB => "all of these: peak RSS, MiB".to_owned(),
            Self::HostileMs(_, what) => format!("{what}: ms to the verdict"),
            Self::HostileMiB(_, what) => format!("{what}: peak RSS grows, MiB"),
            Self::Data(what) => format!("{what}: data, B/sample"),
            Self::Index(what) => format!("{what}: index, B/sample"),
            Self::Disk(what) => format!("{what}: in all, B/sample"),
        }
    }

    /// For scripts.
    fn key(&self) -> String {
        let key: String = self.name().to_lowercase();
        let words = key.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join("_")
    }

    fn more_is_better(&self) -> bool {
        matches!(self, Self::Ingest(_))
    }
}

/// Values by figure and server, one a round.
#[derive(Debug, Default)]
pub(in crate::bench) struct Figures(BTreeMap<Figure, BTreeMap<Kind, Vec<f64>>>);

impl Figures {
    pub(in crate::bench) fn add(&mut self, figure: Figure, kind: Kind, value: f64) {
        self.0
            .entry(figure)
            .or_default()
            .entry(kind)
            .or_default()
            .push(value);
    }

    /// Prints the table, or one JSON object.
    #[expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
    pub(in crate::bench) fn tell(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
        } else {
            print!("{}", self.table());
        }
    }

    fn json(&self) -> Value {
        let row = |(figure, servers): (&Figure, &BTreeMap<Kind, Vec<f64>>)| {
            let mut row: Map<String, Value> = servers
                .iter()
                .map(|(kind, values)| {
                    let (low, middle, high) = spread(values);
                    let value =
                        json!({"median": middle, "min": low, "max": high, "n": values.len()});
                    (kind.package().to_owned(), value)
                })
                .collect();
            row.insert(
                "ratio_to_best_peer".to_owned(),
                json!(ratio(figure, servers)),
            );
            (figure.key(), Value::Object(row))
        };
        Value::Object(self.0.iter().map(row).collect())
    }

    fn table(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let kinds = [Kind::Alluse, Kind::Victoriametrics, Kind::Prometheus];
        let head = kinds.map(|kind| format!("{:>24}", kind.name())).concat();
        let mut line = |text: String| {
            writeln!(out, "{text}").expect("a string takes everything");
        };
        line(format!(
            "{:<62}{head}{:>12}",
            "median (min-max)", "to best peer"
        ));
        for (figure, servers) in &self.0 {
            let cells = kinds.map(|kind| {
                let cell = servers
                    .get(&kind)
                    .map_or_else(|| "-".to_owned(), |v| cell(v));
                format!("{cell:>24}")
            });
            let ratio =
                ratio(figure, servers).map_or_else(|| "-".to_owned(), |r| format!("{r:.2}x"));
            line(format!(
                "{:<62}{}{ratio:>12}",
                figure.name(),
                cells.concat()
            ));
        }
        out
    }
}

fn cell(values: &[f64]) -> String {
    let (low, middle, high) = spread(values);
    let digits = if middle >= 100.0 { 0 } else { 3 };
    if values.len() == 1 {
        return format!("{middle:.digits$}");
    }
    format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
}

/// Smallest, median, largest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (
        at(0),
        at(sorted.len().saturating_sub(1) / 2),
        at(sorted.len().saturating_sub(1)),
    )
}

/// Ours to the best of the others.
fn ratio(figure: &Figure, servers: &BTreeMap<Kind, Vec<f64>>) -> Option<f64> {
    let middle = |kind: &Kind| servers.get(kind).map(|values| spread(values).1);
    let peers = [Kind::Victoriametrics, Kind::Prometheus]
        .iter()
        .filter_map(middle);
    let better = if figure.more_is_better() {
        f64::max
    } else {
        f64::min
    };
    let ratio = middle(&Kind::Alluse)? / peers.reduce(better)?;
    // Next to nothing there is no ratio.
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_to_the_best_peer_whichever_way_better_lies() {
        let mut figures = Figures::default();
        for (kind, rate, bytes) in [
            (Kind::Alluse, 3.0, 1.0),
            (Kind::Victoriametrics, 1.0, 2.0),
            (Kind::Prometheus, 0.25, 4.0),
        ] {
            for noise in [0.9, 1.0, 1.5] {
                figures.add(Figure::Ingest("10 k series".to_owned()), kind, rate * noise);
            }
            figures.add(Figure::Disk("node_1s".to_owned()), kind, bytes);
        }
        let json = figures.json();
        let rate = &json["ingest_10_k_series_m_samples_cpu_s"];
        assert_eq!(rate["ratio_to_best_peer"], 3.0);
        assert_eq!(rate["alluse"]["median"], 3.0);
        assert_eq!(json["node_1s_in_all_b_sample"]["ratio_to_best_peer"], 0.5);
        let table = figures.table();
        assert!(
            table.contains("3.00x") && table.contains("0.50x"),
            "{table}"
        );
    }
}
