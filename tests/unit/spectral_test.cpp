// spectral_test.cpp: the fit finds a subspace that the rows lie in, and estimates from codes are near the true
// distances.
#include "learn/cluster.hpp"
#include "learn/codec_fit.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

using namespace learnann;

namespace {

// Rows in a 5-d subspace of `dim`, about a point, with axes of unequal length; basis: 5 x dim, orthonormal.
struct Planted {
    std::vector<double> basis, centre;
    testdata::Rows rows;

    Planted(u64 count, u32 dim, double noise, bool centred)
        : basis(5 * dim), centre(dim), rows(count, dim, LEARNANN_F32) {
        testdata::Random random(dim);
        for (u32 k = 0; k < 5; ++k) {
            double *b = basis.data() + k * dim, norm = 0;
            for (u32 i = 0; i < dim; ++i) b[i] = random.gaussian();
            for (u32 p = 0; p < k; ++p) {
                double dot = 0;
                for (u32 i = 0; i < dim; ++i) dot += b[i] * basis[p * dim + i];
                for (u32 i = 0; i < dim; ++i) b[i] -= dot * basis[p * dim + i];
            }
            for (u32 i = 0; i < dim; ++i) norm += b[i] * b[i];
            for (u32 i = 0; i < dim; ++i) b[i] /= std::sqrt(norm);
        }
        if (centred)
            for (double &c : centre) c = random.gaussian();
        for (u64 r = 0; r < count; ++r) {
            std::vector<double> x = centre;
            for (u32 k = 0; k < 5; ++k) {
                const double along = (5 - k) * random.gaussian();
                for (u32 i = 0; i < dim; ++i) x[i] += along * basis[k * dim + i];
            }
            for (u32 i = 0; i < dim; ++i) rows.set(r, i, x[i] + noise * random.gaussian());
        }
    }
};

// Under cosine rows come with their norms.
Rows as_rows(const testdata::Rows &data, learnann_metric metric, std::vector<float> &norms) {
    Rows rows;
    norms.resize(data.count);
    for (u64 i = 0; i < data.count; ++i) {
        double length2 = 0;
        for (u32 j = 0; j < data.dim; ++j) length2 += data.value(i, j) * data.value(i, j);
        norms[i] = static_cast<float>(std::sqrt(length2));
    }
    rows.norms = norms.data();
    rows.vectors = data.view();
    rows.metric = metric;
    return rows;
}

// Codes of all rows of `data`, and the codec that made them.
struct Coded {
    Basis basis;
    FittedCodec fitted;
    std::vector<u8> records;

    Coded(const testdata::Rows &data, learnann_metric metric, u32 record_bytes, bool in_frame = false) {
        std::vector<float> norms;
        const Rows rows = as_rows(data, metric, norms);
        REQUIRE(fit_pca(rows, Holdout{}, most_code_dims(record_bytes, data.dim), 1, BuildContext{}, basis, nullptr) == LEARNANN_OK);
        Basis frame;
        if (in_frame) REQUIRE(make_frame(basis, code_capacity(record_bytes), Allocator{}, frame, nullptr) == LEARNANN_OK);
        REQUIRE(fit_codec(rows, in_frame ? frame : basis, record_bytes, Holdout{}, 2, Allocator{}, fitted, nullptr) == LEARNANN_OK);
        CHECK(fitted.codec.is_frame() == in_frame);
        records.resize(data.count * record_bytes);
        REQUIRE(encode_rows(rows, fitted.codec, nullptr, BuildContext{}, records.data(), nullptr) == LEARNANN_OK);
    }
    // The estimated distance of query i of `queries` to each row.
    std::vector<double> estimate(const testdata::Rows &queries, u64 i, learnann_metric metric) const {
        CodecScratch scratch;
        alignas(64) i8 code[max_query_bytes];
        REQUIRE(scratch.allocate(fitted.codec, nullptr) == LEARNANN_OK);
        std::vector<float> norms;
        REQUIRE(as_rows(queries, metric, norms).floats(static_cast<u32>(i), scratch.x.data()));
        const EncodedQuery q = encode_query(fitted.codec, project(fitted.codec, scratch), code);
        const u32 count = static_cast<u32>(records.size() / fitted.codec.record_bytes);
        std::vector<i32> estimates(count);
        kernels().score(q.code, records.data(), fitted.codec.record_bytes, nullptr, count, estimates.data());
        std::vector<double> out;
        for (const i32 e : estimates) out.push_back(q.base + static_cast<double>(q.unit) * e);
        return out;
    }
};

}  // namespace

