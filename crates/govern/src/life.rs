//! The life of a change: from a proposal to kept, undone or failed. Every transition is here.
//!
//! The work at the target is an errand ([`crate::run`]): sent, read back, tried again, given up.
//! Each failure leads toward the old values, and only the failure to restore those leads out of
//! the road: the target is frozen and a person is called.

use model::{
    Arm, Call, Change, ChangeId, ChangeState, Decision, Generation, GuardBreach, KnobSpec, Order,
    OrderKind, Outcome, Proposal, Ruling, Setting, Verdict, Why,
};

use crate::{
    Admission, Command, Governor, Target, Trust,
    freeze::Shutdown,
    governor::{HISTORY_MAX, Step},
    policy::ms,
    run::{Errand, Held, Run, Sent, Task},
};

/// A target that claims a newer generation than this is not believed: orders could run out of
/// numbers.
const GENERATION_SEEN_MAX: Generation = Generation(1 << 62);

/// Into the life: proposals and what persons say to them.
impl Governor {
    pub(crate) fn proposed(&mut self, proposal: Proposal, step: &mut Step) {
        let autonomous = self.policy.trust == Trust::Autonomous;
        let admission = if autonomous {
            self.admission(&proposal, step.now_ms)
        } else {
            self.may_wait(&proposal, step.now_ms)
        };
        match admission {
            Admission::Admit(settings) => {
                let id = self.new_change(proposal, settings, step);
                if autonomous {
                    self.begin(id, step);
                } else {
                    let change = self.known(id);
                    step.decide(change, Ruling::AwaitApproval);
                    step.show(change);
                }
            }
            Admission::Defer(why) => step.turn_away(&proposal, Ruling::Defer { why }),
            Admission::Refuse(why) => step.turn_away(&proposal, Ruling::Refuse { why }),
        }
    }

    fn new_change(&mut self, proposal: Proposal, settings: Vec<Setting>, step: &Step) -> ChangeId {
        self.last_change = self.last_change.next();
        let id = self.last_change;
        let change = Change {
            id,
            proposal,
            settings,
            state: ChangeState::Waiting,
            begun_ms: step.now_ms,
            ended_ms: None,
            verdict: None,
            breach: None,
            read_back: Vec::new(),
        };
        self.changes.insert(id, change);
        id
    }

    pub(crate) fn approved(&mut self, id: ChangeId, step: &mut Step) {
        let Some(change) = self.waiting(id, step).cloned() else {
            return;
        };
        if self.policy.trust == Trust::Recommend {
            let reason = "the level of trust is `recommend`".to_owned();
            return step.defer(&change, Why::Frozen { reason });
        }
        match self.admission(&change.proposal, step.now_ms) {
            Admission::Admit(settings) => {
                // The values in force may have moved while it waited.
                self.known_mut(id).settings = settings;
                self.begin(id, step);
            }
            Admission::Defer(why) => step.defer(&change, why),
            Admission::Refuse(why) => {
                step.refuse(&change, why);
                self.close_waiting(id, ChangeState::Refused, step);
            }
        }
    }

    pub(crate) fn rejected(&mut self, id: ChangeId, step: &mut Step) {
        if self.waiting(id, step).is_some() {
            self.close_waiting(id, ChangeState::Refused, step);
        }
    }

    /// The change, if it waits for a person; otherwise they are told it does not.
    fn waiting(&self, id: ChangeId, step: &mut Step) -> Option<&Change> {
        let change = self.changes.get(&id)?;
        if change.state == ChangeState::Waiting {
            return Some(change);
        }
        let state = change.state;
        step.refuse(change, Why::WrongState { state });
        None
    }

    pub(crate) fn close_waiting(&mut self, id: ChangeId, state: ChangeState, step: &mut Step) {
        let change = self.known_mut(id);
        change.state = state;
        change.ended_ms = Some(step.now_ms);
        step.show(change);
        self.forget_oldest();
    }

