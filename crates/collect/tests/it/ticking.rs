//! The rhythm over a day of virtual time.

use std::time::Duration;

use collect::Ticker;

#[test]
fn a_day_of_one_second_ticks_does_not_drift_however_late_each_is_served() {
    let second = Duration::from_secs(1);
    let begun_ms = 1_700_000_000_000;
    let mut ticker = Ticker::new(second, begun_ms, Duration::ZERO);
    // A small generator (Knuth's MMIX): late by up to 0.9 s, as on a busy machine.
    let mut state = 7_u64;
    for tick in 0..86_400_u64 {
        assert_eq!(
            ticker.deadline(),
            second * u32::try_from(tick).unwrap(),
            "an absolute deadline"
        );
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let late = Duration::from_millis((state >> 33) % 900);
        let now = ticker.deadline() + late;
        let wall_ms = begun_ms + i64::try_from(now.as_millis()).unwrap();
        let fired = ticker.fire(wall_ms, now).unwrap();
        let due_ms = begun_ms + 1_000 * i64::try_from(tick).unwrap();
        assert_eq!(
            (fired.stamp_ms, fired.skipped, fired.late),
            (due_ms, 0, late)
        );
    }
    assert_eq!((ticker.skipped(), ticker.jumps()), (0, 0));
}
