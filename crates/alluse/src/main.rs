//! The program: wires the stages, serves the API and the dashboard, and is the CLI.

fn main() {}
