//! Turns what the outside world says into batches: host sampling, scraping, receivers, relabelling, quality checks, spill when the sink is down.
//!
//! | file | what |
//! |---|---|
//! | [`collector`] | the composition: everything below, each on its own tick, into one channel |
//! | [`ticker`] | when: absolute deadlines, no drift, skipped ticks counted |
//! | [`host`], [`process`], [`cgroup`] | `/proc` and `/sys` of this host, what a process or a group costs |
//! | [`probe`] | commands, endpoints and code of the user's own, each isolated |
//! | [`trigger`] | closer looks while a condition holds |
//! | [`scrape`] | a target over HTTP: `up`, `scrape_*`, staleness markers |
//! | [`prometheus_config`] | `prometheus.yml` as it is, with places for every note |
//! | [`job`], [`discovery`] | jobs and their targets: lists, files, DNS, HTTP |
//! | [`alertmanager`] | where alerts are sent, found as targets are
//! | [`http`] | the client: credentials, TLS, redirects |
//! | [`relabel`](mod@relabel) | rules that rewrite, keep or drop label sets |
//! | [`exposition`] | Prometheus and OpenMetrics text into samples, strictly |
//! | [`statsd_socket`], [`grpc`] | doors that are sockets of their own |
//! | [`receive`] | what senders push: remote write and the line formats, decoded within bounds |
//! | [`spill`] | a bounded queue on the disk between collecting and sending |
//! | [`quality`], [`quarantine`] | what came by each door and what became of it; what was refused, to be looked at |
//! | [`tally`] | the collector's own counters |

pub mod alertmanager;
pub mod cgroup;
pub mod collector;
mod completeness;
pub mod discovery;
pub mod exposition;
pub mod grpc;
pub mod host;
pub mod http;
pub mod job;
pub mod probe;
pub mod process;
pub mod prometheus_config;
pub mod quality;
pub mod quarantine;
pub mod receive;
pub mod relabel;
pub mod scrape;
pub mod spill;
mod stale;
pub mod statsd_socket;
pub mod tally;
pub mod ticker;
pub mod trigger;

pub use alertmanager::{AlertmanagerSet, Alertmanagers};
pub use cgroup::{CgroupConfig, Cgroups};
pub use collector::{Collector, Config, Handle, TargetStatus};
pub use exposition::{Exemplar, Exposition, Format, Limits, ParseError, ParsedSample, Parser};
pub use host::{Host, HostConfig};
pub use http::{HttpClient, HttpSettings};
pub use job::Job;
pub use probe::{Probe, ProbeConfig};
pub use process::{Process, ProcessConfig};
pub use quality::{Inspected, Quality};
pub use quarantine::{Quarantine, Quarantined, Wanted};
pub use relabel::{Rule, RuleConfig, relabel};
pub use scrape::{Scrape, ScrapeError, Scraper, Target};
pub use statsd_socket::{StatsdConfig, StatsdSocket};
pub use tally::Tally;
pub use ticker::{Tick, Ticker};
pub use trigger::TriggerConfig;
