//! A disk without space, or without inodes, under acknowledged writes: writers get 503 with
//! Retry-After, reads go on, the journal still writes, and when there is room again the server
//! heals by itself. Nothing acknowledged is lost by it, nor by a kill afterwards.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use e2e::{
    pushed::{Order, Sent, Stream},
    server::Server,
    wait,
};
use serde_json::json;
use testkit::report;

const FAULT: &str = "disk full, then freed";

/// Times the red button is pressed and released on a full disk: megabytes of journal.
const PRESSES: usize = 100;

/// Small parts, so that files are made all the time.
const CONFIG: &str = "[collect]\nhost = \"off\"\n[store]\nflush_bytes = 65536\n";

/// How a file system is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Small {
    /// In memory, so many bytes.
    Memory,
    /// ext4 in a file, where the lack of space may show as late as at a sync.
    Ext4,
    /// In memory, few files.
    Inodes,
}

/// A mounted file system, gone at the end.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a program that is being killed may still hold it.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", said.trim()))
}

fn mounted(small: Small, folder: &Path) -> Result<Mounted, String> {
    let at = folder.join("disk");
    fs::create_dir_all(&at).map_err(|e| e.to_string())?;
    let tmpfs = |options: &str| {
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at))
    };
    match small {
        Small::Memory => tmpfs("size=48m")?,
        Small::Inodes => tmpfs("size=200m,nr_inodes=60")?,
        Small::Ext4 => {
            let image = folder.join("image");
            let file = File::create(&image).map_err(|e| e.to_string())?;
            file.set_len(64 << 20).map_err(|e| e.to_string())?;
            run(Command::new("mkfs.ext4")
                .args(["-q", "-F", "-m", "0"])
                .arg(&image))?;
            run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&at))?;
        }
    }
    Ok(Mounted(at))
}

/// Takes all the room there is; what to remove to free it.
fn fill(small: Small, disk: &Mounted) -> Vec<PathBuf> {
    if small == Small::Inodes {
        let names = (0..).map(|n| disk.0.join(format!("filler{n}")));
        return names
            .map_while(|path| File::create(&path).map(|_| path).ok())
            .collect();
    }
    let path = disk.0.join("filler");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 20, 1 << 12] {
        while file.write_all(&vec![0x55_u8; size]).is_ok() {}
    }
    // Where room is promised late, it is taken now.
    drop(file.sync_all());
    vec![path]
}

/// Writes until the server refuses.
async fn written(server: &Server, name: String, order: Order) -> Sent {
    let acks = AtomicU64::new(0);
    Stream::new(name, order, None)
        .send(server.http.url.clone(), &acks)
        .await
}

async fn kept(server: &Server, sent: &[Sent]) {
    for stream in sent {
        let judged = stream.judge(server, stream.acked.len() as u64).await;
        judged.unwrap_or_else(|wrong| panic!("{wrong}\n{}", server.program.log()));
    }
}

/// The journal takes more than it had room for: the store gave its ballast back.
async fn journalled(server: &Server, small: Small) {
    let by = json!({"by": "somebody"});
    for n in 0..=2 * PRESSES {
        let method = ["POST", "DELETE"][n % 2];
        let path = "/api/v1/loop/red-button";
        let done = server.http.json(method, path, &by).await;
        assert!(done.status < 300, "{small:?}: the journal: {}", done.text);
    }
    let errors = server.own("alluse_journal_errors_total").await;
    // While the store tries whether the ballast fits again there is no room for a moment; the
    // record of such a turn is made good by a snapshot.
    let most = PRESSES as f64;
    assert!(
        errors <= most,
        "{small:?}: {errors}: {}",
        server.program.log()
    );
}

async fn story(small: Small) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let disk = mounted(small, folder.path())?;
    let data = disk.0.join("data");
    let server = Server::start_on(folder.path(), &data, CONFIG).await;
    server.ready().await;

    // Full while two writers are at it: each is refused in the end.
    let begun = Arc::new(AtomicU64::new(0));
    let early: Vec<_> = [Order::Rising, Order::Storm]
        .into_iter()
        .map(|order| {
            let (url, begun) = (server.http.url.clone(), Arc::clone(&begun));
            let stream = Stream::new(format!("early_{order:?}"), order, None);
            tokio::spawn(async move { stream.send(url, &begun).await })
        })
        .collect();
    wait::until("some writes", async || {
        (begun.load(Relaxed) > 40).then_some(())
    })
    .await;
    let filler = fill(small, &disk);
    let mut sent = Vec::new();
    for writer in early {
        let stream = writer.await.expect("a writer ends when it is refused");
        assert_eq!(stream.ended, "status 503", "{small:?}");
        sent.push(stream);
    }

    // What a sender is told; and what goes on.
    let probe = Stream::new("probe", Order::Rising, None);
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
    ];
    let reply = server
        .http
        .bytes("/api/v1/write", &headers, probe.body(0))
        .await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(reply.retry_after_s.is_some_and(|s| s > 0), "no Retry-After");
    kept(&server, &sent).await;
    wait::until("the server to say that it stores nothing", async || {
        (server.http.get("/-/ready").await.status == 503).then_some(())
    })
    .await;
    journalled(&server, small).await;
    assert_eq!(server.http.get("/-/healthy").await.status, 200);

    // Room again: it heals, and writes are taken.
    for path in filler {
        fs::remove_file(path).map_err(|e| e.to_string())?;
    }
    wait::until("the server to heal", async || {
        (server.http.get("/-/ready").await.status == 200).then_some(())
    })
    .await;
    let later = tokio::time::timeout(
        std::time::Duration::from_secs(2),
        written(&server, "later".to_owned(), Order::Rising),
    );
    // It is not refused: the time runs out.
    assert!(later.await.is_err(), "refused again");
    kept(&server, &sent).await;
    server.program.kill().await;

    let again = Server::start_on(folder.path(), &data, CONFIG).await;
    again.ready().await;
    kept(&again, &sent).await;
    assert!(
        again
            .number("max(max_over_time(later[1d]))")
            .await
            .is_some_and(|n| n > 10.0)
    );
    wait::until("the button, which the journal remembers", async || {
        again.look("status").await["red_button"]
            .is_string()
            .then_some(())
    })
    .await;
    again.program.kill().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writers_loses_nothing_and_heals() {
    let trial = tempfile::tempdir().unwrap();
    if let Err(why) = mounted(Small::Ext4, trial.path()).map(drop) {
        println!("not run: {why}");
        report::not_run(FAULT, &why);
        return;
    }
    let _place = wait::place().await;
    for small in [Small::Memory, Small::Ext4, Small::Inodes] {
        story(small).await.unwrap();
        println!("{small:?}: healed");
    }
    let figures = "503 with Retry-After, reads and the journal go on, healed, 0 samples lost";
    report::ran(FAULT, 3, figures);
}
