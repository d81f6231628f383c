//! Regression: least squares, Theil-Sen, Mann-Kendall.
