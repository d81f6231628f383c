//! The store as its users see it.

mod basics;
mod model;
mod sim_disk;
mod support;
