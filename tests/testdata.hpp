// testdata.hpp: data, exact truth and small owners that the tests share. Needs the public header only.
#pragma once

#include "learnann.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>
#include <vector>

// Under a sanitizer everything takes ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

namespace testdata {

// splitmix64: the same numbers on every machine.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    uint32_t below(uint32_t limit) { return static_cast<uint32_t>((next() >> 32) * limit >> 32); }
    double uniform() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }
    double gaussian() { return std::sqrt(-2 * std::log(uniform() + 1e-300)) * std::cos(6.283185307179586 * uniform()); }

private:
    uint64_t state_;
};

// A number that its enum has no name for, as a caller in C can hand it over.
template <class Enum> Enum no_such(uint32_t number) {
    Enum value;
    static_assert(sizeof value == sizeof number, "an enum of C");
    std::memcpy(&value, &number, sizeof value);
    return value;
}

// ---- half floats, by way of doubles ----

inline double half_value(uint16_t h) {
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    double v = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        v = mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    return h & 0x8000 ? -v : v;
}

// To nearest, ties to even.
inline uint16_t to_half(double v) {
    const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
    const double a = std::fabs(v);
    if (std::isnan(v)) return static_cast<uint16_t>(sign | 0x7e00);
    if (a >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
    if (a < std::ldexp(1.0, -14))
        return static_cast<uint16_t>(sign | static_cast<int>(std::nearbyint(std::ldexp(a, 24))));
    const int exponent = std::ilogb(a);
    const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(a, 10 - exponent)));     // 1024 to 2048: may carry
    return static_cast<uint16_t>(sign | (((exponent + 15) << 10) + mantissa - 1024));
}

// ---- rows ----

inline size_t element_size(learnann_type type) { return type == LEARNANN_F32 ? 4 : type == LEARNANN_F16 ? 2 : 1; }

struct Rows {
    learnann_type type = LEARNANN_F32;
    uint32_t dim = 0;
    uint64_t count = 0;
    std::vector<uint8_t> bytes;

    Rows() = default;
    Rows(uint64_t n, uint32_t d, learnann_type t) : type(t), dim(d), count(n), bytes(n * d * element_size(t)) {}

    learnann_vectors view() const { return learnann_vectors{bytes.data(), count, 0, dim, type}; }
    learnann_vectors one(uint64_t i) const { return learnann_vectors{row(i), 1, 0, dim, type}; }
    const uint8_t *row(uint64_t i) const { return bytes.data() + i * dim * element_size(type); }
    uint8_t *row(uint64_t i) { return bytes.data() + i * dim * element_size(type); }

    double value(uint64_t i, uint32_t j) const {
        const uint8_t *p = row(i) + j * element_size(type);
        if (type == LEARNANN_U8) return *p;
        if (type == LEARNANN_I8) return static_cast<int8_t>(*p);
        if (type == LEARNANN_F16) {
            uint16_t h;
            std::memcpy(&h, p, 2);
            return half_value(h);
        }
        float f;
        std::memcpy(&f, p, 4);
        return f;
    }
    // Rounded, and clamped where the type is bytes.
    void set(uint64_t i, uint32_t j, double v) {
        uint8_t *p = row(i) + j * element_size(type);
        const uint16_t h = to_half(v);
        const float f = static_cast<float>(v);
        if (type == LEARNANN_U8) *p = static_cast<uint8_t>(std::lround(std::min(255.0, std::max(0.0, v))));
        else if (type == LEARNANN_I8) *p = static_cast<uint8_t>(std::lround(std::min(127.0, std::max(-128.0, v))));
        else if (type == LEARNANN_F16) std::memcpy(p, &h, 2);
        else std::memcpy(p, &f, 4);
    }
    void copy(uint64_t from, uint64_t to) { std::memcpy(row(to), row(from), dim * element_size(type)); }
    std::vector<double> doubles() const {
        std::vector<double> out(count * dim);
        for (uint64_t i = 0; i < count; ++i)
            for (uint32_t j = 0; j < dim; ++j) out[i * dim + j] = value(i, j);
        return out;
    }
};

