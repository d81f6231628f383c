//! The notifier's state on disk: one file, written beside and moved into place, so that there is
//! always a whole one. The first line holds the SHA-256 of the JSON below it.
//!
//! One that does not check is set aside, loudly: without it, firing alerts are told anew and
//! silences are lost, which a person must know.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use notify::Snapshot;
use sha2::{Digest, Sha256};

/// Begins the first line; the number is the format's version.
const MAGIC: &str = "alluse-notify 1";

/// Where the state is kept.
#[derive(Debug, Clone)]
pub(crate) struct StateFile(PathBuf);

/// What was found at the start.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: the first start.
    Nothing,
    /// The state.
    State(Box<Snapshot>),
    /// One that does not check; it was moved to this path.
    Damaged(PathBuf),
}

impl StateFile {
    /// In the data folder.
    pub(crate) fn in_folder(data: &Path) -> Self {
        Self(data.join("notify.state"))
    }

    /// Reads it.
    pub(crate) fn read(&self) -> io::Result<Found> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(error),
        };
        if let Some(snapshot) = checked(&text) {
            return Ok(Found::State(Box::new(snapshot)));
        }
        let aside = self.0.with_extension("state.damaged");
        fs::rename(&self.0, &aside)?;
        Ok(Found::Damaged(aside))
    }

    /// Writes it; on the disk when this returns.
    pub(crate) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let json = serde_json::to_string(snapshot).map_err(io::Error::other)?;
        let beside = self.0.with_extension("state.new");
        let mut file = File::create(&beside)?;
        file.write_all(format!("{MAGIC} {}\n{json}\n", sum(&json)).as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.0)?;
        let folder = self
            .0
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn checked(text: &str) -> Option<Snapshot> {
    let (head, json) = text.split_once('\n')?;
    let json = json.strip_suffix('\n')?;
    let said = head.strip_prefix(MAGIC)?.trim();
    (said == sum(json)).then(|| serde_json::from_str(json).ok())?
}

fn sum(json: &str) -> String {
    let hash = Sha256::digest(json.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::Notifier;

    #[test]
    fn what_was_written_is_read_and_what_does_not_check_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::in_folder(folder.path());
        assert!(matches!(file.read().unwrap(), Found::Nothing));
        let plan = crate::config::Config::default().notify.plan;
        file.write(&Notifier::new(plan).snapshot(5)).unwrap();
        assert!(matches!(file.read().unwrap(), Found::State(_)));
        let path = folder.path().join("notify.state");
        let damaged = fs::read_to_string(&path).unwrap().replace(":5", ":6");
        fs::write(&path, damaged).unwrap();
        let Found::Damaged(aside) = file.read().unwrap() else {
            panic!("a damaged state was taken");
        };
        assert!(aside.exists() && !path.exists());
        assert!(matches!(file.read().unwrap(), Found::Nothing));
    }
}
