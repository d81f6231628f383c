//! Small dense linear algebra: Cholesky, triangular solves, least squares.
//!
//! Textbook algorithms (Golub and Van Loan, "Matrix Computations", 4th ed., 4.2, 5.2, 8.5) for the
//! sizes met here, up to a few hundred rows. A factor is stored by rows, packed, so that a row can
//! be appended in O(n²) without moving the rest.

/// A matrix, stored by rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of an entry function.
    pub fn from_fn(
        rows: usize,
        columns: usize,
        mut entry: impl FnMut(usize, usize) -> f64,
    ) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            values.extend((0..columns).map(|column| entry(row, column)));
        }
        Self {
            rows,
            columns,
            values,
        }
    }

    /// The identity.
    #[must_use]
    pub fn identity(n: usize) -> Self {
        Self::from_fn(n, n, |i, j| f64::from(u8::from(i == j)))
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One entry.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// One entry, to be changed.
    pub fn at_mut(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.values[row * self.columns + column]
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The product with a vector of `columns` entries.
    #[must_use]
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.rows).map(|i| dot(self.row(i), x)).collect()
    }
}

/// The inner product, summed in four lanes; the shorter length counts.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [0.0; 4];
    let (mut left, mut right) = (a.chunks_exact(4), b.chunks_exact(4));
    for (x, y) in left.by_ref().zip(right.by_ref()) {
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = left
        .remainder()
        .iter()
        .zip(right.remainder())
        .map(|(x, y)| x * y)
        .sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

/// The lower triangular L with L·Lᵀ = A, A symmetric and positive definite.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cholesky {
    size: usize,
    /// Row i holds its i + 1 entries.
    packed: Vec<f64>,
}

impl Cholesky {
    /// The factor of a matrix given by its lower triangle, `entry(i, j)` with j <= i; `None` when
    /// the matrix is not positive definite.
    pub fn factor(size: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Option<Self> {
        let mut factor = Self {
            size: 0,
            packed: Vec::with_capacity(size * (size + 1) / 2),
        };
        for i in 0..size {
            let start = factor.packed.len();
            factor.packed.extend((0..=i).map(|j| entry(i, j)));
            if !factor.reduce_last(start) {
                return None;
            }
        }
        Some(factor)
    }

    /// The factor of the matrix with `jitter` added to its diagonal, the jitter raised tenfold up
    /// to `jitter_max` until it is positive definite. Returns the jitter used.
    pub fn factor_with_jitter(
        size: usize,
        jitter_max: f64,
        mut entry: impl FnMut(usize, usize) -> f64,
    ) -> Option<(Self, f64)> {
        let mut jitter = 0.0;
        while jitter <= jitter_max {
            let added = jitter;
            if let Some(factor) =
                Self::factor(size, |i, j| entry(i, j) + if i == j { added } else { 0.0 })
            {
                return Some((factor, jitter));
            }
            jitter = if jitter == 0.0 {
                jitter_max * 1e-6
            } else {
                jitter * 10.0
            };
        }
        None
    }

    /// Adds a row to the matrix: its entries against the rows there are, then its diagonal. O(n²).
    /// False, and nothing changed, when the larger matrix is not positive definite.
    pub fn append(&mut self, row: &[f64], diagonal: f64) -> bool {
        assert_eq!(row.len(), self.size, "one entry for each row there is");
        let start = self.packed.len();
        self.packed.extend_from_slice(row);
        self.packed.push(diagonal);
        self.reduce_last(start)
    }

    /// Turns the matrix row that begins at `start` into a row of the factor.
    fn reduce_last(&mut self, start: usize) -> bool {
        let (above, row) = self.packed.split_at_mut(start);
        let last = self.size;
        for j in 0..last {
            let begin = j * (j + 1) / 2;
            let known = &above[begin..begin + j];
            row[j] = (row[j] - dot(known, &row[..j])) / above[begin + j];
        }
        let rest = row[last] - dot(&row[..last], &row[..last]);
        if !(rest > 0.0 && rest.is_finite()) {
            self.packed.truncate(start);
            return false;
        }
        row[last] = rest.sqrt();
        self.size += 1;
        true
    }

    /// Number of rows.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Row i of the factor: i + 1 entries.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f64] {
        let begin = i * (i + 1) / 2;
        &self.packed[begin..=begin + i]
    }

    /// ln det A.
    #[must_use]
    pub fn ln_det(&self) -> f64 {
        (0..self.size).map(|i| 2.0 * self.row(i)[i].ln()).sum()
    }

