//! The dashboard: installed by its lockfile, built into `web/dist`, tested in a real browser.

use std::{path::Path, process::Command};

use crate::{
    packages::on_path,
    step::{Steps, root, target},
};

fn npm(arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments).current_dir(root().join("web"));
    npm
}

/// Installs (when the lockfile changed) and builds.
pub(crate) fn build(steps: &Steps) -> Result<(), String> {
    if !on_path("npm") {
        return Err(
            "the dashboard needs Node 20 or newer with npm: install it, or build the \
             server alone with `cargo build --release`"
                .to_owned(),
        );
    }
    let web = root().join("web");
    if newer(
        &web.join("package-lock.json"),
        &web.join("node_modules/.package-lock.json"),
    ) {
        steps.run(
            "dashboard packages",
            npm(&["ci", "--no-audit", "--no-fund"]),
        )?;
    }
    steps.run("dashboard", npm(&["run", "--silent", "build"]))
}

/// Unit tests, then the page in headless Chromium against the real server.
pub(crate) fn test(steps: &Steps) -> Result<(), String> {
    steps.run("dashboard tests", npm(&["run", "--silent", "test"]))?;
    let mut browser = npm(&["run", "--silent", "test:browser"]);
    browser.env("ALLUSE_BIN", target().join("debug/alluse"));
    steps.run("browser tests", browser)
}

fn newer(source: &Path, product: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|m| m.modified());
    match (time(source), time(product)) {
        (Ok(source), Ok(product)) => source > product,
        _ => true,
    }
}
