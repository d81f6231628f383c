//! Behaviour of the crate as its users see it.

mod protocol;
mod quality;
mod search;
mod space;
mod tables;
