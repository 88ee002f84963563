// spectral.cpp: see spectral.hpp.
#include "learn/spectral.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 exact_eigen_dims = 256;
constexpr u32 iterations = 4;

// `count` distinct rows in ascending order, so that reading them is kind to the disk.
Status sample_rows(u32 rows, u32 count, u64 seed, Array<u32> &sample, learnann_error *error) {
    LEARNANN_RETURN_IF(sample.allocate(count, error));
    u32 taken = 0;      // selection sampling (Knuth, TAOCP 2, algorithm 3.4.2S)
    Random random(seed);
    for (u32 row = 0; row < rows && taken < count; ++row)
        if (random.below(rows - row) < count - taken) sample[taken++] = row;
    return LEARNANN_OK;
}

// Outliers are no more than one row in so many: a few such would draw the mean to themselves, and take the first directions.
constexpr u32 outlier_share = 50;

// The mean of the rows that are no outliers. Those are set to the mean: so they say nothing of the directions.
inline Status robust_mean(Array<float> &x, u32 n, u32 d, const Allocator &allocator, Array<float> &mean, learnann_error *error) {
    Array<double> sums(allocator), distance2(allocator), sorted(allocator);
    Array<u8> out(allocator);
    LEARNANN_RETURN_IF(sums.allocate(d, error));
    LEARNANN_RETURN_IF(distance2.allocate(n, error));
    LEARNANN_RETURN_IF(sorted.allocate(n, error));
    LEARNANN_RETURN_IF(out.zeroes(n, error));
    const auto find_mean = [&] {
        u32 kept = 0;
        for (double &sum : sums) sum = 0;
        for (u32 i = 0; i < n; ++i) {
            for (u32 c = 0; c < d && !out[i]; ++c) sums[c] += x[static_cast<u64>(i) * d + c];
            kept += !out[i];
        }
        for (u32 c = 0; c < d; ++c) mean[c] = static_cast<float>(sums[c] / kept);
    };
    find_mean();
    for (u32 found = 0, rounds = 0; rounds < 4; ++rounds) {      // the farthest hide the less far
        for (u32 i = 0; i < n; ++i) {
            double sum = 0;
            for (u32 c = 0; c < d; ++c) {
                const double v = static_cast<double>(x[static_cast<u64>(i) * d + c]) - mean[c];
                sum += v * v;
            }
            sorted[i] = distance2[i] = sum;
        }
        std::nth_element(sorted.begin(), sorted.begin() + n / 2, sorted.end());
        const double limit = outlier_medians * outlier_medians * sorted[n / 2];
        const u32 before = found;
        found = 0;
        for (u32 i = 0; i < n; ++i) found += out[i] = distance2[i] > limit;
        const bool few = limit > 0 && found <= n / outlier_share;
        if (!few) std::memset(out.data(), 0, n);
        if (few && found == before) break;
        find_mean();
        if (!few) break;
    }
    for (u32 i = 0; i < n; ++i)
        if (out[i]) std::memcpy(x.data() + static_cast<u64>(i) * d, mean.data(), d * sizeof(float));
    return LEARNANN_OK;
}

// Brings the sample's largest value near 1, so that squares neither overflow nor vanish.
inline void scale_sample(Array<float> &x) {
    float largest = 0;
    for (const float v : x) largest = larger(largest, std::fabs(v));
    if (largest > 0)
        for (float &v : x) v /= largest;
}

