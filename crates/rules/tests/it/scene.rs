//! A group, the answers its expressions get, and a store that keeps what it makes.
#![cfg(test)]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use model::{Alert, Clock, Labels, Selection, SeriesReader, Value, is_stale};
use rules::{Evaluate, Group, GroupSpec, Surroundings, file};
use testkit::MemoryStore;

/// A clock that does not move: evaluations take no time.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

type Answer = Result<Vec<(Labels, f64)>, String>;

/// What expressions answer: set by the test; `metric NAME` reads the store's newest values.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) store: MemoryStore,
    answers: Mutex<BTreeMap<String, Answer>>,
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub(crate) fn groups(text: &str) -> Vec<GroupSpec> {
    let read = file::read("r.yml", text, file::Defaults::default(), &|expr| {
        Ok(expr.to_owned())
    });
    read.unwrap_or_else(|notes| panic!("{notes:?}")).groups
}

pub(crate) fn group(text: &str, restores: bool) -> Group {
    Group::new(groups(text).remove(0).into(), restores)
}

impl Scene {
    /// From now on the expression answers these.
    pub(crate) fn answer(&self, expr: &str, elements: &[(&[(&str, &str)], f64)]) {
        let elements = elements.iter().map(|(l, v)| (labels(l), *v)).collect();
        let mut answers = self.answers.lock().unwrap();
        answers.insert(expr.to_owned(), Ok(elements));
    }

    pub(crate) fn fail(&self, expr: &str, why: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(expr.to_owned(), Err(why.to_owned()));
    }

    pub(crate) fn evaluate(&self, group: &mut Group, at_ms: i64) -> Vec<Alert> {
        let external = labels(&[("cluster", "eu")]);
        let around = Surroundings {
            evaluator: self,
            sink: &self.store,
            clock: &Still,
            external_labels: &external,
            external_url: "http://here",
        };
        group.evaluate(at_ms, &around)
    }

    /// The points of the series of a metric, each as `time:value`, in order of labels.
    pub(crate) fn stored(&self, metric: &str) -> Vec<String> {
        let selection = Selection {
            matchers: vec![model::Matcher::equal("__name__", metric)],
            from_ms: i64::MIN / 2,
            to_ms: i64::MAX / 2,
        };
        let series = self.store.select(&selection).unwrap();
        let mut lines: Vec<String> = series
            .map(|series| {
                let series = series.unwrap();
                let points = series.times_ms.iter().zip(&series.values);
                let points = points.map(|(t, v)| match is_stale(*v) {
                    true => format!("{}:stale", t / 1_000),
                    false => format!("{}:{v}", t / 1_000),
                });
                let points: Vec<String> = points.collect();
                format!("{} {}", series.labels, points.join(" "))
            })
            .collect();
        lines.sort();
        lines
    }
}

impl Evaluate for Scene {
    fn evaluate(&self, expr: &str, at_ms: i64) -> Result<Vec<(Labels, Value)>, String> {
        if let Some(metric) = expr.strip_prefix("metric ") {
            let selection = Selection {
                matchers: vec![model::Matcher::equal("__name__", metric)],
                from_ms: at_ms - 300_000,
                to_ms: at_ms,
            };
            let series = self.store.select(&selection).unwrap();
            let newest = series.filter_map(|series| {
                let series = series.unwrap();
                let value = *series.values.last()?;
                (!is_stale(value)).then_some((series.labels, Value::Float(value)))
            });
            return Ok(newest.collect());
        }
        let answers = self.answers.lock().unwrap();
        let answer = answers.get(expr).cloned().unwrap_or(Ok(Vec::new()))?;
        let float = |(labels, value)| (labels, Value::Float(value));
        Ok(answer.into_iter().map(float).collect())
    }
}
