// linalg.cpp: see linalg.hpp.
#include "learn/linalg.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

constexpr u32 block_rows = 16;      // of a product, that a thread makes at a time
constexpr u32 tile_cols = 256;
constexpr u32 tile_inner = 16;

// Rows [begin, end) of out += W b, where weight(row, i) gives W; columns from `from` on. The tile of b and the part of `out` that it goes
// to stay in the first cache together.
template <class Weight> void add_product(Weight weight, const float *b, float *out, u32 inner, u32 cols, u32 begin, u32 end, u32 from) {
    const Kernels &k = kernels();
    for (u32 left = from; left < cols; left += tile_cols)
        for (u32 first = 0; first < inner; first += tile_inner) {
            const u32 width = smaller(tile_cols, cols - left), last = smaller(first + tile_inner, inner);
            for (u32 row = begin; row < end; row += 4)
                for (u32 i = first; i < last; i += 4) {
                    const u32 rows = smaller(4u, end - row);
                    const float *four[4];
                    float weights[16];
                    for (u32 j = 0; j < 4; ++j) {
                        four[j] = b + static_cast<u64>(smaller(i + j, last - 1)) * cols + left;
                        for (u32 r = 0; r < rows; ++r) weights[4 * r + j] = i + j < last ? weight(row + r, i + j) : 0.0f;
                    }
                    k.axpy4(out + static_cast<u64>(row) * cols + left, cols, rows, four, weights, width);
                }
        }
}

// All rows of out = W b; from(row) says which column the block that begins there may leave out all before.
template <class Weight, class From>
void multiply_blocks(Weight weight, const float *b, float *out, u32 rows, u32 inner, u32 cols, u32 threads, From from) {
    parallel(threads, (rows + block_rows - 1) / block_rows, 1, [=](u64 item, u32) {
        const u32 begin = static_cast<u32>(item) * block_rows, end = smaller(begin + block_rows, rows);
        std::memset(out + static_cast<u64>(begin) * cols, 0, static_cast<size_t>(end - begin) * cols * sizeof(float));
        add_product(weight, b, out, inner, cols, begin, end, from(begin));
    });
}

}  // namespace

void multiply(const float *a, const float *b, float *out, u32 rows, u32 inner, u32 cols, u32 threads) {
    multiply_blocks([=](u32 row, u32 i) { return a[static_cast<u64>(row) * inner + i]; }, b, out, rows, inner, cols, threads, [](u32) { return 0u; });
}

void multiply_transposed(const float *a, const float *b, float *out, u32 rows, u32 cols_a, u32 cols_b, u32 threads) {
    multiply_blocks([=](u32 c, u32 i) { return a[static_cast<u64>(i) * cols_a + c]; }, b, out, cols_a, rows, cols_b, threads, [](u32) { return 0u; });
}

void transpose(const float *a, float *out, u32 rows, u32 cols) {
    for (u32 i = 0; i < rows; ++i)
        for (u32 c = 0; c < cols; ++c) out[static_cast<u64>(c) * rows + i] = a[static_cast<u64>(i) * cols + c];
}

void gram(const float *a, float *out, u32 rows, u32 cols, u32 threads) {
    multiply_blocks([=](u32 c, u32 i) { return a[static_cast<u64>(i) * cols + c]; }, a, out, cols, rows, cols, threads, [](u32 c) { return c; });
    for (u32 i = 0; i < cols; ++i)      // the lower half mirrors the upper
        for (u32 j = 0; j < i; ++j) out[static_cast<u64>(i) * cols + j] = out[static_cast<u64>(j) * cols + i];
}

