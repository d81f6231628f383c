//! Turns series into findings: anomalies, change points, trends, cycles, correlations and causes, forecasts, capacity.
//!
//! Live: [`Analyzer`] keeps one small state per series ([`detector`]) and returns findings as
//! samples arrive. On stored ranges: [`forecast`] says when a bound will be reached,
//! [`changepoint`] where the level moved.

pub mod alarm;
pub mod analyzer;
pub mod autoregress;
pub mod changepoint;
pub mod channel;
pub mod config;
pub mod detector;
pub mod expectation;
pub mod forecast;
pub mod rate;
pub mod rhythm;
pub mod season;
pub mod sentence;
pub mod shift;
pub mod tail;

pub use analyzer::{Analyzer, Stats};
pub use config::Config;
pub use forecast::{Crossing, Toward};
