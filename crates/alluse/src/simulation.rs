//! The whole loop in virtual time: the production pipeline, a simulated target, faults by seed.
//!
//! A run is an hour of tuning, one turn a second. Orders and their answers get lost or come late,
//! the target restarts and goes away, people propose harm, press the red button and take changes
//! back, and the server itself dies and begins anew from its record. After every turn the
//! invariants of the loop are checked; a failure prints its seed, and the seed repeats it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use govern::{Event, Governor, Policy, Trust};
use model::{
    ApplyCost, Batch, Change, ChangeId, ChangeState, Domain, Durability, Generation, Goal,
    KnobSpec, KnobValue, Labels, METRIC_NAME, Order, OrderKind, Outcome, ProposalId, Ruling,
    Sample, SampleSink as _, Scale, StudyId, stale_nan,
};
use numerics::rng::Rng;
use query::Engine;
use store::{Feed, FeedLimits};
use testkit::{MemoryStore, SimTarget};

use crate::{
    config::{Bound, Guard, Objective, Study, Target, Trial},
    measure::Measure,
    pipeline::{Parts, Pipeline, Turn},
};

const TICK_MS: i64 = 1_000;
const HOUR_TICKS: i64 = 3_600;
/// A round moment, so that times read well when a run is printed.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// Mean latency of a guard's bound, seconds.
const SLO_S: f64 = 0.06;

fn knob(name: &str, domain: Domain, value: KnobValue, max_step: f64) -> KnobSpec {
    KnobSpec {
        name: name.to_owned(),
        help: String::new(),
        unit: String::new(),
        domain,
        default: value.clone(),
        baseline: value.clone(),
        value,
        max_step,
        apply: ApplyCost::Free,
    }
}

fn knobs() -> Vec<KnobSpec> {
    let group = Domain::Int {
        min: 1,
        max: 256,
        scale: Scale::Log,
    };
    let linger = Domain::Float {
        min: 0.0,
        max: 100.0,
        scale: Scale::Linear,
    };
    let cache = Domain::Int {
        min: 256,
        max: 65_536,
        scale: Scale::Log,
    };
    vec![
        knob("cache.capacity", cache, KnobValue::Int(1_024), 0.5),
        knob("writer.group", group, KnobValue::Int(1), 0.5),
        knob("writer.linger_ms", linger, KnobValue::Float(0.0), 1.0),
    ]
}

/// Mean latency of the target's knobs, seconds: commits shared by a group, lingering added, misses
/// of a small cache.
fn latency_s(target: &SimTarget) -> f64 {
    let commit = 12.0 / target.number("writer.group").powf(0.7);
    let misses = 4.0 / target.number("cache.capacity").log2();
    (2.0 + commit + misses + target.number("writer.linger_ms")) / 1_000.0
}

fn target(weather: Weather) -> Target {
    Target {
        name: "sim".to_owned(),
        url: "http://sim".to_owned(),
        interval: Duration::from_secs(1),
        objective: Objective {
            name: "latency".to_owned(),
            query: "increase(sim_latency_seconds_sum[$window]) \
                    / increase(sim_latency_seconds_count[$window])"
                .to_owned(),
            goal: Goal::Minimize,
            unit: "s".to_owned(),
        },
        guards: vec![Guard {
            name: "latency".to_owned(),
            query:
                "increase(sim_latency_seconds_sum[2s]) / increase(sim_latency_seconds_count[2s])"
                    .to_owned(),
            bound: Bound::AtMost(SLO_S),
            breaches: 2,
            of: 3,
        }],
        trial: Trial {
            window: Duration::from_secs(5),
            settle: Duration::from_secs(1),
            pairs_max: 20,
            alpha: 0.05,
            mde: 0.03,
        },
        study: Some(Study {
            knobs: Vec::new(),
            // The invariants do not depend on the search; the gain does.
            method: if weather == Weather::Fair {
                "gp"
            } else {
                "random"
            }
            .to_owned(),
            trials_max: 1_000,
            step: 0.25,
            try_first: Vec::new(),
        }),
    }
}