TEST_CASE("a frame keeps every length, and its codes tell distances more finely than the dimensions' own") {
    for (const u32 dim : {1u, 2u, 3u, 12u, 40u})
        for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
            if (dim == 1 && metric == LEARNANN_COS) continue;
            const u32 count = 500, bytes = dim < 6 ? 16 : 64;
            CAPTURE(dim);
            CAPTURE(metric);
            testdata::Random random(dim);
            testdata::Rows data(count, dim, LEARNANN_F32);
            for (u64 i = 0; i < count; ++i)
                for (u32 j = 0; j < dim; ++j) data.set(i, j, 10 * random.uniform() - 3);
            const Coded plain(data, metric, bytes), fine(data, metric, bytes, true);

            Basis frame;
            REQUIRE(make_frame(plain.basis, 2 * dim + 1, Allocator{}, frame, nullptr) == LEARNANN_OK);
            for (u64 i = 0; i < 20; ++i) {
                double length2 = 0, kept2 = 0;
                for (u32 j = 0; j < dim; ++j) length2 += data.value(i, j) * data.value(i, j);
                for (u32 k = 0; k < frame.count; ++k) {
                    double y = 0;
                    for (u32 j = 0; j < dim; ++j) y += data.value(i, j) * static_cast<double>(frame.directions[k * dim + j]);
                    kept2 += y * y;
                }
                CHECK(kept2 == doctest::Approx(length2).epsilon(1e-4));
            }

            // Between near rows, where it counts.
            double plain_error = 0, fine_error = 0;
            std::vector<double> a(dim), b(dim);
            for (u64 i = 0; i < 60; ++i) {
                const std::vector<double> by_plain = plain.estimate(data, i, metric), by_fine = fine.estimate(data, i, metric);
                std::vector<std::pair<double, u64>> near;
                for (u32 j = 0; j < dim; ++j) a[j] = data.value(i, j);
                for (u64 row = 0; row < count; ++row) {
                    for (u32 j = 0; j < dim; ++j) b[j] = data.value(row, j);
                    near.emplace_back(testdata::distance(metric, a.data(), b.data(), dim), row);
                }
                std::sort(near.begin(), near.end());
                for (u32 r = 1; r <= 10; ++r) {
                    plain_error += std::fabs(by_plain[near[r].second] - near[r].first);
                    fine_error += std::fabs(by_fine[near[r].second] - near[r].first);
                }
            }
            CHECK(fine_error < 0.92 * plain_error);
        }
}