    /// Solves L·y = b in place.
    pub fn solve_lower(&self, b: &mut [f64]) {
        assert_eq!(b.len(), self.size, "a right-hand side of the factor's size");
        for i in 0..self.size {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Solves Lᵀ·x = y in place.
    pub fn solve_upper(&self, y: &mut [f64]) {
        assert_eq!(y.len(), self.size, "a right-hand side of the factor's size");
        for i in (0..self.size).rev() {
            let row = self.row(i);
            y[i] /= row[i];
            let x = y[i];
            for (rest, l) in y[..i].iter_mut().zip(row) {
                *rest -= l * x;
            }
        }
    }

    /// Solves A·x = b.
    #[must_use]
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        self.solve_lower(&mut x);
        self.solve_upper(&mut x);
        x
    }

    /// A⁻¹. O(n³).
    #[must_use]
    pub fn inverse(&self) -> Matrix {
        let n = self.size;
        // Rows of `lower` are the columns of L⁻¹, each zero before its own index.
        let mut lower = Matrix::from_fn(n, n, |_, _| 0.0);
        for column in 0..n {
            let solved = &mut lower.values[column * n..(column + 1) * n];
            solved[column] = 1.0 / self.row(column)[column];
            for i in column + 1..n {
                let row = self.row(i);
                solved[i] = -dot(&row[column..i], &solved[column..i]) / row[i];
            }
        }
        let mut inverse = Matrix::from_fn(n, n, |_, _| 0.0);
        for i in 0..n {
            for j in 0..=i {
                let entry = dot(&lower.row(i)[i..], &lower.row(j)[i..]);
                *inverse.at_mut(i, j) = entry;
                *inverse.at_mut(j, i) = entry;
            }
        }
        inverse
    }
}

/// The x that minimises |A·x - b|, by Householder reflections; `None` when A has fewer rows than
/// columns or its columns are linearly dependent (to 1e-12 of the largest).
#[must_use]
pub fn least_squares(a: &Matrix, b: &[f64]) -> Option<Vec<f64>> {
    let (rows, columns) = (a.rows, a.columns);
    if rows < columns || b.len() != rows {
        return None;
    }
    let (mut r, mut rhs) = (a.clone(), b.to_vec());
    let largest = (0..columns)
        .map(|j| column_norm(&r, j, 0))
        .fold(0.0, f64::max);
    for k in 0..columns {
        let norm = column_norm(&r, k, k);
        if norm <= 1e-12 * largest {
            return None;
        }
        reflect(&mut r, &mut rhs, k, norm);
    }
    let mut x = vec![0.0; columns];
    for k in (0..columns).rev() {
        x[k] = (rhs[k] - dot(&r.row(k)[k + 1..], &x[k + 1..])) / r.at(k, k);
    }
    Some(x)
}

fn column_norm(m: &Matrix, column: usize, from: usize) -> f64 {
    (from..m.rows)
        .map(|i| m.at(i, column).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Zeroes column k below the diagonal and carries the rest along.
fn reflect(r: &mut Matrix, rhs: &mut [f64], k: usize, norm: f64) {
    let top = -norm.copysign(r.at(k, k));
    let mut v: Vec<f64> = (k..r.rows).map(|i| r.at(i, k)).collect();
    v[0] -= top;
    let square = dot(&v, &v);
    for j in k..r.columns {
        let along: f64 = v.iter().enumerate().map(|(i, v)| v * r.at(k + i, j)).sum();
        for (i, v) in v.iter().enumerate() {
            *r.at_mut(k + i, j) -= 2.0 * along / square * v;
        }
    }
    let along = dot(&v, &rhs[k..]);
    for (rest, v) in rhs[k..].iter_mut().zip(&v) {
        *rest -= 2.0 * along / square * v;
    }
}

/// Eigenvalues, ascending, and unit eigenvectors (the rows of the matrix) of a symmetric matrix,
/// by cyclic Jacobi rotations. O(n³) a sweep, about eight sweeps.
#[must_use]
pub fn symmetric_eigen(a: &Matrix) -> (Vec<f64>, Matrix) {
    assert_eq!(a.rows, a.columns, "a symmetric matrix is square");
    let n = a.rows;
    let (mut a, mut vectors) = (a.clone(), Matrix::identity(n));
    for _ in 0..JACOBI_SWEEPS_MAX {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| a.at(i, j).powi(2))
            .sum();
        let on: f64 = (0..n).map(|i| a.at(i, i).powi(2)).sum();
        if off <= f64::EPSILON * f64::EPSILON * on {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a.at(i, i).total_cmp(&a.at(j, j)));
    let values = order.iter().map(|&i| a.at(i, i)).collect();
    (
        values,
        Matrix::from_fn(n, n, |i, j| vectors.at(order[i], j)),
    )
}

/// Convergence is quadratic: more are never needed, this only bounds the loop.
const JACOBI_SWEEPS_MAX: usize = 60;

/// Zeroes the entries (p, q) and (q, p).
fn rotate(a: &mut Matrix, vectors: &mut Matrix, p: usize, q: usize) {
    let apq = a.at(p, q);
    if apq == 0.0 {
        return;
    }
    let theta = (a.at(q, q) - a.at(p, p)) / (2.0 * apq);
    let t = 1.0f64.copysign(theta) / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..a.rows {
        let (x, y) = (a.at(k, p), a.at(k, q));
        *a.at_mut(k, p) = c * x - s * y;
        *a.at_mut(k, q) = s * x + c * y;
    }
    for m in [a, vectors] {
        for k in 0..m.columns {
            let (x, y) = (m.at(p, k), m.at(q, k));
            *m.at_mut(p, k) = c * x - s * y;
            *m.at_mut(q, k) = s * x + c * y;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn positive(n: usize, seed: u64) -> Matrix {
        let mut rng = Rng::new(seed);
        let g = Matrix::from_fn(n, n, |_, _| rng.normal());
        Matrix::from_fn(n, n, |i, j| {
            dot(g.row(i), g.row(j)) + if i == j { 0.1 } else { 0.0 }
        })
    }

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!(
                (a - b).abs() <= tolerance * (1.0 + b.abs()),
                "{a}, wanted {b}"
            );
        }
    }

    #[test]
    fn factors_a_textbook_matrix() {
        let a = [
            [4.0, 12.0, -16.0],
            [12.0, 37.0, -43.0],
            [-16.0, -43.0, 98.0],
        ];
        let l = Cholesky::factor(3, |i, j| a[i][j]).unwrap();
        close(l.row(2), &[-8.0, 5.0, 3.0], 1e-14);
        assert!((l.ln_det() - 36f64.ln()).abs() < 1e-12);
        assert!(Cholesky::factor(2, |i, j| f64::from(u8::from(i != j))).is_none());
    }

    #[test]
    fn solves_inverts_and_appends_like_a_fresh_factor() {
        for n in [1, 2, 7, 40] {
            let a = positive(n, n as u64);
            let l = Cholesky::factor(n, |i, j| a.at(i, j)).unwrap();
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 2.5).collect();
            close(&l.solve(&a.times(&x)), &x, 1e-7);
            let inverse = l.inverse();
            close(&inverse.times(&a.times(&x)), &x, 1e-7);
            let mut grown = Cholesky::default();
            for i in 0..n {
                assert!(grown.append(&a.row(i)[..i], a.at(i, i)));
            }
            assert_eq!(grown, l);
            assert!(
                !grown.append(a.row(0), 0.9 * a.at(0, 0)),
                "no such row is possible"
            );
            assert_eq!(grown, l, "a refused row leaves no trace");
        }
    }

    #[test]
    fn jitter_rescues_a_singular_matrix() {
        let (factor, jitter) = Cholesky::factor_with_jitter(2, 1e-4, |_, _| 1.0).unwrap();
        assert!(jitter > 0.0 && factor.size() == 2);
        assert!(
            Cholesky::factor_with_jitter(2, 1e-4, |i, j| f64::from(u8::from(i != j))).is_none()
        );
    }

    #[test]
    fn least_squares_finds_the_plane_and_refuses_dependence() {
        let mut rng = Rng::new(1);
        let a = Matrix::from_fn(20, 3, |_, j| if j == 0 { 1.0 } else { rng.normal() });
        close(
            &least_squares(&a, &a.times(&[1.0, -2.0, 3.0])).unwrap(),
            &[1.0, -2.0, 3.0],
            1e-12,
        );
        let twice = Matrix::from_fn(5, 2, |i, j| (i * (j + 1)) as f64);
        assert!(least_squares(&twice, &[1.0; 5]).is_none());
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let a = positive(9, 4);
        let (values, vectors) = symmetric_eigen(&a);
        assert!(values.is_sorted());
        for (i, value) in values.iter().enumerate() {
            let scaled: Vec<f64> = vectors.row(i).iter().map(|v| v * value).collect();
            close(&a.times(vectors.row(i)), &scaled, 1e-9);
        }
    }
}
