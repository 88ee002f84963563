// soft.cpp: see soft.hpp.
#include "soft.hpp"

#include <algorithm>
#include <cmath>

namespace literature {
namespace {

double gumbel(Random &random) {
    const double u = std::generate_canonical<double, 53>(random);
    return -std::log(-std::log(u * (1 - 2e-12) + 1e-12));
}

// Squared lengths of a row's candidate edges under the map.
Vector lengths2(const Data &data, const Candidates &graph, const Soft &soft, uint32_t row, Matrix &difference, Matrix &mapped) {
    const Eigen::Index edges = static_cast<Eigen::Index>(graph.first[row + 1] - graph.first[row]);
    difference.resize(edges, data.x.cols());
    for (Eigen::Index k = 0; k < edges; ++k) difference.row(k) = data.x.row(row) - data.x.row(graph.to[graph.first[row] + static_cast<size_t>(k)]);
    mapped = difference * soft.map;
    return mapped.rowwise().squaredNorm();
}

} // namespace

Soft Soft::start(const Data &data, const Candidates &graph, Eigen::Index directions) {
    Soft out;
    out.map = Matrix::Identity(data.x.cols(), std::min(directions, data.x.cols()));
    double sum = 0;
    for (uint32_t i = 0; i < data.rows(); ++i)
        for (size_t e = graph.first[i]; e < graph.first[i + 1]; ++e) sum += data.distance2(i, graph.to[e]);
    out.log_tau = std::log(0.1 * sum / static_cast<double>(graph.edges()) + 1e-12);
    return out;
}

double soft_loss(const Data &data, const Candidates &graph, const Traces &traces, const Soft &soft, const std::vector<uint32_t> &rows,
                 const Vector &noise, double temperature, SoftGradient &gradient) {
    gradient.map = Matrix::Zero(soft.map.rows(), soft.map.cols());
    gradient.log_tau = 0;
    const double tau = std::exp(soft.log_tau), count = static_cast<double>(rows.size());
    double sum = 0;
    Matrix difference, mapped;
    for (const uint32_t row : rows) {
        const size_t first = graph.first[row];
        const Vector far = lengths2(data, graph, soft, row, difference, mapped) / tau;
        Vector logits = -far;
        if (noise.size() > 0) logits += noise.segment(static_cast<Eigen::Index>(first), far.size());
        logits /= temperature;
        const double top = logits.maxCoeff(), all = top + std::log((logits.array() - top).exp().sum());
        Vector target(far.size());
        for (Eigen::Index k = 0; k < far.size(); ++k) target[k] = traces.useful[first + static_cast<size_t>(k)] > 0;
        target /= target.sum();
        sum += all - target.dot(logits);
        // Of the distances: of P, less what should have it.
        const Vector d_far = (target - Vector((logits.array() - all).exp())) / (temperature * count);
        gradient.map += difference.transpose() * (2 / tau * d_far).asDiagonal() * mapped;
        gradient.log_tau -= d_far.dot(far);
    }
    return sum / count;
}

bool train(const Data &data, const Candidates &graph, const Traces &traces, const SoftTraining &training, Random &random, Soft &soft, double &first, double &last) {
    std::vector<uint32_t> taught;
    for (uint32_t i = 0; i < data.rows(); ++i)
        if (std::any_of(traces.useful.begin() + static_cast<std::ptrdiff_t>(graph.first[i]), traces.useful.begin() + static_cast<std::ptrdiff_t>(graph.first[i + 1]),
                        [](uint32_t u) { return u > 0; })) taught.push_back(i);
    if (taught.empty()) return false;
    SoftGradient gradient;
    const std::vector<uint32_t> test(taught.begin(), taught.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(taught.size(), 2000)));
    first = soft_loss(data, graph, traces, soft, test, Vector(), 1, gradient);
    Vector parameters(soft.map.size() + 1), slope(parameters.size()), noise(static_cast<Eigen::Index>(graph.edges()));
    Adam adam(parameters.size());
    for (uint32_t step = 0; step < training.steps; ++step) {
        const double done = static_cast<double>(step) / training.steps;
        std::vector<uint32_t> rows;
        for (uint32_t k = 0; k < training.batch; ++k) rows.push_back(taught[random() % taught.size()]);
        for (const uint32_t row : rows)
            for (size_t e = graph.first[row]; e < graph.first[row + 1]; ++e) noise[static_cast<Eigen::Index>(e)] = gumbel(random);
        const double now = soft_loss(data, graph, traces, soft, rows, noise, std::pow(0.2, done), gradient);      // from 1 to 0.2
        if (!(now < 1e30)) return false;
        parameters << Eigen::Map<const Vector>(soft.map.data(), soft.map.size()), soft.log_tau;
        slope << Eigen::Map<const Vector>(gradient.map.data(), gradient.map.size()), gradient.log_tau;
        adam.step(slope, training.rate * (0.5 + 0.5 * std::cos(3.14159265 * done)), parameters);
        Eigen::Map<Vector>(soft.map.data(), soft.map.size()) = parameters.head(soft.map.size());
        soft.log_tau = parameters[soft.map.size()];
    }
    last = soft_loss(data, graph, traces, soft, test, Vector(), 1, gradient);
    return last < first;
}

std::vector<std::vector<uint32_t>> draw(const Data &data, const Candidates &graph, const Soft &soft, uint32_t degree, double temperature, Random &random) {
    std::vector<std::vector<uint32_t>> out(data.rows());
    Matrix difference, mapped;
    for (uint32_t i = 0; i < data.rows(); ++i) {
        const Vector far = lengths2(data, graph, soft, i, difference, mapped) / std::exp(soft.log_tau);
        std::vector<std::pair<double, uint32_t>> order;
        for (Eigen::Index k = 0; k < far.size(); ++k)
            order.emplace_back(far[k] - temperature * gumbel(random), static_cast<uint32_t>(k));
        std::sort(order.begin(), order.end());
        order.resize(std::min<size_t>(order.size(), degree));
        std::vector<uint32_t> kept;
        for (const auto &o : order) kept.push_back(o.second);
        std::sort(kept.begin(), kept.end());        // the candidates are shortest first
        for (const uint32_t k : kept) out[i].push_back(graph.to[graph.first[i] + k]);
    }
    return out;
}

} // namespace literature
