//! Closer looks while a condition holds: a series over its bound shortens the interval of what is
//! named, until it is back under another.
//!
//! Each series that matches has its own hysteresis: it enters at `enter` and leaves at `exit`. A
//! trigger is active while one of its series is inside. Pure: it is shown samples and says when
//! it turned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{Labels, METRIC_NAME, Sample, Value, is_stale};

/// Series one trigger follows at once.
const SERIES_MAX: usize = 1_000;

/// Which side of its bounds a condition is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It holds from `enter` upwards, until below `exit`.
    Above,
    /// It holds from `enter` downwards, until above `exit`.
    Below,
}

/// What is sampled closer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This host's own figures, control groups included.
    Host,
    /// The targets of a job.
    Job(String),
    /// A probe.
    Probe(String),
    /// A process, by the name it was given.
    Process(String),
    /// Everything that is sampled.
    All,
}

/// A trigger as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerConfig {
    /// The label `trigger`.
    pub name: String,
    /// The metric.
    pub metric: String,
    /// Labels the series must have.
    pub labels: Vec<(String, String)>,
    /// Which side counts.
    pub side: Side,
    /// Where the condition begins to hold.
    pub enter: f64,
    /// Where it ends; on the other side of `enter`, or equal to it.
    pub exit: f64,
    /// The interval while it holds.
    pub interval: Duration,
    /// What is sampled closer.
    pub applies_to: Vec<Scope>,
}

/// A trigger and the series inside.
#[derive(Debug)]
pub struct Trigger {
    config: TriggerConfig,
    inside: BTreeSet<Labels>,
}

/// What a trigger did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The condition begins to hold.
    Entered,
    /// It no longer holds.
    Left,
}

impl Trigger {
    /// A trigger that has seen nothing.
    #[must_use]
    pub fn new(config: TriggerConfig) -> Self {
        Self {
            config,
            inside: BTreeSet::new(),
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &TriggerConfig {
        &self.config
    }

    /// Whether its condition holds.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.inside.is_empty()
    }

    /// Looks at samples; whether it turned.
    pub fn look(&mut self, samples: &[Sample]) -> Option<Turn> {
        let before = self.is_active();
        for sample in samples {
            if let Value::Float(value) = sample.value
                && self.config.matches(&sample.labels)
            {
                self.take(&sample.labels, value);
            }
        }
        match (before, self.is_active()) {
            (false, true) => Some(Turn::Entered),
            (true, false) => Some(Turn::Left),
            _ => None,
        }
    }

    fn take(&mut self, labels: &Labels, value: f64) {
        let TriggerConfig {
            side, enter, exit, ..
        } = self.config;
        let (enters, leaves) = match side {
            Side::Above => (value >= enter, value < exit),
            Side::Below => (value <= enter, value > exit),
        };
        // A series that ended no longer says anything; any other NaN changes nothing.
        if leaves || is_stale(value) {
            self.inside.remove(labels);
        } else if enters && self.inside.len() < SERIES_MAX {
            self.inside.insert(labels.clone());
        }
    }
}

impl TriggerConfig {
    fn matches(&self, labels: &Labels) -> bool {
        let has = |(name, value): &(String, String)| labels.get(name) == Some(value);
        labels.get(METRIC_NAME) == Some(&self.metric) && self.labels.iter().all(has)
    }
}

/// Everything that is sampled, each with its usual interval, and the triggers over it.
#[derive(Debug, Default)]
pub struct Paces {
    triggers: Vec<Trigger>,
    lines: BTreeMap<String, Line>,
}

/// One thing that is sampled.
#[derive(Debug)]
struct Line {
    scope: Scope,
    usual: Duration,
    now: Duration,
}

/// A key and the interval it is sampled at from now on.
pub type NewPace = (String, Duration);

impl Paces {
    /// These triggers, over nothing yet.
    #[must_use]
    pub fn new(triggers: Vec<TriggerConfig>) -> Self {
        Self {
            triggers: triggers.into_iter().map(Trigger::new).collect(),
            lines: BTreeMap::new(),
        }
    }

    /// Whether there is no trigger: nothing need be shown then.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.triggers.is_empty()
    }

