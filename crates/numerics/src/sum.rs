//! Compensated summation.
