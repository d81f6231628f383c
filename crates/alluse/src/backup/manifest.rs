//! `BACKUP.json`: what a backup holds, and the sums to verify it by.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{cannot, create, hex};
use crate::Failure;

/// File name.
const NAME: &str = "BACKUP.json";
/// File with the sum of that file.
const SUM_NAME: &str = "BACKUP.json.sha256";
/// Version of the layout.
const FORMAT: u64 = 1;

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Relative to the backup's folder; at most one folder deep.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Lower-case hexadecimal.
    pub(super) sha256: String,
}

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Samples and series a reader gets.
    pub(super) samples: u64,
    pub(super) series: u64,
    pub(super) times_ms: Option<(i64, i64)>,
    pub(super) files: Vec<FileEntry>,
}

impl Manifest {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn to_json(&self) -> String {
        let file = |f: &FileEntry| json!({"name": f.name, "bytes": f.bytes, "sha256": f.sha256});
        let value = json!({
            "format": FORMAT,
            "program": concat!("alluse ", env!("CARGO_PKG_VERSION")),
            "samples": self.samples,
            "series": self.series,
            "from_ms": self.times_ms.map(|t| t.0),
            "to_ms": self.times_ms.map(|t| t.1),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
        });
        format!("{value:#}\n")
    }

    /// Writes both files, on disk when it returns but for their names.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        use std::io::Write as _;
        let text = self.to_json();
        let sum = format!("{}  {NAME}\n", hex(&Sha256::digest(&text)));
        for (name, text) in [(NAME, text), (SUM_NAME, sum)] {
            let mut file = create(&folder.join(name))?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(cannot(format!("write {name}")))?;
        }
        Ok(())
    }

    /// Reads and verifies both files.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let load = |name: &str| {
            fs::read_to_string(folder.join(name))
                .map_err(cannot(format!("read {}", folder.join(name).display())))
        };
        let (text, sum) = (load(NAME)?, load(SUM_NAME)?);
        if sum != format!("{}  {NAME}\n", hex(&Sha256::digest(&text))) {
            let message = format!("alluse: {NAME} is not what {SUM_NAME} says: it is damaged");
            return Err(Failure::new(message));
        }
        Self::parse(&text).ok_or_else(|| {
            Failure::new(format!(
                "alluse: {NAME} is not a backup's manifest, or of another version than {FORMAT}"
            ))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        (value["format"].as_u64() == Some(FORMAT)).then_some(())?;
        let mut manifest = Self {
            samples: value["samples"].as_u64()?,
            series: value["series"].as_u64()?,
            times_ms: value["from_ms"].as_i64().zip(value["to_ms"].as_i64()),
            files: Vec::new(),
        };
        for file in value["files"].as_array()? {
            let name = file["name"].as_str()?.to_owned();
            is_inside(&name).then_some(())?;
            manifest.files.push(FileEntry {
                name,
                bytes: file["bytes"].as_u64()?,
                sha256: file["sha256"].as_str()?.to_owned(),
            });
        }
        Some(manifest)
    }
}

/// Whether a name stays inside the backup: a file, or a file of the store.
pub(super) fn is_inside(name: &str) -> bool {
    let name = name.strip_prefix("store/").unwrap_or(name);
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_every_change_of_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            samples: 3,
            series: 1,
            times_ms: Some((-5, 7)),
            files: vec![FileEntry {
                name: "store/MANIFEST".into(),
                bytes: 9,
                sha256: "ab".into(),
            }],
        };
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
        for name in [NAME, SUM_NAME] {
            let path = dir.path().join(name);
            let good = fs::read(&path).unwrap();
            for at in 0..good.len() {
                for bit in 0..8 {
                    let mut bad = good.clone();
                    bad[at] ^= 1 << bit;
                    fs::write(&path, &bad).unwrap();
                    assert!(Manifest::read(dir.path()).is_err(), "{name} {at} {bit}");
                }
                fs::write(&path, &good[..at]).unwrap();
                assert!(Manifest::read(dir.path()).is_err(), "{name} cut at {at}");
            }
            fs::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn names_that_lead_out_of_the_backup_are_refused() {
        assert!(is_inside("store/MANIFEST") && is_inside("journal.sqlite"));
        for name in [
            "",
            "..",
            "store/..",
            "../x",
            "/etc/passwd",
            "store/a/b",
            "store/",
        ] {
            assert!(!is_inside(name), "{name}");
        }
    }
}
