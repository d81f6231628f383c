//! Groups of targets in files: a list of `{targets: [...], labels: {...}}` as JSON or YAML.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;

use super::Group;
use yaml::{Kind, Node};

/// How the name of a file of targets ends.
pub const PATTERN_ENDS: [&str; 6] = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];

/// Files one pattern may name.
const FILES_MAX: usize = 1_000;

/// The label with the file's path.
const META_PATH: &str = "__meta_filepath";

/// What tells that a file changed: time of change and bytes.
type Stamp = (Option<SystemTime>, u64);

/// Files as they were last read, with what they said.
pub(super) type Seen = BTreeMap<PathBuf, (Stamp, Result<Vec<Group>, String>)>;

/// A group as files and servers say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A group of addresses.
pub(crate) fn group(addresses: Vec<String>, labels: Vec<(String, String)>) -> Group {
    let target = |address| vec![("__address__".to_owned(), address)];
    Group {
        targets: addresses.into_iter().map(target).collect(),
        labels,
    }
}

/// The files a path with at most one `*` in its last part names, in order. A path without one
/// names itself, whether or not it is there.
#[must_use]
pub fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str());
    let Some((before, after)) = name.and_then(|name| name.split_once('*')) else {
        return vec![pattern.to_path_buf()];
    };
    let folder = pattern.parent().filter(|p| !p.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or_else(|| Path::new("."))) else {
        return Vec::new();
    };
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let middle = name
            .and_then(|name| name.strip_prefix(before))
            .and_then(|rest| rest.strip_suffix(after));
        middle.is_some() && path.is_file()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.filter(fits).take(FILES_MAX).collect();
    paths.sort();
    paths
}

/// Looks at every file, and reads those that changed.
pub(super) fn look(patterns: &[PathBuf], mut seen: Seen) -> (super::Found, Seen) {
    let mut now = Seen::new();
    for path in patterns.iter().flat_map(|pattern| expand(pattern)) {
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        let stamp = (meta.modified().ok(), meta.len());
        let known = seen.remove(&path).filter(|(then, _)| *then == stamp);
        let read = known.unwrap_or_else(|| (stamp, read(&path)));
        now.insert(path, read);
    }
    let found = now
        .iter()
        .map(|(path, (_, groups))| (path.display().to_string(), groups.clone()));
    (found.collect(), now)
}

fn read(path: &Path) -> Result<Vec<Group>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let is_json = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let mut groups = if is_json {
        from_json(text.as_bytes())?
    } else {
        from_yaml(&text)?
    };
    for group in &mut groups {
        let path = (META_PATH.to_owned(), path.display().to_string());
        group.labels.push(path);
    }
    Ok(groups)
}

/// A JSON list of groups.
pub(super) fn from_json(text: &[u8]) -> Result<Vec<Group>, String> {
    let said: Vec<Said> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let groups = said.into_iter();
    Ok(groups
        .map(|said| group(said.targets, said.labels.into_iter().collect()))
        .collect())
}

fn from_yaml(text: &str) -> Result<Vec<Group>, String> {
    let root = yaml::parse(text).map_err(|error| error.to_string())?;
    match &root.kind {
        Kind::Null => Ok(Vec::new()),
        Kind::List(list) => list.iter().map(group_of).collect(),
        Kind::Text(_) | Kind::Map(_) => Err(wrong(&root, "a list of groups")),
    }
}

fn wrong(node: &Node, expected: &str) -> String {
    let (line, column) = (node.at.line, node.at.column);
    let found = node.type_name();
    format!("{line}:{column}: expected {expected}, found {found}")
}

fn group_of(node: &Node) -> Result<Group, String> {
    let Kind::Map(pairs) = &node.kind else {
        return Err(wrong(node, "a mapping with targets and labels"));
    };
    let (mut targets, mut labels) = (Vec::new(), Vec::new());
    for (key, value) in pairs {
        match (key.name.as_str(), &value.kind) {
            ("targets", Kind::List(list)) => {
                targets = list.iter().map(text).collect::<Result<_, _>>()?;
            }
            ("labels", Kind::Map(map)) => {
                let pair = |(key, value): &(yaml::Key, Node)| Ok((key.name.clone(), text(value)?));
                labels = map.iter().map(pair).collect::<Result<_, String>>()?;
            }
            ("targets" | "labels", Kind::Null) => {}
            ("targets", _) => return Err(wrong(value, "a list of targets")),
            ("labels", _) => return Err(wrong(value, "a mapping of labels")),
            (other, _) => return Err(format!("{}: unknown key {other:?}", key.at.line)),
        }
    }
    Ok(group(targets, labels))
}

fn text(node: &Node) -> Result<String, String> {
    match &node.kind {
        Kind::Text(text) => Ok(text.clone()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => Err(wrong(node, "a text")),
    }
}