// Gaussian clusters, in values that suit the type. Calls with one `family` share their centres.
inline Rows clustered(uint64_t count, uint32_t dim, learnann_type type, uint64_t seed, uint32_t clusters = 20,
                      uint64_t family = 1) {
    Rows rows(count, dim, type);
    Random centre_random(family * 7919 + dim), random(seed * 104729 + 17);
    std::vector<double> centres(static_cast<size_t>(clusters) * dim);
    for (double &c : centres) c = centre_random.gaussian();
    const double scale = type == LEARNANN_U8 ? 32 : type == LEARNANN_I8 ? 36 : 1;
    const double shift = type == LEARNANN_U8 ? 128 : 0;
    for (uint64_t i = 0; i < count; ++i) {
        const double *centre = centres.data() + static_cast<size_t>(random.below(clusters)) * dim;
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, shift + scale * (centre[j] + 0.5 * random.gaussian()));
    }
    return rows;
}

// ---- truth ----

struct Neighbour {
    double distance;
    uint32_t row;
};

inline double distance(learnann_metric metric, const double *q, const double *x, uint32_t dim) {
    double dot = 0, l2 = 0, qq = 0, xx = 0;
    for (uint32_t j = 0; j < dim; ++j) {
        dot += q[j] * x[j];
        l2 += (q[j] - x[j]) * (q[j] - x[j]);
        qq += q[j] * q[j];
        xx += x[j] * x[j];
    }
    if (metric == LEARNANN_L2) return l2;
    if (metric == LEARNANN_IP) return -dot;
    return qq > 0 && xx > 0 ? 1 - dot / std::sqrt(qq * xx) : 1;
}

// How far a reported distance may be from the true one: floats of these norms, summed.
inline double tolerance(learnann_metric metric, const double *q, const double *x, uint32_t dim) {
    double qq = 0, xx = 0;
    for (uint32_t j = 0; j < dim; ++j) qq += q[j] * q[j], xx += x[j] * x[j];
    return 1e-5 * (metric == LEARNANN_COS ? 1.0 : qq + xx);
}

// All rows that `pass`, nearest first.
template <class Pass>
std::vector<Neighbour> ranked(learnann_metric metric, const std::vector<double> &rows, uint32_t dim, const double *q,
                              Pass pass) {
    std::vector<Neighbour> all;
    for (size_t i = 0; i * dim < rows.size(); ++i)
        if (pass(static_cast<uint32_t>(i)))
            all.push_back(Neighbour{distance(metric, q, rows.data() + i * dim, dim), static_cast<uint32_t>(i)});
    std::stable_sort(all.begin(), all.end(),
                     [](const Neighbour &a, const Neighbour &b) { return a.distance < b.distance; });
    return all;
}
inline std::vector<Neighbour> ranked(learnann_metric metric, const std::vector<double> &rows, uint32_t dim,
                                     const double *q) {
    return ranked(metric, rows, dim, q, [](uint32_t) { return true; });
}

// ---- memory ----

// Bytes at a multiple of 64, and nothing behind them, so that AddressSanitizer sees what reads too far.
class Memory {
public:
    Memory() = default;
    explicit Memory(size_t size) { resize(size); }
    Memory(const Memory &o) { assign(o.data_, o.size_); }
    Memory(Memory &&o) noexcept { swap(o); }
    Memory &operator=(Memory o) noexcept {
        swap(o);
        return *this;
    }
    ~Memory() { resize(0); }
    void resize(size_t size) {      // drops the contents
        if (data_) ::operator delete(data_, std::align_val_t(64));
        data_ = size ? static_cast<uint8_t *>(::operator new(size, std::align_val_t(64))) : nullptr;
        size_ = size;
        if (size) std::memset(data_, 0, size);
    }
    void assign(const void *bytes, size_t size) {
        resize(size);
        if (size) std::memcpy(data_, bytes, size);
    }
    void swap(Memory &o) noexcept {
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
    }
    uint8_t *data() { return data_; }
    const uint8_t *data() const { return data_; }
    size_t size() const { return size_; }
    bool operator==(const Memory &o) const {
        return size_ == o.size_ && (!size_ || std::memcmp(data_, o.data_, size_) == 0);
    }

private:
    uint8_t *data_ = nullptr;
    size_t size_ = 0;
};

