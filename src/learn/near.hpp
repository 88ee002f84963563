// near.hpp: the nearest rows of a brute-force search.
#pragma once

#include "base/base.hpp"

#include <algorithm>

LEARNANN_BEGIN

// In order of distance, then of row.
struct Near {
    float distance;
    u32 row;
    bool operator<(const Near &o) const { return distance != o.distance ? distance < o.distance : row < o.row; }
};

// The nearest `most` of the rows offered, in an array with room for one more.
struct NearHeap {
    Near *items = nullptr;
    u32 size = 0;
    u32 most = 0;

    void offer(const Near &candidate) {
        if (size == most && (most == 0 || !(candidate < items[0]))) return;
        items[size++] = candidate;
        std::push_heap(items, items + size);
        if (size > most) std::pop_heap(items, items + size--);
    }
    // Nearest first; nothing can be offered any more.
    void sort() { std::sort_heap(items, items + size); }
};

LEARNANN_END
