// linalg.hpp: the little dense linear algebra that a projection needs. Row-major. Results don't depend on the thread count.
#pragma once

#include "base/parallel.hpp"
#include "simd/dispatch.hpp"

LEARNANN_BEGIN

// out (rows x cols) = a (rows x inner) * b (inner x cols).
void multiply(const float *a, const float *b, float *out, u32 rows, u32 inner, u32 cols, u32 threads);

// out (cols_a x cols_b) = a^T b, where a is rows x cols_a and b is rows x cols_b.
void multiply_transposed(const float *a, const float *b, float *out, u32 rows, u32 cols_a, u32 cols_b, u32 threads);

// out (cols x rows) = a^T, where a is rows x cols.
void transpose(const float *a, float *out, u32 rows, u32 cols);

// out (cols x cols) = a^T a, where a is rows x cols.
void gram(const float *a, float *out, u32 rows, u32 cols, u32 threads);

// Makes the `count` columns of v (dim x count) orthonormal. A column that vanishes becomes 0.
Status orthonormalise(float *v, u32 dim, u32 count, const Allocator &allocator, learnann_error *error);

// Eigenvalues (descending) and eigenvectors (as the rows of `vectors`) of a symmetric matrix, which is destroyed.
// Householder tridiagonalisation and implicit QL (Golub and Van Loan, Matrix Computations, sections 8.3.1 and 8.3.5).
Status symmetric_eigen(double *matrix, u32 n, double *values, float *vectors, const Allocator &allocator,
                       learnann_error *error);

LEARNANN_END
