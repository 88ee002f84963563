// Brute force in the benchmark: every row for every query, bytes as bytes, all else as floats.
#include "system.hpp"

#include <algorithm>
#include <fstream>
#include <limits>

namespace bench {
namespace {

template <class T, class Sum> Sum l2(const T *a, const T *b, uint32_t dim) {
    Sum sum = 0;
    for (uint32_t i = 0; i < dim; ++i) {
        const Sum difference = static_cast<Sum>(a[i]) - static_cast<Sum>(b[i]);
        sum += difference * difference;
    }
    return sum;
}

float negated_dot(const float *a, const float *b, uint32_t dim) {
    float sum = 0;
    for (uint32_t i = 0; i < dim; ++i) sum += a[i] * b[i];
    return -sum;
}

// The nearest hits_wanted, ties by row; rows come in order.
template <class Sum> class Nearest {
public:
    explicit Nearest(int64_t *ids) : ids_(ids) {
        std::fill(distances_, distances_ + hits_wanted, std::numeric_limits<Sum>::max());
        std::fill(ids_, ids_ + hits_wanted, -1);
    }
    void offer(Sum distance, int64_t row) {
        if (!(distance < distances_[hits_wanted - 1])) return;
        uint32_t at = hits_wanted - 1;
        for (; at > 0 && distance < distances_[at - 1]; --at) {
            distances_[at] = distances_[at - 1];
            ids_[at] = ids_[at - 1];
        }
        distances_[at] = distance;
        ids_[at] = row;
    }

private:
    Sum distances_[hits_wanted];
    int64_t *ids_;
};

template <class T, class Sum>
void scan(const T *rows, uint64_t count, uint32_t dim, const T *query, Sum (*distance)(const T *, const T *, uint32_t),
          int64_t *ids) {
    Nearest<Sum> nearest(ids);
    for (uint64_t row = 0; row < count; ++row) {
        nearest.offer(distance(rows + row * dim, query, dim), static_cast<int64_t>(row));
    }
}

std::vector<uint8_t> bytes_of(const tools::Matrix &m) {
    std::vector<uint8_t> out;
    for (uint64_t row = 0; row < m.rows; ++row) {
        out.insert(out.end(), m.data + row * m.stride, m.data + row * m.stride + m.dim);
    }
    return out;
}

class Brute : public System {
public:
    void prepare(const Dataset &set) override {
        set_ = &set;
        bytes_ = set.base.matrix.element == tools::Element::U8 && set.metric == LEARNANN_L2;
        if (bytes_) byte_queries_ = bytes_of(set.query.matrix);
        else queries_ = floats_of(set.query.matrix, set.metric == LEARNANN_COS);
    }

    double build(const std::string &path) override {
        std::ofstream(path, std::ios::binary);      // nothing to keep: the rows are what it searches
        return 0;
    }

    void load(const std::string &) override {
        if (bytes_) byte_rows_ = bytes_of(set_->base.matrix);
        else rows_ = floats_of(set_->base.matrix, set_->metric == LEARNANN_COS);
    }

    uint64_t bytes_beside_file() const override { return set_->rows() * set_->dim() * (bytes_ ? 1 : sizeof(float)); }

    void set_effort(uint32_t) override {}

    void search(uint64_t query, int64_t *ids) override {
        const uint64_t rows = set_->rows();
        const uint32_t dim = set_->dim();
        const auto distance = set_->metric == LEARNANN_L2 ? l2<float, float> : negated_dot;
        if (bytes_) scan(byte_rows_.data(), rows, dim, &byte_queries_[query * dim], l2<uint8_t, int32_t>, ids);
        else scan(rows_.data(), rows, dim, &queries_[query * dim], distance, ids);
        distances_ += rows;
    }

    void count(bool) override {}
    uint64_t distances() const override { return distances_; }
    std::string note() const override {
        return bytes_ ? "bytes, vectorised by the compiler" : "floats, vectorised by the compiler";
    }

private:
    const Dataset *set_ = nullptr;
    bool bytes_ = false;
    std::vector<uint8_t> byte_rows_, byte_queries_;
    std::vector<float> rows_, queries_;
    uint64_t distances_ = 0;
};

} // namespace

std::vector<SystemKind> brute_systems() {
    return {{"brute", "brute force", "brute", "none", "#6b7785", true, false, nullptr, {0}, suits_all,
             [] { return std::unique_ptr<System>(new Brute); }}};
}

} // namespace bench
