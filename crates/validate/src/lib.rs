//! Judges: better, worse or inconclusive; pass, fail or invalid.
//!
//! A live trial, from the inside out: [`bet`] (evidence against "no effect"), [`test`](mod@test) (the
//! sequential test on pairs of windows, with its interval), [`coin`] (which window of a pair comes
//! first), [`conductor`] (the trial itself: which side should be in force now, what to measure),
//! [`guard`] (what ends a trial at once).

pub mod bet;
pub mod coin;
pub mod conductor;
pub mod guard;
pub mod location;
pub mod test;

pub use conductor::{Conductor, Plan, Want};
pub use guard::{Bound, Guard, GuardSpec};
pub use test::{Futility, PairedTest, Rule, RuleError, Status};