namespace {

constexpr u32 panel_columns = 16;
constexpr u32 tile_dims = 1024;

// Takes out of columns [begin, end) what lies along columns [0, begin), which are orthonormal or 0; each is contiguous. `along` has room
// for all the products.
void take_out(float *columns, u32 dim, u32 begin, u32 end, float *along) {
    const Kernels &k = kernels();
    const auto column = [=](u32 c, u32 from) { return columns + static_cast<u64>(c) * dim + from; };
    std::memset(along, 0, static_cast<size_t>(end - begin) * begin * sizeof(float));
    for (u32 from = 0; from < dim; from += tile_dims)
        for (u32 p = 0; p < begin; ++p)
            for (u32 c = begin; c < end; ++c)
                along[(c - begin) * begin + p] -= k.dot[LEARNANN_F32](column(c, from), column(p, from), smaller(tile_dims, dim - from));
    add_product([=](u32 c, u32 p) { return along[(c - begin) * begin + p]; }, columns, columns, begin, dim, begin, end, 0);
}

}  // namespace

// Gram-Schmidt, panel after panel, each step twice: the second mends what rounding left (Giraud, Langou, Rozloznik and van den Eshof,
// Rounding error analysis of the classical Gram-Schmidt orthogonalization process, 2005).
Status orthonormalise(float *v, u32 dim, u32 count, const Allocator &allocator, learnann_error *error) {
    Array<float> columns(allocator), along(allocator);      // transposed: column c is contiguous
    LEARNANN_RETURN_IF(columns.allocate(static_cast<u64>(dim) * count, error));
    LEARNANN_RETURN_IF(along.allocate(static_cast<u64>(panel_columns) * count, error));
    transpose(v, columns.data(), dim, count);
    const auto dot = kernels().dot[LEARNANN_F32];
    for (u32 begin = 0; begin < count; begin += panel_columns) {
        const u32 end = smaller(begin + panel_columns, count);
        float *const panel = columns.data() + static_cast<u64>(begin) * dim;
        float before[panel_columns];
        for (u32 c = 0; c < end - begin; ++c) before[c] = dot(panel + static_cast<u64>(c) * dim, panel + static_cast<u64>(c) * dim, dim);
        for (int twice = 0; twice < 2; ++twice) take_out(columns.data(), dim, begin, end, along.data());
        for (u32 c = 0; c < end - begin; ++c) {
            for (int twice = 0; twice < 2; ++twice) take_out(panel, dim, c, c + 1, along.data());
            float *const x = panel + static_cast<u64>(c) * dim;
            const float length2 = dot(x, x, dim);
            const bool vanished = !(length2 > 1e-12f * before[c]) || !(length2 > 1e-30f);
            const float scale = vanished ? 0.0f : 1 / std::sqrt(length2);
            for (u32 i = 0; i < dim; ++i) x[i] *= scale;
        }
    }
    transpose(columns.data(), v, count, dim);
    return LEARNANN_OK;
}