// Counts live blocks, and fails the allocation number `fail_at` (from 0; never where it is negative), and all after it where
// that is `lasting`.
struct CountingAllocator {
    std::atomic<int64_t> calls{0}, live{0}, live_bytes{0};
    int64_t fail_at = -1;
    bool lasting = true;

    static void *allocate(void *context, size_t bytes) {
        auto &self = *static_cast<CountingAllocator *>(context);
        const int64_t call = self.calls++;
        if (self.fail_at >= 0 && (self.lasting ? call >= self.fail_at : call == self.fail_at)) return nullptr;
        ++self.live;
        self.live_bytes += static_cast<int64_t>(bytes);
        return std::malloc(bytes);
    }
    static void release(void *context, void *memory, size_t bytes) {
        auto &self = *static_cast<CountingAllocator *>(context);
        --self.live;
        self.live_bytes -= static_cast<int64_t>(bytes);
        std::free(memory);
    }
    learnann_allocator hooks() { return learnann_allocator{allocate, release, this}; }
    void fail_after(int64_t n) {
        calls = 0;
        fail_at = n;
    }
};

// Live bytes, and how many they were at most. Threads may share it.
struct PeakAllocator {
    std::atomic<int64_t> live{0}, peak{0};

    static void *allocate(void *context, size_t bytes) {
        auto &self = *static_cast<PeakAllocator *>(context);
        const int64_t now = self.live += static_cast<int64_t>(bytes);
        int64_t before = self.peak;
        while (before < now && !self.peak.compare_exchange_weak(before, now)) {}
        return std::malloc(bytes);
    }
    static void release(void *context, void *memory, size_t bytes) {
        static_cast<PeakAllocator *>(context)->live -= static_cast<int64_t>(bytes);
        std::free(memory);
    }
    learnann_allocator hooks() { return learnann_allocator{allocate, release, this}; }
};

// ---- indexes ----

// Kinds of exact rows that refine codes: the fewest bits last.
constexpr learnann_exact refined_kinds[] = {LEARNANN_EXACT_I4, LEARNANN_EXACT_I2, LEARNANN_EXACT_BINARY};

// Build options for tests: one thread.
inline learnann_build_options build_options(learnann_metric metric = LEARNANN_L2,
                                            learnann_exact exact = LEARNANN_EXACT_AUTO) {
    learnann_build_options o = learnann_build_options_default();
    o.metric = metric;
    o.exact = exact;
    o.threads = 1;
    return o;
}

inline learnann_status build(const Rows &rows, const learnann_build_options &options, const uint64_t *keys,
                             Memory &file, learnann_error *error = nullptr) {
    learnann_builder *builder = nullptr;
    const learnann_vectors view = rows.view();
    learnann_status status = learnann_builder_create(&options, &builder, error);
    if (status == LEARNANN_OK) status = learnann_builder_run(builder, &view, keys, error);
    if (status == LEARNANN_OK) {
        file.resize(learnann_builder_bytes(builder));
        status = learnann_builder_write(builder, file.data(), file.size(), error);
    }
    learnann_builder_free(builder);
    return status;
}

// An index in memory, with a scratch. `status` says why there is none.
class Index {
public:
    learnann_status status = LEARNANN_OK;
    learnann_error error{};
    Memory file;
    learnann_index *handle = nullptr;
    learnann_scratch *scratch = nullptr;

    Index(const Rows &rows, const learnann_build_options &options, const uint64_t *keys = nullptr) {
        status = build(rows, options, keys, file, &error);
        open();
    }
    explicit Index(Memory bytes) : file(std::move(bytes)) { open(); }
    Index(const Index &) = delete;
    Index &operator=(const Index &) = delete;
    ~Index() {
        learnann_scratch_free(scratch);
        learnann_close(handle);
    }

