//! Orders carried to a target that keeps the protocol, and to one that breaks it in every way.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod carry;
mod convert;
mod fake;
