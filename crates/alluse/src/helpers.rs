//! Threads that help with queries of many series: no more of them at once, over all queries, than
//! there are cores for.
//!
//! Who runs alone has all of them; who comes while they are busy does its work itself, and waits
//! for nobody. A thread is started for the query and ends with it: tens of microseconds, against
//! the milliseconds a piece of a query takes.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use query::Workers;

/// Helpers there may be at once, less those at work.
#[derive(Debug)]
pub(crate) struct Helpers {
    free: AtomicUsize,
}

/// Helpers at work; free again when dropped.
struct Taken<'a> {
    helpers: &'a Helpers,
    count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Relaxed);
    }
}

impl Helpers {
    /// At most so many at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            free: AtomicUsize::new(most),
        }
    }

    fn take(&self, most: usize) -> Taken<'_> {
        let less = |free: usize| Some(free.saturating_sub(most));
        let free = self.free.fetch_update(Relaxed, Relaxed, less);
        let free = free.unwrap_or_else(|free| free);
        Taken {
            helpers: self,
            count: free.min(most),
        }
    }
}

impl Workers for Helpers {
    fn run(&self, most: usize, help: &(dyn Fn() + Sync), own: &mut dyn FnMut()) {
        let taken = self.take(most);
        thread::scope(|scope| {
            for _ in 0..taken.count {
                let helper = thread::Builder::new().name("query".to_owned());
                if let Err(error) = helper.spawn_scoped(scope, help) {
                    tracing::warn!(%error, "a query has to do without a thread");
                    break;
                }
            }
            own();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_the_helpers_and_go_on_without() {
        let helpers = Helpers::new(3);
        let helped = AtomicUsize::new(0);
        let help = || {
            helped.fetch_add(1, Relaxed);
        };
        let mut inner = 0;
        helpers.run(2, &help, &mut || {
            assert_eq!(helpers.free.load(Relaxed), 1);
            helpers.run(2, &help, &mut || inner += 1);
            helpers.take(9);
        });
        assert_eq!((inner, helped.load(Relaxed)), (1, 3));
        assert_eq!(helpers.free.load(Relaxed), 3, "all are free again");
    }
}
