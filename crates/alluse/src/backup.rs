//! `alluse backup` and `alluse restore`: a second copy of all that a server keeps, with a manifest
//! that lets anybody verify it.
//!
//! A backup is a folder: `store/`, a store as it was at one moment, `journal.sqlite`, and
//! `BACKUP.json`, which names every file with its size and SHA-256 and what the store holds;
//! `BACKUP.json.sha256` has the sum of that, as `sha256sum -c` reads it. The folder is made under
//! another name and renamed when everything in it is on disk. See `docs/formats/backup.md`.

mod manifest;
mod remote;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use manifest::{FileEntry, Manifest};
use model::{MatchOp, Matcher, Selection, SeriesReader as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{Disk as _, ReadOnlyDisk};

use crate::{
    Failure,
    lifecycle::SystemClock,
    store_cli::{bytes_bar, checked, print, store_folder},
};

/// Name of the journal in a data folder and in a backup.
const JOURNAL: &str = "journal.sqlite";
/// Folder of the store in a data folder and in a backup.
const STORE: &str = "store";
/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,
    /// The data folder; its server may be running.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "alluse-data",
        conflicts_with = "url"
    )]
    pub(crate) data: PathBuf,
    /// A server to take the backup from over HTTP; it needs `server.admin_api = true`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The backup's folder; must not exist.
    #[arg(required = true)]
    pub(crate) to: Option<PathBuf>,
    /// Print what the backup holds as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Recompute every checksum, restore into a temporary folder, check and read it there.
    Verify {
        /// The backup.
        from: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    pub(crate) from: PathBuf,
    /// The data folder to make; must not exist, or be empty.
    pub(crate) dir: PathBuf,
}

/// A failure with what was tried.
fn cannot(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let operation = operation.into();
    move |error| Failure::new(format!("alluse: cannot {operation}: {error}"))
}

/// `alluse backup`.
pub(crate) fn run(args: &BackupArgs, quiet: bool) -> Result<(), Failure> {
    match (&args.command, &args.to) {
        (Some(BackupCommand::Verify { from, json }), _) => verify(from, *json, quiet),
        (None, Some(to)) => back_up(args, to, quiet),
        (None, None) => Err(Failure::usage("alluse: where should the backup go?")),
    }
}

fn back_up(args: &BackupArgs, to: &Path, quiet: bool) -> Result<(), Failure> {
    if to.exists() {
        let message = format!("alluse: {} exists: a backup is a new folder", to.display());
        return Err(Failure::usage(message));
    }
    let unfinished = beside(to);
    fs::create_dir_all(unfinished.join(STORE)).map_err(cannot("make the backup's folder"))?;
    let filled = match &args.url {
        Some(url) => remote::fetch(url, &unfinished, quiet),
        None => copy_folder(&args.data, &unfinished, quiet),
    };
    let manifest = filled.and_then(|()| seal(&unfinished, quiet));
    let manifest = manifest.inspect_err(|_| drop(fs::remove_dir_all(&unfinished)))?;
    rename(&unfinished, to)?;
    let text = if args.json {
        manifest.to_json()
    } else {
        format!(
            "{}: {} files, {} bytes, {} samples of {} series",
            to.display(),
            manifest.files.len(),
            manifest.bytes(),
            manifest.samples,
            manifest.series
        )
    };
    print(&text)
}

/// The name a folder has until it is complete.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    folder.with_file_name(name)
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    sync_dir(from)?;
    fs::rename(from, to).map_err(cannot(format!("give {} its name", to.display())))?;
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

fn sync_dir(dir: &Path) -> Result<(), Failure> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(cannot(format!("sync {}", dir.display())))
}

