//! Searches: the log is the truth.

use model::{Goal, KnobValue, Params, Scale, TrialId};
use numerics::rng::Rng;
use optimize::search::Setup;
use optimize::{Error, Log, Method, Observation, Outcome, Param, Search, Space, Taken};

use crate::space::{choice, int, mixed};

pub(crate) const METHODS: [Method; 2] = [Method::Random, Method::TrustRegionGp];

pub(crate) fn ok(trial: TrialId, value: f64) -> Observation {
    Observation {
        trial,
        value,
        std_error: 0.0,
        outcome: Outcome::Ok,
    }
}

/// A made-up objective over any space: smooth, with its optimum inside.
fn bowl(space: &Space, params: &Params) -> f64 {
    let point = space.encode(params).expect("a trial fits the space");
    point
        .iter()
        .enumerate()
        .map(|(i, u)| (u - 0.3 - 0.05 * i as f64).powi(2))
        .sum()
}

fn result(space: &Space, trial: TrialId, params: &Params) -> Observation {
    let mut rng = Rng::stream(99, &[trial.0]);
    let value = bowl(space, params) + 0.01 * rng.normal();
    let outcome = if rng.chance(0.1) {
        Outcome::Failed
    } else {
        Outcome::Ok
    };
    Observation {
        trial,
        value,
        std_error: 0.01,
        outcome,
    }
}

/// Through JSON, as after a crash.
fn reread(log: &Log) -> Log {
    let text = serde_json::to_string(log).expect("a log can be written");
    serde_json::from_str(&text).expect("a log can be read")
}

#[test]
fn a_thousand_of_a_thousand_resumed_searches_ask_the_same_next_trial() {
    let space = mixed();
    let mut resumed = 0;
    for method in METHODS {
        for seed in 0..25 / METHODS.len() as u64 + 1 {
            let mut setup = Setup::offline(method, space.clone(), Goal::Minimize, seed);
            setup.incumbent = (seed % 2 == 0).then(|| space.decode(&[0.5; 7]));
            setup.relative = seed % 4 == 0;
            let mut search = Search::new(setup).unwrap();
            for round in 0..40 {
                let mut again = Search::resume(reread(&search.log())).unwrap();
                let asked = search.ask().unwrap();
                assert_eq!(
                    again.ask().unwrap(),
                    asked,
                    "{method:?}, seed {seed}, round {round}"
                );
                resumed += 1;
                // Some trials stay open for a while, one is promoted.
                if round % 5 != 4 {
                    search
                        .tell(result(&space, asked.trial, &asked.params))
                        .unwrap();
                }
                if round == 20 {
                    search.promote(asked.params).unwrap();
                }
            }
        }
    }
    assert!(resumed >= 1_000, "{resumed}");
}

#[test]
fn telling_twice_changes_nothing_and_an_unknown_trial_is_refused() {
    for method in METHODS {
        let space = mixed();
        let mut search = Search::new(Setup::offline(method, space, Goal::Minimize, 1)).unwrap();
        let trial = search.ask().unwrap().trial;
        assert_eq!(
            search.tell(ok(TrialId(77), 1.0)),
            Err(Error::Unasked(TrialId(77)))
        );
        assert_eq!(search.tell(ok(trial, f64::NAN)), Err(Error::Value(trial)));
        assert_eq!(search.tell(ok(trial, 1.0)), Ok(Taken::New));
        let before = search.log();
        assert_eq!(search.tell(ok(trial, 2.0)), Ok(Taken::Repeated));
        assert_eq!(search.log(), before);
    }
}

#[test]
fn a_live_search_steps_no_further_than_allowed_and_never_repeats() {
    for method in METHODS {
        for seed in 0..10 {
            let limited = |max_step| {
                move |p: &Param| Param {
                    max_step,
                    ..p.clone()
                }
            };
            let space = Space::new(mixed().params().iter().map(limited(0.2)).collect()).unwrap();
            let home = space.decode(&[0.5; 7]);
            let at = space.encode(&home).unwrap();
            let mut search = Search::new(Setup::live(
                method,
                space.clone(),
                Goal::Minimize,
                seed,
                home.clone(),
            ))
            .unwrap();
            let mut seen = vec![home.clone()];
            for _ in 0..30 {
                let asked = search.ask().unwrap();
                let point = space.encode(&asked.params).unwrap();
                for ((param, to), from) in space.params().iter().zip(&point).zip(&at) {
                    let notch = param.neighbours(*from).contains(&Some(*to));
                    let free = param.is_unordered() || param.levels() == Some(2);
                    let near = (to - from).abs() <= 0.2 + 1e-9;
                    assert!(near || notch || free, "{}: {from} to {to}", param.name);
                }
                assert!(
                    !seen.contains(&asked.params),
                    "{method:?}: {:?} again",
                    asked.params
                );
                search
                    .tell(result(&space, asked.trial, &asked.params))
                    .unwrap();
                seen.push(asked.params);
            }
        }
    }
}

#[test]
fn a_small_space_is_exhausted_and_says_so() {
    for method in METHODS {
        let space = Space::new(vec![
            int("a", 0, 2, Scale::Linear),
            choice("b", &["x", "y"], false),
        ])
        .unwrap();
        let home = space.decode(&[0.0, 0.0]);
        let mut search = Search::new(Setup::live(method, space, Goal::Minimize, 1, home)).unwrap();
        for i in 0..5 {
            let trial = search
                .ask()
                .expect("five points besides the incumbent")
                .trial;
            search.tell(ok(trial, f64::from(i))).unwrap();
        }
        assert_eq!(search.ask(), Err(Error::Exhausted), "{method:?}");
    }
}

#[test]
fn the_incumbent_and_the_hints_come_first() {
    for method in METHODS {
        let space = mixed();
        let mut setup = Setup::offline(method, space.clone(), Goal::Minimize, 1);
        setup.incumbent = Some(space.decode(&[0.5; 7]));
        setup.hints = vec![
            space.decode(&[0.2; 7]),
            space.decode(&[0.5; 7]),
            space.decode(&[0.9; 7]),
        ];
        let firsts = [
            setup.incumbent.clone().unwrap(),
            setup.hints[0].clone(),
            setup.hints[2].clone(),
        ];
        let mut search = Search::new(setup).unwrap();
        for first in firsts {
            assert_eq!(search.ask().unwrap().params, first);
        }
        assert_ne!(search.ask().unwrap().params, space.decode(&[0.9; 7]));
    }
}

#[test]
fn recommends_the_best_of_exact_values_either_way() {
    for method in METHODS {
        for (goal, wanted) in [(Goal::Minimize, 1.0), (Goal::Maximize, 9.0)] {
            let mut search = Search::new(Setup::offline(method, mixed(), goal, 3)).unwrap();
            assert!(search.recommend().is_none());
            let mut best = None;
            for value in [5.0, 9.0, 1.0, 4.0, 4.5, 5.5] {
                let asked = search.ask().unwrap();
                search.tell(ok(asked.trial, value)).unwrap();
                if (value - wanted).abs() < 1e-9 {
                    best = Some(asked.params);
                }
            }
            let found = search.recommend().unwrap();
            assert_eq!(Some(found.params), best);
            assert!((found.value - wanted).abs() < 0.5, "{}", found.value);
        }
    }
}

#[test]
fn values_that_do_not_fit_are_refused_with_their_role() {
    let mut setup = Setup::offline(Method::Random, mixed(), Goal::Minimize, 1);
    setup.incumbent = Some(vec![("pages".into(), KnobValue::Int(1))]);
    let error = Search::new(setup).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the incumbent does not fit the space");
}
