//! One study at work: asks the search for the next trial, and tells it what came of the last.

use std::collections::{BTreeMap, BTreeSet};

use ::optimize::{Log, Method, Observation, Outcome, Search, Setup, Space};
use model::{
    ApplyCost, Author, Change, ChangeId, ChangeState, Domain, KnobSpec, Params, Proposal,
    ProposalId, Study, StudyId, StudyState, TrialId, TrialState,
};
use validate::location::Location;

use crate::config::{self, Target};

/// A study and its search.
#[derive(Debug)]
pub(crate) struct Tuner {
    pub(crate) study: Study,
    pub(crate) trials: BTreeMap<TrialId, model::Trial>,
    search: Search,
    /// The trial that waits for its result.
    open: Option<Open>,
    trials_max: u32,
    /// Lines of the search's log already handed out for the record.
    recorded: usize,
    /// Trials that changed since they were handed out for the record.
    touched: BTreeSet<TrialId>,
}

/// What of a study has to be recorded after a turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) study: Study,
    /// Trials that changed.
    pub(crate) trials: Vec<model::Trial>,
    /// New lines of the search's log: first its set-up, then one event each.
    pub(crate) lines: Vec<String>,
}

/// The trial under way.
#[derive(Debug)]
struct Open {
    trial: TrialId,
    proposal: ProposalId,
    change: Option<ChangeId>,
    /// What the conductor measured, noted before the change ends.
    measured: Option<Location>,
}

impl Tuner {
    /// A study of a target's knobs, from the values in force. `None` when there is nothing to
    /// search: no knob that can be changed live.
    pub(crate) fn begin(
        id: StudyId,
        target: &Target,
        said: &config::Study,
        knobs: &[KnobSpec],
        seed: u64,
        now_ms: i64,
    ) -> Option<Self> {
        let searched = searched(said, knobs);
        let method = method(&said.method);
        let space = Space::of_knobs(&searched).ok()?;
        let incumbent: Params = searched
            .iter()
            .map(|k| (k.name.clone(), k.value.clone()))
            .collect();
        let setup = Setup {
            budget: Some(said.trials_max),
            hints: said
                .try_first
                .iter()
                .map(|hint| completed(&incumbent, hint))
                .collect(),
            ..Setup::live(method, space, target.objective.goal, seed, incumbent)
        };
        let study = Study {
            id,
            target: target.name.clone(),
            objective: target.objective.query.clone(),
            goal: target.objective.goal,
            method: said.method.clone(),
            seed,
            state: StudyState::Running,
            begun_ms: now_ms,
        };
        let search = Search::new(setup).ok()?;
        Some(Self {
            study,
            trials: BTreeMap::new(),
            search,
            open: None,
            trials_max: said.trials_max,
            recorded: 0,
            touched: BTreeSet::new(),
        })
    }

    /// A study as its record left it: `lines` as [`Tuner::progress`] gave them. A trial that was
    /// open is lost with the process that ran it.
    pub(crate) fn resume(
        study: Study,
        trials: Vec<model::Trial>,
        lines: &[String],
        trials_max: u32,
    ) -> Result<Self, ResumeError> {
        let (setup, events) = lines.split_first().ok_or(ResumeError::Empty)?;
        let log = Log {
            setup: serde_json::from_str(setup)?,
            events: events
                .iter()
                .map(|l| serde_json::from_str(l))
                .collect::<Result<_, _>>()?,
        };
        let mut tuner = Self {
            study,
            trials: trials.into_iter().map(|t| (t.id, t)).collect(),
            search: Search::resume(log)?,
            open: None,
            trials_max,
            recorded: lines.len(),
            touched: BTreeSet::new(),
        };
        let open: Vec<TrialId> = tuner.of_state(TrialState::Open).collect();
        for trial in open {
            tuner.close(trial, None, Outcome::Failed);
        }
        Ok(tuner)
    }

    fn of_state(&self, state: TrialState) -> impl Iterator<Item = TrialId> {
        self.trials
            .values()
            .filter(move |t| t.state == state)
            .map(|t| t.id)
    }

    /// What changed since the last call, for the record.
    pub(crate) fn progress(&mut self) -> Progress {
        let mut lines = Vec::new();
        if self.recorded == 0 {
            lines.push(line(self.search.history().setup()));
        }
        let new = self
            .search
            .events()
            .iter()
            .skip(self.recorded.saturating_sub(1));
        lines.extend(new.map(line));
        self.recorded += lines.len();
        let touched = std::mem::take(&mut self.touched);
        let trials = touched
            .iter()
            .filter_map(|id| self.trials.get(id).cloned())
            .collect();
        Progress {
            study: self.study.clone(),
            trials,
            lines,
        }
    }

    /// Whether it wants to try something: running, and nothing open.
    pub(crate) fn is_idle(&self) -> bool {
        self.study.state == StudyState::Running && self.open.is_none()
    }

