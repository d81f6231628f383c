//! Declaring a knob: name, range, scale, step, cost; checked once, at registration.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use crate::{Domain, Knob, Registry, Scale, Value};

/// What a change costs the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Apply {
    /// In effect at once.
    #[default]
    Free,
    /// In effect at once, but the service needs a while to settle (a cache warms up).
    Settles,
}

/// Called after each change of a knob.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// What a registry keeps about a knob.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) domain: Domain,
    pub(crate) default: Value,
    pub(crate) max_step: f64,
    pub(crate) apply: Apply,
    pub(crate) hook: Option<Hook>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// A knob being declared; ends with [`Declaration::register`].
#[derive(Debug)]
#[must_use = "a declaration does nothing until it is registered"]
pub struct Declaration<T> {
    spec: Spec,
    unit_ns: u64,
    on_change: Option<OnChange<T>>,
}

/// What a component does when its knob has changed.
struct OnChange<T>(Box<React<T>>);

type React<T> = dyn Fn(&Knob<T>) + Send + Sync;

impl<T> fmt::Debug for OnChange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnChange")
    }
}

/// Why a declaration cannot be registered: a mistake in the program that declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclareError {
    /// Another knob of the registry has this name.
    Duplicate(String),
    /// The default is not in the domain.
    DefaultOutside(String),
    /// The range is empty, or starts at or below zero on a log scale.
    BadRange(String),
    /// The largest step is not above 0 and at most 1.
    BadStep(String),
}

impl fmt::Display for DeclareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(f, "knob {name} is declared twice"),
            Self::DefaultOutside(name) => write!(f, "the default of knob {name} is out of range"),
            Self::BadRange(name) => write!(f, "the range of knob {name} is empty or not loggable"),
            Self::BadStep(name) => write!(f, "the largest step of knob {name} is not in (0, 1]"),
        }
    }
}

impl std::error::Error for DeclareError {}

impl Knob<i64> {
    /// Declares a whole number; without a range, any from 0 up.
    pub fn int(name: &str, default: i64) -> Declaration<i64> {
        let domain = Domain::Int {
            min: 0,
            max: i64::MAX,
            scale: Scale::Linear,
        };
        Declaration::new(name, domain, Value::Int(default), 1)
    }
}

impl Knob<f64> {
    /// Declares a number; without a range, from 0 to 1.
    pub fn float(name: &str, default: f64) -> Declaration<f64> {
        let domain = Domain::Float {
            min: 0.0,
            max: 1.0,
            scale: Scale::Linear,
        };
        Declaration::new(name, domain, Value::Float(default), 1)
    }
}

impl Knob<bool> {
    /// Declares a switch.
    pub fn bool(name: &str, default: bool) -> Declaration<bool> {
        Declaration::new(name, Domain::Bool, Value::Bool(default), 1)
    }
}

impl Knob<usize> {
    /// Declares a choice among names; a read gives the position of the one in force.
    pub fn choice(name: &str, choices: &[&str], default: &str) -> Declaration<usize> {
        let names = choices.iter().map(ToString::to_string).collect();
        Declaration::new(
            name,
            Domain::Choice(names),
            Value::Choice(default.into()),
            1,
        )
    }
}

impl Knob<Duration> {
    /// Declares a duration whose value is a whole number of milliseconds.
    pub fn millis(name: &str, default: i64) -> Declaration<Duration> {
        Self::duration(name, default, 1_000_000, "ms")
    }

    /// Declares a duration whose value is a whole number of microseconds.
    pub fn micros(name: &str, default: i64) -> Declaration<Duration> {
        Self::duration(name, default, 1_000, "us")
    }

    fn duration(name: &str, default: i64, unit_ns: u64, unit: &str) -> Declaration<Duration> {
        let domain = Domain::Int {
            min: 0,
            max: i64::MAX,
            scale: Scale::Linear,
        };
        Declaration::new(name, domain, Value::Int(default), unit_ns).unit(unit)
    }
}

impl<T> Declaration<T> {
    fn new(name: &str, domain: Domain, default: Value, unit_ns: u64) -> Self {
        Self {
            spec: Spec {
                name: name.into(),
                help: String::new(),
                unit: String::new(),
                domain,
                default,
                max_step: 1.0,
                apply: Apply::Free,
                hook: None,
            },
            unit_ns,
            on_change: None,
        }
    }

