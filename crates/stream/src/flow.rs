//! One stream at work: its steps in a line, and its watermark.

use std::collections::BTreeMap;

use model::{METRIC_NAME, Matcher};

use crate::{
    Item, Limits, Step, StreamSpec,
    dead::{DeadLetter, DeadLetters, DeadReason},
    item::{Operator, Out},
    join::Join,
    order::Order,
    shape::{Normalizer, all_match},
    window::Window,
};

/// What a stream has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowStats {
    /// Samples that entered.
    pub entered: u64,
    /// Results given out.
    pub results: u64,
    /// Dead letters by reason.
    pub dead: BTreeMap<DeadReason, u64>,
    /// Items, groups and windows held now.
    pub held: usize,
    /// Event time up to which everything is done, ms; `None` before the first sample.
    pub watermark_ms: Option<i64>,
}

/// A stream with its state.
#[derive(Debug)]
pub(crate) struct Flow {
    name: String,
    matchers: Vec<Matcher>,
    lateness_ms: i64,
    steps: Vec<Box<dyn Operator>>,
    /// For a join: its place in the line and its other selector.
    others: Vec<(usize, Vec<Matcher>)>,
    /// Whether a step names the results; otherwise they take the stream's name.
    named: bool,
    newest_ms: Option<i64>,
    watermark_ms: Option<i64>,
    entered: u64,
    results: u64,
    dead: DeadLetters,
}

impl Flow {
    pub(crate) fn new(spec: StreamSpec, limits: Limits, begin_ms: i64) -> Self {
        let other = |(at, step): (usize, &Step)| match step {
            Step::Join(join) => Some((at, join.with.clone())),
            _ => None,
        };
        let others = spec.steps.iter().enumerate().filter_map(other).collect();
        let names = |step: &Step| matches!(step, Step::Window(_) | Step::Join(_));
        let named = spec.steps.iter().any(names);
        let operator = |step| operator(step, &spec.name, limits.held_max, begin_ms);
        Self {
            steps: spec.steps.into_iter().map(operator).collect(),
            name: spec.name,
            matchers: spec.matchers,
            lateness_ms: spec.lateness_ms,
            others,
            named,
            newest_ms: None,
            watermark_ms: None,
            entered: 0,
            results: 0,
            dead: DeadLetters::new(limits.dead_letters_max),
        }
    }

    /// Takes what arrived together, then moves the watermark; gives the results.
    pub(crate) fn take(&mut self, items: &[Item]) -> Vec<Item> {
        let mut done = Vec::new();
        for item in items {
            self.take_one(item, &mut done);
        }
        if let Some(newest) = self.newest_ms {
            self.advance(newest.saturating_sub(self.lateness_ms), &mut done);
        }
        self.named(done)
    }

    /// Nothing has come for a while: the caller's clock moves the watermark.
    pub(crate) fn idle_until(&mut self, now_ms: i64) -> Vec<Item> {
        let mut done = Vec::new();
        if self.newest_ms.is_some() {
            self.advance(now_ms.saturating_sub(self.lateness_ms), &mut done);
        }
        self.named(done)
    }

    pub(crate) fn stats(&self) -> FlowStats {
        FlowStats {
            entered: self.entered,
            results: self.results,
            dead: self.dead.counts().clone(),
            held: self.steps.iter().map(|s| s.held()).sum(),
            watermark_ms: self.watermark_ms,
        }
    }

    pub(crate) fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead.newest()
    }

    fn take_one(&mut self, item: &Item, done: &mut Vec<Item>) {
        let enters = all_match(&self.matchers, &item.labels);
        let is_other = |(_, with): &&(usize, Vec<Matcher>)| all_match(with, &item.labels);
        let joins: Vec<usize> = self.others.iter().filter(is_other).map(|o| o.0).collect();
        if !enters && joins.is_empty() {
            return;
        }
        self.entered += 1;
        self.newest_ms = self.newest_ms.max(Some(item.time_ms));
        if enters {
            self.run(0, vec![item.clone()], done);
        }
        for at in joins {
            let mut out = Out::default();
            self.steps[at].take_other(item.clone(), &mut out);
            self.dead.put(out.dead);
            self.run(at + 1, out.items, done);
        }
    }

    /// Runs items through the steps from `at` on.
    fn run(&mut self, at: usize, mut items: Vec<Item>, done: &mut Vec<Item>) {
        for step in &mut self.steps[at..] {
            if items.is_empty() {
                return;
            }
            let mut out = Out::default();
            for item in items {
                step.take(item, &mut out);
            }
            self.dead.put(out.dead);
            items = out.items;
        }
        done.append(&mut items);
    }

    /// Moves the watermark, step by step: what a step lets go, the next sees before its own
    /// watermark moves, so that nothing is late on the way.
    fn advance(&mut self, watermark_ms: i64, done: &mut Vec<Item>) {
        if self.watermark_ms.is_some_and(|w| w >= watermark_ms) {
            return;
        }
        self.watermark_ms = Some(watermark_ms);
        for at in 0..self.steps.len() {
            let mut out = Out::default();
            self.steps[at].advance(watermark_ms, &mut out);
            self.dead.put(out.dead);
            self.run(at + 1, out.items, done);
        }
    }

    fn named(&mut self, mut done: Vec<Item>) -> Vec<Item> {
        self.results += done.len() as u64;
        if !self.named {
            for item in &mut done {
                item.labels = item.labels.with(METRIC_NAME, &self.name);
            }
        }
        done
    }
}

fn operator(step: Step, name: &str, held_max: usize, begin_ms: i64) -> Box<dyn Operator> {
    match step {
        Step::Validate(spec) => Box::new(spec),
        Step::Filter(spec) => Box::new(spec),
        Step::Map(spec) => Box::new(spec),
        Step::Normalize(spec) => Box::new(Normalizer::new(spec, held_max)),
        Step::Enrich(spec) => Box::new(spec),
        Step::Order => Box::new(Order::new(held_max)),
        Step::Window(spec) => Box::new(Window::new(spec, name, held_max, begin_ms)),
        Step::Join(spec) => Box::new(Join::new(spec, name, held_max)),
    }
}
