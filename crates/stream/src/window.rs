//! The step `window`: statistics of tumbling, sliding and session windows, a group at a time.
//!
//! Sliding windows are made of panes as long as the slide, so that an item is added once however
//! many windows it belongs to (Li et al., "No pane, no gain", SIGMOD Record 2005); a tumbling
//! window is a sliding one that slides by its size. Sessions that come to touch are merged, as
//! in the dataflow model.

use std::collections::BTreeMap;

use model::{Labels, METRIC_NAME};
use numerics::{moments::Moments, sketch::Sketch, sum::Sum};

use crate::{
    Item, Stat, WindowKind, WindowSpec,
    dead::DeadReason,
    item::{Operator, Out},
};

#[derive(Debug)]
pub(crate) struct Window {
    spec: WindowSpec,
    /// Name of the results.
    name: String,
    /// Windows that began earlier were not seen whole, and are not recorded.
    begin_ms: i64,
    groups: BTreeMap<Labels, Parts>,
    held: usize,
    held_max: usize,
    watermark_ms: i64,
}

/// Panes or sessions of one group by their beginning.
type Parts = BTreeMap<i64, Part>;

/// What is known of the samples of a pane or a session.
#[derive(Debug, Clone, Default)]
struct Part {
    moments: Moments,
    sum: Sum,
    min: f64,
    max: f64,
    first: (i64, f64),
    last: (i64, f64),
    sketch: Option<Box<Sketch>>,
}

impl Part {
    fn of(item: &Item, sketched: bool) -> Self {
        let at = (item.time_ms, item.value);
        let mut part = Self {
            min: item.value,
            max: item.value,
            first: at,
            last: at,
            sketch: sketched.then(Box::default),
            ..Self::default()
        };
        part.moments.add(item.value);
        part.sum.add(item.value);
        if let Some(sketch) = &mut part.sketch {
            sketch.add(item.value);
        }
        part
    }

    fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.sum.add(other.sum.value());
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.first.0 < self.first.0 {
            self.first = other.first;
        }
        if other.last.0 >= self.last.0 {
            self.last = other.last;
        }
        if let (Some(sketch), Some(other)) = (&mut self.sketch, &other.sketch) {
            sketch.merge(other);
        }
    }

    fn stat(&self, stat: Stat) -> Option<f64> {
        match stat {
            Stat::Count => Some(self.moments.count() as f64),
            Stat::Sum => Some(self.sum.value()),
            Stat::Mean => self.moments.mean(),
            Stat::StdDev => self.moments.std_dev(),
            Stat::Min => Some(self.min),
            Stat::Max => Some(self.max),
            Stat::First => Some(self.first.1),
            Stat::Last => Some(self.last.1),
            Stat::Quantile(q) => self.sketch.as_ref()?.quantile(q),
        }
    }
}

impl Window {
    pub(crate) fn new(spec: WindowSpec, name: &str, held_max: usize, begin_ms: i64) -> Self {
        Self {
            spec,
            name: name.to_owned(),
            begin_ms,
            groups: BTreeMap::new(),
            held: 0,
            held_max,
            watermark_ms: i64::MIN,
        }
    }

    fn sketched(&self) -> bool {
        self.spec
            .stats
            .iter()
            .any(|s| matches!(s, Stat::Quantile(_)))
    }

    /// An item that comes at `time_ms` belongs to nothing that is still open.
    fn is_late(&self, time_ms: i64) -> bool {
        let done = match self.spec.kind {
            WindowKind::Tumbling { size_ms } => aligned(time_ms, size_ms) + size_ms,
            WindowKind::Sliding { size_ms, slide_ms } => aligned(time_ms, slide_ms) + size_ms,
            WindowKind::Session { gap_ms, .. } => time_ms + gap_ms,
        };
        done <= self.watermark_ms
    }

    fn group(&self, labels: &Labels) -> Labels {
        let pair = |name: &String| Some((name.clone(), labels.get(name)?.to_owned()));
        Labels::from_pairs(self.spec.by.iter().filter_map(pair))
    }

    fn record(&self, group: &Labels, end_ms: i64, whole: &Part, out: &mut Out) {
        for stat in &self.spec.stats {
            let Some(value) = whole.stat(*stat) else {
                continue;
            };
            let mut labels = group.to_builder();
            match (stat.suffix(), stat) {
                (Some(suffix), _) => labels.set(METRIC_NAME, format!("{}_{suffix}", self.name)),
                (None, Stat::Quantile(q)) => labels
                    .set(METRIC_NAME, &self.name)
                    .set("quantile", q.to_string()),
                (None, _) => unreachable!("only a quantile has no suffix"),
            };
            out.items.push(Item {
                labels: labels.build(),
                time_ms: end_ms,
                value,
            });
        }
    }

