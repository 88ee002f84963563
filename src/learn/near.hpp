// near.hpp: the nearest rows of a brute-force search.
#pragma once

#include "base/base.hpp"

#include <algorithm>
#include <limits>

LEARNANN_BEGIN

// In order of distance, then of row.
struct Near {
    float distance;
    u32 row;
    bool operator<(const Near &o) const { return distance != o.distance ? distance < o.distance : row < o.row; }
};

// The nearest `most` of the rows offered, among up to as many that were near when they came.
struct NearestRows {
    Near *items = nullptr;      // room(most)
    u32 size = 0;
    u32 most = 0;
    Near bound{};               // what comes must be nearer

    NearestRows() = default;
    NearestRows(Near *memory, u32 wanted) : items(memory), most(wanted) {
        const float infinity = std::numeric_limits<float>::infinity();
        bound = Near{wanted > 0 ? infinity : -infinity, no_row};
    }
    static u32 room(u32 most) { return 2 * most; }

    void offer(const Near &candidate) {
        if (!(candidate < bound)) return;
        items[size++] = candidate;
        if (size < room(most)) return;
        std::nth_element(items, items + most - 1, items + size);
        bound = items[most - 1];
        size = most;
    }
    // Nearest first; nothing can be offered any more.
    void sort() {
        std::sort(items, items + size);
        size = smaller(size, most);
    }
};

LEARNANN_END
