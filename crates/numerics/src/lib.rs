//! Numbers in, numbers out: statistics, linear algebra, sketches, seeded randomness.
