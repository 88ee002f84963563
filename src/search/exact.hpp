// exact.hpp: the true distance of a query to a stored row, in whatever type the row is kept.
#pragma once

#include "search/codec.hpp"

LEARNANN_BEGIN

struct RefinedQuery;

// Of no more rows than these every search compares all.
constexpr u32 scanned_rows = 256;

// A query as exact rows want it. `bytes` is set where the query is representable in the rows' own byte type: then L2 and inner
// product are computed in integers, exactly.
struct ExactQuery {
    const float *x = nullptr;
    const u8 *bytes = nullptr;
    double sum = 0;
    double norm2 = 0;
    const RefinedQuery *refined = nullptr;      // set where the rows are refined, and all that they ask for

    // `bytes` has room for dim.
    static ExactQuery of(const float *x, u32 dim, u32 exact_type, u8 *bytes);
    // Sum and norm are needed for rows with a tail only.
    void measure(u32 dim);
};

// <query, row> and |query - row|^2 over the elements as they are stored, before any scale and offset.
double element_dot(u32 type, u32 dim, const ExactQuery &query, const void *row);
double element_l2(u32 type, u32 dim, const ExactQuery &query, const void *row);

// Precondition: the index keeps exact rows and slot < rows.
float exact_distance(const FileView &view, const ExactQuery &query, u32 slot);

// A stored row as floats.
void exact_values(const FileView &view, u32 slot, float *out);

LEARNANN_END
