//! A setting that registers itself: typed, bounded, leased, guarded; a read costs one relaxed load.
//!
//! A component declares a [`Knob`] with its range, unit and step, registers it in a [`Registry`]
//! and reads it with [`Knob::get`]. A tuner changes it through the registry, under a lease: when
//! the lease ends without renewal, the value goes back to its baseline. The registry has no clock;
//! whoever owns it hands in the time, measured from any fixed origin, and calls
//! [`Registry::tick`] when [`Registry::next_expiry`] comes.
//!
//! Writers, strongest first: an operator's pin, the end of a lease, a tuner's set or commit, a
//! configuration file, the default.
//!
//! ```
//! use std::{collections::BTreeMap, time::Duration};
//! use knob::{Knob, Order, Registry, Scale, Value};
//!
//! let registry = Registry::default();
//! let group = Knob::int("writer.group.size", 1)
//!     .unit("transactions")
//!     .range(1..=256)
//!     .scale(Scale::Log)
//!     .help("Most transactions in one commit.")
//!     .register(&registry)
//!     .expect("declared once");
//!
//! let order = Order {
//!     change: 7,
//!     generation: 1,
//!     values: BTreeMap::from([("writer.group.size".into(), Value::Int(16))]),
//! };
//! let second = Duration::from_secs(1);
//! registry.set(&order, second, Duration::ZERO).expect("in range");
//! assert_eq!(group.get(), 16);
//! assert_eq!(registry.tick(second).len(), 1);
//! assert_eq!(group.get(), 1);
//! ```

mod declare;
mod event;
mod handle;
mod refusal;
mod registry;
mod value;

pub use declare::{Apply, Declaration, DeclareError};
pub use event::{Cause, Event};
pub use handle::Knob;
pub use refusal::Refusal;
pub use registry::{Description, Inventory, Limits, Order, Registry, State};
pub use value::{Domain, Scale, Value};
