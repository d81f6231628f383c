//! The registry's rules, by example and against a naive model.

mod model;
mod rules;
