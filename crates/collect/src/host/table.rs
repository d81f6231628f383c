//! Series that repeat for each device, and rates of what they count.

use std::{collections::BTreeMap, time::Duration};

use model::Labels;

use super::frame::{Family, Frame};

/// Label sets by device, built when the device is first seen.
#[derive(Debug)]
pub(super) struct Devices<T> {
    by_name: BTreeMap<String, Seen<T>>,
    tick: u64,
}

#[derive(Debug)]
struct Seen<T> {
    tick: u64,
    value: T,
}

impl<T> Default for Devices<T> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            tick: 0,
        }
    }
}

impl<T> Devices<T> {
    /// What is kept of the device; made by `make` when it is new.
    pub(super) fn entry(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        if !self.by_name.contains_key(name) {
            let seen = Seen {
                tick: self.tick,
                value: make(),
            };
            self.by_name.insert(name.to_owned(), seen);
        }
        let seen = self
            .by_name
            .get_mut(name)
            .expect("present or just inserted");
        seen.tick = self.tick;
        &mut seen.value
    }

    /// Ends a tick: forgets devices it did not name.
    pub(super) fn end_tick(&mut self) {
        let tick = self.tick;
        self.by_name.retain(|_, seen| seen.tick == tick);
        self.tick += 1;
    }

    pub(super) fn is_first_tick(&self) -> bool {
        self.tick == 0
    }
}

/// A family that is one column of a kernel table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) family: Family,
    /// Which field of the line, from 0.
    pub(super) index: usize,
    /// Factor to the family's unit.
    pub(super) scale: f64,
}

pub(super) const fn column(family: Family, index: usize, scale: f64) -> Column {
    Column {
        family,
        index,
        scale,
    }
}

/// Labels of all the columns for one device.
pub(super) fn column_labels(columns: &[Column], frame: &Frame<'_>, device: &str) -> Vec<Labels> {
    let label = |c: &Column| frame.series(c.family.name, &[("device", device)]);
    columns.iter().map(label).collect()
}

/// Pushes the columns a line has; older kernels have fewer.
pub(super) fn push_columns(
    columns: &[Column],
    labels: &[Labels],
    fields: &[f64],
    frame: &mut Frame<'_>,
) {
    for (column, labels) in columns.iter().zip(labels) {
        if let Some(value) = fields.get(column.index) {
            frame.push(labels, value * column.scale);
        }
    }
}

/// Numbers of a line, blanks between them; stops at what is no number.
pub(super) fn numbers(line: &str, into: &mut Vec<f64>) {
    into.clear();
    into.extend(
        line.split_ascii_whitespace()
            .map_while(|field| field.parse::<f64>().ok()),
    );
}

/// The rate of a cumulative counter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    last: Option<(f64, Duration)>,
}

impl Rate {
    /// Units a second since the last call; `None` at first, and when the counter fell.
    pub(crate) fn step(&mut self, value: f64, monotonic: Duration) -> Option<f64> {
        let (before, then) = self.last.replace((value, monotonic))?;
        let seconds = monotonic.checked_sub(then)?.as_secs_f64();
        (value >= before && seconds > 0.0).then(|| (value - before) / seconds)
    }
}
