//! Rules: files, the states of alerts, groups and restarts, on a store in memory.
#![cfg(test)]

mod alerting;
mod files;
mod groups;
mod scene;
mod test_files;
