//! The loop, in one file to read first.
//!
//! ```text
//! store's change feed ─▶ analyze: findings
//! turn:   outcomes, people ─▶ govern ─┐
//!         validate (guards, windows) ─┼─▶ govern ─▶ orders for act
//!         optimize (next proposal) ───┘
//! ```
//!
//! A turn is synchronous and knows no clock: what targets answer is an event of a later turn. So
//! the same function serves production and simulation. Nothing of a turn leaves it before its
//! record is on disk; that is the caller's part ([`Turn`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use analyze::Analyzer;
use govern::{Command, Event, Governor, Policy};
use model::{
    Author, Change, ChangeId, Decision, Finding, KnobSpec, Order, OrderKind, Proposal, ProposalId,
    SeriesReader, StudyId,
};
use store::{Delivery, Shown, Subscription};

use crate::{
    api::convert::Timing,
    config::Target,
    measure::Measure,
    trial::{Ask, Trial},
    tuner::{Progress, Tuner},
    watched,
};

/// How long a study holds back after a person was deferred, so that the person's next attempt
/// finds the target free, ms.
const YIELD_MS: i64 = 30_000;

/// Changes whose timing is remembered: as many as the API shows.
const TIMINGS_MAX: usize = 1_000;

/// What came out of a turn: to be recorded, then carried out, then told.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Lines of the governor's record.
    pub(crate) lines: Vec<String>,
    pub(crate) changes: Vec<Change>,
    pub(crate) decisions: Vec<Decision>,
    /// Studies that moved.
    pub(crate) studied: Vec<Progress>,
    /// Targets of those studies, while the turn lasts.
    moved: BTreeSet<String>,
    pub(crate) orders: Vec<Order>,
    /// Reasons for a person to look.
    pub(crate) pages: Vec<String>,
}

impl Turn {
    /// Whether nothing happened that anybody has to know.
    pub(crate) fn is_quiet(&self) -> bool {
        self.lines.is_empty()
            && self.changes.is_empty()
            && self.decisions.is_empty()
            && self.studied.is_empty()
            && self.orders.is_empty()
            && self.pages.is_empty()
    }
}

/// The stages, held together.
pub(crate) struct Pipeline {
    reader: Arc<dyn SeriesReader>,
    feed: Subscription,
    analyzer: Analyzer,
    not_judged: u64,
    measure: Measure,
    governor: Governor,
    targets: BTreeMap<String, Target>,
    trials: BTreeMap<ChangeId, Trial>,
    tuners: BTreeMap<String, Tuner>,
    timings: BTreeMap<ChangeId, Timing>,
    next_proposal: ProposalId,
    next_study: StudyId,
    seed: u64,
    /// Studies hold back until then.
    yield_until_ms: i64,
    stopping: bool,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("governor", &self.governor)
            .finish_non_exhaustive()
    }
}

/// What a pipeline is made of.
pub(crate) struct Parts {
    pub(crate) reader: Arc<dyn SeriesReader>,
    /// What is stored, from whichever door.
    pub(crate) feed: Subscription,
    pub(crate) measure: Measure,
    pub(crate) targets: Vec<Target>,
    pub(crate) seed: u64,
    /// From the record of earlier lives, or new.
    pub(crate) governor: Governor,
    pub(crate) tuners: Vec<Tuner>,
    pub(crate) next_proposal: ProposalId,
    pub(crate) next_study: StudyId,
}

