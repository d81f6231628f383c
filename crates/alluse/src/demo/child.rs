//! A program the demo started: it says when it is ready, and never outlives the demo.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::Failure;

/// A program that is not ready after this has failed to start.
const READY_IN: Duration = Duration::from_secs(60);

/// A program asked to end is given so long; then it is killed.
const END_IN: Duration = Duration::from_secs(30);

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
    /// It stops when this closes: also if the demo is killed.
    stdin: Option<ChildStdin>,
    /// What it said it listens on, such as `http://127.0.0.1:1234`.
    pub(super) url: String,
}

impl Program {
    /// Starts `alluse ARGUMENTS` and waits for the line `... ready on URL`. What it logs goes to a
    /// file; if it does not become ready, its last words are in the error.
    pub(super) async fn start(
        name: &'static str,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, Failure> {
        let failed = |what: String| Failure::new(format!("alluse demo: {name} {what}"));
        let cannot = |e: std::io::Error| failed(format!("cannot be started: {e}"));
        let mut child = Command::new(std::env::current_exe().map_err(cannot)?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log).map_err(cannot)?)
            // A Ctrl-C at the terminal is for the demo: it ends its programs in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let stdout = child.stdout.take().expect("piped above");
        let mut lines = BufReader::new(stdout).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, url)) = line.split_once(" ready on ") {
                    return Some(url.trim().to_owned());
                }
            }
            None
        };
        let url = tokio::time::timeout(READY_IN, ready).await.ok().flatten();
        let url =
            url.ok_or_else(|| failed(format!("did not become ready:\n{}", last_words(log))))?;
        let stdin = child.stdin.take();
        Ok(Self {
            name,
            child,
            stdin,
            url,
        })
    }

    /// Asks it to end and waits; whether it ended by itself and well.
    pub(super) async fn end(mut self) -> bool {
        drop(self.stdin.take());
        match tokio::time::timeout(END_IN, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            Ok(Err(_)) => false,
            Err(_elapsed) => {
                tracing::warn!(program = self.name, "did not end and is killed");
                if let Err(error) = self.child.kill().await {
                    tracing::warn!(program = self.name, %error, "cannot be killed");
                }
                false
            }
        }
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// The last lines of a log.
fn last_words(log: &Path) -> String {
    const LINES: usize = 8;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
