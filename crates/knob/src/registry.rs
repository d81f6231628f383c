//! All knobs of a process: discover, set under a lease, commit, restore, expire.
//!
//! Fencing by generations: an order whose generation is older than the newest carried out is
//! refused, so a delayed or repeated message cannot undo a later decision. Each leased knob keeps
//! its own end of lease; the order that set it last decides it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    Apply, Cause, DeclareError, Domain, Event, Refusal, Value,
    declare::{Hook, Spec},
    event::Log,
};

/// Bounds of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest lease; a value meant to last longer is committed.
    pub lease: Duration,
    /// Events kept.
    pub events: usize,
}

impl Default for Limits {
    /// An hour, which no live trial needs, and about 200 KiB of events.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3_600),
            events: 1_024,
        }
    }
}

/// A tuner's order: who, in which generation, what.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The change it belongs to.
    pub change: u64,
    /// At least the newest generation carried out.
    pub generation: u64,
    /// Values by knob; empty for a restore.
    pub values: BTreeMap<String, Value>,
}

/// What is in force, read from the knobs themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Newest generation carried out; 0 before the first.
    pub generation: u64,
    /// Time until the first running lease ends.
    pub lease: Option<Duration>,
    /// Every knob's value.
    pub values: BTreeMap<String, Value>,
}

/// One knob, as declared and as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Unique within the registry.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// Unit of the value; empty when it has none.
    pub unit: String,
    /// Allowed values.
    pub domain: Domain,
    /// As built.
    pub default: Value,
    /// Where a lease goes back to.
    pub baseline: Value,
    /// In force.
    pub value: Value,
    /// Largest step a live change should take.
    pub max_step: f64,
    /// What a change costs.
    pub apply: Apply,
    /// Whether an operator holds it.
    pub pinned: bool,
}

/// All knobs, sorted by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// Newest generation carried out; 0 before the first.
    pub generation: u64,
    /// Time until the first running lease ends.
    pub lease: Option<Duration>,
    /// The knobs.
    pub knobs: Vec<Description>,
}

/// The knobs of a process; clones share them.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
    /// Held while hooks run, so that the last to run has seen the last value.
    hooks: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    knobs: BTreeMap<String, Entry>,
    generation: u64,
    log: Log,
}

#[derive(Debug)]
struct Entry {
    spec: Spec,
    cell: Arc<AtomicU64>,
    baseline: u64,
    holder: Holder,
}

/// Who decides the value in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Baseline,
    Lease { change: u64, end: Duration },
    Operator,
}

