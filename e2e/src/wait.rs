//! Waiting for what must come, with a deadline; and places for what loads the machine.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Long enough for whatever a healthy program does soon, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(30);

/// Programs under load at once: more would measure each other.
const PLACES: usize = 2;

static LOADED: Semaphore = Semaphore::const_new(PLACES);

/// A place for a program under load, held while it runs.
pub async fn place() -> SemaphorePermit<'static> {
    LOADED.acquire().await.expect("the places are never closed")
}

/// All places: nothing else is under load while they are held.
pub async fn alone() -> SemaphorePermit<'static> {
    let all = u32::try_from(PLACES).expect("a few");
    LOADED
        .acquire_many(all)
        .await
        .expect("the places are never closed")
}

/// Looks until there is something, and panics with `what` when there is nothing in time.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(SOON, what, async || look().await).await
}

/// [`until`], with a deadline of its own.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(limit, looking).await {
        Ok(found) => found,
        Err(_elapsed) => panic!("waited {limit:?} in vain for: {what}"),
    }
}
