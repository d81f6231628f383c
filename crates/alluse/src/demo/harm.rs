//! The harmful proposal of the demo: a well-meant one, as far as the governor lets a step go.
//!
//! "Let commits wait for each other, so that their groups fill": large groups, a long linger, and
//! few requests at once. With more places in a group than requests at work no group ever fills,
//! each commit waits for nothing, and transfers queue up.

use std::collections::BTreeMap;

use wire::knobs::{Domain, Knob, Value};

/// Share of a knob's largest step that is used: clearly inside the limit.
const INSIDE: f64 = 0.98;

/// The values proposed, from the knobs in force.
pub(super) fn values(knobs: &[Knob]) -> BTreeMap<String, Value> {
    let wanted = [
        ("writer.group.size", 1.0),
        ("writer.group.linger_us", 1.0),
        ("executor.concurrency", -1.0),
    ];
    wanted
        .into_iter()
        .filter_map(|(name, direction)| {
            let knob = knobs.iter().find(|k| k.name == name)?;
            Some((name.to_owned(), stepped(knob, direction)?))
        })
        .collect()
}

/// The value of a whole-number knob one largest step up (1) or down (-1).
fn stepped(knob: &Knob, direction: f64) -> Option<Value> {
    let (Domain::Int { min, max, log }, Value::Int(now)) = (&knob.domain, &knob.value) else {
        return None;
    };
    let (low, high, now) = (*min as f64, *max as f64, *now as f64);
    let share = direction * INSIDE * knob.max_step;
    let moved = if *log {
        now * (high / low).powf(share)
    } else {
        now + share * (high - low)
    };
    // Towards where it came from: rounding must not lengthen the step.
    let whole = if direction > 0.0 {
        moved.floor()
    } else {
        moved.ceil()
    };
    Some(Value::Int(whole.clamp(low, high) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::knobs::ApplyCost;

    fn knob(name: &str, (min, max, log): (i64, i64, bool), value: i64, max_step: f64) -> Knob {
        Knob {
            name: name.to_owned(),
            help: String::new(),
            unit: String::new(),
            domain: Domain::Int { min, max, log },
            default: Value::Int(value),
            baseline: Value::Int(value),
            value: Value::Int(value),
            max_step,
            apply: ApplyCost::Free,
        }
    }

    #[test]
    fn goes_as_far_as_a_step_may_and_not_further() {
        let knobs = [
            knob("writer.group.size", (1, 256, true), 4, 0.5),
            knob("writer.group.linger_us", (0, 100_000, false), 0, 0.25),
            knob("executor.concurrency", (1, 512, true), 10, 0.5),
        ];
        let values = values(&knobs);
        assert_eq!(values["writer.group.size"], Value::Int(60));
        assert_eq!(values["writer.group.linger_us"], Value::Int(24_500));
        assert_eq!(values["executor.concurrency"], Value::Int(1));
    }
}
