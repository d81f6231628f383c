//! Drives a target with a scenario and records what it saw, without coordinated omission.
//!
//! The arrivals are fixed in advance by a seeded [`Plan`], and a request's latency runs from its
//! *intended* start to its last byte: a server that stalls makes the requests behind the stall
//! slow, as they would be for users, instead of making the generator wait politely (Tene, "How
//! NOT to Measure Latency"; wrk2). What the generator itself was late by is measured too, and a
//! run in which that matters is declared invalid.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | when: seeded arrivals, stages, ramps; pure |
//! | [`scenario`] | what: a weighted mix of operations, each a request made from a seed |
//! | [`engine`] | the run: a clock thread, a bounded queue, a thread of keep-alive connections |
//! | [`record`] | what was seen: histograms by operation, lag, drops, and whether it counts |
//! | [`exposition`] | the same as Prometheus text, so that it can be scraped |

mod connection;
mod dispatch;
pub mod engine;
pub mod exposition;
pub mod plan;
mod queue;
pub mod record;
pub mod scenario;

pub use engine::{Config, Engine, EngineError, Handle};
pub use plan::{Arrivals, Plan, PlanError, Schedule, Stage};
pub use record::{Code, Figures, Snapshot, Validity};
pub use scenario::{Operation, Request, Scenario};
