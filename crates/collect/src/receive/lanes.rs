//! The receiver of all requests: a few lanes, each with what a decoder remembers.
//!
//! A request takes the first lane that is free, so a server with little traffic keeps one lane
//! warm, and each parallel request beyond it uses the next. Only when all are busy does one wait.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    Limits, Received, Refusal,
    intake::{Intake, Memory, Stop},
};
use crate::quality::Quality;

/// Lanes, if nobody says otherwise: more requests than this are rarely decoded at once.
const LANES: usize = 4;
/// A buffer keeps at most so many bytes between requests.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

#[derive(Debug)]
struct Lane {
    memory: Memory,
    buffer: Vec<u8>,
}

/// Decodes what senders push. Shared by all requests; cheap to call, bounded in memory.
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    lanes: Vec<Mutex<Lane>>,
    epoch: AtomicU64,
    quality: Option<Arc<Quality>>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Receiver {
    /// A receiver that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let lane = || Lane {
            memory: Memory::new(&limits),
            buffer: Vec::new(),
        };
        Self {
            limits,
            lanes: (0..LANES).map(|_| Mutex::new(lane())).collect(),
            epoch: AtomicU64::new(0),
            quality: None,
        }
    }

    /// Tells `quality` of everything that is refused.
    #[must_use]
    pub fn inspected(mut self, quality: Arc<Quality>) -> Self {
        self.quality = Some(quality);
        self
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// To be called when a batch did not reach the sink: metadata said in it counts as unsaid,
    /// and is in the next batch again.
    pub fn forget_metadata(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a decoder with a lane's buffer and memory; what it read came by `door`.
    pub(super) fn decode(
        &self,
        door: &'static str,
        now_ms: i64,
        unpack_and_read: impl FnOnce(&mut Vec<u8>, &mut Intake<'_>) -> Result<(), Failed>,
    ) -> Result<Received, Refusal> {
        let mut lane = self.lane();
        let Lane { memory, buffer } = &mut *lane;
        memory.catch_up(self.epoch.load(Ordering::Relaxed));
        let mut intake = Intake::new(memory, &self.limits);
        let read = unpack_and_read(buffer, &mut intake);
        let mut received = intake.received;
        received.batch.door = door;
        buffer.clear();
        buffer.shrink_to(BUFFER_KEPT_BYTES);
        match read {
            Ok(()) => {
                if let Some(quality) = &self.quality {
                    quality.faults(door, &received.rejected, now_ms);
                }
                Ok(received)
            }
            Err(Failed(refusal)) => {
                if let Some(quality) = &self.quality {
                    quality.body(door, &refusal, now_ms);
                }
                self.forget_metadata();
                Err(refusal)
            }
        }
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        for lane in &self.lanes {
            match lane.try_lock() {
                Ok(lane) => return lane,
                Err(TryLockError::Poisoned(poisoned)) => return afresh(poisoned, &self.limits),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let last = self.lanes.last().expect("there is at least one lane");
        last.lock()
            .unwrap_or_else(|poisoned| afresh(poisoned, &self.limits))
    }
}

/// A lane whose last request panicked: what it remembers may be half written.
fn afresh<'l>(
    poisoned: PoisonError<MutexGuard<'l, Lane>>,
    limits: &Limits,
) -> MutexGuard<'l, Lane> {
    let mut lane = poisoned.into_inner();
    lane.memory = Memory::new(limits);
    lane
}

/// A decoder's refusal, from whichever step.
pub(super) struct Failed(pub(super) Refusal);

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self(stop.into())
    }
}
