//! Integration tests of the query engine.

mod evaluating;
mod hostile;
mod parsing;
mod promqltest;
mod spread;

#[global_allocator]
static ALLOCATOR: testkit::peak::Counting = testkit::peak::Counting;
