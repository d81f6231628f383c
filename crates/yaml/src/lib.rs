//! Reads YAML: a tree whose every value knows its place, and mappings read key by key with every mistake noted.
//!
//! | file | what |
//! |---|---|
//! | [`tree`] | text into nodes with line and column, within bounds |
//! | [`table`] | a mapping read key by key; unknown keys, wrong types and notices become [`Note`]s |
//! | [`units`] | time spans and sizes as Prometheus writes them |

pub mod table;
pub mod tree;
pub mod units;

pub use table::{Note, Notes, Table, Weight, choice, nearest};
pub use tree::{Key, Kind, Node, Position, TEXT_BYTES_MAX, YamlError, parse};
