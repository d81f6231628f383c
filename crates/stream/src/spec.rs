//! What a user asks of a stream.

use std::collections::BTreeMap;

use model::Matcher;

/// One stream: what enters, what is done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    /// Name of the stream, and the metric name its results begin with.
    pub name: String,
    /// Which samples enter; all must hold.
    pub matchers: Vec<Matcher>,
    /// How far behind the newest sample another may be and still count, ms.
    pub lateness_ms: i64,
    /// In order.
    pub steps: Vec<Step>,
}

/// What is done with a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Puts aside what cannot be right.
    Validate(Validate),
    /// Lets through what is asked for; the rest leaves the stream.
    Filter(Filter),
    /// value * scale + offset.
    Map(MapSpec),
    /// How many standard deviations the value is from its series' recent mean.
    Normalize(Normalize),
    /// Adds and drops labels.
    Enrich(Enrich),
    /// In order of time, each time once a series.
    Order,
    /// Statistics of windows.
    Window(WindowSpec),
    /// Pairs with the samples of another selector.
    Join(JoinSpec),
}

/// Values from one bound to the other, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Least value.
    pub at_least: f64,
    /// Greatest value.
    pub at_most: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            at_least: f64::NEG_INFINITY,
            at_most: f64::INFINITY,
        }
    }
}

impl Range {
    /// Whether the value lies inside; not-a-number never does.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        value >= self.at_least && value <= self.at_most
    }
}

/// What must hold of every sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Validate {
    /// Of the value.
    pub range: Range,
    /// Labels that must be there.
    pub require: Vec<String>,
}

/// What is let through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Of the value.
    pub range: Range,
    /// Of the labels; all must hold.
    pub matchers: Vec<Matcher>,
}

/// A line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapSpec {
    /// Factor.
    pub scale: f64,
    /// Summand.
    pub offset: f64,
}

/// A running mean and deviation a series, older values weighing less and less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalize {
    /// After this time a value weighs half, ms.
    pub half_life_ms: i64,
}

/// Labels added and dropped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Enrich {
    /// Set on every sample.
    pub labels: Vec<(String, String)>,
    /// Dropped from every sample.
    pub drop: Vec<String>,
    /// The label whose value is looked up in `table`.
    pub on: Option<String>,
    /// Labels to set, by that value.
    pub table: BTreeMap<String, Vec<(String, String)>>,
    /// Whether a sample whose value has no entry is put aside; else it goes on as it is.
    pub required: bool,
}

/// Windows over each group of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpec {
    /// Where windows begin and end.
    pub kind: WindowKind,
    /// Labels that make a group; results carry these alone.
    pub by: Vec<String>,
    /// What is recorded of each window, stamped with its end.
    pub stats: Vec<Stat>,
}

/// Where windows begin and end, ms. A window holds its beginning and not its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WindowKind {
    /// One after the other, aligned to the epoch.
    Tumbling {
        /// Length.
        size_ms: i64,
    },
    /// One each `slide_ms`, aligned to the epoch; `size_ms` is a multiple of it.
    Sliding {
        /// Length.
        size_ms: i64,
        /// Between two beginnings.
        slide_ms: i64,
    },
    /// As long as samples follow each other; ends a gap after the last.
    Session {
        /// The pause that ends it.
        gap_ms: i64,
        /// Longest session: one that goes on is cut, so that its state has a bound.
        size_max_ms: i64,
    },
}

impl WindowKind {
    /// How far back a window that ends now can have begun, ms.
    #[must_use]
    pub fn reach_ms(&self) -> i64 {
        match *self {
            Self::Tumbling { size_ms } | Self::Sliding { size_ms, .. } => size_ms,
            Self::Session {
                gap_ms,
                size_max_ms,
            } => size_max_ms + gap_ms,
        }
    }
}

/// A statistic of a window. The result's name is the stream's with the statistic's; a quantile
/// has the stream's own name and the label `quantile`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stat {
    /// How many values.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their sample standard deviation; absent for fewer than two.
    StdDev,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The first in time.
    First,
    /// The last in time.
    Last,
    /// A quantile, 0 to 1, within 1 % of the value at that rank.
    Quantile(f64),
}

impl Stat {
    /// The word behind the stream's name; none for a quantile.
    #[must_use]
    pub fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Count => Some("count"),
            Self::Sum => Some("sum"),
            Self::Mean => Some("mean"),
            Self::StdDev => Some("stddev"),
            Self::Min => Some("min"),
            Self::Max => Some("max"),
            Self::First => Some("first"),
            Self::Last => Some("last"),
            Self::Quantile(_) => None,
        }
    }
}

/// A symmetric join: every pair of samples with equal labels and times not further apart.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinSpec {
    /// Which samples are the other side.
    pub with: Vec<Matcher>,
    /// Labels that must be equal.
    pub on: Vec<String>,
    /// How far apart in time, ms, both directions.
    pub within_ms: i64,
    /// What is made of the two values.
    pub arithmetic: Arithmetic,
}

/// What a join makes of left and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// left + right
    Add,
    /// left - right
    Sub,
    /// left * right
    Mul,
    /// left / right
    Div,
    /// left, where there is a right
    Left,
    /// right, with the labels of left
    Right,
}

impl Arithmetic {
    pub(crate) fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Sub => left - right,
            Self::Mul => left * right,
            Self::Div => left / right,
            Self::Left => left,
            Self::Right => right,
        }
    }
}

/// Bounds of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Items, groups or windows one step may hold; a hundred bytes to a kilobyte each.
    pub held_max: usize,
    /// Dead letters kept to be looked at, a stream.
    pub dead_letters_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held_max: 100_000,
            dead_letters_max: 200,
        }
    }
}
