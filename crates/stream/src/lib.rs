//! Shapes, windows and joins samples in flight, by event time and in bounded memory.
//!
//! A [`Graph`] of streams is offered what was stored and gives back what to store as well:
//! results are ordinary series. Each stream is a selector and a line of steps:
//!
//! | file | steps |
//! |---|---|
//! | `shape` | `validate`, `filter`, `map`, `normalize`, `enrich`: one sample in, at most one out |
//! | `order` | `order`: sorts what arrives out of order and drops repeats |
//! | `window` | `window`: tumbling, sliding and session windows; moments and quantiles of each |
//! | `join` | `join`: pairs samples of two selectors within a time |
//!
//! Time is what the samples say (event time). A stream's watermark is its newest sample less the
//! lateness it allows; what a step waits for, it waits for until the watermark has passed
//! (Akidau et al., "The dataflow model", VLDB 2015). What cannot be used is not lost without a
//! word: it becomes a [`DeadLetter`] with its reason, counted, and kept in a short list.
//!
//! Memory is bounded by [`Limits`]; nothing here knows the clock: the caller says what time it is.

mod dead;
mod flow;
mod graph;
mod item;
mod join;
mod order;
mod shape;
mod spec;
mod window;

pub use dead::{DeadLetter, DeadReason};
pub use flow::FlowStats;
pub use graph::{Graph, StreamStats};
pub use item::Item;
pub use spec::{
    Arithmetic, Enrich, Filter, JoinSpec, Limits, MapSpec, Normalize, Range, Stat, Step,
    StreamSpec, Validate, WindowKind, WindowSpec,
};
