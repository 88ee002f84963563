// entries.cpp: see entries.hpp.
#include "learn/entries.hpp"

#include <algorithm>

LEARNANN_BEGIN

Status EntryTable::fill(const CodeSpace &space, learnann_error *error) {
    LEARNANN_RETURN_IF(records.allocate(rows.size() * space.stride(), error));
    for (u32 i = 0; i < rows.size(); ++i)
        std::memcpy(records.data() + static_cast<u64>(i) * space.stride(), space.record(rows[i]), space.stride());
    return LEARNANN_OK;
}

namespace {

// Entries in groups of equal size, the last maybe smaller: balanced k-medoids. Middles far from each other begin; the nearest
// pairs of entry and middle find together as long as there is room; then each group finds its own middle, and all over again.
class EntryGrouping {
public:
    EntryGrouping(const CodeSpace &space, const Array<u32> &rows, u32 group, const Allocator &a)
        : space_(space), rows_(rows), count_(static_cast<u32>(rows.size())), group_(group),
          groups_((count_ + group - 1) / group), distance_(a), pairs_(a), middle_(a), of_(a), taken_(a) {}

    Status run(Array<u32> &arranged, learnann_error *error) {
        LEARNANN_RETURN_IF(distance_.allocate(static_cast<u64>(count_) * count_, error));
        LEARNANN_RETURN_IF(pairs_.allocate(static_cast<u64>(count_) * groups_, error));
        LEARNANN_RETURN_IF(middle_.allocate(groups_, error));
        LEARNANN_RETURN_IF(of_.allocate(count_, error));
        LEARNANN_RETURN_IF(taken_.allocate(groups_, error));
        LEARNANN_RETURN_IF(arranged.allocate(count_, error));
        measure();
        spread_middles();
        for (u32 round = 0; round < 4; ++round) {
            share_out();
            move_middles();
        }
        u32 at = 0;
        for (u32 g = 0; g < groups_; ++g) {
            arranged[at++] = rows_[middle_[g]];
            for (u32 i = 0; i < count_; ++i)
                if (of_[i] == g && i != middle_[g]) arranged[at++] = rows_[i];
        }
        return LEARNANN_OK;
    }

private:
    void measure() {
        alignas(64) i8 code[max_query_bytes];
        for (u32 i = 0; i < count_; ++i) {
            const QueryCode query = space_.query(rows_[i], code);
            kernels().score(query, space_.records, space_.stride(), rows_.data(), count_, distance_.data() + static_cast<u64>(i) * count_);
        }
    }
    // Not below 0: what codes say of two rows can be.
    u64 between(u32 a, u32 b) const { return static_cast<u64>(larger(distance_[static_cast<u64>(a) * count_ + b], 0)); }

    // Each is the entry farthest from all before, and none of them, even where all are equal.
    void spread_middles() {
        u64 *nearest = pairs_.data();       // and 1 more
        for (u32 i = 0; i < count_; ++i) nearest[i] = ~0ull;
        middle_[0] = 0;
        for (u32 g = 1; g < groups_; ++g) {
            for (u32 i = 0; i < count_; ++i) nearest[i] = smaller(nearest[i], between(middle_[g - 1], i) + 1);
            nearest[middle_[g - 1]] = 0;
            middle_[g] = static_cast<u32>(std::max_element(nearest, nearest + count_) - nearest);
        }
    }

    void share_out() {
        for (u32 i = 0; i < count_; ++i)
            for (u32 g = 0; g < groups_; ++g) pairs_[static_cast<u64>(i) * groups_ + g] = between(middle_[g], i) << 32 | (i * groups_ + g);
        std::sort(pairs_.begin(), pairs_.end());
        for (u32 &g : of_) g = groups_;
        for (u32 g = 0; g < groups_; ++g) {
            of_[middle_[g]] = g;
            taken_[g] = 1;
        }
        for (const u64 pair : pairs_) {
            const u32 i = static_cast<u32>(pair) / groups_, g = static_cast<u32>(pair) % groups_;
            const u32 room = g + 1 < groups_ ? group_ : count_ - g * group_;
            if (of_[i] == groups_ && taken_[g] < room) {
                of_[i] = g;
                ++taken_[g];
            }
        }
    }

    void move_middles() {
        for (u32 g = 0; g < groups_; ++g) {
            u64 least = ~0ull;
            for (u32 i = 0; i < count_; ++i) {
                if (of_[i] != g) continue;
                u64 sum = 0;
                for (u32 j = 0; j < count_; ++j) sum += of_[j] == g ? between(i, j) : 0;
                if (sum >= least) continue;
                least = sum;
                middle_[g] = i;
            }
        }
    }

    const CodeSpace &space_;
    const Array<u32> &rows_;
    u32 count_, group_, groups_;
    Array<i32> distance_;       // count x count, in code space
    Array<u64> pairs_;          // distance << 32 | entry * groups + group
    Array<u32> middle_;         // of each group: an entry
    Array<u32> of_;             // of each entry: its group
    Array<u32> taken_;          // of each group: its size so far
};

}  // namespace

// A search scans the middles and four groups: about as many records for groups of this size as for any other.
inline u32 group_size(u32 entries) {
    const u32 wanted = static_cast<u32>(0.7 * std::sqrt(static_cast<double>(entries)));
    return clamp(static_cast<u32>(round_up(wanted, 4)), 1u, entries);
}

Status EntryTable::arrange(const CodeSpace &space, const Allocator &allocator, learnann_error *error) {
    const u32 count = static_cast<u32>(rows.size());
    group = space.inner ? count : group_size(count);
    if (!space.inner) {
        Array<u32> arranged(allocator);
        LEARNANN_RETURN_IF(EntryGrouping(space, rows, group, allocator).run(arranged, error));
        rows.swap(arranged);
    }
    return fill(space, error);
}

LEARNANN_END
