//! The store as its users see it.

#![expect(clippy::unwrap_used, reason = "a test fails where something fails")]

mod archive;
mod basics;
mod cached;
mod clocks;
mod conformance;
mod crash;
mod damage;
mod delete;
mod golden;
mod intake;
mod model;
mod points;
mod reading;
mod rollups;
mod sim_disk;
mod summaries;
mod support;
mod threads;
mod upkeep;
