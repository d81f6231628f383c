//! What the configuration means: routes, receivers, inhibition, times, dependencies, limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    InhibitRule, Integration, RouteSaid, correlate::Dependencies, route::Tree, times::TimeInterval,
};

/// One way in which a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether it is told of what is resolved.
    pub send_resolved: bool,
}

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Alerts held at once; more are refused and counted, and heard of when posted again. 10,000:
    /// some 20 MB.
    pub alerts: usize,
    /// Notifications one way may have on their way at once. 4: a slow receiver holds up four
    /// groups of its own and nobody else's.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            alerts: 10_000,
            in_flight: 4,
        }
    }
}

/// All that is decided by configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) tree: Tree,
    pub(crate) receivers: BTreeMap<String, Vec<Way>>,
    pub(crate) inhibit: Vec<InhibitRule>,
    pub(crate) times: BTreeMap<String, Vec<TimeInterval>>,
    pub(crate) dependencies: Dependencies,
    pub(crate) limits: Limits,
}

impl Plan {
    /// A plan; fails with every name in it that means nothing.
    pub fn new(
        route: RouteSaid,
        receivers: BTreeMap<String, Vec<Way>>,
        inhibit: Vec<InhibitRule>,
        times: BTreeMap<String, Vec<TimeInterval>>,
    ) -> Result<Self, Vec<String>> {
        let plan = Self {
            tree: Tree::new(route),
            receivers,
            inhibit,
            times,
            dependencies: Dependencies::default(),
            limits: Limits::default(),
        };
        let mistakes = plan.mistakes();
        if mistakes.is_empty() {
            Ok(plan)
        } else {
            Err(mistakes)
        }
    }

    /// With dependencies between the components that alerts come from.
    #[must_use]
    pub fn with_dependencies(self, dependencies: Dependencies) -> Self {
        Self {
            dependencies,
            ..self
        }
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Another plan's dependencies and limits.
    #[must_use]
    pub fn like(self, other: &Self) -> Self {
        Self {
            dependencies: other.dependencies.clone(),
            limits: other.limits,
            ..self
        }
    }

    /// Names of the receivers, in order.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.receivers.keys().map(String::as_str)
    }

    /// The routes in the order of the text; the root is the first.
    #[must_use]
    pub fn routes(&self) -> &[crate::Route] {
        self.tree.all()
    }

    /// Receivers of an alert, without escalation, in the order of the routes that lead to them.
    #[must_use]
    pub fn receivers_of(&self, labels: &model::Labels) -> Vec<&str> {
        let routes = self.tree.routes_of(labels).into_iter();
        routes
            .map(|at| self.tree.node(at).receiver.as_str())
            .collect()
    }

    /// Whether it is declared that alerts with these labels follow from alerts with those.
    #[must_use]
    pub fn follows(&self, effect: &model::Labels, cause: &model::Labels) -> bool {
        self.dependencies.follows(effect, cause)
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = BTreeSet::new();
        let root = self.tree.node(0);
        if root.receiver.is_empty() {
            mistakes.insert("the root route names no receiver".to_owned());
        }
        if !root.matchers.is_empty() {
            mistakes.insert("the root route takes every alert: it has no matchers".to_owned());
        }
        if root.continues {
            mistakes.insert("the root route has no siblings to continue to".to_owned());
        }
        for route in self.tree.all() {
            let escalated = route.escalate.iter().map(|step| &step.receiver);
            for receiver in std::iter::once(&route.receiver).chain(escalated) {
                if !receiver.is_empty() && !self.receivers.contains_key(receiver) {
                    mistakes.insert(format!("no receiver is named {receiver:?}"));
                }
            }
            for name in route.mute_times.iter().chain(&route.active_times) {
                if !self.times.contains_key(name) {
                    mistakes.insert(format!("no time interval is named {name:?}"));
                }
            }
            if route.group_interval_ms <= 0 || route.repeat_interval_ms <= 0 {
                mistakes.insert("group_interval and repeat_interval are above 0".to_owned());
            }
        }
        mistakes.into_iter().collect()
    }

    /// Every way of a receiver.
    pub(crate) fn ways(&self, receiver: &str) -> impl Iterator<Item = (Integration, Way)> {
        let ways = self.receivers.get(receiver).into_iter().flatten();
        let receiver = receiver.to_owned();
        ways.enumerate().map(move |(index, way)| {
            let to = Integration {
                receiver: receiver.clone(),
                index,
            };
            (to, *way)
        })
    }

    /// Whether a route may tell now.
    pub(crate) fn is_heard(&self, route: usize, now_ms: i64) -> bool {
        let route = self.tree.node(route);
        let is_in = |name: &String| {
            let mut intervals = self.times.get(name).into_iter().flatten();
            intervals.any(|interval| interval.contains(now_ms))
        };
        let is_active = route.active_times.is_empty() || route.active_times.iter().any(is_in);
        is_active && !route.mute_times.iter().any(is_in)
    }
}
