//! The n-th system call of a kind fails under acknowledged writes, injected by strace: nothing
//! acknowledged is lost, nothing panics, and the log says what went wrong.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use e2e::{
    program::Tracer,
    pushed::{Order, Sent, Stream},
    server::Server,
    wait,
};
use testkit::report;

const FAULT: &str = "the n-th system call fails";

const CONFIG: &str = "[collect]\nhost = \"off\"\n[store]\nflush_bytes = 16384\n";

/// What fails, with which error, and the files it is about: all, or the log segment in use.
/// `write` is also how threads wake each other, so it fails for the log alone.
const CALLS: &[(&str, &str, bool)] = &[
    ("fdatasync", "EIO", false),
    ("fsync", "EIO", false),
    ("rename", "EIO", false),
    ("write", "EIO", true),
    ("write", "ENOSPC", true),
    ("unlink", "EACCES", false),
];

/// Which call fails; the last one and all after it.
const WHEN: &[&str] = &["1", "2", "5", "3+"];

/// Acknowledgements after the fault that are enough to see what it leads to.
const AFTERWARDS: u64 = 60;

fn available() -> Result<(), String> {
    let strace = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match strace {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

fn newest_segment(store: &Path) -> String {
    let entries = std::fs::read_dir(store).unwrap().flatten();
    let names = entries.map(|e| e.path().display().to_string());
    let segments = names.filter(|n| n.ends_with(".log") && n.contains("wal-"));
    segments.max().expect("a store has a log")
}

fn inject(server: &Server, call: &(&str, &str, bool), when: &str) -> Vec<String> {
    let (name, error, log_only) = call;
    let mut arguments = vec![
        "-e".to_owned(),
        format!("trace={name}"),
        "-e".to_owned(),
        format!("inject={name}:error={error}:when={when}"),
    ];
    if *log_only {
        arguments.extend(["-P".to_owned(), newest_segment(&server.store())]);
    }
    arguments
}

/// One fault; the streams' fates, and whether the fault happened.
async fn fault(folder: &Path, call: &(&str, &str, bool), when: &str) -> (Vec<Sent>, bool) {
    let server = Server::start(folder, CONFIG).await;
    server.ready().await;
    let acks = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::attach(&server.program, folder, &inject(&server, call, when)).await;
    let name = format!("{}_{}", call.0, call.1);
    let kinds = [
        ("fast", Order::Rising),
        ("sync", Order::Rising),
        ("storm", Order::Storm),
    ];
    let writing: Vec<_> = kinds
        .into_iter()
        .map(|(kind, order)| {
            let durability = (kind == "sync").then_some("sync");
            let stream = Stream::new(format!("{kind}_{name}"), order, durability);
            let (url, acks) = (server.http.url.clone(), Arc::clone(&acks));
            tokio::spawn(async move { stream.send(url, &acks).await })
        })
        .collect();
    // Until the fault happened and its consequences show: the streams end, or go on for a while.
    let mut happened_at = None;
    wait::until("the fault and what comes of it", async || {
        if happened_at.is_none() && tracer.injected() {
            happened_at = Some(acks.load(Relaxed));
        }
        let enough = match happened_at {
            Some(at) => acks.load(Relaxed) >= at + AFTERWARDS,
            // Some calls are not made so often.
            None => acks.load(Relaxed) >= 20 * AFTERWARDS,
        };
        (enough || writing.iter().all(|w| w.is_finished())).then_some(())
    })
    .await;
    server.program.kill().await;
    let injected = tracer.ended().await;
    let mut sent = Vec::new();
    for stream in writing {
        sent.push(stream.await.expect("a stream ends when the server does"));
    }
    (sent, injected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_system_call_loses_nothing_acknowledged_and_is_told() {
    if let Err(why) = available() {
        println!("not run: {why}");
        report::not_run(FAULT, &why);
        return;
    }
    let _place = wait::place().await;
    let (mut happened, mut tried) = (0, 0);
    for call in CALLS {
        for when in WHEN {
            let folder = tempfile::tempdir().unwrap();
            let (sent, injected) = fault(folder.path(), call, when).await;
            let log = std::fs::read_to_string(folder.path().join("alluse.log")).unwrap();
            assert!(!log.contains("panicked"), "{call:?} {when}: {log}");
            let told = log.contains("ERROR") || log.contains("WARN");
            assert!(!injected || told, "{call:?} {when}: nobody said so:\n{log}");
            let server = Server::start(folder.path(), CONFIG).await;
            server.ready().await;
            for stream in &sent {
                let judged = stream.judge(&server, stream.acked.len() as u64).await;
                judged.unwrap_or_else(|wrong| panic!("{call:?} {when}: {wrong}\n{log}"));
            }
            server.program.kill().await;
            tried += 1;
            happened += u64::from(injected);
        }
    }
    println!("{tried} faults planned, {happened} happened");
    assert!(
        happened > tried / 2,
        "{happened} of {tried} faults happened"
    );
    report::ran(
        FAULT,
        happened,
        "0 acknowledged samples lost, each told in the log",
    );
}
