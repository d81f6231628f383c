//! Between the knob protocol and the loop's nouns. What comes in is checked: afterwards every
//! value is of its domain's type and inside it.

use std::collections::BTreeMap;

use model::{ApplyCost, Domain, Generation, KnobSpec, KnobValue, Scale};
use wire::knobs as protocol;

use crate::Discovery;

/// Most knobs of one target.
pub const KNOBS_MAX: usize = 1_000;
/// Longest name of a knob, bytes.
pub const NAME_MAX_BYTES: usize = 256;

/// A value on its way out.
#[must_use]
pub fn value_out(value: &KnobValue) -> protocol::Value {
    match value {
        KnobValue::Bool(v) => protocol::Value::Bool(*v),
        KnobValue::Int(v) => protocol::Value::Int(*v),
        KnobValue::Float(v) => protocol::Value::Float(*v),
        KnobValue::Choice(v) => protocol::Value::Text(v.clone()),
    }
}

/// Values by knob on their way out.
#[must_use]
pub fn values_out(values: &[(String, KnobValue)]) -> BTreeMap<String, protocol::Value> {
    let out = |(name, value): &(String, KnobValue)| (name.clone(), value_out(value));
    values.iter().map(out).collect()
}

/// A value as it came in; its domain says what it means.
#[must_use]
pub fn value_in(value: protocol::Value) -> KnobValue {
    match value {
        protocol::Value::Bool(v) => KnobValue::Bool(v),
        protocol::Value::Int(v) => KnobValue::Int(v),
        protocol::Value::Float(v) => KnobValue::Float(v),
        protocol::Value::Text(v) => KnobValue::Choice(v),
    }
}

/// A target's inventory, checked.
///
/// # Errors
/// What is wrong with it, in a clause.
pub fn discovery_in(inventory: protocol::Inventory) -> Result<Discovery, String> {
    if inventory.protocol != protocol::PROTOCOL_VERSION {
        return Err(format!(
            "the target speaks version {} of the knob protocol, this program {}",
            inventory.protocol,
            protocol::PROTOCOL_VERSION
        ));
    }
    if inventory.knobs.len() > KNOBS_MAX {
        let given = inventory.knobs.len();
        return Err(format!("{given} knobs exceed the limit of {KNOBS_MAX}"));
    }
    let specs = inventory.knobs.into_iter().map(spec_in);
    let mut knobs: Vec<KnobSpec> = specs.collect::<Result<_, _>>()?;
    knobs.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = knobs.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("knob {} is there twice", twice[0].name));
    }
    Ok(Discovery {
        generation: Generation(inventory.generation),
        instance: inventory.instance,
        lease_ms: inventory.lease_ms,
        knobs,
    })
}

fn spec_in(knob: protocol::Knob) -> Result<KnobSpec, String> {
    let name = knob.name;
    if name.is_empty() || name.len() > NAME_MAX_BYTES {
        return Err(format!("a knob's name has 1 to {NAME_MAX_BYTES} bytes"));
    }
    let wrong = |problem: String| format!("knob {name}: {problem}");
    let domain = domain_in(knob.domain).map_err(&wrong)?;
    let typed = |role: &str, value: protocol::Value| {
        let value = value_in(value);
        let typed = domain.typed(&value);
        typed.ok_or_else(|| wrong(format!("its {role} {value} is not {domain}")))
    };
    let default = typed("default", knob.default)?;
    let baseline = typed("baseline", knob.baseline)?;
    let value = typed("value", knob.value)?;
    if !(0.0..=1.0).contains(&knob.max_step) {
        return Err(wrong(format!("max_step {} is not a share", knob.max_step)));
    }
    Ok(KnobSpec {
        help: knob.help,
        unit: knob.unit,
        default,
        baseline,
        value,
        max_step: knob.max_step,
        apply: apply_in(knob.apply),
        domain,
        name,
    })
}

fn domain_in(domain: protocol::Domain) -> Result<Domain, String> {
    match domain {
        protocol::Domain::Int { min, max, log } => {
            range_makes_sense(min as f64, max as f64, log)?;
            let scale = scale_in(log);
            Ok(Domain::Int { min, max, scale })
        }
        protocol::Domain::Float { min, max, log } => {
            range_makes_sense(min, max, log)?;
            let scale = scale_in(log);
            Ok(Domain::Float { min, max, scale })
        }
        protocol::Domain::Bool => Ok(Domain::Bool),
        protocol::Domain::Choice { choices, .. } if choices.is_empty() => {
            Err("there is nothing to choose from".into())
        }
        protocol::Domain::Choice { choices, ordered } => Ok(Domain::Choice { choices, ordered }),
    }
}

fn range_makes_sense(min: f64, max: f64, log: bool) -> Result<(), String> {
    if !(min.is_finite() && max.is_finite() && min <= max) {
        return Err(format!("{min} to {max} is no range"));
    }
    if log && min <= 0.0 {
        return Err(format!("a range from {min} has no logarithm"));
    }
    Ok(())
}

fn scale_in(log: bool) -> Scale {
    if log { Scale::Log } else { Scale::Linear }
}

fn apply_in(apply: protocol::ApplyCost) -> ApplyCost {
    match apply {
        protocol::ApplyCost::Free => ApplyCost::Free,
        protocol::ApplyCost::Settles => ApplyCost::Settles,
        protocol::ApplyCost::Restart => ApplyCost::Restart,
    }
}

/// A knob on its way out, for the API.
#[must_use]
pub fn spec_out(spec: &KnobSpec) -> protocol::Knob {
    protocol::Knob {
        name: spec.name.clone(),
        help: spec.help.clone(),
        unit: spec.unit.clone(),
        domain: domain_out(&spec.domain),
        default: value_out(&spec.default),
        baseline: value_out(&spec.baseline),
        value: value_out(&spec.value),
        max_step: spec.max_step,
        apply: match spec.apply {
            ApplyCost::Free => protocol::ApplyCost::Free,
            ApplyCost::Settles => protocol::ApplyCost::Settles,
            ApplyCost::Restart => protocol::ApplyCost::Restart,
        },
    }
}

fn domain_out(domain: &Domain) -> protocol::Domain {
    match domain {
        Domain::Int { min, max, scale } => protocol::Domain::Int {
            min: *min,
            max: *max,
            log: *scale == Scale::Log,
        },
        Domain::Float { min, max, scale } => protocol::Domain::Float {
            min: *min,
            max: *max,
            log: *scale == Scale::Log,
        },
        Domain::Bool => protocol::Domain::Bool,
        Domain::Choice { choices, ordered } => protocol::Domain::Choice {
            choices: choices.clone(),
            ordered: *ordered,
        },
    }
}