    std::vector<learnann_hit> search(const learnann_vectors &query, uint32_t k, uint32_t effort = 0,
                                     const learnann_filter *filter = nullptr, learnann_search_stats *stats = nullptr) {
        learnann_search_options o = learnann_search_options_default();
        o.effort = effort;
        o.filter = filter;
        std::vector<learnann_hit> hits(k);
        uint32_t count = 0;
        status = learnann_search(handle, scratch, &query, k, &o, hits.data(), &count, stats, &error);
        hits.resize(count);
        return hits;
    }
    std::vector<learnann_hit> range(const learnann_vectors &query, float radius, uint32_t limit, uint32_t effort = 0,
                                    const learnann_filter *filter = nullptr) {
        learnann_search_options o = learnann_search_options_default();
        o.effort = effort;
        o.filter = filter;
        std::vector<learnann_hit> hits(limit);
        uint32_t count = 0;
        status =
            learnann_search_range(handle, scratch, &query, radius, limit, &o, hits.data(), &count, nullptr, &error);
        hits.resize(count);
        return hits;
    }
    learnann_index_info info() const {
        learnann_index_info i = learnann_index_info_default();
        learnann_get_info(handle, &i);
        return i;
    }
    // The rows as the file keeps them; keys must be row numbers.
    std::vector<double> stored() const {
        const learnann_index_info i = info();
        std::vector<float> row(i.dim);
        std::vector<double> all;
        for (uint64_t r = 0; r < i.rows; ++r) {
            learnann_fetch(handle, r, row.data(), i.dim);
            all.insert(all.end(), row.begin(), row.end());
        }
        return all;
    }

private:
    void open() {
        if (status == LEARNANN_OK) status = learnann_open_memory(file.data(), file.size(), nullptr, &handle, &error);
        if (status == LEARNANN_OK) status = learnann_scratch_create(handle, &scratch, &error);
    }
};

inline bool same_hits(const std::vector<learnann_hit> &a, const std::vector<learnann_hit> &b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
        if (a[i].key != b[i].key || a[i].row != b[i].row || a[i].distance != b[i].distance) return false;
    return true;
}

// Nearest first, ties by key, then row; no row twice.
inline bool in_order(const std::vector<learnann_hit> &hits) {
    std::vector<uint32_t> rows;
    for (size_t i = 0; i < hits.size(); ++i) {
        rows.push_back(hits[i].row);
        if (i == 0) continue;
        const learnann_hit &a = hits[i - 1], &b = hits[i];
        if (!(a.distance < b.distance ||
              (a.distance == b.distance && (a.key < b.key || (a.key == b.key && a.row < b.row)))))
            return false;
    }
    std::sort(rows.begin(), rows.end());
    return std::adjacent_find(rows.begin(), rows.end()) == rows.end();
}

// How many of the hits are as near as the true k-th.
inline size_t found(const std::vector<learnann_hit> &hits, const std::vector<Neighbour> &truth, size_t k,
                    double slack) {
    k = std::min(k, truth.size());
    if (k == 0) return 0;
    size_t count = 0;
    for (const learnann_hit &h : hits) count += h.distance <= truth[k - 1].distance + slack;
    return std::min(count, k);
}

// The share of the true ten that searches find, of the rows as the index keeps them.
inline double recall_of(Index &index, const Rows &queries, learnann_metric metric, uint32_t effort) {
    const std::vector<double> rows = index.stored(), q = queries.doubles();
    size_t right = 0;
    for (uint64_t i = 0; i < queries.count; ++i) {
        const double *x = q.data() + i * queries.dim;
        right += found(index.search(queries.one(i), 10, effort), ranked(metric, rows, queries.dim, x), 10, 1e-4);
    }
    return static_cast<double>(right) / (10.0 * static_cast<double>(queries.count));
}

}  // namespace testdata
