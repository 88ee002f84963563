// refined.hpp: exact rows of a few bits a dimension. A record's code already says most of a row; a refined row holds the rest of
// it, rounded. Measured first, by recall@10 of 384-dimensional text embeddings beside a record of 128 bytes that alone gives 0.91:
//   bytes a row                       200     104      56
//   the rest, rounded                 0.986   0.960    0.938
//   the rest, product quantised       0.987   0.957    -          (192 and 96 bytes: as good, with codebooks and tables to carry)
//   the row, product quantised        0.975   0.928    0.851      (192, 96 and 48 bytes)
//   the row, rounded                  0.92    -        -          (0.96 where it is rotated at random before)
#pragma once

#include "search/codec.hpp"

LEARNANN_BEGIN

// A query as refined rows want it; borrows from the codec's scratch.
struct RefinedQuery {
    const Codec *codec = nullptr;
    const float *centred = nullptr;     // query - mean
    const float *projected = nullptr;
    double norm2 = 0;                   // |query - mean|^2
    float sum = 0;                      // of `centred`
    bool zero = false;                  // the query is the zero vector
    u8 *levels = nullptr;               // working memory: of a row

    // The query was projected and encoded; what the scratch holds of it is made finer. `levels` has room for refined_room(dim).
    static RefinedQuery of(const Codec &codec, CodecScratch &scratch, float norm2, u8 *levels);
};

inline u32 refined_room(u32 dim) { return dim + 7; }

// A row's levels, a byte each, in room for refined_room(dim).
void refined_levels(const u8 *row, u32 dim, u32 bits, u8 *levels);

// Precondition: the index keeps refined rows and slot < rows.
double refined_distance(const FileView &view, const RefinedQuery &query, u32 slot);

// The row as floats: without working memory, and slow.
void refined_values(const FileView &view, u32 slot, float *out);

LEARNANN_END
