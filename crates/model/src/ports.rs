//! The seams between stages: who takes samples, who gives series.

use thiserror::Error;

use crate::{
    Batch, Digest, Exemplar, Labels, Matcher, Metadata, Point, Sample, Series, SeriesTable,
    SharedLabels, Thinned, Windows,
};

/// When an append counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Handed to the operating system: survives the death of the process; a power cut may lose
    /// what the sink's flush window holds.
    #[default]
    Fast,
    /// On the disk: survives a power cut.
    Sync,
}

/// Why samples of a batch were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// A new series beyond the limit of active series.
    SeriesLimit,
    /// A new series of a metric that has as many as one metric may have.
    MetricLimit,
    /// A new series that would give a label more values than it may have, or a selector more
    /// series.
    LabelLimit,
    /// A label set without a metric name, too many labels, or a label too long.
    InvalidLabels,
    /// Older than the retention, or implausibly far in the future.
    OutOfBounds,
    /// A sample at this time exists with another value and the sink keeps the first.
    Duplicate,
    /// Older than the newest sample of its series, where the sink cannot take it.
    OutOfOrder,
    /// Refused by the store elsewhere that keeps the samples; it said why, not of which.
    Peer,
}

impl RejectReason {
    /// As a label value of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SeriesLimit => "series_limit",
            Self::MetricLimit => "metric_limit",
            Self::LabelLimit => "label_limit",
            Self::InvalidLabels => "invalid_labels",
            Self::OutOfBounds => "out_of_bounds",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::Peer => "refused_by_peer",
        }
    }
}

/// What became of a batch that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// Samples stored.
    pub stored: u64,
    /// Samples refused, by reason, with one example each.
    pub rejected: Vec<(RejectReason, u64, Labels)>,
    /// The first refused samples, by their place in the batch: enough to look at, not all.
    pub refused: Vec<(usize, RejectReason)>,
    /// Samples stored that were older than their series' newest.
    pub out_of_order: u64,
    /// Samples stored at the time of their series' newest: a repeat, or a correction.
    pub repeated: u64,
    /// Exemplars kept.
    pub exemplars: u64,
}

/// Refused samples an [`Appended`] names one by one: a bound on what a bad batch costs.
pub const REFUSED_MAX: usize = 32;

/// Why a whole batch was not taken. Nothing of it is stored.
#[derive(Debug, Error)]
pub enum AppendError {
    /// No space. The sink recovers by itself when space returns; try again later.
    #[error("the disk is full: ingest is stopped until space is free")]
    DiskFull,
    /// The sink cannot write.
    #[error("cannot {operation}")]
    Io {
        /// What was tried, on which file.
        operation: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The sink is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// Takes samples.
pub trait SampleSink: Send + Sync {
    /// Stores a batch; when it returns `Ok`, what `stored` counts will not be lost to the death
    /// of the process.
    fn append(&self, batch: &Batch, durability: Durability) -> Result<Appended, AppendError>;

    /// Stores floats whose series are slots of a table, under the same promise. A sink with
    /// numbers of its own leaves them in the table and saves the look-up next time; any other
    /// takes the points as the batch they stand for.
    fn append_points(
        &self,
        table: &mut SeriesTable,
        points: &[Point],
        door: &'static str,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        self.append(&points_batch(table.shared(), points, door), durability)
    }
}

/// The batch that points of a table stand for, in their order. Points at slots that hold nothing
/// are left out.
#[must_use]
pub fn points_batch(labels: &SharedLabels, points: &[Point], door: &'static str) -> Batch {
    let sample = |point: &Point| {
        let labels = labels.get(point.series)?.clone();
        Some(Sample::float(labels, point.time_ms, point.value))
    };
    Batch {
        samples: points.iter().filter_map(sample).collect(),
        door,
        ..Batch::default()
    }
}

/// Which samples a reader is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// First time wanted, ms, inclusive.
    pub from_ms: i64,
    /// Last time wanted, ms, inclusive.
    pub to_ms: i64,
}

/// What a reader is asked about names, values or label sets.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelQuery {
    /// Alternatives; a series counts if any list holds whole. Empty: every series counts.
    pub any_of: Vec<Vec<Matcher>>,
    /// Only series with samples at or after this time (ms); coarse at the edges.
    pub from_ms: i64,
    /// Only series with samples at or before this time (ms); coarse at the edges.
    pub to_ms: i64,
    /// At most so many answers; 0 for all.
    pub limit: usize,
}

