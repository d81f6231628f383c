//! What a source's series are called: raw text to labels, in slots that live as long as the
//! source keeps saying them.

use std::collections::HashMap;

use model::Labels;

use super::{
    Limits,
    error::Parsed,
    group::{Grouping, Member},
    labels::{Dialect, extent, parse_series},
};

/// No slot.
const NONE: usize = usize::MAX;

/// A series met in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) slot: usize,
    /// Filled just now.
    pub(super) fresh: bool,
    /// Named before in this body.
    pub(super) again: bool,
    /// Length of the series' text in the line.
    pub(super) length: usize,
}

#[derive(Debug)]
struct Known {
    raw: Box<str>,
    labels: Labels,
    grouping: Option<Grouping>,
    /// Number of the body that named it last.
    seen: u64,
    /// The slot named after it last time.
    next: usize,
}

/// Slots by raw text.
#[derive(Debug)]
pub(super) struct SeriesCache {
    slots: Vec<Option<Known>>,
    free: Vec<usize>,
    by_raw: HashMap<Box<str>, usize>,
    body: u64,
    first: usize,
    last: usize,
}

impl Default for SeriesCache {
    fn default() -> Self {
        let (slots, free, by_raw) = (Vec::new(), Vec::new(), HashMap::new());
        Self {
            slots,
            free,
            by_raw,
            body: 0,
            first: NONE,
            last: NONE,
        }
    }
}

impl SeriesCache {
    /// A new body begins.
    pub(super) fn begin(&mut self) {
        self.body += 1;
        self.last = NONE;
    }

    /// The series at the start of a line: known, or parsed into a slot.
    pub(super) fn meet(&mut self, line: &str, dialect: Dialect, limits: &Limits) -> Parsed<Met> {
        let expected = self.slots.get(self.last).and_then(Option::as_ref);
        let expected = expected.map_or(self.first, |known| known.next);
        let met = match self.length_if(expected, line) {
            Some(length) => Met {
                slot: expected,
                fresh: false,
                again: false,
                length,
            },
            None => self.look_up(line, dialect, limits)?,
        };
        let again = self.follow(met.slot) && !met.fresh;
        Ok(Met { again, ..met })
    }

    /// The labels of a filled slot.
    pub(super) fn labels(&self, slot: usize) -> &Labels {
        &self.slots[slot]
            .as_ref()
            .expect("the slot belongs to the last exposition")
            .labels
    }

    /// What OpenMetrics makes of the slot's labels in a family of this kind; computed once.
    pub(super) fn grouping(&mut self, slot: usize, member: Member<'_>) -> Parsed<&Grouping> {
        let known = self.slots[slot]
            .as_mut()
            .expect("the slot belongs to this body");
        if !known.grouping.as_ref().is_some_and(|g| g.is_for(member)) {
            known.grouping = Some(Grouping::new(&known.labels, member)?);
        }
        Ok(known.grouping.as_ref().expect("set above"))
    }

    /// Empties the slots the body did not name.
    pub(super) fn forget_unseen(&mut self) {
        for (slot, place) in self.slots.iter_mut().enumerate() {
            if place.as_ref().is_some_and(|known| known.seen != self.body) {
                let known = place.take().expect("checked above");
                self.by_raw.remove(&known.raw);
                self.free.push(slot);
            }
        }
    }

    /// Empties every slot.
    pub(super) fn clear(&mut self) {
        *self = Self {
            body: self.body,
            ..Self::default()
        };
    }

    /// Length of the slot's text if the line begins with exactly that series.
    fn length_if(&self, slot: usize, line: &str) -> Option<usize> {
        let raw = &self.slots.get(slot)?.as_ref()?.raw;
        let rest = line.strip_prefix(&**raw)?;
        let ends = rest.starts_with([' ', '\t']);
        let whole = raw.ends_with('}') || !rest.trim_start_matches([' ', '\t']).starts_with('{');
        (ends && whole).then_some(raw.len())
    }

    fn look_up(&mut self, line: &str, dialect: Dialect, limits: &Limits) -> Parsed<Met> {
        let length = extent(line, dialect)?;
        let raw = &line[..length];
        if let Some(&slot) = self.by_raw.get(raw) {
            return Ok(Met {
                slot,
                fresh: false,
                again: false,
                length,
            });
        }
        let labels = parse_series(raw, dialect, limits)?;
        let known = Known {
            raw: raw.into(),
            labels,
            grouping: None,
            seen: self.body,
            next: NONE,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(known);
        self.by_raw.insert(raw.into(), slot);
        Ok(Met {
            slot,
            fresh: true,
            again: false,
            length,
        })
    }

    /// Notes that `slot` was named now, after `last`; whether the body had named it before.
    fn follow(&mut self, slot: usize) -> bool {
        match self.slots.get_mut(self.last).and_then(Option::as_mut) {
            Some(previous) => previous.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
        let known = self.slots[slot].as_mut().expect("just met");
        std::mem::replace(&mut known.seen, self.body) == self.body
    }
}
