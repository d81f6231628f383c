//! `[rules]`: which rule files are evaluated, and what they share.

use std::{path::PathBuf, time::Duration};

use super::{HOUR, SECOND, said::Section};
use crate::ruling::Loaded;

/// Rules of recording and alerting.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rules {
    /// Prometheus's rule files; the last part of each may hold one `*`. Relative to this
    /// configuration's folder.
    pub(crate) files: Vec<PathBuf>,
    /// Whether the rules that come with the program are evaluated too.
    pub(crate) defaults: bool,
    /// Between two evaluations of groups that do not say; else `prometheus.yml`'s, else a minute.
    pub(crate) evaluation_interval: Option<Duration>,
    /// How far back groups look that do not say.
    pub(crate) query_offset: Option<Duration>,
    /// Where people reach this server, for links in alerts; no slash at the end. Empty: links are
    /// paths.
    pub(crate) external_url: String,
    /// Seen by templates and put on alerts by notifiers; `prometheus.yml`'s are added.
    pub(crate) external_labels: Vec<(String, String)>,
    /// What the files hold, once they are read.
    pub(crate) loaded: Loaded,
}

pub(super) fn rules(said: Section<'_, '_>) -> Rules {
    let labels = said.section("external_labels");
    let rules = Rules {
        files: said.texts("files").into_iter().map(PathBuf::from).collect(),
        defaults: said.flag("defaults").unwrap_or(true),
        evaluation_interval: said.duration("evaluation_interval", SECOND..=24 * HOUR),
        query_offset: said.duration("query_offset", Duration::ZERO..=HOUR),
        external_url: said
            .text("external_url")
            .map(|url| url.trim_end_matches('/').to_owned())
            .unwrap_or_default(),
        external_labels: labels.plain_texts(),
        loaded: Loaded::default(),
    };
    said.finish();
    rules
}
