//! The power goes under acknowledged writes: the server stands still, its file system's image is
//! copied as the disk has it, and a server on the copy is compared with the acknowledgements.
//! What the kernel had not written yet is lost, as in a real cut.
//!
//! The promise judged is `flush_window`: a second at most by default, nothing at `sync`. The
//! disk's own time is not ours: the longest sync another file on the same disk took meanwhile,
//! and the longest time this process was not scheduled, are measured and added.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use e2e::{
    pushed::{Order, Sent, Stream, now},
    server::Server,
    wait,
};
use rustix::process::Signal;
use testkit::report;

const FAULT: &str = "power cut, ext4 image copied while the server stands";

/// What the default promises.
const WINDOW: Duration = Duration::from_secs(1);

/// Real time under load before a cut: several windows, several flushes, and more than the five
/// seconds after which ext4 commits by itself.
const LOADED: Duration = Duration::from_secs(8);

/// A file system in a file, mounted.
#[derive(Debug)]
struct Mounted {
    at: PathBuf,
}

/// Runs a command; what it said if it failed.
fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Err(error) => Err(format!("{command:?}: {error}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}: {}", output.status, said.trim()))
        }
        Ok(_) => Ok(()),
    }
}

impl Mounted {
    /// Makes an image with an empty ext4 file system.
    fn make(image: &Path) -> Result<(), String> {
        let file = fs::File::create(image).map_err(|e| e.to_string())?;
        file.set_len(256 << 20).map_err(|e| e.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))
    }

    fn mount(image: &Path, at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop"])
            .args([image, at]))?;
        Ok(Self { at: at.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a program that is being killed may still hold it.
        drop(Command::new("umount").arg("-l").arg(&self.at).status());
    }
}

/// The longest time that the disk took for a sync, and that this process was kept waiting.
#[derive(Debug, Default)]
struct Stalls {
    micros: AtomicU64,
    ended: AtomicBool,
}

impl Stalls {
    /// Measures until it is told to end.
    fn measure(self: &Arc<Self>, folder: &Path) -> tokio::task::JoinHandle<()> {
        let (stalls, path) = (Arc::clone(self), folder.join("probe"));
        tokio::task::spawn_blocking(move || {
            let mut file = fs::File::create(path).expect("the folder can be written");
            while !stalls.ended.load(Relaxed) {
                let begun = now();
                file.write_all(&[0x55; 512])
                    .expect("the probe can be written");
                file.sync_data().expect("the probe can be synced");
                let micros = begun.elapsed().as_micros();
                let micros = u64::try_from(micros).expect("not for ever");
                stalls.micros.fetch_max(micros, Relaxed);
                pause();
            }
        })
    }

