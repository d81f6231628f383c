//! Integration tests of `collect`: real texts, real files, real HTTP.

mod clock;
mod collecting;
mod exposition;
mod hosts;
mod must_fail;
mod scraping;
