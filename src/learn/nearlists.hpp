// nearlists.hpp: what a space is learned from: sample queries, the rows that lie near each by code, and how far away these are in truth.
#pragma once

#include "learn/code_space.hpp"
#include "learn/holdout.hpp"
#include "learn/spectral.hpp"

LEARNANN_BEGIN

// Vectors are in the coordinates of a basis, from its mean. It need not span them: length2 is that of all of a vector.
struct NearLists {
    static constexpr u32 depth = 48;            // rows of each list
    static constexpr u32 most_queries = 6144;
    static constexpr u32 least_queries = 500;   // where as many were given they are used, else rows
    static constexpr u32 most_rows = 65536;     // of more, an even sample
    static constexpr u32 least_rows = 2000;

    u32 dim = 0;                // coordinates
    u32 queries = 0;            // 0: too few rows to learn from
    bool inner = false;         // the truth is -2 inner products, else squared distances
    Array<float> query;         // queries x dim
    Array<float> query_length2;
    Array<float> row;           // rows x dim
    Array<float> row_length2;
    Array<u32> near;            // queries x depth: places in row
    Array<float> truth;         // queries x depth: but for a constant of each query

    void use(const Allocator &allocator) {
        for (Array<float> *a : {&query, &query_length2, &row, &row_length2, &truth}) a->use(allocator);
        near.use(allocator);
    }
};

// Queries are taken from those of `given` that the holdout does not test with, or from the rows. `space` holds all rows.
Status list_near_rows(const CodeSpace &space, const Rows &rows, const Basis &basis, const Holdout &holdout, const learnann_vectors *given,
                      u64 seed, const BuildContext &build, NearLists &lists, learnann_error *error);

// Bytes that the lists need at most.
u64 near_lists_bytes(u64 rows, u32 dim);

LEARNANN_END
