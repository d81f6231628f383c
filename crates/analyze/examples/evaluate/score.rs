//! Scores of detectors on labelled points: events found, false alarms a week, precision, delay,
//! and the area under the precision-recall curve. No point adjustment.

/// What a detector said of one series.
#[derive(Debug, Default)]
pub(crate) struct Run {
    times_ms: Vec<i64>,
    labels: Vec<bool>,
    severities: Vec<f32>,
    alarms: Vec<bool>,
}

/// Counts of one or more runs.
#[derive(Debug, Default, Clone)]
struct Count {
    events: usize,
    found: usize,
    false_alarms: usize,
    weeks: f64,
    delays: Vec<usize>,
}

impl Run {
    pub(crate) fn push(&mut self, time_ms: i64, label: bool, severity: f32, alarm: bool) {
        self.times_ms.push(time_ms);
        self.labels.push(label);
        self.severities.push(severity);
        self.alarms.push(alarm);
    }

    pub(crate) fn silenced(&self) -> Self {
        Self {
            times_ms: self.times_ms.clone(),
            labels: self.labels.clone(),
            severities: vec![0.0; self.labels.len()],
            alarms: vec![false; self.labels.len()],
        }
    }

    pub(crate) fn line(&self) -> String {
        let count = self.count(&self.alarms);
        format!(
            "events {:4}  found {:4}  false/week {:5.2}  AUC-PR {:.3}",
            count.events,
            count.found,
            count.false_alarms as f64 / count.weeks,
            self.auc_pr()
        )
    }

    fn count(&self, alarms: &[bool]) -> Count {
        let last = self.times_ms.last().expect("a run has points");
        let mut count = Count {
            weeks: (last - self.times_ms[0]) as f64 / 604_800_000.0,
            ..Count::default()
        };
        let (mut start, mut found) = (None, false);
        for (i, label) in self.labels.iter().enumerate() {
            if *label && start.is_none() {
                (start, found) = (Some(i), false);
                count.events += 1;
            }
            if !label {
                start = None;
            }
            match start {
                Some(from) if alarms[i] && !found => {
                    found = true;
                    count.found += 1;
                    count.delays.push(i - from);
                }
                None if alarms[i] => count.false_alarms += 1,
                _ => {}
            }
        }
        count
    }

    /// The alarms of a common threshold with the same refractory filter.
    fn alarms_at(&self, threshold: f32) -> Vec<bool> {
        let mut opening = Opening::default();
        let points = self.times_ms.iter().zip(&self.severities);
        points
            .map(|(t, s)| opening.observe(*t, *s >= threshold))
            .collect()
    }

    /// Average precision.
    pub(crate) fn auc_pr(&self) -> f64 {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_unstable_by(|a, b| self.severities[*b].total_cmp(&self.severities[*a]));
        let total = self.labels.iter().filter(|l| **l).count() as f64;
        let (mut hits, mut area) = (0.0, 0.0);
        for (rank, i) in order.iter().enumerate() {
            if self.labels[*i] {
                hits += 1.0;
                area += hits / (rank + 1) as f64;
            }
        }
        area / total
    }
}

/// Alarms from exceedances: one an incident, closed by ten minutes or 8 points of calm.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    last_ms: i64,
    previous_ms: i64,
}

impl Opening {
    pub(crate) fn observe(&mut self, time_ms: i64, above: bool) -> bool {
        let interval = time_ms - self.previous_ms;
        self.previous_ms = time_ms;
        if !above {
            return false;
        }
        let calm = time_ms - self.last_ms > 600_000.max(8 * interval);
        self.last_ms = time_ms;
        calm
    }
}

/// The plain z-score against running mean and deviation, of a memory of 1,000 points.
#[derive(Debug, Default)]
pub(crate) struct Z {
    count: f64,
    mean: f64,
    square: f64,
}

impl Z {
    pub(crate) fn observe(&mut self, value: f64) -> f32 {
        let z = (value - self.mean) / (self.square - self.mean * self.mean).max(1e-12).sqrt();
        self.count = (self.count + 1.0).min(1000.0);
        self.mean += (value - self.mean) / self.count;
        self.square += (value * value - self.square) / self.count;
        if self.count < 150.0 {
            0.0
        } else {
            z.abs() as f32
        }
    }
}

/// Means over series, with 95 % bootstrap intervals over them.
pub(crate) fn table(name: &str, runs: &[Run]) {
    let counts: Vec<Count> = runs.iter().map(|r| r.count(&r.alarms)).collect();
    let recall = |c: &Count| c.found as f64 / c.events.max(1) as f64;
    let recalls: Vec<f64> = counts.iter().map(recall).collect();
    let rates: Vec<f64> = counts
        .iter()
        .map(|c| c.false_alarms as f64 / c.weeks)
        .collect();
    let areas: Vec<f64> = runs.iter().map(Run::auc_pr).collect();
    let found: usize = counts.iter().map(|c| c.found).sum();
    let wrong: usize = counts.iter().map(|c| c.false_alarms).sum();
    let events: usize = counts.iter().map(|c| c.events).sum();
    let mut delays: Vec<usize> = counts.iter().flat_map(|c| c.delays.clone()).collect();
    delays.sort_unstable();
    let quantile = |q: f64| {
        delays
            .get((q * delays.len() as f64) as usize)
            .copied()
            .unwrap_or(0)
    };
    println!(
        "{name:16} recall mean {} pooled {:.2}  false/metric/week {} (worst {:.2})  precision {:.2}  delay median {} p90 {}  AUC-PR {}  best recall at <= 1/week {:.2}",
        interval(&recalls),
        found as f64 / events as f64,
        interval(&rates),
        rates.iter().copied().fold(0.0, f64::max),
        found as f64 / (found + wrong).max(1) as f64,
        quantile(0.5),
        quantile(0.9),
        interval(&areas),
        best_recall(runs),
    );
}

/// The best mean recall of one common severity with at most one false alarm a series and week on
/// average: needs the labels, for comparison only.
pub(crate) fn best_recall(runs: &[Run]) -> f64 {
    let levels = (10..200).map(|level| level as f32 * 0.1);
    let mut best: f64 = 0.0;
    for level in levels {
        let counts: Vec<Count> = runs.iter().map(|r| r.count(&r.alarms_at(level))).collect();
        let n = counts.len() as f64;
        let rate = counts
            .iter()
            .map(|c| c.false_alarms as f64 / c.weeks)
            .sum::<f64>()
            / n;
        let recall = counts
            .iter()
            .map(|c| c.found as f64 / c.events.max(1) as f64)
            .sum::<f64>()
            / n;
        if rate <= 1.0 {
            best = best.max(recall);
        }
    }
    best
}

fn interval(values: &[f64]) -> String {
    let mut state = 1_u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        values[(state >> 33) as usize % values.len()]
    };
    let n = values.len() as f64;
    let mut means: Vec<f64> = (0..1000)
        .map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / n)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    format!(
        "{:.2} [{:.2} {:.2}]",
        values.iter().sum::<f64>() / n,
        means[25],
        means[974]
    )
}
