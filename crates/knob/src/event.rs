//! The record of changes: who, old, new, why; the newest are kept.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::Value;

/// Who changed a value, and on what ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A file or the command line, at the start.
    Configured {
        /// Where it was said.
        by: String,
    },
    /// A tuner, under a lease.
    Set {
        /// The change.
        change: u64,
        /// Its generation.
        generation: u64,
    },
    /// A tuner, for good.
    Committed {
        /// The change.
        change: u64,
        /// Its generation.
        generation: u64,
    },
    /// A tuner, taking its leased values back.
    Restored {
        /// The change that asked.
        change: u64,
        /// Its generation.
        generation: u64,
    },
    /// Nobody renewed the lease.
    LeaseEnded {
        /// The change that held it.
        change: u64,
    },
    /// An operator holds the value.
    Pinned {
        /// Who.
        by: String,
    },
    /// An operator let go of it.
    Unpinned {
        /// Who.
        by: String,
    },
}

/// One change of one knob.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Counts every change of the registry, from 0.
    pub sequence: u64,
    /// When, by the registry owner's clock.
    pub at: Duration,
    /// Which knob.
    pub knob: String,
    /// In force before.
    pub old: Value,
    /// In force after.
    pub new: Value,
    /// Who and why.
    pub cause: Cause,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured { by } => write!(f, "configured by {by}"),
            Self::Set { change, generation } => {
                write!(
                    f,
                    "set under a lease by change {change}, generation {generation}"
                )
            }
            Self::Committed { change, generation } => {
                write!(f, "committed by change {change}, generation {generation}")
            }
            Self::Restored { change, generation } => {
                write!(f, "restored by change {change}, generation {generation}")
            }
            Self::LeaseEnded { change } => {
                write!(
                    f,
                    "back at its baseline: the lease of change {change} ended"
                )
            }
            Self::Pinned { by } => write!(f, "pinned by {by}"),
            Self::Unpinned { by } => write!(f, "unpinned by {by}"),
        }
    }
}

/// The newest events, oldest first.
#[derive(Debug)]
pub(crate) struct Log {
    events: VecDeque<Event>,
    capacity: usize,
    next: u64,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            events: VecDeque::new(),
            capacity: capacity.max(1),
            next: 0,
        }
    }

    /// Records a change and gives the event; its sequence number is filled in here.
    pub(crate) fn record(
        &mut self,
        at: Duration,
        knob: &str,
        (old, new): (Value, Value),
        cause: Cause,
    ) -> Event {
        let event = Event {
            sequence: self.next,
            at,
            knob: knob.into(),
            old,
            new,
            cause,
        };
        self.next += 1;
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        event
    }

    pub(crate) fn since(&self, sequence: u64) -> Vec<Event> {
        let newer = |event: &&Event| event.sequence >= sequence;
        self.events.iter().filter(newer).cloned().collect()
    }
}
