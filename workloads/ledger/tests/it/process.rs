//! The real program as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

pub(crate) struct Process {
    child: Child,
    pub(crate) base: String,
}

impl Process {
    /// Starts the service and waits for its line.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("ledger ready on ");
        let base = base.unwrap_or_else(|| panic!("ready, not {line:?}")).into();
        Self { child, base }
    }

    /// SIGKILL: no handler, no flush, no goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    /// A failed test leaves no process behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ledger"))
}

#[test]
fn stops_on_sigterm_with_success_and_finds_its_books_again() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let process = Process::start(data.path(), &["--seed-accounts", "3", "--seed-weeks", "1"]);
        assert!(process.terminate().success());
    }
    let books = rusqlite::Connection::open(data.path().join("ledger.sqlite")).unwrap();
    assert_eq!(crate::audit::audit(&books), 6, "seeded once");
}

#[test]
fn a_directory_has_one_ledger_and_a_knob_its_range() {
    let data = tempfile::tempdir().unwrap();
    let _first = Process::start(data.path(), &[]);
    let second = |more: &[&str], data: &Path| {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (child.wait().unwrap().code(), said)
    };
    let (code, said) = second(&[], data.path());
    assert_eq!(code, Some(1));
    assert!(
        said.contains("belongs to a ledger that is running"),
        "{said}"
    );
    let other = tempfile::tempdir().unwrap();
    for (knob, reason) in [
        ("writer.group.size=0", "a whole number from 1 to 256"),
        ("nobody=1", "there is no such knob"),
    ] {
        let (code, said) = second(&["--knob", knob], other.path());
        assert_eq!(code, Some(1));
        assert!(said.contains(reason), "{said}");
    }
}
