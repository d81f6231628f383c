//! The ask/tell protocol: a search as a conversation, one JSON object a line.
//!
//! `init` starts a study, `ask` returns trials, `tell` takes results, `recommend` says what to
//! deploy, `close` ends it. Every request has exactly one reply, `{"error": ...}` where it cannot
//! be served; unknown keys are ignored. A switch travels as its position, 0 or 1; a choice as it
//! was given. Pure: a line in, a line out; whoever owns the pipe reads and writes it.

use model::{Domain, Goal, KnobValue, Params, Scale, TrialId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::history::{Observation, Outcome};
use crate::optimizer::Method;
use crate::search::{Search, Setup};
use crate::space::{Param, Space};

/// Most trials of one `ask`.
const ASK_MAX: u64 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    Init(Init),
    Ask {
        #[serde(default = "one")]
        n: u64,
    },
    Tell {
        results: Vec<Told>,
    },
    Recommend,
    Close,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
struct Init {
    space: Vec<Spec>,
    budget: Option<u32>,
    #[serde(default)]
    seed: u64,
    #[serde(default = "minimize")]
    direction: Goal,
    #[serde(default)]
    noise: f64,
    #[serde(default)]
    n_constraints: usize,
}

fn minimize() -> Goal {
    Goal::Minimize
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Spec {
    Float {
        name: String,
        low: f64,
        high: f64,
        #[serde(default)]
        log: bool,
    },
    Int {
        name: String,
        low: i64,
        high: i64,
        #[serde(default)]
        log: bool,
    },
    Bool {
        name: String,
    },
    Cat {
        name: String,
        choices: Vec<Value>,
        #[serde(default)]
        ordered: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Told {
    id: u64,
    value: Option<f64>,
    #[serde(default)]
    constraints: Vec<f64>,
}

/// A study under way.
#[derive(Debug)]
struct Study {
    search: Search,
    constraints: usize,
}

/// One conversation.
#[derive(Debug)]
pub struct Session {
    method: Method,
    study: Option<Study>,
    closed: bool,
}

impl Session {
    /// A conversation in which this method answers.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self {
            method,
            study: None,
            closed: false,
        }
    }

    /// Whether `close` was asked for: nothing more is to be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The reply to one line, without its line break.
    pub fn reply(&mut self, line: &str) -> String {
        let served = serde_json::from_str::<Request>(line)
            .map_err(|e| format!("not a request: {e}"))
            .and_then(|request| self.serve(request));
        served
            .unwrap_or_else(|wrong| json!({ "error": wrong }))
            .to_string()
    }

    fn serve(&mut self, request: Request) -> Result<Value, String> {
        match request {
            Request::Init(init) => {
                self.study = Some(Study::begin(self.method, init)?);
                Ok(json!({ "ok": true }))
            }
            Request::Ask { n } => self.study()?.ask(n),
            Request::Tell { results } => self.study()?.tell(&results),
            Request::Recommend => self.study()?.recommend(),
            Request::Close => {
                self.closed = true;
                Ok(json!({ "ok": true }))
            }
        }
    }

    fn study(&mut self) -> Result<&mut Study, String> {
        self.study
            .as_mut()
            .ok_or_else(|| "no study: send init first".to_owned())
    }
}

impl Study {
    fn begin(method: Method, init: Init) -> Result<Self, String> {
        if !(init.noise.is_finite() && init.noise >= 0.0) {
            return Err("noise must be a number of at least 0".into());
        }
        let space = Space::new(init.space.into_iter().map(param).collect());
        let mut setup = Setup::offline(
            method,
            space.map_err(|e| e.to_string())?,
            init.direction,
            init.seed,
        );
        (setup.budget, setup.noise) = (init.budget, init.noise);
        let search = Search::new(setup).map_err(|e| e.to_string())?;
        Ok(Self {
            search,
            constraints: init.n_constraints,
        })
    }

    fn ask(&mut self, n: u64) -> Result<Value, String> {
        if !(1..=ASK_MAX).contains(&n) {
            return Err(format!("n must lie between 1 and {ASK_MAX}"));
        }
        let mut trials = Vec::new();
        for _ in 0..n {
            let asked = self.search.ask().map_err(|e| e.to_string())?;
            trials.push(json!({ "id": asked.trial.0, "params": written(&asked.params) }));
        }
        Ok(json!({ "trials": trials }))
    }

    /// All results or none: what is wrong is found before anything is told.
    fn tell(&mut self, results: &[Told]) -> Result<Value, String> {
        let observations: Vec<Observation> = results
            .iter()
            .map(|told| self.observation(told))
            .collect::<Result<_, _>>()?;
        for observation in observations {
            self.search.tell(observation).map_err(|e| e.to_string())?;
        }
        Ok(json!({ "ok": true }))
    }

    fn observation(&self, told: &Told) -> Result<Observation, String> {
        let trial = TrialId(told.id);
        if !self.search.history().is_asked(trial) {
            return Err(format!("trial {trial} was never asked"));
        }
        if told.constraints.len() != self.constraints {
            return Err(format!(
                "trial {trial}: {} constraints wanted",
                self.constraints
            ));
        }
        let feasible = told.constraints.iter().all(|c| *c <= 0.0);
        let outcome = match told.value {
            None => Outcome::Failed,
            Some(_) if !feasible => Outcome::Infeasible,
            Some(_) => Outcome::Ok,
        };
        Ok(Observation {
            trial,
            value: told.value.unwrap_or(0.0),
            std_error: 0.0,
            outcome,
        })
    }

    fn recommend(&self) -> Result<Value, String> {
        let best = self
            .search
            .recommend()
            .ok_or("nothing feasible was told yet")?;
        Ok(json!({ "params": written(&best.params) }))
    }
}

fn written(params: &Params) -> Value {
    let entry = |(name, value): &(String, KnobValue)| {
        let given = match value {
            KnobValue::Bool(on) => json!(u8::from(*on)),
            KnobValue::Int(v) => json!(v),
            KnobValue::Float(v) => json!(v),
            // Choices are kept as the JSON they came in.
            KnobValue::Choice(json) => serde_json::from_str(json).expect("a choice came as JSON"),
        };
        (name.clone(), given)
    };
    Value::Object(params.iter().map(entry).collect::<Map<_, _>>())
}

fn param(spec: Spec) -> Param {
    let scale = |log| if log { Scale::Log } else { Scale::Linear };
    let (name, domain) = match spec {
        Spec::Float {
            name,
            low,
            high,
            log,
        } => (
            name,
            Domain::Float {
                min: low,
                max: high,
                scale: scale(log),
            },
        ),
        Spec::Int {
            name,
            low,
            high,
            log,
        } => (
            name,
            Domain::Int {
                min: low,
                max: high,
                scale: scale(log),
            },
        ),
        Spec::Bool { name } => (name, Domain::Bool),
        Spec::Cat {
            name,
            choices,
            ordered,
        } => {
            let choices = choices.iter().map(Value::to_string).collect();
            (name, Domain::Choice { choices, ordered })
        }
    };
    Param::new(&name, domain)
}
