//! A group: its rules in order, each seeing what those before it have stored in the same
//! evaluation; what became of each; and staleness markers for series that are no longer made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    Alert, AppendError, Batch, Clock, Durability, Labels, METRIC_NAME, Sample, SampleSink,
    SeriesReader, Value, stale_nan,
};
use thiserror::Error;

use crate::{
    Evaluate,
    alert::{ActiveAlert, AlertState},
    alerting::{Alerts, Moment},
    restore,
    spec::{GroupSpec, Kind, RuleSpec, ms},
    table_link,
};

/// What a group works with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Answers expressions.
    pub evaluator: &'a dyn Evaluate,
    /// Takes what the rules make.
    pub sink: &'a dyn SampleSink,
    /// For how long evaluations take; their times are given.
    pub clock: &'a dyn Clock,
    /// Seen by templates.
    pub external_labels: &'a Labels,
    /// Where people reach this server; without a slash at the end.
    pub external_url: &'a str,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Why an evaluation of a rule failed.
#[derive(Debug, Error)]
pub enum RuleError {
    /// The expression has no answer.
    #[error("{0}")]
    Query(String),
    /// Two elements of the answer became alike.
    #[error("vector contains metrics with the same labelset after applying {0} labels")]
    SameLabels(&'static str),
    /// More series than the group's limit.
    #[error("exceeded limit of {limit} with {count} series")]
    Series {
        /// The limit.
        limit: usize,
        /// How many there were.
        count: usize,
    },
    /// More alerts than the group's limit.
    #[error("exceeded limit of {limit} with {count} alerts")]
    Alerts {
        /// The limit.
        limit: usize,
        /// How many there were.
        count: usize,
    },
    /// The sink did not take what the rule made.
    #[error("cannot store what the rule made: {0}")]
    Store(#[from] AppendError),
    /// The sink took only some of it.
    #[error("{refused} of {all} samples were not stored: {reason}")]
    Refused {
        /// How many were refused.
        refused: u64,
        /// Of how many.
        all: usize,
        /// Why, of the first kind of refusal.
        reason: &'static str,
    },
}

/// How the last evaluation of a rule went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There was none yet.
    Unknown,
    /// Well.
    Good,
    /// Not at all, or what it made was not stored.
    Bad,
}

impl Health {
    /// As Prometheus says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad => "err",
        }
    }
}

/// What a group did since the server began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Evaluations of the group that were due.
    pub iterations: u64,
    /// Those that were skipped because the one before took too long.
    pub missed: u64,
    /// Evaluations of single rules.
    pub evaluations: u64,
    /// Those that failed.
    pub failures: u64,
}

/// A rule as of its last evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// Where in [`GroupStatus::spec`] it stands.
    pub index: usize,
    /// How it went.
    pub health: Health,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
    /// What the evaluation took.
    pub took: Duration,
    /// The time it was for, ms.
    pub at_ms: Option<i64>,
    /// Its alerts, those resolved lately included, in order of labels.
    pub alerts: Vec<ActiveAlert>,
}

impl RuleStatus {
    /// Alerts that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &ActiveAlert> {
        let is_active = |alert: &&ActiveAlert| alert.state != AlertState::Inactive;
        self.alerts.iter().filter(is_active)
    }

    /// The furthest that one of them has come.
    #[must_use]
    pub fn state(&self) -> AlertState {
        let states = self.alerts.iter().map(|alert| alert.state);
        states.max().unwrap_or(AlertState::Inactive)
    }
}

/// A group as of its last evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStatus {
    /// What it is.
    pub spec: Arc<GroupSpec>,
    /// What the last evaluation took.
    pub took: Duration,
    /// The time it was for, ms.
    pub at_ms: Option<i64>,
    /// Samples the last evaluation stored.
    pub samples: usize,
    /// What it did so far.
    pub totals: Totals,
    /// In order.
    pub rules: Vec<RuleStatus>,
}

/// A rule's state.
#[derive(Debug, Clone)]
struct RuleState {
    alerts: Alerts,
    /// Series it made last time.
    series: BTreeSet<Labels>,
    health: Health,
    last_error: Option<String>,
    took: Duration,
    at_ms: Option<i64>,
}

/// A group with its state.
#[derive(Debug)]
pub struct Group {
    spec: Arc<GroupSpec>,
    rules: Vec<RuleState>,
    /// Series of rules that are gone since the last evaluation.
    orphans: BTreeSet<Labels>,
    took: Duration,
    at_ms: Option<i64>,
    samples: usize,
    totals: Totals,
}

