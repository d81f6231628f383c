//! Space of the mounted file systems, by `statvfs`.
//!
//! Left out, as node_exporter does: file systems of the kernel's own, and mounts below `/dev`,
//! `/proc`, `/sys` and container storage. Left out too: network and user-space file systems,
//! where `statvfs` blocks for as long as the server is away, and would take the whole sampling
//! with it.

use std::{
    io::Result,
    path::{Path, PathBuf},
};

use model::Labels;
use rustix::fs::StatVfsMountFlags;

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::Devices,
};

#[rustfmt::skip]
const FAMILIES: [Family; 6] = [
    Family::gauge("node_filesystem_size_bytes", "Filesystem size in bytes."),
    Family::gauge("node_filesystem_free_bytes", "Filesystem free space in bytes."),
    Family::gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes."),
    Family::gauge("node_filesystem_files", "Filesystem total file nodes."),
    Family::gauge("node_filesystem_files_free", "Filesystem total free file nodes."),
    Family::gauge("node_filesystem_readonly", "Filesystem read-only status."),
];
const DEVICE_ERROR: Family = Family::gauge(
    "node_filesystem_device_error",
    "Whether an error occurred while getting statistics for the given device.",
);

/// Types that hold nothing, or may block.
const TYPES_LEFT_OUT: [&str; 40] = [
    "9p",
    "afs",
    "autofs",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "glusterfs",
    "hugetlbfs",
    "iso9660",
    "lustre",
    "mqueue",
    "ncpfs",
    "nfs",
    "nfs4",
    "nfsd",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smb3",
    "smbfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "ocfs2",
    "gfs2",
    "beegfs",
];

/// Mount points left out, with everything below them.
const MOUNTS_LEFT_OUT: [&str; 6] = [
    "/dev",
    "/proc",
    "/sys",
    "/run/credentials",
    "/var/lib/docker",
    "/var/lib/containers/storage",
];

/// One mount.
#[derive(Debug)]
struct Mount {
    path: PathBuf,
    labels: Vec<Labels>,
    device_error: Labels,
}

/// The source.
#[derive(Debug)]
pub(super) struct Filesystem {
    root: PathBuf,
    file: Reading,
    /// By the whole line of the mount table: another device at the same place is another mount.
    mounts: Devices<Mount>,
}

impl Filesystem {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            file: Reading::new(root, "proc/self/mounts"),
            mounts: Devices::default(),
        }
    }
}

impl Source for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        if self.mounts.is_first_tick() {
            frame.describe(FAMILIES.iter().chain([&DEVICE_ERROR]));
        }
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(point), Some(kind)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            if !left_out(point, kind) {
                let make = || Mount::new(&self.root, device, point, kind, frame);
                self.mounts.entry(line, make).push(frame);
            }
        }
        self.mounts.end_tick();
        Ok(())
    }
}

impl Mount {
    fn new(root: &Path, device: &str, point: &str, kind: &str, frame: &Frame<'_>) -> Self {
        let (device, point) = (unescaped(device), unescaped(point));
        let pairs = [
            ("device", &*device),
            ("fstype", kind),
            ("mountpoint", &*point),
        ];
        Self {
            path: root.join(point.trim_start_matches('/')),
            labels: FAMILIES
                .iter()
                .map(|f| frame.series(f.name, &pairs))
                .collect(),
            device_error: frame.series(DEVICE_ERROR.name, &pairs),
        }
    }

    fn push(&self, frame: &mut Frame<'_>) {
        let Ok(found) = rustix::fs::statvfs(&self.path) else {
            frame.push(&self.device_error, 1.0);
            return;
        };
        let bytes = |blocks: u64| blocks as f64 * found.f_frsize as f64;
        let readonly = found.f_flag.contains(StatVfsMountFlags::RDONLY);
        let values = [
            bytes(found.f_blocks),
            bytes(found.f_bfree),
            bytes(found.f_bavail),
            found.f_files as f64,
            found.f_ffree as f64,
            f64::from(u8::from(readonly)),
        ];
        for (labels, value) in self.labels.iter().zip(values) {
            frame.push(labels, value);
        }
        frame.push(&self.device_error, 0.0);
    }
}

fn left_out(point: &str, kind: &str) -> bool {
    let below = |place: &str| {
        point
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    kind.starts_with("fuse.")
        || TYPES_LEFT_OUT.contains(&kind)
        || MOUNTS_LEFT_OUT.into_iter().any(below)
}

/// The mount table writes blanks and backslashes as `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped_and_kernel_mounts_left_out() {
        assert_eq!(unescaped(r"/mnt/my\040disk\134x"), r"/mnt/my disk\x");
        assert_eq!(unescaped(r"/a\9"), r"/a\9");
        assert!(left_out("/sys/fs/cgroup", "cgroup2"));
        assert!(left_out("/dev/shm", "tmpfs"));
        assert!(left_out("/mnt", "nfs4") && left_out("/mnt", "fuse.sshfs"));
        assert!(!left_out("/device", "ext4") && !left_out("/run", "tmpfs"));
    }
}
