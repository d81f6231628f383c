//! The seam between the loop and whatever it changes.

use std::{future::Future, pin::Pin};

use model::{Generation, KnobSpec, Order, Outcome};

use crate::ActError;

/// A future that a trait object can return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a target says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Newest generation it carried out; 0 before the first.
    pub generation: Generation,
    /// Changes with every start of the target.
    pub instance: String,
    /// How long the lease in force still lasts, ms; `None` when nothing is leased.
    pub lease_ms: Option<u64>,
    /// Its knobs, sorted by name.
    pub knobs: Vec<KnobSpec>,
}

/// One target of orders.
pub trait Actuator: Send + Sync + std::fmt::Debug {
    /// Asks the target for its knobs. It changes nothing.
    fn discover(&self) -> Answer<'_, Result<Discovery, ActError>>;

    /// Carries out one order and reads back. It always answers: a failure is an outcome. After a
    /// failure the target may or may not have carried the order out.
    fn carry(&self, order: Order) -> Answer<'_, Outcome>;
}
