//! A target of orders that lives in memory: it keeps leases and generations as the knob protocol
//! asks, and shows what its knobs are.

use std::collections::BTreeMap;

use model::{Generation, KnobSpec, KnobValue, Order, OrderKind};

/// A simulated target. Times are handed in, ms.
#[derive(Debug, Clone, PartialEq)]
pub struct SimTarget {
    instance: u64,
    generation: Generation,
    knobs: BTreeMap<String, KnobSpec>,
    /// When the running lease ends.
    lease_until_ms: Option<i64>,
    /// Orders carried out, oldest first.
    pub carried: Vec<Order>,
}

impl SimTarget {
    /// A target that just started, its knobs at their defaults.
    #[must_use]
    pub fn new(knobs: impl IntoIterator<Item = KnobSpec>) -> Self {
        Self {
            instance: 1,
            generation: Generation::default(),
            knobs: knobs.into_iter().map(|k| (k.name.clone(), k)).collect(),
            lease_until_ms: None,
            carried: Vec::new(),
        }
    }

    /// What a discovery shows: instance, newest generation, knobs by name.
    #[must_use]
    pub fn discover(&self) -> (String, Generation, Vec<KnobSpec>) {
        (
            self.instance.to_string(),
            self.generation,
            self.knobs.values().cloned().collect(),
        )
    }

    /// Carries out an order, and answers what its knobs show afterwards.
    ///
    /// # Errors
    /// Stale generation, unknown knob, value out of range; nothing is changed then.
    pub fn carry(
        &mut self,
        order: &Order,
        now_ms: i64,
    ) -> Result<Vec<(String, KnobValue)>, String> {
        self.tick(now_ms);
        if order.generation < self.generation {
            return Err(format!(
                "generation {} is older than {}",
                order.generation, self.generation
            ));
        }
        for (name, value) in &order.values {
            let knob = self
                .knobs
                .get(name)
                .ok_or_else(|| format!("no knob {name}"))?;
            if !knob.domain.contains(value) {
                return Err(format!("{name}: {value} is not {}", knob.domain));
            }
        }
        self.generation = order.generation;
        match order.kind {
            OrderKind::Set => {
                self.put(order, false);
                self.lease_until_ms = Some(now_ms + i64::try_from(order.lease_ms).unwrap_or(0));
            }
            OrderKind::Commit => {
                self.put(order, true);
                self.lease_until_ms = None;
            }
            OrderKind::Restore => self.revert(),
        }
        self.carried.push(order.clone());
        let shown = order
            .values
            .iter()
            .map(|(name, _)| (name.clone(), self.knobs[name].value.clone()));
        Ok(shown.collect())
    }

    fn put(&mut self, order: &Order, baseline: bool) {
        for (name, value) in &order.values {
            let knob = self.knobs.get_mut(name).expect("checked by the caller");
            knob.value = value.clone();
            if baseline {
                knob.baseline = value.clone();
            }
        }
    }

    fn revert(&mut self) {
        self.lease_until_ms = None;
        for knob in self.knobs.values_mut() {
            knob.value = knob.baseline.clone();
        }
    }

    /// Lets time pass: a lease that ran out puts its values back.
    pub fn tick(&mut self, now_ms: i64) {
        if self.lease_until_ms.is_some_and(|until| now_ms >= until) {
            self.revert();
        }
    }

    /// Restarts it: a new instance that knows no generation, everything at its default.
    pub fn restart(&mut self) {
        self.instance += 1;
        self.generation = Generation::default();
        for knob in self.knobs.values_mut() {
            knob.baseline = knob.default.clone();
        }
        self.revert();
    }

    /// Whether values are held by a lease.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.lease_until_ms.is_some()
    }

    /// A numeric knob's value in force.
    ///
    /// # Panics
    /// If there is no such knob, or it is not a number.
    #[must_use]
    pub fn number(&self, knob: &str) -> f64 {
        match &self.knobs[knob].value {
            KnobValue::Int(v) => *v as f64,
            KnobValue::Float(v) => *v,
            other => panic!("{knob} is {other}, not a number"),
        }
    }

    /// A knob.
    ///
    /// # Panics
    /// If there is no such knob.
    #[must_use]
    pub fn knob(&self, name: &str) -> &KnobSpec {
        &self.knobs[name]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ApplyCost, ChangeId, Domain, Scale};

    fn target() -> SimTarget {
        SimTarget::new([KnobSpec {
            name: "a".into(),
            help: String::new(),
            unit: String::new(),
            domain: Domain::Int {
                min: 1,
                max: 9,
                scale: Scale::Linear,
            },
            default: KnobValue::Int(1),
            baseline: KnobValue::Int(1),
            value: KnobValue::Int(1),
            max_step: 1.0,
            apply: ApplyCost::Free,
        }])
    }

    fn order(kind: OrderKind, generation: u64, value: i64) -> Order {
        Order {
            change: ChangeId(1),
            target: "t".into(),
            generation: Generation(generation),
            kind,
            values: vec![("a".into(), KnobValue::Int(value))],
            lease_ms: 1_000,
        }
    }

    #[test]
    fn a_lease_that_runs_out_puts_the_baseline_back() {
        let mut target = target();
        target.carry(&order(OrderKind::Set, 1, 5), 0).unwrap();
        target.tick(999);
        assert_eq!(target.number("a"), 5.0);
        target.tick(1_000);
        assert_eq!(target.number("a"), 1.0);
    }

    #[test]
    fn a_commit_is_the_new_baseline_and_stale_orders_are_refused() {
        let mut target = target();
        target.carry(&order(OrderKind::Commit, 2, 5), 0).unwrap();
        target.tick(10_000);
        assert_eq!(target.number("a"), 5.0);
        assert!(target.carry(&order(OrderKind::Set, 1, 7), 0).is_err());
        assert!(target.carry(&order(OrderKind::Set, 3, 70), 0).is_err());
        target.restart();
        assert_eq!(target.number("a"), 1.0);
    }
}
