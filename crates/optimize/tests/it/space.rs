//! Spaces: what may be tried, and the way to the unit cube and back.

use model::{Domain, KnobValue, Scale};
use numerics::rng::Rng;
use optimize::{Param, Space, SpaceError};
use proptest::prelude::*;

pub(crate) fn int(name: &str, min: i64, max: i64, scale: Scale) -> Param {
    Param::new(name, Domain::Int { min, max, scale })
}

pub(crate) fn float(name: &str, min: f64, max: f64, scale: Scale) -> Param {
    Param::new(name, Domain::Float { min, max, scale })
}

pub(crate) fn choice(name: &str, choices: &[&str], ordered: bool) -> Param {
    let choices = choices.iter().map(|c| (*c).to_owned()).collect();
    Param::new(name, Domain::Choice { choices, ordered })
}

/// One of each kind.
pub(crate) fn mixed() -> Space {
    Space::new(vec![
        int("pages", 1, 4_096, Scale::Log),
        int("workers", 1, 16, Scale::Linear),
        float("share", 0.1, 0.9, Scale::Linear),
        float("linger_ms", 0.01, 50.0, Scale::Log),
        Param::new("direct", Domain::Bool),
        choice("policy", &["lru", "lfu", "clock", "arc"], false),
        choice("size", &["small", "medium", "large"], true),
    ])
    .expect("a sound space")
}

fn domain() -> impl Strategy<Value = Domain> {
    let scale = |log| if log { Scale::Log } else { Scale::Linear };
    prop_oneof![
        (any::<i32>(), 0i64..1 << 40).prop_map(|(min, width)| Domain::Int {
            min: i64::from(min),
            max: i64::from(min) + width,
            scale: Scale::Linear
        }),
        (1i64..1_000, 0i64..1 << 40).prop_map(|(min, width)| Domain::Int {
            min,
            max: min + width,
            scale: Scale::Log
        }),
        (1u32..1_000_000, 1u32..1_000_000, any::<bool>()).prop_map(move |(min, width, log)| {
            let min = f64::from(min) / 1e3;
            Domain::Float {
                min,
                max: min + f64::from(width) / 1e3,
                scale: scale(log),
            }
        }),
        Just(Domain::Bool),
        (1usize..9, any::<bool>()).prop_map(|(n, ordered)| Domain::Choice {
            choices: (0..n).map(|i| format!("c{i}")).collect(),
            ordered
        }),
    ]
}

proptest! {
    #[test]
    fn every_value_comes_back_exactly(domain in domain(), u in 0.0f64..=1.0) {
        let space = Space::new(vec![Param::new("p", domain.clone())]).unwrap();
        for u in [u, 0.0, 1.0] {
            let params = space.decode(&[u]);
            prop_assert!(domain.contains(&params[0].1), "{params:?}");
            let point = space.encode(&params).unwrap();
            prop_assert_eq!(&space.decode(&point), &params);
            prop_assert_eq!(&space.encode(&space.decode(&point)).unwrap(), &point);
        }
    }

    #[test]
    fn draws_stay_in_their_region(domain in domain(), a in 0.0f64..=1.0, b in 0.0f64..=1.0, seed: u64) {
        let param = Param::new("p", domain);
        let (low, high) = (a.min(b), a.max(b));
        if let Some(u) = param.draw(low, high, &mut Rng::new(seed)) {
            prop_assert!(low - 1e-9 <= u && u <= high + 1e-9, "{u} in {low}..{high}");
            prop_assert!(param.levels().is_none() || param.snap(u) == u);
        }
    }
}

#[test]
fn draws_are_uniform_over_the_values() {
    let mut rng = Rng::new(1);
    for (param, counts) in [
        (int("a", 3, 7, Scale::Linear), 5),
        (choice("b", &["x", "y", "z"], false), 3),
        (Param::new("c", Domain::Bool), 2),
    ] {
        let mut seen = vec![0u32; counts];
        for _ in 0..10_000 {
            let u = param.draw(0.0, 1.0, &mut rng).unwrap();
            seen[(u * (counts - 1) as f64).round() as usize] += 1;
        }
        let wanted = 10_000.0 / counts as f64;
        assert!(
            seen.iter()
                .all(|&n| (f64::from(n) - wanted).abs() < 5.0 * wanted.sqrt()),
            "{seen:?}"
        );
    }
    let log = int("d", 1, 1_024, Scale::Log);
    let small = (0..10_000)
        .filter(|_| log.draw(0.0, 1.0, &mut rng).unwrap() < 0.5)
        .count();
    // ln(31.5 / 0.5) / ln(1024.5 / 0.5) of the mass lies at 31 and below, the middle being 32.
    assert!((small as f64 / 10_000.0 - 0.543).abs() < 0.03, "{small}");
}

#[test]
fn spaces_nobody_can_search_are_refused() {
    let refuse = |params: Vec<Param>| Space::new(params).map(|_| ()).unwrap_err();
    assert_eq!(refuse(vec![]), SpaceError::Empty);
    let twice = refuse(vec![
        int("a", 0, 1, Scale::Linear),
        int("a", 0, 2, Scale::Linear),
    ]);
    assert_eq!(twice, SpaceError::Repeated("a".into()));
    for bad in [
        int("a", 2, 1, Scale::Linear),
        int("a", 0, 1, Scale::Log),
        int("a", i64::MIN, i64::MAX, Scale::Linear),
        float("a", 0.0, f64::INFINITY, Scale::Linear),
        float("a", 0.0, 1.0, Scale::Log),
        choice("a", &[], true),
        choice("a", &["x", "x"], true),
        Param {
            max_step: f64::NAN,
            ..int("a", 0, 1, Scale::Linear)
        },
    ] {
        assert!(matches!(refuse(vec![bad]), SpaceError::Domain { .. }));
    }
}

#[test]
fn values_that_do_not_fit_are_refused_with_their_name() {
    let space = Space::new(vec![
        int("a", 0, 9, Scale::Linear),
        Param::new("b", Domain::Bool),
    ])
    .unwrap();
    let encode = |values: &[(&str, KnobValue)]| {
        space.encode(
            &values
                .iter()
                .map(|(n, v)| ((*n).to_owned(), v.clone()))
                .collect(),
        )
    };
    let (a, b) = (("a", KnobValue::Int(3)), ("b", KnobValue::Bool(true)));
    assert_eq!(encode(&[b.clone(), a.clone()]), Ok(vec![3.0 / 9.0, 1.0]));
    assert_eq!(
        encode(std::slice::from_ref(&a)),
        Err(SpaceError::Missing("b".into()))
    );
    assert_eq!(
        encode(&[a.clone(), b.clone(), ("c", KnobValue::Int(1))]),
        Err(SpaceError::Unknown("c".into()))
    );
    let outside = encode(&[("a", KnobValue::Int(10)), b]).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "parameter \"a\": 10 is not a whole number from 0 to 9"
    );
}
