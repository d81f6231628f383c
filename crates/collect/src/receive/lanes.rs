//! The receiver of all requests: a few lanes, each with what a decoder remembers.
//!
//! What a lane remembers is what its senders repeat, so a connection comes back to the lane it
//! had before; when that is busy with somebody else's request, the first free one serves. Only
//! when all are busy does a request wait.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, TryLockError,
    atomic::{AtomicU64, Ordering},
};

use model::Point;

use super::{
    Limits, Received, Refusal, Request,
    intake::{Intake, Memory, Stop},
};
use crate::quality::Quality;

/// Lanes, if nobody says otherwise: more requests than this are rarely decoded at once.
const LANES: usize = 4;
/// A buffer keeps at most so many bytes between requests.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

/// Points kept room for between requests: as many as a usual request brings, a few times over.
const POINTS_KEPT: usize = 16 << 10;

/// One request at a time, and what is remembered between them.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) memory: Memory,
    buffer: Vec<u8>,
    /// The floats of the last request, by slot of the memory's table.
    pub(super) points: Vec<Point>,
}

impl Lane {
    /// Runs a decoder with the lane's buffers and memory. Floats named by slot are in `points`
    /// afterwards.
    pub(super) fn read(
        &mut self,
        limits: &Limits,
        unpack_and_read: impl FnOnce(&mut Vec<u8>, &mut Intake<'_>) -> Result<(), Failed>,
    ) -> Result<Received, Refusal> {
        let mut points = std::mem::take(&mut self.points);
        points.clear();
        points.shrink_to(POINTS_KEPT);
        let mut intake = Intake::new(&mut self.memory, limits, points);
        let read = unpack_and_read(&mut self.buffer, &mut intake);
        let received = intake.received;
        self.points = intake.points;
        // Its bytes stay where they are: filling it anew would cost as much as a tenth of decoding.
        self.buffer.truncate(BUFFER_KEPT_BYTES);
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        read.map(|()| received).map_err(|Failed(refusal)| refusal)
    }
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
            points: Vec::new(),
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

    /// Runs a decoder that names its series by labels, in the lane of the request's connection;
    /// what it read came by `door`.
    pub(super) fn decode(
        &self,
        door: &'static str,
        request: &Request<'_>,
        unpack_and_read: impl FnOnce(&mut Vec<u8>, &mut Intake<'_>) -> Result<(), Failed>,
    ) -> Result<Received, Refusal> {
        let mut lane = self.lane(request.connection);
        self.decode_in(&mut lane, door, request, unpack_and_read)
    }

    /// Runs a decoder in a lane.
    pub(super) fn decode_in(
        &self,
        lane: &mut Lane,
        door: &'static str,
        request: &Request<'_>,
        unpack_and_read: impl FnOnce(&mut Vec<u8>, &mut Intake<'_>) -> Result<(), Failed>,
    ) -> Result<Received, Refusal> {
        lane.memory.catch_up(self.epoch.load(Ordering::Relaxed));
        let mut read = lane.read(&self.limits, unpack_and_read);
        if read.is_err() {
            self.forget_metadata();
        }
        if let Ok(received) = &mut read {
            received.batch.door = door;
        }
        if let Some(quality) = &self.quality {
            match &read {
                Ok(received) => quality.faults(door, &received.rejected, request.now_ms),
                Err(refusal) => quality.body(door, refusal, request.now_ms),
            }
        }
        read
    }

    /// The lane of a connection, or a free one, or the connection's own when all are busy.
    pub(super) fn lane(&self, connection: u64) -> MutexGuard<'_, Lane> {
        let own = (connection % self.lanes.len() as u64) as usize;
        let (before, after) = self.lanes.split_at(own);
        for lane in after.iter().chain(before) {
            match lane.try_lock() {
                Ok(lane) => return lane,
                Err(TryLockError::Poisoned(poisoned)) => return afresh(poisoned, &self.limits),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.lanes[own]
            .lock()
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
    lane.points.clear();
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