fn policy() -> Policy {
    Policy {
        trust: Trust::Autonomous,
        cool_down_ms: 5_000,
        cool_down_max_ms: 60_000,
        lost_grace_ms: 30_000,
        ..Policy::default()
    }
}

/// How hostile a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Nothing goes wrong.
    Fair,
    /// Everything goes wrong now and then.
    Foul,
}

/// An order on its way, or its answer on the way back.
#[derive(Debug)]
enum Post {
    Order(Order),
    Answer(Outcome),
}

/// A run.
struct World {
    rng: Rng,
    weather: Weather,
    now_ms: i64,
    store: Arc<MemoryStore>,
    feed: Feed,
    pipeline: Pipeline,
    target: SimTarget,
    down_until_ms: i64,
    released_at_ms: Option<i64>,
    post: Vec<(i64, Post)>,
    latency_sum: f64,
    latency_count: f64,
    drift: f64,
    lines: Vec<String>,
    watch: Watch,
}

/// What the invariants remember.
#[derive(Debug, Default)]
struct Watch {
    admitted: BTreeSet<ChangeId>,
    states: BTreeMap<ChangeId, Change>,
    generation: Generation,
    pages: usize,
    orders: usize,
}

fn pipeline(
    (store, feed): (&Arc<MemoryStore>, &Feed),
    weather: Weather,
    seed: u64,
    governor: Governor,
    ids: (u64, u64),
) -> Pipeline {
    Pipeline::new(Parts {
        reader: Arc::clone(store) as _,
        feed: feed.subscribe(Vec::new()),
        measure: Measure::new(Engine::default()),
        targets: vec![target(weather)],
        seed,
        governor,
        tuners: Vec::new(),
        next_proposal: ProposalId(ids.0),
        next_study: StudyId(ids.1),
    })
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        let store = Arc::new(MemoryStore::default());
        let feed = Feed::new(FeedLimits::default(), BEGIN_MS);
        let pipeline = pipeline(
            (&store, &feed),
            weather,
            seed,
            Governor::new(Policy::default()),
            (0, 0),
        );
        let mut world = Self {
            rng: Rng::stream(seed, &[0x5149]),
            weather,
            now_ms: BEGIN_MS,
            store,
            feed,
            pipeline,
            target: SimTarget::new(knobs()),
            down_until_ms: i64::MIN,
            released_at_ms: None,
            post: Vec::new(),
            latency_sum: 0.0,
            latency_count: 0.0,
            drift: 0.0,
            lines: Vec::new(),
            watch: Watch::default(),
        };
        let turn = world.pipeline.start(world.now_ms, policy());
        world.carry_out(turn);
        world
    }

    fn run(&mut self, ticks: i64) {
        for _ in 0..ticks {
            self.tick(Vec::new());
        }
    }

    /// One second: the target lives, its samples arrive, the loop turns.
    fn tick(&mut self, mut events: Vec<Event>) {
        self.now_ms += TICK_MS;
        self.target.tick(self.now_ms);
        if self.weather == Weather::Foul {
            events.extend(self.trouble());
        }
        events.extend(self.deliver());
        if self.now_ms % (2 * TICK_MS) == 0 {
            events.push(self.discover());
        }
        self.sample();
        let turn = self.pipeline.turn(self.now_ms, events);
        self.carry_out(turn);
    }

    /// Something that goes wrong, or somebody who interferes.
    fn trouble(&mut self) -> Option<Event> {
        if self.released_at_ms.is_some_and(|at| self.now_ms >= at) {
            self.released_at_ms = None;
            return Some(Event::Released { by: "p".to_owned() });
        }
        let kept: Vec<ChangeId> = self.in_state(ChangeState::Kept).collect();
        match self.rng.below(3_600) {
            0..2 => {
                self.target.restart();
                None
            }
            2..4 => {
                self.down_until_ms = self.now_ms + self.rng.below(45_000) as i64;
                None
            }
            4..6 => {
                self.released_at_ms = Some(self.now_ms + 20_000);
                Some(Event::RedButton { by: "p".to_owned() })
            }
            6..18 => Some(self.harm()),
            18..20 => {
                let by = "p".to_owned();
                kept.last().map(|change| Event::UndoAsked {
                    change: *change,
                    by,
                })
            }
            20..22 => {
                self.crash();
                None
            }
            22 => {
                let (target, by) = ("sim".to_owned(), "p".to_owned());
                Some(Event::Unfrozen { target, by })
            }
            _ => None,
        }
    }

    /// A person proposes what breaks the guard.
    fn harm(&mut self) -> Event {
        let values = vec![("writer.linger_ms".to_owned(), KnobValue::Float(95.0))];
        let (name, by) = ("sim".to_owned(), "p".to_owned());
        self.pipeline
            .person_proposes(self.now_ms, name, values, by, "harm".to_owned())
    }

    /// The server dies, and begins anew from its record.
    fn crash(&mut self) {
        let governor = self.replayed();
        let ids = (self.lines.len() as u64 * 1_000, self.lines.len() as u64);
        let seed = self.rng.next_u64();
        let data = (&self.store, &self.feed);
        self.pipeline = pipeline(data, self.weather, seed, governor, ids);
        // Answers to orders of the dead process reach nobody.
        self.post.retain(|(_, post)| matches!(post, Post::Order(_)));
        let turn = self.pipeline.start(self.now_ms, policy());
        self.carry_out(turn);
    }

    fn replayed(&self) -> Governor {
        govern::record::replay(self.lines.iter().map(String::as_str)).expect("its own record")
    }

    fn discover(&self) -> Event {
        let target = "sim".to_owned();
        if self.is_down() {
            return Event::TargetLost { target };
        }
        let (instance, generation, knobs) = self.target.discover();
        Event::TargetSeen {
            target,
            instance,
            generation,
            knobs,
        }
    }

    fn is_down(&self) -> bool {
        self.now_ms < self.down_until_ms
    }

    /// Orders that arrive now are carried out, answers that arrive now are events.
    fn deliver(&mut self) -> Vec<Event> {
        let now_ms = self.now_ms;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.post)
            .into_iter()
            .partition(|(at, _)| *at <= now_ms);
        self.post = later;
        let mut events = Vec::new();
        for (_, post) in due {
            match post {
                Post::Answer(outcome) => events.push(Event::Done(outcome)),
                Post::Order(order) => events.extend(self.arrive(order)),
            }
        }
        events
    }

    /// An order reaches the target, or does not; its answer comes now, late, or never.
    fn arrive(&mut self, order: Order) -> Option<Event> {
        let fate = if self.weather == Weather::Foul {
            self.rng.below(100)
        } else {
            99
        };
        let answer = |result| Outcome {
            order: order.clone(),
            result,
            at_ms: self.now_ms,
        };
        if self.is_down() || fate < 2 {
            return Some(Event::Done(answer(Err("no answer".to_owned()))));
        }
        let result = self.target.carry(&order, self.now_ms);
        let outcome = Outcome {
            order,
            result,
            at_ms: self.now_ms,
        };
        match fate {
            2..4 => None,
            4..6 => {
                self.post.push((self.now_ms + 5_000, Post::Answer(outcome)));
                None
            }
            _ => Some(Event::Done(outcome)),
        }
    }

    /// A second of the target's life, as its scrape would show it.
    fn sample(&mut self) {
        let up = !self.is_down();
        let value = |name: &str, value: f64| {
            let labels = Labels::from_pairs([(METRIC_NAME, name), ("job", "sim")]);
            Sample::float(labels, self.now_ms, value)
        };
        let mut samples = vec![value("up", f64::from(u8::from(up)))];
        if up {
            // Slow drift and noise, both on the logarithm.
            self.drift = 0.999 * self.drift + 0.004 * self.rng.normal();
            let noise = (self.drift + 0.05 * self.rng.normal()).exp();
            let requests = 200.0;
            self.latency_count += requests;
            self.latency_sum += requests * latency_s(&self.target) * noise;
            samples.push(value("sim_latency_seconds_sum", self.latency_sum));
            samples.push(value("sim_latency_seconds_count", self.latency_count));
        } else {
            samples.push(value("sim_latency_seconds_sum", stale_nan()));
            samples.push(value("sim_latency_seconds_count", stale_nan()));
        }
        let batch = Batch {
            samples,
            ..Batch::default()
        };
        self.store
            .append(&batch, Durability::Fast)
            .expect("memory takes everything");
        let points = batch.samples.len();
        self.feed.publish(points, self.now_ms, || batch.into());
        self.pipeline.analyze(self.now_ms, points);
    }

    /// What production does with a turn: record, send, tell; and here, check.
    fn carry_out(&mut self, turn: Turn) {
        self.check(&turn);
        self.lines.extend(turn.lines);
        for order in turn.orders {
            self.post.push((self.now_ms + TICK_MS, Post::Order(order)));
        }
    }

    fn in_state(&self, state: ChangeState) -> impl Iterator<Item = ChangeId> {
        self.watch
            .states
            .values()
            .filter(move |c| c.state == state)
            .map(|c| c.id)
    }

    /// The invariants of one turn.
    fn check(&mut self, turn: &Turn) {
        let red = self.pipeline.governor().red_button().is_some();
        for decision in &turn.decisions {
            if decision.ruling == Ruling::Admit {
                self.watch
                    .admitted
                    .insert(decision.change.expect("admitted as a change"));
            }
        }
        for change in &turn.changes {
            let before = self.watch.states.insert(change.id, change.clone());
            let ended = before.is_some_and(|c| c.state.is_end() && c.state != ChangeState::Kept);
            assert!(!ended, "change {} lives on after its end", change.id);
        }
        for order in &turn.orders {
            self.watch.orders += 1;
            let admitted = self.watch.admitted.contains(&order.change);
            assert!(admitted, "an order of a change nobody admitted: {order:?}");
            assert!(
                order.generation >= self.watch.generation,
                "a generation fell: {order:?}"
            );
            self.watch.generation = order.generation;
            let change = &self.watch.states[&order.change];
            let rolls_back = order.kind == OrderKind::Restore
                || change.settings.iter().all(|s| {
                    order
                        .values
                        .iter()
                        .any(|(k, v)| *k == s.knob && *v == s.old)
                });
            assert!(
                !red || rolls_back,
                "not a roll-back under the red button: {order:?}"
            );
        }
        let writers: BTreeSet<ChangeId> = self
            .watch
            .states
            .values()
            .filter(|c| {
                matches!(
                    c.state,
                    ChangeState::Trying | ChangeState::Keeping | ChangeState::Undoing
                )
            })
            .map(|c| c.id)
            .collect();
        assert!(writers.len() <= 1, "two writers of one target: {writers:?}");
        self.watch.pages += turn.pages.len();
    }

    /// Stops as production does, and checks what must hold at the end.
    fn end(&mut self) {
        self.weather = Weather::Fair;
        self.down_until_ms = i64::MIN;
        self.tick(vec![Event::Shutdown { put_back: false }]);
        for _ in 0..600 {
            if self.pipeline.may_end() {
                break;
            }
            self.tick(Vec::new());
        }
        assert!(
            self.pipeline.may_end(),
            "something of ours is still in flight"
        );
        for id in &self.watch.admitted {
            let state = self.watch.states[id].state;
            let failed = state == ChangeState::Failed;
            assert!(
                state.is_end(),
                "admitted change {id} is {state:?} at the end"
            );
            assert!(
                !failed || self.watch.pages > 0,
                "change {id} failed and nobody was called"
            );
        }
        assert_eq!(
            &self.replayed(),
            self.pipeline.governor(),
            "replay is not the state"
        );
        self.now_ms += 3_600_000;
        self.target.tick(self.now_ms);
        for spec in knobs() {
            let shown = self.target.knob(&spec.name);
            assert_eq!(
                shown.value, shown.baseline,
                "a leased value outlived its lease"
            );
        }
    }

    fn kept_harm(&self) -> usize {
        self.in_state(ChangeState::Kept)
            .filter(|id| self.watch.states[id].proposal.reason == "harm")
            .count()
    }
}

