//! The clock thread: hands each request on at its intended time, whatever became of the others.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use numerics::rng::Rng;

use crate::{engine::Shared, plan::Schedule, queue::Job, record::Thread, scenario::Mix};

/// Longest sleep: within it an order to stop or to change the rate is noticed even if the wake-up
/// is lost, and the CPU time is brought up to date.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Purposes of the run's random streams, beside the schedule's.
const CHOICES: u64 = 2;
const REQUESTS: u64 = 3;

/// What the clock thread owns.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) schedule: Schedule,
    pub(crate) mix: Mix,
    choices: Rng,
    requests: Rng,
    /// When the CPU time was last read: it costs a system call.
    cpu_read: Duration,
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>, schedule: Schedule, mix: Mix, seed: u64) -> Self {
        let (choices, requests) = (
            Rng::stream(seed, &[CHOICES]),
            Rng::stream(seed, &[REQUESTS]),
        );
        let cpu_read = Duration::ZERO;
        Self {
            shared,
            schedule,
            mix,
            choices,
            requests,
            cpu_read,
        }
    }

    /// Runs until the plan is over or the run is stopped.
    pub(crate) fn run(mut self) {
        // Also when the scenario panics: the connections must not wait for ever.
        let _closing = CloseOnDrop(self.shared.clone());
        while !self.shared.is_stopped() && !self.schedule.is_over() {
            let now = self.shared.now();
            self.follow_rate(now);
            match self.schedule.next() {
                Some(intended) if intended <= now => self.hand_on(intended),
                next => self.sleep(now, next.map_or(SLEEP_MAX, |at| at - now)),
            }
        }
    }

    fn follow_rate(&mut self, now: Duration) {
        if let Some(rate) = self.shared.take_rate()
            && self.schedule.set_rate(now, rate).is_err()
        {
            // The handle checks rates before they come here.
            debug_assert!(false, "an unchecked rate of {rate}");
        }
        self.shared.show_rate(self.schedule.rate(now));
    }

    fn hand_on(&mut self, intended: Duration) {
        let operation = self.mix.pick(&mut self.choices);
        let request = {
            let scenario = self.shared.scenario.lock();
            let mut scenario = scenario.unwrap_or_else(PoisonError::into_inner);
            scenario.request(operation, &mut self.requests)
        };
        let queued = self.shared.queue.push(Job {
            operation,
            intended,
            request,
        });
        let lag = self.shared.now().saturating_sub(intended);
        self.shared.recorder.due(lag, queued);
        self.schedule.advance();
    }

    fn sleep(&mut self, now: Duration, time: Duration) {
        if now >= self.cpu_read + SLEEP_MAX {
            self.cpu_read = now;
            self.shared.recorder.cpu(Thread::Clock, thread_cpu());
        }
        std::thread::park_timeout(time.min(SLEEP_MAX));
    }
}

struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.recorder.cpu(Thread::Clock, thread_cpu());
        self.0.queue.close();
    }
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
