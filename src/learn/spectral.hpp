// spectral.hpp: fits the projection (PCA) and the scales of the codec to the rows.
#pragma once

#include "learn/linalg.hpp"
#include "learn/rows.hpp"

LEARNANN_BEGIN

// A set of directions, strongest first, and the point they start from.
struct Basis {
    u32 dim = 0;
    u32 count = 0;
    Array<float> mean;          // dim; zero for inner product
    Array<float> directions;    // count x dim, orthonormal
};

// So many rows tell the leading directions.
constexpr u32 pca_sample(u32 dim) { return dim <= 256 ? 8192 : 4096; }

// PCA of a sample of the rows: exact covariance up to 1,024 dimensions, above that block subspace iteration on the sample
// itself (Halko, Martinsson and Tropp 2011, algorithm 4.4). Under inner product the second moment, not centred: distances
// from the mean mean nothing there. `count` directions, or as many as there are dimensions; 0 where the rows span
// fewer.
Status fit_pca(const Rows &rows, u32 count, u32 threads, u64 seed, const Allocator &allocator, Basis &basis,
               learnann_error *error);

// Where a record's nibbles best begin, for so many dimensions.
u32 best_nibbles_at(u32 record_bytes, u32 dim);

// The codec of a basis cut to a record width, with the arrays that the file will hold.
struct FittedCodec {
    Codec codec;
    Array<u8> matrix;
    Array<float> unit;
    Array<float> mean;
};

Status fit_codec(const Rows &rows, const Basis &basis, u32 record_bytes, u64 seed, const Allocator &allocator,
                 FittedCodec &fitted, learnann_error *error);

// Records of all rows.
Status encode_rows(const Rows &rows, const Codec &codec, u32 threads, const Progress &progress, const Allocator &allocator,
                   u8 *records, learnann_error *error);

LEARNANN_END
