//! Drives the pipeline: one thread that reads the mails, takes the turns, writes the record
//! before anything leaves, then sends the orders and tells whoever listens.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use govern::Event;
use journal::Journal;
use model::{Arm, Batch, ChangeId, Clock, Durability, Finding, Order, StudyId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use wire::{control, live};

use crate::{
    api::{convert, live::Signal},
    capacity::Capacities,
    config::Bound,
    finding_series::{self, FindingSeries},
    keep::Keep,
    mailbox::{Ask, Mail, Reply},
    pipeline::{Pipeline, Turn},
    telemetry::Telemetry,
    view::View,
};

/// Longest time between two turns: how late a guard or a window may be noticed.
const BEAT: Duration = Duration::from_millis(50);

/// Samples analyzed in one turn at most: some 10 ms of work, so that guards are looked at in time
/// however much is written.
const ANALYZED_MAX: usize = 20_000;

/// After a whole second, so long until its samples are taken to be stored, ms.
const ARRIVAL_MS: i64 = 150;

/// What the driver works with.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) pipeline: Pipeline,
    pub(crate) policy: govern::Policy,
    pub(crate) journal: Journal,
    pub(crate) keep: Keep,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) capacities: Capacities,
    pub(crate) view: watch::Sender<View>,
    pub(crate) events: broadcast::Sender<Signal>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) record: Record,
    /// Where findings are stored as series.
    pub(crate) sink: finding_series::Sink,
    pub(crate) finding_series: FindingSeries,
}

/// How the governor's record stands: lines since its last snapshot.
#[derive(Debug, Default)]
pub(crate) struct Record {
    lines: usize,
    /// Lines were lost: only a snapshot makes the record whole again.
    broken: bool,
}

/// Lines after which the record begins anew with a snapshot: a replay stays short.
const LINES_MAX: usize = 2_000;

/// A question whose answer comes out of the turn.
#[derive(Debug)]
enum Pending {
    /// The ruling on the newest proposal of a person.
    Decision(model::ProposalId),
    Change(ChangeId),
    Status,
    /// Already answered.
    Known(Reply),
}

impl Driver {
    /// Runs until a stop has been asked for and nothing of ours is in force any more.
    pub(crate) async fn run(mut self, mut mails: mpsc::Receiver<Mail>) {
        let turn = self
            .pipeline
            .start(self.clock.wall_ms(), self.policy.clone());
        self.record.lines = LINES_MAX;
        // Where it cannot be recorded, the next turn's snapshot stands for it.
        self.finish(turn);
        let mut second_ms = self.clock.wall_ms().div_euclid(1_000);
        while !self.pipeline.may_end() {
            let mut batch = Vec::new();
            // While it is behind, the analysis goes on with the beat: it may not take the thread.
            let caught_up = self.pipeline.analysis_behind().0 == 0;
            tokio::select! {
                mail = mails.recv() => match mail {
                    Some(mail) => batch.push(mail),
                    None => break,
                },
                () = self.pipeline.stored(), if caught_up => {}
                () = tokio::time::sleep(BEAT) => {}
            }
            while let Ok(mail) = mails.try_recv() {
                batch.push(mail);
            }
            self.turn(batch);
            let second = (self.clock.wall_ms() - ARRIVAL_MS).div_euclid(1_000);
            if second > second_ms {
                second_ms = second;
                self.second(second * 1_000);
            }
        }
        self.publish_status();
    }

    /// Looks at what was stored, sorts the mails into events and questions, then takes one turn.
    fn turn(&mut self, mails: Vec<Mail>) {
        let begun = self.clock.monotonic();
        let now_ms = self.clock.wall_ms();
        let findings = self.pipeline.analyze(now_ms, ANALYZED_MAX);
        self.found(findings);
        self.show_lag(now_ms);
        let (mut events, mut asked) = (Vec::new(), Vec::new());
        for mail in mails {
            match mail {
                Mail::Seen { target, discovery } => events.push(Event::TargetSeen {
                    target,
                    instance: discovery.instance,
                    generation: discovery.generation,
                    knobs: discovery.knobs,
                }),
                Mail::Lost { target } => events.push(Event::TargetLost { target }),
                Mail::Outcome(outcome) => events.push(Event::Done(outcome)),
                Mail::Ask(ask, reply) => {
                    let (event, pending) = self.question(now_ms, ask);
                    events.extend(event);
                    asked.push((pending, reply));
                }
                Mail::Stop { put_back } => events.push(Event::Shutdown { put_back }),
            }
        }
        let heard = !events.is_empty();
        let turn = self.pipeline.turn(now_ms, events);
        let mut answers: Vec<_> = asked
            .into_iter()
            .map(|(p, reply)| (self.answer(p, &turn), reply))
            .collect();
        if heard || !turn.is_quiet() {
            let recorded = self.finish(turn);
            self.publish_targets();
            if !recorded {
                withdraw(&mut answers);
            }
        }
        self.reply(answers);
        self.telemetry.turns.increment();
        self.telemetry
            .turn_seconds
            .observe_duration(self.clock.monotonic() - begun);
    }

