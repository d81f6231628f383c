//! The bounded queue between the clock thread and the connections.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::scenario::Request;

/// A request that is due.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) operation: usize,
    /// When it was to start, from the plan's beginning.
    pub(crate) intended: Duration,
    pub(crate) request: Request,
}

/// First in, first out; what does not fit is refused.
#[derive(Debug)]
pub(crate) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    /// A permit for each job.
    waiting: Semaphore,
    most: usize,
}

impl Queue {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            jobs: Mutex::default(),
            waiting: Semaphore::new(0),
            most,
        }
    }

    /// False if the queue is full.
    pub(crate) fn push(&self, job: Job) -> bool {
        {
            let mut jobs = self.lock();
            if jobs.len() >= self.most {
                return false;
            }
            jobs.push_back(job);
        }
        self.waiting.add_permits(1);
        true
    }

    /// The next job; `None` when the queue is closed and empty.
    pub(crate) async fn next(&self) -> Option<Job> {
        if let Ok(permit) = self.waiting.acquire().await {
            permit.forget();
        }
        self.lock().pop_front()
    }

    /// No job will be added; those waiting are still handed out.
    pub(crate) fn close(&self) {
        self.waiting.close();
    }

    /// Drops the jobs waiting; how many.
    pub(crate) fn abandon(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    pub(crate) fn length(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
