//! The port through which a query uses more than one core: this crate starts no thread itself.

use std::fmt::Debug;

/// Threads that help with a query.
pub trait Workers: Send + Sync + Debug {
    /// Calls `own` here and meanwhile `help` on up to `most` other threads, once on each; returns
    /// when all of them have returned. Fewer threads, or none, are no failure: `own` does what
    /// nobody else does. If one of them panics, so does this.
    fn run(&self, most: usize, help: &(dyn Fn() + Sync), own: &mut dyn FnMut());
}
