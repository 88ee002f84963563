// spectral.cpp: see spectral.hpp.
#include "learn/spectral.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 covariance_dims = 1024;
constexpr u32 exact_eigen_dims = 256;

// `count` distinct rows in ascending order, so that reading them is kind to the disk.
inline Status sample_rows(u32 rows, u32 count, u64 seed, Array<u32> &sample, learnann_error *error) {
    LEARNANN_RETURN_IF(sample.allocate(count, error));
    u32 taken = 0;      // selection sampling (Knuth, TAOCP 2, algorithm 3.4.2S)
    Random random(seed);
    for (u32 row = 0; row < rows && taken < count; ++row)
        if (random.below(rows - row) < count - taken) sample[taken++] = row;
    return LEARNANN_OK;
}

// Rows as floats, the mean taken out.
inline Status load_sample(const Rows &rows, const Array<u32> &sample, bool centred, const Allocator &allocator,
                          Array<float> &x, Array<float> &mean, learnann_error *error) {
    const u32 d = rows.dim(), n = static_cast<u32>(sample.size());
    LEARNANN_RETURN_IF(x.allocate(static_cast<u64>(n) * d, error));
    LEARNANN_RETURN_IF(mean.zeroes(d, error));
    for (u32 i = 0; i < n; ++i)
        rows.floats(sample[i], x.data() + static_cast<u64>(i) * d);
    if (!centred) return LEARNANN_OK;
    Array<double> sums(allocator);
    LEARNANN_RETURN_IF(sums.zeroes(d, error));
    for (u32 i = 0; i < n; ++i)
        for (u32 c = 0; c < d; ++c) sums[c] += x[static_cast<u64>(i) * d + c];
    for (u32 c = 0; c < d; ++c) mean[c] = static_cast<float>(sums[c] / n);
    for (u32 i = 0; i < n; ++i)
        for (u32 c = 0; c < d; ++c) x[static_cast<u64>(i) * d + c] -= mean[c];
    return LEARNANN_OK;
}

// Brings the sample's largest value near 1, so that squares neither overflow nor vanish.
inline void scale_sample(Array<float> &x) {
    float largest = 0;
    for (const float v : x) largest = larger(largest, std::fabs(v));
    if (largest > 0)
        for (float &v : x) v /= largest;
}

// The leading eigenvectors of X^T X by block subspace iteration with a Rayleigh-Ritz step at the end.
class SubspaceIteration {
public:
    SubspaceIteration(const Array<float> &x, u32 rows, u32 dim, u32 threads, const Allocator &allocator)
        : x_(x), rows_(rows), dim_(dim), threads_(threads), allocator_(allocator), covariance_(allocator), product_(allocator) {}