/// Runs seeds on all cores; the seed of a failure is in its message.
fn each_seed(seeds: std::ops::Range<u64>, run: impl Fn(u64) + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (seeds, run) = (seeds.clone(), &run);
            scope.spawn(move || {
                for seed in seeds.filter(|s| s % cores == core) {
                    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
                    assert!(ran.is_ok(), "seed {seed} failed: see above");
                }
            });
        }
    });
}

#[test]
fn an_hour_in_foul_weather_keeps_every_invariant() {
    let totals = std::sync::Mutex::new((0, 0, 0, 0));
    each_seed(0..200, |seed| {
        let mut world = World::new(seed, Weather::Foul);
        world.run(HOUR_TICKS);
        world.end();
        assert_eq!(world.kept_harm(), 0, "harm was kept");
        let mut totals = totals.lock().unwrap();
        totals.0 += world.watch.admitted.len();
        totals.1 += world.in_state(ChangeState::Kept).count();
        totals.2 += world.in_state(ChangeState::Undone).count();
        totals.3 += world.in_state(ChangeState::Failed).count();
    });
    let (admitted, kept, undone, failed) = *totals.lock().unwrap();
    eprintln!("200 hours: {admitted} admitted, {kept} kept, {undone} undone, {failed} failed");
    assert!(
        kept > 200 && undone > 200,
        "the loop did nothing worth checking"
    );
    assert!(
        failed * 20 < admitted,
        "too many changes end without a verified state"
    );
}

