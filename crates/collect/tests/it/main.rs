//! Integration tests of `collect`: real texts, real files, real HTTP.
#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

mod clock;
mod collecting;
mod exposition;
mod hosts;
mod must_fail;
mod receiving;
mod relabelling;
mod scraping;
mod spilling;
