//! How good the proposals are: against random search, on functions and on measured systems.
//!
//! `cargo run --release -p optimize --example tables` prints the figures in full.

use model::{Goal, Params, Scale};
use numerics::rng::Rng;
use numerics::summary::median;
use optimize::search::Setup;
use optimize::{Method, Observation, Outcome, Search, Space};

use crate::space::float;
use crate::tables;

/// The true value of what a search recommends after `budget` trials.
fn found(
    method: Method,
    space: &Space,
    budget: u32,
    noise: f64,
    seed: u64,
    truth: &dyn Fn(&Params) -> f64,
) -> f64 {
    let mut setup = Setup::offline(method, space.clone(), Goal::Minimize, seed);
    (setup.budget, setup.noise) = (Some(budget), noise);
    let mut search = Search::new(setup).expect("a sound setup");
    let mut draws = Rng::stream(seed, &[2]);
    for _ in 0..budget {
        let asked = search.ask().expect("a large space");
        let value = truth(&asked.params) * (1.0 + noise * draws.normal());
        let told = Observation {
            trial: asked.trial,
            value,
            std_error: 0.0,
            outcome: Outcome::Ok,
        };
        search.tell(told).expect("an open trial");
    }
    truth(&search.recommend().expect("values were told").params)
}

fn cube(dimensions: usize) -> Space {
    let side = |i| float(&format!("x{i:02}"), -5.0, 5.0, Scale::Linear);
    Space::new((0..dimensions).map(side).collect()).expect("a sound space")
}

fn numbers(params: &Params) -> Vec<f64> {
    params
        .iter()
        .map(|(_, value)| match value {
            model::KnobValue::Float(v) => *v,
            other => panic!("a number, not {other}"),
        })
        .collect()
}

type Function = fn(&[f64]) -> f64;

/// Sphere, ellipsoid, Rosenbrock and Rastrigin after Hansen et al., COCO's bbob suite, their
/// optimum moved away from the centre.
fn functions() -> [(&'static str, Function); 4] {
    fn moved(x: &[f64]) -> Vec<f64> {
        x.iter()
            .enumerate()
            .map(|(i, v)| v - 1.7 + 0.6 * i as f64)
            .collect()
    }
    [
        ("sphere", |x| moved(x).iter().map(|z| z * z).sum()),
        ("ellipsoid", |x| {
            let n = x.len() as f64 - 1.0;
            moved(x)
                .iter()
                .enumerate()
                .map(|(i, z)| 1e3f64.powf(i as f64 / n) * z * z)
                .sum()
        }),
        ("rosenbrock", |x| {
            let z: Vec<f64> = moved(x).iter().map(|z| z + 1.0).collect();
            z.windows(2)
                .map(|w| 100.0 * (w[0] * w[0] - w[1]).powi(2) + (w[0] - 1.0).powi(2))
                .sum()
        }),
        ("rastrigin", |x| {
            let bump = |z: &f64| 10.0 + z * z - 10.0 * (std::f64::consts::TAU * z).cos();
            moved(x).iter().map(bump).sum()
        }),
    ]
}

#[test]
fn the_model_beats_random_search_on_smooth_functions() {
    let space = cube(4);
    for (name, f) in functions() {
        let middle = |method| {
            let runs = (0..3).map(|seed| found(method, &space, 60, 0.0, seed, &|p| f(&numbers(p))));
            median(&runs.collect::<Vec<_>>()).expect("three runs")
        };
        let (random, model) = (middle(Method::Random), middle(Method::TrustRegionGp));
        let wanted = if name == "rastrigin" { 0.9 } else { 0.2 };
        assert!(model < wanted * random, "{name}: {model} against {random}");
    }
}

#[test]
fn failures_are_avoided() {
    // The best lies beside a cliff behind which everything fails.
    let space = cube(2);
    let failures = |method, seed| {
        let mut search =
            Search::new(Setup::offline(method, space.clone(), Goal::Minimize, seed)).unwrap();
        let mut failed = 0;
        for _ in 0..50 {
            let asked = search.ask().unwrap();
            let x = numbers(&asked.params);
            let outcome = if x[0] > 1.0 {
                Outcome::Failed
            } else {
                Outcome::Ok
            };
            failed += u32::from(outcome == Outcome::Failed);
            let value = (x[0] - 0.8).powi(2) + (x[1] + 2.0).powi(2);
            search
                .tell(Observation {
                    trial: asked.trial,
                    value,
                    std_error: 0.0,
                    outcome,
                })
                .unwrap();
        }
        failed
    };
    let all = |method| (0..4).map(|seed| failures(method, seed)).sum::<u32>();
    let (random, model) = (all(Method::Random), all(Method::TrustRegionGp));
    assert!(2 * model < random, "{model} against {random}");
}

#[test]
fn good_configurations_of_measured_systems_are_found() {
    let Some(folder) = tables::folder() else {
        #[expect(clippy::print_stdout, reason = "a test that skips itself says so")]
        {
            println!("skipped: the data set system_tables is not there");
        }
        return;
    };
    for table in tables::all(&folder) {
        // The large tables make a look-up slow; the example runs them.
        if table.values().len() > 5_000 {
            continue;
        }
        let percentile = |noise: f64| {
            let truth = |p: &Params| table.value(p);
            let run = |s| {
                table.percentile(found(
                    Method::TrustRegionGp,
                    &table.space,
                    60,
                    noise,
                    s,
                    &truth,
                ))
            };
            median(&(0..3).map(run).collect::<Vec<_>>()).expect("three runs")
        };
        let exact = percentile(0.0);
        assert!(exact <= 6.0, "{}: {exact} % are better", table.name);
        let noisy = percentile(0.1);
        assert!(
            noisy <= 45.0,
            "{}: {noisy} % are better under noise",
            table.name
        );
    }
}