    fn show_lag(&mut self, now_ms: i64) {
        let (points, oldest_ms) = self.pipeline.analysis_behind();
        let ms = oldest_ms.map_or(0, |at_ms| u64::try_from(now_ms - at_ms).unwrap_or(0));
        let points = i64::try_from(points).unwrap_or(i64::MAX);
        self.telemetry.analysis_behind_points.set(points);
        self.telemetry.analysis_behind_ms.store(ms, Relaxed);
        let not_judged = self.pipeline.take_not_judged();
        self.telemetry.analysis_not_judged.add(not_judged);
    }

    fn found(&mut self, findings: Vec<Finding>) {
        self.store_findings(&findings);
        for mut finding in findings {
            if let Err(error) = self.journal.record_finding(&mut finding) {
                self.telemetry.journal_errors.increment();
                tracing::warn!(%error, "a finding could not be recorded");
            }
            self.telemetry.findings.increment();
            let shown = convert::finding(&finding);
            self.view
                .send_modify(|view| view.note_finding(shown.clone()));
            self.send(live::Event::Finding { finding: shown });
        }
    }

    /// Findings as series, for rules to be about.
    fn store_findings(&mut self, findings: &[Finding]) {
        let (samples, dropped) = self.finding_series.samples(findings);
        self.telemetry.finding_series_dropped.add(dropped);
        if samples.is_empty() {
            return;
        }
        let batch = Batch {
            samples,
            door: finding_series::DOOR,
            ..Batch::default()
        };
        if let Err(error) = self.sink.0.append(&batch, Durability::Fast) {
            tracing::warn!(%error, "findings were not stored as series");
        }
    }

    /// The event a question becomes, and what to answer after the turn.
    fn question(&mut self, now_ms: i64, ask: Ask) -> (Option<Event>, Pending) {
        match ask {
            Ask::Propose(request) => {
                let values = request.values.iter();
                let values = values
                    .map(|(k, v)| (k.clone(), convert::knob_value(v)))
                    .collect();
                let person = request.by.unwrap_or_else(|| "api".to_owned());
                let event = self.pipeline.person_proposes(
                    now_ms,
                    request.target,
                    values,
                    person,
                    request.reason,
                );
                let Event::Proposed(proposal) = &event else {
                    unreachable!("a person's proposal is a proposal")
                };
                let id = proposal.id;
                (Some(event), Pending::Decision(id))
            }
            Ask::Approve { change, by } => {
                self.about(change, "waiting", |change| Event::Approved { change, by })
            }
            Ask::Reject { change, by } => {
                self.about(change, "waiting", |change| Event::Rejected { change, by })
            }
            Ask::Undo { change, by } => self.about(change, "trying keeping kept", |change| {
                Event::UndoAsked { change, by }
            }),
            Ask::StopStudy { study } => match self.pipeline.stop_study(StudyId(study)) {
                Some(turn) => match self.finish(turn) {
                    true => (None, Pending::Status),
                    false => (None, Pending::Known(Reply::Unrecorded)),
                },
                None => {
                    let what = format!("there is no study {study}");
                    (None, Pending::Known(Reply::NotFound(what)))
                }
            },
            Ask::RedButton { by } => (Some(Event::RedButton { by }), Pending::Status),
            Ask::Release { by } => (Some(Event::Released { by }), Pending::Status),
            Ask::Unfreeze { target, by } => (Some(Event::Unfrozen { target, by }), Pending::Status),
            Ask::Trust(trust) => {
                let trust = convert::trust_meant(trust);
                (Some(Event::TrustSet { trust }), Pending::Status)
            }
        }
    }

