//! Seeded worlds: alerts come and go, receivers fail, people silence and acknowledge, the process
//! crashes at any moment. What receivers heard is held against what should be true.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use model::Alert;
use notify::{
    Acknowledgement, Fate, Fingerprint, InhibitRule, Notification, Notifier, Plan, Reason,
    RouteSaid, SilenceDraft, Snapshot, matchers,
};

use crate::world::{AHEAD, HOUR, MINUTE, SECOND, alert, receivers, route, steps};

const SEEDS: u64 = 60;
const STEP: i64 = 5 * SECOND;
const BUSY: i64 = 12 * HOUR;
const REPEAT: i64 = HOUR;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

fn the_plan() -> Plan {
    let critical = RouteSaid {
        receiver: Some("pager".to_owned()),
        matchers: matchers::parse("severity=critical").unwrap(),
        continues: true,
        escalate: steps(&[(10 * MINUTE, "boss")]),
        ..RouteSaid::default()
    };
    let everybody = RouteSaid {
        matchers: matchers::parse("service=~\".+\"").unwrap(),
        ..RouteSaid::default()
    };
    let root = RouteSaid {
        repeat_interval_ms: Some(REPEAT),
        routes: vec![critical, everybody],
        ..route("team", &["service"])
    };
    let inhibit = InhibitRule {
        source: matchers::parse("severity=critical").unwrap(),
        target: matchers::parse("severity=warning").unwrap(),
        equal: vec!["service".to_owned()],
    };
    let all = receivers(&["team", "pager", "boss"]);
    Plan::new(root, all, vec![inhibit], BTreeMap::new()).unwrap()
}

/// What one lane of one receiver heard.
#[derive(Debug, Default)]
struct Heard {
    firing: BTreeSet<Fingerprint>,
    last: Option<(i64, BTreeSet<Fingerprint>)>,
}

/// By lane: alerts of which the notifier cannot know what was heard last.
#[derive(Debug, Default)]
struct Doubts(BTreeMap<(String, String), BTreeSet<Fingerprint>>);

impl Doubts {
    fn add(&mut self, notification: &Notification) {
        let alerts = notification.alerts.iter().map(|told| told.fingerprint);
        self.0.entry(lane(notification)).or_default().extend(alerts);
    }

    fn take(&mut self, other: Self) {
        for (lane, alerts) in other.0 {
            self.0.entry(lane).or_default().extend(alerts);
        }
    }

    /// What is heard now is certain again; whether any of it was in doubt.
    fn settle(&mut self, notification: &Notification) -> bool {
        let Some(doubts) = self.0.get_mut(&lane(notification)) else {
            return false;
        };
        let alerts = notification.alerts.iter().map(|told| told.fingerprint);
        // Every one is settled: no short cut.
        alerts.filter(|f| doubts.remove(f)).count() > 0
    }
}

struct World {
    seed: u64,
    random: Random,
    now: i64,
    notifier: Notifier,
    /// On disk.
    snapshot: Snapshot,
    /// By labels, when it began.
    firing: BTreeMap<String, i64>,
    silences: Vec<(String, i64, i64)>,
    heard: BTreeMap<(String, String), Heard>,
    on_their_way: Vec<(i64, Notification)>,
    broken_until: BTreeMap<String, i64>,
    /// Lanes that heard something which is not on disk yet.
    unsaved: Doubts,
    /// Lanes of which the notifier cannot know what they heard last: an answer was missing, or a
    /// crash lost it. The next thing they hear may be old.
    doubtful: Doubts,
    /// Lanes with one that did not arrive, which is not on disk yet.
    lost: Doubts,
    delivered: u64,
}

fn all_labels() -> Vec<String> {
    let mut all = Vec::new();
    for service in 0..3 {
        for (name, severity) in [("a", "critical"), ("b", "warning"), ("c", "info")] {
            all.push(format!(
                "alertname={name},severity={severity},service=s{service}"
            ));
        }
    }
    all
}

impl World {
    fn new(seed: u64) -> Self {
        let notifier = Notifier::new(the_plan());
        Self {
            seed,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            now: 0,
            snapshot: notifier.snapshot(0),
            notifier,
            firing: BTreeMap::new(),
            silences: Vec::new(),
            heard: BTreeMap::new(),
            on_their_way: Vec::new(),
            broken_until: BTreeMap::new(),
            unsaved: Doubts::default(),
            doubtful: Doubts::default(),
            lost: Doubts::default(),
            delivered: 0,
        }
    }

