//! A program the demo started: it says when it is ready, and never outlives the demo.

use std::{process::Stdio, time::Duration};

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
    /// Starts `alluse ARGUMENTS` and waits for the line `... ready on URL`.
    pub(super) async fn start(
        name: &'static str,
        arguments: &[String],
        log: std::fs::File,
    ) -> Result<Self, Failure> {
        let failed = |what: &str| Failure::new(format!("alluse demo: {name} {what}"));
        let own = std::env::current_exe().map_err(|e| failed(&format!("cannot start: {e}")))?;
        let mut child = Command::new(own)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A Ctrl-C at the terminal is for the demo: it ends its programs in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(&format!("cannot start: {e}")))?;
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
        let url = url.ok_or_else(|| failed("did not become ready; see its log"))?;
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