TEST_CASE("PCA finds a planted 5-d subspace of 40, 400 and 1,500 dimensions, on any number of threads") {
    for (const u32 dim : {40u, 400u, 1500u})
        for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP}) {
            CAPTURE(dim);
            CAPTURE(metric);
            const Planted planted(dim == 400 ? 1000 : 400, dim, 0, metric == LEARNANN_L2);     // the covariance, or the rows themselves
            std::vector<float> norms;
            const Rows rows = as_rows(planted.rows, metric, norms);
            Basis basis, other;
            REQUIRE(fit_pca(rows, Holdout{}, 24, 7, BuildContext{}, basis, nullptr) == LEARNANN_OK);
            REQUIRE(fit_pca(rows, Holdout{}, 24, 7, BuildContext{3, {}, {}}, other, nullptr) == LEARNANN_OK);
            REQUIRE(basis.count >= 5);
            REQUIRE(basis.count == other.count);
            CHECK(std::equal(basis.directions.begin(), basis.directions.end(), other.directions.begin()));
            // Each planted direction lies within the first five found; the first is the longest.
            double worst = 1;
            for (u32 k = 0; k < 5; ++k) {
                double inside = 0;
                for (u32 j = 0; j < 5; ++j) {
                    double dot = 0;
                    for (u32 i = 0; i < dim; ++i)
                        dot += planted.basis[k * dim + i] * static_cast<double>(basis.directions[j * dim + i]);
                    inside += dot * dot;
                }
                worst = std::min(worst, inside);
            }
            CHECK(worst > 0.9999);
            double first = 0;
            for (u32 i = 0; i < dim; ++i) first += planted.basis[i] * static_cast<double>(basis.directions[i]);
            CHECK(std::fabs(first) > 0.9);
            // Orthonormal; where the rows span no more, a direction may be 0.
            for (u32 a = 0; a < basis.count; ++a)
                for (u32 b = 0; b <= a; ++b) {
                    double dot = 0;
                    for (u32 i = 0; i < dim; ++i)
                        dot += static_cast<double>(basis.directions[a * dim + i]) * basis.directions[b * dim + i];
                    const bool right =
                        std::fabs(dot - (a == b ? 1 : 0)) < 1e-4 || (a == b && a >= 5 && std::fabs(dot) < 1e-4);
                    if (!right) CHECK(dot == (a == b ? 1 : 0));
                }
            for (u32 i = 0; i < dim && metric == LEARNANN_IP; ++i) REQUIRE(basis.mean[i] == 0);
        }
}

TEST_CASE("estimates are near the true distances") {
    for (const u32 dim : {5u, 24u, 100u})
        for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
            CAPTURE(dim);
            CAPTURE(metric);
            const testdata::Rows data = testdata::clustered(1000, dim, LEARNANN_F32, 1),
                                 queries = testdata::clustered(20, dim, LEARNANN_F32, 2);
            const Coded coded(data, metric, 128);
            const auto x = data.doubles(), q = queries.doubles();
            double spread2 = 0, mean = 0;
            std::vector<double> all, errors;
            for (u64 i = 0; i < queries.count; ++i) {
                const auto estimates = coded.estimate(queries, i, metric);
                for (u64 r = 0; r < data.count; ++r) {
                    const double d = testdata::distance(metric, q.data() + i * dim, x.data() + r * dim, dim);
                    errors.push_back(std::fabs(estimates[r] - d));
                    all.push_back(d);
                    mean += d;
                }
            }
            mean /= static_cast<double>(all.size());
            for (const double d : all) spread2 += (d - mean) * (d - mean);
            // Codes hold all dimensions: what is lost is rounding, and clamping of a few.
            const double spread = std::sqrt(spread2 / static_cast<double>(all.size()));
            std::sort(errors.begin(), errors.end());
            CHECK(errors[errors.size() * 9 / 10] < 0.04 * spread);
            CHECK(errors[errors.size() * 99 / 100] < 0.15 * spread);
        }
}

TEST_CASE("estimates of codes that hold a part of the dimensions are unbiased enough to rank by") {
    const u32 dim = 40;
    const Planted planted(1000, dim, 0.3, true);
    const Coded coded(planted.rows, LEARNANN_L2, 16);       // 8 of 40
    const auto x = planted.rows.doubles();
    double error2 = 0, size2 = 0;
    for (u64 i = 0; i < 20; ++i) {
        const auto estimates = coded.estimate(planted.rows, i, LEARNANN_L2);
        for (u64 r = 0; r < planted.rows.count; ++r) {
            const double d = testdata::distance(LEARNANN_L2, x.data() + i * dim, x.data() + r * dim, dim);
            error2 += (estimates[r] - d) * (estimates[r] - d);
            size2 += d * d;
        }
    }
    CHECK(error2 < 0.01 * size2);
}

