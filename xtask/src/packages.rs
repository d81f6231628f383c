//! Programs the tests need from the machine's own package manager.

use std::process::Command;

use crate::step::Steps;

/// A Debian package, and the program or the file that tells that it is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    brings: &'static str,
    package: &'static str,
}

/// What `cargo xtask test` needs beside Rust and Node.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package {
        brings: "chromium",
        package: "chromium",
    },
    // A store elsewhere: the conformance suite runs against it.
    Package {
        brings: "victoria-metrics",
        package: "victoria-metrics",
    },
    // Scrapes us and writes to us.
    Package {
        brings: "prometheus",
        package: "prometheus",
    },
    // Is told of our alerts, and reads what we read of its configuration.
    Package {
        brings: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
    },
    // Rules of a public project, as they are.
    Package {
        brings: "/etc/prometheus/ceph/ceph_default_alerts.yml",
        package: "ceph-prometheus-alerts",
    },
    // System calls that fail, and a disk that is full.
    Package {
        brings: "strace",
        package: "strace",
    },
    Package {
        brings: "mkfs.ext4",
        package: "e2fsprogs",
    },
];

/// Installs what is missing (Debian and its kin, as root); elsewhere says what to install.
pub(crate) fn install(steps: &Steps, packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|p| !on_path(p.brings))
        .map(|p| p.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        return Err(format!("please install: {}", missing.join(" ")));
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    steps.run("package lists", update)?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Installed to be started by the tests, not as services of this machine.
        .env("RUNLEVEL", "1");
    steps.run(&format!("install {}", missing.join(" ")), install)
}

/// Whether a program is on the path, or the file of this absolute path there.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