/// Why a read failed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The reader cannot read.
    #[error("cannot {operation}")]
    Io {
        /// What was tried.
        operation: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Stored bytes do not check.
    #[error("corrupt data in {place}")]
    Corrupt {
        /// File and position.
        place: String,
    },
    /// A remote store refused or could not answer.
    #[error("the remote store: {0}")]
    Remote(String),
}

/// What has changed in a reader for who read it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Counts the reader's changes: what to ask with next time about what is read from now on.
    pub version: u64,
    /// First time (ms) at which a sample may have come or gone since; `i64::MAX` if none has.
    /// Everything before it is as it was.
    pub from_ms: i64,
}

/// Series, one at a time, in any order.
pub type SeriesIter<'a> = Box<dyn Iterator<Item = Result<Series, ReadError>> + Send + 'a>;

/// Series in runs, one at a time, in any order.
pub type DigestIter<'a> = Box<dyn Iterator<Item = Result<Digest, ReadError>> + Send + 'a>;

/// Gives series.
pub trait SeriesReader: Send + Sync {
    /// The matching series that have samples in the range, each with exactly those samples.
    /// Matches nothing when `matchers` is empty. [`ReadError::Corrupt`] among them says that some
    /// samples cannot be read: what follows is right, but the whole is not complete.
    fn select<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError>;

    /// As [`SeriesReader::select`], for who looks at the newest sample of each series only: older
    /// ones may be left out.
    fn newest<'a>(&'a self, selection: &Selection) -> Result<SeriesIter<'a>, ReadError> {
        self.select(selection)
    }

    /// As [`SeriesReader::select`], or [`SeriesReader::newest`] if that is enough, in pieces of
    /// about so many series, so that several threads may read them: one after another they give
    /// the same series in the same order. How it is cut depends on what is stored alone.
    fn pieces<'a>(
        &'a self,
        selection: &Selection,
        only_newest: bool,
        series: usize,
    ) -> Result<Vec<SeriesIter<'a>>, ReadError> {
        let _whole = series;
        let found = if only_newest {
            self.newest(selection)?
        } else {
            self.select(selection)?
        };
        Ok(vec![found])
    }

    /// As [`SeriesReader::select`], with samples told in runs where the reader knows them without
    /// reading them. No edge of `windows` cuts a run, except where single samples are not left
    /// ([`SeriesReader::thinned`]). `None` from a reader that has only samples.
    fn digest<'a>(
        &'a self,
        selection: &Selection,
        windows: &Windows,
    ) -> Result<Option<DigestIter<'a>>, ReadError> {
        let _neither = (selection, windows);
        Ok(None)
    }

    /// Where in a range of time not every sample is left, in order of time.
    fn thinned(&self, from_ms: i64, to_ms: i64) -> Vec<Thinned> {
        let _neither = (from_ms, to_ms);
        Vec::new()
    }

    /// What has changed since it was at `version`: at least every change that was acknowledged
    /// before this call. `None` from a reader that does not know.
    fn changes(&self, version: u64) -> Option<Changes> {
        let _unknown = version;
        None
    }

    /// The label sets of matching series, sorted.
    fn series(&self, query: &LabelQuery) -> Result<Vec<Labels>, ReadError>;

    /// Label names of matching series, sorted, unique.
    fn label_names(&self, query: &LabelQuery) -> Result<Vec<String>, ReadError>;

    /// Values of one label over matching series, sorted, unique.
    fn label_values(&self, name: &str, query: &LabelQuery) -> Result<Vec<String>, ReadError>;

    /// Exemplars of series for which one of the alternatives holds whole, from `from_ms` to
    /// `to_ms` inclusive: in order of series, then of time. A reader that keeps none has none.
    fn exemplars(
        &self,
        _any_of: &[Vec<Matcher>],
        _from_ms: i64,
        _to_ms: i64,
    ) -> Result<Vec<Exemplar>, ReadError> {
        Ok(Vec::new())
    }

    /// What sources said of metric families: of one, or of all.
    fn metadata(&self, family: Option<&str>) -> Result<Vec<Metadata>, ReadError>;
}