    /// Admitted: the change is in flight. Nothing is sent before the conductor asks for an arm.
    fn begin(&mut self, id: ChangeId, step: &mut Step) {
        let change = self.known_mut(id);
        change.state = ChangeState::Trying;
        change.begun_ms = step.now_ms;
        let change = change.clone();
        let policy = self.policy.clone();
        let target = self.target_of(id);
        assert!(target.run.is_none(), "one change in flight a target");
        target.run = Some(Run::new(id, step.now_ms));
        target.budget.spend(&policy, step.now_ms);
        step.decide(&change, Ruling::Admit);
        step.show(&change);
        step.out.push(Command::BeginTrial { change: id });
    }
}

/// Through the trial.
impl Governor {
    pub(crate) fn arm_wanted(&mut self, id: ChangeId, arm: Arm, step: &mut Step) {
        if self.state(id) != Some(ChangeState::Trying) {
            return;
        }
        let run = self.run_of(id);
        if run.lease_lapsed(step.now_ms) {
            self.undo(id, step);
        } else if run.holds(arm) {
            step.out.push(Command::InForce { change: id, arm });
        } else if !run.is_on(Task::Hold(arm)) {
            self.set_out(id, Task::Hold(arm), step);
        }
    }

    pub(crate) fn judged(&mut self, id: ChangeId, verdict: Verdict, step: &mut Step) {
        let Some(change) = self.changes.get_mut(&id) else {
            return;
        };
        if change.verdict.is_some() || change.state == ChangeState::Waiting {
            return;
        }
        let better = verdict.call == Call::Better;
        change.verdict = Some(verdict);
        match change.state {
            ChangeState::Trying if better => self.keep(id, step),
            ChangeState::Trying => self.undo(id, step),
            // Already called back: the judgement is for the record.
            ChangeState::Waiting
            | ChangeState::Keeping
            | ChangeState::Undoing
            | ChangeState::Kept
            | ChangeState::Undone
            | ChangeState::Refused
            | ChangeState::Expired
            | ChangeState::Failed => step.show(change),
        }
    }

    pub(crate) fn breached(&mut self, id: ChangeId, breach: GuardBreach, step: &mut Step) {
        if self.state(id) != Some(ChangeState::Trying) {
            return;
        }
        self.known_mut(id).breach = Some(breach);
        self.undo(id, step);
    }

    fn keep(&mut self, id: ChangeId, step: &mut Step) {
        let change = self.known_mut(id);
        change.state = ChangeState::Keeping;
        step.out.push(Command::EndTrial { change: id });
        step.show(change);
        self.set_out(id, Task::Commit, step);
    }

    /// Back to the old values, from wherever a live change stands.
    pub(crate) fn undo(&mut self, id: ChangeId, step: &mut Step) {
        let change = self.known_mut(id);
        let way_back = match change.state {
            ChangeState::Trying => {
                step.out.push(Command::EndTrial { change: id });
                Task::Restore
            }
            // The baseline is, or may be, the new one.
            ChangeState::Keeping | ChangeState::Kept => Task::CommitBack,
            ChangeState::Waiting
            | ChangeState::Undoing
            | ChangeState::Undone
            | ChangeState::Refused
            | ChangeState::Expired
            | ChangeState::Failed => return,
        };
        change.state = ChangeState::Undoing;
        change.ended_ms = None;
        step.show(change);
        self.set_out(id, way_back, step);
    }

    /// Undoes the changes in these states.
    pub(crate) fn call_back(&mut self, step: &mut Step, which: impl Fn(ChangeState) -> bool) {
        let running: Vec<ChangeId> = self
            .targets
            .values()
            .filter_map(Target::in_flight)
            .collect();
        for id in running {
            if self.state(id).is_some_and(&which) {
                self.undo(id, step);
            }
        }
    }

    pub(crate) fn call_back_all(&mut self, step: &mut Step) {
        self.call_back(step, |_| true);
    }

    pub(crate) fn undo_asked(&mut self, id: ChangeId, step: &mut Step) {
        let Some(change) = self.changes.get(&id) else {
            return;
        };
        match change.state {
            ChangeState::Trying | ChangeState::Keeping => self.undo(id, step),
            ChangeState::Kept => match self.undo_stands_in_the_way(change) {
                Some(ruling) => step.decide(change, ruling),
                None => self.undo_kept(id, step),
            },
            state => step.refuse(change, Why::WrongState { state }),
        }
    }

