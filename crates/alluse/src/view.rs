//! The loop's state as people and programs see it, published after each turn.

use std::collections::{BTreeMap, VecDeque};

use wire::control::{Change, Decision, Finding, Status, Study, Target, TrustLevel};

/// Entries of each list kept in memory; the journal has them all.
const LIST_MAX: usize = 1_000;

/// What the API shows.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) status: Status,
    pub(crate) targets: Vec<Target>,
    pub(crate) changes: BTreeMap<u64, Change>,
    pub(crate) decisions: VecDeque<Decision>,
    pub(crate) findings: VecDeque<Finding>,
    pub(crate) studies: Vec<Study>,
}

impl View {
    /// The view before the first turn.
    pub(crate) fn new(started_ms: i64) -> Self {
        Self {
            status: Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                now_ms: started_ms,
                started_ms,
                trust: TrustLevel::Recommend,
                red_button: None,
                store: "healthy".to_owned(),
                series: 0,
                samples: 0,
                running: None,
                changes: BTreeMap::new(),
            },
            targets: Vec::new(),
            changes: BTreeMap::new(),
            decisions: VecDeque::new(),
            findings: VecDeque::new(),
            studies: Vec::new(),
        }
    }

    pub(crate) fn note_change(&mut self, change: Change) {
        self.changes.insert(change.id, change);
        while self.changes.len() > LIST_MAX {
            self.changes.pop_first();
        }
    }

    pub(crate) fn note_decision(&mut self, decision: Decision) {
        push_bounded(&mut self.decisions, decision);
    }

    pub(crate) fn note_finding(&mut self, finding: Finding) {
        push_bounded(&mut self.findings, finding);
    }

    /// How many changes there are in each state.
    pub(crate) fn count_changes(&mut self) {
        let mut counts = BTreeMap::new();
        for change in self.changes.values() {
            *counts.entry(change.state.clone()).or_insert(0) += 1;
        }
        self.status.changes = counts;
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == LIST_MAX {
        list.pop_front();
    }
    list.push_back(item);
}
