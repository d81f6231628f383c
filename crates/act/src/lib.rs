//! Carries an admitted change to its target, reads it back, and carries it back.
