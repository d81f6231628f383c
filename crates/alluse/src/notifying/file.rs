//! Notifications as lines of JSON in a file that does not grow without bound: at its size it
//! becomes `<name>.1`, and the one before that is dropped.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::ways::SendError;

/// Appends a line, on the disk when this returns.
pub(crate) async fn append(path: PathBuf, bytes_max: u64, line: String) -> Result<(), SendError> {
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || write(&path, bytes_max, &line)).await;
    let written = written
        .map_err(io::Error::other)
        .and_then(|written| written);
    // A line that is half written is told again, whole.
    written.map_err(|error| SendError::unknown(format!("cannot write {shown}: {error}")))
}

fn write(path: &Path, bytes_max: u64, line: &str) -> io::Result<()> {
    let size = fs::metadata(path).map_or(0, |meta| meta.len());
    if size > 0 && size + line.len() as u64 >= bytes_max {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        fs::rename(path, old)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        for n in 0..10 {
            write(&path, 30, &format!("line {n:05}")).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("alerts.jsonl"), "line 00008\nline 00009\n");
        assert_eq!(read("alerts.jsonl.1"), "line 00006\nline 00007\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
