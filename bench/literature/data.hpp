// data.hpp: what the trainers of this folder learn from: rows in their leading coordinates, and the nearest neighbours of each.
#pragma once

#include "../../tools/common.hpp"

#include <Eigen/Dense>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace literature {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
using Random = std::mt19937_64;

constexpr Eigen::Index most_axes = 256;

struct Data {
    Matrix x;                       // rows x axes: coordinates along the leading directions
    Matrix axes;                    // axes x dim: orthonormal, strongest first
    Vector mean;                    // that they start from; 0 for inner product
    bool inner = false;             // near is what has a great product
    std::vector<uint32_t> near;     // rows x nearest: the others nearest to each, nearest first
    uint32_t nearest = 0;

    uint32_t rows() const { return static_cast<uint32_t>(x.rows()); }
    const uint32_t *near_of(uint32_t row) const { return near.data() + static_cast<size_t>(row) * nearest; }
    double distance2(uint32_t a, uint32_t b) const { return (x.row(a) - x.row(b)).squaredNorm(); }
    // Smaller is nearer: to rank by.
    double from(const Eigen::RowVectorXd &query, uint32_t row) const {
        return inner ? -query.dot(x.row(row)) : (query - x.row(row)).squaredNorm();
    }
};

// The `count` rows nearest to each query (of the greatest products, where `inner`), nearest first, by comparing all.
std::vector<uint32_t> nearest_rows(const Matrix &rows, const Matrix &queries, uint32_t count, bool inner);

// Some of the rows, spread evenly, with their neighbours among each other.
Data landmarks(const Data &data, uint32_t count, uint32_t nearest);

// Rows of a file, made of length 1 under cosine, and lists of neighbours, which may name the row itself.
bool load(const std::string &rows, const std::string &lists, uint32_t metric, Data &data, tools::Failure &failure);
// Vectors of a file in the coordinates of `data`.
bool load_queries(const std::string &path, uint32_t metric, const Data &data, Matrix &queries, tools::Failure &failure);

// Directions in the rows' own dimensions, a row each, from `map` (axes x directions); and lists of numbers, `wide` for each row.
bool save_map(const std::string &path, const Data &data, const Matrix &map, tools::Failure &failure);
bool save_lists(const std::string &path, const std::vector<std::vector<uint32_t>> &lists, uint32_t wide, tools::Failure &failure);

// Lowers a function of so many parameters by its gradients (Kingma and Ba, 2015).
class Adam {
public:
    explicit Adam(Eigen::Index size) : first_(Vector::Zero(size)), second_(Vector::Zero(size)) {}
    void step(const Vector &gradient, double rate, Vector &parameters) {
        ++steps_;
        first_ = 0.9 * first_ + 0.1 * gradient;
        second_ = 0.999 * second_ + 0.001 * gradient.cwiseAbs2();
        const double a = 1 - std::pow(0.9, steps_), b = 1 - std::pow(0.999, steps_);
        parameters.array() -= rate * (first_.array() / a) / ((second_.array() / b).sqrt() + 1e-8);
    }

private:
    Vector first_, second_;
    double steps_ = 0;
};

} // namespace literature
