//! What senders push, decoded: one module a protocol, and bombs for all of them.

mod bombs;
mod lines;
mod otlp;
mod peak;
mod remote_write;
mod statsd;
mod writer;

use std::sync::Mutex;

use collect::receive::Reply;
use model::{AppendError, Appended, Batch, Durability, Labels, RejectReason, SampleSink, Value};

/// A sink that keeps what it gets, or fails as told.
#[derive(Debug, Default)]
struct Sink {
    kept: Mutex<Vec<Batch>>,
    full: bool,
    refuse: Option<Labels>,
    no_exemplars: bool,
}

impl SampleSink for Sink {
    fn append(&self, batch: &Batch, _durability: Durability) -> Result<Appended, AppendError> {
        if self.full {
            return Err(AppendError::DiskFull);
        }
        let refused = |s: &&model::Sample| Some(&s.labels) == self.refuse.as_ref();
        let refused = batch.samples.iter().filter(refused).count() as u64;
        let mut appended = Appended {
            stored: batch.samples.len() as u64 - refused,
            exemplars: if self.no_exemplars {
                0
            } else {
                batch.exemplars.len() as u64
            },
            ..Appended::default()
        };
        if refused > 0 {
            let example = self.refuse.clone().unwrap();
            appended
                .rejected
                .push((RejectReason::SeriesLimit, refused, example));
        }
        self.kept.lock().unwrap().push(batch.clone());
        Ok(appended)
    }
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let found = reply.headers.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| value.as_str())
}

/// A batch as text, one sample a line; histograms by count and sum.
fn text(batch: &Batch) -> Vec<String> {
    let one = |sample: &model::Sample| match &sample.value {
        Value::Float(value) => format!("{} {value} @{}", sample.labels, sample.time_ms),
        Value::Histogram(h) => {
            format!(
                "{} [{} {}] @{}",
                sample.labels, h.count, h.sum, sample.time_ms
            )
        }
    };
    batch.samples.iter().map(one).collect()
}
