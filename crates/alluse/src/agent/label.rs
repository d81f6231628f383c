//! Labels put on samples that have no such label, as Prometheus's `external_labels`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use model::{AppendError, Appended, Batch, Durability, Labels, SampleSink};

/// Label sets remembered; more and they are made anew.
const REMEMBERED_MAX: usize = 1 << 17;

/// A sink with labels put on before it.
#[derive(Debug)]
pub(super) struct Labelling<S> {
    sink: S,
    labels: Vec<(String, String)>,
    remembered: Mutex<HashMap<Labels, Labels>>,
}

impl<S: SampleSink> Labelling<S> {
    pub(super) fn new(sink: S, labels: Vec<(String, String)>) -> Self {
        Self {
            sink,
            labels,
            remembered: Mutex::default(),
        }
    }

    fn labelled(&self, labels: &Labels, known: &mut HashMap<Labels, Labels>) -> Labels {
        if let Some(found) = known.get(labels) {
            return found.clone();
        }
        let mut builder = labels.to_builder();
        for (name, value) in &self.labels {
            if builder.get(name).is_none() {
                builder.set(name.as_str(), value.as_str());
            }
        }
        let made = builder.build();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(labels.clone(), made.clone());
        made
    }
}

impl<S: SampleSink> SampleSink for Labelling<S> {
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
        let mut batch = batch.clone();
        {
            let known = &mut self
                .remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for sample in &mut batch.samples {
                sample.labels = self.labelled(&sample.labels, known);
            }
            for exemplar in &mut batch.exemplars {
                exemplar.series = self.labelled(&exemplar.series, known);
            }
        }
        self.sink.append(&batch, durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Matcher, Sample, Selection, SeriesReader};

    #[test]
    fn labels_are_added_where_there_are_none() {
        let store = std::sync::Arc::new(testkit::MemoryStore::new());
        let sink = Labelling::new(Shared(store.clone()), vec![("instance".into(), "h".into())]);
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let plain = set(&[("__name__", "a")]);
        let own = set(&[("__name__", "b"), ("instance", "x")]);
        let batch = Batch {
            samples: vec![
                Sample::float(plain, 1, 1.0),
                Sample::float(own.clone(), 1, 2.0),
            ],
            ..Batch::default()
        };
        sink.append(&batch, Durability::Fast).unwrap();
        let all = Selection {
            matchers: vec![Matcher::new("__name__", model::MatchOp::Regex, ".+").unwrap()],
            from_ms: 0,
            to_ms: 9,
        };
        let mut found: Vec<Labels> = store
            .select(&all)
            .unwrap()
            .map(|s| s.unwrap().labels)
            .collect();
        found.sort();
        assert_eq!(found, [set(&[("__name__", "a"), ("instance", "h")]), own]);
    }

    struct Shared(std::sync::Arc<testkit::MemoryStore>);

    impl SampleSink for Shared {
        fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError> {
            self.0.append(batch, durability)
        }
    }
}
