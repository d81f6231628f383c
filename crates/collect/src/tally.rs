//! The collector's own counters and gauges: nothing it drops or fails at is silent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use model::{Labels, METRIC_NAME, Sample};

/// Values by series, shared by the parts of a collector.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<Labels, f64>>);

impl Tally {
    /// Adds to a counter.
    pub fn add(&self, name: &str, labels: &[(&str, &str)], by: f64) {
        *self.lock().entry(series(name, labels)).or_default() += by;
    }

    /// Sets a gauge.
    pub fn set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.lock().insert(series(name, labels), value);
    }

    /// Forgets a series: what it counted is gone.
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) {
        self.lock().remove(&series(name, labels));
    }

    /// The value of one series, if it was ever touched.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.lock().get(&series(name, labels)).copied()
    }

    /// Everything as samples of one time, in order of labels.
    #[must_use]
    pub fn samples(&self, time_ms: i64) -> Vec<Sample> {
        let float =
            |(labels, value): (&Labels, &f64)| Sample::float(labels.clone(), time_ms, *value);
        self.lock().iter().map(float).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Labels, f64>> {
        // A panic elsewhere leaves whole numbers behind: they are as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn series(name: &str, labels: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(labels.iter().copied().chain([(METRIC_NAME, name)]))
}
