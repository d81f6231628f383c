//! Keeps samples: append fast, read in order, survive a crash.
//!
//! From the newest sample to the oldest:
//!
//! | file | |
//! |---|---|
//! | `store` | open, append, select, flush, close |
//! | `append`, `registry` | a batch's way in: series numbers, limits, log, memory |
//! | `record`, `log`, `wal`, `sync` | the log that makes an acknowledgement true |
//! | `head`, `chunk` | the recent window in memory, and the codecs |
//! | `labels_index` | from matchers to series |
//! | `read`, `columns` | everything about one series, in one order |
//! | `disk` | the file system as a port |
//!
//! A batch is numbered, written to the log and added to the head under one lock, so that the log
//! and memory agree on who wrote last. What a power cut may cost is bounded by the syncs; what a
//! kill may cost is nothing, because the log is written before the acknowledgement.

mod append;
mod chunk;
mod columns;
mod config;
mod disk;
mod head;
mod labels_index;
mod log;
mod read;
mod record;
mod registry;
mod stats;
mod store;
mod sync;
mod varint;
mod wal;

pub use config::Config;
pub use disk::{Disk, ReadFile, WriteFile};
pub use stats::{State, Stats};
pub use store::{OpenError, Store};
