//! Event recall under an alarm budget on the 15 IOPS series: ours, random, never, z-score.
//!
//! Thresholds are label-free: everything runs from the first point on, only the test half is
//! scored. An event is a run of labelled points; it is found when an incident opens inside it.

use analyze::{Config, detector::Detector};

use crate::{
    data,
    score::{self, Opening, Run, Z},
};

pub(crate) fn evaluate() {
    let Some(folder) = data::folder("iops") else {
        return;
    };
    let index = data::text(&folder.join("index.csv"));
    let mut sets = Vec::new();
    for line in index.lines().skip(1) {
        let id = line.split(',').next().expect("an id");
        sets.push((
            id.to_owned(),
            data::rows(&folder.join(format!("{id}.csv.gz")))
                .iter()
                .map(|r| parse(r))
                .collect::<Vec<Point>>(),
        ));
    }
    let (mut ours, mut z) = (Vec::new(), Vec::new());
    for (id, rows) in &sets {
        let run = ours_on(rows);
        println!("{} {}", &id[..8], run.line());
        ours.push(run);
        z.push(z_on(rows));
    }
    score::table("ours", &ours);
    score::table("z-score of 4", &z);
    let random: Vec<Run> = sets.iter().map(|(_, rows)| random_on(rows)).collect();
    score::table("random", &random);
    let never: Vec<Run> = ours.iter().map(Run::silenced).collect();
    score::table("never", &never);
}

/// Time, value, label, whether in the test half.
type Point = (i64, f64, bool, bool);

fn parse(row: &[String]) -> Point {
    let time: f64 = row[0].parse().expect("a time");
    let value = row[1].parse().expect("a value");
    (
        time as i64 * 1000,
        value,
        row[2].trim().starts_with('1'),
        row[3].trim() == "test",
    )
}

fn ours_on(rows: &[Point]) -> Run {
    let config = Config::default();
    let mut detector = Detector::new();
    let mut run = Run::default();
    for &(time, value, label, test) in rows {
        let reports = detector.observe(time, value, &config);
        if test {
            run.push(time, label, detector.severity(), reports.anomaly.is_some());
        }
    }
    run
}

fn z_on(rows: &[Point]) -> Run {
    let (mut z, mut opening, mut run) = (Z::default(), Opening::default(), Run::default());
    for &(time, value, label, test) in rows {
        let severity = z.observe(value);
        let alarm = opening.observe(time, severity >= 4.0);
        if test {
            run.push(time, label, severity, alarm);
        }
    }
    run
}

fn random_on(rows: &[Point]) -> Run {
    let (mut state, mut run) = (rows.len() as u64, Run::default());
    for &(time, _, label, test) in rows {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let p = ((state >> 40) as f32 + 0.5) / 16_777_216.0;
        if test {
            run.push(time, label, -p.log10(), p < 1e-4);
        }
    }
    run
}
