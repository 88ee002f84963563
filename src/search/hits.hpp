// hits.hpp: the nearest k of the rows offered, in the caller's own array.
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

// Few are kept in order: candidates come by their estimates, nearly in order themselves, so that one has few to pass. Many are a heap.
class Hits {
public:
    Hits(const FileView &view, learnann_hit *hits, u32 k) : view_(view), hits_(hits), k_(k), last_(k <= most_ordered ? k - 1 : 0) {}

    // False where the slot's row number is out of range: the file is damaged.
    bool offer(u32 slot, float distance) {
        if (count_ == k_ && distance > hits_[last_].distance) return true;
        const u32 row = view_.row_of_slot(slot);
        if (row >= view_.rows()) return false;
        const learnann_hit hit{view_.key_of_row(row), row, distance};
        if (count_ == k_ && !Nearer()(hit, hits_[last_])) return true;
        if (k_ <= most_ordered) insert(hit);
        else push(hit);
        return true;
    }
    u32 finish() {
        if (k_ > most_ordered) std::sort(hits_, hits_ + count_, Nearer());
        return count_;
    }

private:
    static constexpr u32 most_ordered = 256;

    // The last of k falls out.
    void insert(const learnann_hit &hit) {
        u32 at = count_ < k_ ? count_++ : last_;
        for (; at > 0 && Nearer()(hit, hits_[at - 1]); --at) hits_[at] = hits_[at - 1];
        hits_[at] = hit;
    }
    void push(const learnann_hit &hit) {
        if (count_ == k_) std::pop_heap(hits_, hits_ + count_--, Nearer());
        hits_[count_++] = hit;
        std::push_heap(hits_, hits_ + count_, Nearer());
    }
    const FileView &view_;
    learnann_hit *hits_;
    u32 k_;
    u32 last_;      // where the farthest is, once there are k
    u32 count_ = 0;
};

LEARNANN_END
