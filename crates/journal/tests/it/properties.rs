//! Whatever JSON can hold comes back equal, bit for bit.

use journal::Journal;
use model::{Change, ChangeState, KnobValue, Setting};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use crate::nouns::change;

fn value() -> impl Strategy<Value = KnobValue> {
    prop_oneof![
        any::<bool>().prop_map(KnobValue::Bool),
        any::<i64>().prop_map(KnobValue::Int),
        prop::num::f64::NORMAL.prop_map(KnobValue::Float),
        prop::num::f64::SUBNORMAL.prop_map(KnobValue::Float),
        any::<String>().prop_map(KnobValue::Choice),
    ]
}

fn any_change() -> impl Strategy<Value = Change> {
    let setting = (any::<String>(), value(), value());
    let setting = setting.prop_map(|(knob, old, new)| Setting { knob, old, new });
    let state = prop_oneof![Just(ChangeState::Waiting), Just(ChangeState::Failed)];
    // SQLite's integers are signed.
    let id = 0..=u64::MAX / 2;
    let settings = prop::collection::vec(setting, 0..5);
    let reason = any::<String>();
    (id, state, settings, reason, any::<i64>()).prop_map(
        |(id, state, settings, reason, begun_ms)| {
            let mut change = change(id, state);
            change.settings = settings;
            change.proposal.reason = reason;
            change.begun_ms = begun_ms;
            change
        },
    )
}

proptest! {
    #[test]
    fn any_change_comes_back_equal(changes in prop::collection::vec(any_change(), 1..8)) {
        let mut journal = Journal::in_memory().unwrap();
        let mut batch = journal.batch().unwrap();
        for change in &changes {
            batch.record_change(change).unwrap();
        }
        batch.commit().unwrap();
        for change in &changes {
            // Of two with one identity the later one stands.
            let last = changes.iter().rfind(|c| c.id == change.id).unwrap();
            prop_assert_eq!(journal.change(change.id).unwrap(), Some(last.clone()));
        }
    }

    #[test]
    fn any_line_comes_back_equal(lines in prop::collection::vec(any::<String>(), 0..20)) {
        let mut journal = Journal::in_memory().unwrap();
        for line in &lines {
            journal.append_event(1, line).unwrap();
        }
        prop_assert_eq!(journal.events().unwrap(), lines);
    }
}
