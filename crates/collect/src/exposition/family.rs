//! What a source says of its metric families, and which of it is new.

use std::collections::HashMap;

use model::{Metadata, MetricType};

use super::scan::unescape;

/// A name of the source: a family's, a sample's, or both. Each mark is the number of the body
/// that set it last, so that a new body clears all marks by counting on.
#[derive(Debug)]
struct Family {
    said: Metadata,
    changed: bool,
    touched: u64,
    typed: u64,
    helped: u64,
    united: u64,
    sampled: u64,
    opened: u64,
    claimed: u64,
}

/// Families by name.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: HashMap<Box<str>, usize>,
    table: Vec<Option<Family>>,
    free: Vec<usize>,
    /// Described in this body, in order.
    described: Vec<usize>,
    body: u64,
    scratch: String,
}

impl Families {
    /// A new body begins.
    pub(super) fn begin(&mut self) {
        self.body += 1;
        self.described.clear();
    }

    /// The family of that name, known from now on.
    pub(super) fn id(&mut self, name: &str) -> usize {
        let id = match self.by_name.get(name) {
            Some(&id) => id,
            None => self.insert(name),
        };
        self.at(id).touched = self.body;
        id
    }

    /// The family's name.
    pub(super) fn name(&mut self, id: usize) -> &str {
        &self.at(id).said.family
    }

    /// Notes a TYPE line; false if it is the second.
    pub(super) fn set_type(&mut self, id: usize, metric_type: MetricType) -> bool {
        self.describe(id);
        let body = self.body;
        let family = self.at(id);
        family.changed |= family.said.metric_type != metric_type;
        family.said.metric_type = metric_type;
        std::mem::replace(&mut family.typed, body) != body
    }

    /// Notes a HELP line, still escaped; false if it is the second. `quotes` as in [`unescape`].
    pub(super) fn set_help(&mut self, id: usize, raw: &str, quotes: bool) -> bool {
        self.describe(id);
        let mut text = std::mem::take(&mut self.scratch);
        unescape(raw, quotes, &mut text);
        let body = self.body;
        let family = self.at(id);
        if family.said.help != text {
            family.said.help.clone_from(&text);
            family.changed = true;
        }
        let first = std::mem::replace(&mut family.helped, body) != body;
        self.scratch = text;
        first
    }

    /// Notes a UNIT line; false if it is the second.
    pub(super) fn set_unit(&mut self, id: usize, unit: &str) -> bool {
        self.describe(id);
        let body = self.body;
        let family = self.at(id);
        if family.said.unit != unit {
            unit.clone_into(&mut family.said.unit);
            family.changed = true;
        }
        std::mem::replace(&mut family.united, body) != body
    }

    /// The type said in this body.
    pub(super) fn metric_type(&mut self, id: usize) -> MetricType {
        let body = self.body;
        let family = self.at(id);
        if family.typed == body {
            family.said.metric_type
        } else {
            MetricType::Unknown
        }
    }

    /// The unit said in this body, or "".
    pub(super) fn unit(&mut self, id: usize) -> &str {
        let body = self.body;
        let family = self.at(id);
        if family.united == body {
            &family.said.unit
        } else {
            ""
        }
    }

    /// Notes a sample of that name.
    pub(super) fn mark_sampled(&mut self, id: usize) {
        self.at(id).sampled = self.body;
    }

    /// Whether the body had a sample of that name.
    pub(super) fn was_sampled(&mut self, id: usize) -> bool {
        self.at(id).sampled == self.body
    }

    /// Begins the family; false if the body had begun it before.
    pub(super) fn open(&mut self, id: usize) -> bool {
        let body = self.body;
        std::mem::replace(&mut self.at(id).opened, body) != body
    }

    /// Takes the name for the samples of one family; false if another has it.
    pub(super) fn claim(&mut self, name: &str) -> bool {
        let (id, body) = (self.id(name), self.body);
        std::mem::replace(&mut self.at(id).claimed, body) != body
    }

    /// The body was good: hands out what is new, forgets the names it did not use.
    pub(super) fn finish(&mut self, news: &mut Vec<Metadata>) {
        let described = std::mem::take(&mut self.described);
        for &id in &described {
            let body = self.body;
            let family = self.at(id);
            family.take_back_unsaid(body);
            if std::mem::take(&mut family.changed) {
                news.push(family.said.clone());
            }
        }
        self.described = described;
        self.forget_untouched();
    }

    /// The body was bad: forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self {
            body: self.body,
            ..Self::default()
        };
    }

    fn at(&mut self, id: usize) -> &mut Family {
        self.table[id]
            .as_mut()
            .expect("the name belongs to this body")
    }

    /// Puts the family on the list of those described, once a body.
    fn describe(&mut self, id: usize) {
        let body = self.body;
        let family = self.at(id);
        if [family.typed, family.helped, family.united]
            .iter()
            .all(|mark| *mark != body)
        {
            self.described.push(id);
        }
    }

    fn insert(&mut self, name: &str) -> usize {
        let said = Metadata {
            family: name.to_owned(),
            metric_type: MetricType::Unknown,
            help: String::new(),
            unit: String::new(),
        };
        let family = Family {
            said,
            changed: true,
            touched: 0,
            typed: 0,
            helped: 0,
            united: 0,
            sampled: 0,
            opened: 0,
            claimed: 0,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        self.table[id] = Some(family);
        self.by_name.insert(name.into(), id);
        id
    }

    fn forget_untouched(&mut self) {
        for (id, place) in self.table.iter_mut().enumerate() {
            if place
                .as_ref()
                .is_some_and(|family| family.touched != self.body)
            {
                let family = place.take().expect("checked above");
                self.by_name.remove(family.said.family.as_str());
                self.free.push(id);
            }
        }
    }
}

impl Family {
    /// Drops what an earlier body said and this one does not.
    fn take_back_unsaid(&mut self, body: u64) {
        if self.typed != body && self.said.metric_type != MetricType::Unknown {
            self.said.metric_type = MetricType::Unknown;
            self.changed = true;
        }
        if self.helped != body && !self.said.help.is_empty() {
            self.said.help.clear();
            self.changed = true;
        }
        if self.united != body && !self.said.unit.is_empty() {
            self.said.unit.clear();
            self.changed = true;
        }
    }
}
