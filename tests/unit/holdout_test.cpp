// holdout_test.cpp: the neighbours that codes find for the held-out queries are those of brute force.
#include "learn/code_quality.hpp"
#include "learn/codec_fit.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace learnann;

TEST_CASE("holdout: brute force knows the first queries, codes find the others' neighbours") {
    constexpr u32 count = 20000, dim = 24, depth = Holdout::shallow_depth;
    testdata::Random random(3);
    testdata::Rows data(count, dim, LEARNANN_F32);
    for (u32 row = 0; row < count; ++row)
        for (u32 i = 0; i < dim; ++i) data.set(row, i, random.gaussian() * 10 / (i + 1));
    Rows rows;
    rows.vectors = data.view();
    std::vector<float> norms(count);
    for (u32 row = 0; row < count; ++row) {
        double sum = 0;
        for (u32 i = 0; i < dim; ++i) sum += data.value(row, i) * data.value(row, i);
        norms[row] = static_cast<float>(std::sqrt(sum));
    }
    rows.norms = norms.data();
    Basis basis;
    FittedCodec fitted;
    REQUIRE(fit_pca(rows, Holdout{}, dim, 1, BuildContext{}, basis, nullptr) == LEARNANN_OK);
    REQUIRE(fit_codec(rows, basis, 32, Holdout(), 2, Allocator(), fitted, nullptr) == LEARNANN_OK);
    std::vector<u8> records(count * size_t(32));
    REQUIRE(encode_rows(rows, fitted.codec, nullptr, BuildContext{}, records.data(), nullptr) == LEARNANN_OK);
    const CodeSpace space{&fitted.codec, records.data(), count, false};

    Holdout h;
    REQUIRE(make_holdout(rows, nullptr, 4, BuildContext{2, {}, {}}, h, nullptr) == LEARNANN_OK);
    REQUIRE(h.measured > 0);
    REQUIRE(h.count > h.measured);
    REQUIRE(h.query_rows.size() == h.count);
    CHECK(std::is_sorted(h.query_rows.begin(), h.query_rows.end()));
    CHECK(h.knowing(1) == h.count);
    CHECK(h.knowing(depth) == h.count);
    CHECK(h.knowing(depth + 1) == h.measured);
    Holdout brute = Holdout{};
    REQUIRE(make_holdout(rows, nullptr, 4, BuildContext{2, {}, {}}, brute, nullptr) == LEARNANN_OK);
    REQUIRE(measure_more(rows, BuildContext{2, {}, {}}, brute, nullptr) == LEARNANN_OK);
    CHECK(brute.knowing(depth + 1) == h.count);
    REQUIRE(complete_holdout(space, rows, 1, BuildContext{2, {}, {}}, h, nullptr) == LEARNANN_OK);

    u32 wrong = 0, other = 0;
    for (u32 q = 0; q < h.count; q += 7) {
        std::vector<double> distances;
        for (u32 row = 0; row < count; ++row) {
            if (h.holds(row)) continue;
            double sum = 0;
            for (u32 i = 0; i < dim; ++i) sum += std::pow(h.query(q, dim)[i] - data.value(row, i), 2);
            distances.push_back(sum);
        }
        std::partial_sort(distances.begin(), distances.begin() + depth, distances.end());
        for (u32 k = 1; k <= depth; ++k) {
            wrong += std::fabs(h.reach(q, k) - distances[k - 1]) > 1e-4 * distances[k - 1];
            other += brute.reach(q, k) != h.reach(q, k);
        }
    }
    CHECK(wrong == 0);
    CHECK(other == 0);
}

TEST_CASE("holdout: where codes don't hold the true neighbours, brute force finds them all") {
    constexpr u32 count = 20000, dim = 1;
    testdata::Random random(3);
    testdata::Rows data(count, dim, LEARNANN_F32);
    for (u32 row = 0; row < count; ++row) data.set(row, 0, random.uniform());
    Rows rows;
    rows.vectors = data.view();
    std::vector<float> norms(count, 1.0f);
    rows.norms = norms.data();
    std::vector<u8> records(count * size_t(16), 128);       // all alike
    FittedCodec fitted;
    Basis basis;
    REQUIRE(fit_pca(rows, Holdout{}, dim, 1, BuildContext{}, basis, nullptr) == LEARNANN_OK);
    REQUIRE(fit_codec(rows, basis, 16, Holdout(), 2, Allocator(), fitted, nullptr) == LEARNANN_OK);
    const CodeSpace space{&fitted.codec, records.data(), count, false};
    Holdout h;
    REQUIRE(make_holdout(rows, nullptr, 4, BuildContext{}, h, nullptr) == LEARNANN_OK);
    REQUIRE(h.measured < h.count);
    REQUIRE(complete_holdout(space, rows, 0, BuildContext{}, h, nullptr) == LEARNANN_OK);
    CHECK(h.measured == h.count);
    u32 wrong = 0;
    for (u32 q = 0; q < h.count; ++q) {
        std::vector<double> distances;
        for (u32 row = 0; row < count; ++row)
            if (!h.holds(row)) distances.push_back(std::pow(static_cast<double>(h.query(q, dim)[0]) - data.value(row, 0), 2));
        std::nth_element(distances.begin(), distances.begin() + 99, distances.end());
        wrong += std::fabs(h.reach(q, 100) - distances[99]) > 1e-4 * distances[99];
    }
    CHECK(wrong == 0);
}
