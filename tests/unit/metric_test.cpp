// metric_test.cpp: the learned space: its gradient, what it learns, and that it knows when it learned nothing.
#include "learn/metric.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace learnann;

namespace {

// Random lists over random rows, whose last coordinates say most; under L2 the truth is the squared distance, of which coordinates know a part.
struct RandomLists {
    NearLists lists;

    RandomLists(u32 queries, u32 rows, u32 dim, bool inner) {
        testdata::Random random(dim + inner);
        lists.dim = dim;
        lists.queries = queries;
        lists.inner = inner;
        REQUIRE(lists.query.allocate(queries * dim) == LEARNANN_OK);
        REQUIRE(lists.query_length2.allocate(queries) == LEARNANN_OK);
        REQUIRE(lists.row.allocate(rows * dim) == LEARNANN_OK);
        REQUIRE(lists.row_length2.allocate(rows) == LEARNANN_OK);
        REQUIRE(lists.near.allocate(queries * NearLists::depth) == LEARNANN_OK);
        REQUIRE(lists.truth.allocate(queries * NearLists::depth) == LEARNANN_OK);
        fill(lists.query, lists.query_length2, random);
        fill(lists.row, lists.row_length2, random);
        for (u32 i = 0; i < lists.near.size(); ++i) {
            const u32 row = lists.near[i] = static_cast<u32>((i * 7919u) % rows), q = i / NearLists::depth;
            double product = 0;
            for (u32 j = 0; j < dim; ++j) product += static_cast<double>(lists.query[q * dim + j]) * lists.row[row * dim + j];
            lists.truth[i] = static_cast<float>((inner ? 0 : lists.row_length2[row]) - 2 * product);
        }
    }
    void fill(Array<float> &x, Array<float> &length2, testdata::Random &random) {
        for (u32 r = 0; r < length2.size(); ++r) {
            double sum = 0.3;       // beyond the coordinates
            for (u32 j = 0; j < lists.dim; ++j) {
                const double v = random.gaussian() / std::sqrt(1.0 * (lists.dim - j));
                x[r * lists.dim + j] = static_cast<float>(v);
                sum += v * v;
            }
            length2[r] = static_cast<float>(sum);
        }
    }
    std::vector<u32> all() const {
        std::vector<u32> queries(lists.queries);
        for (u32 i = 0; i < lists.queries; ++i) queries[i] = i;
        return queries;
    }
};

}  // namespace

TEST_CASE("the gradient of the metric's loss is that of finite differences") {
    for (const bool inner : {false, true})
        for (const float length : {0.6f, 1.6f}) {       // at 1.6 some codes are longer than their rows
            CAPTURE(inner);
            CAPTURE(length);
            const RandomLists random(6, 200, 9, inner);
            const std::vector<u32> queries = random.all();
            MetricLoss loss(random.lists, 4, BuildContext{});
            Metric metric;
            REQUIRE(loss.prepare(6, nullptr) == LEARNANN_OK);
            REQUIRE(metric.start(9, 4, nullptr) == LEARNANN_OK);
            testdata::Random noise(3);
            for (float &v : metric.map) v = length * (v + 0.1f * static_cast<float>(noise.gaussian()));
            loss.at(metric, queries.data(), 6);
            std::vector<double> gradient(loss.map().begin(), loss.map().end());
            gradient.push_back(loss.rho());
            const float step = 0.003f;
            const auto difference = [&](float &weight) {
                const float before = weight;
                weight = before + step;
                const double above = loss.at(metric, queries.data(), 6);
                weight = before - step;
                const double below = loss.at(metric, queries.data(), 6);
                weight = before;
                return (above - below) / (2 * static_cast<double>(step));
            };
            double off = 0, size = 0;
            for (u32 i = 0; i < gradient.size(); ++i) {
                const double there = difference(i < metric.map.size() ? metric.map[i] : metric.rho);
                off = std::max(off, std::fabs(gradient[i] - there));
                size = std::max(size, std::fabs(there));
            }
            CHECK(size > 0.1);
            CHECK(off < 0.02 * size);
        }
}

TEST_CASE("training lowers the loss, alike on any number of threads, and says where it diverged") {
    const RandomLists random(300, 3000, 12, false);
    const std::vector<u32> queries = random.all();
    Metric start, metric, other;
    bool diverged = true;
    REQUIRE(start.start(12, 5, nullptr) == LEARNANN_OK);
    MetricTraining training;
    training.batch = 30;
    training.rate = 0.02f;
    REQUIRE(learn_metric(random.lists, training, 5, 7, BuildContext{}, metric, diverged, nullptr) == LEARNANN_OK);
    CHECK(!diverged);
    REQUIRE(learn_metric(random.lists, training, 5, 7, BuildContext{3, {}, {}}, other, diverged, nullptr) == LEARNANN_OK);
    CHECK(std::equal(metric.map.begin(), metric.map.end(), other.map.begin()));
    CHECK(metric.rho == other.rho);
    MetricLoss loss(random.lists, 5, BuildContext{2, {}, {}});
    REQUIRE(loss.prepare(300, nullptr) == LEARNANN_OK);
    CHECK(loss.at(metric, queries.data(), 300) < 0.8 * loss.at(start, queries.data(), 300));

    for (const float rate : {30.0f, 1e15f}) {
        CAPTURE(rate);
        MetricTraining wild = training;
        wild.rate = rate;
        REQUIRE(learn_metric(random.lists, wild, 5, 7, BuildContext{}, metric, diverged, nullptr) == LEARNANN_OK);
        CHECK(diverged);
    }
}

TEST_CASE("the basis of a metric gives its codes but for a turn, the strongest first") {
    const RandomLists random(10, 500, 6, false);
    Metric metric;
    REQUIRE(metric.start(6, 3, nullptr) == LEARNANN_OK);
    testdata::Random noise(4);
    for (float &v : metric.map) v += 0.3f * static_cast<float>(noise.gaussian());
    Basis wide, basis;      // the coordinates themselves
    wide.dim = wide.count = 6;
    REQUIRE(wide.mean.zeroes(6) == LEARNANN_OK);
    REQUIRE(wide.directions.zeroes(36) == LEARNANN_OK);
    for (u32 i = 0; i < 6; ++i) wide.directions[i * 7] = 1;
    REQUIRE(basis_of_metric(metric, random.lists, wide, BuildContext{}, basis, nullptr) == LEARNANN_OK);
    REQUIRE(basis.count == 3);
    double power[3] = {};
    for (u32 r = 0; r < 500; ++r) {
        const float *x = random.lists.row.data() + r * 6;
        double by_map = 0, by_basis = 0, length2 = 0;
        for (u32 k = 0; k < 3; ++k) {
            double a = 0, b = 0;
            for (u32 i = 0; i < 6; ++i) a += static_cast<double>(metric.map[i * 3 + k]) * x[i];
            for (u32 i = 0; i < 6; ++i) b += static_cast<double>(basis.directions[k * 6 + i]) * x[i];
            by_map += a * a;
            by_basis += b * b;
            power[k] += b * b;
        }
        for (u32 i = 0; i < 6; ++i) length2 += static_cast<double>(x[i]) * x[i];
        REQUIRE(std::fabs(by_map - by_basis) < 1e-4 * by_map + 1e-6);
        REQUIRE(by_basis <= static_cast<double>(basis.stretch) * basis.stretch * length2);
    }
    CHECK(power[0] > power[1]);
    CHECK(power[1] > power[2]);
}