/// What a locked section leaves to do once the lock is gone.
#[derive(Default)]
struct Aftermath {
    events: Vec<Event>,
    hooks: Vec<Hook>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Registry {
    /// A registry without knobs.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let inner = Inner {
            limits,
            knobs: BTreeMap::new(),
            generation: 0,
            log: Log::new(limits.events),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            hooks: Arc::default(),
        }
    }

    /// Adds a knob whose cell holds its default.
    pub(crate) fn add(&self, spec: Spec, cell: Arc<AtomicU64>) -> Result<(), DeclareError> {
        let mut inner = self.lock();
        if inner.knobs.contains_key(&spec.name) {
            return Err(DeclareError::Duplicate(spec.name));
        }
        let entry = Entry {
            baseline: cell.load(Ordering::Relaxed),
            cell,
            holder: Holder::Baseline,
            spec,
        };
        inner.knobs.insert(entry.spec.name.clone(), entry);
        Ok(())
    }

    /// Puts values in force until `now + lease`. The same order again renews the lease.
    ///
    /// # Errors
    /// Nothing is applied unless every value is allowed and the order is not stale.
    pub fn set(&self, order: &Order, lease: Duration, now: Duration) -> Result<State, Refusal> {
        self.run(now, |inner, after| {
            inner.check_lease(lease)?;
            let writes = inner.check(order)?;
            inner.generation = order.generation;
            let (change, generation) = (order.change, order.generation);
            let end = now + lease;
            for (name, bits) in writes {
                let cause = Cause::Set { change, generation };
                inner.write(
                    &name,
                    bits,
                    Holder::Lease { change, end },
                    cause,
                    now,
                    after,
                );
            }
            Ok(inner.state(now))
        })
    }

    /// Puts values in force for good: they are the baseline from now on.
    ///
    /// # Errors
    /// Nothing is applied unless every value is allowed and the order is not stale.
    pub fn commit(&self, order: &Order, now: Duration) -> Result<State, Refusal> {
        self.run(now, |inner, after| {
            let writes = inner.check(order)?;
            inner.generation = order.generation;
            let (change, generation) = (order.change, order.generation);
            for (name, bits) in writes {
                let cause = Cause::Committed { change, generation };
                inner.entry(&name).baseline = bits;
                inner.write(&name, bits, Holder::Baseline, cause, now, after);
            }
            Ok(inner.state(now))
        })
    }

    /// Puts every leased value back at its baseline; `change` and `generation` as in an [`Order`].
    ///
    /// # Errors
    /// The generation is stale.
    pub fn restore(&self, change: u64, generation: u64, now: Duration) -> Result<State, Refusal> {
        self.run(now, |inner, after| {
            inner.check_generation(generation)?;
            inner.generation = generation;
            for (name, baseline, _) in inner.leased() {
                let cause = Cause::Restored { change, generation };
                inner.write(&name, baseline, Holder::Baseline, cause, now, after);
            }
            Ok(inner.state(now))
        })
    }

    /// Puts every value whose lease has ended back at its baseline, and says which.
    pub fn tick(&self, now: Duration) -> Vec<Event> {
        let mut after = Aftermath::default();
        self.lock().expire(now, &mut after);
        self.run_hooks(&after);
        after.events
    }

    /// When the next lease ends, if one runs.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        self.lock().first_end()
    }

    /// Sets a value from a file or the command line: default and baseline of this process.
    ///
    /// # Errors
    /// The value is not allowed, or an operator or a lease holds the knob.
    pub fn configure(&self, name: &str, value: &Value, by: &str) -> Result<(), Refusal> {
        self.run(Duration::ZERO, |inner, after| {
            let bits = inner.admit(name, value)?;
            inner.entry(name).baseline = bits;
            let cause = Cause::Configured { by: by.into() };
            inner.write(name, bits, Holder::Baseline, cause, Duration::ZERO, after);
            Ok(())
        })
    }

    /// Holds a value against every other writer until [`Registry::unpin`].
    ///
    /// # Errors
    /// The knob is unknown or the value is not allowed.
    pub fn pin(&self, name: &str, value: &Value, by: &str, now: Duration) -> Result<(), Refusal> {
        self.run(now, |inner, after| {
            let bits = inner.encode(name, value)?;
            let cause = Cause::Pinned { by: by.into() };
            inner.write(name, bits, Holder::Operator, cause, now, after);
            Ok(())
        })
    }

    /// Lets go of a pinned knob; it goes back to its baseline.
    ///
    /// # Errors
    /// The knob is unknown.
    pub fn unpin(&self, name: &str, by: &str, now: Duration) -> Result<(), Refusal> {
        self.run(now, |inner, after| {
            let Some(entry) = inner.knobs.get(name) else {
                return Err(Refusal::UnknownKnob(name.into()));
            };
            if entry.holder == Holder::Operator {
                let baseline = entry.baseline;
                let cause = Cause::Unpinned { by: by.into() };
                inner.write(name, baseline, Holder::Baseline, cause, now, after);
            }
            Ok(())
        })
    }

    /// What is in force.
    #[must_use]
    pub fn state(&self, now: Duration) -> State {
        self.lock().state(now)
    }

    /// Every knob as declared and as it stands.
    #[must_use]
    pub fn inventory(&self, now: Duration) -> Inventory {
        let inner = self.lock();
        Inventory {
            generation: inner.generation,
            lease: inner.lease_left(now),
            knobs: inner.knobs.values().map(Entry::describe).collect(),
        }
    }

    /// Events from a sequence number on, oldest first; only the newest are kept.
    #[must_use]
    pub fn events_since(&self, sequence: u64) -> Vec<Event> {
        self.lock().log.since(sequence)
    }

    /// Ends what has run out, does `act` under the lock, then calls the hooks without it.
    fn run<T>(
        &self,
        now: Duration,
        act: impl FnOnce(&mut Inner, &mut Aftermath) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut after = Aftermath::default();
        let outcome = {
            let mut inner = self.lock();
            inner.expire(now, &mut after);
            act(&mut inner, &mut after)
        };
        self.run_hooks(&after);
        outcome
    }

    fn run_hooks(&self, after: &Aftermath) {
        if after.hooks.is_empty() {
            return;
        }
        let _turn = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        for hook in &after.hooks {
            hook();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No section that holds the lock leaves a knob half written, so a panic in one is no
        // reason to refuse the next.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check_generation(&self, given: u64) -> Result<(), Refusal> {
        let newest = self.generation;
        if given < newest {
            return Err(Refusal::StaleGeneration { given, newest });
        }
        Ok(())
    }

    fn check_lease(&self, given: Duration) -> Result<(), Refusal> {
        let longest = self.limits.lease;
        if given > longest {
            return Err(Refusal::LeaseTooLong { given, longest });
        }
        if given.is_zero() {
            return Err(Refusal::Empty("a lease lasts longer than no time"));
        }
        Ok(())
    }

    /// Every write of an order, or the first reason against it.
    fn check(&self, order: &Order) -> Result<Vec<(String, u64)>, Refusal> {
        self.check_generation(order.generation)?;
        if order.values.is_empty() {
            return Err(Refusal::Empty("the order names no knob"));
        }
        let admit = |(name, value): (&String, &Value)| Ok((name.clone(), self.admit(name, value)?));
        order.values.iter().map(admit).collect()
    }

    fn admit(&self, name: &str, value: &Value) -> Result<u64, Refusal> {
        let bits = self.encode(name, value)?;
        if self.knobs[name].holder == Holder::Operator {
            return Err(Refusal::Pinned(name.into()));
        }
        Ok(bits)
    }

    fn encode(&self, name: &str, value: &Value) -> Result<u64, Refusal> {
        let Some(entry) = self.knobs.get(name) else {
            return Err(Refusal::UnknownKnob(name.into()));
        };
        let domain = &entry.spec.domain;
        domain.encode(value).ok_or_else(|| Refusal::OutOfRange {
            knob: name.into(),
            value: value.clone(),
            domain: domain.clone(),
        })
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        self.knobs.get_mut(name).expect("the order was checked")
    }

    /// The only place that changes a value in force.
    fn write(
        &mut self,
        name: &str,
        bits: u64,
        holder: Holder,
        cause: Cause,
        now: Duration,
        after: &mut Aftermath,
    ) {
        let entry = self.entry(name);
        entry.holder = holder;
        let old = entry.cell.swap(bits, Ordering::Relaxed);
        if old == bits {
            return;
        }
        let values = (
            entry.spec.domain.decode(old),
            entry.spec.domain.decode(bits),
        );
        after.hooks.extend(entry.spec.hook.clone());
        after.events.push(self.log.record(now, name, values, cause));
    }

    fn leased(&self) -> Vec<(String, u64, (u64, Duration))> {
        let lease = |(name, entry): (&String, &Entry)| match entry.holder {
            Holder::Lease { change, end } => Some((name.clone(), entry.baseline, (change, end))),
            Holder::Baseline | Holder::Operator => None,
        };
        self.knobs.iter().filter_map(lease).collect()
    }

    fn expire(&mut self, now: Duration, after: &mut Aftermath) {
        for (name, baseline, (change, end)) in self.leased() {
            if end <= now {
                let cause = Cause::LeaseEnded { change };
                self.write(&name, baseline, Holder::Baseline, cause, now, after);
            }
        }
    }

    fn first_end(&self) -> Option<Duration> {
        self.leased().into_iter().map(|(_, _, (_, end))| end).min()
    }

    fn lease_left(&self, now: Duration) -> Option<Duration> {
        self.first_end().map(|end| end.saturating_sub(now))
    }

    fn state(&self, now: Duration) -> State {
        let value = |(name, entry): (&String, &Entry)| (name.clone(), entry.value());
        State {
            generation: self.generation,
            lease: self.lease_left(now),
            values: self.knobs.iter().map(value).collect(),
        }
    }
}

impl Entry {
    fn value(&self) -> Value {
        self.spec.domain.decode(self.cell.load(Ordering::Relaxed))
    }

    fn describe(&self) -> Description {
        let spec = self.spec.clone();
        Description {
            name: spec.name,
            help: spec.help,
            unit: spec.unit,
            baseline: spec.domain.decode(self.baseline),
            value: self.value(),
            domain: spec.domain,
            default: spec.default,
            max_step: spec.max_step,
            apply: spec.apply,
            pinned: self.holder == Holder::Operator,
        }
    }
}