TEST_CASE("24 bytes divided among 60 dimensions estimate better than 24 dimensions kept exactly") {
    // Variances that fall off slowly.
    const u32 dim = 60;
    testdata::Rows data(2000, dim, LEARNANN_F32);
    testdata::Random random(6);
    for (u64 r = 0; r < data.count; ++r)
        for (u32 i = 0; i < dim; ++i) data.set(r, i, random.gaussian() / std::sqrt(1.0 + i));
    const Coded coded(data, LEARNANN_L2, 32);
    const Codec &c = coded.fitted.codec;
    CHECK(c.nibbles_at < 24);
    CHECK((c.nibble_shift > 0) == (c.nibbles_at < c.crumbs_at));
    CHECK((c.crumb_shift > 0) == (c.crumbs_at < 32));
    CHECK(c.code_dim > 32);
    const auto x = data.doubles();
    const auto error = [&] {
        double sum = 0;
        for (u64 i = 0; i < 20; ++i) {
            const auto estimates = coded.estimate(data, i, LEARNANN_L2);
            for (u64 r = 0; r < data.count; ++r) {
                const double e = estimates[r] - testdata::distance(LEARNANN_L2, x.data() + i * dim, x.data() + r * dim, dim);
                sum += e * e;
            }
        }
        return sum;
    }();
    // What 24 exact dimensions leave out, at the least: twice the product of residuals, whose variance is the sum of squared ones.
    double cut = 0;
    for (u32 i = 24; i < dim; ++i) cut += 4 / (1.0 + i) / (1.0 + i);
    CHECK(error / (20.0 * static_cast<double>(data.count)) < cut);
    // Codes come back as they were put.
    std::vector<i8> code(c.code_dim);
    for (u64 r = 0; r < 50; ++r) {
        const u8 *record = coded.records.data() + r * 32;
        get_code(c, record, code.data());
        std::vector<float> y(code.begin(), code.end());
        u8 again[32] = {};
        double squares = 0;
        for (const i8 v : code) squares += v * v;
        CHECK(put_code(c, y.data(), 1, again) == squares);
        CHECK(std::memcmp(again, record, 24) == 0);
    }
}

TEST_CASE("the residual weight is what the residuals of neighbours have in common") {
    // Groups of 40 rows, told apart by 8 strong dimensions. The other 32 are of the group, or of the row alone, or half of each;
    // they are longer in some rows than in others.
    constexpr u32 dim = 40, strong = 8, count = 4000;
    for (const double shared : {0.0, 0.5, 1.0}) {
        testdata::Rows data(count, dim, LEARNANN_F32);
        testdata::Random random(9);
        std::vector<double> group(dim);
        for (u64 r = 0; r < count; ++r) {
            const double length = 0.5 + random.uniform();
            for (u32 i = 0; i < dim; ++i) {
                if (r % 40 == 0) group[i] = random.gaussian();
                const double own = random.gaussian(), weak = std::sqrt(shared) * group[i] + std::sqrt(1 - shared) * own;
                data.set(r, i, i < strong ? 20 * group[i] + 0.1 * own : length * weak);
            }
        }
        std::vector<float> norms;
        const Rows rows = as_rows(data, LEARNANN_L2, norms);
        Basis basis;
        Holdout h;
        FittedCodec fitted;
        REQUIRE(make_holdout(rows, nullptr, 3, BuildContext{}, h, nullptr) == LEARNANN_OK);
        REQUIRE(fit_pca(rows, Holdout{}, dim, 1, BuildContext{}, basis, nullptr) == LEARNANN_OK);
        basis.count = strong;
        REQUIRE(fit_codec(rows, basis, 16, h, 2, Allocator{}, fitted, nullptr) == LEARNANN_OK);
        CAPTURE(shared);
        CHECK(std::fabs(fitted.codec.residual_weight - shared) < 0.35);      // the nearest of a group share a little more
    }
}