    /// A question about one change that must be in one of these states.
    fn about(
        &self,
        id: u64,
        states: &str,
        event: impl FnOnce(ChangeId) -> Event,
    ) -> (Option<Event>, Pending) {
        let Some(change) = self.pipeline.governor().change(ChangeId(id)) else {
            let what = format!("there is no change {id}");
            return (None, Pending::Known(Reply::NotFound(what)));
        };
        let state = govern::explain::word(change.state);
        if !states.split(' ').any(|s| s == state) {
            let why = format!("change {id} is {state}");
            return (None, Pending::Known(Reply::Conflict(why)));
        }
        (Some(event(change.id)), Pending::Change(change.id))
    }

    fn answer(&self, pending: Pending, turn: &Turn) -> Reply {
        match pending {
            Pending::Known(reply) => reply,
            Pending::Status => Reply::Status,
            Pending::Decision(proposal) => {
                let decision = turn.decisions.iter().find(|d| d.proposal == proposal);
                decision.map_or_else(
                    || Reply::Conflict("the governor did not rule".to_owned()),
                    |d| Reply::Decision(convert::decision(d)),
                )
            }
            Pending::Change(id) => match self.pipeline.governor().change(id) {
                Some(change) => {
                    let shown = convert::change(change, self.pipeline.timing(id));
                    Reply::Change(Box::new(shown))
                }
                None => Reply::NotFound(format!("there is no change {id}")),
            },
        }
    }

    /// Answers go out after the record: who has an answer may rely on it.
    fn reply(&self, answers: Vec<(Reply, oneshot::Sender<Reply>)>) {
        for (answer, reply) in answers {
            if reply.send(answer).is_err() {
                tracing::debug!("who asked has gone");
            }
        }
    }

    /// Records a turn, then carries it out and tells of it. A turn that cannot be recorded is not
    /// carried out: the governor takes its orders for lost, and tries again. Whether all there was
    /// to record is on record.
    fn finish(&mut self, turn: Turn) -> bool {
        if turn.is_quiet() {
            return true;
        }
        if let Err(error) = self.record(&turn) {
            self.record.broken = true;
            self.telemetry.journal_errors.increment();
            tracing::error!(%error, "the journal cannot be written: nothing is carried out");
            return false;
        }
        for reason in &turn.pages {
            tracing::error!(%reason, "a person has to look");
            self.telemetry.pages.increment();
        }
        for order in turn.orders {
            self.telemetry.orders.increment();
            if self.orders.send(order).is_err() {
                tracing::debug!("the actuators have ended");
            }
        }
        self.tell_changes(&turn.changes, &turn.decisions);
        if !turn.studied.is_empty() {
            self.publish_studies();
        }
        self.publish_status();
        true
    }

    fn record(&mut self, turn: &Turn) -> Result<(), journal::JournalError> {
        let now_ms = self.clock.wall_ms();
        let mut entry = self.journal.batch()?;
        // A snapshot stands for every line before it, this turn's included.
        let snapshot = self.record.broken || self.record.lines + turn.lines.len() > LINES_MAX;
        if snapshot {
            entry.compact_events(now_ms, &self.pipeline.governor().snapshot(now_ms))?;
        } else {
            for line in &turn.lines {
                entry.append_event(now_ms, line)?;
            }
        }
        for decision in &turn.decisions {
            entry.record_decision(decision)?;
        }
        for change in &turn.changes {
            entry.record_change(change)?;
        }
        for progress in &turn.studied {
            entry.record_study(&progress.study)?;
            for trial in &progress.trials {
                entry.record_trial(trial)?;
            }
            for line in &progress.lines {
                entry.append_study_log(progress.study.id, line)?;
            }
        }
        entry.commit()?;
        self.record.lines = if snapshot {
            0
        } else {
            self.record.lines + turn.lines.len()
        };
        self.record.broken = false;
        Ok(())
    }

    fn tell_changes(&self, changes: &[model::Change], decisions: &[model::Decision]) {
        for decision in decisions {
            let decision = convert::decision(decision);
            self.view
                .send_modify(|view| view.note_decision(decision.clone()));
            self.send(live::Event::Decision { decision });
        }
        for change in changes {
            let change = convert::change(change, self.pipeline.timing(change.id));
            self.view
                .send_modify(|view| view.note_change(change.clone()));
            self.send(live::Event::Change { change });
        }
    }

