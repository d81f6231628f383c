//! Behaviour of the crate as its users see it.

mod guards;
mod null;
mod simulated;
mod trial;
