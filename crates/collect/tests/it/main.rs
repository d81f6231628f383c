//! Integration tests of `collect`: real texts, real files, real HTTP.
#![expect(clippy::unwrap_used, reason = "tests, helpers included")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

mod clock;
mod collecting;
mod discovering;
mod encrypted;
mod exposition;
mod groups;
mod hosts;
mod must_fail;
mod probing;
mod prometheus_config;
mod receiving;
mod relabelling;
mod scraping;
mod sockets;
mod spilling;
mod ticking;