    fn longest(&self) -> Duration {
        self.ended.store(true, Relaxed);
        Duration::from_micros(self.micros.load(Relaxed))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two probes of a real disk"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(200));
}

/// Every thread of a process is in state T.
fn stands(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    tasks.flatten().all(|task| {
        fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    })
}

/// What a cut left: what each stream was acknowledged, when the cut came, and the image.
struct Cut {
    sent: Vec<Sent>,
    at: Instant,
    stall: Duration,
    image: PathBuf,
}

fn streams(sync: bool, cycle: u32) -> Vec<Stream> {
    let plain = (!sync).then_some("fast");
    let kinds = [
        ("plain", Order::Rising, plain),
        ("storm", Order::Storm, None),
        ("over", Order::Overwriting, None),
        ("sync", Order::Rising, Some("sync")),
    ];
    let stream =
        |(name, order, durability)| Stream::new(format!("cut_{name}_{cycle}"), order, durability);
    kinds.map(stream).into()
}

/// In the third cycle memory is flushed all the time; in the others the log alone must hold.
fn config(sync: bool, cycle: u32) -> String {
    let flush_bytes = if cycle == 2 { 1 << 16 } else { 64 << 20 };
    let durability = if sync { "sync" } else { "fast" };
    format!(
        "[collect]\nhost = \"off\"\n[store]\nflush_bytes = {flush_bytes}\ndurability = \"{durability}\"\n"
    )
}

/// Writes, stands still, and copies what the disk has.
async fn cut(folder: &Path, sync: bool, cycle: u32) -> Result<Cut, String> {
    let image = folder.join("image");
    Mounted::make(&image)?;
    let mounted = Mounted::mount(&image, &folder.join("disk"))?;
    let data = mounted.at.join("data");
    let server = Server::start_on(folder, &data, &config(sync, cycle)).await;
    server.ready().await;
    let stalls = Arc::new(Stalls::default());
    let probing = stalls.measure(folder);
    let acks = Arc::new(AtomicU64::new(0));
    let writing: Vec<_> = streams(sync, cycle)
        .into_iter()
        .map(|stream| {
            let (url, acks) = (server.http.url.clone(), Arc::clone(&acks));
            tokio::spawn(async move { stream.send(url, &acks).await })
        })
        .collect();
    tokio::time::sleep(LOADED + Duration::from_millis(u64::from(cycle) * 137)).await;

    let at = now();
    server.program.signal(Signal::STOP);
    let pid = server.program.pid();
    wait::until("every thread to stand", async || stands(pid).then_some(())).await;
    let copied = folder.join("copy");
    run(Command::new("cp")
        .arg("--sparse=always")
        .args([&image, &copied]))?;
    let stall = stalls.longest();
    server.program.kill().await;
    probing.await.expect("the probe ends");
    let mut sent = Vec::new();
    for stream in writing {
        sent.push(stream.await.expect("a stream ends when the server does"));
    }
    Ok(Cut {
        sent,
        at,
        stall,
        image: copied,
    })
}

/// Whether the copy is a sound file system once its journal is replayed; a copy that is not is
/// an artefact of copying.
fn is_sound(image: &Path, at: &Path) -> Result<bool, String> {
    let mounted = Mounted::mount(image, at)?;
    run(Command::new("umount").arg(&mounted.at))?;
    std::mem::forget(mounted);
    Ok(run(Command::new("e2fsck").arg("-fn").arg(image)).is_ok())
}

/// How long before the cut the oldest lost acknowledgement was.
async fn judge(folder: &Path, cut: &Cut, sync: bool, cycle: u32) -> Result<Duration, String> {
    let mounted = Mounted::mount(&cut.image, &folder.join("disk_after"))?;
    let server = Server::start_on(folder, &mounted.at.join("data"), &config(sync, cycle)).await;
    server.ready().await;
    let mut worst = Duration::ZERO;
    for stream in &cut.sent {
        let acked = stream.acked.len() as u64;
        assert!(
            acked > 50,
            "too few to mean anything: {acked}, {}",
            stream.ended
        );
        let synced = sync || stream.stream.durability == Some("sync");
        let kept = stream.judge(&server, if synced { acked } else { 0 }).await;
        let kept = kept.unwrap_or_else(|wrong| panic!("{wrong}\n{}", server.program.log()));
        worst = worst.max(stream.lost_before(cut.at, kept));
    }
    server.program.kill().await;
    Ok(worst)
}

/// One cut; the longest window lost and what the disk's stalls allow.
async fn cycle(sync: bool, cycle: u32) -> Result<(Duration, Duration), String> {
    for _ in 0..3 {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let cut = cut(folder.path(), sync, cycle).await?;
        if !is_sound(&cut.image, &folder.path().join("disk_checked"))? {
            println!("cut {cycle}: the copied image is not sound and is made anew");
            continue;
        }
        let lost = judge(folder.path(), &cut, sync, cycle).await?;
        return Ok((lost, cut.stall));
    }
    Err("no copied image is sound".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_a_second_at_most_and_nothing_at_sync() {
    let probe = tempfile::tempdir().unwrap();
    let image = probe.path().join("image");
    let can =
        Mounted::make(&image).and_then(|()| Mounted::mount(&image, &probe.path().join("disk")));
    if let Err(why) = can.map(drop) {
        println!("not run: {why}");
        report::not_run(FAULT, &why);
        return;
    }
    let _place = wait::place().await;
    let mut figures = Vec::new();
    for (number, sync) in [false, true, false, true, false].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let (lost, stall) = cycle(sync, number).await.unwrap();
        println!("cut {number}, sync {sync}: {lost:?} lost; the disk stalled {stall:?}");
        figures.push(format!("{} ms", lost.as_millis()));
        let allowed = if sync { Duration::ZERO } else { WINDOW + stall };
        assert!(
            lost <= allowed,
            "{lost:?} of acknowledged samples lost; {allowed:?} allowed"
        );
    }
    report::ran(
        FAULT,
        5,
        &format!("lost before the cut: {}", figures.join(", ")),
    );
}
