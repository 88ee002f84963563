// holdout_test.cpp: the neighbours that codes find for the held-out queries are those of brute force.
#include "learn/code_quality.hpp"
#include "learn/codec_fit.hpp"
#include "learn/near.hpp"
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
    std::vector<float> norms(count);
    for (u32 row = 0; row < count; ++row) norms[row] = static_cast<float>(data.value(row, 0));
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

// Rows that bytes round badly, each kind in another way.
static double hard_value(testdata::Random &random, u32 kind, bool query, u32 row, u32 i) {
    const double v = random.gaussian() + row % 50 * 0.1;
    if (kind == 1) return v + 50;                           // far from the origin
    if (kind == 2) return i == row % 7 ? 40 * v : v;        // one large element
    if (kind == 3) return row % 11 == 0 ? 0 : v * std::pow(10, static_cast<double>(row % 7) - 3);       // of all lengths
    if (kind == 4 && i == 0) return query ? 1000 : 0;       // a large element of queries alone
    if (kind == 5 && i == 0) return query ? 0 : 1000;       // of rows alone
    if (kind == 5) return v < 2.5 ? -2 : 2;
    return v;
}

TEST_CASE("truth: the sieve lets every near row through, whatever the rows") {
    constexpr u32 count = 2500, asked = 30, dim = 37;
    u32 wrong = 0, checked = 0;
    for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8})
        for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS})
            for (u32 kind = 0; kind < 6; ++kind) {
                testdata::Random random(10 * kind + 1);
                testdata::Rows data(count, dim, type), queries(asked, dim, LEARNANN_F32);
                for (u32 row = 0; row < count; ++row)
                    for (u32 i = 0; i < dim; ++i) data.set(row, i, row % 13 == 12 ? data.value(row - 1, i) : hard_value(random, kind, false, row, i));
                for (u32 q = 0; q < asked; ++q)
                    for (u32 i = 0; i < dim; ++i) queries.set(q, i, hard_value(random, kind, true, q, i));
                Rows rows;
                rows.vectors = data.view();
                rows.metric = metric;
                std::vector<float> norms(count), x(dim);
                for (u32 row = 0; row < count; ++row) {
                    REQUIRE(to_floats(rows.raw(row), type, dim, x.data()));
                    norms[row] = static_cast<float>(length_of(x.data(), dim));
                }
                rows.norms = norms.data();
                Holdout h;
                const learnann_vectors given = queries.view();
                REQUIRE(make_holdout(rows, &given, 4, BuildContext{2, {}, {}}, h, nullptr) == LEARNANN_OK);
                REQUIRE(h.measured == asked);
                for (u32 q = 0; q < asked; ++q) {
                    std::vector<u8> bytes(dim);
                    std::vector<Near> all;
                    const ExactQuery query = rows.exact_query(h.query(q, dim), bytes.data());
                    for (u32 row = 0; row < count; ++row) all.push_back(Near{rows.distance(query, row), row});
                    std::sort(all.begin(), all.end());
                    for (u32 i = 0; i < h.neighbours; ++i, ++checked)
                        wrong += h.truth_rows[q * Holdout::depth + i] != all[i].row || h.truth[q * Holdout::depth + i] != all[i].distance;
                }
            }
    CHECK(wrong == 0);
    CHECK(checked == 54 * asked * Holdout::depth);
}