    fn step(&mut self, is_busy: bool) {
        self.now += STEP;
        if is_busy {
            self.happen();
        }
        if self.now % (15 * SECOND) == 0 {
            self.evaluate();
        }
        self.land();
        let due = self.notifier.turn(self.now);
        if !due.is_empty() {
            self.save();
        }
        for notification in due {
            self.judge_mutes(&notification);
            let takes = i64::try_from(self.random.below(4)).unwrap() * STEP;
            self.on_their_way.push((self.now + takes, notification));
        }
        self.land();
        if self.random.below(3) == 0 {
            self.save();
        }
    }

    fn save(&mut self) {
        let text = serde_json::to_string(&self.notifier.snapshot(self.now)).unwrap();
        self.snapshot = serde_json::from_str(&text).unwrap();
        self.unsaved = Doubts::default();
        self.lost = Doubts::default();
    }

    /// Rules evaluate: what fires is posted.
    fn evaluate(&mut self) {
        let now = self.now;
        let post = |(labels, began): (&String, &i64)| alert(labels, *began, now + AHEAD);
        let alerts: Vec<Alert> = self.firing.iter().map(post).collect();
        self.notifier.post(&alerts, now);
    }

    fn happen(&mut self) {
        let all = all_labels();
        let pick = usize::try_from(self.random.below(9)).unwrap();
        match self.random.below(400) {
            0..8 => {
                self.firing.entry(all[pick].clone()).or_insert(self.now);
            }
            8..16 => {
                if let Some(began) = self.firing.remove(&all[pick]) {
                    self.notifier
                        .post(&[alert(&all[pick], began, self.now)], self.now);
                }
            }
            16..18 => self.silence(pick),
            18..20 => {
                let by = ["team", "pager", "boss"][pick % 3].to_owned();
                let long = i64::try_from(self.random.below(20)).unwrap() * MINUTE;
                self.broken_until.insert(by, self.now + long);
            }
            20..23 => self.crash(),
            23..25 => {
                let alert = alert(&all[pick], 0, 0);
                let acknowledgement = Acknowledgement {
                    by: "ann".to_owned(),
                    comment: String::new(),
                    at_ms: self.now,
                };
                // Of what does not fire it is refused.
                drop(
                    self.notifier
                        .acknowledge(Fingerprint::of(&alert.labels), acknowledgement),
                );
            }
            _ => {}
        }
    }

    fn silence(&mut self, pick: usize) {
        let matching = format!("service=s{}", pick % 3);
        let until = self.now + i64::try_from(self.random.below(40) + 1).unwrap() * MINUTE;
        let draft = SilenceDraft {
            replaces: None,
            matchers: matchers::parse(&matching).unwrap(),
            starts_at_ms: self.now,
            ends_at_ms: until,
            created_by: "ann".to_owned(),
            comment: "x".to_owned(),
        };
        let id = format!("s{}", self.now);
        self.notifier.silence(draft, id, self.now).unwrap();
        // Whoever silences is answered when it is on disk.
        self.save();
        self.silences.push((matching, self.now, until));
    }

    /// The process dies and comes back a while later with what is on disk.
    fn crash(&mut self) {
        self.doubtful.take(std::mem::take(&mut self.lost));
        self.doubtful.take(std::mem::take(&mut self.unsaved));
        // What was on its way arrives, or does not; nobody is there to note it.
        for (_, notification) in std::mem::take(&mut self.on_their_way) {
            if self.random.below(2) == 0 && self.works(&notification) {
                self.hear(&notification);
            }
            self.doubtful.add(&notification);
        }
        self.now += i64::try_from(self.random.below(30)).unwrap() * MINUTE / STEP * STEP;
        self.notifier = Notifier::restore(the_plan(), self.snapshot.clone(), self.now);
        self.evaluate();
    }

    fn works(&self, notification: &Notification) -> bool {
        let until = self.broken_until.get(&notification.to.receiver);
        until.is_none_or(|until| *until <= self.now)
    }

    fn land(&mut self) {
        let now = self.now;
        let (landed, flying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.on_their_way)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.on_their_way = flying;
        for (_, notification) in landed {
            if self.works(&notification) {
                self.hear(&notification);
                self.unsaved.add(&notification);
                self.notifier.delivered(notification.id, now);
            } else {
                let fate = if self.random.below(2) == 0 {
                    Fate::Lost
                } else {
                    Fate::Unknown
                };
                match fate {
                    Fate::Unknown => self.doubtful.add(&notification),
                    Fate::Lost => self.lost.add(&notification),
                }
                self.notifier
                    .failed(notification.id, fate, now + 20 * SECOND);
            }
        }
    }

