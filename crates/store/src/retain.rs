//! What to forget: parts older than the retention, and the oldest beyond the byte limit.

use std::sync::Arc;

use crate::{
    compact::MaintainError,
    manifest::Edit,
    part::reader::Part,
    store::{Core, lock},
};

/// Parts to drop, given in any order: all of their samples are before `horizon_ms`, or they are
/// the oldest of more than `bytes_max` (0: no limit).
fn forgotten(parts: &[Arc<Part>], horizon_ms: i64, bytes_max: u64) -> Vec<u64> {
    let mut by_age: Vec<&Arc<Part>> = parts.iter().collect();
    by_age.sort_by_key(|p| (p.footer.day, p.footer.rank));
    let mut bytes: u64 = parts.iter().map(|p| p.bytes()).sum();
    let mut gone = Vec::new();
    for part in by_age {
        let too_many = bytes_max > 0 && bytes > bytes_max;
        if part.footer.to_ms < horizon_ms || too_many {
            gone.push(part.footer.sequence);
            bytes -= part.bytes();
        }
    }
    gone
}

impl Core {
    /// Drops what the retention says; how many parts.
    pub(crate) fn forget(&self) -> Result<usize, MaintainError> {
        let mut upkeep = lock(&self.upkeep);
        let view = Arc::clone(&lock(&self.view));
        let horizon = *self.time_bounds().start();
        let gone = forgotten(&view.parts, horizon, self.config.retention_bytes);
        if gone.is_empty() {
            return Ok(0);
        }
        let edit = Edit {
            removed: gone.clone(),
            ..Edit::default()
        };
        upkeep
            .manifest
            .commit(&*self.disk, edit)
            .map_err(|source| MaintainError::Io {
                operation: "commit the retention".into(),
                source,
            })?;
        self.install(Vec::new(), &gone, None);
        self.remove_parts(&gone);
        Ok(gone.len())
    }
}
