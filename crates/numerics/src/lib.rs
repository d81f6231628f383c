//! Numbers in, numbers out: statistics, linear algebra, sketches, seeded randomness, the calendar.

pub mod calendar;
pub mod distribution;
pub mod linalg;
pub mod moments;
pub mod regress;
pub mod rng;
pub mod sketch;
pub mod sum;
pub mod summary;