    /// The next proposal; ends the study when its budget is used or nothing is left to try.
    pub(crate) fn propose(&mut self, id: ProposalId, now_ms: i64) -> Option<Proposal> {
        if self.trials.len() >= self.trials_max as usize {
            self.study.state = StudyState::Done;
            return None;
        }
        let Ok(asked) = self.search.ask() else {
            self.study.state = StudyState::Done;
            return None;
        };
        self.open = Some(Open {
            trial: asked.trial,
            proposal: id,
            change: None,
            measured: None,
        });
        let trial = model::Trial {
            id: asked.trial,
            study: self.study.id,
            change: None,
            params: asked.params.clone(),
            state: TrialState::Open,
            value: None,
            error: None,
            at_ms: now_ms,
        };
        self.touched.insert(trial.id);
        self.trials.insert(trial.id, trial);
        Some(Proposal {
            id,
            target: self.study.target.clone(),
            values: asked.params,
            author: Author::Study {
                study: self.study.id,
                trial: asked.trial,
            },
            reason: format!("{} search, trial {}", self.study.method, asked.trial),
            expected: None,
            at_ms: now_ms,
        })
    }

    /// The governor ruled on a proposal. Returns whether it was this study's.
    pub(crate) fn ruled(&mut self, decision: &model::Decision) -> bool {
        let Some(open) = self
            .open
            .as_mut()
            .filter(|o| o.proposal == decision.proposal)
        else {
            return false;
        };
        open.change = decision.change;
        let trial = open.trial;
        if let Some(trial) = self.trials.get_mut(&trial) {
            trial.change = decision.change;
            self.touched.insert(trial.id);
        }
        match decision.ruling {
            model::Ruling::Admit | model::Ruling::AwaitApproval => {}
            // Not tried: nothing was learnt about the values, and the search goes elsewhere.
            model::Ruling::Defer { .. } | model::Ruling::Refuse { .. } => {
                self.close(trial, None, Outcome::Failed);
            }
        }
        true
    }

    /// Notes what the conductor of a change measured.
    pub(crate) fn measured(&mut self, change: ChangeId, location: Option<Location>) {
        if let Some(open) = self.open.as_mut().filter(|o| o.change == Some(change)) {
            open.measured = location;
        }
    }

    /// A change of this target ended: tells the search, and moves its incumbent when values were
    /// kept, whoever proposed them.
    pub(crate) fn ended(&mut self, change: &Change, knobs: &[KnobSpec]) {
        if let Some(open) = self.open.as_ref().filter(|o| o.change == Some(change.id)) {
            let (trial, measured) = (open.trial, open.measured);
            let outcome = match change.state {
                ChangeState::Kept | ChangeState::Undone if change.breach.is_none() => Outcome::Ok,
                _ => Outcome::Failed,
            };
            self.close(trial, measured, outcome);
        }
        if change.state == ChangeState::Kept {
            self.promote(knobs);
        }
    }

    /// The values in force are the new incumbent.
    fn promote(&mut self, knobs: &[KnobSpec]) {
        let names = self
            .search
            .history()
            .space()
            .params()
            .iter()
            .map(|p| p.name.clone());
        let params: Option<Params> = names
            .map(|name| {
                let knob = knobs.iter().find(|k| k.name == name)?;
                Some((name, knob.value.clone()))
            })
            .collect();
        let Some(params) = params else { return };
        if let Err(error) = self.search.promote(params) {
            tracing::warn!(%error, "the study cannot follow the values in force");
        }
    }

    fn close(&mut self, id: TrialId, measured: Option<Location>, outcome: Outcome) {
        self.open = None;
        let outcome = if measured.is_some() {
            outcome
        } else {
            Outcome::Failed
        };
        let value = measured.map_or(0.0, |m| m.estimate);
        let std_error = measured.and_then(|m| m.std_error).unwrap_or(0.0);
        let told = self.search.tell(Observation {
            trial: id,
            value,
            std_error,
            outcome,
        });
        if let Err(error) = told {
            tracing::warn!(trial = %id, %error, "the search cannot take a result");
        }
        if let Some(trial) = self.trials.get_mut(&id) {
            let complete = outcome == Outcome::Ok;
            trial.state = if complete {
                TrialState::Complete
            } else {
                TrialState::Failed
            };
            trial.value = measured.map(|m| m.estimate);
            trial.error = measured.and_then(|m| m.std_error);
            self.touched.insert(id);
        }
    }

    /// Asks nothing more.
    pub(crate) fn stop(&mut self) {
        self.study.state = StudyState::Done;
    }
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the log of a search is JSON")
}

/// Why a study cannot go on where its record ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error("its log is empty")]
    Empty,
    #[error("a line of its log is not of this program")]
    Line(#[from] serde_json::Error),
    #[error("its log does not fit together")]
    Search(#[from] ::optimize::Error),
}

/// The knobs a study searches: those named, or all; never one that needs a restart. Steps are no
/// longer than the study wants; a knob with two values is always one step.
fn searched(said: &config::Study, knobs: &[KnobSpec]) -> Vec<KnobSpec> {
    knobs
        .iter()
        .filter(|k| said.knobs.is_empty() || said.knobs.contains(&k.name))
        .filter(|k| k.apply != ApplyCost::Restart)
        .cloned()
        .map(|mut k| {
            if matches!(k.domain, Domain::Int { .. } | Domain::Float { .. }) {
                k.max_step = k.max_step.min(said.step);
            }
            k
        })
        .collect()
}

/// A hint names some knobs; the others stay where they are.
fn completed(incumbent: &Params, hint: &Params) -> Params {
    let wanted = |name: &String| hint.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    incumbent
        .iter()
        .map(|(n, v)| (n.clone(), wanted(n).unwrap_or_else(|| v.clone())))
        .collect()
}

fn method(name: &str) -> Method {
    match name {
        "random" => Method::Random,
        _ => Method::TrustRegionGp,
    }
}