    /// What keeps a kept change from being undone now.
    fn undo_stands_in_the_way(&self, change: &Change) -> Option<Ruling> {
        let target = self.targets.get(&change.proposal.target)?;
        if let Some(knob) = target.superseded(&change.settings) {
            let knob = knob.to_owned();
            let why = Why::Superseded { knob };
            return Some(Ruling::Refuse { why });
        }
        let why = if let Some(reason) = target.frozen() {
            let reason = reason.to_owned();
            Why::Frozen { reason }
        } else if !target.is_up() {
            Why::TargetLost
        } else {
            let change = target.in_flight()?;
            Why::ChangeInFlight { change }
        };
        Some(Ruling::Defer { why })
    }

    fn undo_kept(&mut self, id: ChangeId, step: &mut Step) {
        self.kept.retain(|kept| *kept != id);
        self.target_of(id).run = Some(Run::new(id, step.now_ms));
        self.undo(id, step);
    }

    /// In a shutdown that puts back: the newest kept change that can be undone.
    pub(crate) fn next_to_put_back(&self) -> Option<ChangeId> {
        if self.freeze.shutdown != Some(Shutdown::PutBack) {
            return None;
        }
        let free = |id: &&ChangeId| {
            let change = self.changes.get(id);
            change.is_some_and(|c| self.undo_stands_in_the_way(c).is_none())
        };
        self.kept.iter().rev().find(free).copied()
    }

    pub(crate) fn put_back_next(&mut self, step: &mut Step) {
        while let Some(id) = self.next_to_put_back() {
            self.undo_kept(id, step);
        }
    }
}

/// At the target: orders, answers, retries, time.
impl Governor {
    fn set_out(&mut self, id: ChangeId, task: Task, step: &mut Step) {
        self.run_of(id).take_up(task, step.now_ms);
        self.drive(id, step);
    }

    /// Sends the order of the errand, if it is due and the target answers.
    fn drive(&mut self, id: ChangeId, step: &mut Step) {
        let red = self.freeze.red_button.is_some();
        let lease_ms = self.policy.lease_ms;
        let change = self.known(id);
        let (name, settings) = (change.proposal.target.clone(), change.settings.clone());
        let target = self.target_of(id);
        if !target.is_up() {
            return;
        }
        let generation = target.generation.next();
        let run = target.run.as_mut().expect("a driven change is in flight");
        let idle = |e: &&mut Errand| e.sent.is_none() && step.now_ms >= e.due_ms;
        let Some(errand) = run.errand.as_mut().filter(idle) else {
            return;
        };
        let task = errand.task;
        assert!(
            !red || task.rolls_back(),
            "the red button means only roll-backs"
        );
        errand.sent = Some(Sent {
            generation,
            at_ms: step.now_ms,
        });
        target.generation = generation;
        let kind = task.order_kind();
        let order = Order {
            change: id,
            target: name,
            generation,
            kind,
            values: task.values(&settings),
            lease_ms: if kind == OrderKind::Set { lease_ms } else { 0 },
        };
        step.out.push(Command::Send(order));
    }

    pub(crate) fn done(&mut self, outcome: Outcome, step: &mut Step) {
        let Some((id, sent_ms, task)) = self.awaited(&outcome) else {
            // An answer to an order overtaken by a newer one, or given up.
            step.moved = false;
            return;
        };
        let verified = outcome.verified();
        let target = self.target_of(id);
        if let Ok(read) = &outcome.result {
            target.note_values(read);
        }
        if verified {
            target.carried = target.carried.max(outcome.order.generation);
        }
        let carried_out = outcome.result.is_ok();
        if let Ok(mut read) = outcome.result {
            read.sort_by(|a, b| a.0.cmp(&b.0));
            self.known_mut(id).read_back = read;
        }
        if verified {
            self.accomplished(id, task, sent_ms, step);
        } else {
            self.failed(id, carried_out, step);
        }
    }

    /// The errand this is the answer to.
    fn awaited(&self, outcome: &Outcome) -> Option<(ChangeId, i64, Task)> {
        let order = &outcome.order;
        let run = self.targets.get(&order.target)?.run.as_ref()?;
        let errand = run.errand.as_ref()?;
        let sent = errand.sent?;
        let awaited = run.change == order.change && sent.generation == order.generation;
        awaited.then_some((run.change, sent.at_ms, errand.task))
    }