    /// The names of the triggers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.triggers
            .iter()
            .map(|trigger| trigger.config.name.as_str())
    }

    /// Takes up something that is sampled; its interval now.
    pub fn add(&mut self, key: &str, scope: Scope, usual: Duration) -> Duration {
        let now = self.pace(&scope, usual);
        self.lines
            .insert(key.to_owned(), Line { scope, usual, now });
        now
    }

    /// Forgets something that is no longer sampled.
    pub fn remove(&mut self, key: &str) {
        self.lines.remove(key);
    }

    /// Looks at samples: the triggers that turned, by name, and the keys whose interval changed.
    pub fn look(&mut self, samples: &[Sample]) -> (Vec<(String, Turn)>, Vec<NewPace>) {
        let mut turned = Vec::new();
        for trigger in &mut self.triggers {
            if let Some(turn) = trigger.look(samples) {
                turned.push((trigger.config.name.clone(), turn));
            }
        }
        let mut changed = Vec::new();
        if turned.is_empty() {
            return (turned, changed);
        }
        let mut lines = std::mem::take(&mut self.lines);
        for (key, line) in &mut lines {
            let now = self.pace(&line.scope, line.usual);
            if std::mem::replace(&mut line.now, now) != now {
                changed.push((key.clone(), now));
            }
        }
        self.lines = lines;
        (turned, changed)
    }

    /// The shortest interval an active trigger asks for; never longer than usual.
    fn pace(&self, scope: &Scope, usual: Duration) -> Duration {
        let active = self.triggers.iter().filter(|trigger| trigger.is_active());
        let over = active.filter(|trigger| {
            let scopes = &trigger.config.applies_to;
            scopes.contains(scope) || scopes.contains(&Scope::All)
        });
        over.map(|trigger| trigger.config.interval)
            .fold(usual, Duration::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(metric: &str, instance: &str, value: f64) -> Sample {
        let pairs = [(METRIC_NAME, metric), ("instance", instance)];
        Sample::float(Labels::from_pairs(pairs), 0, value)
    }

    fn config(side: Side, enter: f64, exit: f64) -> TriggerConfig {
        TriggerConfig {
            name: "t".to_owned(),
            metric: "load".to_owned(),
            labels: Vec::new(),
            side,
            enter,
            exit,
            interval: Duration::from_millis(200),
            applies_to: vec![Scope::Host, Scope::Job("a".to_owned())],
        }
    }

    #[test]
    fn a_condition_holds_from_enter_to_exit() {
        let mut trigger = Trigger::new(config(Side::Above, 0.8, 0.5));
        let turns: Vec<Option<Turn>> = [0.7, 0.8, 0.6, f64::NAN, 0.5, 0.49, 0.79]
            .map(|value| trigger.look(&[sample("load", "x", value)]))
            .into();
        let expected = [
            None,
            Some(Turn::Entered),
            None,
            None,
            None,
            Some(Turn::Left),
            None,
        ];
        assert_eq!(turns, expected);
        let mut below = Trigger::new(config(Side::Below, 10.0, 20.0));
        assert_eq!(
            below.look(&[sample("load", "x", 10.0)]),
            Some(Turn::Entered)
        );
        assert_eq!(below.look(&[sample("load", "x", 20.0)]), None);
        assert_eq!(below.look(&[sample("load", "x", 20.1)]), Some(Turn::Left));
    }

    #[test]
    fn it_is_active_while_one_series_is_inside_and_ended_series_leave() {
        let mut trigger = Trigger::new(config(Side::Above, 1.0, 1.0));
        let both = [sample("load", "x", 2.0), sample("load", "y", 2.0)];
        assert_eq!(trigger.look(&both), Some(Turn::Entered));
        assert_eq!(trigger.look(&[sample("load", "x", 0.0)]), None);
        assert_eq!(trigger.look(&[sample("other", "y", 0.0)]), None);
        let ended = sample("load", "y", model::stale_nan());
        assert_eq!(trigger.look(&[ended]), Some(Turn::Left));
    }

    #[test]
    fn what_it_is_over_is_sampled_closer_and_never_slower() {
        let second = Duration::from_secs(1);
        let mut paces = Paces::new(vec![config(Side::Above, 1.0, 0.5)]);
        assert_eq!(paces.add("h", Scope::Host, second), second);
        paces.add("a1", Scope::Job("a".to_owned()), Duration::from_millis(100));
        paces.add("b1", Scope::Job("b".to_owned()), second);
        let (turned, changed) = paces.look(&[sample("load", "x", 1.0)]);
        assert_eq!(turned, [("t".to_owned(), Turn::Entered)]);
        assert_eq!(changed, [("h".to_owned(), Duration::from_millis(200))]);
        // One that comes while it holds begins closer.
        let scope = Scope::Job("a".to_owned());
        assert_eq!(paces.add("a2", scope, second), Duration::from_millis(200));
        paces.remove("a2");
        let (_, changed) = paces.look(&[sample("load", "x", 0.4)]);
        assert_eq!(changed, [("h".to_owned(), second)]);
    }
}
