//! Reading: everything the head and the parts know of one series, in one order.
//!
//! Series come one at a time in the order of their label bytes. Samples move from the head to
//! frozen memory to parts while a reader walks: it notices by the head's generation, resolves
//! again against the new view, and goes on after the last series it gave.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use model::{LabelQuery, Labels, Matcher, ReadError, Selection, Series, SeriesIter};

use crate::{
    columns::Columns,
    labels_index::{resolve, union},
    store::{Core, View, lock},
};

/// A series found, and where its samples may be.
#[derive(Debug)]
struct Candidate {
    labels: Labels,
    /// Its number in memory.
    id: u32,
}

/// Walks over the series of a selection.
struct Walk<'a> {
    core: &'a Core,
    selection: Selection,
    view: Arc<View>,
    /// Still to come, last one first.
    left: Vec<Candidate>,
}

impl Core {
    pub(crate) fn select(&self, selection: &Selection) -> Result<SeriesIter<'_>, ReadError> {
        if selection.matchers.is_empty() || selection.from_ms > selection.to_ms {
            return Ok(Box::new(std::iter::empty()));
        }
        let view = Arc::clone(&lock(&self.view));
        let mut walk = Walk {
            core: self,
            selection: selection.clone(),
            view,
            left: Vec::new(),
        };
        walk.resolve(None);
        Ok(Box::new(walk))
    }

    fn in_memory(&self, matchers: &[Matcher]) -> Vec<Candidate> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let found = resolve(&registry.index, matchers);
        let candidate = |id: &u32| {
            let labels = registry
                .labels(*id)
                .expect("the index knows series in use")
                .clone();
            Candidate { labels, id: *id }
        };
        found.iter().map(candidate).collect()
    }

    /// Label sets with samples in the query's range, in no order, perhaps more than once.
    fn each_labels(
        &self,
        query: &LabelQuery,
        each: &mut dyn FnMut(&Labels),
    ) -> Result<(), ReadError> {
        let view = Arc::clone(&lock(&self.view));
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let lists = query.any_of.iter().map(|all| resolve(&registry.index, all));
        let ids = if query.any_of.is_empty() {
            resolve(&registry.index, &[])
        } else {
            union(lists.collect())
        };
        for id in ids {
            if self.touches(&view, id, query.from_ms, query.to_ms) {
                each(registry.labels(id).expect("the index knows series in use"));
            }
        }
        Ok(())
    }

    /// Whether a series has samples in memory in the range.
    fn touches(&self, view: &View, id: u32, from_ms: i64, to_ms: i64) -> bool {
        let within = |span: Option<(i64, i64)>| {
            span.is_some_and(|(from, to)| from <= to_ms && to >= from_ms)
        };
        let open = self
            .head
            .ask(id, |data| within(data.and_then(|d| d.span_ms())));
        open.is_some_and(|reading| reading.answer)
            || view
                .frozen
                .iter()
                .any(|f| within(f.series(id).and_then(|d| d.span_ms())))
    }

    pub(crate) fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            found.insert(labels.clone());
        })?;
        Ok(limited(found, query.limit))
    }

    pub(crate) fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            for (name, _) in labels.iter() {
                if !found.contains(name) {
                    found.insert(name.to_owned());
                }
            }
        })?;
        Ok(limited(found, query.limit))
    }

    pub(crate) fn label_values(
        &self,
        name: &str,
        query: &LabelQuery,
    ) -> Result<Vec<String>, ReadError> {
        let mut found = BTreeSet::new();
        self.each_labels(query, &mut |labels| {
            if let Some(value) = labels.get(name).filter(|v| !found.contains(*v)) {
                found.insert(value.to_owned());
            }
        })?;
        Ok(limited(found, query.limit))
    }
}

fn limited<T>(found: BTreeSet<T>, limit: usize) -> Vec<T> {
    let most = if limit == 0 { usize::MAX } else { limit };
    found.into_iter().take(most).collect()
}

impl Walk<'_> {
    /// Finds the series after `after`, by label bytes.
    fn resolve(&mut self, after: Option<&Labels>) {
        self.left = self.core.in_memory(&self.selection.matchers);
        if let Some(after) = after {
            self.left.retain(|c| c.labels.as_bytes() > after.as_bytes());
        }
        self.left
            .sort_unstable_by(|a, b| b.labels.as_bytes().cmp(a.labels.as_bytes()));
    }

    /// Runs of one series in the order they were written; `None` if the view is outdated.
    fn runs(&self, candidate: &Candidate) -> Option<Vec<Columns>> {
        let (from, to) = (self.selection.from_ms, self.selection.to_ms);
        let mut runs = Vec::new();
        for frozen in &self.view.frozen {
            if let Some(data) = frozen.series(candidate.id) {
                data.runs(from, to, &mut runs);
            }
        }
        let reading = self.core.head.ask(candidate.id, |data| {
            if let Some(data) = data {
                data.runs(from, to, &mut runs);
            }
        });
        let current = reading.is_none_or(|r| r.generation == self.view.generation);
        current.then_some(runs)
    }

    fn read(&self, candidate: &Candidate) -> Option<Columns> {
        let mut columns = Columns::merge(self.runs(candidate)?);
        columns.clip(self.selection.from_ms, self.selection.to_ms);
        Some(columns)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Series, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(candidate) = self.left.pop() {
            let Some(columns) = self.read(&candidate) else {
                self.left.push(candidate);
                return None;
            };
            if !columns.is_empty() {
                return Some(Ok(Series {
                    labels: candidate.labels,
                    times_ms: columns.times,
                    values: columns.values,
                    histograms: columns.histograms,
                    starts_ms: Vec::new(),
                }));
            }
        }
        None
    }
}
