//! Small dense linear algebra: Cholesky, triangular solves, least squares.
