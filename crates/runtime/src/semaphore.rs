//! A semaphore whose limit can change while permits are out.
//!
//! Shrinking below what is out leaves a *debt*: returned permits pay it before anyone else is
//! admitted, so `resize(4)`, `resize(10)` with ten out never hands out more than ten. Waiters are
//! served in order of arrival; a waiter that goes away gives its turn up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Bounds how much runs at once; clones share the permits.
#[derive(Debug, Clone)]
pub struct Semaphore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    out: usize,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// The right to run; dropping it gives it back.
#[derive(Debug)]
#[must_use = "a permit dropped at once protects nothing"]
pub struct Permit {
    state: Arc<Mutex<State>>,
}

/// The queue is as long as the caller allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// What is going on, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Permits that may be out.
    pub limit: usize,
    /// Permits that are out; above the limit while a debt is being paid.
    pub out: usize,
    /// Waiters, among them some that have gone away and were not noticed yet.
    pub waiting: usize,
}

impl Semaphore {
    /// A semaphore that lets `limit` run at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let state = State {
            limit,
            out: 0,
            waiting: VecDeque::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Changes the limit. Permits that are out stay out; waiters are admitted as far as it goes.
    pub fn resize(&self, limit: usize) {
        lock(&self.state).limit = limit;
        admit(&self.state);
    }

    /// Waits for a permit behind everyone who came before.
    ///
    /// # Errors
    /// `queue` waiters are there already.
    pub async fn acquire(&self, queue: usize) -> Result<Permit, QueueFull> {
        let turn = {
            let mut state = lock(&self.state);
            if state.out < state.limit && state.waiting.is_empty() {
                state.out += 1;
                return Ok(self.permit());
            }
            state.queue_up(queue)?
        };
        Ok(turn
            .await
            .expect("a queued waiter outlives its semaphore only through this handle"))
    }

    /// How much is out and waiting.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let state = lock(&self.state);
        Usage {
            limit: state.limit,
            out: state.out,
            waiting: state.waiting.len(),
        }
    }

    fn permit(&self) -> Permit {
        Permit {
            state: Arc::clone(&self.state),
        }
    }
}

impl State {
    fn queue_up(&mut self, queue: usize) -> Result<oneshot::Receiver<Permit>, QueueFull> {
        if self.waiting.len() >= queue {
            self.waiting.retain(|waiter| !waiter.is_closed());
        }
        if self.waiting.len() >= queue {
            return Err(QueueFull);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back(sender);
        Ok(receiver)
    }

    /// The next waiter, with a permit counted for it, while the limit allows.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        if self.out >= self.limit {
            return None;
        }
        let waiter = loop {
            let waiter = self.waiting.pop_front()?;
            if !waiter.is_closed() {
                break waiter;
            }
        };
        self.out += 1;
        Some(waiter)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.state).out -= 1;
        admit(&self.state);
    }
}

/// Hands out what may be handed out. The lock is not held while a permit is sent: a waiter that
/// has just gone away drops it, which takes the lock again.
fn admit(state: &Arc<Mutex<State>>) {
    loop {
        let Some(waiter) = lock(state).next() else {
            return;
        };
        let permit = Permit {
            state: Arc::clone(state),
        };
        drop(waiter.send(permit));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Every section is a few assignments that cannot panic half way.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