// A sample of the rows as floats, scaled; but for inner product the mean is taken out.
inline Status load_sample(const Rows &rows, const Holdout &unknown, u64 seed, const Allocator &allocator, Array<float> &x, Array<float> &mean,
                          learnann_error *error) {
    const u32 d = rows.dim();
    Array<u32> sample(allocator);
    LEARNANN_RETURN_IF(sample_rows(rows.count(), smaller(rows.count(), pca_sample(d)), seed, sample, error));
    const u32 *const end = std::remove_if(sample.begin(), sample.end(), [&](u32 row) { return unknown.holds(row); });
    const u32 n = static_cast<u32>(end - sample.begin());
    LEARNANN_RETURN_IF(x.allocate(static_cast<u64>(n) * d, error));
    LEARNANN_RETURN_IF(mean.zeroes(d, error));
    rows.each(n, [&](u32 i) { return sample[i]; }, [&](u32 i) { rows.floats(sample[i], x.data() + static_cast<u64>(i) * d); });
    if (rows.metric != LEARNANN_IP) {
        LEARNANN_RETURN_IF(robust_mean(x, n, d, allocator, mean, error));
        for (u32 i = 0; i < n; ++i)
            for (u32 c = 0; c < d; ++c) x[static_cast<u64>(i) * d + c] -= mean[c];
    }
    scale_sample(x);
    return LEARNANN_OK;
}

// The leading eigenvectors of X^T X by block subspace iteration with a Rayleigh-Ritz step at the end.
class SubspaceIteration {
public:
    SubspaceIteration(const Array<float> &x, u32 rows, u32 dim, const BuildContext &build)
        : x_(x), rows_(rows), dim_(dim), threads_(build.threads), allocator_(build.allocator), covariance_(allocator_), product_(allocator_) {}

    Status run(u32 count, u64 seed, Array<float> &directions, learnann_error *error) {
        const u32 block = smaller(smaller(count + 16, dim_), rows_);      // what the rows span is found by as many directions as rows
        if (takes_covariance(block)) {
            LEARNANN_RETURN_IF(covariance_.allocate(static_cast<u64>(dim_) * dim_, error));
            gram(x_.data(), covariance_.data(), rows_, dim_, threads_);
            if (dim_ <= exact_eigen_dims) return exact(count, directions, error);
        } else {
            LEARNANN_RETURN_IF(product_.allocate(static_cast<u64>(rows_) * block, error));
        }
        Array<float> v(allocator_), w(allocator_);
        LEARNANN_RETURN_IF(v.allocate(static_cast<u64>(dim_) * block, error));
        LEARNANN_RETURN_IF(w.allocate(static_cast<u64>(dim_) * block, error));
        Random random(seed);
        for (float &value : v) value = random.gaussian();
        LEARNANN_RETURN_IF(orthonormalise(v.data(), dim_, block, allocator_, error));
        for (u32 i = 0; i < iterations; ++i) {
            apply(v.data(), w.data(), block);
            v.swap(w);
            LEARNANN_RETURN_IF(orthonormalise(v.data(), dim_, block, allocator_, error));
        }
        apply(v.data(), w.data(), block);
        return rayleigh_ritz(v, w, block, count, directions, error);
    }

private:
    // Whether to multiply by X^T X, which is made first, at half the cost for being symmetric; or by X and X^T.
    bool takes_covariance(u32 block) const {
        if (dim_ <= exact_eigen_dims || dim_ > covariance_dims) return dim_ <= exact_eigen_dims;
        const u64 applied = 2ull * (iterations + 1) * block;
        return dim_ * (rows_ + applied) < 2ull * rows_ * applied;
    }
    void apply(const float *v, float *w, u32 block) {
        if (!covariance_.empty()) return multiply(covariance_.data(), v, w, dim_, dim_, block, threads_);
        multiply(x_.data(), v, product_.data(), rows_, dim_, block, threads_);
        multiply_transposed(x_.data(), product_.data(), w, rows_, dim_, block, threads_);
    }

    Status exact(u32 count, Array<float> &directions, learnann_error *error) {
        Array<double> matrix(allocator_), values(allocator_);
        Array<float> vectors(allocator_);
        const u64 size = static_cast<u64>(dim_) * dim_;
        LEARNANN_RETURN_IF(matrix.allocate(size, error));
        LEARNANN_RETURN_IF(values.allocate(dim_, error));
        LEARNANN_RETURN_IF(vectors.allocate(size, error));
        for (u64 i = 0; i < size; ++i) matrix[i] = covariance_[i];
        LEARNANN_RETURN_IF(symmetric_eigen(matrix.data(), dim_, values.data(), vectors.data(), allocator_, error));
        LEARNANN_RETURN_IF(directions.allocate(static_cast<u64>(count) * dim_, error));
        std::memcpy(directions.data(), vectors.data(), static_cast<size_t>(count) * dim_ * sizeof(float));
        return LEARNANN_OK;
    }

