//! What Linux says of a server's process, and the end of it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

/// Ticks of `/proc/PID/stat` a second: `USER_HZ`, 100 on every Linux of today.
const TICKS_A_SECOND: f64 = 100.0;
/// A server asked to end has so long for it.
const END_WITHIN: Duration = Duration::from_secs(60);

/// CPU nanoseconds by thread.
#[derive(Debug)]
pub(in crate::bench) struct Threads(BTreeMap<OsString, u64>);

impl Threads {
    /// CPU milliseconds since an earlier look; what a thread did that ended in between is not in
    /// it, so looks should lie closer together than idle threads live.
    pub(in crate::bench) fn ms_since(&self, earlier: &Self) -> f64 {
        let spent = |(thread, now): (&OsString, &u64)| {
            now.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(spent).sum::<u64>() as f64 / 1e6
    }
}

/// A server, ended when dropped.
#[derive(Debug)]
pub(in crate::bench) struct Running(Child);

impl Running {
    pub(in crate::bench) fn new(child: Child) -> Self {
        Self(child)
    }

    /// CPU seconds so far, of threads that have ended and children that were waited for too.
    pub(in crate::bench) fn cpu_seconds(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        // After the command's name, which may hold anything: utime, stime, cutime, cstime are
        // fields 14 to 17 of proc(5), the state behind the name is field 3.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let fields = fields.map(|f| f.split_whitespace().skip(11).take(4));
        let ticks = fields.map(|f| f.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>());
        Ok(ticks.ok_or_else(|| format!("{path} is not as proc(5) says"))? / TICKS_A_SECOND)
    }

    /// CPU nanoseconds of each thread so far.
    pub(in crate::bench) fn threads_ns(&self) -> Result<Threads, String> {
        let folder = format!("/proc/{}/task", self.0.id());
        let entries = fs::read_dir(&folder).map_err(|e| format!("{folder}: {e}"))?;
        let mut threads = BTreeMap::new();
        for entry in entries.flatten() {
            // A thread may end meanwhile; the first number is its time on a CPU.
            let read = fs::read_to_string(entry.path().join("schedstat"));
            let spent = read
                .ok()
                .and_then(|text| text.split(' ').next()?.parse().ok());
            if let Some(spent) = spent {
                threads.insert(entry.file_name(), spent);
            }
        }
        Ok(Threads(threads))
    }

    /// From here on `VmHWM` is of what comes.
    pub(in crate::bench) fn forget_peak(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.0.id());
        // proc(5): 5 resets the peak.
        fs::write(&path, "5").map_err(|e| format!("{path}: {e}"))
    }

    /// A field of `status` in bytes: `VmRSS`, `VmHWM`.
    pub(in crate::bench) fn memory_bytes(&self, field: &str) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        let kb = line.and_then(|l| l.trim_start_matches(':').split_whitespace().next());
        let kb = kb.and_then(|kb| kb.parse::<u64>().ok());
        Ok(kb.ok_or_else(|| format!("{path} has no {field}"))? << 10)
    }

    /// Whether it has ended by itself.
    pub(in crate::bench) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Asks it to end and waits.
    pub(in crate::bench) fn end(mut self) -> Result<(), String> {
        self.terminate();
        let begun = now();
        while begun.elapsed() < END_WITHIN {
            if self.has_ended() {
                return Ok(());
            }
            pause();
        }
        Err("a server does not end when asked to".to_owned())
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        if let Some(pid) = pid
            && let Err(error) = rustix::process::kill_process(pid, Signal::TERM)
        {
            eprintln!("  a server cannot be asked to end: {error}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() && (self.0.kill().is_err() || self.0.wait().is_err()) {
            eprintln!("  process {} could not be ended", self.0.id());
        }
    }
}

/// An address nobody listens on.
pub(in crate::bench) fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    listener
        .local_addr()
        .map_err(|e| format!("no free port: {e}"))
}

/// Bytes of all files under a folder.
pub(in crate::bench) fn folder_bytes(folder: &Path) -> Result<u64, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            bytes += folder_bytes(&entry.path())?;
        } else {
            bytes += entry.metadata().map_err(failed)?.len();
        }
    }
    Ok(bytes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool waits for programs"
)]
pub(in crate::bench) fn now() -> Instant {
    Instant::now()
}

/// Between two looks at a program that tells nothing by itself.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool waits for programs"
)]
pub(in crate::bench) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
