//! The route tree: which receivers an alert goes to, and how its groups are timed.
//!
//! An alert walks down: at each node the first child that matches takes it, and later ones too
//! while those that took it say `continue`; where no child does, the node itself. What a route
//! does not say it has from its parent, but for times and matchers.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, Matcher};

use crate::matchers::all_match;

/// Which labels make a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// Alerts that agree in these.
    Labels(BTreeSet<String>),
    /// `...`: each alert is a group of its own.
    All,
}

impl GroupBy {
    /// From names as a configuration lists them.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let all = names.iter().any(|name| name.as_ref() == "...");
        if all && names.len() > 1 {
            return Err("`...` means every label: it stands alone".to_owned());
        }
        let names = names.iter().map(|name| name.as_ref().to_owned());
        Ok(if all {
            Self::All
        } else {
            Self::Labels(names.collect())
        })
    }

    /// The labels that name an alert's group.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Labels {
        match self {
            Self::All => labels.clone(),
            Self::Labels(names) => {
                Labels::from_pairs(labels.iter().filter(|(name, _)| names.contains(*name)))
            }
        }
    }
}

/// Whom to tell next when nobody has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// So long after the group's first notification, ms.
    pub after_ms: i64,
    /// Who.
    pub receiver: String,
}

/// A node as said: what is `None` comes from the parent.
#[derive(Debug, Clone, Default)]
pub struct RouteSaid {
    /// Who is told.
    pub receiver: Option<String>,
    /// What an alert must satisfy.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings are asked as well.
    pub continues: bool,
    /// Which labels make a group.
    pub group_by: Option<GroupBy>,
    /// How long a new group waits for more of its kind, ms.
    pub group_wait_ms: Option<i64>,
    /// Between two notifications about changes of a group, ms.
    pub group_interval_ms: Option<i64>,
    /// Until an unchanged group is told again, ms.
    pub repeat_interval_ms: Option<i64>,
    /// Names of times at which nobody is told.
    pub mute_times: Vec<String>,
    /// Names of the only times at which somebody is.
    pub active_times: Vec<String>,
    /// Who is told when nobody acknowledges.
    pub escalate: Option<Vec<Escalation>>,
    /// Its children, in order.
    pub routes: Vec<RouteSaid>,
}

/// A node as meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Names it in snapshots and to receivers: the matchers on the way to it, as in Alertmanager,
    /// with a number where an elder sibling has the same.
    pub key: String,
    /// Who is told.
    pub receiver: String,
    /// What an alert must satisfy.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings are asked as well.
    pub continues: bool,
    /// Which labels make a group.
    pub group_by: GroupBy,
    /// How long a new group waits for more of its kind, ms.
    pub group_wait_ms: i64,
    /// Between two notifications about changes of a group, ms.
    pub group_interval_ms: i64,
    /// Until an unchanged group is told again, ms.
    pub repeat_interval_ms: i64,
    /// Names of times at which nobody is told.
    pub mute_times: Vec<String>,
    /// Names of the only times at which somebody is.
    pub active_times: Vec<String>,
    /// Who is told when nobody acknowledges, soonest first.
    pub escalate: Vec<Escalation>,
    /// Indices of its children.
    children: Vec<usize>,
}

/// Alertmanager's defaults, ms.
const GROUP_WAIT_MS: i64 = 30_000;
const GROUP_INTERVAL_MS: i64 = 5 * 60_000;
const REPEAT_INTERVAL_MS: i64 = 4 * 3_600_000;

fn key_of(said: &RouteSaid) -> String {
    let shown: Vec<String> = said.matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", shown.join(","))
}

/// The tree, its nodes in the order of the text; the root is the first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree(Vec<Route>);

impl Tree {
    pub(crate) fn new(root: RouteSaid) -> Self {
        let outermost = Route {
            key: String::new(),
            receiver: String::new(),
            matchers: Vec::new(),
            continues: false,
            group_by: GroupBy::Labels(BTreeSet::new()),
            group_wait_ms: GROUP_WAIT_MS,
            group_interval_ms: GROUP_INTERVAL_MS,
            repeat_interval_ms: REPEAT_INTERVAL_MS,
            mute_times: Vec::new(),
            active_times: Vec::new(),
            escalate: Vec::new(),
            children: Vec::new(),
        };
        let mut tree = Self(Vec::new());
        let key = key_of(&root);
        tree.add(root, &outermost, key);
        tree
    }

    fn add(&mut self, said: RouteSaid, parent: &Route, key: String) -> usize {
        let mut escalate = said.escalate.unwrap_or_else(|| parent.escalate.clone());
        escalate.sort_by_key(|step| step.after_ms);
        let route = Route {
            key,
            receiver: said.receiver.unwrap_or_else(|| parent.receiver.clone()),
            matchers: said.matchers,
            continues: said.continues,
            group_by: said.group_by.unwrap_or_else(|| parent.group_by.clone()),
            group_wait_ms: said.group_wait_ms.unwrap_or(parent.group_wait_ms),
            group_interval_ms: said.group_interval_ms.unwrap_or(parent.group_interval_ms),
            repeat_interval_ms: said.repeat_interval_ms.unwrap_or(parent.repeat_interval_ms),
            mute_times: said.mute_times,
            active_times: said.active_times,
            escalate,
            children: Vec::new(),
        };
        let index = self.0.len();
        self.0.push(route.clone());
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for child in said.routes {
            let key = format!("{}/{}", route.key, key_of(&child));
            let elder = alike.entry(key.clone()).or_default();
            *elder += 1;
            let key = if *elder > 1 {
                format!("{key}#{elder}")
            } else {
                key
            };
            let child = self.add(child, &route, key);
            self.0[index].children.push(child);
        }
        index
    }

    pub(crate) fn all(&self) -> &[Route] {
        &self.0
    }

    pub(crate) fn node(&self, index: usize) -> &Route {
        &self.0[index]
    }

    /// The routes an alert takes, in the order of the text.
    pub(crate) fn routes_of(&self, labels: &Labels) -> Vec<usize> {
        let mut taken = Vec::new();
        if all_match(&self.0[0].matchers, labels) {
            self.walk(0, labels, &mut taken);
        }
        taken
    }

    fn walk(&self, at: usize, labels: &Labels, taken: &mut Vec<usize>) {
        let before = taken.len();
        for &child in &self.0[at].children {
            let route = &self.0[child];
            if all_match(&route.matchers, labels) {
                self.walk(child, labels, taken);
                if !route.continues {
                    break;
                }
            }
        }
        if taken.len() == before {
            taken.push(at);
        }
    }
}
