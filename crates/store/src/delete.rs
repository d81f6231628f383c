//! Deleting: hidden at once, carried out by merges.
//!
//! A delete counts from one place in the order of writes: memory is flushed, and what is then in
//! parts is what it hides ([`crate::tombstones`]). Nothing of it is in the log any more, so a
//! restart cannot bring it back. Samples written afterwards are visible, wherever in time they
//! lie; of samples written while the delete runs, those in memory when it began are hidden.

use std::{io, sync::Arc};

use model::Matcher;
use thiserror::Error;

use crate::{
    compact::{MaintainError, Pace, Upkeep},
    part::{self, reader::PartError},
    stats::count,
    store::{Core, View, lock},
    tombstones::{PENDING_MAX, Tombstone, Tombstones},
    wal,
};

/// Why samples were not deleted. Nothing of the request is.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// A selector without a matcher would delete everything.
    #[error("a selector without matchers deletes nothing")]
    EmptySelector,
    /// Too many deletes wait to be carried out.
    #[error("{PENDING_MAX} deletes wait to be carried out: clean the tombstones first")]
    TooMany,
    /// Memory could not be flushed, or the tombstones not be written.
    #[error("cannot delete")]
    Maintain(#[from] MaintainError),
}

fn cannot(operation: &str) -> impl FnOnce(io::Error) -> MaintainError + '_ {
    move |source| MaintainError::Io {
        operation: operation.into(),
        source,
    }
}

impl Core {
    /// Deletes the samples from `from_ms` to `to_ms`, both included, of series for which any of
    /// `any_of` holds whole. Durable when it returns.
    pub(crate) fn delete(
        &self,
        any_of: &[Vec<Matcher>],
        from_ms: i64,
        to_ms: i64,
    ) -> Result<(), DeleteError> {
        if any_of.is_empty() || any_of.iter().any(Vec::is_empty) {
            return Err(DeleteError::EmptySelector);
        }
        if from_ms > to_ms {
            return Ok(());
        }
        // What the ring has left is all that the new segment carries over.
        let exemplars = lock(&self.exemplars).remove(any_of, from_ms, to_ms);
        self.flush_and_rotate(exemplars > 0)?;
        let upkeep = lock(&self.upkeep);
        self.nothing_left_of_the_past(&upkeep)?;
        let view = Arc::clone(&lock(&self.view));
        if view.tombstones.0.len() + any_of.len() > PENDING_MAX {
            return Err(DeleteError::TooMany);
        }
        let mut tombstones = Tombstones::clone(&view.tombstones);
        let rank = upkeep.next_part - 1;
        tombstones.0.extend(any_of.iter().map(|matchers| {
            Arc::new(Tombstone {
                rank,
                from_ms,
                to_ms,
                matchers: matchers.clone(),
            })
        }));
        self.put_tombstones(tombstones)?;
        Ok(())
    }

    /// Makes sure that what was flushed is in parts only: a log segment replayed by a later
    /// opening would count as written after the delete.
    fn nothing_left_of_the_past(&self, upkeep: &Upkeep) -> Result<(), MaintainError> {
        if !lock(&self.view).frozen.is_empty() {
            return Err(cannot("flush memory before a delete")(
                io::ErrorKind::WouldBlock.into(),
            ));
        }
        let floor = upkeep.manifest.contents.wal_floor;
        let files = self.disk.list().map_err(cannot("list the directory"))?;
        let obsolete = |name: &str| wal::number(name).is_some_and(|segment| segment < floor);
        for (name, _) in files.iter().filter(|(name, _)| obsolete(name)) {
            self.disk
                .remove(name)
                .map_err(cannot("remove an old log segment before a delete"))?;
        }
        self.disk
            .sync_dir()
            .map_err(cannot("sync the directory before a delete"))
    }

    /// Makes these the tombstones in force, on disk first.
    fn put_tombstones(&self, tombstones: Tombstones) -> Result<(), MaintainError> {
        tombstones
            .write(&*self.disk)
            .map_err(cannot("write the tombstones"))?;
        let mut view = lock(&self.view);
        *view = Arc::new(View {
            tombstones: Arc::new(tombstones),
            ..View::clone(&view)
        });
        drop(view);
        lock(&self.changes).note(i64::MIN);
        Ok(())
    }

    /// Rewrites at most `most` parts without what is deleted, and drops the tombstones that have
    /// nothing more to hide; how many parts were rewritten.
    pub(crate) fn clean_tombstones(&self, most: u64) -> Result<u64, MaintainError> {
        if lock(&self.view).tombstones.0.is_empty() {
            return Ok(0);
        }
        let _one_at_a_time = lock(&self.merging);
        let mut rewritten = 0;
        loop {
            let view = Arc::clone(&lock(&self.view));
            let damaged = lock(&self.upkeep).damaged.clone();
            let mut at_work = Vec::new();
            let mut dirty = None;
            for part in view.parts.iter().chain(&view.rollups) {
                let veil = view.tombstones.over(&part.footer);
                if damaged.contains(&part.footer.sequence) {
                    at_work.extend(veil.0);
                    continue;
                }
                match veil.at_work(part) {
                    Ok(of_part) => {
                        if !of_part.is_empty() {
                            dirty.get_or_insert(part);
                        }
                        at_work.extend(of_part);
                    }
                    Err(error @ PartError::Io(_)) => {
                        return Err(self.part_failed("a part to clean", error));
                    }
                    // As a merge has it: nothing of a damaged part is dropped.
                    Err(error @ PartError::Corrupt(_)) => {
                        drop(self.part_failed("a part to clean", error));
                        lock(&self.upkeep).damaged.push(part.footer.sequence);
                        at_work.extend(veil.0);
                    }
                }
            }
            match dirty {
                Some(part) if rewritten < most => {
                    if part.footer.is_rollup() {
                        self.clean_rollup(part)?;
                    } else {
                        self.merge(std::slice::from_ref(part), part.footer.level, Pace::Limited)?;
                    }
                    count(&self.counters.parts_cleaned, 1);
                    rewritten += 1;
                }
                Some(_) => return Ok(rewritten),
                None => {
                    self.drop_tombstones(&view.tombstones, &at_work)?;
                    return Ok(rewritten);
                }
            }
        }
    }

    /// Drops the tombstones of `known` that are not among `at_work`. Parts removed before have to
    /// be gone for good first: one that came back would bring its deleted samples with it.
    fn drop_tombstones(
        &self,
        known: &Tombstones,
        at_work: &[Arc<Tombstone>],
    ) -> Result<(), MaintainError> {
        let upkeep = lock(&self.upkeep);
        let now = Arc::clone(&lock(&self.view).tombstones);
        let among = |list: &[Arc<Tombstone>], t: &Arc<Tombstone>| {
            list.iter().any(|other| Arc::ptr_eq(t, other))
        };
        let stays = |t: &&Arc<Tombstone>| !among(&known.0, t) || among(at_work, t);
        let kept = Tombstones(now.0.iter().filter(stays).cloned().collect());
        if kept.0.len() == now.0.len() {
            return Ok(());
        }
        let files = self.disk.list().map_err(cannot("list the directory"))?;
        let live = &upkeep.manifest.contents.parts;
        let dead = |name: &str| part::number(name).is_some_and(|n| !live.contains(&n));
        for (name, _) in files.iter().filter(|(name, _)| dead(name)) {
            self.disk
                .remove(name)
                .map_err(cannot("remove a part that was cleaned"))?;
        }
        self.disk
            .sync_dir()
            .map_err(cannot("sync the directory after a delete"))?;
        self.put_tombstones(kept)
    }
}
