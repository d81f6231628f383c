//! Exposition text into samples: Prometheus text 0.0.4 and OpenMetrics 1.0, strictly.
//!
//! One bad line voids the whole exposition, as OpenMetrics demands: a scrape that is half true
//! would show as real drops in rates. Errors say line, column and what is wrong.
//!
//! A [`Parser`] belongs to one source and remembers it: the raw text of each series is kept with
//! its [`Labels`] in a numbered slot, and the slot that followed it last time is tried first. A
//! steady source is therefore parsed by comparing bytes, without hashing and without allocating.
//! What a source stops saying is forgotten at the end of the next good exposition, and everything
//! after a bad one, so memory is bounded by one body.
//!
//! Specs: <https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics 1.0
//! specification (its text format chapter); quoted UTF-8 names as Prometheus 3 writes them.

mod error;
mod family;
mod group;
mod labels;
mod openmetrics;
mod prometheus;
mod scan;
mod series;

use model::{Labels, Metadata, MetricType};

use error::Fault;
pub use error::{FormatError, ParseError};
use family::Families;
use series::SeriesCache;

/// Bits of the NaN that stands for "the source said NaN" (Prometheus's normal NaN); never the
/// staleness marker.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4: timestamps in milliseconds.
    Prometheus,
    /// OpenMetrics 1.0: timestamps in seconds, `# EOF` at the end, families checked.
    OpenMetrics,
}

/// Bounds on what a source may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body, after decompression. 32 MiB: about 300,000 series.
    pub body_bytes: usize,
    /// Bytes of one line. 64 KiB: a series with every label at a realistic length.
    pub line_bytes: usize,
    /// Labels of one sample, the metric's name not counted.
    pub labels: usize,
    /// Bytes of a metric or label name.
    pub name_bytes: usize,
    /// Bytes of a label value, unescaped.
    pub value_bytes: usize,
    /// Samples of one body.
    pub samples: usize,
}

/// Characters of all exemplar label names and values together (OpenMetrics 1.0).
const EXEMPLAR_CHARS_MAX: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            line_bytes: 64 << 10,
            labels: 40,
            name_bytes: 256,
            value_bytes: 4 << 10,
            samples: 1_000_000,
        }
    }
}

/// One sample, by the slot of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParsedSample {
    /// Where the parser keeps the series: see [`Parser::labels`].
    pub slot: usize,
    /// The slot was filled by this exposition; what the caller kept for it is void.
    pub fresh: bool,
    /// The value, NaN and infinities included.
    pub value: f64,
    /// The time the source gave, ms since the Unix epoch.
    pub time_ms: Option<i64>,
}

/// An example behind a counter or a bucket, such as a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Index of its sample in [`Exposition::samples`].
    pub sample: usize,
    /// Its labels; may be empty.
    pub labels: Labels,
    /// The value observed.
    pub value: f64,
    /// When, ms since the Unix epoch.
    pub time_ms: Option<i64>,
}

/// What one body said. Slots belong to the parser that read it, until its next body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// In the order of the lines.
    pub samples: Vec<ParsedSample>,
    /// In the order of the lines; OpenMetrics only.
    pub exemplars: Vec<Exemplar>,
    /// Families whose metadata is new or changed since the last good body.
    pub metadata: Vec<Metadata>,
}

impl Exposition {
    fn clear(&mut self) {
        self.samples.clear();
        self.exemplars.clear();
        self.metadata.clear();
    }
}

/// Reads the bodies of one source.
#[derive(Debug, Default)]
pub struct Parser {
    limits: Limits,
    series: SeriesCache,
    families: Families,
    found: Exposition,
}

impl Parser {
    /// A parser that knows nothing of its source yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Reads one body. Linear in its length. After an error nothing of the body counts, and all
    /// slots are void.
    pub fn parse(&mut self, format: Format, body: &[u8]) -> Result<&Exposition, ParseError> {
        self.found.clear();
        self.series.begin();
        self.families.begin();
        match self.lines(format, body) {
            Ok(()) => {
                self.series.forget_unseen();
                self.families.finish(&mut self.found.metadata);
                Ok(&self.found)
            }
            Err(error) => {
                self.found.clear();
                self.series.clear();
                self.families.clear();
                Err(error)
            }
        }
    }

