// data.cpp: see data.hpp.
#include "data.hpp"

#include "../dataset.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace literature {
namespace {

using Floats = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// The leading directions of a sample.
void fit_axes(const Floats &rows, Data &data) {
    constexpr Eigen::Index sample = 8192;
    const Eigen::Index taken = std::min(rows.rows(), sample), dim = rows.cols();
    Matrix some(taken, dim);
    for (Eigen::Index i = 0; i < taken; ++i) some.row(i) = rows.row(i * rows.rows() / taken).cast<double>();
    data.mean = data.inner ? Vector::Zero(dim) : Vector(some.colwise().mean());
    some.rowwise() -= data.mean.transpose();
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(some.transpose() * some);
    data.axes = eigen.eigenvectors().rightCols(std::min(dim, most_axes)).rowwise().reverse().transpose();
}

Matrix coordinates(const Floats &rows, const Data &data) {
    constexpr Eigen::Index block = 4096;
    Matrix x(rows.rows(), data.axes.rows());
    for (Eigen::Index begin = 0; begin < rows.rows(); begin += block) {
        const Eigen::Index count = std::min(block, rows.rows() - begin);
        x.middleRows(begin, count) = (rows.middleRows(begin, count).cast<double>().rowwise() - data.mean.transpose()) * data.axes.transpose();
    }
    return x;
}

bool load_floats(const std::string &path, uint32_t metric, std::vector<float> &values, uint64_t &rows, uint32_t &dim, tools::Failure &failure) {
    tools::MatrixFile file;
    if (!tools::open_vectors(path, file, failure)) return false;
    values = bench::floats_of(file.matrix, metric == LEARNANN_COS);
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
        return tools::fail(failure, path, "", "holds NaN or infinity", "Leave such vectors out.");
    rows = file.matrix.rows;
    dim = file.matrix.dim;
    return true;
}

bool load_lists(const std::string &path, Data &data, tools::Failure &failure) {
    tools::MatrixFile file;
    if (!tools::open_ids(path, file, failure)) return false;
    if (file.matrix.rows != data.rows() || file.matrix.dim <= 10 || data.rows() <= file.matrix.dim) {
        return tools::fail(failure, path, "", "does not hold ten neighbours and more for each row, or all rows", "Search for every row: learnann search INDEX ROWS -k 33 --out LISTS.");
    }
    data.nearest = file.matrix.dim - 1;
    for (uint32_t row = 0; row < data.rows(); ++row) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < file.matrix.dim && taken < data.nearest; ++i) {
            const int64_t id = tools::id_at(file.matrix, row, i);
            if (id < 0 || id >= data.rows()) return tools::fail(failure, path, tools::format("row %u", row), "names a neighbour that is no row", "Search again.");
            if (id != row) data.near.push_back(static_cast<uint32_t>(id)), ++taken;
        }
        if (taken < data.nearest) return tools::fail(failure, path, tools::format("row %u", row), "lists the row itself more than once", "Search again.");
    }
    return true;
}

// Values of four bytes, dense.
template <class T> bool save(const std::string &path, const T *values, uint64_t rows, uint32_t dim, tools::Element element, tools::Failure &failure) {
    tools::Matrix out;
    out.data = reinterpret_cast<const uint8_t *>(values);
    out.rows = rows;
    out.dim = dim;
    out.stride = dim * sizeof(T);
    out.element = element;
    return tools::write_matrix(path, out, path, nullptr, failure);
}

} // namespace

std::vector<uint32_t> nearest_rows(const Matrix &rows, const Matrix &queries, uint32_t count, bool inner) {
    constexpr Eigen::Index block = 256;
    const Vector length2 = inner ? Vector::Zero(rows.rows()) : Vector(rows.rowwise().squaredNorm());
    std::vector<uint32_t> out, order(static_cast<size_t>(rows.rows()));
    for (Eigen::Index begin = 0; begin < queries.rows(); begin += block) {
        const Eigen::Index some = std::min(block, queries.rows() - begin);
        const Matrix far = (-2 * queries.middleRows(begin, some) * rows.transpose()).rowwise() + length2.transpose();
        for (Eigen::Index q = 0; q < some; ++q) {
            std::iota(order.begin(), order.end(), 0u);
            const auto end = order.begin() + count;
            std::nth_element(order.begin(), end - 1, order.end(), [&](uint32_t a, uint32_t b) { return far(q, a) < far(q, b); });
            std::sort(order.begin(), end, [&](uint32_t a, uint32_t b) { return far(q, a) < far(q, b); });
            out.insert(out.end(), order.begin(), end);
        }
    }
    return out;
}

Data landmarks(const Data &data, uint32_t count, uint32_t nearest) {
    Data out;
    out.x.resize(count, data.x.cols());
    for (Eigen::Index i = 0; i < count; ++i) out.x.row(i) = data.x.row(i * data.x.rows() / count);
    out.axes = data.axes;
    out.mean = data.mean;
    out.inner = data.inner;
    out.nearest = nearest;
    const std::vector<uint32_t> lists = nearest_rows(out.x, out.x, nearest + 1, false);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t *list = lists.data() + static_cast<size_t>(i) * (nearest + 1);
        const uint32_t *own = std::find(list, list + nearest, i);       // behind its copies, maybe not among them
        for (const uint32_t *at = list; at <= list + nearest; ++at)
            if (at != own) out.near.push_back(*at);
    }
    return out;
}

bool load(const std::string &rows, const std::string &lists, uint32_t metric, Data &data, tools::Failure &failure) {
    std::vector<float> values;
    uint64_t count;
    uint32_t dim;
    if (!load_floats(rows, metric, values, count, dim, failure)) return false;
    const Floats floats(values.data(), static_cast<Eigen::Index>(count), dim);
    data.inner = metric == LEARNANN_IP;
    fit_axes(floats, data);
    data.x = coordinates(floats, data);
    return load_lists(lists, data, failure);
}

bool load_queries(const std::string &path, uint32_t metric, const Data &data, Matrix &queries, tools::Failure &failure) {
    std::vector<float> values;
    uint64_t count;
    uint32_t dim;
    if (!load_floats(path, metric, values, count, dim, failure)) return false;
    if (dim != data.axes.cols()) return tools::fail(failure, path, "", "has another dimension than the rows", "Give queries of the rows' dimension.");
    queries = coordinates(Floats(values.data(), static_cast<Eigen::Index>(count), dim), data);
    return true;
}

bool save_map(const std::string &path, const Data &data, const Matrix &map, tools::Failure &failure) {
    const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> directions = (map.transpose() * data.axes).cast<float>();
    return save(path, directions.data(), static_cast<uint64_t>(directions.rows()), static_cast<uint32_t>(directions.cols()), tools::Element::F32, failure);
}

bool save_lists(const std::string &path, const std::vector<std::vector<uint32_t>> &lists, uint32_t wide, tools::Failure &failure) {
    std::vector<int32_t> numbers;
    for (const std::vector<uint32_t> &list : lists)
        for (uint32_t i = 0; i < wide; ++i) numbers.push_back(i < list.size() ? static_cast<int32_t>(list[i]) : -1);
    return save(path, numbers.data(), lists.size(), wide, tools::Element::I32, failure);
}

} // namespace literature
