//! The Numenta Anomaly Benchmark (Lavin & Ahmad 2015), scored with its own rules: windows,
//! sigmoid, first 15 % not scored, normalised between silence and perfection.
//!
//! NAB lets every detector choose one threshold for all series with the labels in hand; that
//! figure is printed for comparison with the published ones, beside that of our own incidents,
//! which saw no label.

use analyze::{Config, detector::Detector};

use crate::{data, score::Z};

/// One series: rows after probation count.
struct Case {
    times_ms: Vec<i64>,
    values: Vec<f64>,
    /// First and last index of each window.
    windows: Vec<(usize, usize)>,
    probation: usize,
}

/// Weights of false positives and false negatives.
const PROFILES: [(&str, f64, f64); 3] = [
    ("standard", 0.11, 1.0),
    ("low-FP", 0.22, 1.0),
    ("low-FN", 0.11, 2.0),
];

pub(crate) fn evaluate() {
    let Some(folder) = data::folder("nab") else {
        return;
    };
    let windows: serde_json::Value =
        serde_json::from_str(&data::text(&folder.join("combined_windows.json"))).expect("JSON");
    let windows = windows.as_object().expect("an object");
    let cases: Vec<Case> = windows
        .iter()
        .map(|(name, windows)| {
            let rows = data::rows(&folder.join("data").join(format!("{name}.gz")));
            case(&rows, windows)
        })
        .collect();
    let ours: Vec<(Vec<f32>, Vec<usize>)> = cases.iter().map(run).collect();
    let severities: Vec<Vec<f32>> = ours.iter().map(|(s, _)| s.clone()).collect();
    let incidents: Vec<Vec<usize>> = ours.into_iter().map(|(_, i)| i).collect();
    print("ours, label-free", &cases, &incidents);
    if std::env::args().any(|a| a == "detail") {
        for ((name, _), (case, detections)) in windows.iter().zip(cases.iter().zip(&incidents)) {
            let raw = raw_score(case, detections, 0.11, 1.0);
            println!(
                "{name:60} {raw:6.2} {:?} {:?} of {}",
                case.windows,
                detections,
                case.values.len()
            );
        }
    }
    sweep("ours, NAB's way", &cases, &severities);
    sweep(
        "z-score",
        &cases,
        &cases.iter().map(z_scores).collect::<Vec<_>>(),
    );
    sweep(
        "random",
        &cases,
        &cases.iter().map(random).collect::<Vec<_>>(),
    );
    print("never", &cases, &vec![Vec::new(); cases.len()]);
}

fn case(rows: &[Vec<String>], windows: &serde_json::Value) -> Case {
    let times_ms: Vec<i64> = rows.iter().map(|r| data::parse_time(&r[0])).collect();
    let values: Vec<f64> = rows
        .iter()
        .map(|r| r[1].trim().parse().expect("a value"))
        .collect();
    let index = |text: &serde_json::Value| {
        let at = data::parse_time(text.as_str().expect("text"));
        times_ms
            .iter()
            .position(|t| *t == at)
            .expect("windows begin and end at rows")
    };
    let windows = windows.as_array().expect("a list").iter();
    let windows = windows.map(|w| (index(&w[0]), index(&w[1]))).collect();
    let probation = values.len().min(5000) * 15 / 100;
    Case {
        times_ms,
        values,
        windows,
        probation,
    }
}

fn run(case: &Case) -> (Vec<f32>, Vec<usize>) {
    let config = Config {
        min_history: 32,
        ..Config::default()
    };
    let mut detector = Detector::new();
    let (mut severities, mut incidents) = (Vec::new(), Vec::new());
    for (i, (time, value)) in case.times_ms.iter().zip(&case.values).enumerate() {
        let told = detector.observe(*time, *value, &config);
        severities.push(detector.severity());
        if told.anomaly.is_some() {
            incidents.push(i);
        }
    }
    (severities, incidents)
}

fn z_scores(case: &Case) -> Vec<f32> {
    let mut z = Z::default();
    case.values.iter().map(|v| z.observe(*v)).collect()
}

