//! Decides what may change, when and how far; owns the life of a change.