    /// Unit of the value: `ms`, `entries`.
    pub fn unit(mut self, unit: &str) -> Self {
        self.spec.unit = unit.into();
        self
    }

    /// One sentence for a person.
    pub fn help(mut self, help: &str) -> Self {
        self.spec.help = help.into();
        self
    }

    /// Largest step a live change should take, as a share of the range on its scale; above 0, at
    /// most 1. Declared for the tuner: the registry itself bounds values, not steps.
    pub fn max_step(mut self, share: f64) -> Self {
        self.spec.max_step = share;
        self
    }

    /// What a change costs.
    pub fn apply(mut self, apply: Apply) -> Self {
        self.spec.apply = apply;
        self
    }

    /// Calls `hook` with the handle after each change, on the thread that made it. Hooks of a
    /// registry run one at a time, so the last to run has seen the last value; a hook must not
    /// change knobs itself.
    pub fn on_change(mut self, hook: impl Fn(&Knob<T>) + Send + Sync + 'static) -> Self {
        self.on_change = Some(OnChange(Box::new(hook)));
        self
    }

    /// Adds the knob to a registry and gives the handle that reads it.
    ///
    /// # Errors
    /// The declaration contradicts itself or takes a name already taken.
    pub fn register(mut self, registry: &Registry) -> Result<Knob<T>, DeclareError>
    where
        T: 'static,
    {
        let cell = Arc::new(AtomicU64::new(self.check()?));
        let knob = Knob::new(Arc::clone(&cell), self.unit_ns);
        if let Some(OnChange(hook)) = self.on_change.take() {
            let knob = knob.clone();
            self.spec.hook = Some(Arc::new(move || hook(&knob)));
        }
        registry.add(self.spec, cell)?;
        Ok(knob)
    }

    /// The bits of the default, if the declaration is sound.
    fn check(&self) -> Result<u64, DeclareError> {
        let name = || self.spec.name.clone();
        if !range_is_sound(&self.spec.domain) {
            return Err(DeclareError::BadRange(name()));
        }
        if !(self.spec.max_step > 0.0 && self.spec.max_step <= 1.0) {
            return Err(DeclareError::BadStep(name()));
        }
        let bits = self.spec.domain.encode(&self.spec.default);
        bits.ok_or_else(|| DeclareError::DefaultOutside(name()))
    }
}

/// Ranges exist for whole numbers and durations alike.
macro_rules! whole_number_range {
    ($kind:ty) => {
        impl Declaration<$kind> {
            /// Smallest and largest value, in the knob's unit.
            pub fn range(mut self, range: RangeInclusive<i64>) -> Self {
                if let Domain::Int { min, max, .. } = &mut self.spec.domain {
                    (*min, *max) = range.into_inner();
                }
                self
            }

            /// How a search should measure distance.
            pub fn scale(mut self, by: Scale) -> Self {
                if let Domain::Int { scale, .. } = &mut self.spec.domain {
                    *scale = by;
                }
                self
            }
        }
    };
}

whole_number_range!(i64);
whole_number_range!(Duration);

impl Declaration<f64> {
    /// Smallest and largest value.
    pub fn range(mut self, range: RangeInclusive<f64>) -> Self {
        if let Domain::Float { min, max, .. } = &mut self.spec.domain {
            (*min, *max) = range.into_inner();
        }
        self
    }

    /// How a search should measure distance.
    pub fn scale(mut self, by: Scale) -> Self {
        if let Domain::Float { scale, .. } = &mut self.spec.domain {
            *scale = by;
        }
        self
    }
}

fn range_is_sound(domain: &Domain) -> bool {
    match domain {
        Domain::Int { min, max, scale } => min <= max && (*scale == Scale::Linear || *min > 0),
        Domain::Float { min, max, scale } => {
            min.is_finite()
                && max.is_finite()
                && min <= max
                && (*scale == Scale::Linear || *min > 0.0)
        }
        Domain::Bool => true,
        Domain::Choice(names) => !names.is_empty(),
    }
}
