//! Stories: text files of events, each followed by the commands it must lead to.
//!
//! ```text
//! # a comment
//! policy cool_down_ms=1000
//! knob pool.size int 1..256 log step=0.5 = 16
//! @0 started
//! @0 seen ledger first gen 0
//! @10 propose 1 ledger pool.size=32 by kim
//! > decided proposal 1, change 1: Admitted.
//! ```
//!
//! A story is right when running it writes it again, byte for byte. `BLESS=1` writes it back.

use std::fmt::Write as _;

use govern::{Command, Event, Governor, Policy, Trust, explain, record};
use model::{
    ApplyCost, Arm, Author, Call, ChangeId, Domain, Ending, Generation, GuardBreach, KnobSpec,
    KnobValue, Order, OrderKind, Outcome, Proposal, ProposalId, Ruling, Scale, StudyId, TrialId,
    Verdict,
};

pub(crate) fn value(text: &str) -> KnobValue {
    if let Ok(v) = text.parse() {
        return KnobValue::Int(v);
    }
    if let Ok(v) = text.parse() {
        return KnobValue::Float(v);
    }
    match text {
        "on" => KnobValue::Bool(true),
        "off" => KnobValue::Bool(false),
        name => KnobValue::Choice(name.into()),
    }
}

fn pairs<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<(String, KnobValue)> {
    let pair = |word: &'a str| {
        let (name, text) = word.split_once('=')?;
        Some((name.to_owned(), value(text)))
    };
    words.into_iter().map_while(pair).collect()
}

/// `pool.size int 1..256 log step=0.5 restart = 16`
pub(crate) fn knob(text: &str) -> KnobSpec {
    let (head, now) = text.rsplit_once(" = ").expect("a knob has a value");
    let mut words = head.split_whitespace();
    let name = words.next().expect("a knob has a name").to_owned();
    let kind = words.next().expect("a knob has a kind");
    let range = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    let scale = if rest.contains(&"log") {
        Scale::Log
    } else {
        Scale::Linear
    };
    let domain = match kind {
        "int" => {
            let (min, max) = range.split_once("..").expect("min..max");
            let (min, max) = (min.parse().unwrap(), max.parse().unwrap());
            Domain::Int { min, max, scale }
        }
        "float" => {
            let (min, max) = range.split_once("..").expect("min..max");
            let (min, max) = (min.parse().unwrap(), max.parse().unwrap());
            Domain::Float { min, max, scale }
        }
        "bool" => Domain::Bool,
        "choice" => Domain::Choice {
            choices: range.split('|').map(str::to_owned).collect(),
            ordered: rest.contains(&"ordered"),
        },
        other => panic!("no kind of knob: {other}"),
    };
    let step = rest.iter().find_map(|w| w.strip_prefix("step="));
    let now = value(now.trim());
    KnobSpec {
        name,
        help: String::new(),
        unit: String::new(),
        domain,
        default: now.clone(),
        baseline: now.clone(),
        value: now,
        max_step: step.map_or(1.0, |s| s.parse().unwrap()),
        apply: if rest.contains(&"restart") {
            ApplyCost::Restart
        } else {
            ApplyCost::Free
        },
    }
}

pub(crate) fn verdict(call: Call) -> Verdict {
    Verdict {
        call,
        effect: None,
        pairs: 12,
        e_value: 40.0,
        alpha: 0.05,
        ending: Ending::Evidence,
        baseline: None,
        variant: None,
    }
}

