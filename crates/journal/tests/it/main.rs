//! The record under test: what survives, what is refused, what reads back.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod durability;
mod nouns;
mod opening;
mod properties;
