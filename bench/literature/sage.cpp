// sage.cpp: see sage.hpp.
#include "sage.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

namespace literature {

constexpr Eigen::Index seen_axes = 32;
constexpr Eigen::Index edge_features = 4;

Features features(const Data &data, const Candidates &graph) {
    Features out;
    const Eigen::Index axes = std::min(seen_axes, data.x.cols());
    out.rows.resize(data.rows(), axes + 1);
    out.rows.leftCols(axes) = data.x.leftCols(axes);
    out.edges.resize(static_cast<Eigen::Index>(graph.edges()), edge_features);
    for (uint32_t i = 0; i < data.rows(); ++i) {
        const uint32_t *near = data.near_of(i);
        const double nearest = std::sqrt(data.distance2(i, near[0])) + 1e-9, farthest = std::sqrt(data.distance2(i, near[data.nearest - 1])) + 1e-9;
        const std::unordered_set<uint32_t> listed(near, near + data.nearest);
        out.rows(i, axes) = std::log(farthest);
        for (size_t e = graph.first[i]; e < graph.first[i + 1]; ++e) {
            const uint32_t j = graph.to[e];
            const double length = std::sqrt(data.distance2(i, j)) + 1e-9, rank = static_cast<double>(e - graph.first[i]);
            const bool back = std::find(data.near_of(j), data.near_of(j) + data.nearest, i) != data.near_of(j) + data.nearest;
            out.edges.row(static_cast<Eigen::Index>(e)) << std::log(length / nearest), std::log(length / farthest),
                rank / static_cast<double>(data.nearest), (listed.count(j) != 0 ? 0.5 : 0.0) + (back ? 0.5 : 0.0);
        }
    }
    out.rows.rowwise() -= out.rows.colwise().mean().eval();
    out.rows.leftCols(axes) /= std::sqrt(out.rows.col(0).squaredNorm() / data.rows()) + 1e-12;      // coordinates keep their proportions
    return out;
}

// The parameters, one behind the other.
namespace {

struct Shape {
    Eigen::Index rows, cols;
};

template <class V> auto part(V &all, Eigen::Index &at, Shape shape) {
    using Part = std::conditional_t<std::is_const_v<V>, const Matrix, Matrix>;
    Eigen::Map<Part> out(all.data() + at, shape.rows, shape.cols);
    at += shape.rows * shape.cols;
    return out;
}

template <class V> struct Weights {
    using Part = Eigen::Map<std::conditional_t<std::is_const_v<V>, const Matrix, Matrix>>;
    Eigen::Index at = 0;
    Part own1, near1, bias1, own2, near2, bias2, mix, mix_bias, out, out_bias;

    Weights(V &all, Eigen::Index in)
        : own1(part(all, at, {in, Sage::hidden})), near1(part(all, at, {in, Sage::hidden})), bias1(part(all, at, {1, Sage::hidden})),
          own2(part(all, at, {Sage::hidden, Sage::described})), near2(part(all, at, {Sage::hidden, Sage::described})),
          bias2(part(all, at, {1, Sage::described})), mix(part(all, at, {2 * Sage::described + edge_features, Sage::mixed})),
          mix_bias(part(all, at, {1, Sage::mixed})), out(part(all, at, {Sage::mixed, 1})), out_bias(part(all, at, {1, 1})) {}
};

double softplus(double s) { return std::max(s, 0.0) + std::log1p(std::exp(-std::abs(s))); }

} // namespace

struct Sage::Layers {
    Matrix first, near, second, in, mixed;      // after the rectifiers; near: the mean of first
    Vector logits;
};

Sage::Sage(const Data &data, const Candidates &graph, const Features &features)
    : data_(data), features_(features), to_(graph.to), near_(mean_of_near(features.rows)) {
    from_.reserve(graph.edges());
    for (uint32_t i = 0; i < data.rows(); ++i) from_.insert(from_.end(), graph.first[i + 1] - graph.first[i], i);
    size_ = hidden * (2 * features.rows.cols() + 1) + described * (2 * hidden + 1) + mixed * (2 * described + edge_features + 1) + mixed + 1;
}

Matrix Sage::mean_of_near(const Matrix &of) const {
    Matrix out = Matrix::Zero(of.rows(), of.cols());
    for (uint32_t i = 0; i < data_.rows(); ++i) {
        for (uint32_t r = 0; r < data_.nearest; ++r) out.row(i) += of.row(data_.near_of(i)[r]);
        out.row(i) /= data_.nearest;
    }
    return out;
}

Matrix Sage::spread_to_near(const Matrix &gradient) const {
    Matrix out = Matrix::Zero(gradient.rows(), gradient.cols());
    for (uint32_t i = 0; i < data_.rows(); ++i)
        for (uint32_t r = 0; r < data_.nearest; ++r) out.row(data_.near_of(i)[r]) += gradient.row(i) / data_.nearest;
    return out;
}

Vector Sage::start(Random &random) const {
    Vector out = Vector::Zero(size_);
    Weights<Vector> w(out, features_.rows.cols());
    for (auto *weights : {&w.own1, &w.near1, &w.own2, &w.near2, &w.mix, &w.out}) {
        std::normal_distribution<double> normal(0, std::sqrt(2.0 / static_cast<double>(weights->rows())));
        for (Eigen::Index i = 0; i < weights->size(); ++i) weights->data()[i] = normal(random);
    }
    return out;
}

void Sage::run(const Vector &parameters, const std::vector<size_t> &edges, Layers &l) const {
    const Weights<const Vector> w(parameters, features_.rows.cols());
    l.first = ((features_.rows * w.own1 + near_ * w.near1).rowwise() + w.bias1.row(0)).cwiseMax(0);
    l.near = mean_of_near(l.first);
    l.second = (l.first * w.own2 + l.near * w.near2).rowwise() + w.bias2.row(0);
    l.in.resize(static_cast<Eigen::Index>(edges.size()), 2 * described + edge_features);
    for (size_t k = 0; k < edges.size(); ++k)
        l.in.row(static_cast<Eigen::Index>(k)) << l.second.row(from_[edges[k]]), l.second.row(to_[edges[k]]),
            features_.edges.row(static_cast<Eigen::Index>(edges[k]));
    l.mixed = ((l.in * w.mix).rowwise() + w.mix_bias.row(0)).cwiseMax(0);
    l.logits = (l.mixed * w.out).col(0).array() + w.out_bias(0, 0);
}

Vector Sage::logits(const Vector &parameters) const {
    std::vector<size_t> all(to_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    Layers layers;
    run(parameters, all, layers);
    return layers.logits;
}

double Sage::loss(const Vector &parameters, const std::vector<size_t> &edges, const Vector &useful, const Vector &weight, Vector &gradient) const {
    Layers l;
    run(parameters, edges, l);
    const double all = weight.sum();
    double sum = 0;
    Matrix d_logits(l.logits.size(), 1);
    for (Eigen::Index k = 0; k < l.logits.size(); ++k) {
        const double s = l.logits[k];
        sum += weight[k] * (softplus(s) - useful[k] * s);
        d_logits(k, 0) = weight[k] / all * (1 / (1 + std::exp(-s)) - useful[k]);
    }
    gradient = Vector::Zero(size_);
    const Weights<const Vector> w(parameters, features_.rows.cols());
    Weights<Vector> g(gradient, features_.rows.cols());
    const auto passed = [](const Matrix &after) { return (after.array() > 0).cast<double>().matrix(); };      // the rectifier's gradient

    g.out = l.mixed.transpose() * d_logits;
    g.out_bias(0, 0) = d_logits.sum();
    const Matrix d_mixed = (d_logits * w.out.transpose()).cwiseProduct(passed(l.mixed));
    g.mix = l.in.transpose() * d_mixed;
    g.mix_bias = d_mixed.colwise().sum();
    const Matrix d_in = d_mixed * w.mix.transpose();

    Matrix d_second = Matrix::Zero(l.second.rows(), described);
    for (size_t k = 0; k < edges.size(); ++k) {
        d_second.row(from_[edges[k]]) += d_in.row(static_cast<Eigen::Index>(k)).head(described);
        d_second.row(to_[edges[k]]) += d_in.row(static_cast<Eigen::Index>(k)).segment(described, described);
    }
    g.own2 = l.first.transpose() * d_second;
    g.near2 = l.near.transpose() * d_second;
    g.bias2 = d_second.colwise().sum();
    const Matrix d_first = (d_second * w.own2.transpose() + spread_to_near(d_second * w.near2.transpose())).cwiseProduct(passed(l.first));
    g.own1 = features_.rows.transpose() * d_first;
    g.near1 = near_.transpose() * d_first;
    g.bias1 = d_first.colwise().sum();
    return sum / all;
}

bool train(const Sage &sage, const Traces &traces, const SageTraining &training, Random &random, Vector &parameters, double &first, double &last) {
    std::vector<size_t> known;
    double useful = 0;
    for (size_t e = 0; e < traces.seen.size(); ++e)
        if (traces.seen[e] > 0) known.push_back(e), useful += traces.useful[e] > 0;
    if (useful == 0) return false;
    const double balance = (static_cast<double>(known.size()) - useful) / useful;       // both classes weigh as much
    const size_t batch = std::min<size_t>(training.batch, known.size());
    parameters = sage.start(random);
    Adam adam(parameters.size());
    Vector gradient, label(static_cast<Eigen::Index>(batch)), weight(label.size());
    std::vector<size_t> edges(batch);
    first = last = 0;
    for (uint32_t step = 0; step < training.steps; ++step) {
        for (size_t k = 0; k < batch; ++k) {
            std::swap(known[k], known[k + random() % (known.size() - k)]);
            edges[k] = known[k];
            label[static_cast<Eigen::Index>(k)] = traces.useful[known[k]] > 0;
            weight[static_cast<Eigen::Index>(k)] = label[static_cast<Eigen::Index>(k)] > 0 ? balance : 1;
        }
        const double now = sage.loss(parameters, edges, label, weight, gradient);
        if (!(now < 1e30)) return false;
        if (step == 0) first = last = now;
        last += 0.1 * (now - last);
        adam.step(gradient, training.rate * (0.5 + 0.5 * std::cos(3.14159265 * step / training.steps)), parameters);
    }
    return last < first;
}

std::vector<std::vector<uint32_t>> select(const Candidates &graph, const Vector &logits, double degree, uint32_t least, uint32_t most) {
    const size_t rows = graph.first.size() - 1;
    std::vector<std::vector<uint32_t>> out(rows);
    const auto with = [&](double share, bool keep) {
        double edges = 0;
        for (size_t i = 0; i < rows; ++i) {
            const auto chance = [&](size_t e) { return 1 / (1 + std::exp(-logits[static_cast<Eigen::Index>(e)])); };
            double best = 0;
            for (size_t e = graph.first[i]; e < graph.first[i + 1]; ++e) best = std::max(best, chance(e));
            uint32_t taken = 0;
            for (size_t e = graph.first[i]; e < graph.first[i + 1] && taken < most; ++e) {
                if (e - graph.first[i] >= least && chance(e) < share * best) continue;
                ++taken;
                if (keep) out[i].push_back(graph.to[e]);
            }
            edges += taken;
        }
        return edges / static_cast<double>(rows);
    };
    double low = 0, high = 1;
    for (int round = 0; round < 30; ++round) {
        const double middle = (low + high) / 2;
        (with(middle, false) > degree ? low : high) = middle;
    }
    with(high, true);
    return out;
}

} // namespace literature