    fn accomplished(&mut self, id: ChangeId, task: Task, sent_ms: i64, step: &mut Step) {
        let committed = task.values(&self.known(id).settings);
        match task {
            // The renewal may have come after the target went back by itself.
            Task::Hold(_) if self.run_of(id).lease_lapsed(step.now_ms) => self.undo(id, step),
            Task::Hold(arm) => self.holds(id, arm, sent_ms, step),
            Task::Commit => {
                self.target_of(id).note_baseline(&committed);
                self.kept.push(id);
                self.end(id, ChangeState::Kept, step);
            }
            Task::Restore => self.end(id, ChangeState::Undone, step),
            Task::CommitBack => {
                self.target_of(id).note_baseline(&committed);
                self.end(id, ChangeState::Undone, step);
            }
        }
    }

    fn holds(&mut self, id: ChangeId, arm: Arm, sent_ms: i64, step: &mut Step) {
        let held = Held::new(arm, sent_ms, &self.policy);
        let run = self.run_of(id);
        let renewed = run.holds(arm);
        run.hold = Some(held);
        run.errand = None;
        step.moved = true;
        if !renewed {
            step.show(self.known(id));
            step.out.push(Command::InForce { change: id, arm });
        }
    }

    /// An attempt failed. A target that carried an order out and then shows other values will
    /// not be talked into the new ones; the old ones are asked for again and again.
    fn failed(&mut self, id: ChangeId, carried_out: bool, step: &mut Step) {
        let policy = self.policy.clone();
        let errand = self.run_of(id).errand.as_mut();
        let errand = errand.expect("what failed was an errand");
        errand.fail(&policy, step.now_ms);
        step.moved = true;
        let task = errand.task;
        let hopeless = carried_out && !task.rolls_back();
        if !hopeless && !errand.given_up(&policy) {
            return self.drive(id, step);
        }
        match task {
            Task::Hold(_) | Task::Commit => self.undo(id, step),
            Task::Restore | Task::CommitBack => {
                let reason = format!("the old values of change {id} could not be read back");
                self.give_up(id, reason, step);
            }
        }
    }

    fn give_up(&mut self, id: ChangeId, reason: String, step: &mut Step) {
        let name = self.known(id).proposal.target.clone();
        step.out.push(Command::Page {
            reason: format!("target {name} is frozen: {reason}"),
        });
        self.target_of(id).frozen = Some(reason);
        self.end(id, ChangeState::Failed, step);
    }

    fn end(&mut self, id: ChangeId, state: ChangeState, step: &mut Step) {
        let change = self.known_mut(id);
        change.state = state;
        change.ended_ms = Some(step.now_ms);
        let worse = change
            .verdict
            .as_ref()
            .is_some_and(|v| v.call == Call::Worse);
        let harmful = worse || change.breach.is_some() || state == ChangeState::Failed;
        step.show(change);
        let policy = self.policy.clone();
        let target = self.target_of(id);
        target.rest.begin(&policy, step.now_ms, harmful);
        target.run = None;
        self.forget_oldest();
    }

    pub(crate) fn tick_target(&mut self, name: &str, step: &mut Step) {
        let target = self.targets.get(name).expect("ticked targets are known");
        let Some(run) = &target.run else { return };
        let (id, now_ms) = (run.change, step.now_ms);
        let trying = self.state(id) == Some(ChangeState::Trying);
        let since = |at_ms: i64, limit: u64| now_ms >= at_ms.saturating_add(ms(limit));
        let lost_since = target.lost_since_ms;
        let errand = run.errand.as_ref();
        if errand.is_some_and(|e| e.timed_out(&self.policy, now_ms)) {
            self.failed(id, false, step);
        } else if lost_since.is_some_and(|at| since(at, self.policy.lost_grace_ms)) {
            let reason = format!("it was lost with change {id} unfinished");
            self.give_up(id, reason, step);
        } else if trying
            && (run.lease_lapsed(now_ms) || since(run.admitted_ms, self.policy.trial_max_ms))
        {
            self.undo(id, step);
        } else if let Some(arm) = run.renewal_due(now_ms) {
            self.set_out(id, Task::Hold(arm), step);
        } else {
            self.drive(id, step);
        }
    }

