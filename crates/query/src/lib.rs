//! Answers PromQL from any series reader.
//!
//! [`parse`] turns text into a tree ([`ast`]), with the position of every part; [`format`](mod@format) turns
//! it back. [`Engine`] evaluates a query over a [`model::SeriesReader`] at one time or over a
//! range of steps and gives an [`Answer`]; [`json`] writes its `data` as Prometheus's HTTP API
//! does. The language and its semantics are those of Prometheus 3.

pub mod account;
mod annotations;
pub mod answer;
pub mod ast;
pub mod cache;
pub mod engine;
pub mod error;
mod eval;
pub mod explain;
pub mod float_text;
pub mod format;
pub mod functions;
pub mod histogram;
pub mod json;
mod lexer;
pub mod limits;
mod literal;
mod meter;
pub mod parser;
pub mod position;
pub mod series_notation;
pub mod workers;

pub use account::{Account, Phase, Pool};
pub use answer::{Answer, MatrixSeries, QueryValue, VectorSample};
pub use cache::{CacheStats, ResultsCache};
pub use engine::{Engine, StopSignal, Watch};
pub use error::{ParseError, QueryError, Stop};
pub use explain::{Operator, Plan, Reads};
pub use float_text::format_value;
pub use limits::{Limits, Options};
pub use meter::Took;
pub use parser::{parse, parse_metric_selector, parse_selector};
pub use workers::Workers;
