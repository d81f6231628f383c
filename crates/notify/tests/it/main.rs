//! The notifier from outside: routes, timing, muting, escalation, restarts; known answers and seeds.
#![cfg(test)]

mod replanning;
mod routing;
mod simulation;
mod storm;
mod timing;
mod world;
