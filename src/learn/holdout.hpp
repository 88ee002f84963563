// holdout.hpp: sample queries with their true neighbours, to choose, fit and calibrate by. Held-out rows stay out of the graph
// until the calibration is done: a row that the graph knows finds itself, and its neighbours, too easily.
#pragma once

#include "base/parallel.hpp"
#include "learn/rows.hpp"

LEARNANN_BEGIN

// Of fewer rows, where no queries are given, some are held out only to tell how wide codes and how long lists have to be.
constexpr u32 rows_to_calibrate_by = 1000;

struct Holdout {
    static constexpr u32 depth = 100;   // true neighbours known of each query
    static constexpr u32 shallow_depth = 10;
    static constexpr u32 most = 512;    // queries

    u32 count = 0;
    u32 measured = 0;           // of the first so many queries the truth is known by brute force; of the others the first
                                // shallow_depth neighbours, once complete_holdout() found them
    u32 neighbours = 0;         // known of each: depth, or all rows there are
    bool from_rows = false;     // the queries are rows of the index
    u64 given = 0;              // where not: of so many queries given, spread evenly
    Array<u32> query_rows;      // where from_rows: their row numbers, ascending
    Array<float> queries;       // count x dim, as the codec wants them (normalised under cosine)
    Array<float> truth;         // count x depth distances of the true neighbours, ascending
    Array<u32> truth_rows;      // count x depth: who they are

    const float *query(u32 i, u32 dim) const { return queries.data() + static_cast<u64>(i) * dim; }
    void copy_query(u32 i, u32 dim, float *to) const { std::memcpy(to, query(i, dim), dim * sizeof(float)); }
    // A hit at most this far away is one of the true k, or as near as the last of them.
    float reach(u32 i, u32 k) const { return truth[static_cast<u64>(i) * depth + k - 1]; }
    bool holds(u32 row) const;
    // The place among the queries given of the i-th of these (in their order), and of the r-th of the others.
    u64 place(u64 i) const { return i * (given / count) + i * (given % count) / count; }
    u64 untested(u64 r) const {
        u64 low = 0, high = count;      // so many of these lie before it: before the i-th lie place(i) - i others
        while (low < high) {
            const u64 middle = (low + high) / 2;
            if (place(middle) - middle <= r) low = middle + 1;
            else high = middle;
        }
        return r + low;
    }
    // How many queries know k neighbours.
    u32 knowing(u32 k) const { return k <= shallow_depth ? count : measured; }
};

// Takes some of `given`, evenly spread, or, where that is NULL, random rows, in random order: the first few are a sample of them all.
// Brute force finds the truth. Empty for too few rows.
Status make_holdout(const Rows &rows, const learnann_vectors *given, u64 seed, const BuildContext &build, Holdout &holdout,
                    learnann_error *error);

// Brute force for more of the queries, as many as is affordable; the others are dropped.
Status measure_more(const Rows &rows, const BuildContext &build, Holdout &holdout, learnann_error *error);

// The local intrinsic dimension of the rows around the queries, by distance, or by angle: by maximum likelihood over the distances of
// each query's neighbours (Levina and Bickel, 2004), the median over the queries. 0 where nothing is known. It means nothing of inner
// products, unless the rows are of one length.
double local_dimension(const Rows &rows, const Holdout &holdout);

LEARNANN_END