namespace {

// a -> Q T Q^T with T tridiagonal: diagonal d, off-diagonal e (e[0] unused). On return a holds Q^T (its rows are the columns
// of Q), so that the rotations of the QL steps work on contiguous rows.
void tridiagonalise(double *a, u32 n, double *d, double *e) {
    // Reflections are kept in the lower rows of a: row i (below the diagonal part) holds the Householder vector of step i.
    for (u32 i = n - 1; i > 0; --i) {
        double *row = a + static_cast<u64>(i) * n;
        double scale = 0, h = 0;
        for (u32 k = 0; k < i; ++k) scale += std::fabs(row[k]);
        if (i == 1 || scale < 1e-280) {     // below, the reflection itself would be lost in denormals
            e[i] = row[i - 1];
            d[i] = 0;
            continue;
        }
        for (u32 k = 0; k < i; ++k) {
            row[k] /= scale;
            h += row[k] * row[k];
        }
        const double f = row[i - 1], g = f > 0 ? -std::sqrt(h) : std::sqrt(h);
        e[i] = scale * g;
        h -= f * g;
        row[i - 1] = f - g;
        double sum = 0;
        for (u32 j = 0; j < i; ++j) {   // e = A u / h, A symmetric, its lower triangle valid
            double x = 0;
            const double *aj = a + static_cast<u64>(j) * n;
            for (u32 k = 0; k <= j; ++k) x += aj[k] * row[k];
            for (u32 k = j + 1; k < i; ++k) x += a[static_cast<u64>(k) * n + j] * row[k];
            e[j] = x / h;
            sum += e[j] * row[j];
        }
        const double half = sum / (h + h);
        for (u32 j = 0; j < i; ++j) {
            const double u = row[j], w = e[j] - half * u;
            e[j] = w;
            double *aj = a + static_cast<u64>(j) * n;
            for (u32 k = 0; k <= j; ++k) aj[k] -= u * e[k] + w * row[k];
        }
        d[i] = h;
    }
    d[0] = 0;
    e[0] = 0;
}

// Turns the reflections that tridiagonalise left in a into q = Q^T, and takes the diagonal out.
void accumulate(const double *a, u32 n, double *d, double *q) {
    std::memset(q, 0, sizeof(double) * n * n);
    for (u32 i = 0; i < n; ++i) {
        if (d[i] != 0) {        // q <- (I - u u^T / h) q for the leading i x i part, q stored transposed
            const double *u = a + static_cast<u64>(i) * n;
            for (u32 j = 0; j < i; ++j) {
                double *qj = q + static_cast<u64>(j) * n;
                double g = 0;
                for (u32 k = 0; k < i; ++k) g += u[k] * qj[k];
                g /= d[i];
                for (u32 k = 0; k < i; ++k) qj[k] -= g * u[k];
            }
        }
        d[i] = a[static_cast<u64>(i) * n + i];
        q[static_cast<u64>(i) * n + i] = 1;
    }
}

// Implicit QL with Wilkinson shifts; rows of q are rotated along.
void implicit_ql(u32 n, double *d, double *e, double *q) {
    for (u32 i = 1; i < n; ++i) e[i - 1] = e[i];
    e[n - 1] = 0;
    for (u32 l = 0; l < n; ++l)
        for (int sweep = 0; sweep < 60; ++sweep) {
            u32 m = l;
            while (m + 1 < n && std::fabs(e[m]) > 1e-15 * (std::fabs(d[m]) + std::fabs(d[m + 1]))) ++m;
            if (m == l) break;
            double g = (d[l + 1] - d[l]) / (2 * e[l]), r = std::hypot(g, 1.0);
            g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
            double s = 1, c = 1, p = 0;
            for (u32 i = m; i-- > l;) {
                const double f = s * e[i], b = c * e[i];
                r = std::hypot(f, g);
                e[i + 1] = r;
                if (r == 0) {
                    d[i + 1] -= p;
                    e[m] = 0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                double *x = q + static_cast<u64>(i) * n, *y = x + n;
                for (u32 k = 0; k < n; ++k) {
                    const double t = y[k];
                    y[k] = s * x[k] + c * t;
                    x[k] = c * x[k] - s * t;
                }
            }
            if (r == 0) continue;
            d[l] -= p;
            e[l] = g;
            e[m] = 0;
        }
}

}  // namespace

Status symmetric_eigen(double *matrix, u32 n, double *values, float *vectors, const Allocator &allocator,
                       learnann_error *error) {
    Array<double> q(allocator), d(allocator), e(allocator);
    Array<u32> order(allocator);
    LEARNANN_RETURN_IF(q.allocate(static_cast<u64>(n) * n, error));
    LEARNANN_RETURN_IF(d.zeroes(n, error));
    LEARNANN_RETURN_IF(e.zeroes(n, error));
    LEARNANN_RETURN_IF(order.allocate(n, error));
    tridiagonalise(matrix, n, d.data(), e.data());
    accumulate(matrix, n, d.data(), q.data());
    implicit_ql(n, d.data(), e.data(), q.data());
    for (u32 i = 0; i < n; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](u32 a, u32 b) { return d[a] != d[b] ? d[a] > d[b] : a < b; });
    for (u32 i = 0; i < n; ++i) {
        values[i] = d[order[i]];
        const double *from = q.data() + static_cast<u64>(order[i]) * n;
        for (u32 k = 0; k < n; ++k) vectors[static_cast<u64>(i) * n + k] = static_cast<float>(from[k]);
    }
    return LEARNANN_OK;
}

LEARNANN_END
