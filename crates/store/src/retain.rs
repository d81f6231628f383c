//! What to forget: samples older than the retention, roll-ups older than theirs, and the oldest
//! of both beyond the byte limit. Never silently: each is counted and logged.
//!
//! Where roll-ups are kept, samples stay until their day is rolled up: a day and an hour at most,
//! whatever the retention says. Only damage (a part that cannot be read cannot be rolled up) and
//! the byte limit do not wait.
//!
//! Rules forget some series earlier. They are carried out a whole day at a time: when the day's
//! end is older than the rule's age, its part and its roll-ups are written anew without them.
//!
//! Age goes by the wall clock, and a wall clock can be wrong: a flat battery says another decade
//! until somebody sets it. So a horizon that leaves parts far behind all at once, as no passing
//! of time does, is believed only when it has stood for an hour of monotonic time.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use model::{Labels, Matcher};

use crate::{
    compact::{MaintainError, Pace, Upkeep},
    config::{Config, RetentionRule},
    labels_index::resolve,
    manifest::Edit,
    part::{DAY_LEVEL, DAY_MS, reader::Part},
    rollup::{before, tiers},
    stats::count,
    store::{Core, View, lock},
};

/// How far behind the horizon the oldest part lies at most while time passes as it should: parts
/// are of a day, and a machine may have slept over a weekend.
const STEP_MS: i64 = 3 * DAY_MS;
/// How long a horizon further ahead must have stood.
const STANDING: Duration = Duration::from_secs(3_600);

/// Parts and roll-ups that are too old.
fn too_old(
    view: &View,
    config: &Config,
    damaged: &[u64],
    horizon_ms: i64,
    newest_ms: i64,
) -> Vec<Arc<Part>> {
    let raw = view.parts.iter().filter(|part| {
        let awaited = |every_ms| view.rollup_of(part, every_ms).is_none();
        let waits = || {
            tiers(config)
                .iter()
                .filter(|t| part.footer.to_ms >= before(newest_ms, t.retention))
                .any(|t| awaited(t.every_ms))
        };
        part.footer.to_ms < horizon_ms && (damaged.contains(&part.footer.sequence) || !waits())
    });
    let rollups = view.rollups.iter().filter(|rollup| {
        let tier = tiers(config)
            .into_iter()
            .find(|t| t.every_ms == rollup.footer.every_ms);
        tier.is_none_or(|t| rollup.footer.to_ms < before(newest_ms, t.retention))
    });
    raw.chain(rollups).cloned().collect()
}

/// What to drop of a directory of so many bytes so that at most so many remain: the oldest
/// samples first, then the oldest roll-ups, the finest first.
fn too_many(
    view: &View,
    gone: &BTreeSet<u64>,
    (mut bytes, bytes_max): (u64, u64),
    there: &dyn Fn(&Part) -> bool,
) -> Vec<Arc<Part>> {
    let all = view.parts.iter().chain(&view.rollups);
    let left = all.filter(|p| !gone.contains(&p.footer.sequence) && there(p));
    let mut by_age: Vec<&Arc<Part>> = left.collect();
    by_age.sort_by_key(|p| (p.footer.every_ms, p.footer.day, p.footer.rank));
    let mut dropped = Vec::new();
    for part in by_age {
        if bytes <= bytes_max {
            break;
        }
        bytes = bytes.saturating_sub(part.bytes());
        dropped.push(Arc::clone(part));
    }
    dropped
}

/// Whether one of these rules forgets a series.
pub(crate) fn expired(rules: &[&RetentionRule], labels: &Labels) -> bool {
    let holds = |m: &Matcher| m.matches(labels.get(&m.name).unwrap_or_default());
    rules.iter().any(|rule| rule.matchers.iter().all(holds))
}

impl Core {
    /// The rules by which a whole day is too old.
    pub(crate) fn rules_due(&self, day: i64) -> Vec<&RetentionRule> {
        let end = (day + 1).saturating_mul(DAY_MS);
        let latest = self.latest_ms().min(self.rules_ms.load(Relaxed));
        let rules = self.config.retention_rules.iter();
        rules
            .filter(|rule| !rule.matchers.is_empty() && end <= before(latest, rule.age))
            .collect()
    }

    /// Moves the time by which rules go on, unless it leapt: a rule is about whole days, and the
    /// oldest day says nothing of how far it may have come.
    pub(crate) fn pass_time(&self) {
        let mut upkeep = lock(&self.upkeep);
        let (latest, now) = (self.latest_ms(), self.clock.monotonic());
        if latest.saturating_sub(self.rules_ms.load(Relaxed)) > STEP_MS {
            let since = *upkeep.rules_leap_since.get_or_insert(now);
            if now.saturating_sub(since) < STANDING {
                return;
            }
        }
        upkeep.rules_leap_since = None;
        self.rules_ms.store(latest, Relaxed);
    }

