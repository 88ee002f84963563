// literature_test.cpp: eigenvectors against a dense solver, gradients against differences, and what trainings promise.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "eigenmaps.hpp"
#include "sage.hpp"
#include "soft.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace literature;

namespace {

// Gaussian rows in so many clusters far from each other, with their true neighbours.
Data clusters(uint32_t rows, uint32_t count, uint32_t nearest, uint64_t seed) {
    Random random(seed);
    std::normal_distribution<double> normal;
    Data data;
    data.x.resize(rows, 6);
    for (Eigen::Index i = 0; i < data.x.size(); ++i) data.x.data()[i] = normal(random) / (1 + static_cast<double>(i % 6));
    for (uint32_t i = 0; i < rows; ++i) data.x(i, 0) += 40 * (i % count);
    data.axes = Matrix::Identity(6, 6);
    data.mean = Vector::Zero(6);
    data.nearest = nearest;
    for (uint32_t i = 0; i < rows; ++i) {
        std::vector<std::pair<double, uint32_t>> order;
        for (uint32_t j = 0; j < rows; ++j)
            if (j != i) order.emplace_back(data.distance2(i, j), j);
        std::partial_sort(order.begin(), order.begin() + nearest, order.end());
        for (uint32_t r = 0; r < nearest; ++r) data.near.push_back(order[r].second);
    }
    return data;
}

// The steepest relative error of a gradient, by central differences along some parameters.
template <class Loss> double gradient_error(Vector parameters, const Vector &gradient, Loss loss) {
    double worst = 0;
    const double scale = gradient.cwiseAbs().maxCoeff();
    for (Eigen::Index i = 0; i < parameters.size(); i += 1 + parameters.size() / 200) {
        const double at = parameters[i], step = 1e-6;
        parameters[i] = at + step;
        const double above = loss(parameters);
        parameters[i] = at - step;
        const double below = loss(parameters);
        parameters[i] = at;
        worst = std::max(worst, std::abs((above - below) / (2 * step) - gradient[i]) / scale);
    }
    return worst;
}

} // namespace

TEST_CASE("the Laplacian's lowest eigenvalues and eigenvectors are those of a dense solver, and 0 as many times as there are components") {
    for (const uint32_t count : {1u, 5u}) {
        CAPTURE(count);
        const Data data = clusters(2000, count, 12, 1);
        const Affinity graph = affinity(data, 12);
        Spectrum spectrum;
        REQUIRE(lowest(graph, 20, spectrum));
        const Vector root = graph.degrees.cwiseSqrt().cwiseInverse();
        const Eigen::MatrixXd laplacian = Eigen::MatrixXd::Identity(2000, 2000) - root.asDiagonal() * Eigen::MatrixXd(graph.weights) * root.asDiagonal();
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> dense(laplacian);
        CHECK((dense.eigenvalues().array() < 1e-9).count() == count);
        CHECK(spectrum.components == count);
        CHECK((spectrum.values - dense.eigenvalues().segment(count, 20)).cwiseAbs().maxCoeff() < 1e-4);
        for (Eigen::Index k = 0; k < 20; ++k) CHECK(std::abs(std::abs(spectrum.vectors.col(k).dot(dense.eigenvectors().col(count + k))) - 1) < 1e-4);
        CHECK(embedding(graph, spectrum).cols() == 20);
    }
}

TEST_CASE("Nystroem's formula gives a row that is there its own coordinates") {
    const Data data = clusters(600, 1, 10, 3);
    const Affinity graph = affinity(data, 10);
    Spectrum spectrum;
    REQUIRE(lowest(graph, 6, spectrum));
    const Matrix rows = embedding(graph, spectrum);
    for (const uint32_t row : {0u, 17u, 599u}) {
        std::vector<uint32_t> near;
        for (Sparse::InnerIterator it(graph.weights, row); it; ++it) near.push_back(static_cast<uint32_t>(it.col()));
        const Matrix found = nystroem(data, graph, spectrum, data.x.middleRows(row, 1), near, static_cast<uint32_t>(near.size()));
        CHECK((found - rows.middleRows(row, 1)).norm() < 1e-4 * rows.row(row).norm());
    }
}

TEST_CASE("by landmarks rows lie about where all rows put them") {
    const Data data = clusters(2000, 1, 12, 12), some = landmarks(data, 1000, 12);
    for (uint32_t i = 0; i < 1000; ++i) CHECK(std::find(some.near_of(i), some.near_of(i) + 12, i) == some.near_of(i) + 12);
    const Affinity whole = affinity(data, 12), part = affinity(some, 12);
    Spectrum all, few;
    REQUIRE(lowest(whole, 2, all));
    REQUIRE(lowest(part, 2, few));
    const Vector own = embedding(whole, all).col(0);
    const Vector by_landmarks = nystroem(some, part, few, data.x, nearest_rows(some.x, data.x, 12, false), 12).col(0);
    const Vector a = own.array() - own.mean(), b = by_landmarks.array() - by_landmarks.mean();
    CHECK(std::abs(a.normalized().dot(b.normalized())) > 0.9);
}

TEST_CASE("ridge regression maps rows to coordinates that are linear in them") {
    const Data data = clusters(800, 1, 10, 4);
    const Matrix map = Matrix::Random(6, 3), found = ridge(data.x, data.x * map);
    CHECK((found - map).norm() < 0.02 * map.norm());
}

