// linalg_test.cpp: products, orthonormalisation and eigenvectors against their definitions.
#include "learn/linalg.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

using namespace learnann;

namespace {

std::vector<float> random_matrix(u32 rows, u32 cols, u64 seed) {
    testdata::Random random(seed);
    std::vector<float> m(static_cast<size_t>(rows) * cols);
    for (float &v : m) v = static_cast<float>(random.gaussian());
    return m;
}

}  // namespace

TEST_CASE("multiply and multiply_transposed against plain loops, for any number of threads") {
    const u32 shapes[][3] = {{1, 1, 1}, {2, 3, 4}, {17, 5, 33}, {64, 64, 64}, {3, 130, 7}, {150, 9, 1}, {129, 31, 40}};
    for (const auto &s : shapes) {
        const u32 rows = s[0], inner = s[1], cols = s[2];
        const auto a = random_matrix(rows, inner, 1), b = random_matrix(inner, cols, 2),
                   c = random_matrix(rows, cols, 3);
        std::vector<float> product(rows * cols), other(rows * cols), transposed(inner * cols), again(inner * cols);
        multiply(a.data(), b.data(), product.data(), rows, inner, cols, 1);
        multiply(a.data(), b.data(), other.data(), rows, inner, cols, 3);
        CHECK(product == other);
        multiply_transposed(a.data(), c.data(), transposed.data(), rows, inner, cols, 1);
        multiply_transposed(a.data(), c.data(), again.data(), rows, inner, cols, 3);
        CHECK(transposed == again);
        double worst = 0;
        for (u32 i = 0; i < rows; ++i)
            for (u32 j = 0; j < cols; ++j) {
                double sum = 0;
                for (u32 k = 0; k < inner; ++k) sum += static_cast<double>(a[i * inner + k]) * b[k * cols + j];
                worst = std::max(worst, std::fabs(sum - product[i * cols + j]));
            }
        for (u32 i = 0; i < inner; ++i)
            for (u32 j = 0; j < cols; ++j) {
                double sum = 0;
                for (u32 k = 0; k < rows; ++k) sum += static_cast<double>(a[k * inner + i]) * c[k * cols + j];
                worst = std::max(worst, std::fabs(sum - transposed[i * cols + j]));
            }
        CHECK(worst < 1e-4);
    }
}

TEST_CASE("orthonormalise: unit columns at right angles that span the same, vanishing columns become 0") {
    const u32 dim = 50, count = 12;
    auto v = random_matrix(dim, count, 4);
    for (u32 i = 0; i < dim; ++i) {
        v[i * count + 5] = 2 * v[i * count + 1] - v[i * count + 3];     // depends on two before it
        v[i * count + 8] = 0;
        v[i * count + 9] *= 1e-8f;
        v[i * count + 10] *= 1e8f;
    }
    REQUIRE(orthonormalise(v.data(), dim, count, Allocator{}, nullptr) == LEARNANN_OK);
    for (u32 a = 0; a < count; ++a)
        for (u32 b = a; b < count; ++b) {
            double dot = 0;
            for (u32 i = 0; i < dim; ++i) dot += static_cast<double>(v[i * count + a]) * v[i * count + b];
            const bool vanished = a == 5 || a == 8;
            CHECK(std::fabs(dot - (a == b && !vanished ? 1 : 0)) < 1e-5);
        }
}

TEST_CASE("symmetric_eigen: residuals, right angles, descending values, the trace") {
    for (u32 n = 1; n <= 64; ++n)
        for (const int kind : {0, 1, 2, 3}) {
            testdata::Random random(n * 10 + static_cast<u32>(kind));
            std::vector<double> matrix(n * n);
            for (u32 i = 0; i < n; ++i)
                for (u32 j = 0; j <= i; ++j) {
                    double v = random.gaussian();
                    if (kind == 1) v = i == j ? static_cast<double>(i % 3) : 0;     // diagonal, values many times
                    if (kind == 2) v = 1;                                           // rank 1
                    if (kind == 3) v *= std::pow(10, -static_cast<double>(i + j) / 8);    // values of very unequal size
                    matrix[i * n + j] = matrix[j * n + i] = v;
                }
            std::vector<double> work = matrix, values(n);
            std::vector<float> vectors(n * n);
            REQUIRE(symmetric_eigen(work.data(), n, values.data(), vectors.data(), Allocator{}, nullptr) ==
                    LEARNANN_OK);
            double size = 1e-30, trace = 0, sum = 0, residual = 0, angle = 0;
            for (const double v : matrix) size = std::max(size, std::fabs(v) * n);
            for (u32 i = 0; i < n; ++i) trace += matrix[i * n + i], sum += values[i];
            for (u32 k = 0; k < n; ++k) {
                for (u32 i = 0; i < n; ++i) {
                    double row = 0;
                    for (u32 j = 0; j < n; ++j) row += matrix[i * n + j] * vectors[k * n + j];
                    residual = std::max(residual, std::fabs(row - values[k] * vectors[k * n + i]));
                }
                for (u32 l = 0; l <= k; ++l) {
                    double dot = 0;
                    for (u32 j = 0; j < n; ++j) dot += static_cast<double>(vectors[k * n + j]) * vectors[l * n + j];
                    angle = std::max(angle, std::fabs(dot - (k == l ? 1 : 0)));
                }
            }
            CAPTURE(n);
            CAPTURE(kind);
            CHECK(residual < 1e-6 * size);
            CHECK(angle < 1e-6);
            CHECK(std::fabs(trace - sum) < 1e-9 * size);
            CHECK(std::is_sorted(values.rbegin(), values.rend()));
        }
}

TEST_CASE("symmetric_eigen: of matrices so small that rotations vanish it ends, with finite values") {
    testdata::Random random(3);
    for (const double scale : {1e-300, 1e-310, 1e-320})
        for (const u32 n : {2u, 3u, 5u, 12u, 30u}) {
            std::vector<double> matrix(n * n), values(n);
            std::vector<float> vectors(n * n);
            double most = 0;
            for (u32 i = 0; i < n; ++i)
                for (u32 j = 0; j <= i; ++j) {
                    matrix[i * n + j] = matrix[j * n + i] = scale * random.gaussian();
                    most = std::max(most, std::fabs(matrix[i * n + j]));
                }
            REQUIRE(symmetric_eigen(matrix.data(), n, values.data(), vectors.data(), Allocator(), nullptr) == LEARNANN_OK);
            for (u32 k = 0; k < n; ++k) {
                double square = 0;
                for (u32 i = 0; i < n; ++i) square += static_cast<double>(vectors[k * n + i]) * vectors[k * n + i];
                CHECK(square < 10);     // finite: subnormal values have too few digits for more
                if (scale >= 1e-300) CHECK(std::fabs(square - 1) < 1e-3);
                CHECK(std::fabs(values[k]) <= 2 * n * most);
            }
        }
}

TEST_CASE("linear algebra that runs out of memory says so") {
    testdata::CountingAllocator counter;
    Allocator allocator;
    allocator.hooks = counter.hooks();
    double matrix[4] = {2, 1, 1, 2}, values[2];
    float vectors[4] = {1, 0, 0, 1};
    for (int64_t n = 0; n < 4; ++n) {
        counter.fail_after(n);
        CHECK(symmetric_eigen(matrix, 2, values, vectors, allocator, nullptr) == LEARNANN_NOMEM);
        CHECK(counter.live == 0);
    }
    counter.fail_after(0);
    CHECK(orthonormalise(vectors, 2, 2, allocator, nullptr) == LEARNANN_NOMEM);
}
