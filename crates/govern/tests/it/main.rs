//! The governor from outside: stories, rules, storms, records.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod record;
mod rules;
mod script;
mod stories;
mod storm;
mod world;