    // Directions = V u for the eigenvectors u of V^T C V.
    Status rayleigh_ritz(const Array<float> &v, const Array<float> &w, u32 block, u32 count, Array<float> &directions,
                         learnann_error *error) {
        Array<float> small(allocator_), vectors(allocator_);
        Array<double> matrix(allocator_), values(allocator_);
        const u64 size = static_cast<u64>(block) * block;
        LEARNANN_RETURN_IF(small.allocate(size, error));
        LEARNANN_RETURN_IF(vectors.allocate(size, error));
        LEARNANN_RETURN_IF(matrix.allocate(size, error));
        LEARNANN_RETURN_IF(values.allocate(block, error));
        multiply_transposed(v.data(), w.data(), small.data(), dim_, block, block, threads_);
        for (u32 i = 0; i < block; ++i)
            for (u32 j = 0; j < block; ++j)
                matrix[static_cast<u64>(i) * block + j] =
                    0.5 * (static_cast<double>(small[static_cast<u64>(i) * block + j]) + small[static_cast<u64>(j) * block + i]);
        LEARNANN_RETURN_IF(symmetric_eigen(matrix.data(), block, values.data(), vectors.data(), allocator_, error));
        LEARNANN_RETURN_IF(directions.zeroes(static_cast<u64>(count) * dim_, error));
        for (u32 k = 0; k < smaller(count, block); ++k)
            for (u32 i = 0; i < dim_; ++i)
                directions[static_cast<u64>(k) * dim_ + i] = kernels().dot[LEARNANN_F32](
                    vectors.data() + static_cast<u64>(k) * block, v.data() + static_cast<u64>(i) * block, block);
        return LEARNANN_OK;
    }

    const Array<float> &x_;
    u32 rows_, dim_, threads_;
    Allocator allocator_;
    Array<float> covariance_, product_;
};

Status fit_pca(const Rows &rows, const Holdout &unknown, u32 count, u64 seed, const BuildContext &build, Basis &basis, learnann_error *error) {
    const u32 d = rows.dim();
    Array<float> x(build.allocator);
    LEARNANN_RETURN_IF(load_sample(rows, unknown, seed, build.allocator, x, basis.mean, error));
    basis.dim = d;
    basis.count = smaller(count, d);
    SubspaceIteration iteration(x, static_cast<u32>(x.size() / d), d, build);
    return iteration.run(basis.count, seed + 1, basis.directions, error);
}

Status turn_basis(Array<float> &y, u32 sample, const BuildContext &build, Basis &basis, learnann_error *error) {
    const u32 m = basis.count, d = basis.dim;
    const u64 size = static_cast<u64>(m) * m;
    Array<float> square(build.allocator), vectors(build.allocator), turned(build.allocator);
    Array<double> matrix(build.allocator), values(build.allocator);
    for (Array<float> *a : {&square, &vectors}) LEARNANN_RETURN_IF(a->allocate(size, error));
    LEARNANN_RETURN_IF(matrix.allocate(size, error));
    LEARNANN_RETURN_IF(values.allocate(m, error));
    LEARNANN_RETURN_IF(turned.allocate(basis.directions.size(), error));
    const auto eigen = [&] {
        for (u64 i = 0; i < size; ++i) matrix[i] = square[i];
        return symmetric_eigen(matrix.data(), m, values.data(), vectors.data(), build.allocator, error);
    };
    const auto direction = [&](u32 i) { return basis.directions.data() + static_cast<u64>(i) * d; };
    for (u32 i = 0; i < m; ++i)
        for (u32 j = 0; j <= i; ++j)
            square[static_cast<u64>(i) * m + j] = square[static_cast<u64>(j) * m + i] = kernels().dot[LEARNANN_F32](direction(i), direction(j), d);
    LEARNANN_RETURN_IF(eigen());
    basis.stretch = larger(1.0f, 1.01f * static_cast<float>(std::sqrt(larger(values[0], 0.0))));    // the projection rounds the directions
    scale_sample(y);
    gram(y.data(), square.data(), sample, m, build.threads);
    LEARNANN_RETURN_IF(eigen());
    multiply(vectors.data(), basis.directions.data(), turned.data(), m, m, d, build.threads);
    basis.directions.swap(turned);
    return LEARNANN_OK;
}

