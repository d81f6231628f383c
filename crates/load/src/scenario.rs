//! What is requested: a weighted mix of operations.

use bytes::Bytes;
use numerics::rng::Rng;

pub use hyper::Method;

/// One kind of request of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// As in the label `op`.
    pub name: String,
    /// Its share of the mix, relative to the others'.
    pub weight: f64,
}

impl Operation {
    /// An operation with its weight.
    #[must_use]
    pub fn new(name: impl Into<String>, weight: f64) -> Self {
        Self {
            name: name.into(),
            weight,
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// JSON body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// A GET of a path.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Bytes::new(),
        }
    }

    /// A POST of a JSON text to a path.
    #[must_use]
    pub fn post(path: impl Into<String>, json: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            body: json.into(),
        }
    }
}

/// Makes the requests of a load. Called from the clock thread at each arrival: it must not block.
pub trait Scenario: Send {
    /// The mix; asked once.
    fn operations(&self) -> Vec<Operation>;

    /// The next request of an operation (its index in the mix), from the run's own seed.
    fn request(&mut self, operation: usize, random: &mut Rng) -> Request;

    /// A request of the operation was answered: what a scenario has to remember of it, such as
    /// the identity of what was created. Called from the connections' thread.
    fn answered(&mut self, operation: usize, status: u16, body: &[u8]) {
        let _ = (operation, status, body);
    }
}

/// Chooses operations by weight.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    /// Cumulative weights.
    bounds: Vec<f64>,
}

impl Mix {
    /// `None` if there is no operation, or no sense in the weights.
    pub(crate) fn new(operations: &[Operation]) -> Option<Self> {
        let mut total = 0.0;
        let mut bounds = Vec::with_capacity(operations.len());
        for operation in operations {
            if !(operation.weight >= 0.0 && operation.weight.is_finite()) {
                return None;
            }
            total += operation.weight;
            bounds.push(total);
        }
        (total > 0.0 && total.is_finite()).then_some(Self { bounds })
    }

    pub(crate) fn pick(&self, random: &mut Rng) -> usize {
        let total = self.bounds.last().expect("a mix has an operation");
        let drawn = random.uniform() * total;
        self.bounds
            .partition_point(|bound| *bound <= drawn)
            .min(self.bounds.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_come_by_their_weight() {
        let operations = ["a", "b", "c"].map(|name| Operation::new(name, 0.0));
        assert!(Mix::new(&operations).is_none() && Mix::new(&[]).is_none());
        assert!(Mix::new(&[Operation::new("a", -1.0)]).is_none());
        let [a, b, c] = operations;
        let weighted = [
            Operation { weight: 1.0, ..a },
            b,
            Operation { weight: 3.0, ..c },
        ];
        let mix = Mix::new(&weighted).unwrap();
        let mut random = Rng::new(1);
        let mut counts = [0_u32; 3];
        for _ in 0..40_000 {
            counts[mix.pick(&mut random)] += 1;
        }
        assert_eq!(counts[1], 0, "weight 0 is never drawn");
        assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    }
}
