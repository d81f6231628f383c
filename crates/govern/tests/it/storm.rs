//! Thousands of seeded storms: random events, lost and late messages, restarts, crashes of the
//! server; and the invariants after every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use govern::{Command, Event, Governor, Policy, Trust, record};
use model::{
    Arm, Author, Call, Change, ChangeId, ChangeState, GuardBreach, KnobValue, Order, OrderKind,
    Outcome, Proposal, ProposalId, Ruling,
};

use crate::{
    script::verdict,
    world::{Rng, Target},
};

const SEEDS: u64 = 2_000;
const STEPS: u64 = 150;
const NAMES: [&str; 2] = ["ledger", "search"];

struct Storm {
    rng: Rng,
    governor: Governor,
    policy: Policy,
    now_ms: i64,
    targets: BTreeMap<&'static str, Target>,
    /// Orders on their way to a target, and answers on their way back; in any order.
    orders: VecDeque<Order>,
    answers: VecDeque<Outcome>,
    lines: Vec<String>,
    proposals: u64,
    /// What the commands say, seen from outside.
    admitted: BTreeSet<ChangeId>,
    states: BTreeMap<ChangeId, ChangeState>,
    generations: BTreeMap<String, u64>,
    /// The instance of each target that was told last.
    looked_at: BTreeMap<String, u64>,
    pages: usize,
    kept: usize,
    undone: usize,
    failed: usize,
    /// Percent of messages lost, and how much else happens.
    weather: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let policy = Policy {
            trust: Trust::Autonomous,
            cool_down_ms: rng.below(2) * 500,
            budget_changes: 30,
            budget_window_ms: 20_000,
            lease_ms: 6_000,
            order_timeout_ms: 1_000,
            lost_grace_ms: 15_000,
            trial_max_ms: 20_000,
            approval_expiry_ms: 10_000,
            ..Policy::default()
        };
        let mut storm = Self {
            weather: [0, 5, 30][rng.below(3) as usize],
            rng,
            governor: Governor::new(Policy::default()),
            policy: policy.clone(),
            now_ms: 1_700_000_000_000,
            targets: NAMES.map(|name| (name, Target::new())).into(),
            orders: VecDeque::new(),
            answers: VecDeque::new(),
            lines: Vec::new(),
            proposals: 0,
            admitted: BTreeSet::new(),
            states: BTreeMap::new(),
            generations: BTreeMap::new(),
            looked_at: BTreeMap::new(),
            pages: 0,
            kept: 0,
            undone: 0,
            failed: 0,
        };
        storm.feed(Event::Started { policy });
        NAMES.into_iter().for_each(|name| storm.look(name));
        storm
    }

    fn feed(&mut self, event: Event) {
        let turn = self.governor.turn(self.now_ms, event);
        self.lines.extend(turn.line);
        for command in turn.commands {
            self.watch(&command);
            if let Command::Send(order) = command {
                self.orders.push_back(order);
            }
        }
        self.one_change_in_flight_a_target();
    }

    /// The invariants, judged by commands alone.
    fn watch(&mut self, command: &Command) {
        match command {
            Command::Decided(decision) if decision.ruling == Ruling::Admit => {
                assert!(
                    self.governor.standstill().is_none(),
                    "admitted at a standstill"
                );
                self.admitted
                    .insert(decision.change.expect("admitted as a change"));
            }
            Command::Changed(change) => self.moves(change),
            Command::Send(order) => self.ordered(order),
            Command::Page { .. } => self.pages += 1,
            Command::InForce { change, arm } => self.is_in_force(*change, *arm),
            Command::Decided(_) | Command::BeginTrial { .. } | Command::EndTrial { .. } => {}
        }
    }

    fn moves(&mut self, change: &Change) {
        use ChangeState as S;
        let before = self.states.insert(change.id, change.state);
        let allowed = match (before, change.state) {
            (None, S::Waiting | S::Trying) => true,
            (Some(S::Waiting), S::Trying | S::Refused | S::Expired) => true,
            (Some(S::Trying), S::Trying | S::Keeping | S::Undoing) => true,
            (Some(S::Keeping), S::Kept | S::Undoing | S::Failed) => true,
            (Some(S::Kept), S::Undoing) => true,
            (Some(S::Undoing), S::Undoing | S::Undone | S::Failed) => true,
            // A late judgement, for the record.
            (Some(before), after) => before == after && change.verdict.is_some(),
            (None, _) => false,
        };
        assert!(allowed, "from {before:?} to {:?}", change.state);
        if before == Some(change.state) {
            return;
        }
        match change.state {
            S::Kept => self.kept += 1,
            S::Undone => self.undone += 1,
            S::Failed => {
                self.failed += 1;
                let target = self.governor.target(&change.proposal.target).unwrap();
                assert!(
                    target.frozen().is_some(),
                    "a failed roll-back freezes its target"
                );
            }
            S::Waiting | S::Trying | S::Keeping | S::Undoing | S::Refused | S::Expired => {}
        }
        if matches!(change.state, S::Kept | S::Undone) {
            self.is_true(change);
        }
    }

    /// What is said to be kept or undone was read back from the target exactly.
    fn is_true(&self, change: &Change) {
        let wanted = change.settings.iter().map(|s| {
            let kept = change.state == ChangeState::Kept;
            (
                s.knob.clone(),
                if kept { s.new.clone() } else { s.old.clone() },
            )
        });
        assert_eq!(
            change.read_back,
            wanted.collect::<Vec<_>>(),
            "the read-back proves it"
        );
    }

    /// What is said to be in force is: else a window would measure the other arm. Only a restart
    /// can hide until the next look.
    fn is_in_force(&mut self, id: ChangeId, arm: Arm) {
        let change = self.governor.change(id).expect("a known change");
        let target = self
            .targets
            .get_mut(change.proposal.target.as_str())
            .unwrap();
        target.expire(self.now_ms);
        let values = change.settings.iter().map(|s| {
            let value = if arm == Arm::Variant { &s.new } else { &s.old };
            (s.knob.clone(), value.clone())
        });
        let restarted = target.instance != self.looked_at[change.proposal.target.as_str()];
        assert!(
            restarted || target.holds(&values.collect::<Vec<_>>()),
            "{arm:?} is in force"
        );
    }

    fn ordered(&mut self, order: &Order) {
        let change = self
            .governor
            .change(order.change)
            .expect("an order has a change");
        assert!(
            self.admitted.contains(&order.change),
            "no order without admission"
        );
        assert_eq!(change.proposal.target, order.target);
        let named = |name: &String| change.settings.iter().any(|s| s.knob == *name);
        assert!(
            order.values.iter().all(|(name, _)| named(name)),
            "only its own knobs"
        );
        let last = self
            .generations
            .insert(order.target.clone(), order.generation.0);
        assert!(
            last.is_none_or(|last| order.generation.0 > last),
            "generations rise"
        );
        if self.governor.red_button().is_some() {
            let old = change
                .settings
                .iter()
                .map(|s| (s.knob.clone(), s.old.clone()));
            assert!(
                order.kind != OrderKind::Set,
                "the red button means only roll-backs"
            );
            assert_eq!(order.values, old.collect::<Vec<_>>(), "to the old values");
        }
    }

    fn one_change_in_flight_a_target(&self) {
        let mut busy = BTreeSet::new();
        for change in self.governor.changes() {
            use ChangeState as S;
            if matches!(change.state, S::Trying | S::Keeping | S::Undoing) {
                assert!(
                    busy.insert(&change.proposal.target),
                    "two changes in flight"
                );
            }
        }
    }

    fn look(&mut self, name: &'static str) {
        let target = self.targets.get_mut(name).unwrap();
        target.expire(self.now_ms);
        self.looked_at.insert(name.into(), target.instance);
        let seen = Event::TargetSeen {
            target: name.into(),
            instance: target.instance.to_string(),
            generation: target.generation,
            knobs: target.knobs.values().cloned().collect(),
        };
        self.feed(seen);
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.rng.below(2) as usize]
    }

    fn some_change(&mut self) -> ChangeId {
        let live: Vec<ChangeId> = self
            .governor
            .targets()
            .filter_map(|(_, t)| t.in_flight())
            .collect();
        if !live.is_empty() && self.rng.percent(80) {
            return live[self.rng.below(live.len() as u64) as usize];
        }
        // One of the newest, or none at all.
        let newest = self.states.keys().next_back().map_or(0, |id| id.0);
        ChangeId((newest + 1).saturating_sub(self.rng.below(4)))
    }

    fn proposal(&mut self) -> Proposal {
        self.proposals += 1;
        let value = match self.rng.below(8) {
            0 => ("cache.size", KnobValue::Int(3_000)),
            1 => (
                "linger.ms",
                KnobValue::Float(self.rng.below(40) as f64 / 0.7),
            ),
            2 => ("read.ahead", KnobValue::Bool(self.rng.percent(50))),
            3 => ("linger.ms", KnobValue::Float(f64::NAN)),
            4 => ("nothing", KnobValue::Int(1)),
            _ => ("pool.size", KnobValue::Int(self.rng.below(80) as i64)),
        };
        Proposal {
            id: ProposalId(self.proposals),
            target: self.name().into(),
            values: vec![(value.0.into(), value.1)],
            author: Author::Rule {
                name: "storm".into(),
            },
            reason: String::new(),
            expected: None,
            at_ms: self.now_ms,
        }
    }

    /// An order arrives, or is lost; its answer is under way, or lost.
    fn deliver(&mut self) {
        let at = self.rng.below(self.orders.len().max(1) as u64) as usize;
        let Some(order) = self.orders.remove(at) else {
            return;
        };
        if self.rng.percent(self.weather) {
            return;
        }
        let target = self.targets.get_mut(order.target.as_str()).unwrap();
        let mut outcome = target.answer(&order, self.now_ms);
        if self.rng.percent(self.weather / 4) {
            outcome.result = Ok(vec![("pool.size".into(), KnobValue::Int(-1))]);
        }
        if !self.rng.percent(self.weather) {
            self.answers.push_back(outcome);
        }
    }

    fn answer(&mut self) {
        let at = self.rng.below(self.answers.len().max(1) as u64) as usize;
        if let Some(outcome) = self.answers.remove(at) {
            if self.rng.percent(self.weather) {
                self.answers.push_back(outcome.clone());
            }
            self.feed(Event::Done(outcome));
        }
    }

    fn blow(&mut self) {
        self.now_ms += [0, 10, 50, 900][self.rng.below(4) as usize];
        let by = || "storm".to_owned();
        match self.rng.below(60) {
            0..=9 => self.deliver(),
            10..=19 => self.answer(),
            20..=26 => {
                let proposal = self.proposal();
                self.feed(Event::Proposed(proposal));
            }
            27..=36 => {
                let (change, variant) = (self.some_change(), self.rng.percent(50));
                let arm = if variant { Arm::Variant } else { Arm::Baseline };
                self.feed(Event::ArmWanted { change, arm });
            }
            37..=40 => {
                let change = self.some_change();
                let calls = [Call::Better, Call::Better, Call::Worse, Call::Inconclusive];
                let verdict = verdict(calls[self.rng.below(4) as usize]);
                self.feed(Event::Judged { change, verdict });
            }
            41 => {
                let change = self.some_change();
                let breach = GuardBreach {
                    guard: "p99".into(),
                    value: None,
                    bound: f64::INFINITY,
                    at_ms: self.now_ms,
                };
                self.feed(Event::Breached { change, breach });
            }
            42 => {
                let change = self.some_change();
                self.feed(Event::UndoAsked { change, by: by() });
            }
            43 => {
                let change = self.some_change();
                self.feed(Event::Approved { change, by: by() });
            }
            44 => {
                let change = self.some_change();
                self.feed(Event::Rejected { change, by: by() });
            }
            45 if self.rng.percent(30) => self.feed(Event::RedButton { by: by() }),
            46..=47 => self.feed(Event::Released { by: by() }),
            48 if self.rng.percent(30) => {
                let levels = [Trust::Recommend, Trust::Approve, Trust::Autonomous];
                let trust = levels[self.rng.below(3) as usize];
                self.feed(Event::TrustSet { trust });
            }
            49 => self.feed(Event::TrustSet {
                trust: Trust::Autonomous,
            }),
            50 => {
                let target = self.name().to_owned();
                self.feed(Event::Unfrozen { target, by: by() });
            }
            51 => {
                let target = self.name().to_owned();
                self.feed(Event::TargetLost { target });
            }
            52 if self.rng.percent(self.weather * 2) => {
                let name = self.name();
                self.targets.get_mut(name).unwrap().restart();
            }
            53 if self.rng.percent(self.weather) => self.crash(),
            54..=55 => {
                let name = self.name();
                self.look(name);
            }
            _ => self.feed(Event::Tick),
        }
    }

    /// The server dies and begins again from its record.
    fn crash(&mut self) {
        self.governor = self.replayed();
        let policy = self.policy.clone();
        self.feed(Event::Started { policy });
    }

    fn replayed(&self) -> Governor {
        let lines = self.lines.iter().map(String::as_str);
        let rebuilt = record::replay(lines).expect("the record replays");
        assert_eq!(rebuilt, self.governor, "replay equals state");
        rebuilt
    }

    /// The weather clears; what was begun comes to its end.
    fn settle(&mut self) {
        self.weather = 0;
        self.feed(Event::Shutdown { put_back: false });
        for _ in 0..200 {
            NAMES.into_iter().for_each(|name| self.look(name));
            while !(self.orders.is_empty() && self.answers.is_empty()) {
                self.deliver();
                self.answer();
            }
            if self.governor.is_at_rest() {
                break;
            }
            self.now_ms += 1_000;
            self.feed(Event::Tick);
        }
        assert!(self.governor.is_at_rest(), "everything comes to an end");
    }

    fn every_admitted_change_ended(&self) {
        for id in &self.admitted {
            let state = self.states[id];
            use ChangeState as S;
            assert!(
                matches!(state, S::Kept | S::Undone | S::Failed),
                "change {id} ended {state:?}"
            );
        }
        assert_eq!(
            self.pages, self.failed,
            "a person is called for each failure, and only then"
        );
    }

    /// Nothing of an undone change is in force, unless a person has to look anyway.
    fn targets_are_at_rest(&mut self) {
        for name in NAMES {
            let target = self.targets.get_mut(name).unwrap();
            target.expire(self.now_ms + 60_000);
            let off = |k: &&model::KnobSpec| k.value != k.baseline;
            assert_eq!(
                target.knobs.values().find(off),
                None,
                "{name} holds a lease"
            );
            let known = self.governor.target(name).unwrap();
            if known.frozen().is_none() {
                let believed = known.knobs().map(|k| (k.name.clone(), k.value.clone()));
                assert!(
                    target.holds(&believed.collect::<Vec<_>>()),
                    "{name} is as believed"
                );
            }
        }
    }
}

#[test]
fn no_storm_breaks_an_invariant() {
    let (mut kept, mut undone, mut failed) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut storm = Storm::new(seed);
            (0..STEPS).for_each(|_| storm.blow());
            storm.settle();
            storm.every_admitted_change_ended();
            storm.targets_are_at_rest();
            storm.replayed();
            (storm.kept, storm.undone, storm.failed)
        });
        let ended = run.unwrap_or_else(|_| panic!("storm {seed} broke an invariant, see above"));
        kept += ended.0;
        undone += ended.1;
        failed += ended.2;
    }
    // A storm in which nothing happens proves nothing.
    assert!(kept > SEEDS as usize / 4, "kept {kept}");
    assert!(undone > SEEDS as usize, "undone {undone}");
    assert!(failed > 100, "failed {failed}");
}
