//! Turns past trials into the next proposal worth trying.
//!
//! [`space`] says what may be tried; a [`Search`] keeps the log of asks and tells and asks one of
//! the [`optimizer`]s for the next trial. The log is the truth: every optimizer is a fold over it,
//! so that [`Search::resume`] continues a crashed search bit for bit.

pub mod acquire;
pub mod gp;
pub mod history;
pub mod optimizer;
pub mod protocol;
pub mod racing;
pub mod random;
pub mod search;
pub mod space;
pub mod trust_region;

pub use history::{Observation, Outcome};
pub use optimizer::{Method, Optimizer};
pub use protocol::Session;
pub use search::{Asked, Error, Event, Log, Recommendation, Search, Setup, Taken};
pub use space::{Param, Region, Space, SpaceError};
