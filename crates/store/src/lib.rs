//! Keeps samples: append fast, read in order, survive a crash.
//!
//! From the newest sample to the oldest:
//!
//! | file | |
//! |---|---|
//! | `store` | open, append, select, flush, close |
//! | `exemplars` | the newest examples behind samples |
//! | `feed` | what was just written, shown to subscribers |
//! | `changes` | since when which times are no longer what they were |
//! | `append`, `registry` | a batch's way in: series numbers, limits, log, memory |
//! | `limits` | which new series are kept out, and who made them |
//! | `record`, `carry`, `log`, `wal`, `sync`, `recover` | the log that makes an acknowledgement true |
//! | `head`, `sealed`, `chunk` | the recent window in memory, and the codecs |
//! | `part`, `manifest` | immutable day parts with their own index, and which are live |
//! | `compact`, `retain` | head -> part, parts -> part, and what to forget |
//! | `delete`, `tombstones` | what was deleted and is still in parts |
//! | `rollup`, `digest` | a point a minute, a point an hour, and answers from them |
//! | `labels_index`, `pairs` | from matchers to series; the label pairs of active series |
//! | `read`, `columns`, `block_cache` | everything about one series, in one order; decoded columns for the next query |
//! | `survey`, `check`, `scan`, `read_only` | looking at a directory, also while it is in use |
//! | `repair`, `mend`, `snapshot` | making it whole again, and keeping a second one |
//! | `archive` | a second directory that old days move to |
//! | `ballast`, `disk` | what to do when the disk is full; the file system as a port |
//!
//! A batch is numbered, written to the log and added to the head under one lock, so that the log
//! and memory agree on who wrote last. What a power cut may cost is bounded by the syncs; what a
//! kill may cost is nothing, because the log is written before the acknowledgement.

mod append;
mod archive;
mod ballast;
mod block_cache;
mod carry;
mod changes;
mod check;
mod chunk;
mod columns;
mod compact;
mod config;
mod delete;
mod digest;
mod disk;
mod exemplars;
mod feed;
mod head;
mod labels_index;
mod limits;
mod log;
mod manifest;
mod mend;
mod pairs;
mod part;
mod read;
mod read_only;
mod record;
mod recover;
mod registry;
mod repair;
mod retain;
mod rollup;
mod scan;
mod sealed;
mod snapshot;
mod stats;
mod store;
mod summary;
mod survey;
mod sync;
mod tombstones;
mod varint;
mod wal;

pub use archive::{Tiered, open_directory};
pub use check::{Checked, Fault, Loss, check};
pub use config::{Config, RetentionRule};
pub use delete::DeleteError;
pub use disk::{Disk, ReadFile, RealDisk, Taken, WriteFile};
pub use exemplars::ExemplarLimits;
pub use feed::{
    Delivery, Feed, FeedLimits, FeedStats, NotAPosition, Points, Position, Shown, Subscription,
};
pub use limits::{Cardinality, SeriesLimit};
pub use read_only::ReadOnlyDisk;
pub use repair::{Action, Repaired, repair};
pub use stats::{HeadExtent, State, Stats};
pub use store::{MaintainError, OpenError, Store};
pub use summary::Summary;
pub use survey::{Day, Metric, Survey, survey};