    /// Carries rules out on one part or roll-up, if they are due on any; whether they were. The
    /// caller keeps merges out.
    pub(crate) fn expire_once(&self) -> Result<bool, MaintainError> {
        if self.config.retention_rules.is_empty() {
            return Ok(false);
        }
        let view = Arc::clone(&lock(&self.view));
        let whole = |p: &&Arc<Part>| p.footer.level == DAY_LEVEL;
        for part in view.parts.iter().filter(whole).chain(&view.rollups) {
            if !self.has_expired(part)? {
                continue;
            }
            tracing::info!(day = part.footer.day, "a retention rule forgets series");
            if part.footer.is_rollup() {
                self.clean_rollup(part)?;
            } else {
                self.merge(std::slice::from_ref(part), DAY_LEVEL, Pace::Limited)?;
            }
            count(&self.counters.forgotten_by_rule, 1);
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a part has series that rules forget. Asked once for each part and number of rules:
    /// rules only ever become due.
    fn has_expired(&self, part: &Part) -> Result<bool, MaintainError> {
        let due = self.rules_due(part.footer.day);
        let sequence = part.footer.sequence;
        let known = {
            let upkeep = lock(&self.upkeep);
            upkeep.damaged.contains(&sequence) || upkeep.ruled.get(&sequence) == Some(&due.len())
        };
        if due.is_empty() || known {
            return Ok(false);
        }
        let index = part
            .index()
            .map_err(|error| self.part_failed("an index to look for rules", error))?;
        let found = due
            .iter()
            .any(|rule| !resolve(&*index, &rule.matchers).is_empty());
        if !found {
            lock(&self.upkeep).ruled.insert(sequence, due.len());
        }
        Ok(found)
    }

    /// Whether the horizon may be what time has come to, and not what a clock says for a while.
    fn is_believed(&self, horizon_ms: i64, upkeep: &mut Upkeep, parts: &[Arc<Part>]) -> bool {
        let oldest = parts.iter().map(|p| p.footer.to_ms).min();
        if oldest.is_none_or(|oldest| horizon_ms.saturating_sub(oldest) <= STEP_MS) {
            upkeep.leap_since = None;
            return true;
        }
        let now = self.clock.monotonic();
        let since = *upkeep.leap_since.get_or_insert_with(|| {
            tracing::warn!(
                horizon_ms,
                "the retention is days ahead of the oldest samples, as if the clock had jumped: \
                 they are forgotten if it stays so for an hour"
            );
            now
        });
        now.saturating_sub(since) >= STANDING
    }

    /// Drops what the retention says; how many parts and roll-ups.
    pub(crate) fn forget(&self) -> Result<usize, MaintainError> {
        let mut upkeep = lock(&self.upkeep);
        let view = Arc::clone(&lock(&self.view));
        let (horizon, newest) = (*self.time_bounds().start(), self.latest_ms());
        let mut gone = if self.is_believed(horizon, &mut upkeep, &view.parts) {
            too_old(&view, &self.config, &upkeep.damaged, horizon, newest)
        } else {
            Vec::new()
        };
        let by_age = gone.len();
        for (bytes_max, archived) in [
            (self.config.retention_bytes, false),
            (self.config.archive_bytes, true),
        ] {
            if bytes_max > 0 {
                let there = |part: &Part| self.is_archived(part) == archived;
                let known: BTreeSet<u64> = gone.iter().map(|p| p.footer.sequence).collect();
                let freed: u64 = gone.iter().filter(|p| there(p)).map(|p| p.bytes()).sum();
                let bytes = self.data_bytes(archived)?.saturating_sub(freed);
                gone.extend(too_many(&view, &known, (bytes, bytes_max), &there));
            }
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let removed: Vec<u64> = gone.iter().map(|p| p.footer.sequence).collect();
        let edit = Edit {
            removed: removed.clone(),
            ..Edit::default()
        };
        upkeep
            .manifest
            .commit(&*self.disk, edit)
            .map_err(|error| self.note_full("commit the retention", error))?;
        self.install(Vec::new(), &removed, None);
        self.remove_parts(&removed);
        upkeep
            .ruled
            .retain(|sequence, _| !removed.contains(sequence));
        self.say_forgotten(&gone, by_age);
        Ok(gone.len())
    }

    /// Bytes of all files of the directory, or of its archive.
    fn data_bytes(&self, archived: bool) -> Result<u64, MaintainError> {
        let files = self.disk.list().map_err(|source| MaintainError::Io {
            operation: "list the directory".into(),
            source,
        })?;
        let there = files
            .iter()
            .filter(|(name, _)| self.disk.is_archived(name) == archived);
        Ok(there.map(|(_, bytes)| bytes).sum())
    }

    fn say_forgotten(&self, gone: &[Arc<Part>], by_age: usize) {
        let bytes: u64 = gone.iter().map(|p| p.bytes()).sum();
        count(&self.counters.forgotten_by_age, by_age as u64);
        count(
            &self.counters.forgotten_by_bytes,
            (gone.len() - by_age) as u64,
        );
        count(&self.counters.forgotten_bytes, bytes);
        for (at, part) in gone.iter().enumerate() {
            let footer = &part.footer;
            tracing::info!(
                day = footer.day,
                samples = footer.samples,
                bytes = part.bytes(),
                every_ms = footer.every_ms,
                reason = if at < by_age { "age" } else { "bytes" },
                "retention dropped a part"
            );
        }
    }
}