// What is given, as floats.
inline Status load_map(const learnann_vectors &map, Basis &basis, learnann_error *error) {
    basis.dim = map.dim;
    basis.count = static_cast<u32>(map.count);
    LEARNANN_RETURN_IF(basis.directions.allocate(static_cast<u64>(basis.count) * basis.dim, error));
    for (u32 i = 0; i < basis.count; ++i) {
        float *direction = basis.directions.data() + static_cast<u64>(i) * basis.dim;
        if (!to_floats(vector_at(map, i), map.type, map.dim, direction) || length_of(direction, map.dim) > most_stretch)
            return fail(error, LEARNANN_ARGUMENT, "a direction holds NaN or infinity, or is longer than 8", LEARNANN_AT_DIRECTION, i);
    }
    return LEARNANN_OK;
}

Status basis_of_map(const Rows &rows, const learnann_vectors &map, u64 seed, const BuildContext &build, Basis &basis,
                    learnann_error *error) {
    Array<float> x(build.allocator), columns(build.allocator), y(build.allocator);
    LEARNANN_RETURN_IF(load_map(map, basis, error));
    LEARNANN_RETURN_IF(load_sample(rows, Holdout{}, seed, build.allocator, x, basis.mean, error));
    const u32 d = rows.dim(), n = static_cast<u32>(x.size() / d), m = basis.count;
    LEARNANN_RETURN_IF(columns.allocate(basis.directions.size(), error));
    transpose(basis.directions.data(), columns.data(), m, d);
    LEARNANN_RETURN_IF(y.allocate(static_cast<u64>(n) * m, error));
    multiply(x.data(), columns.data(), y.data(), n, d, m, build.threads);
    LEARNANN_RETURN_IF(turn_basis(y, n, build, basis, error));
    return basis.stretch <= 1.011f * most_stretch ? LEARNANN_OK     // of which 0.01 are for rounding
                                         : fail(error, LEARNANN_ARGUMENT, "the directions make some vectors longer than 8 times their length");
}

Status make_frame(const Basis &basis, u32 count, const Allocator &allocator, Basis &frame, learnann_error *error) {
    constexpr double pi = 3.14159265358979323846;
    const u32 d = basis.dim;
    Array<float> turn(allocator);
    LEARNANN_RETURN_IF(turn.allocate(static_cast<u64>(count) * d, error));
    for (u32 k = 0; k < count; ++k)
        for (u32 j = 0; j < d; ++j)
            turn[static_cast<u64>(k) * d + j] = static_cast<float>(std::sqrt(2.0 / count) * std::cos(pi * (k + 0.5) * (j + 1) / count));
    frame.dim = d;
    frame.count = count;
    frame.stretch = 1.01f;      // the projection rounds the directions
    LEARNANN_RETURN_IF(frame.mean.allocate(d, error));
    std::memcpy(frame.mean.data(), basis.mean.data(), d * sizeof(float));
    LEARNANN_RETURN_IF(frame.directions.allocate(static_cast<u64>(count) * d, error));
    multiply(turn.data(), basis.directions.data(), frame.directions.data(), count, d, d, 1);
    return LEARNANN_OK;
}

LEARNANN_END
