//! Keeps samples: append fast, read in order, survive a crash.