    pub(crate) fn target_seen(
        &mut self,
        name: &str,
        instance: String,
        generation: Generation,
        knobs: Vec<KnobSpec>,
        step: &mut Step,
    ) {
        let generation = generation.min(GENERATION_SEEN_MAX);
        let before = self.targets.get(name).cloned();
        let target = self.targets.entry(name.to_owned()).or_default();
        let restarted = before.is_some() && target.instance != instance;
        let was_up = before.as_ref().is_some_and(Target::is_up);
        target.lost_since_ms = None;
        target.generation = target.generation.max(generation);
        // A look taken before the newest answer came shows values of the past.
        if target.instance != instance || generation >= target.carried {
            target.carried = generation;
            target.instance = instance;
            target.knobs = knobs.into_iter().map(|k| (k.name.clone(), k)).collect();
        }
        step.moved = before.as_ref() != Some(target);
        let Some(id) = target.in_flight() else { return };
        if restarted {
            self.rebase(id);
        }
        if restarted && self.state(id) == Some(ChangeState::Trying) {
            self.undo(id, step);
        } else if restarted || !was_up {
            self.run_of(id).start_over(step.now_ms);
            self.drive(id, step);
        }
    }

    /// A target that started anew forgot leases and commits alike: what an unfinished trial goes
    /// back to is the baseline it started with, be it the same or not.
    fn rebase(&mut self, id: ChangeId) {
        let restores = self.run_of(id).is_on(Task::Restore);
        if !restores && self.state(id) != Some(ChangeState::Trying) {
            return;
        }
        let mut settings = self.known(id).settings.clone();
        let target = self.target_of(id);
        for setting in &mut settings {
            if let Some(knob) = target.knob(&setting.knob) {
                setting.old = knob.baseline.clone();
            }
        }
        self.known_mut(id).settings = settings;
    }

    pub(crate) fn target_lost(&mut self, name: &str, step: &mut Step) {
        let Some(target) = self.targets.get_mut(name).filter(|t| t.is_up()) else {
            return;
        };
        target.lost_since_ms = Some(step.now_ms);
        step.moved = true;
        let Some(run) = &mut target.run else { return };
        run.start_over(step.now_ms);
        let id = run.change;
        if self.state(id) == Some(ChangeState::Trying) {
            self.undo(id, step);
        }
    }
}

/// Looking things up that are known to be there.
impl Governor {
    fn state(&self, id: ChangeId) -> Option<ChangeState> {
        self.changes.get(&id).map(|change| change.state)
    }

    fn known(&self, id: ChangeId) -> &Change {
        self.changes.get(&id).expect("the change is known")
    }

    fn known_mut(&mut self, id: ChangeId) -> &mut Change {
        self.changes.get_mut(&id).expect("the change is known")
    }

    fn target_of(&mut self, id: ChangeId) -> &mut Target {
        let name = &self
            .changes
            .get(&id)
            .expect("the change is known")
            .proposal
            .target;
        let target = self.targets.get_mut(name);
        target.expect("a change has a known target")
    }

    fn run_of(&mut self, id: ChangeId) -> &mut Run {
        let run = self.target_of(id).run.as_mut();
        run.expect("a live change is in flight")
    }

    /// Keeps the memory bounded; what a shutdown may still have to put back goes last.
    fn forget_oldest(&mut self) {
        let ended = |c: &&Change| c.state.is_end();
        if self.changes.values().filter(ended).count() <= HISTORY_MAX {
            return;
        }
        let mut old = self.changes.values().filter(ended).map(|c| c.id);
        let first = old.clone().next();
        let Some(id) = old.find(|id| !self.kept.contains(id)).or(first) else {
            return;
        };
        self.changes.remove(&id);
        self.kept.retain(|kept| *kept != id);
    }
}

impl Step {
    fn turn_away(&mut self, proposal: &Proposal, ruling: Ruling) {
        self.out.push(Command::Decided(Decision {
            proposal: proposal.id,
            change: None,
            ruling,
            at_ms: self.now_ms,
        }));
    }
}
