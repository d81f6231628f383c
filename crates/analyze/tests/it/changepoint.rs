//! Offline change points on known answers.

use analyze::changepoint::{Shape, binseg, pelt};

use crate::noise::Noise;

fn steps(seed: u64) -> Vec<f64> {
    let mut noise = Noise::new(seed);
    (0..300)
        .map(|i| noise.gauss() + [0.0, 6.0, 2.0][usize::from(i >= 100) + usize::from(i >= 180)])
        .collect()
}

#[test]
fn both_methods_find_planted_steps() {
    for (name, find) in [
        ("binseg", binseg as fn(&[f64], Shape) -> Vec<usize>),
        ("pelt", pelt),
    ] {
        let found = find(&steps(1), Shape::Level);
        assert_eq!(found.len(), 2, "{name}: {found:?}");
        assert!(
            found[0].abs_diff(100) <= 1 && found[1].abs_diff(180) <= 2,
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_line_is_not_a_staircase_when_lines_are_asked_for() {
    let mut noise = Noise::new(2);
    let bend: Vec<f64> = (0..200)
        .map(|i| noise.gauss() + if i < 120 { 0.0 } else { f64::from(i - 120) })
        .collect();
    let found = pelt(&bend, Shape::Line);
    assert!(found.len() == 1 && found[0].abs_diff(120) <= 6, "{found:?}");
}

#[test]
fn noise_seldom_has_changes() {
    let mut wrong = [0; 2];
    for seed in 0..200 {
        let mut noise = Noise::new(seed);
        let plain: Vec<f64> = (0..200).map(|_| noise.gauss()).collect();
        let wandering: Vec<f64> = (0..200).map(|_| noise.autoregressive(0.5)).collect();
        wrong[0] += usize::from(!pelt(&plain, Shape::Level).is_empty());
        wrong[1] += usize::from(!pelt(&wandering, Shape::Level).is_empty());
    }
    assert!(
        wrong[0] <= 10 && wrong[1] <= 20,
        "of 200 series each: {wrong:?}"
    );
}

#[test]
fn short_and_constant_ranges_have_no_changes() {
    for values in [&[][..], &[1.0], &[1.0, 2.0, 3.0, 4.0, 5.0], &[7.0; 50]] {
        assert_eq!(binseg(values, Shape::Level), [], "{values:?}");
        assert_eq!(pelt(values, Shape::Level), [], "{values:?}");
    }
}