impl Pipeline {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            reader: parts.reader,
            feed: parts.feed,
            not_judged: 0,
            analyzer: Analyzer::new(analyze::Config::default()),
            measure: parts.measure,
            governor: parts.governor,
            targets: parts
                .targets
                .into_iter()
                .map(|t| (t.name.clone(), t))
                .collect(),
            trials: BTreeMap::new(),
            tuners: parts
                .tuners
                .into_iter()
                .map(|t| (t.study.target.clone(), t))
                .collect(),
            timings: BTreeMap::new(),
            next_proposal: parts.next_proposal,
            next_study: parts.next_study,
            seed: parts.seed,
            yield_until_ms: i64::MIN,
            stopping: false,
        }
    }

    /// Begins this life: running changes of an earlier one are called back.
    pub(crate) fn start(&mut self, now_ms: i64, policy: Policy) -> Turn {
        let mut turn = Turn::default();
        self.tell(now_ms, Event::Started { policy }, &mut turn);
        self.note_progress(&mut turn);
        turn
    }

    /// Looks at what was stored since last time, at most about `points_max` samples of it, and
    /// judges what of it is about now. What was not stored is not analyzed either: a finding must
    /// have its evidence.
    pub(crate) fn analyze(&mut self, now_ms: i64, points_max: usize) -> Vec<Finding> {
        let since_ms = now_ms - watched::LIVE_MS;
        let (mut findings, mut points) = (Vec::new(), 0);
        while points < points_max
            && let Some(delivery) = self.feed.take()
        {
            match delivery {
                Delivery::Points { shown, .. } => {
                    let (judged, found) = self.judge(&shown, since_ms);
                    // What is not judged costs little, and not nothing.
                    points += judged + 1;
                    self.not_judged += (shown.len() - judged) as u64;
                    findings.extend(found);
                }
                Delivery::Missed(points) => {
                    tracing::warn!(points, "the analysis did not keep up and missed points");
                }
            }
        }
        findings
    }

    /// How many samples were judged, and what was found.
    fn judge(&mut self, shown: &Shown, since_ms: i64) -> (usize, Vec<Finding>) {
        match shown {
            Shown::Batch(batch) => {
                let judged = watched::in_batch(batch, since_ms);
                (judged.samples.len(), self.analyzer.observe(&judged))
            }
            Shown::Points(shown) => {
                let judged = watched::in_points(&shown.points, since_ms);
                let found = self.analyzer.observe_points(&shown.labels, &judged);
                (judged.len(), found)
            }
        }
    }

    /// Samples seen and not judged, as [`watched`] says, since this was asked last.
    pub(crate) fn take_not_judged(&mut self) -> u64 {
        std::mem::take(&mut self.not_judged)
    }

    /// Resolves when something was stored that was not analyzed yet; never, when the store is
    /// closed.
    pub(crate) async fn stored(&mut self) {
        if !self.feed.ready().await {
            std::future::pending::<()>().await;
        }
    }

    /// How far the analysis is behind: points, and the time the oldest of them was stored, ms.
    pub(crate) fn analysis_behind(&self) -> (u64, Option<i64>) {
        self.feed.behind()
    }

    /// One turn of the loop.
    pub(crate) fn turn(&mut self, now_ms: i64, events: Vec<Event>) -> Turn {
        let mut turn = Turn::default();
        for event in events {
            self.tell(now_ms, event, &mut turn);
        }
        self.validate(now_ms, &mut turn);
        self.optimize(now_ms, &mut turn);
        self.tell(now_ms, Event::Tick, &mut turn);
        self.note_progress(&mut turn);
        turn
    }

    fn note_progress(&mut self, turn: &mut Turn) {
        for target in std::mem::take(&mut turn.moved) {
            turn.studied
                .extend(self.tuners.get_mut(&target).map(Tuner::progress));
        }
    }

    /// Puts an event before the governor and obeys its commands.
    fn tell(&mut self, now_ms: i64, event: Event, turn: &mut Turn) {
        self.stopping |= matches!(event, Event::Shutdown { .. });
        let step = self.governor.turn(now_ms, event);
        turn.lines.extend(step.line);
        for command in step.commands {
            self.obey(now_ms, command, turn);
        }
    }

    fn obey(&mut self, now_ms: i64, command: Command, turn: &mut Turn) {
        match command {
            Command::Send(order) => {
                self.time_order(&order, now_ms);
                turn.orders.push(order);
            }
            Command::Decided(decision) => self.decided(now_ms, decision, turn),
            Command::Changed(change) => self.changed(*change, turn),
            Command::BeginTrial { change } => self.begin_trial(change, now_ms),
            Command::InForce { change, arm } => {
                self.time_in_force(change, now_ms);
                if let Some(trial) = self.trials.get_mut(&change) {
                    trial.in_force(arm, now_ms);
                }
            }
            Command::EndTrial { change } => {
                self.trials.remove(&change);
            }
            Command::Page { reason } => turn.pages.push(reason),
        }
    }

    fn decided(&mut self, now_ms: i64, decision: Decision, turn: &mut Turn) {
        let of_study = self
            .tuners
            .iter_mut()
            .find_map(|(target, tuner)| tuner.ruled(&decision).then(|| target.clone()));
        match of_study {
            Some(target) => {
                turn.moved.insert(target);
            }
            None if matches!(decision.ruling, model::Ruling::Defer { .. }) => {
                self.yield_until_ms = now_ms + YIELD_MS;
            }
            None => self.yield_until_ms = i64::MIN,
        }
        turn.decisions.push(decision);
    }

    fn changed(&mut self, change: Change, turn: &mut Turn) {
        if change.state.is_end() {
            let target = change.proposal.target.clone();
            let knobs = self.knobs(&target);
            if let Some(tuner) = self.tuners.get_mut(&target) {
                tuner.ended(&change, &knobs);
                turn.moved.insert(target);
            }
            self.time_end(&change);
        }
        turn.changes.push(change);
    }

    fn begin_trial(&mut self, id: ChangeId, now_ms: i64) {
        let change = self
            .governor
            .change(id)
            .expect("the governor begins trials of its changes");
        // Only configured targets are ever seen, and only plans that can be tested configured.
        let target = &self.targets[&change.proposal.target];
        let trial = Trial::new(change, target, self.seed, now_ms);
        self.trials.insert(
            id,
            trial.expect("the configuration allows only testable plans"),
        );
    }

    /// Every running trial: its guards, then its next window or its verdict.
    fn validate(&mut self, now_ms: i64, turn: &mut Turn) {
        let running: Vec<ChangeId> = self.trials.keys().copied().collect();
        for change in running {
            let Some(trial) = self.trials.get_mut(&change) else {
                continue;
            };
            let objective = &self.targets[&trial.target].objective.query;
            let ask = trial.turn(now_ms, objective, &self.measure, self.reader.as_ref());
            let event = match ask {
                None => continue,
                Some(Ask::Arm(arm)) => Event::ArmWanted { change, arm },
                Some(Ask::Breach(breach)) => {
                    let verdict = trial.end(model::Ending::Guard);
                    self.tell(now_ms, Event::Breached { change, breach }, turn);
                    // The way back is under way; what the trial had shown goes into the record.
                    Event::Judged { change, verdict }
                }
                Some(Ask::Judged(verdict)) => {
                    let location = trial.conductor().location();
                    if let Some(tuner) = self.tuners.get_mut(&trial.target) {
                        tuner.measured(change, location);
                    }
                    Event::Judged { change, verdict }
                }
            };
            self.tell(now_ms, event, turn);
        }
    }

    /// Every study that has a free target proposes its next trial.
    fn optimize(&mut self, now_ms: i64, turn: &mut Turn) {
        if self.stopping || now_ms < self.yield_until_ms {
            return;
        }
        let names: Vec<String> = self.targets.keys().cloned().collect();
        for name in names {
            if !self.is_free(&name, now_ms) {
                continue;
            }
            self.begin_study(&name, now_ms, turn);
            let id = self.next_proposal.next();
            let Some(tuner) = self.tuners.get_mut(&name).filter(|t| t.is_idle()) else {
                continue;
            };
            let proposal = tuner.propose(id, now_ms);
            turn.moved.insert(name);
            if let Some(proposal) = proposal {
                self.next_proposal = id;
                self.tell(now_ms, Event::Proposed(proposal), turn);
            }
        }
    }

    /// Whether the governor could admit a change of this target now.
    fn is_free(&self, name: &str, now_ms: i64) -> bool {
        let frozen = self.governor.standstill().is_some();
        !frozen
            && self.governor.target(name).is_some_and(|target| {
                target.is_up()
                    && target.frozen().is_none()
                    && target.in_flight().is_none()
                    && target.rests_until_ms() <= now_ms
                    && target.budget_left(self.governor.policy(), now_ms) > 0
            })
    }

    fn begin_study(&mut self, name: &str, now_ms: i64, turn: &mut Turn) {
        if self.tuners.contains_key(name) {
            return;
        }
        let target = &self.targets[name];
        let Some(said) = &target.study else { return };
        let id = self.next_study.next();
        let knobs = self.knobs(name);
        if let Some(tuner) = Tuner::begin(id, target, said, &knobs, self.seed, now_ms) {
            self.next_study = id;
            self.tuners.insert(name.to_owned(), tuner);
            turn.moved.insert(name.to_owned());
        }
    }

    /// A person's proposal. The decision is in the turn that follows.
    pub(crate) fn person_proposes(
        &mut self,
        now_ms: i64,
        target: String,
        mut values: model::Params,
        person: String,
        reason: String,
    ) -> Event {
        values.sort_by(|a, b| a.0.cmp(&b.0));
        self.next_proposal = self.next_proposal.next();
        Event::Proposed(Proposal {
            id: self.next_proposal,
            target,
            values,
            author: Author::Person { name: person },
            reason,
            expected: None,
            at_ms: now_ms,
        })
    }

    /// Ends a study: its running trial goes on, nothing new is asked.
    pub(crate) fn stop_study(&mut self, id: StudyId) -> Option<Turn> {
        let tuner = self.tuners.values_mut().find(|t| t.study.id == id)?;
        tuner.stop();
        Some(Turn {
            studied: vec![tuner.progress()],
            ..Turn::default()
        })
    }

    fn time_order(&mut self, order: &Order, now_ms: i64) {
        let timing = self.timings.entry(order.change).or_default();
        if order.kind == OrderKind::Set && timing.ordered_ms.is_none() {
            timing.ordered_ms = Some(now_ms);
        }
    }

    fn time_in_force(&mut self, change: ChangeId, now_ms: i64) {
        let timing = self.timings.entry(change).or_default();
        if let (None, Some(ordered_ms)) = (timing.apply_ms, timing.ordered_ms) {
            timing.apply_ms = u64::try_from(now_ms - ordered_ms).ok();
        }
    }

    fn time_end(&mut self, change: &Change) {
        let timing = self.timings.entry(change.id).or_default();
        if let (Some(breach), Some(ended_ms)) = (&change.breach, change.ended_ms) {
            timing.rollback_ms = u64::try_from(ended_ms - breach.at_ms).ok();
        }
        while self.timings.len() > TIMINGS_MAX {
            self.timings.pop_first();
        }
    }

    /// A target's knobs as last read.
    pub(crate) fn knobs(&self, target: &str) -> Vec<KnobSpec> {
        self.governor
            .target(target)
            .map(|t| t.knobs().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn governor(&self) -> &Governor {
        &self.governor
    }

    pub(crate) fn tuners(&self) -> impl Iterator<Item = &Tuner> {
        self.tuners.values()
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.values()
    }

    pub(crate) fn trials(&self) -> impl Iterator<Item = (ChangeId, &Trial)> {
        self.trials.iter().map(|(id, trial)| (*id, trial))
    }

    pub(crate) fn timing(&self, change: ChangeId) -> Timing {
        self.timings.get(&change).copied().unwrap_or_default()
    }

    pub(crate) fn measure(&self) -> &Measure {
        &self.measure
    }

    pub(crate) fn reader(&self) -> &dyn SeriesReader {
        self.reader.as_ref()
    }

    /// Whether the loop is stopping and nothing of ours is in flight any more.
    pub(crate) fn may_end(&self) -> bool {
        self.stopping && self.governor.is_at_rest()
    }
}