impl Group {
    /// A group before its first evaluation. With `restores`, alerts write no samples until
    /// [`Group::restore`] has looked for those of an earlier life.
    #[must_use]
    pub fn new(spec: Arc<GroupSpec>, restores: bool) -> Self {
        let state = |_rule: &RuleSpec| RuleState {
            alerts: Alerts {
                restored: !restores,
                ..Alerts::default()
            },
            series: BTreeSet::new(),
            health: Health::Unknown,
            last_error: None,
            took: Duration::ZERO,
            at_ms: None,
        };
        Self {
            rules: spec.rules.iter().map(state).collect(),
            spec,
            orphans: BTreeSet::new(),
            took: Duration::ZERO,
            at_ms: None,
            samples: 0,
            totals: Totals::default(),
        }
    }

    /// What it evaluates.
    #[must_use]
    pub fn spec(&self) -> &Arc<GroupSpec> {
        &self.spec
    }

    /// Counts evaluations that were due, and how many of them were skipped.
    pub fn count(&mut self, due: u64, missed: u64) {
        self.totals.iterations += due;
        self.totals.missed += missed;
    }

    /// Evaluates every rule at a time. The alerts that fire or were resolved lately.
    pub fn evaluate(&mut self, at_ms: i64, around: &Surroundings<'_>) -> Vec<Alert> {
        let begun = around.clock.monotonic();
        self.samples = 0;
        let spec = Arc::clone(&self.spec);
        let mut told = Vec::new();
        for (index, rule) in spec.rules.iter().enumerate() {
            let rule_begun = around.clock.monotonic();
            let outcome = self.rule(index, rule, at_ms, around);
            self.totals.evaluations += 1;
            self.totals.failures += u64::from(outcome.is_err());
            // What could not be stored is told all the same; what has no answer says nothing.
            let says = match &outcome {
                Ok(()) | Err(RuleError::Store(_) | RuleError::Refused { .. }) => true,
                Err(_) => false,
            };
            let state = &mut self.rules[index];
            state.took = around.clock.monotonic().saturating_sub(rule_begun);
            state.at_ms = Some(at_ms);
            state.health = if outcome.is_ok() {
                Health::Good
            } else {
                Health::Bad
            };
            state.last_error = outcome.err().map(|error| error.to_string());
            if says {
                told.extend(self.told(index, rule, at_ms, around));
            }
        }
        self.bury_orphans(at_ms, around);
        self.took = around.clock.monotonic().saturating_sub(begun);
        self.at_ms = Some(at_ms);
        told
    }

    fn rule(
        &mut self,
        index: usize,
        rule: &RuleSpec,
        at_ms: i64,
        around: &Surroundings<'_>,
    ) -> Result<(), RuleError> {
        let sample_ms = at_ms - ms(self.spec.query_offset);
        let answer = around.evaluator.evaluate(&rule.expr, sample_ms);
        let answer = answer.map_err(RuleError::Query)?;
        let state = &mut self.rules[index];
        let samples = match &rule.kind {
            Kind::Record { labels } => {
                recorded(&rule.name, labels, answer, sample_ms, self.spec.limit)?
            }
            Kind::Alert(alert) => {
                let moment = Moment {
                    name: &rule.name,
                    spec: alert,
                    limit: self.spec.limit,
                    at_ms,
                    sample_ms,
                };
                state.alerts.take(&moment, &answer, around)?
            }
        };
        let made: BTreeSet<Labels> = samples.iter().map(|s| s.labels.clone()).collect();
        let gone = state.series.difference(&made).cloned().collect::<Vec<_>>();
        let mut all = samples;
        self.samples += all.len();
        all.extend(gone.into_iter().map(|labels| ended(labels, sample_ms)));
        // What was stored is remembered even if some of it was refused: it will have to end.
        state.series = made;
        store(around.sink, all)
    }

    fn told(
        &self,
        index: usize,
        rule: &RuleSpec,
        at_ms: i64,
        around: &Surroundings<'_>,
    ) -> Vec<Alert> {
        let state = &self.rules[index];
        if state.alerts.by_labels.is_empty() {
            return Vec::new();
        }
        let link = format!("{}{}", around.external_url, table_link(&rule.query));
        let interval_ms = ms(self.spec.interval);
        let alerts = state.alerts.by_labels.values();
        alerts
            .filter_map(|alert| alert.told(at_ms, interval_ms, &link))
            .collect()
    }