    /// A receiver hears something: is it news?
    fn hear(&mut self, notification: &Notification) {
        self.delivered += 1;
        let (seed, now) = (self.seed, self.now);
        let key = lane(notification);
        let is_doubtful = self.doubtful.settle(notification);
        let heard = self.heard.entry(key).or_default();
        let part = |resolved: bool| -> BTreeSet<Fingerprint> {
            let some = notification
                .alerts
                .iter()
                .filter(|told| told.is_resolved == resolved);
            some.map(|told| told.fingerprint).collect()
        };
        let (firing, resolved) = (part(false), part(true));
        let unheard = resolved.difference(&heard.firing).count();
        let is_news = !firing.is_subset(&heard.firing) || !resolved.is_disjoint(&heard.firing);
        if let Some((last, _)) = &heard.last
            && !is_news
            && unheard == 0
            && !is_doubtful
        {
            assert_eq!(
                notification.reason,
                Reason::Repeated,
                "seed {seed} at {now}"
            );
            assert!(
                now - last >= REPEAT - MINUTE,
                "seed {seed} at {now}: again after {last}"
            );
        }
        assert!(
            unheard == 0 || is_doubtful,
            "seed {seed} at {now}: resolved, and never told"
        );
        heard.firing.extend(&firing);
        heard.firing.retain(|f| !resolved.contains(f));
        heard.last = Some((now, firing));
    }

    /// Nothing that is silenced or inhibited is handed out, by a count of our own.
    fn judge_mutes(&self, notification: &Notification) {
        for told in notification.alerts.iter() {
            let of = |name: &str| told.alert.labels.get(name).unwrap_or_default().to_owned();
            let service = format!("service={}", of("service"));
            let is_silenced = self.silences.iter().any(|(matching, from, until)| {
                *matching == service && (*from..*until).contains(&self.now)
            });
            assert!(
                !is_silenced,
                "seed {}: {} is silenced",
                self.seed, told.alert.labels
            );
            let source = format!("alertname=a,severity=critical,{service}");
            let is_inhibited = of("severity") == "warning" && self.firing.contains_key(&source);
            // Between two evaluations the notifier does not know yet.
            let is_known = self
                .firing
                .get(&source)
                .is_some_and(|at| self.now - at > 15 * SECOND);
            assert!(!(is_inhibited && is_known), "seed {}: inhibited", self.seed);
        }
    }

    /// When all is quiet, everybody knows what fires, and nobody believes in what is over.
    fn judge_end(&mut self) {
        let firing: BTreeSet<Fingerprint> = self
            .firing
            .keys()
            .map(|labels| Fingerprint::of(&alert(labels, 0, 0).labels))
            .collect();
        for labels in self.firing.keys() {
            let alert = alert(labels, 0, 0);
            let of = |name: &str| alert.labels.get(name).unwrap_or_default().to_owned();
            let critical = format!("alertname=a,severity=critical,service={}", of("service"));
            if of("severity") == "warning" && self.firing.contains_key(&critical) {
                continue;
            }
            let fingerprint = Fingerprint::of(&alert.labels);
            let mut wanted = vec!["team"];
            wanted.extend((of("severity") == "critical").then_some("pager"));
            for receiver in wanted {
                let lanes = self.heard.iter().filter(|((to, _), _)| to == receiver);
                let knows = lanes
                    .filter(|(_, heard)| heard.firing.contains(&fingerprint))
                    .count();
                assert!(
                    knows > 0,
                    "seed {}: {receiver} was not told of {labels}",
                    self.seed
                );
            }
        }
        // What is inhibited to the end is left alone: that it is over is told after that.
        let inhibited: BTreeSet<Fingerprint> = (0..3)
            .filter(|n| {
                let source = format!("alertname=a,severity=critical,service=s{n}");
                self.firing.contains_key(&source)
            })
            .map(|n| format!("alertname=b,severity=warning,service=s{n}"))
            .map(|labels| Fingerprint::of(&alert(&labels, 0, 0).labels))
            .collect();
        for ((receiver, group), heard) in &self.heard {
            let over = heard.firing.difference(&firing);
            let stale: Vec<_> = over.filter(|f| !inhibited.contains(f)).collect();
            assert!(
                stale.is_empty(),
                "seed {}: {receiver} of {group}: {stale:?}",
                self.seed
            );
        }
    }
}

fn lane(notification: &Notification) -> (String, String) {
    (
        notification.to.receiver.clone(),
        notification.group_key.clone(),
    )
}

#[test]
fn nobody_is_left_out_nobody_is_told_twice_and_the_muted_stay_quiet() {
    let mut delivered = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        while world.now < BUSY {
            world.step(true);
        }
        let end = world.now + 90 * MINUTE;
        while world.now < end {
            world.step(false);
        }
        world.judge_end();
        delivered += world.delivered;
    }
    assert!(delivered > SEEDS * 20, "the worlds are lively: {delivered}");
}
