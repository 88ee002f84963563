// truth.hpp: the true neighbours of queries, by brute force. Where that compares floats, rows go through a sieve first: of queries and
// rows rounded to bytes, tiles tell in a few cycles how near a row may be at the nearest, and only of those that may be near enough the
// distance is measured. What is found is the same.
#pragma once

#include "learn/holdout.hpp"
#include "learn/near.hpp"
#include "learn/tiles.hpp"

LEARNANN_BEGIN

class Sieve {
public:
    // Of all the holdout's queries [first, end).
    Status prepare(const Rows &rows, const Holdout &h, u32 first, u32 end, const BuildContext &build, learnann_error *error);
    // Whether the rows are such that it pays.
    static bool serves(const Rows &rows) { return !rows.stored && element_bytes(rows.vectors.type) > 1; }
    u32 rows_at_once() const { return room_; }
    // These rows from now on, at most rows_at_once().
    void load(const Rows &rows, u32 begin, u32 end, const BuildContext &build);
    // maybe(q, row) for the queries [first, end) and each of the rows that may be no farther from it than bound(q), in ascending order. By
    // any thread.
    template <class Bound, class Maybe> void each_near(u32 first, u32 end, Bound bound, Maybe maybe) const {
        compare(panel_, 0, static_cast<u32>(round_up(loaded_, tile_rows)), end - first, [&](u32 q) -> const PanelQuery & { return queries_[first + q].panel; },
                [&](u32 q) { return bound(first + q) - queries_[first + q].least; },
                [&](u32 q, u32 found, const float *, const u32 *places) {
                    for (u32 i = 0; i < found; ++i) maybe(first + q, begin_ + places[i]);
                });
    }

private:
    struct Asked {
        PanelQuery panel;
        float least;        // what is added to all of its distances
    };
    Panel panel_;
    Array<i8> codes_;       // of the queries
    Array<Asked> queries_;
    Array<float> floats_;   // of a row, for each thread
    Array<i8> bytes_;       // the same
    float farther_ = 0;     // rounding moves a query by so much of its length at the most
    u32 room_ = 0;
    u32 begin_ = 0, loaded_ = 0;
};

// The true neighbours of the holdout's queries [first, end).
class Truth {
public:
    Truth(const Rows &rows, Holdout &h, u32 first, u32 end, const BuildContext &build)
        : rows_(rows), h_(h), build_(build), first_(first), count_(end - first), items_(build.allocator), bytes_(build.allocator),
          nearest_(build.allocator), queries_(build.allocator), sieved_(Sieve::serves(rows)) {}

    Status find(learnann_error *error);

private:
    static constexpr u32 together = 8;      // so many queries share each row while it is in cache

    Status prepare(learnann_error *error);
    void offer_all(u32 first, u32 begin, u32 end);
    void offer_near(u32 first);
    void offer(u32 q, u32 row) { nearest_[q].offer(Near{rows_.distance(queries_[q], row), row}); }

    const Rows &rows_;
    Holdout &h_;
    const BuildContext &build_;
    u32 first_, count_;
    Array<Near> items_;
    Array<u8> bytes_;
    Array<NearestRows> nearest_;
    Array<ExactQuery> queries_;
    const bool sieved_;
    Sieve sieve_;
};

LEARNANN_END
