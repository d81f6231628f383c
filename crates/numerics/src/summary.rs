//! Summaries of a set of numbers: moments, quantiles, median and MAD.
