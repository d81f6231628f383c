//! Judges: better, worse or inconclusive; pass, fail or invalid.
