//! The analysis as its callers see it.

mod analyzer;
mod changepoint;
mod detector;
mod forecast;
mod noise;
