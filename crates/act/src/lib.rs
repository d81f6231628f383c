//! Carries an admitted change to its target, reads it back, and carries it back.
//!
//! [`actuator`] is the seam: simulation puts its own targets behind it. [`target`] speaks the knob
//! protocol of `wire::knobs` over HTTP; it has no choices: an [`model::Order`] is carried out as
//! written or reported as failed, and in either case what counts is an independent read-back,
//! never the answer to the order itself.

pub mod actuator;
pub mod convert;
pub mod error;
mod exchange;
pub mod target;

pub use actuator::{Actuator, Answer, Discovery};
pub use error::ActError;
pub use exchange::{BODY_MAX_BYTES, CONNECT_DEADLINE, EXCHANGE_DEADLINE};
pub use target::HttpTarget;