    /// Once a second: the tick for live pages, the status, and what is forecast now and then.
    fn second(&mut self, at_ms: i64) {
        let signal = Signal::Tick { at_ms };
        if self.events.send(signal).is_err() {
            // Nobody listens: that is the usual state of a server.
        }
        let findings = self
            .capacities
            .due(at_ms, self.pipeline.measure(), self.pipeline.reader());
        self.found(findings);
        self.publish_status();
        self.publish_targets();
    }

    fn send(&self, event: live::Event) {
        if self.events.send(Signal::Event(Arc::new(event))).is_err() {
            // Nobody listens.
        }
    }

    fn publish_status(&self) {
        let kept = self.keep.state();
        let governor = self.pipeline.governor();
        let running = self
            .pipeline
            .trials()
            .next()
            .map(|(id, trial)| running(id, trial));
        let now_ms = self.clock.wall_ms();
        self.view.send_modify(|view| {
            view.count_changes();
            let status = &mut view.status;
            status.now_ms = now_ms;
            status.trust = convert::trust(governor.trust());
            status.red_button = governor.red_button().map(str::to_owned);
            status.store = kept.state.to_owned();
            status.series = kept.series;
            status.samples = kept.samples;
            status.running = running;
        });
        let status = self.view.borrow().status.clone();
        self.send(live::Event::Status { status });
    }

    fn publish_targets(&self) {
        let targets: Vec<control::Target> =
            self.pipeline.targets().map(|t| self.target(t)).collect();
        let frozen = targets.iter().filter(|target| target.frozen.is_some());
        let frozen = i64::try_from(frozen.count()).unwrap_or(i64::MAX);
        self.telemetry.targets_frozen.set(frozen);
        self.view.send_modify(|view| view.targets = targets);
    }

    fn target(&self, said: &crate::config::Target) -> control::Target {
        let known = self.pipeline.governor().target(&said.name);
        let knobs = known
            .map(|t| t.knobs().map(convert::knob).collect())
            .unwrap_or_default();
        control::Target {
            name: said.name.clone(),
            url: said.url.clone(),
            up: known.is_some_and(govern::Target::is_up),
            frozen: known.and_then(|t| t.frozen()).map(str::to_owned),
            objective: control::Objective {
                name: said.objective.name.clone(),
                query: said.objective.query.clone(),
                goal: convert::goal(said.objective.goal).to_owned(),
                unit: said.objective.unit.clone(),
            },
            guards: said.guards.iter().map(|g| self.guard(g)).collect(),
            knobs,
        }
    }

    fn guard(&self, said: &crate::config::Guard) -> control::Guard {
        let (bound, value) = match said.bound {
            Bound::AtMost(value) => ("at_most", value),
            Bound::AtLeast(value) => ("at_least", value),
        };
        let now_ms = self.clock.wall_ms();
        control::Guard {
            name: said.name.clone(),
            query: said.query.clone(),
            bound: bound.to_owned(),
            value,
            last: self
                .pipeline
                .measure()
                .number(self.pipeline.reader(), &said.query, now_ms),
        }
    }

    fn publish_studies(&self) {
        let studies = self.pipeline.tuners().map(|t| {
            let trials: Vec<model::Trial> = t.trials.values().cloned().collect();
            convert::study(&t.study, &trials)
        });
        let studies = studies.collect();
        self.view.send_modify(|view| view.studies = studies);
    }
}

/// Takes back what a turn without a record would have promised. What is known without it (there
/// is no such change) stays an answer.
fn withdraw(answers: &mut [(Reply, oneshot::Sender<Reply>)]) {
    for (answer, _) in answers {
        if matches!(
            answer,
            Reply::Decision(_) | Reply::Change(_) | Reply::Status
        ) {
            *answer = Reply::Unrecorded;
        }
    }
}

fn running(id: ChangeId, trial: &crate::trial::Trial) -> control::Running {
    let test = trial.conductor().test();
    control::Running {
        change: id.0,
        arm: trial.arm().map(|arm| {
            match arm {
                Arm::Baseline => "baseline",
                Arm::Variant => "variant",
            }
            .to_owned()
        }),
        pairs: test.pairs(),
        pairs_max: test.rule().pairs_max,
        e_value: test.e_value(),
        effect: test.effect().map(convert::effect),
    }
}
