//! The program as it is shipped, from outside: its command line, its API, its crashes, its loop.
#![cfg(test)]
#![expect(
    clippy::print_stdout,
    reason = "a test says why it skips, and what it counted"
)]

mod agent;
mod alertmanagers;
mod api;
mod archive;
mod bombs;
mod cli;
mod crash;
mod demo;
mod differential;
mod disk;
mod doors;
mod encrypted;
mod explosion;
mod federation;
mod full;
mod grafana;
mod keep;
mod kills;
mod notify;
mod peers;
mod power;
mod pulling;
mod quality;
mod record;
mod refusals;
mod remote;
mod rules;
mod serve;
mod streams;
mod syscalls;
mod tuning;