    /// Windows of one group that end after the old watermark and at or before the new one.
    fn close_windows(
        &self,
        (size_ms, slide_ms): (i64, i64),
        watermark_ms: i64,
        (group, panes): (&Labels, &mut Parts),
        out: &mut Out,
    ) {
        let mut closed_to = aligned(self.watermark_ms, slide_ms);
        while let Some((first, _)) = panes.first_key_value() {
            // The earliest window with the first pane that has not been closed before.
            let end = (first + slide_ms).max(closed_to.saturating_add(slide_ms));
            if end > watermark_ms {
                return;
            }
            let mut inside = panes.range(end - size_ms..end).map(|(_, pane)| pane);
            if let Some(pane) = inside.next()
                && end - size_ms >= self.begin_ms
            {
                let mut whole = pane.clone();
                inside.for_each(|pane| whole.merge(pane));
                self.record(group, end, &whole, out);
            }
            panes.retain(|begin, _| begin + size_ms > end);
            closed_to = end;
        }
    }

    fn close_sessions(
        &self,
        gap_ms: i64,
        watermark_ms: i64,
        (group, sessions): (&Labels, &mut Parts),
        out: &mut Out,
    ) {
        let done = |session: &Part| session.last.0 + gap_ms <= watermark_ms;
        for (begin, session) in sessions.iter().filter(|(_, s)| done(s)) {
            if begin - gap_ms >= self.begin_ms {
                self.record(group, session.last.0 + gap_ms, session, out);
            }
        }
        sessions.retain(|_, session| !done(session));
    }
}

/// The last multiple of `step` at or before `time`.
fn aligned(time: i64, step: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(step))
}

/// Adds an item to the pane that begins at `begin`.
fn add_to_pane(panes: &mut Parts, begin: i64, part: Part) {
    match panes.get_mut(&begin) {
        Some(pane) => pane.merge(&part),
        None => {
            panes.insert(begin, part);
        }
    }
}

/// Adds an item to the sessions it touches, which become one as far as the longest allows.
fn add_to_sessions(sessions: &mut Parts, gap_ms: i64, size_max_ms: i64, mut part: Part) {
    let time = part.first.0;
    let touching: Vec<i64> = sessions
        .range(time.saturating_sub(size_max_ms)..time.saturating_add(gap_ms))
        .filter(|(begin, s)| **begin - gap_ms < time && s.last.0 + gap_ms > time)
        .map(|(begin, _)| *begin)
        .collect();
    for begin in touching {
        let session = &sessions[&begin];
        let from = part.first.0.min(session.first.0);
        let to = part.last.0.max(session.last.0);
        if to - from < size_max_ms {
            part.merge(&sessions.remove(&begin).expect("found above"));
        }
    }
    add_to_pane(sessions, part.first.0, part);
}

impl Operator for Window {
    fn take(&mut self, item: Item, out: &mut Out) {
        if !item.value.is_finite() {
            return out.bury(item, DeadReason::Invalid);
        }
        if self.is_late(item.time_ms) {
            return out.bury(item, DeadReason::Late);
        }
        if self.held >= self.held_max {
            return out.bury(item, DeadReason::Full);
        }
        let part = Part::of(&item, self.sketched());
        let parts = self.groups.entry(self.group(&item.labels)).or_default();
        let before = parts.len();
        match self.spec.kind {
            WindowKind::Tumbling { size_ms: slide_ms } | WindowKind::Sliding { slide_ms, .. } => {
                add_to_pane(parts, aligned(item.time_ms, slide_ms), part);
            }
            WindowKind::Session {
                gap_ms,
                size_max_ms,
            } => add_to_sessions(parts, gap_ms, size_max_ms, part),
        }
        self.held = self.held + parts.len() - before;
    }

    fn advance(&mut self, watermark_ms: i64, out: &mut Out) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.retain(|group, parts| {
            let before = parts.len();
            let group = (group, &mut *parts);
            match self.spec.kind {
                WindowKind::Tumbling { size_ms } => {
                    self.close_windows((size_ms, size_ms), watermark_ms, group, out);
                }
                WindowKind::Sliding { size_ms, slide_ms } => {
                    self.close_windows((size_ms, slide_ms), watermark_ms, group, out);
                }
                WindowKind::Session { gap_ms, .. } => {
                    self.close_sessions(gap_ms, watermark_ms, group, out);
                }
            }
            self.held -= before - parts.len();
            !parts.is_empty()
        });
        self.groups = groups;
        self.watermark_ms = watermark_ms;
    }

    fn held(&self) -> usize {
        self.held
    }
}
