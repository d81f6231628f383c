//! Remote write and the HTTP API against peers that a test scripts.
#![cfg(test)]

mod encoding;
mod peer;
mod reading;
mod sending;
