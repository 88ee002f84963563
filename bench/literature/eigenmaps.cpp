// eigenmaps.cpp: see eigenmaps.hpp.
#include "eigenmaps.hpp"

#include <Spectra/SymEigsSolver.h>

#include <cmath>

namespace literature {

constexpr double least_weight = 1e-12;      // far neighbours stay neighbours: the graph's pieces are those of its edges

Affinity affinity(const Data &data, uint32_t nearest) {
    Affinity out;
    std::vector<Eigen::Triplet<double>> entries;
    double sum = 0;
    for (uint32_t i = 0; i < data.rows(); ++i)
        for (uint32_t r = 0; r < std::min(nearest, data.nearest); ++r) {
            const uint32_t j = data.near_of(i)[r];
            const double d2 = data.distance2(i, j);
            sum += d2;
            entries.emplace_back(i, j, d2);
            entries.emplace_back(j, i, d2);
        }
    out.scale = sum > 0 ? 2 * sum / static_cast<double>(entries.size()) : 1;
    out.weights.resize(data.rows(), data.rows());
    out.weights.setFromTriplets(entries.begin(), entries.end(), [](double a, double) { return a; });
    for (Eigen::Index k = 0; k < out.weights.nonZeros(); ++k) {
        double &w = out.weights.valuePtr()[k];
        w = std::exp(-w / out.scale) + least_weight;
    }
    out.degrees = out.weights * Vector::Ones(data.rows());
    return out;
}

namespace {

// Which connected component each row is of.
std::vector<uint32_t> components_of(const Sparse &weights, uint32_t &count) {
    constexpr uint32_t none = UINT32_MAX;
    std::vector<uint32_t> component(static_cast<size_t>(weights.rows()), none), open;
    count = 0;
    for (uint32_t start = 0; start < component.size(); ++start) {
        if (component[start] != none) continue;
        open.push_back(start);
        component[start] = count;
        while (!open.empty()) {
            const uint32_t row = open.back();
            open.pop_back();
            for (Sparse::InnerIterator it(weights, row); it; ++it)
                if (uint32_t &of = component[static_cast<size_t>(it.col())]; of == none) {
                    of = count;
                    open.push_back(static_cast<uint32_t>(it.col()));
                }
        }
        ++count;
    }
    return component;
}

// D^-1/2 W D^-1/2, whose eigenvalues lie between -1 and 1. The vectors of 1, D^1/2 over a component each, have -1 here.
class Normalised {
public:
    using Scalar = double;

    Normalised(const Affinity &graph, const std::vector<uint32_t> &component, uint32_t count)
        : matrix_(graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal() * graph.weights * graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal()),
          component_(component), first_(graph.degrees.cwiseSqrt()), along_(Vector::Zero(count)) {
        Vector length2 = Vector::Zero(count);
        for (size_t i = 0; i < component.size(); ++i) length2[component[i]] += graph.degrees[static_cast<Eigen::Index>(i)];
        for (size_t i = 0; i < component.size(); ++i) first_[static_cast<Eigen::Index>(i)] /= std::sqrt(length2[component[i]]);
    }
    Eigen::Index rows() const { return matrix_.rows(); }
    Eigen::Index cols() const { return matrix_.cols(); }
    void perform_op(const double *in, double *out) const {
        const Eigen::Map<const Vector> x(in, rows());
        Eigen::Map<Vector> y(out, rows());
        y.noalias() = matrix_ * x;
        along_.setZero();
        for (Eigen::Index i = 0; i < rows(); ++i) along_[component_[static_cast<size_t>(i)]] += first_[i] * x[i];
        for (Eigen::Index i = 0; i < rows(); ++i) y[i] -= 2 * along_[component_[static_cast<size_t>(i)]] * first_[i];
    }

private:
    Sparse matrix_;
    const std::vector<uint32_t> &component_;
    Vector first_;              // of each component its vector, of length 1
    mutable Vector along_;
};

} // namespace

bool lowest(const Affinity &graph, uint32_t count, Spectrum &out) {
    const std::vector<uint32_t> component = components_of(graph.weights, out.components);
    Normalised normalised(graph, component, out.components);
    const Eigen::Index n = normalised.rows(), wanted = std::min<Eigen::Index>(count, n - static_cast<Eigen::Index>(out.components));
    if (wanted < 1) return false;
    Spectra::SymEigsSolver<Normalised> solver(normalised, wanted, std::min(n, 2 * wanted + 20));
    solver.init();
    solver.compute(Spectra::SortRule::LargestAlge, 1000, 1e-6);
    if (solver.info() != Spectra::CompInfo::Successful) return false;
    out.values = 1 - solver.eigenvalues().array();
    out.vectors = solver.eigenvectors();
    return true;
}

Matrix embedding(const Affinity &graph, const Spectrum &spectrum) {
    return graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal() * spectrum.vectors;
}

Matrix nystroem(const Data &data, const Affinity &graph, const Spectrum &spectrum, const Matrix &vectors, const std::vector<uint32_t> &near, uint32_t nearest) {
    const Eigen::RowVectorXd kept = (1 - spectrum.values.array()).matrix().transpose();
    Matrix out = Matrix::Zero(vectors.rows(), spectrum.values.size());
    for (Eigen::Index i = 0; i < vectors.rows(); ++i) {
        double degree = 0;
        for (uint32_t r = 0; r < nearest; ++r) {
            const uint32_t row = near[static_cast<size_t>(i) * nearest + r];
            const double w = std::exp(-(vectors.row(i) - data.x.row(row)).squaredNorm() / graph.scale) + least_weight;
            degree += w;
            out.row(i) += w / std::sqrt(graph.degrees[row]) * spectrum.vectors.row(row);
        }
        out.row(i) = out.row(i).cwiseQuotient(degree * kept);
    }
    return out;
}

Matrix ridge(const Matrix &x, const Matrix &embedded) {
    Eigen::MatrixXd square = x.transpose() * x;
    square.diagonal().array() += 1e-4 * square.trace() / static_cast<double>(square.rows());
    return square.ldlt().solve(x.transpose() * embedded);
}

Matrix locality_preserving(const Data &data, const Affinity &graph, uint32_t count) {
    const Matrix weighed = graph.degrees.asDiagonal() * data.x;
    Eigen::MatrixXd all = data.x.transpose() * weighed;
    const Eigen::MatrixXd rough = all - data.x.transpose() * (graph.weights * data.x);
    all.diagonal().array() += 1e-9 * all.trace() / static_cast<double>(all.rows());
    const Eigen::GeneralizedSelfAdjointEigenSolver<Eigen::MatrixXd> eigen(rough, all);
    return eigen.eigenvectors().leftCols(std::min<Eigen::Index>(count, all.rows()));
}

Matrix orthonormal(const Matrix &map) {
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr{Eigen::MatrixXd(map)};
    return qr.householderQ() * Eigen::MatrixXd::Identity(map.rows(), map.cols());
}

Matrix scaled(const Data &data, const Matrix &map) {
    const Matrix y = data.x * map;
    double before = 0, after = 0;
    for (uint32_t i = 0; i < data.rows(); ++i)
        for (uint32_t r = 0; r < std::min(data.nearest, 10u); ++r) {
            before += data.distance2(i, data.near_of(i)[r]);
            after += (y.row(i) - y.row(data.near_of(i)[r])).squaredNorm();
        }
    const double stretch = Eigen::JacobiSVD<Eigen::MatrixXd>(map).singularValues()[0], most = 7.8;     // of what an index takes
    return map * std::min(after > 0 ? std::sqrt(before / after) : 1, most / stretch);
}

} // namespace literature