    Status run(u32 count, u64 seed, Array<float> &directions, learnann_error *error) {
        const u32 block = smaller(count + 16, dim_);
        const bool dense = dim_ <= covariance_dims;
        if (dense) {
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
        for (u32 i = 0; i < (dense ? 8u : 5u); ++i) {
            apply(v.data(), w.data(), block);
            v.swap(w);
            LEARNANN_RETURN_IF(orthonormalise(v.data(), dim_, block, allocator_, error));
        }
        apply(v.data(), w.data(), block);
        return rayleigh_ritz(v, w, block, count, directions, error);
    }

private:
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
        LEARNANN_RETURN_IF(directions.allocate(static_cast<u64>(count) * dim_, error));
        for (u32 k = 0; k < count; ++k)
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

Status fit_pca(const Rows &rows, u32 count, u32 threads, u64 seed, const Allocator &allocator, Basis &basis,
               learnann_error *error) {
    const u32 d = rows.dim();
    Array<u32> sample(allocator);
    Array<float> x(allocator);
    LEARNANN_RETURN_IF(sample_rows(rows.count(), smaller(rows.count(), pca_sample(d)), seed, sample, error));
    LEARNANN_RETURN_IF(load_sample(rows, sample, rows.metric != LEARNANN_IP, allocator, x, basis.mean, error));
    scale_sample(x);
    basis.dim = d;
    basis.count = smaller(count, d);
    SubspaceIteration iteration(x, static_cast<u32>(sample.size()), d, threads, allocator);
    return iteration.run(basis.count, seed + 1, basis.directions, error);
}

// ---- the codec of a basis ----

inline Status set_projection(const Basis &basis, u32 code_dim, FittedCodec &f, learnann_error *error) {
    const u32 d = basis.dim, cols = projection_cols(d);
    LEARNANN_RETURN_IF(f.matrix.allocate(static_cast<u64>(code_dim) * cols, error));
    std::memset(f.matrix.data(), 128, f.matrix.size());
    LEARNANN_RETURN_IF(f.unit.allocate(code_dim, error));
    LEARNANN_RETURN_IF(f.mean.allocate(d, error));
    std::memcpy(f.mean.data(), basis.mean.data(), d * sizeof(float));
    // Eight bits are enough: rows and queries go through the same matrix, so what rounding does is a map a little off the
    // basis, and no noise between them.
    for (u32 k = 0; k < code_dim; ++k) {
        const float *direction = basis.directions.data() + static_cast<u64>(k) * d;
        const float peak = kernels().loops.peak(direction, d), unit = peak > 0 ? peak / 127 : 1;
        u8 *to = f.matrix.data() + static_cast<u64>(k) * cols;
        kernels().loops.quantise(direction, d, 1 / unit, reinterpret_cast<i8 *>(to));
        for (u32 i = 0; i < d; ++i) to[i] ^= 128;
        f.unit[k] = unit;
    }
    Codec &c = f.codec;
    c.matrix = f.matrix.data();
    c.unit = f.unit.data();
    c.mean = f.mean.data();
    c.dim = d;
    c.code_dim = code_dim;
    return LEARNANN_OK;
}

// Bytes, where they hold (almost) all dimensions; else the first cache line has bytes and all others nibbles, or where there are
// no two lines, the first quarter of one.
u32 best_nibbles_at(u32 record_bytes, u32 dim) {
    const u32 capacity = code_capacity(record_bytes);
    if (dim <= capacity + capacity / 8 || capacity < 16) return record_bytes;
    return record_bytes >= 2 * cache_line ? cache_line : 16;
}

// Projections of a sample: y (n x code_dim) and residuals.
struct SampleCodes {
    Array<float> y;
    Array<float> residual;
    Array<float> peak;      // max |y_i| of each
    u32 count = 0;
};

inline Status project_sample(const Rows &rows, const Codec &codec, const Array<u32> &sample, const Allocator &allocator,
                             SampleCodes &out, learnann_error *error) {
    CodecScratch scratch;
    scratch.use(allocator);
    out.y.use(allocator);
    out.residual.use(allocator);
    out.peak.use(allocator);
    out.count = static_cast<u32>(sample.size());
    LEARNANN_RETURN_IF(scratch.allocate(codec, error));
    LEARNANN_RETURN_IF(out.y.allocate(static_cast<u64>(out.count) * codec.code_dim, error));
    LEARNANN_RETURN_IF(out.residual.allocate(out.count, error));
    LEARNANN_RETURN_IF(out.peak.zeroes(out.count, error));
    for (u32 i = 0; i < out.count; ++i) {
        rows.floats(sample[i], scratch.x.data());
        const Projected p = project(codec, scratch);
        std::memcpy(out.y.data() + static_cast<u64>(i) * codec.code_dim, p.y, codec.code_dim * sizeof(float));
        out.residual[i] = std::sqrt(p.residual2);
        for (u32 j = 0; j < codec.code_dim; ++j) out.peak[i] = larger(out.peak[i], std::fabs(p.y[j]));
    }
    return LEARNANN_OK;
}

inline float quantile(Array<float> &values, double q) {
    const size_t at = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[at];
}

// No row is farther from the mean than this.
inline float farthest_row(const Rows &rows, const Codec &codec) {
    float longest = rows.metric == LEARNANN_COS ? 1.0f : 0.0f;
    for (u32 row = 0; row < rows.count() && rows.metric != LEARNANN_COS; ++row) longest = larger(longest, rows.norm(row));
    return longest + std::sqrt(kernels().dot[LEARNANN_F32](codec.mean, codec.mean, rows.dim()));
}

// What nibbles of a shift get wrong of the sample's weaker dimensions, squared, in code steps.
inline double nibble_error(const SampleCodes &sample, const Codec &c, u32 shift) {
    const float scale = 1 / (c.code_step * static_cast<float>(1u << shift));
    const u32 bytes = c.byte_dims(), nibbles = c.code_dim - bytes;
    double error = 0;
    for (u32 i = 0; i < sample.count; ++i) {
        const float *y = sample.y.data() + static_cast<u64>(i) * c.code_dim + bytes;
        for (u32 j = 0; j < nibbles; ++j) {
            const float v = y[j] * scale, off = v - (clamp(std::floor(v), -8.0f, 7.0f) + 0.5f);
            error += static_cast<double>(off) * off;
        }
    }
    return std::ldexp(error, static_cast<int>(2 * shift));
}

// The step: all but the farthest rows fit into 127 of them; those take an exponent. Then the units that let every norm fit.
inline void set_scales(SampleCodes &sample, float longest, Codec &c) {
    float longest_residual = 0;
    for (const float r : sample.residual) longest_residual = larger(longest_residual, r);
    float step = quantile(sample.peak, c.metric == LEARNANN_IP ? 1.0 : 0.99) / 127;
    step = larger(step, longest / max_steps);
    if (!(step > 1e-30f) || !(step < 1e30f)) step = 1;      // all rows equal, or not finite
    c.code_step = step;
    c.nibble_shift = 0;
    double least = 0;
    for (u32 shift = 1; c.nibbles_at < c.record_bytes && shift <= max_nibble_shift; ++shift) {
        const double error = nibble_error(sample, c, shift);
        if (shift == 1 || error < least) least = error, c.nibble_shift = shift;
    }
    const double steps2 = 1.01 * static_cast<double>(longest) * longest / (static_cast<double>(step) * step);
    c.norm_left = 0;
    while (c.norm_left < 7 && steps2 / (1u << c.norm_left) > 16777215.0) ++c.norm_left;
    c.residual_unit = larger(1.1f * longest_residual / step / max_residual, 1e-3f);
}

// rho of |x - y|^2 ~ |Px - Py|^2 + |rx|^2 + |ry|^2 - 2 rho |rx| |ry|, by least squares over near pairs of the sample: what counts
// is how residuals agree among neighbours. For each probe, its nearest few by projection. (Inner product: <rx, ry> ~ rho |rx| |ry|.)
Status fit_residual_weight(const Rows &rows, const SampleCodes &sample, const Array<u32> &ids, const Allocator &allocator,
                           Codec &codec, learnann_error *error) {
    constexpr u32 probes = 64, near = 10;
    const u32 n = sample.count, d = rows.dim(), m = codec.code_dim;
    const bool inner = codec.metric == LEARNANN_IP;
    Array<float> distance(allocator), x(allocator), y(allocator);
    Array<u32> order(allocator);
    LEARNANN_RETURN_IF(distance.allocate(n, error));
    LEARNANN_RETURN_IF(order.allocate(n, error));
    LEARNANN_RETURN_IF(x.allocate(d, error));
    LEARNANN_RETURN_IF(y.allocate(d, error));
    double products = 0, squares = 0;
    for (u32 p = 0; p < smaller(probes, n); ++p) {
        const u32 a = static_cast<u32>(static_cast<u64>(p) * n / probes) % n;
        const float *ya = sample.y.data() + static_cast<u64>(a) * m;
        for (u32 i = 0; i < n; ++i) {
            const float *yi = sample.y.data() + static_cast<u64>(i) * m;
            distance[i] = inner ? -kernels().dot[LEARNANN_F32](ya, yi, m) : kernels().l2[LEARNANN_F32](ya, yi, m);
            order[i] = i;
        }
        const u32 kept = smaller(near + 1, n);
        std::partial_sort(order.begin(), order.begin() + kept, order.end(), [&](u32 i, u32 j) {
            return distance[i] != distance[j] ? distance[i] < distance[j] : i < j;
        });
        rows.floats(ids[a], x.data());
        for (u32 k = 0; k < kept; ++k) {
            const u32 b = order[k];
            if (b == a) continue;
            rows.floats(ids[b], y.data());
            const double ra = sample.residual[a], rb = sample.residual[b];
            const double inner_residual =
                inner ? static_cast<double>(kernels().dot[LEARNANN_F32](x.data(), y.data(), d)) + distance[b]
                      : 0.5 * (ra * ra + rb * rb + distance[b] - kernels().l2[LEARNANN_F32](x.data(), y.data(), d));
            products += inner_residual * ra * rb;
            squares += ra * rb * ra * rb;
        }
    }
    codec.residual_weight = squares > 0 ? static_cast<float>(clamp(products / squares, -1.0, 1.0)) : 0.0f;
    return LEARNANN_OK;
}

// The rows of largest norm: the likeliest hits of an inner product, whose codes must not be clamped.
inline Status longest_rows(const Rows &rows, u32 count, const Allocator &allocator, Array<u32> &longest, learnann_error *error) {
    Array<u32> order(allocator);
    LEARNANN_RETURN_IF(order.allocate(rows.count(), error));
    for (u32 i = 0; i < rows.count(); ++i) order[i] = i;
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](u32 a, u32 b) {
        return rows.norm(a) != rows.norm(b) ? rows.norm(a) > rows.norm(b) : a < b;
    });
    LEARNANN_RETURN_IF(longest.allocate(count, error));
    std::memcpy(longest.data(), order.data(), count * sizeof(u32));
    return LEARNANN_OK;
}