TEST_CASE("PCA knows rows held out no better than rows that never were there") {
    constexpr u32 count = 1200, dim = 200, directions = 50, strangers = 200;
    testdata::Random random(9);
    testdata::Rows data(count + strangers, dim, LEARNANN_F32);
    for (u64 r = 0; r < data.count; ++r)
        for (u32 i = 0; i < dim; ++i) data.set(r, i, random.gaussian());
    std::vector<float> norms;
    Rows rows = as_rows(data, LEARNANN_L2, norms);
    rows.vectors.count = count;
    Holdout h;
    Basis basis;
    REQUIRE(make_holdout(rows, nullptr, 3, BuildContext{}, h, nullptr) == LEARNANN_OK);
    REQUIRE(fit_pca(rows, h, directions, 1, BuildContext{}, basis, nullptr) == LEARNANN_OK);
    const auto kept = [&](u64 row) {
        double sum = 0;
        for (u32 k = 0; k < directions; ++k) {
            double dot = 0;
            for (u32 i = 0; i < dim; ++i) dot += static_cast<double>(basis.directions[k * dim + i]) * (data.value(row, i) - static_cast<double>(basis.mean[i]));
            sum += dot * dot;
        }
        return sum;
    };
    double seen = 0, held = 0, strange = 0;
    for (u32 row = 0; row < count; ++row) (h.holds(row) ? held : seen) += kept(row);
    for (u32 row = count; row < count + strangers; ++row) strange += kept(row);
    seen /= count - h.count;
    held /= h.count;
    strange /= strangers;
    CHECK(seen > 1.4 * strange);        // Gaussian rows have no strong directions: those found are of the sample
    CHECK(held < 1.08 * strange);
}

TEST_CASE("codes are in [1, 255], and 128 behind the last dimension") {
    for (const u32 record_bytes : {16u, 32u, 64u})
        for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
            testdata::Rows data = testdata::clustered(500, 12, LEARNANN_F32, 3);
            for (u32 j = 0; j < 12; ++j) data.set(7, j, 1e6), data.set(8, j, 0);
            const Coded coded(data, metric, record_bytes);
            size_t wrong = 0;
            const u32 m = coded.fitted.codec.code_dim;
            CHECK(m == std::min(12u, record_bytes - 8));
            for (u64 r = 0; r < data.count; ++r)
                for (u32 i = 0; i < record_bytes - 8; ++i) {
                    const u8 c = coded.records[r * record_bytes + i];
                    wrong += c == 0 || (i >= m && c != 128);
                }
            CHECK(wrong == 0);
        }
}

TEST_CASE("to_floats reads every type and sees what is not finite") {
    for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8})
        for (const u32 dim : {1u, 7u, 16u, 33u, 100u}) {
            testdata::Rows data = testdata::clustered(20, dim, type, 4);
            if (type == LEARNANN_F16) data.set(0, 0, std::ldexp(1.0, -24));      // the smallest
            std::vector<float> out(dim);
            size_t wrong = 0;
            for (u64 r = 0; r < data.count; ++r) {
                wrong += !to_floats(data.row(r), type, dim, out.data());
                for (u32 j = 0; j < dim; ++j) wrong += out[j] != static_cast<float>(data.value(r, j));
            }
            CHECK(wrong == 0);
            if (type != LEARNANN_F32 && type != LEARNANN_F16) continue;
            for (u32 j = 0; j < dim; ++j)
                for (const double bad :
                     {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
                    testdata::Rows one = data;
                    one.set(0, j, bad);
                    wrong += to_floats(one.row(0), type, dim, out.data());
                    wrong += !to_floats(one.row(1), type, dim, out.data());
                }
            CHECK(wrong == 0);
        }
}

TEST_CASE("normalise: length 1, for any length; zero stays zero") {
    for (const double scale : {1e-30, 1e-19, 1e-3, 1.0, 1e15, 1e19, 1e30}) {
        std::vector<float> x(21);
        testdata::Random random(5);
        for (float &v : x) v = static_cast<float>(scale * random.gaussian());
        normalise(x.data(), 21);
        double length2 = 0;
        for (const float v : x) length2 += static_cast<double>(v) * v;
        CAPTURE(scale);
        CHECK(std::fabs(length2 - 1) < 1e-5);
    }
    std::vector<float> zero(5, 0.0f);
    normalise(zero.data(), 5);
    for (const float v : zero) CHECK(v == 0);
}
