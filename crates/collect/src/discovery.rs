//! Where the targets of a job come from: lists, files, DNS, an HTTP server; kept up to date.
//!
//! A [`Discoverer`] holds the last good answer of each file, name and address. What fails keeps
//! what it said before, and is counted; a file that is gone takes its targets along. Files are
//! looked at every [`FILES_EVERY`], and read when their size or time of change differ.

pub mod dns;
pub mod file;
mod server;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    http::{HttpClient, HttpSettings},
    tally::Tally,
};

use file::Seen;

/// Between two looks at the files: a `stat` each.
pub const FILES_EVERY: Duration = Duration::from_secs(2);

/// Targets of one job at most. 50,000: some 100 MB of labels; a discovery gone wrong ends here.
pub const TARGETS_MAX: usize = 50_000;

/// Counts refreshes that failed, by job and kind of source.
const FAILURES: &str = "alluse_discovery_failures_total";
/// Counts refreshes.
const REFRESHES: &str = "alluse_discovery_refreshes_total";

/// Targets found together, with the labels they share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Each target's own labels, `__address__` among them.
    pub targets: Vec<Vec<(String, String)>>,
    /// Labels of all of them; a target's own win.
    pub labels: Vec<(String, String)>,
}

/// The kind of DNS records asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsRecord {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts with ports.
    Srv,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

/// Where targets come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Said in the configuration.
    Static(Vec<Group>),
    /// Files of JSON or YAML.
    File {
        /// Paths; the last part of each may hold one `*`.
        patterns: Vec<PathBuf>,
        /// Files are looked at as often, or each [`FILES_EVERY`] if that is sooner.
        refresh: Duration,
    },
    /// DNS records.
    Dns {
        /// What is looked up.
        names: Vec<String>,
        /// The kind of records.
        record: DnsRecord,
        /// The port, for records that say none.
        port: u16,
        /// Between two look-ups.
        refresh: Duration,
    },
    /// An HTTP server that answers a JSON list of groups.
    Http {
        /// Its address.
        url: String,
        /// Between two requests.
        refresh: Duration,
        /// How it is asked.
        http: Arc<HttpSettings>,
    },
}

impl Source {
    /// As a label value.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File { .. } => "file",
            Self::Dns { .. } => "dns",
            Self::Http { .. } => "http",
        }
    }

    fn every(&self) -> Option<Duration> {
        match self {
            Self::Static(_) => None,
            Self::File { refresh, .. } => Some(FILES_EVERY.min(*refresh)),
            Self::Dns { refresh, .. } | Self::Http { refresh, .. } => Some(*refresh),
        }
    }
}

/// What one refresh of a source found: by file, name or address its groups, or why there are
/// none. What is not named is gone.
type Found = BTreeMap<String, Result<Vec<Group>, String>>;

/// A source and what it said last.
#[derive(Debug)]
struct Watched {
    source: Source,
    good: BTreeMap<String, Vec<Group>>,
    /// Of a source of files: what was read of each.
    files: Seen,
    client: Option<HttpClient>,
    /// On the monotonic clock; `None` when it need not be asked again.
    due: Option<Duration>,
    failing: bool,
}

/// Keeps the groups of one job.
#[derive(Debug)]
pub struct Discoverer {
    job: String,
    sources: Vec<Watched>,
    tally: Arc<Tally>,
}

impl Discoverer {
    /// Nothing is asked yet; everything is due at once.
    #[must_use]
    pub fn new(job: &str, sources: &[Source], tally: Arc<Tally>) -> Self {
        let watched = |source: &Source| Watched {
            client: match source {
                Source::Http { http, .. } => Some(HttpClient::new(Arc::clone(http))),
                Source::Static(_) | Source::File { .. } | Source::Dns { .. } => None,
            },
            source: source.clone(),
            good: BTreeMap::new(),
            files: Seen::default(),
            due: Some(Duration::ZERO),
            failing: false,
        };
        Self {
            job: job.to_owned(),
            sources: sources.iter().map(watched).collect(),
            tally,
        }
    }

    /// When the next source is due; `None` if never again.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.sources.iter().filter_map(|watched| watched.due).min()
    }

    /// Asks the sources that are due. Whether the groups changed.
    pub async fn refresh(&mut self, now: Duration) -> bool {
        let mut changed = false;
        for watched in &mut self.sources {
            if watched.due.is_none_or(|due| due > now) {
                continue;
            }
            watched.due = watched.source.every().map(|every| now + every);
            let found = watched.ask().await;
            let labels = [("job", self.job.as_str()), ("kind", watched.source.kind())];
            self.tally.add(REFRESHES, &labels, 1.0);
            let failures = found.values().filter(|groups| groups.is_err()).count();
            self.tally.add(FAILURES, &labels, failures as f64);
            changed |= watched.take(&self.job, found);
        }
        changed
    }

    /// Everything found, in a fixed order.
    #[must_use]
    pub fn groups(&self) -> Vec<&Group> {
        let all = self
            .sources
            .iter()
            .flat_map(|watched| watched.good.values());
        all.flatten().collect()
    }
}

impl Watched {
    async fn ask(&mut self) -> Found {
        match &self.source {
            Source::Static(groups) => Found::from([(String::new(), Ok(groups.clone()))]),
            Source::File { patterns, .. } => {
                let (patterns, seen) = (patterns.clone(), std::mem::take(&mut self.files));
                let read = tokio::task::spawn_blocking(move || file::look(&patterns, seen)).await;
                let (found, seen) = read.unwrap_or_default();
                self.files = seen;
                found
            }
            Source::Dns {
                names,
                record,
                port,
                ..
            } => dns::look_up(names, *record, *port).await,
            Source::Http { url, refresh, .. } => {
                let client = self.client.as_ref().expect("made with the source");
                let found = server::ask(client, url, *refresh).await;
                Found::from([(url.clone(), found)])
            }
        }
    }

    /// Keeps what is good; whether anything changed.
    fn take(&mut self, job: &str, found: Found) -> bool {
        let before = std::mem::take(&mut self.good);
        let mut why = None;
        for (name, groups) in found {
            match groups {
                Ok(groups) => {
                    self.good.insert(name, groups);
                }
                Err(error) => {
                    if let Some(kept) = before.get(&name) {
                        self.good.insert(name.clone(), kept.clone());
                    }
                    why = Some((name, error));
                }
            }
        }
        if let (Some((name, error)), false) = (&why, self.failing) {
            let kind = self.source.kind();
            tracing::warn!(
                job,
                kind,
                name,
                error,
                "a discovery fails: its last good answer is kept"
            );
        }
        self.failing = why.is_some();
        self.good != before
    }
}
