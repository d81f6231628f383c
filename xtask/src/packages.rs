//! Programs the tests need from the machine's own package manager.

use std::process::Command;

use crate::step::Steps;

/// A program and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    program: &'static str,
    package: &'static str,
}

/// What `cargo xtask test` needs beside Rust and Node.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package {
        program: "chromium",
        package: "chromium",
    },
    // A store elsewhere: the conformance suite runs against it.
    Package {
        program: "victoria-metrics",
        package: "victoria-metrics",
    },
    // Scrapes us and writes to us.
    Package {
        program: "prometheus",
        package: "prometheus",
    },
];

/// Installs what is missing (Debian and its kin, as root); elsewhere says what to install.
pub(crate) fn install(steps: &Steps, packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|p| !on_path(p.program))
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

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
