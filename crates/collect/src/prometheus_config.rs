//! `prometheus.yml` as it is: its scrape configuration read, everything else explained.
//!
//! Every mistake is found in one pass and carries file, line and column, as does a [`Note`] on
//! each key that Prometheus knows and that has no effect here. A key Prometheus does not know is a
//! mistake. Defaults and checks are Prometheus 3's, see
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/>.
//!
//! | file | what |
//! |---|---|
//! | `global` | `global`, inherited by every job |
//! | `scrape` | one of `scrape_configs` |
//! | `http` | credentials, TLS, redirects: shared by scraping and discovery |
//! | `discover` | `static_configs` and `*_sd_configs` |
//! | `alerting` | `alerting` |
//! | `elsewhere` | the parts of the file that other servers or other files are for |
//! | [`units`] | time spans and sizes |

mod alerting;
mod discover;
mod elsewhere;
mod global;
mod http;
mod scrape;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use yaml::{Node, Notes, Position, Table};
pub use yaml::{Note, Weight, units};

pub use crate::discovery::file::expand;
use crate::job::Job;
pub use alerting::Alerting;
pub use http::{read as http_settings, tls as tls_settings};

use global::Global;

/// Bytes of a configuration file read at most.
const FILE_BYTES_MAX: u64 = yaml::TEXT_BYTES_MAX as u64;

/// What a file means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrometheusConfig {
    /// The jobs in the order of the file.
    pub jobs: Vec<Job>,
    /// Labels for whoever this server reports to. As in Prometheus, they are not put on what is
    /// stored.
    pub external_labels: Vec<(String, String)>,
    /// Files of rules, as said: relative to the file's folder, with at most one `*` in the last
    /// part; see [`expand`].
    pub rule_files: Vec<PathBuf>,
    /// Between two evaluations of a group of rules that does not say.
    pub evaluation_interval: Option<Duration>,
    /// How far back groups of rules look that do not say.
    pub rule_query_offset: Option<Duration>,
    /// Who is told of alerts.
    pub alerting: Alerting,
    /// Keys understood that have no effect, in the order of the text.
    pub notices: Vec<Note>,
}

/// Reads a file and the files its `scrape_config_files` name. All mistakes at once.
pub fn read_file(path: &Path) -> Result<PrometheusConfig, Vec<Note>> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|what| vec![whole_file(&name, what)])?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    read(&name, &text, folder)
}

/// Reads a text. Paths in it are relative to `folder`.
pub fn read(name: &str, text: &str, folder: &Path) -> Result<PrometheusConfig, Vec<Note>> {
    let root = parse(name, text)?;
    let notes = Notes::new(name);
    let table = Table::of(&notes, &root, String::new());
    let global = global::read(table.table("global"));
    let jobs = table.tables("scrape_configs").into_iter();
    let mut jobs: Vec<Job> = jobs
        .map(|said| scrape::read(said, &global, folder))
        .collect();
    let patterns = table.texts("scrape_config_files");
    let rule_files = table.texts("rule_files").into_iter();
    let rule_files = rule_files.map(|said| folder.join(said)).collect();
    let alerting = alerting::read(table.table("alerting"), folder);
    elsewhere::read(&table);
    check_names(&table, &jobs);
    table.finish();
    let mut all = notes.into_sorted();
    for path in patterns.iter().flat_map(|p| expand(&folder.join(p))) {
        let (more, notes) = read_more(&path, &global);
        let known: BTreeSet<String> = jobs.iter().map(|job| job.name.clone()).collect();
        for twice in more.iter().filter(|job| known.contains(&job.name)) {
            let what = format!("the job {:?} is there twice", twice.name);
            all.push(whole_file(&path.display().to_string(), what));
        }
        jobs.extend(more);
        all.extend(notes);
    }
    if all.iter().any(|note| note.weight == Weight::Mistake) {
        all.retain(|note| note.weight == Weight::Mistake);
        return Err(all);
    }
    Ok(PrometheusConfig {
        jobs,
        external_labels: global.external_labels,
        rule_files,
        evaluation_interval: global.evaluation_interval,
        rule_query_offset: global.rule_query_offset,
        alerting,
        notices: all,
    })
}

/// One of `scrape_config_files`: a file that holds `scrape_configs` only.
fn read_more(path: &Path, global: &Global) -> (Vec<Job>, Vec<Note>) {
    let name = path.display().to_string();
    let text = match text_of(path) {
        Ok(text) => text,
        Err(what) => return (Vec::new(), vec![whole_file(&name, what)]),
    };
    let root = match parse(&name, &text) {
        Ok(root) => root,
        Err(notes) => return (Vec::new(), notes),
    };
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let notes = Notes::new(&name);
    let table = Table::of(&notes, &root, String::new());
    let jobs = table.tables("scrape_configs").into_iter();
    let jobs: Vec<Job> = jobs
        .map(|said| scrape::read(said, global, &folder))
        .collect();
    check_names(&table, &jobs);
    table.finish();
    (jobs, notes.into_sorted())
}

fn check_names(table: &Table<'_>, jobs: &[Job]) {
    let mut known = BTreeSet::new();
    for (index, job) in jobs.iter().enumerate() {
        if !job.name.is_empty() && !known.insert(&job.name) {
            let what = format!("the job {:?} (number {index}) is there twice", job.name);
            table.mistake("scrape_configs", what);
        }
    }
}

/// Reads a YAML file of any kind.
pub fn read_yaml(path: &Path) -> Result<Node, Vec<Note>> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|what| vec![whole_file(&name, what)])?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Node, Vec<Note>> {
    yaml::parse(text).map_err(|error| {
        vec![Note {
            file: name.to_owned(),
            at: error.at,
            key: String::new(),
            message: error.what,
            weight: Weight::Mistake,
        }]
    })
}

fn text_of(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let size = std::fs::metadata(path).map_err(cannot)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("is longer than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(cannot)
}

fn whole_file(name: &str, message: String) -> Note {
    Note {
        file: name.to_owned(),
        at: Position { line: 1, column: 1 },
        key: String::new(),
        message,
        weight: Weight::Mistake,
    }
}
