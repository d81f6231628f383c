//! A program that was started: found, heard, signalled, ended. It never outlives its owner.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::wait;

/// A program that is not ready after this has failed to start: a debug build on a busy machine.
const READY_IN: Duration = Duration::from_secs(60);

/// A program asked to end has failed to when it takes longer.
const END_IN: Duration = Duration::from_secs(60);

/// The program under test: `ALLUSE_BIN`, or the one built beside this one.
///
/// # Panics
/// When it is not there, with the command that builds it.
#[must_use]
pub fn alluse() -> PathBuf {
    if let Some(path) = std::env::var_os("ALLUSE_BIN") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "ALLUSE_BIN: no program at {}",
            path.display()
        );
        return path;
    }
    let own = std::env::current_exe().expect("a program knows where it is");
    // target/<profile>/{deps,examples}/<this>
    let folder = own.ancestors().nth(2).expect("it lies two folders deep");
    let path = folder.join("alluse");
    assert!(
        path.is_file(),
        "no program at {}: build it with `cargo build -p alluse` ({}), or name one in ALLUSE_BIN",
        path.display(),
        "add --release for a benchmark"
    );
    path
}

/// `alluse ARGUMENTS`, run to its end.
pub async fn output(arguments: &[&str]) -> Output {
    let running = Command::new(alluse())
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("ALLUSE_URL")
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(END_IN, running)
        .await
        .unwrap_or_else(|_elapsed| panic!("alluse {arguments:?} does not end"))
        .expect("the program starts")
}

/// A running program that said where it listens.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub url: String,
    /// Held open: a program that writes to a closed pipe would be told so.
    _stdout: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `alluse ARGUMENTS` and waits for its line `... ready on URL`. Its log goes to a
    /// file, after what is there already.
    pub async fn start(arguments: &[&str], log: &Path) -> Self {
        Self::start_by(&alluse(), arguments, log).await
    }

    /// The same of another program, which becomes `alluse` in the end.
    pub async fn start_by(program: &Path, arguments: &[&str], log: &Path) -> Self {
        let mut child = spawn(program, arguments, log, Stdio::piped());
        let mut stdout = BufReader::new(child.stdout.take().expect("piped above"));
        let mut line = String::new();
        let heard = tokio::time::timeout(READY_IN, stdout.read_line(&mut line)).await;
        let url = line.trim().split_once(" ready on ").map(|(_, url)| url);
        let Some(url) = url else {
            panic!(
                "{arguments:?} did not become ready: {heard:?} {line:?}\n{}",
                read(log)
            );
        };
        Self {
            child,
            log: log.to_owned(),
            url: url.to_owned(),
            _stdout: stdout,
        }
    }

    /// Starts `alluse ARGUMENTS` and kills it after `time`, wherever its start has come to by
    /// then.
    pub async fn start_and_kill(arguments: &[&str], log: &Path, time: Duration) {
        let mut child = spawn(&alluse(), arguments, log, Stdio::null());
        tokio::time::sleep(time).await;
        send(&child, Signal::KILL);
        ended(&mut child).await;
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        ended(&mut self.child).await
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        ended(&mut self.child).await;
    }
}

/// A strace on a running program: its system calls fail as told until the program ends.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    seen: PathBuf,
}

impl Tracer {
    /// Attaches to all threads of a program and waits until each is traced.
    pub async fn attach(program: &Program, folder: &Path, arguments: &[String]) -> Self {
        let (pid, seen) = (program.pid(), folder.join("strace"));
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&seen)
            .args(arguments)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("strace starts");
        wait::until("strace to be at it", async || is_traced(pid).then_some(())).await;
        Self { child, seen }
    }

    /// Whether a call was made to fail so far.
    #[must_use]
    pub fn injected(&self) -> bool {
        read(&self.seen).contains("(INJECTED)")
    }

    /// Waits until it has ended, as its program has; whether a call was made to fail.
    pub async fn ended(mut self) -> bool {
        ended(&mut self.child).await;
        self.injected()
    }
}

/// Every thread of a process has a tracer.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let tracer = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
        tracer.is_some_and(|pid| pid.trim() != "0")
    })
}

/// A program that talks to a person, its output in a file.
#[derive(Debug)]
pub struct Talking {
    child: Child,
    log: PathBuf,
}

impl Talking {
    /// Starts `alluse ARGUMENTS`.
    #[must_use]
    pub fn start(arguments: &[&str], log: &Path) -> Self {
        Self {
            child: spawn(&alluse(), arguments, log, Stdio::null()),
            log: log.to_owned(),
        }
    }

    /// What it said so far.
    #[must_use]
    pub fn said(&self) -> String {
        read(&self.log)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_elapsed) => panic!("it does not end within {limit:?}:\n{}", self.said()),
        }
    }
}

fn spawn(program: &Path, arguments: &[&str], log: &Path, stdout: Stdio) -> Child {
    let file = File::options().create(true).append(true).open(log);
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(file.expect("the log can be written"))
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts")
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    rustix::process::kill_process(pid.expect("it has not been waited for"), signal)
        .expect("a child can be signalled");
}

async fn ended(child: &mut Child) -> ExitStatus {
    tokio::time::timeout(END_IN, child.wait())
        .await
        .expect("it ends in time")
        .expect("a child can be waited for")
}

fn read(path: &Path) -> String {
    std::fs::read(path).map_or_else(
        |e| format!("({}: {e})", path.display()),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
