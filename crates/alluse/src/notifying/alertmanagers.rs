//! Alertmanagers elsewhere: every one of them is told of every alert raised here, again each
//! minute while it lasts, so that a pair of them needs no other way to agree.
//!
//! They are found as scrape targets are (`collect::discovery`), and come and go while running.
//! What waits for one is the newest state of each alert, so that its queue is bounded by the
//! alerts there are, and an Alertmanager that was away, or is new, hears of what is true and not
//! of what was.

mod lane;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use collect::{
    AlertmanagerSet, HttpClient, Rule, Tally, alertmanager::Alertmanagers as Found,
    discovery::Discoverer, relabel,
};
use model::{Alert, Clock};
use notify::{Fingerprint, resend::Resend};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify as Bell, mpsc, watch},
    task::JoinSet,
};

use super::{lock, message::linked};
use crate::{api::targets::rfc3339, config::notification::Notification as Config};
use lane::Lane;

/// Alerts followed at once; more are counted and told when they are posted again.
const ALERTS_MAX: usize = 10_000;

/// What is resolved is told again though nobody evaluates any more.
const BEAT: Duration = Duration::from_secs(15);

/// Answers of discoveries that wait to be taken.
const FOUND_AHEAD: usize = 16;

/// All of them.
#[derive(Debug)]
pub(crate) struct Alertmanagers {
    in_force: Mutex<InForce>,
    resend: Mutex<Resend>,
    external_url: Mutex<String>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    /// Other sets are in force.
    changed: Bell,
}

#[derive(Debug, Default)]
struct InForce {
    /// Grows with each reload: what an earlier discovery finds is not taken.
    generation: u64,
    sets: Vec<Set>,
    /// Put on alerts that have no such label.
    labels: Vec<(String, String)>,
    /// Applied to every alert.
    relabel: Vec<Rule>,
}

/// Alertmanagers that are found and asked alike.
#[derive(Debug)]
struct Set {
    meant: Arc<AlertmanagerSet>,
    client: HttpClient,
    lanes: BTreeMap<String, Arc<Lane>>,
    dropped: BTreeSet<String>,
}

impl Set {
    fn new(meant: &AlertmanagerSet) -> Self {
        Self {
            client: HttpClient::new(Arc::clone(&meant.http)),
            meant: Arc::new(meant.clone()),
            lanes: BTreeMap::new(),
            dropped: BTreeSet::new(),
        }
    }

    fn leave(self) {
        for lane in self.lanes.values() {
            lane.leave();
        }
    }
}

/// What the discovery of a set has found.
struct News {
    generation: u64,
    set: usize,
    found: Found,
}

impl Alertmanagers {
    pub(crate) fn new(config: &Config, clock: &Arc<dyn Clock>, tally: Arc<Tally>) -> Self {
        let all = Self {
            in_force: Mutex::default(),
            resend: Mutex::new(Resend::new(ALERTS_MAX)),
            external_url: Mutex::default(),
            clock: Arc::clone(clock),
            tally,
            changed: Bell::new(),
        };
        all.replace(config);
        all
    }

    /// Others are told from now on; sets that stay go on with what they have still to be told.
    pub(crate) fn replace(&self, config: &Config) {
        let mut in_force = lock(&self.in_force);
        let mut old = std::mem::take(&mut in_force.sets);
        for meant in &config.alertmanagers {
            let same = old.iter().position(|set| *set.meant == *meant);
            let set = same.map_or_else(|| Set::new(meant), |at| old.swap_remove(at));
            in_force.sets.push(set);
        }
        in_force.generation += 1;
        in_force.labels.clone_from(&config.external_labels);
        in_force.relabel.clone_from(&config.alert_relabel);
        drop(in_force);
        old.into_iter().for_each(Set::leave);
        self.changed.notify_one();
    }

    /// Where links lead.
    pub(crate) fn listens_on(&self, url: &str) {
        url.clone_into(&mut lock(&self.external_url));
    }

    /// Addresses as Prometheus's API lists them: those told, and those the rules drop.
    pub(crate) fn urls(&self) -> (Vec<String>, Vec<String>) {
        let in_force = lock(&self.in_force);
        let told = in_force.sets.iter().flat_map(|set| set.lanes.keys());
        let dropped = in_force.sets.iter().flat_map(|set| &set.dropped);
        (told.cloned().collect(), dropped.cloned().collect())
    }

    /// Those that do not take what they are told.
    pub(crate) fn failing(&self) -> Vec<String> {
        let in_force = lock(&self.in_force);
        let lanes = in_force.sets.iter().flat_map(|set| set.lanes.values());
        let failing = lanes.filter(|lane| lane.is_failing());
        failing.map(|lane| lane.url.clone()).collect()
    }

    /// Takes what the rules say.
    pub(crate) fn post(&self, alerts: &[Alert]) {
        if lock(&self.in_force).sets.is_empty() {
            return;
        }
        let due = lock(&self.resend).post(alerts, self.clock.wall_ms());
        if due.is_empty() {
            return;
        }
        let in_force = lock(&self.in_force);
        for lane in in_force.sets.iter().flat_map(|set| set.lanes.values()) {
            lane.add(&due);
        }
    }