fn random(case: &Case) -> Vec<f32> {
    let mut state = case.values.len() as u64;
    let mut draw = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        -(((state >> 40) as f32 + 0.5) / 16_777_216.0).log10()
    };
    case.values.iter().map(&mut draw).collect()
}

/// Points a detection silences in the sweep: the published comparison has such a filter too.
const REFRACTORY: usize = 200;

fn detections(severities: &[f32], threshold: f32) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (i, severity) in severities.iter().enumerate() {
        if *severity >= threshold && found.last().is_none_or(|last| i - last > REFRACTORY) {
            found.push(i);
        }
    }
    found
}

/// Each profile at its own best common threshold.
fn sweep(name: &str, cases: &[Case], severities: &[Vec<f32>]) {
    let mut best: Option<(f64, f32, Vec<Vec<usize>>)> = None;
    let mut scores = Vec::new();
    for (_, fp, fn_) in PROFILES {
        let levels = (5..300).map(|l| l as f32 * 0.1);
        let tried = levels.map(|level| {
            let found: Vec<_> = severities.iter().map(|s| detections(s, level)).collect();
            (normalised(cases, &found, fp, fn_), level, found)
        });
        let top = tried.max_by(|a, b| a.0.total_cmp(&b.0)).expect("levels");
        scores.push(top.0);
        best.get_or_insert(top);
    }
    let (_, level, found) = best.expect("profiles");
    let (hit, wrong) = tally(cases, &found);
    println!(
        "{name:18} {:.1} / {:.1} / {:.1}  windows {hit}, false {wrong} (at {level:.1})",
        scores[0], scores[1], scores[2]
    );
}

fn print(name: &str, cases: &[Case], detections: &[Vec<usize>]) {
    let scores = PROFILES.map(|(_, fp, fn_)| normalised(cases, detections, fp, fn_));
    let (hit, wrong) = tally(cases, detections);
    println!(
        "{name:18} {:.1} / {:.1} / {:.1}  windows {hit}, false {wrong}",
        scores[0], scores[1], scores[2]
    );
}

fn normalised(cases: &[Case], detections: &[Vec<usize>], fp: f64, fn_: f64) -> f64 {
    let raw: f64 = cases
        .iter()
        .zip(detections)
        .map(|(c, d)| raw_score(c, d, fp, fn_))
        .sum();
    let windows = cases.iter().map(|c| c.windows.len()).sum::<usize>() as f64;
    100.0 * (raw + fn_ * windows) / (windows + fn_ * windows)
}

fn sigmoid(position: f64) -> f64 {
    if position > 3.0 {
        -1.0
    } else {
        2.0 / (1.0 + (5.0 * position).exp()) - 1.0
    }
}

fn raw_score(case: &Case, detections: &[usize], fp: f64, fn_: f64) -> f64 {
    let mut total = 0.0;
    for (left, right) in &case.windows {
        let first = detections
            .iter()
            .find(|d| **d >= case.probation && (left..=right).contains(d));
        total += first.map_or(-fn_, |d| {
            let width = (right - left + 1) as f64;
            sigmoid(-((right - d + 1) as f64) / width) / sigmoid(-1.0)
        });
    }
    for d in detections
        .iter()
        .filter(|d| **d >= case.probation && !inside(case, **d))
    {
        let before = case.windows.iter().rev().find(|(_, right)| right < d);
        total += fp
            * before.map_or(-1.0, |(left, right)| {
                sigmoid((d - right) as f64 / (right - left).max(1) as f64)
            });
    }
    total
}

fn inside(case: &Case, at: usize) -> bool {
    case.windows
        .iter()
        .any(|(left, right)| (left..=right).contains(&&at))
}

fn tally(cases: &[Case], detections: &[Vec<usize>]) -> (usize, usize) {
    let (mut hit, mut wrong) = (0, 0);
    for (case, found) in cases.iter().zip(detections) {
        let scored = found.iter().filter(|d| **d >= case.probation);
        wrong += scored.clone().filter(|d| !inside(case, **d)).count();
        let windows = case.windows.iter();
        hit += windows
            .filter(|(l, r)| scored.clone().any(|d| (l..=r).contains(&d)))
            .count();
    }
    (hit, wrong)
}
