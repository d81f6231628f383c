//! Virtual time, a store in memory, faulty disks, simulated targets: for tests, also a user's tests of rules.

pub mod clock;
pub mod conformance;
pub mod memory;
pub mod peak;
pub mod report;
pub mod target;

pub use clock::VirtualClock;
pub use conformance::{Capabilities, Subject, conformance};
pub use memory::MemoryStore;
pub use target::SimTarget;