    /// Finds and tells until `stopped`.
    pub(crate) async fn run(self: Arc<Self>, stopped: watch::Receiver<bool>) {
        let stop = crate::lifecycle::resolved(stopped.clone());
        tokio::pin!(stop);
        let (sender, mut news) = mpsc::channel(FOUND_AHEAD);
        let mut finding = self.find(&sender);
        let mut telling = JoinSet::new();
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = &mut stop => break,
                // The earlier ones end when they are dropped.
                () = self.changed.notified() => finding = self.find(&sender),
                Some(news) = news.recv() => {
                    for lane in self.take(news) {
                        telling.spawn(lane.run(Arc::clone(&self), stopped.clone()));
                    }
                }
                Some(_ended) = telling.join_next() => {}
                _ = beat.tick() => self.post(&[]),
            }
        }
        drop(finding);
        while telling.join_next().await.is_some() {}
    }

    /// Begins the discovery of every set.
    fn find(&self, sender: &mpsc::Sender<News>) -> JoinSet<()> {
        let in_force = lock(&self.in_force);
        let mut finding = JoinSet::new();
        for (set, found) in in_force.sets.iter().enumerate() {
            let (meant, generation) = (Arc::clone(&found.meant), in_force.generation);
            let (sender, clock) = (sender.clone(), Arc::clone(&self.clock));
            let name = format!("alertmanagers[{set}]");
            let mut finder = Discoverer::new(&name, &meant.sources, Arc::clone(&self.tally));
            finding.spawn(async move {
                while let Some(due) = finder.due() {
                    tokio::time::sleep(due.saturating_sub(clock.monotonic())).await;
                    if finder.refresh(clock.monotonic()).await {
                        let found = meant.found(&finder.groups());
                        let news = News {
                            generation,
                            set,
                            found,
                        };
                        if sender.send(news).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
        finding
    }

    /// Puts what was found in force; the lanes that are new.
    fn take(&self, news: News) -> Vec<Arc<Lane>> {
        let mut in_force = lock(&self.in_force);
        if in_force.generation != news.generation {
            return Vec::new();
        }
        for what in &news.found.invalid {
            tracing::warn!("an Alertmanager that was found is none: {what}");
        }
        let set = &mut in_force.sets[news.set];
        set.dropped = news.found.dropped;
        set.lanes.retain(|url, lane| {
            let stays = news.found.active.contains(url);
            if !stays {
                lane.leave();
            }
            stays
        });
        let mut fresh = Vec::new();
        for url in news.found.active {
            if set.lanes.contains_key(&url) {
                continue;
            }
            let lane = Arc::new(Lane::new(&url, &set.meant, &set.client));
            // While `in_force` is held, nothing is posted between this and the insertion.
            let standing: Vec<Alert> = lock(&self.resend).standing().cloned().collect();
            lane.add(&standing);
            set.lanes.insert(url, Arc::clone(&lane));
            fresh.push(lane);
        }
        fresh
    }

    /// Alerts as an Alertmanager reads them; those that the rules on the way drop are left out.
    fn shown(&self, alerts: &[(Fingerprint, Alert)], rules: &[Rule]) -> Vec<Value> {
        let (labels, common) = {
            let in_force = lock(&self.in_force);
            (in_force.labels.clone(), in_force.relabel.clone())
        };
        let url = lock(&self.external_url).clone();
        let shown = alerts.iter().filter_map(|(_, alert)| {
            let labels = labelled(alert, &labels);
            let labels = relabel(&relabel(&labels, &common)?, rules)?;
            Some(json!({
                "labels": labels,
                "annotations": alert.annotations,
                "startsAt": rfc3339(alert.starts_at_ms),
                "endsAt": rfc3339(alert.ends_at_ms),
                "generatorURL": linked(&url, &alert.generator_url),
            }))
        });
        shown.collect()
    }

    /// What is counted, as exposition text: Alertmanagers come and go.
    pub(crate) fn metrics_text(&self) -> String {
        let in_force = lock(&self.in_force);
        let lanes: Vec<&Arc<Lane>> = in_force
            .sets
            .iter()
            .flat_map(|set| set.lanes.values())
            .collect();
        let mut out = String::new();
        if in_force.sets.is_empty() {
            return out;
        }
        let name = "alluse_alertmanagers";
        let help = "Alertmanagers that are told of alerts.";
        let count = lanes.len();
        writeln!(
            out,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {count}"
        )
        .expect("strings take all");
        for metric in &lane::METRICS {
            let (name, kind, help) = (metric.name, metric.kind, metric.help);
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("strings take all");
            for lane in &lanes {
                let value = (metric.read)(lane);
                writeln!(out, "{name}{{alertmanager={:?}}} {value}", lane.url)
                    .expect("strings take all");
            }
        }
        out
    }
}

/// An alert's labels, with those of this server where it has none of the name.
fn labelled(alert: &Alert, ours: &[(String, String)]) -> model::Labels {
    let mut labels = alert.labels.to_builder();
    for (name, value) in ours {
        if alert.labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    labels.build()
}
