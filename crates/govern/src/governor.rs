//! The governor: one event in, commands out. This file is the dispatch and the questions others
//! ask; what becomes of a change is in [`crate::life`], what may become one in [`crate::admit`].

use std::collections::BTreeMap;

use model::{Change, ChangeId, ChangeState, Decision, Ruling, Why};
use serde::{Deserialize, Serialize};

use crate::{
    Command, Event, Policy, Target, Trust,
    freeze::{Freeze, Shutdown},
    policy::ms,
};

/// Ended changes remembered; the journal keeps them all.
pub const HISTORY_MAX: usize = 1_000;

/// Decides what may change; owns the life of a change. Equal event sequences make equal governors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Governor {
    pub(crate) policy: Policy,
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) changes: BTreeMap<ChangeId, Change>,
    /// Changes kept in this life of the process and not undone since, oldest first.
    pub(crate) kept: Vec<ChangeId>,
    pub(crate) last_change: ChangeId,
    pub(crate) freeze: Freeze,
    /// Newest time that mattered: time never falls here, whatever the caller's clock does.
    pub(crate) now_ms: i64,
}

/// One step under way: the time, the commands so far, and whether the state moved.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) now_ms: i64,
    pub(crate) out: Vec<Command>,
    pub(crate) moved: bool,
}

