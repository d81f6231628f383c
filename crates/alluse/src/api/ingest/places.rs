//! Room for writes: so many at once are decoded and stored, so many more wait, the rest are told
//! to come again.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Writes decoded and stored at once; each holds a piece of its body unpacked.
const AT_ONCE: usize = 4;
/// Writes that wait for such a place, their bodies in memory.
const WAITING_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    at_once: Arc<Semaphore>,
    waiting: Semaphore,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Too many wait, or one has waited too long: the sender should come again.
    Full,
    /// The server is shutting down.
    Closed,
}

impl Default for Places {
    fn default() -> Self {
        Self::new(AT_ONCE, WAITING_MAX)
    }
}

impl Places {
    fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            waiting: Semaphore::new(waiting),
        }
    }

    /// A place, kept until the permit is dropped. Bodies are whole before they ask, so a slow
    /// sender holds none.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, NoPlace> {
        if let Ok(place) = Arc::clone(&self.at_once).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_full| NoPlace::Full)?;
        tokio::time::timeout(WAIT_MAX, Arc::clone(&self.at_once).acquire_owned())
            .await
            .map_err(|_elapsed| NoPlace::Full)?
            .map_err(|_closed| NoPlace::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_works_one_waits_and_the_third_is_told_to_come_again() {
        let places = Arc::new(Places::new(1, 1));
        let working = places.take().await.unwrap();
        let waiting = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.take().await.map(drop) })
        };
        while places.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(places.take().await.map(drop), Err(NoPlace::Full));
        drop(working);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert!(places.take().await.is_ok(), "there is room again");
    }
}
