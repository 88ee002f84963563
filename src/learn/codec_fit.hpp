// codec_fit.hpp: fits a codec to the rows: how a record is divided, its steps, what is known of the residuals.
#pragma once

#include "learn/holdout.hpp"
#include "learn/spectral.hpp"

LEARNANN_BEGIN

// The codec of a basis cut to a record width, with the arrays that the file will hold.
struct FittedCodec {
    Codec codec;
    Array<u8> matrix;
    Array<float> unit;
    Array<float> mean;
};

// The most directions that a codec for records of that width may ask of a basis.
u32 most_code_dims(u32 record_bytes, u32 dim);

// Neighbours are told from the holdout's; it may be empty.
Status fit_codec(const Rows &rows, const Basis &basis, u32 record_bytes, const Holdout &holdout, u64 seed, const Allocator &allocator,
                 FittedCodec &fitted, learnann_error *error);

// Records of all rows: that of row i at place[i], or at i where there is no `place`.
Status encode_rows(const Rows &rows, const Codec &codec, const u32 *place, const BuildContext &build, u8 *records, learnann_error *error);

LEARNANN_END