/// Copies a data folder as it is at one moment. Nothing is locked: see [`ReadOnlyDisk`].
fn copy_folder(data: &Path, to: &Path, quiet: bool) -> Result<(), Failure> {
    let folder = store_folder(data)?;
    let disk = ReadOnlyDisk::open(&folder).map_err(|e| Failure::of(&e))?;
    let files = disk.list().map_err(|e| Failure::of(&e))?;
    let bar = bytes_bar("copying", quiet);
    bar.set_length(files.iter().map(|(_, bytes)| bytes).sum());
    for (name, bytes) in files {
        if ["LOCK", "BALLAST"].contains(&name.as_str()) || name.ends_with(".tmp") {
            continue;
        }
        let file = disk.open(&name).map_err(|e| Failure::of(&e))?;
        let mut out = create(&to.join(STORE).join(&name))?;
        let mut at = 0;
        while at < bytes {
            let mut buffer = vec![0; (bytes - at).min(BUFFER_BYTES as u64) as usize];
            file.read_at(at, &mut buffer)
                .and_then(|()| out.write_all(&buffer))
                .map_err(cannot(format!("copy {name}")))?;
            at += buffer.len() as u64;
            bar.inc(buffer.len() as u64);
        }
    }
    bar.finish_and_clear();
    let journal = data.join(JOURNAL);
    if journal.is_file() {
        journal::Journal::back_up(&journal, to.join(JOURNAL)).map_err(|e| Failure::of(&e))?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<fs::File, Failure> {
    let file = fs::File::options().write(true).create_new(true).open(path);
    file.map_err(cannot(format!("create {}", path.display())))
}

/// Says in the manifest what the folder holds; everything is on disk when it returns.
fn seal(folder: &Path, quiet: bool) -> Result<Manifest, Failure> {
    let disk = ReadOnlyDisk::open(&folder.join(STORE)).map_err(|e| Failure::of(&e))?;
    let survey = store::survey(&disk, &mut |_, _| {}).map_err(|e| Failure::of(&e))?;
    let (samples, series) = readable(&folder.join(STORE))?;
    let mut manifest = Manifest {
        samples,
        series,
        times_ms: survey.times_ms,
        files: Vec::new(),
    };
    let names = file_names(folder)?;
    let bar = bytes_bar("summing", quiet);
    for name in names {
        let path = folder.join(&name);
        let file = fs::File::open(&path).map_err(cannot(format!("read {name}")))?;
        file.sync_all().map_err(cannot(format!("sync {name}")))?;
        let (bytes, sha256) = sum(file, &mut io::sink()).map_err(cannot(format!("read {name}")))?;
        bar.inc(bytes);
        manifest.files.push(FileEntry {
            name,
            bytes,
            sha256,
        });
    }
    bar.finish_and_clear();
    sync_dir(&folder.join(STORE))?;
    manifest.write(folder)?;
    Ok(manifest)
}

/// Files of a backup, relative to its folder, in order.
fn file_names(folder: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (dir, prefix) in [(folder.to_owned(), ""), (folder.join(STORE), "store/")] {
        let entries = fs::read_dir(&dir).map_err(cannot(format!("list {}", dir.display())))?;
        for entry in entries {
            let entry = entry.map_err(cannot("list a folder"))?;
            if entry.path().is_file() {
                names.push(format!("{prefix}{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    names.retain(|name| !name.starts_with("BACKUP.json"));
    names.sort();
    Ok(names)
}

/// Copies a file, and sums it up on the way: bytes and SHA-256.
fn sum(mut file: impl io::Read, to: &mut impl io::Write) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        hash.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        bytes += n as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Samples and series a reader gets of a store.
fn readable(folder: &Path) -> Result<(u64, u64), Failure> {
    let clock = Arc::new(SystemClock::new());
    let store = store::Store::open_read_only(folder, clock).map_err(|e| Failure::of(&e))?;
    let all = Selection {
        matchers: vec![Matcher::new("__name__", MatchOp::NotEqual, "").expect("no expression")],
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };
    let (mut samples, mut series) = (0, 0);
    for found in store.select(&all).map_err(|e| Failure::of(&e))? {
        let found = found.map_err(|e| Failure::of(&e))?;
        samples += found.times_ms.len() as u64;
        series += 1;
    }
    Ok((samples, series))
}

/// `alluse restore`.
pub(crate) fn restore(args: &RestoreArgs, quiet: bool) -> Result<(), Failure> {
    let taken = fs::read_dir(&args.dir).is_ok_and(|mut entries| entries.next().is_some());
    if taken || args.dir.is_file() {
        let message = format!("alluse: {} is not empty", args.dir.display());
        return Err(Failure::usage(message));
    }
    let manifest = restore_into(&args.from, &args.dir, quiet)?;
    print(&format!(
        "{}: {} files, {} samples of {} series restored",
        args.dir.display(),
        manifest.files.len(),
        manifest.samples,
        manifest.series
    ))
}

/// Copies a backup to a data folder, every byte verified on the way; all of it or nothing.
fn restore_into(from: &Path, dir: &Path, quiet: bool) -> Result<Manifest, Failure> {
    let manifest = Manifest::read(from)?;
    let unfinished = beside(dir);
    fs::create_dir_all(unfinished.join(STORE)).map_err(cannot("make the folder"))?;
    let bar = bytes_bar("restoring", quiet);
    bar.set_length(manifest.bytes());
    let copied = manifest.files.iter().try_for_each(|entry| {
        bar.inc(entry.bytes);
        copy_verified(from, entry, &unfinished)
    });
    bar.finish_and_clear();
    copied
        .and_then(|()| sync_dir(&unfinished.join(STORE)))
        .inspect_err(|_| drop(fs::remove_dir_all(&unfinished)))?;
    // An empty folder may stand in the way.
    drop(fs::remove_dir(dir));
    rename(&unfinished, dir)?;
    Ok(manifest)
}

fn copy_verified(from: &Path, entry: &FileEntry, to: &Path) -> Result<(), Failure> {
    let name = &entry.name;
    let file = fs::File::open(from.join(name)).map_err(cannot(format!("read {name}")))?;
    let mut out = create(&to.join(name))?;
    let (bytes, sha256) = sum(file, &mut out).map_err(cannot(format!("copy {name}")))?;
    if (bytes, &sha256) != (entry.bytes, &entry.sha256) {
        return Err(Failure::new(format!(
            "alluse: {name} is not what was backed up: {bytes} bytes with SHA-256 {sha256}, the \
             manifest says {} with {}",
            entry.bytes, entry.sha256
        )));
    }
    out.sync_all().map_err(cannot(format!("sync {name}")))
}

/// `alluse backup verify`.
fn verify(from: &Path, as_json: bool, quiet: bool) -> Result<(), Failure> {
    let manifest = Manifest::read(from)?;
    let extra: Vec<String> = file_names(from)?
        .into_iter()
        .filter(|name| !manifest.files.iter().any(|f| f.name == *name))
        .collect();
    if !extra.is_empty() {
        let list = extra.join(", ");
        return Err(Failure::new(format!("alluse: not in the manifest: {list}")));
    }
    let parent = std::env::temp_dir();
    let place = parent.join(format!("alluse-verify-{}", std::process::id()));
    let verified = verify_in(from, &place, quiet);
    drop(fs::remove_dir_all(&place));
    let manifest = verified?;
    if as_json {
        return print(&json!({"sound": true, "samples": manifest.samples, "series": manifest.series, "files": manifest.files.len(), "bytes": manifest.bytes()}).to_string());
    }
    print(&format!(
        "{}: sound; {} files and {} bytes have their checksums, and {} samples of {} series were \
         read from a restored copy",
        from.display(),
        manifest.files.len(),
        manifest.bytes(),
        manifest.samples,
        manifest.series
    ))
}

fn verify_in(from: &Path, place: &Path, quiet: bool) -> Result<Manifest, Failure> {
    let manifest = restore_into(from, place, quiet)?;
    let folder = place.join(STORE);
    let disk = ReadOnlyDisk::open(&folder).map_err(|e| Failure::of(&e))?;
    if let Some(fault) = checked(&disk, quiet)?.faults.first() {
        let message = format!(
            "alluse: {} at byte {}: {}",
            fault.file, fault.at, fault.what
        );
        return Err(Failure::new(message));
    }
    let found = readable(&folder)?;
    if found != (manifest.samples, manifest.series) {
        return Err(Failure::new(format!(
            "alluse: the manifest says {} samples of {} series, the restored store has {} of {}",
            manifest.samples, manifest.series, found.0, found.1
        )));
    }
    let journal = place.join(JOURNAL);
    if journal.is_file() {
        journal::Journal::open(&journal).map_err(|e| Failure::of(&e))?;
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Batch, Clock as _, Durability, Labels, Sample, SampleSink as _};

    /// A backup of a small store with parts and a log, without a journal.
    fn backed_up(place: &Path) -> PathBuf {
        let clock = Arc::new(SystemClock::new());
        let now_ms = clock.wall_ms();
        let data = place.join("data");
        fs::create_dir_all(data.join(STORE)).unwrap();
        let config = store::Config {
            background: false,
            ballast_bytes: 0,
            ..store::Config::default()
        };
        let store = store::Store::open(&data.join(STORE), config, clock).unwrap();
        for i in 0..300 {
            let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
            let sample = Sample::float(labels, now_ms - 1_000 * i, (i as f64).sin());
            let batch = Batch {
                samples: vec![sample],
                ..Batch::default()
            };
            store.append(&batch, Durability::Fast).unwrap();
            if i == 150 {
                store.flush().unwrap();
            }
        }
        let to = place.join("backup");
        fs::create_dir_all(to.join(STORE)).unwrap();
        // The store is open, as under a server.
        copy_folder(&data, &to, true).unwrap();
        let manifest = seal(&to, true).unwrap();
        assert_eq!((manifest.samples, manifest.series), (300, 1));
        to
    }

    #[test]
    fn a_backup_restores_and_every_damage_to_any_file_of_it_is_found() {
        let place = tempfile::tempdir().unwrap();
        let backup = backed_up(place.path());
        let restored = place.path().join("restored");
        let manifest = restore_into(&backup, &restored, true).unwrap();
        assert_eq!(
            readable(&restored.join(STORE)).unwrap(),
            (manifest.samples, manifest.series)
        );
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        let files: Vec<PathBuf> = manifest
            .files
            .iter()
            .map(|f| backup.join(&f.name))
            .collect();
        for _ in 0..300 {
            let file = &files[below(files.len())];
            let good = fs::read(file).unwrap();
            let mut bad = good.clone();
            match below(3) {
                0 => bad[below(good.len())] ^= 1 << below(8),
                1 => bad.truncate(below(good.len())),
                _ => bad.push(0),
            }
            fs::write(file, &bad).unwrap();
            let to = place.path().join("again");
            assert!(
                restore_into(&backup, &to, true).is_err(),
                "{}",
                file.display()
            );
            assert!(
                !to.exists() && !beside(&to).exists(),
                "all of it or nothing"
            );
            fs::write(file, &good).unwrap();
        }
        fs::remove_file(&files[0]).unwrap();
        assert!(restore_into(&backup, &place.path().join("again"), true).is_err());
    }
}
