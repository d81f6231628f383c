//! The receiving side: what senders push, decoded into a batch or refused in their protocol's way.
//!
//! No sockets here: a server hands over headers and body bytes and gets a [`Received`] or a
//! [`Refusal`]; what the sink made of the batch becomes a [`Reply`] again. One object, the
//! [`Receiver`], serves all requests: its [lanes](lanes) hold what a decoder remembers between
//! requests (label sets seen, buffers), and everything it holds is bounded by [`Limits`].
//!
//! Two rules for bad data, as the protocols have them. A body that cannot be read is refused
//! whole. A body that reads well but says something invalid of one series loses that series only;
//! the rest is stored, and the reply still says that not everything was.
//!
//! | file | what |
//! |---|---|
//! | [`remote_write`] | Prometheus remote write 1.0 and 2.0 |
//! | [`otlp`] | OpenTelemetry's metrics over HTTP, protobuf and JSON |
//! | [`influx`] | InfluxDB line protocol |
//! | [`statsd`] | StatsD and DogStatsD datagrams, aggregated |
//! | [`json_lines`], [`csv`] | import formats: one series a line, one sample a row |
//! | [`encoding`], [`snappy`] | content encodings, bounded before and while they unpack |
//! | [`protobuf`] | the wire format, field by field |
//! | `interner`, `print` | label sets that repeat, recognised by their bytes or fingerprint |
//! | `lines` | what the text protocols share: lines, query parameters, replies |
//! | `intake` | a batch being filled, with what is charged for it |

pub mod csv;
pub mod encoding;
pub mod influx;
mod intake;
mod interner;
pub mod json_lines;
pub mod lanes;
mod lines;
pub mod otlp;
mod print;
pub mod protobuf;
pub mod remote_write;
mod reply;
pub mod snappy;
pub mod statsd;

use std::collections::BTreeMap;

use model::Batch;

pub use lanes::Receiver;
pub use reply::{Refusal, Reply};

/// Bounds on what one request may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as sent. 32 MiB.
    pub body_bytes: usize,
    /// Bytes of a body unpacked. 64 MiB: two to three million samples with their labels.
    pub decoded_bytes: usize,
    /// Unpacked bytes for each packed one. 100: real metrics reach 30.
    pub ratio: usize,
    /// Bytes the decoded batch may take: 16 MiB, about 400,000 samples. A sample takes more
    /// memory than its shortest encoding, so bounding the body does not bound the batch.
    pub batch_bytes: usize,
    /// Labels of one series, the metric's name not counted.
    pub labels: usize,
    /// Bytes of a metric or label name.
    pub name_bytes: usize,
    /// Bytes of a label value.
    pub value_bytes: usize,
    /// Bytes of one line of a text protocol. 1 MiB: a JSON line with many samples of a series.
    pub line_bytes: usize,
    /// Label sets each lane remembers.
    pub remembered_series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            decoded_bytes: 64 << 20,
            ratio: 100,
            batch_bytes: 16 << 20,
            labels: 40,
            name_bytes: 256,
            value_bytes: 4 << 10,
            line_bytes: 1 << 20,
            remembered_series: 500_000,
        }
    }
}

/// What a server knows of a request, without its framework.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<&'a str>,
    /// The query string without `?`, as it stands in the URL.
    pub query: &'a str,
    /// The body as sent.
    pub body: &'a [u8],
    /// Now, ms since the Unix epoch: the time of samples that give none.
    pub now_ms: i64,
    /// Which connection it came by: requests of one repeat each other's series. Any number; one
    /// after the other serves best.
    pub connection: u64,
}

/// What a request brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Received {
    /// What is valid of it.
    pub batch: Batch,
    /// How many of the batch's samples are histograms.
    pub histograms: u64,
    /// Start timestamps: (index of the sample in the batch, ms), only those the sender knows.
    pub starts_ms: Vec<(usize, i64)>,
    /// The same for floats named by slot, while a request is served.
    pub(crate) point_starts_ms: Vec<(usize, i64)>,
    /// What was not valid.
    pub rejected: Rejected,
}

/// Counts of what was refused inside a request that reads well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Series, lines or data points by reason, with the first example of each.
    pub reasons: BTreeMap<Fault, (u64, String)>,
}

/// Why a series, a line or a data point is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// No metric name.
    NoName,
    /// Names that do not rise.
    UnsortedLabels,
    /// A label twice.
    DuplicateLabel,
    /// A label without a name or, where the protocol forbids it, without a value.
    EmptyLabel,
    /// More labels than the limit.
    TooManyLabels,
    /// A name longer than the limit.
    NameTooLong,
    /// A value longer than the limit.
    ValueTooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A reference to a symbol that is not there.
    BadReference,
    /// Float samples and histograms in one series.
    MixedValues,
    /// A series with neither samples nor histograms.
    NoValues,
    /// A histogram that contradicts itself.
    BadHistogram,
    /// An exemplar without a time.
    NoTimestamp,
    /// Something the receiver cannot represent.
    Unsupported,
    /// A line that cannot be read.
    Syntax,
    /// A number or time that is none, or is out of range.
    BadNumber,
    /// A new series where no more can be aggregated.
    TooManySeries,
}

impl Fault {
    /// As a label value of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoName => "no_name",
            Self::UnsortedLabels => "unsorted_labels",
            Self::DuplicateLabel => "duplicate_label",
            Self::EmptyLabel => "empty_label",
            Self::TooManyLabels => "too_many_labels",
            Self::NameTooLong => "name_too_long",
            Self::ValueTooLong => "value_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::BadReference => "bad_reference",
            Self::MixedValues => "mixed_values",
            Self::NoValues => "no_values",
            Self::BadHistogram => "bad_histogram",
            Self::NoTimestamp => "no_timestamp",
            Self::Unsupported => "unsupported",
            Self::Syntax => "syntax",
            Self::BadNumber => "bad_number",
            Self::TooManySeries => "too_many_series",
        }
    }
}

/// Bytes of an example kept with a reason.
const EXAMPLE_BYTES: usize = 200;

impl Rejected {
    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Notes a reason; `example` is only asked for the first of its kind.
    pub(crate) fn note(&mut self, fault: Fault, example: impl FnOnce() -> String) {
        let (count, _) = self.reasons.entry(fault).or_insert_with(|| {
            let mut text = example();
            text.truncate(text.floor_char_boundary(EXAMPLE_BYTES));
            (0, text)
        });
        *count += 1;
    }

    /// All reasons in one line, or `None` when there are none.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let one = |(fault, (count, example)): (&Fault, &(u64, String))| {
            format!("{} ({count}, first: {example})", fault.as_str())
        };
        let all: Vec<String> = self.reasons.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