impl Governor {
    /// A governor that has seen nothing yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            targets: BTreeMap::new(),
            changes: BTreeMap::new(),
            kept: Vec::new(),
            last_change: ChangeId(0),
            freeze: Freeze::default(),
            now_ms: i64::MIN,
        }
    }

    /// Takes one event and says what is to be done. `now_ms` labels what happens and measures
    /// every duration of the policy: hand in a clock that does not jump (wall time at the start
    /// plus monotonic time since); one that falls is held.
    pub fn step(&mut self, now_ms: i64, event: Event) -> Vec<Command> {
        self.advance(now_ms, event.recordable()).0
    }

    /// Commands, and whether the event left a trace that a replay has to repeat.
    pub(crate) fn advance(&mut self, now_ms: i64, event: Event) -> (Vec<Command>, bool) {
        let mut step = Step {
            now_ms: self.now_ms.max(now_ms),
            out: Vec::new(),
            moved: false,
        };
        self.take(event, &mut step);
        self.put_back_next(&mut step);
        let mattered = step.moved || !step.out.is_empty();
        if mattered {
            self.now_ms = step.now_ms;
        }
        self.assert_invariants();
        (step.out, mattered)
    }

    fn take(&mut self, event: Event, step: &mut Step) {
        // The events of every second can pass without a trace: they set this themselves.
        step.moved = !matches!(
            event,
            Event::Tick | Event::TargetSeen { .. } | Event::TargetLost { .. }
        );
        match event {
            Event::Started { policy } => self.started(policy, step),
            Event::TargetSeen {
                target,
                instance,
                generation,
                knobs,
            } => self.target_seen(&target, instance, generation, knobs, step),
            Event::TargetLost { target } => self.target_lost(&target, step),
            Event::Proposed(proposal) => self.proposed(proposal, step),
            Event::Approved { change, .. } => self.approved(change, step),
            Event::Rejected { change, .. } => self.rejected(change, step),
            Event::ArmWanted { change, arm } => self.arm_wanted(change, arm, step),
            Event::Judged { change, verdict } => self.judged(change, verdict, step),
            Event::Breached { change, breach } => self.breached(change, breach, step),
            Event::Done(outcome) => self.done(outcome, step),
            Event::RedButton { by } => {
                self.freeze.red_button = Some(by);
                self.call_back_all(step);
            }
            Event::Released { .. } => self.freeze.red_button = None,
            Event::TrustSet { trust } => self.policy.trust = trust,
            Event::UndoAsked { change, .. } => self.undo_asked(change, step),
            Event::Unfrozen { target, .. } => {
                if let Some(target) = self.targets.get_mut(&target) {
                    target.frozen = None;
                }
            }
            Event::Tick => self.tick(step),
            Event::Shutdown { put_back } => self.shut_down(put_back, step),
        }
    }

    fn started(&mut self, policy: Policy, step: &mut Step) {
        self.policy = policy;
        self.freeze.shutdown = None;
        self.kept.clear();
        for target in self.targets.values_mut() {
            target.lost_since_ms = Some(step.now_ms);
            if let Some(run) = &mut target.run {
                run.start_over(step.now_ms);
            }
        }
        // Nobody measures any more; a commit under way is still wanted.
        self.call_back(step, |state| state == ChangeState::Trying);
    }

    fn shut_down(&mut self, put_back: bool, step: &mut Step) {
        self.freeze.shutdown = Some(if put_back {
            Shutdown::PutBack
        } else {
            Shutdown::UndoRunning
        });
        self.call_back_all(step);
        self.expire_waiting(step, i64::MAX);
    }

    fn tick(&mut self, step: &mut Step) {
        let limit = ms(self.policy.approval_expiry_ms);
        self.expire_waiting(step, step.now_ms.saturating_sub(limit));
        let names: Vec<String> = self.targets.keys().cloned().collect();
        for name in names {
            self.tick_target(&name, step);
        }
    }

    /// Ends changes that have been waiting since `begun_ms` or longer.
    fn expire_waiting(&mut self, step: &mut Step, begun_ms: i64) {
        let stale = |c: &&Change| c.state == ChangeState::Waiting && c.begun_ms <= begun_ms;
        let expired: Vec<ChangeId> = self.changes.values().filter(stale).map(|c| c.id).collect();
        for id in expired {
            self.close_waiting(id, ChangeState::Expired, step);
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The level of trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.policy.trust
    }

    /// Who pressed the red button, while it is pressed.
    #[must_use]
    pub fn red_button(&self) -> Option<&str> {
        self.freeze.red_button.as_deref()
    }

    /// Why nothing is admitted anywhere, as a clause.
    #[must_use]
    pub fn standstill(&self) -> Option<String> {
        self.freeze.reason()
    }

    /// Changes remembered, oldest first: all that are not ended, and the newest
    /// [`HISTORY_MAX`] ended ones.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.values()
    }

    /// One change.
    #[must_use]
    pub fn change(&self, id: ChangeId) -> Option<&Change> {
        self.changes.get(&id)
    }

    /// Targets by name.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &Target)> {
        self.targets
            .iter()
            .map(|(name, target)| (name.as_str(), target))
    }

    /// One target.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    /// Whether no target holds anything of ours in flight: after a shutdown, time to end.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.targets.values().all(|t| t.run.is_none()) && self.next_to_put_back().is_none()
    }

    /// What must hold after every step; a broken one is a bug here, nowhere else.
    fn assert_invariants(&self) {
        let live = |state| {
            use ChangeState as S;
            matches!(state, S::Trying | S::Keeping | S::Undoing)
        };
        for (name, target) in &self.targets {
            let Some(run) = &target.run else { continue };
            let change = self.changes.get(&run.change);
            let change = change.expect("a run belongs to a change");
            assert!(
                live(change.state),
                "only a live change is in flight: {change:?}"
            );
            assert_eq!(&change.proposal.target, name, "a change runs at its target");
            assert!(
                target.carried <= target.generation,
                "a target carries out no order that was not given"
            );
        }
        let in_flight = self.targets.values().filter(|t| t.run.is_some()).count();
        let alive = self.changes.values().filter(|c| live(c.state)).count();
        assert_eq!(
            in_flight, alive,
            "every live change is in flight at its target"
        );
    }
}

impl Step {
    pub(crate) fn decide(&mut self, change: &Change, ruling: Ruling) {
        self.out.push(Command::Decided(Decision {
            proposal: change.proposal.id,
            change: Some(change.id),
            ruling,
            at_ms: self.now_ms,
        }));
    }

    pub(crate) fn refuse(&mut self, change: &Change, why: Why) {
        self.decide(change, Ruling::Refuse { why });
    }

    pub(crate) fn defer(&mut self, change: &Change, why: Why) {
        self.decide(change, Ruling::Defer { why });
    }

    pub(crate) fn show(&mut self, change: &Change) {
        self.out.push(Command::Changed(Box::new(change.clone())));
    }
}