    /// Ends the series of rules that are gone.
    fn bury_orphans(&mut self, at_ms: i64, around: &Surroundings<'_>) {
        let sample_ms = at_ms - ms(self.spec.query_offset);
        let orphans = std::mem::take(&mut self.orphans).into_iter();
        let made = |labels: &Labels| self.rules.iter().any(|rule| rule.series.contains(labels));
        let ends: Vec<Sample> = orphans
            .filter(|labels| !made(labels))
            .map(|labels| ended(labels, sample_ms))
            .collect();
        if store(around.sink, ends).is_err() {
            // They go stale by themselves, five minutes later.
            self.totals.failures += 1;
        }
    }

    /// Looks for the state of an earlier life: after the first evaluations, when what recording
    /// rules make is there again. What cannot be read is tried again next time.
    pub fn restore(
        &mut self,
        at_ms: i64,
        reader: &dyn SeriesReader,
    ) -> Result<(), model::ReadError> {
        for (rule, state) in self.spec.rules.iter().zip(&mut self.rules) {
            if let (Kind::Alert(spec), false) = (&rule.kind, state.alerts.restored) {
                restore::restore(&mut state.alerts, &rule.name, spec, at_ms, reader)?;
            }
        }
        Ok(())
    }

    /// Takes over the state of the group it replaces, rule by rule of the same name and labels.
    pub fn take_over(&mut self, old: &mut Self) {
        let mut known = BTreeMap::<(String, Labels, bool), Vec<RuleState>>::new();
        let rules = old.spec.rules.iter().zip(std::mem::take(&mut old.rules));
        for (rule, state) in rules {
            known.entry(identity(rule)).or_default().insert(0, state);
        }
        for (rule, state) in self.spec.rules.iter().zip(&mut self.rules) {
            if let Some(old) = known.get_mut(&identity(rule)).and_then(Vec::pop) {
                *state = old;
            }
        }
        let left = known.into_values().flatten();
        self.orphans.append(&mut old.orphans);
        self.orphans.extend(left.flat_map(|state| state.series));
        self.totals = old.totals;
        (self.took, self.at_ms) = (old.took, old.at_ms);
    }

    /// What ends its series when it is there no longer.
    #[must_use]
    pub fn farewell(&self, at_ms: i64) -> Vec<Sample> {
        let rules = self.rules.iter().flat_map(|rule| &rule.series);
        let all = rules.chain(&self.orphans).cloned();
        all.map(|labels| ended(labels, at_ms)).collect()
    }

    /// As of the last evaluation.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let rule = |(index, state): (usize, &RuleState)| RuleStatus {
            index,
            health: state.health,
            last_error: state.last_error.clone(),
            took: state.took,
            at_ms: state.at_ms,
            alerts: state.alerts.by_labels.values().cloned().collect(),
        };
        GroupStatus {
            spec: Arc::clone(&self.spec),
            took: self.took,
            at_ms: self.at_ms,
            samples: self.samples,
            totals: self.totals,
            rules: self.rules.iter().enumerate().map(rule).collect(),
        }
    }
}

/// What makes a rule the same after a reload.
fn identity(rule: &RuleSpec) -> (String, Labels, bool) {
    (rule.name.clone(), rule.labels(), rule.alert().is_some())
}

/// The samples of a recording rule.
fn recorded(
    name: &str,
    labels: &[(String, String)],
    answer: Vec<(Labels, Value)>,
    time_ms: i64,
    limit: usize,
) -> Result<Vec<Sample>, RuleError> {
    let mut made = BTreeSet::new();
    let mut samples = Vec::with_capacity(answer.len());
    for (element, value) in answer {
        let mut own = element.to_builder();
        own.set(METRIC_NAME, name);
        for (label, text) in labels {
            own.set(label, text);
        }
        let labels = own.build();
        if !made.insert(labels.clone()) {
            return Err(RuleError::SameLabels("rule"));
        }
        samples.push(Sample {
            labels,
            time_ms,
            value,
        });
    }
    if limit > 0 && samples.len() > limit {
        let count = samples.len();
        return Err(RuleError::Series { limit, count });
    }
    Ok(samples)
}

/// The end of a series.
fn ended(labels: Labels, time_ms: i64) -> Sample {
    Sample::float(labels, time_ms, stale_nan())
}

/// Stores samples; what a sink refused is an error.
fn store(sink: &dyn SampleSink, samples: Vec<Sample>) -> Result<(), RuleError> {
    if samples.is_empty() {
        return Ok(());
    }
    let all = samples.len();
    let batch = Batch {
        samples,
        door: crate::DOOR,
        ..Batch::default()
    };
    let appended = sink.append(&batch, Durability::Fast)?;
    match appended.rejected.first() {
        None => Ok(()),
        Some((reason, _, _)) => Err(RuleError::Refused {
            refused: appended.rejected.iter().map(|(_, count, _)| count).sum(),
            all,
            reason: reason.as_str(),
        }),
    }
}