Status fit_codec(const Rows &rows, const Basis &basis, u32 record_bytes, u64 seed, const Allocator &allocator,
                 FittedCodec &fitted, learnann_error *error) {
    fitted.codec = Codec{};
    fitted.codec.metric = rows.metric;
    fitted.codec.record_bytes = record_bytes;
    fitted.codec.nibbles_at = best_nibbles_at(record_bytes, basis.dim);
    const u32 room = code_room(record_bytes, fitted.codec.nibbles_at);
    LEARNANN_RETURN_IF(set_projection(basis, smaller(basis.count, room), fitted, error));
    Array<u32> ids(allocator);
    SampleCodes sample;
    if (rows.metric == LEARNANN_IP) LEARNANN_RETURN_IF(longest_rows(rows, smaller(rows.count(), 4096u), allocator, ids, error));
    else LEARNANN_RETURN_IF(sample_rows(rows.count(), smaller(rows.count(), 4096u), seed, ids, error));
    LEARNANN_RETURN_IF(project_sample(rows, fitted.codec, ids, allocator, sample, error));
    set_scales(sample, farthest_row(rows, fitted.codec), fitted.codec);
    return fit_residual_weight(rows, sample, ids, allocator, fitted.codec, error);
}

// A zero vector has cosine distance 1 from every row, yet it would lie nearer to all unit vectors than they lie to each other,
// and draw every edge to itself. This residual puts it farther away than any two of them are (4).
constexpr float zero_row_residual2 = 16;

Status encode_rows(const Rows &rows, const Codec &codec, u32 threads, const Progress &progress, const Allocator &allocator,
                   u8 *records, learnann_error *error) {
    CodecScratch scratch[max_threads];
    for (u32 t = 0; t < threads; ++t) {
        scratch[t].use(allocator);
        LEARNANN_RETURN_IF(scratch[t].allocate(codec, error));
    }
    constexpr u64 block = 256;
    const u64 n = rows.count(), step = round_up(larger<u64>(n / 32, block), block);
    for (u64 begin = 0; begin < n; begin += step) {
        LEARNANN_RETURN_IF(progress.at(static_cast<double>(begin) / static_cast<double>(n)));
        parallel(threads, smaller(step, n - begin), block, [&](u64 i, u32 worker) {
            const u32 row = static_cast<u32>(begin + i);
            CodecScratch &s = scratch[worker];
            rows.floats(row, s.x.data());
            Projected p = project(codec, s);
            if (rows.metric == LEARNANN_COS && rows.norm(row) == 0) p.residual2 = zero_row_residual2;
            encode_record(codec, p, records + static_cast<u64>(row) * codec.record_bytes);
        });
    }
    return LEARNANN_OK;
}

LEARNANN_END
