//! One run of a command: its own process group, bounded output, killed whole at the end.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use super::{OUTPUT_BYTES_MAX, ProbeError};

/// Bytes of standard error kept for the message.
const COMPLAINT_BYTES: usize = 400;

/// Kills what is left of a process group, however the run ended: done, too late, given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // No such group: nothing was left behind.
            if let Err(error) = kill_process_group(group, Signal::KILL)
                && error != rustix::io::Errno::SRCH
            {
                tracing::warn!(%error, "a probe's processes cannot be killed");
            }
        }
    }
}

/// Runs a command to its end; what it wrote to standard output.
pub(super) async fn output(words: &[String]) -> Result<Vec<u8>, ProbeError> {
    let [program, arguments @ ..] = words else {
        return Err(ProbeError::Output("no command".to_owned()));
    };
    let start = |source| ProbeError::Start {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.and_then(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let status = child.wait().await.map_err(ProbeError::Read);
        // Whoever it left behind would hold the pipes open.
        drop(group);
        status
    };
    let (status, output, complaint) = tokio::try_join!(ended, whole(stdout), tail(stderr))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&complaint);
        let said = said.trim();
        return Err(ProbeError::Exit {
            status: status.to_string(),
            said: if said.is_empty() {
                String::new()
            } else {
                format!(": {said}")
            },
        });
    }
    Ok(output)
}

/// Everything, unless it is too much.
async fn whole(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ProbeError> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let mut bounded = pipe.take(OUTPUT_BYTES_MAX as u64 + 1);
        let read = bounded.read_to_end(&mut bytes).await;
        read.map_err(ProbeError::Read)?;
    }
    if bytes.len() > OUTPUT_BYTES_MAX {
        return Err(ProbeError::TooLarge(OUTPUT_BYTES_MAX));
    }
    Ok(bytes)
}

/// Reads to the end and keeps the last part.
async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ProbeError> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else {
        return Ok(kept);
    };
    let mut buffer = [0; 4096];
    loop {
        let length = pipe.read(&mut buffer).await.map_err(ProbeError::Read)?;
        if length == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&buffer[..length]);
        let excess = kept.len().saturating_sub(COMPLAINT_BYTES);
        kept.drain(..excess);
    }
}
