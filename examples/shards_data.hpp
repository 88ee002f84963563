// Of shards_mpi: made rows, and the true hits by a scan.
#pragma once

#include "learnann.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

namespace shards {

constexpr uint32_t DIM = 64, K = 10;

using Bytes = std::vector<uint8_t>;
using List = std::array<learnann_hit, K>;       // nearest first

inline bool nearer(const learnann_hit &a, const learnann_hit &b) {
    return a.distance != b.distance ? a.distance < b.distance : a.key < b.key;
}

// Points of a curved sheet with noise, in whole numbers: distances are exact.
inline Bytes make(uint32_t count, uint32_t seed) {
    std::mt19937 random(seed);
    Bytes rows;
    for (uint32_t i = 0; i < count; ++i) {
        double t[4];
        for (double &v : t) v = 1.5e-9 * double(random());
        for (uint32_t j = 0; j < DIM; ++j)
            rows.push_back(uint8_t(120 + 80 * std::sin(t[j % 4] + 0.1 * j) * std::cos(t[j / 16]) + double(random() % 16)));
    }
    return rows;
}

// Of both lists' hits.
inline void keep_nearest(List &list, const List &other) {
    std::array<learnann_hit, 2 * K> both;
    std::merge(list.begin(), list.end(), other.begin(), other.end(), both.begin(), nearer);
    std::copy_n(both.begin(), K, list.begin());
}

// Keys are row numbers.
inline List scan(const Bytes &rows, const uint8_t *query) {
    std::vector<learnann_hit> all(rows.size() / DIM);
    for (size_t i = 0; i < all.size(); ++i) {
        int sum = 0;
        for (uint32_t j = 0; j < DIM; ++j) sum += (rows[i * DIM + j] - query[j]) * (rows[i * DIM + j] - query[j]);
        all[i] = {i, 0, float(sum)};
    }
    List best;
    std::partial_sort_copy(all.begin(), all.end(), best.begin(), best.end(), nearer);
    return best;
}

inline bool holds(const List &list, uint64_t key) {
    return std::any_of(list.begin(), list.end(), [&](const learnann_hit &hit) { return hit.key == key; });
}

} // namespace shards
