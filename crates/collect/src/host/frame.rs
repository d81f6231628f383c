//! One tick's samples as the sources add to them.

use std::time::Duration;

use model::{Batch, Labels, Metadata, MetricType, Sample};

use super::series;

/// Where sources put what they read.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    batch: &'a mut Batch,
    base: &'a Labels,
    tick_ms: i64,
    /// When the readings are taken, for rates.
    pub(crate) monotonic: Duration,
}

/// Name, type and help of a family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) help: &'static str,
}

impl Family {
    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: MetricType::Counter,
            help,
        }
    }

    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: MetricType::Gauge,
            help,
        }
    }
}

impl<'a> Frame<'a> {
    pub(crate) fn new(
        batch: &'a mut Batch,
        base: &'a Labels,
        tick_ms: i64,
        monotonic: Duration,
    ) -> Self {
        Self {
            batch,
            base,
            tick_ms,
            monotonic,
        }
    }

    /// Adds one sample.
    pub(crate) fn push(&mut self, labels: &Labels, value: f64) {
        self.batch
            .samples
            .push(Sample::float(labels.clone(), self.tick_ms, value));
    }

    /// Labels of a series with the host's own labels.
    pub(crate) fn series(&self, name: &str, pairs: &[(&str, &str)]) -> Labels {
        series(self.base, name, pairs)
    }

    /// Says what families are; once, when they are first seen.
    pub(crate) fn describe<'f>(&mut self, families: impl IntoIterator<Item = &'f Family>) {
        for family in families {
            self.describe_as(family.name, family.kind, family.help);
        }
    }

    /// The same for a name made at run time.
    pub(crate) fn describe_as(&mut self, name: &str, metric_type: MetricType, help: &str) {
        self.batch.metadata.push(Metadata {
            family: name.to_owned(),
            metric_type,
            help: help.to_owned(),
            unit: String::new(),
        });
    }
}
