//! Decides what may change, when and how far; owns the life of a change.
//!
//! ```text
//! Proposed ─▶ refuse · defer
//!    │
//!    ├─▶ Waiting ─▶ Refused · Expired
//!    ▼       │ approved
//!  Trying ◀──┘   arms under a lease, read back
//!    │ better              │ worse, inconclusive, breach, called back, lost, restarted
//!    ▼                     ▼
//!  Keeping ──cannot──▶ Undoing ──cannot──▶ Failed: target frozen, a person is paged
//!    │ read back           │ read back
//!    ▼                     ▼
//!  Kept ──undo asked──▶ Undone
//! ```
//!
//! [`Governor::step`] takes an [`Event`] and gives [`Command`]s; there is no other way in or out,
//! no clock and no I/O, so that [`record::replay`] of what happened rebuilds the state exactly.
//!
//! It asserts of itself: no command without an admitted change; one writer a knob and one change
//! in flight a target; every admitted change ends kept, undone, or failed with its target frozen;
//! generations never fall; the red button means only roll-backs.

mod admit;
mod budget;
mod event;
pub mod explain;
mod freeze;
mod governor;
mod life;
mod policy;
pub mod record;
mod run;
mod target;

pub use admit::Admission;
pub use budget::{Budget, Rest};
pub use event::{Command, Event};
pub use governor::{Governor, HISTORY_MAX};
pub use policy::{Policy, Problem, Trust};
pub use target::Target;
