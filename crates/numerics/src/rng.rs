//! Seeded randomness: one stream per (seed, purpose, index), so that any draw can be repeated alone.
