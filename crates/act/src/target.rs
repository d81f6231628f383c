//! A target that speaks the knob protocol over HTTP.

use std::sync::Arc;

use model::{Clock, KnobValue, Order, OrderKind, Outcome};
use wire::knobs as protocol;

use crate::{ActError, Actuator, Answer, Discovery, convert, exchange::Exchange};

/// A service whose knobs are served under `BASE/knobs`.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    name: String,
    exchange: Exchange,
    clock: Arc<dyn Clock>,
}

impl HttpTarget {
    /// A target called `name`, with its knobs under `{base_url}/knobs`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ActError::Address`] when the address is none.
    pub fn new(
        name: impl Into<String>,
        base_url: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ActError> {
        Ok(Self {
            name: name.into(),
            exchange: Exchange::new(base_url)?,
            clock,
        })
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the target for its knobs.
    ///
    /// # Errors
    /// When it cannot be reached, or what it says is not a sound inventory.
    pub async fn discover(&self) -> Result<Discovery, ActError> {
        self.inventory("discover").await
    }

    /// Carries out one order and says what the target then shows: all of the order's knobs,
    /// whether they match or not.
    ///
    /// # Errors
    /// When the target refused, did not answer, or shows a state that is not this order's.
    pub async fn try_carry(&self, order: &Order) -> Result<Vec<(String, KnobValue)>, ActError> {
        self.send(order).await?;
        let shown = self.inventory("read back").await?;
        judge(order, &shown)
    }

    async fn inventory(&self, operation: &'static str) -> Result<Discovery, ActError> {
        let inventory = self.exchange.get(operation, "/knobs").await?;
        convert::discovery_in(inventory)
            .map_err(|problem| ActError::Protocol { operation, problem })
    }

    /// The answer is parsed and dropped: only the read-back counts.
    async fn send(&self, order: &Order) -> Result<(), ActError> {
        let (change, generation) = (order.change.0, order.generation.0);
        let values = || convert::values_out(&order.values);
        let state: protocol::State = match order.kind {
            OrderKind::Set => {
                let request = protocol::SetRequest {
                    change,
                    generation,
                    lease_ms: order.lease_ms,
                    values: values(),
                };
                self.exchange.post("set", "/knobs/set", &request).await?
            }
            OrderKind::Commit => {
                let request = protocol::CommitRequest {
                    change,
                    generation,
                    values: values(),
                };
                self.exchange
                    .post("commit", "/knobs/commit", &request)
                    .await?
            }
            OrderKind::Restore => {
                let request = protocol::RestoreRequest { change, generation };
                self.exchange
                    .post("restore", "/knobs/restore", &request)
                    .await?
            }
        };
        tracing::debug!(
            target = self.name,
            change,
            generation,
            acknowledged = state.generation,
            "order sent"
        );
        Ok(())
    }
}

/// What the target shows, as the effect of this order.
fn judge(order: &Order, shown: &Discovery) -> Result<Vec<(String, KnobValue)>, ActError> {
    if shown.generation != order.generation {
        return Err(ActError::Overtaken {
            ordered: order.generation.0,
            found: shown.generation.0,
        });
    }
    let leased = shown.lease_ms.is_some();
    let problem = match order.kind {
        OrderKind::Set if !leased => Some("the values have no lease".to_owned()),
        OrderKind::Restore if leased => Some("a lease is still running".to_owned()),
        OrderKind::Commit => other_baseline(order, shown),
        OrderKind::Set | OrderKind::Restore => None,
    };
    match problem {
        Some(problem) => Err(ActError::NotInForce { problem }),
        None => read(order, shown),
    }
}

fn read(order: &Order, shown: &Discovery) -> Result<Vec<(String, KnobValue)>, ActError> {
    let value = |(name, _): &(String, KnobValue)| {
        let knob = shown.knobs.iter().find(|knob| knob.name == *name);
        let missing = || ActError::Protocol {
            operation: "read back",
            problem: format!("knob {name} is gone"),
        };
        knob.map(|k| (name.clone(), k.value.clone()))
            .ok_or_else(missing)
    };
    order.values.iter().map(value).collect()
}

/// After a commit a knob's baseline is the value committed, or the next lease brings back another.
fn other_baseline(order: &Order, shown: &Discovery) -> Option<String> {
    order.values.iter().find_map(|(name, wanted)| {
        let knob = shown.knobs.iter().find(|knob| knob.name == *name)?;
        let baseline = &knob.baseline;
        (baseline != wanted).then(|| format!("the baseline of {name} is {baseline}, not {wanted}"))
    })
}

impl Actuator for HttpTarget {
    fn discover(&self) -> Answer<'_, Result<Discovery, ActError>> {
        Box::pin(Self::discover(self))
    }

    fn carry(&self, order: Order) -> Answer<'_, Outcome> {
        Box::pin(async move {
            let result = self.try_carry(&order).await;
            if let Err(error) = &result {
                tracing::warn!(target = self.name, change = %order.change, "{}", error.chain());
            }
            Outcome {
                order,
                result: result.map_err(|error| error.chain()),
                at_ms: self.clock.wall_ms(),
            }
        })
    }
}
