//! Streams by what goes in and what comes out: windows against brute force, joins against all
//! pairs, order against a sort; lateness, bounds and dead letters.

#![cfg(test)]

mod check;
mod join;
mod shape;
mod window;
