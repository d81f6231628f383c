//! Turns what the outside world says into batches: host sampling, scraping, receivers, relabelling, quality checks, spill when the sink is down.
//!
//! | file | what |
//! |---|---|
//! | [`collector`] | the composition: everything below, each on its own tick, into one channel |
//! | [`ticker`] | when: absolute deadlines, no drift, skipped ticks counted |
//! | [`host`], [`process`] | `/proc` and `/sys` of this host, and what one process costs |
//! | [`scrape`] | a target over HTTP: `up`, `scrape_*`, staleness markers |
//! | [`relabel`](mod@relabel) | rules that rewrite, keep or drop label sets |
//! | [`exposition`] | Prometheus and OpenMetrics text into samples, strictly |
//! | [`receive`] | what senders push: remote write and the line formats, decoded within bounds |
//! | [`spill`] | a bounded queue on the disk between collecting and sending |
//! | [`quality`], [`quarantine`] | what came by each door and what became of it; what was refused, to be looked at |
//! | [`tally`] | the collector's own counters |

pub mod collector;
mod completeness;
pub mod exposition;
pub mod host;
pub mod process;
pub mod quality;
pub mod quarantine;
pub mod receive;
pub mod relabel;
pub mod scrape;
pub mod spill;
mod stale;
pub mod tally;
pub mod ticker;

pub use collector::{Collector, Config, Handle, TargetStatus};
pub use exposition::{Exemplar, Exposition, Format, Limits, ParseError, ParsedSample, Parser};
pub use host::{Host, HostConfig};
pub use process::{Process, ProcessConfig};
pub use quality::{Inspected, Quality};
pub use quarantine::{Quarantine, Quarantined, Wanted};
pub use relabel::{Rule, RuleConfig, relabel};
pub use scrape::{Scrape, ScrapeError, Scraper, Target};
pub use tally::Tally;
pub use ticker::{Tick, Ticker};
