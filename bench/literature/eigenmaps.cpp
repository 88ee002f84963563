// eigenmaps.cpp: see eigenmaps.hpp.
#include "eigenmaps.hpp"

#include <Spectra/SymEigsSolver.h>

#include <cmath>

namespace literature {

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
        w = std::exp(-w / out.scale) + 1e-12;       // far neighbours stay neighbours: the graph's pieces are those of its edges
    }
    out.degrees = out.weights * Vector::Ones(data.rows());
    return out;
}

constexpr double zero = 1e-8;       // an eigenvalue below is

uint32_t Spectrum::components() const {
    uint32_t zeroes = 0;
    while (zeroes < values.size() && values[zeroes] < zero) ++zeroes;
    return zeroes;
}

namespace {

// D^-1/2 W D^-1/2, whose eigenvalues lie between -1 and 1; those of the vectors taken out, which were 1, are -1.
class Normalised {
public:
    using Scalar = double;

    explicit Normalised(const Affinity &graph)
        : matrix_(graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal() * graph.weights * graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal()) {}
    void take_out(const Vector &vector) { out_.push_back(vector); }
    const std::vector<Vector> &taken_out() const { return out_; }

    Eigen::Index rows() const { return matrix_.rows(); }
    Eigen::Index cols() const { return matrix_.cols(); }
    void perform_op(const double *in, double *out) const {
        const Eigen::Map<const Vector> x(in, rows());
        Eigen::Map<Vector> y(out, rows());
        y.noalias() = matrix_ * x;
        for (const Vector &v : out_) y -= 2 * v.dot(x) * v;
    }

private:
    Sparse matrix_;
    std::vector<Vector> out_;
};

} // namespace

bool lowest(const Affinity &graph, uint32_t count, Spectrum &out) {
    Normalised normalised(graph);
    normalised.take_out(graph.degrees.cwiseSqrt().normalized());
    const Eigen::Index n = normalised.rows();
    for (;;) {
        const Eigen::Index found = static_cast<Eigen::Index>(normalised.taken_out().size());
        const Eigen::Index wanted = std::min(std::max<Eigen::Index>(count - found, 1), n - 1);
        Spectra::SymEigsSolver<Normalised> solver(normalised, wanted, std::min(n, 3 * wanted + 20));
        solver.init();
        solver.compute(Spectra::SortRule::LargestAlge, 1000, 1e-10);
        if (solver.info() != Spectra::CompInfo::Successful) return false;
        const Vector values = 1 - solver.eigenvalues().array();
        const Matrix vectors = solver.eigenvectors();
        for (Eigen::Index k = 0; k < wanted && values[k] < zero; ++k) normalised.take_out(vectors.col(k));
        if (static_cast<Eigen::Index>(normalised.taken_out().size()) > found) continue;
        out.values = Vector::Zero(found + wanted);
        out.values.tail(wanted) = values;
        out.vectors.resize(n, found + wanted);
        for (Eigen::Index k = 0; k < found; ++k) out.vectors.col(k) = normalised.taken_out()[static_cast<size_t>(k)];
        out.vectors.rightCols(wanted) = vectors;
        return true;
    }
}

Matrix embedding(const Affinity &graph, const Spectrum &spectrum) {
    const Eigen::Index kept = spectrum.values.size() - spectrum.components();
    return graph.degrees.cwiseSqrt().cwiseInverse().asDiagonal() * spectrum.vectors.rightCols(kept);
}

Vector nystroem(const Data &data, const Affinity &graph, const Spectrum &spectrum, const Eigen::RowVectorXd &query, const std::vector<uint32_t> &near) {
    const Eigen::Index kept = spectrum.values.size() - spectrum.components();
    Vector out = Vector::Zero(kept);
    double degree = 0;
    for (const uint32_t row : near) {
        const double w = std::exp(-(query - data.x.row(row)).squaredNorm() / graph.scale) + 1e-12;
        degree += w;
        out += w / std::sqrt(graph.degrees[row]) * spectrum.vectors.row(row).tail(kept).transpose();
    }
    return out.cwiseQuotient(degree * (1 - spectrum.values.tail(kept).array()).matrix());
}

Matrix ridge(const Data &data, const Affinity &graph, const Matrix &embedded) {
    const Matrix weighed = graph.degrees.asDiagonal() * data.x;
    Eigen::MatrixXd square = data.x.transpose() * weighed;
    square.diagonal().array() += 1e-4 * square.trace() / static_cast<double>(square.rows());
    return square.ldlt().solve(weighed.transpose() * embedded);
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