pub(crate) struct Script {
    policy: Policy,
    knobs: Vec<KnobSpec>,
    pub(crate) governor: Governor,
    orders: Vec<Order>,
    /// The record, and the states it must rebuild.
    lines: Vec<String>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let policy = Policy {
            trust: Trust::Autonomous,
            ..Policy::default()
        };
        Self {
            governor: Governor::new(policy.clone()),
            policy,
            knobs: Vec::new(),
            orders: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Runs a story and writes it again, with the commands it really leads to.
    pub(crate) fn run(&mut self, story: &str) -> String {
        let mut told = String::new();
        for line in story.lines().filter(|line| !line.starts_with('>')) {
            writeln!(told, "{line}").unwrap();
            for command in self.line(line) {
                writeln!(told, "> {}", self.render(&command)).unwrap();
            }
        }
        told
    }

    pub(crate) fn line(&mut self, line: &str) -> Vec<Command> {
        if let Some(words) = line.strip_prefix("policy ") {
            self.set_policy(words);
        } else if let Some(text) = line.strip_prefix("knob ") {
            let knob = knob(text);
            self.knobs.retain(|k| k.name != knob.name);
            self.knobs.push(knob);
        } else if let Some(text) = line.strip_prefix('@') {
            let (at_ms, event) = text.split_once(' ').expect("@time event");
            let at_ms = at_ms.parse().expect("a time in ms");
            let event = self.event(at_ms, event);
            return self.feed(at_ms, event);
        }
        Vec::new()
    }

    pub(crate) fn feed(&mut self, at_ms: i64, event: Event) -> Vec<Command> {
        let turn = self.governor.turn(at_ms, event);
        self.lines.extend(turn.line);
        for command in &turn.commands {
            if let Command::Send(order) = command {
                self.orders.push(order.clone());
            }
        }
        turn.commands
    }

    pub(crate) fn assert_replays(&self) {
        let lines = self.lines.iter().map(String::as_str);
        let rebuilt = record::replay(lines).expect("the record replays");
        assert_eq!(rebuilt, self.governor, "replay equals state");
        let snapshot = self.governor.snapshot(0);
        let rebuilt = record::replay([snapshot.as_str()]).expect("the snapshot replays");
        assert_eq!(rebuilt, self.governor, "snapshot equals state");
    }

    fn set_policy(&mut self, words: &str) {
        let mut policy = serde_json::to_value(&self.policy).unwrap();
        for word in words.split_whitespace() {
            let (key, text) = word.split_once('=').expect("key=value");
            let meant = serde_json::from_str(text).unwrap_or_else(|_| text.into());
            policy[key] = meant;
        }
        self.policy = serde_json::from_value(policy).expect("a policy");
    }

    fn event(&self, at_ms: i64, text: &str) -> Event {
        let words: Vec<&str> = text.split_whitespace().collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let change = || ChangeId(word(1).parse().expect("a change"));
        let by = || words.last().expect("a name").to_string();
        match word(0) {
            "started" => Event::Started {
                policy: self.policy.clone(),
            },
            "seen" => self.seen(&words),
            "lost" => Event::TargetLost {
                target: word(1).into(),
            },
            "propose" => Event::Proposed(proposal(at_ms, &words)),
            "approve" => Event::Approved {
                change: change(),
                by: by(),
            },
            "reject" => Event::Rejected {
                change: change(),
                by: by(),
            },
            "arm" => Event::ArmWanted {
                change: change(),
                arm: arm(word(2)),
            },
            "judge" => Event::Judged {
                change: change(),
                verdict: verdict(call(word(2))),
            },
            "breach" => Event::Breached {
                change: change(),
                breach: GuardBreach {
                    guard: word(2).into(),
                    value: Some(9.0),
                    bound: 5.0,
                    at_ms,
                },
            },
            "done" => Event::Done(self.outcome(at_ms, &words)),
            "red" => Event::RedButton { by: by() },
            "release" => Event::Released { by: by() },
            "trust" => Event::TrustSet {
                trust: serde_json::from_value(word(1).into()).expect("a level"),
            },
            "undo" => Event::UndoAsked {
                change: change(),
                by: by(),
            },
            "unfreeze" => Event::Unfrozen {
                target: word(1).into(),
                by: by(),
            },
            "tick" => Event::Tick,
            "shutdown" => Event::Shutdown {
                put_back: word(1) == "put-back",
            },
            other => panic!("no event: {other}"),
        }
    }

    /// `seen ledger first gen 3 pool.size=32`: with the knobs declared, some at other values;
    /// `baseline:pool.size=32` for another baseline.
    fn seen(&self, words: &[&str]) -> Event {
        let mut knobs = self.knobs.clone();
        for (name, value) in pairs(words.iter().skip(5).copied()) {
            let (is_baseline, name) = match name.strip_prefix("baseline:") {
                Some(name) => (true, name),
                None => (false, name.as_str()),
            };
            let knob = knobs.iter_mut().find(|k| k.name == name).expect("a knob");
            if is_baseline {
                knob.baseline = value;
            } else {
                knob.value = value;
            }
        }
        Event::TargetSeen {
            target: words[1].into(),
            instance: words[2].into(),
            generation: Generation(words[4].parse().expect("a generation")),
            knobs,
        }
    }

    /// `done ok`, `done reads pool.size=16`, `done fails`; of the last order, or `done gen 3 ok`.
    fn outcome(&self, at_ms: i64, words: &[&str]) -> Outcome {
        let (order, how) = if words[1] == "gen" {
            let generation = Generation(words[2].parse().expect("a generation"));
            let sent = self.orders.iter().find(|o| o.generation == generation);
            (sent.expect("an order of that generation"), &words[3..])
        } else {
            (self.orders.last().expect("an order"), &words[1..])
        };
        let result = match how[0] {
            "ok" => Ok(order.values.clone()),
            "reads" => Ok(pairs(how[1..].iter().copied())),
            _ => Err("no answer".to_owned()),
        };
        Outcome {
            order: order.clone(),
            result,
            at_ms,
        }
    }

    fn render(&self, command: &Command) -> String {
        match command {
            Command::Send(order) => render_order(order),
            Command::Decided(decision) => {
                let change = decision.change.map(|c| format!(", change {c}"));
                let rule = match &decision.ruling {
                    Ruling::Defer { why } => format!("defer {} - ", explain::rule(why)),
                    Ruling::Refuse { why } => format!("refuse {} - ", explain::rule(why)),
                    Ruling::Admit | Ruling::AwaitApproval => String::new(),
                };
                format!(
                    "proposal {}{}: {rule}{}",
                    decision.proposal,
                    change.unwrap_or_default(),
                    explain::decision(decision)
                )
            }
            Command::Changed(change) => {
                format!("change {} is {}", change.id, explain::word(change.state))
            }
            Command::BeginTrial { change } => format!("begin the trial of {change}"),
            Command::InForce { change, arm } => format!("in force for {change}: {}", name(*arm)),
            Command::EndTrial { change } => format!("end the trial of {change}"),
            Command::Page { reason } => format!("page: {reason}"),
        }
    }
}

fn proposal(at_ms: i64, words: &[&str]) -> Proposal {
    let by = words.iter().position(|w| *w == "by");
    let author = match by.map(|at| words[at + 1]) {
        Some(name) => Author::Person { name: name.into() },
        None => Author::Study {
            study: StudyId(1),
            trial: TrialId(1),
        },
    };
    Proposal {
        id: ProposalId(words[1].parse().expect("a proposal")),
        target: words[2].into(),
        values: pairs(words[3..].iter().copied()),
        author,
        reason: String::new(),
        expected: None,
        at_ms,
    }
}

fn arm(word: &str) -> Arm {
    match word {
        "baseline" => Arm::Baseline,
        "variant" => Arm::Variant,
        other => panic!("no arm: {other}"),
    }
}

fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::Baseline => "baseline",
        Arm::Variant => "variant",
    }
}

fn call(word: &str) -> Call {
    match word {
        "better" => Call::Better,
        "worse" => Call::Worse,
        "inconclusive" => Call::Inconclusive,
        other => panic!("no call: {other}"),
    }
}

fn render_order(order: &Order) -> String {
    let values: Vec<String> = order
        .values
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    let kind = match order.kind {
        OrderKind::Set => format!("set for {} ms", order.lease_ms),
        OrderKind::Commit => "commit".into(),
        OrderKind::Restore => "restore".into(),
    };
    format!(
        "order {} to {} for {}: {kind}: {}",
        order.generation,
        order.target,
        order.change,
        values.join(" ")
    )
}
