//! The house rules, as tests: the arrows between crates are those of ARCHITECTURE.md, charters
//! are the same in both places, pure crates stay pure, files say what they are, links resolve.

#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A row of the table in ARCHITECTURE.md.
struct Row {
    charter: String,
    may_use: BTreeSet<String>,
    pure: bool,
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let [name, charter, uses, pure] = cells[..] else {
            return None;
        };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        let may_use = uses
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        Some((
            name.to_owned(),
            Row {
                charter: charter.to_owned(),
                may_use,
                pure: pure == "pure",
            },
        ))
    });
    rows.collect()
}

fn crates() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let folder = root().join("crates");
    metadata
        .packages
        .into_iter()
        .filter(|p| p.manifest_path.as_std_path().starts_with(&folder))
        .collect()
}

/// Workspace crates a package's code depends on; tests may use more.
fn uses(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|d| d.path.is_some() && d.kind != DependencyKind::Development)
        .map(|d| d.name.clone())
        .collect()
}

#[test]
fn arrows_drawn_are_arrows_allowed() {
    let allowed = table();
    let drawn: BTreeMap<String, BTreeSet<String>> = crates()
        .iter()
        .map(|p| (p.name.to_string(), uses(p)))
        .collect();
    assert_eq!(
        allowed.keys().collect::<Vec<_>>(),
        drawn.keys().collect::<Vec<_>>(),
        "rows of ARCHITECTURE.md against folders in crates/"
    );
    let wrong: Vec<String> = drawn
        .iter()
        .flat_map(|(from, used)| {
            used.difference(&allowed[from].may_use)
                .map(move |to| format!("{from} -> {to}"))
        })
        .collect();
    assert!(wrong.is_empty(), "not in ARCHITECTURE.md: {wrong:?}");
}

#[test]
fn line_one_of_each_crate_is_its_charter() {
    for package in crates() {
        let source = package
            .manifest_path
            .parent()
            .unwrap()
            .as_std_path()
            .join("src");
        let file = ["lib.rs", "main.rs"]
            .map(|f| source.join(f))
            .into_iter()
            .find(|f| f.exists());
        let text = fs::read_to_string(file.unwrap()).unwrap();
        let charter = &table()[package.name.as_str()].charter;
        assert_eq!(
            text.lines().next().unwrap(),
            format!("//! {charter}"),
            "{}",
            package.name
        );
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for file in manifests() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn pure_crates_touch_no_files_sockets_threads_or_clock() {
    let pure: BTreeSet<String> = table()
        .into_iter()
        .filter(|(_, row)| row.pure)
        .map(|(name, _)| name)
        .collect();
    assert!(pure.len() >= 8, "the table lost its last column");
    for name in pure {
        for file in sources(&root().join("crates").join(&name).join("src")) {
            let code = fs::read_to_string(&file).unwrap();
            for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
                let banned = impure(line);
                assert!(
                    banned.is_none(),
                    "{}: {} in `{line}`",
                    file.display(),
                    banned.unwrap()
                );
            }
        }
    }
}

/// The impure part of `std` a line of code names, also inside braces: `use std::{fs, io}`.
fn impure(line: &str) -> Option<&'static str> {
    const IMPURE: [&str; 5] = ["fs", "net", "thread", "process", "env"];
    let at = line.find("std::")? + "std::".len();
    let rest = &line[at..];
    let named: Vec<&str> = match rest.strip_prefix('{') {
        Some(list) => list.split([',', '{', '}', ';', ' ']).collect(),
        None => vec![rest],
    };
    IMPURE.into_iter().find(|word| {
        named.iter().any(|n| {
            n.strip_prefix(word)
                .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    })
}

#[test]
fn the_purity_test_sees_what_it_should() {
    assert_eq!(impure("use std::{fs, io};"), Some("fs"));
    assert_eq!(impure("    let x = std::env::var(\"A\");"), Some("env"));
    assert_eq!(impure("use std::thread;"), Some("thread"));
    assert_eq!(impure("use std::{collections::BTreeMap, fmt};"), None);
    assert_eq!(impure("use std::netting;"), None);
}

#[test]
fn every_source_file_says_what_it_is() {
    for folder in ["crates", "workloads", "xtask", "e2e"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("//! "),
                "{} does not open with //!",
                file.display()
            );
        }
    }
}

#[test]
fn links_between_documents_resolve() {
    let mut checked = 0;
    for file in files(&root(), &|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&file).unwrap();
        for target in links(&text) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            checked += 1;
            let path = file.parent().unwrap().join(target);
            assert!(
                path.exists(),
                "{} links to {target}, which is not there",
                file.display()
            );
        }
    }
    assert!(checked > 0, "no link was found: the test reads nothing");
}

fn links(markdown: &str) -> impl Iterator<Item = &str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

fn manifests() -> Vec<PathBuf> {
    files(&root(), &|p| {
        p.file_name().is_some_and(|n| n == "Cargo.toml")
    })
    .into_iter()
    .filter(|p| p.parent().unwrap() != root())
    .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    files(folder, &|p| p.extension().is_some_and(|e| e == "rs"))
}

/// Files below a folder, without what is built or installed.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", "dist", ".git"].contains(&name.as_str()) {
                found.extend(files(&path, wanted));
            }
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}