TEST_CASE("locality preserving projections are the best of the directions, and orthonormal where asked for") {
    const Data data = clusters(800, 1, 10, 5);
    const Affinity graph = affinity(data, 10);
    const auto roughness = [&](const Vector &a) {
        const Vector y = data.x * a;
        return (y.dot(graph.degrees.cwiseProduct(y)) - y.dot(graph.weights * y)) / y.dot(graph.degrees.cwiseProduct(y));
    };
    const Matrix map = locality_preserving(data, graph, 3);
    Random random(6);
    for (int i = 0; i < 50; ++i) CHECK(roughness(map.col(0)) <= roughness(Vector::Random(6)) + 1e-9);
    CHECK(roughness(map.col(0)) <= roughness(map.col(1)));
    const Matrix square = orthonormal(map).transpose() * orthonormal(map);
    CHECK((square - Matrix::Identity(3, 3)).norm() < 1e-9);
}

TEST_CASE("gradients are those of finite differences") {
    const Data data = clusters(300, 2, 8, 7);
    const Candidates graph = candidates(data, 20);
    Random random(8);
    const Traces traces = trace(data, graph, lessons_of_rows(data, 150, random), 20, random);

    const Features seen = features(data, graph);
    const Sage sage(data, graph, seen);
    const std::vector<size_t> edges = {0, 5, 70, 300, 1000, 1001};
    const Vector useful = (Vector(6) << 1, 0, 0, 1, 1, 0).finished(), weight = (Vector(6) << 1, 2, 1, 0.5, 1, 3).finished();
    Vector parameters = sage.start(random), gradient, unused;
    sage.loss(parameters, edges, useful, weight, gradient);
    CHECK(gradient_error(parameters, gradient, [&](const Vector &p) { return sage.loss(p, edges, useful, weight, unused); }) < 1e-5);

    Soft soft = Soft::start(data, graph, 3);
    soft.map += 0.1 * Matrix::Random(6, 3);
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < data.rows() && rows.size() < 20; ++i)
        for (size_t e = graph.first[i]; e < graph.first[i + 1]; ++e)
            if (traces.useful[e] > 0) {
                rows.push_back(i);
                break;
            }
    REQUIRE(rows.size() == 20);
    const Vector noise = Vector::Random(static_cast<Eigen::Index>(graph.edges()));
    SoftGradient slope, ignored;
    soft_loss(data, graph, traces, soft, rows, noise, 0.5, slope);
    Vector all(soft.map.size() + 1), slopes(all.size());
    all << Eigen::Map<Vector>(soft.map.data(), soft.map.size()), soft.log_tau;
    slopes << Eigen::Map<Vector>(slope.map.data(), slope.map.size()), slope.log_tau;
    CHECK(gradient_error(all, slopes, [&](const Vector &p) {
              Soft at = soft;
              at.map = Eigen::Map<const Matrix>(p.data(), 6, 3);
              at.log_tau = p[18];
              return soft_loss(data, graph, traces, at, rows, noise, 0.5, ignored);
          }) < 1e-5);
}

TEST_CASE("trainings lower their loss, are repeatable by seed, and notice when they diverge") {
    const Data data = clusters(1200, 3, 12, 9);
    const Candidates graph = candidates(data, 30);
    const auto lesson = [&](uint64_t seed, double faster, std::vector<std::vector<uint32_t>> &lists, Soft &soft) {
        Random random(seed);
        const Traces traces = trace(data, graph, lessons_of_rows(data, 400, random), 24, random);
        const Features seen = features(data, graph);
        const Sage sage(data, graph, seen);
        SageTraining training;
        training.steps = 60;
        training.rate *= faster;
        Vector parameters;
        double first, last;
        if (!train(sage, traces, training, random, parameters, first, last)) return false;
        CHECK(last < 0.95 * first);
        lists = select(graph, sage.logits(parameters), 6, 2, 20);
        soft = Soft::start(data, graph, 4);
        SoftTraining gentle;
        gentle.steps = 60;
        gentle.rate *= faster;
        return train(data, graph, traces, gentle, random, soft, first, last);
    };
    std::vector<std::vector<uint32_t>> one, same, other;
    Soft a, b, c;
    REQUIRE(lesson(1, 1, one, a));
    REQUIRE(lesson(1, 1, same, b));
    REQUIRE(lesson(2, 1, other, c));
    CHECK(one == same);
    CHECK(a.map == b.map);
    CHECK(one != other);
    double edges = 0;
    for (const auto &list : one) {
        CHECK(list.size() >= 2);
        edges += static_cast<double>(list.size());
    }
    CHECK(std::abs(edges / 1200 - 6) < 0.1);
    CHECK(!lesson(1, 1e160, other, c));
}

TEST_CASE("a walk marks the path to what it finds, and never walks over its own row") {
    const Data data = clusters(500, 1, 8, 10);
    const Candidates graph = candidates(data, 16);
    Random random(11);
    Lessons lessons = lessons_of_rows(data, 1, random);
    const uint32_t own = lessons.rows[0];
    const Traces traces = trace(data, graph, lessons, 32, random);
    uint32_t useful = 0;
    for (uint32_t i = 0; i < data.rows(); ++i)
        for (size_t e = graph.first[i]; e < graph.first[i + 1]; ++e) {
            CHECK(traces.useful[e] <= traces.seen[e]);
            CHECK((graph.to[e] != own || traces.seen[e] == 0));
            CHECK((i != own || traces.seen[e] == 0));
            useful += traces.useful[e];
        }
    CHECK(useful >= 6);     // one for each of the eight found, but for one that the walk began at
}