    /// What the last good body said.
    #[must_use]
    pub fn found(&self) -> &Exposition {
        &self.found
    }

    /// The labels of a slot of the last exposition.
    ///
    /// # Panics
    /// If the slot is not one the last exposition named.
    #[must_use]
    pub fn labels(&self, slot: usize) -> &Labels {
        self.series.labels(slot)
    }

    fn lines(&mut self, format: Format, body: &[u8]) -> Result<(), ParseError> {
        let text = self.decode(body)?;
        let mut reader = Reader {
            limits: &self.limits,
            series: &mut self.series,
            families: &mut self.families,
            found: &mut self.found,
        };
        match format {
            Format::Prometheus => prometheus::read(&mut reader, text),
            Format::OpenMetrics => openmetrics::read(&mut reader, text),
        }
    }

    fn decode<'a>(&self, body: &'a [u8]) -> Result<&'a str, ParseError> {
        if body.len() > self.limits.body_bytes {
            let what = format!("the body is longer than {} bytes", self.limits.body_bytes);
            return Err(ParseError {
                line: 1,
                column: 1,
                what: what.into(),
            });
        }
        std::str::from_utf8(body).map_err(|e| {
            let good = std::str::from_utf8(&body[..e.valid_up_to()]).unwrap_or_default();
            let line_start = good.rfind('\n').map_or(0, |i| i + 1);
            ParseError {
                line: good.matches('\n').count() + 1,
                column: good[line_start..].chars().count() + 1,
                what: "bytes that are not UTF-8".into(),
            }
        })
    }
}

/// The parts of a parser that both formats fill, borrowed for one body.
struct Reader<'p> {
    limits: &'p Limits,
    series: &'p mut SeriesCache,
    families: &'p mut Families,
    found: &'p mut Exposition,
}

impl Reader<'_> {
    fn push(&mut self, sample: ParsedSample) -> Result<(), Fault> {
        if self.found.samples.len() == self.limits.samples {
            return Err(Fault::new(
                0,
                format!("more than {} samples", self.limits.samples),
            ));
        }
        self.found.samples.push(sample);
        Ok(())
    }

    fn check_line(&self, line: &str) -> Result<(), Fault> {
        if line.len() > self.limits.line_bytes {
            let what = format!("the line is longer than {} bytes", self.limits.line_bytes);
            return Err(Fault::new(self.limits.line_bytes, what));
        }
        Ok(())
    }
}

impl Format {
    /// The format a `Content-Type` header names; `fallback` when there is none. A type nobody
    /// knows is an error, never a guess.
    pub fn from_content_type(
        header: Option<&str>,
        fallback: Option<Self>,
    ) -> Result<Self, FormatError> {
        let Some(header) = header.map(str::trim).filter(|h| !h.is_empty()) else {
            return fallback.ok_or(FormatError::Missing);
        };
        let mut parts = header.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let version = parts
            .filter_map(|p| p.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("version"))
            .map(|(_, value)| value.trim().trim_matches('"'));
        match (essence.as_str(), version) {
            ("application/openmetrics-text", None | Some("0.0.1" | "1.0.0")) => {
                Ok(Self::OpenMetrics)
            }
            ("text/plain", None | Some("0.0.4" | "1.0.0")) => Ok(Self::Prometheus),
            _ => fallback.ok_or_else(|| FormatError::Unknown(header.to_owned())),
        }
    }
}

/// The type a TYPE line names, in OpenMetrics's words or (`untyped`) in Prometheus's.
fn metric_type(word: &str, format: Format) -> Option<MetricType> {
    Some(match (word, format) {
        ("counter", _) => MetricType::Counter,
        ("gauge", _) => MetricType::Gauge,
        ("histogram", _) => MetricType::Histogram,
        ("summary", _) => MetricType::Summary,
        ("untyped", Format::Prometheus) | ("unknown", _) => MetricType::Unknown,
        ("gaugehistogram", _) => MetricType::GaugeHistogram,
        ("info", _) => MetricType::Info,
        ("stateset", _) => MetricType::StateSet,
        _ => return None,
    })
}
