//! Integration tests of the query engine.

mod evaluating;
mod parsing;
mod promqltest;