#[test]
fn an_hour_in_fair_weather_makes_the_target_faster() {
    let gains = std::sync::Mutex::new(Vec::new());
    each_seed(0..20, |seed| {
        let mut world = World::new(seed, Weather::Fair);
        let before = latency_s(&world.target);
        world.run(HOUR_TICKS);
        world.end();
        assert_eq!(world.in_state(ChangeState::Failed).count(), 0);
        gains
            .lock()
            .unwrap()
            .push(1.0 - latency_s(&world.target) / before);
    });
    let mut gains = gains.into_inner().unwrap();
    gains.sort_by(f64::total_cmp);
    eprintln!("share of latency gone after an hour: {gains:.2?}");
    assert!(
        gains[0] >= 0.0,
        "an hour of tuning made a target slower: {gains:?}"
    );
    assert!(gains[gains.len() / 2] > 0.3, "little was gained: {gains:?}");
}

#[test]
fn a_run_repeats_from_its_seed() {
    let run = |seed| {
        let mut world = World::new(seed, Weather::Foul);
        world.run(600);
        world.lines
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn harm_is_caught_by_its_guard_within_seconds_and_undone() {
    let mut world = World::new(7, Weather::Fair);
    let harm = loop {
        let event = world.harm();
        world.tick(vec![event]);
        let found = world
            .watch
            .states
            .values()
            .find(|c| c.proposal.reason == "harm");
        if let Some(change) = found {
            break change.id;
        }
        assert!(
            world.now_ms < BEGIN_MS + 600_000,
            "harm never found the target free"
        );
    };
    let begun_ms = world.now_ms;
    while !world.watch.states[&harm].state.is_end() {
        world.tick(Vec::new());
    }
    let change = &world.watch.states[&harm];
    assert_eq!(change.state, ChangeState::Undone);
    assert_eq!(
        change.breach.as_ref().map(|b| b.guard.as_str()),
        Some("latency")
    );
    // The first arm may be the baseline's: its window comes before the harm.
    assert!(
        world.now_ms - begun_ms <= 20_000,
        "took {} ms",
        world.now_ms - begun_ms
    );
    assert_eq!(world.target.number("writer.linger_ms"), 0.0);
}
