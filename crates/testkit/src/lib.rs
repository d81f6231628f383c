//! Virtual time, faulty disks, simulated targets: for tests only.

pub mod memory;

pub use memory::MemoryStore;
