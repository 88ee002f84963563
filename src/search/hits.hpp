// hits.hpp: the nearest k of the rows offered, kept as a heap in the caller's own array.
#pragma once

#include "format/reader.hpp"

#include <algorithm>

LEARNANN_BEGIN

// A type of our own, so that the templates it instantiates stay inside the library.
struct Nearer {
    bool operator()(const learnann_hit &a, const learnann_hit &b) const {
        return a.distance != b.distance ? a.distance < b.distance : a.key != b.key ? a.key < b.key : a.row < b.row;
    }
};

class Hits {
public:
    Hits(const FileView &view, learnann_hit *hits, u32 k) : view_(view), hits_(hits), k_(k) {}

    // False where the slot's row number is out of range: the file is damaged.
    bool offer(u32 slot, float distance) {
        if (count_ == k_ && distance > hits_[0].distance) return true;
        const u32 row = view_.row_of_slot(slot);
        if (row >= view_.rows()) return false;
        const learnann_hit hit{view_.key_of_row(row), row, distance};
        if (count_ == k_) {
            if (!Nearer()(hit, hits_[0])) return true;
            std::pop_heap(hits_, hits_ + count_--, Nearer());
        }
        hits_[count_++] = hit;
        std::push_heap(hits_, hits_ + count_, Nearer());
        return true;
    }
    u32 finish() {
        std::sort_heap(hits_, hits_ + count_, Nearer());
        return count_;
    }

private:
    const FileView &view_;
    learnann_hit *hits_;
    u32 k_;
    u32 count_ = 0;
};

LEARNANN_END
