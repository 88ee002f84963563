// codec.hpp: a vector's way into code space: floats -> 16-bit integers -> projection -> int8 code with its norms.
// From the 16-bit integers on, all arithmetic that a search compares is integer: every instruction set walks the same way.
#pragma once

#include "format/reader.hpp"
#include "simd/dispatch.hpp"

LEARNANN_BEGIN

// The projection and its scales, wherever they lie (a file's sections, or a build's arrays).
//   y = P (x - mean) = unit (matrix x) - shift      code = y / (code_step 2^exponent), rounded, in [-127, 127]
//   residual^2 = |x - mean|^2 - |y|^2 + what clamping cuts    norm = |code 2^exponent|^2 + (residual / code_step)^2
// Under cosine x is normalised first; under inner product mean and shift are 0.
struct Codec {
    const i8 *matrix = nullptr;
    const float *unit = nullptr;        // of each matrix row
    const float *shift = nullptr;
    const float *mean = nullptr;
    u32 dim = 0;
    u32 code_dim = 0;
    u32 record_bytes = 0;
    learnann_metric metric = LEARNANN_L2;
    u32 norm_left = 0;
    float code_step = 1;
    float residual_unit = 1;
    float residual_weight = 0;

    static Codec of(const FileView &view);
};

// Rows are at most this many code steps long (from the mean): then no estimate between two rows overflows 32 bits.
constexpr float max_steps = 20000.0f;

// |x| as integers. Matrix rows are no longer than 127 sqrt(65535), so the products stay below 2^31.
constexpr float fixed_point_norm = 32000.0f;

// A vector in the spectral space.
struct Projected {
    float *y = nullptr;         // code_dim
    float residual2 = 0;        // squared length of what the projection cuts off
};

// Working memory for one vector at a time.
struct CodecScratch {
    Array<float> x;         // dim
    Array<i16> fixed;       // cols
    Array<i32> sums;        // code_dim
    Array<float> y;         // code_dim

    void use(const Allocator &allocator) {
        x.use(allocator);
        fixed.use(allocator);
        sums.use(allocator);
        y.use(allocator);
    }
    Status allocate(const Codec &codec, learnann_error *error) {
        LEARNANN_RETURN_IF(x.at_least(codec.dim, error));
        LEARNANN_RETURN_IF(fixed.at_least(projection_cols(codec.dim), error));
        LEARNANN_RETURN_IF(sums.at_least(codec.code_dim, error));
        return y.at_least(codec.code_dim, error);
    }
    u64 bytes() const { return x.bytes() + fixed.bytes() + sums.bytes() + y.bytes(); }
};

// Any element type to floats. False where a value is NaN or infinite.
bool to_floats(const void *vector, learnann_type type, u32 dim, float *out);

// x / |x|; a zero vector stays zero.
void normalise(float *x, u32 dim);

// Projects scratch.x; the result lives in scratch.y.
Projected project(const Codec &codec, CodecScratch &scratch);

// A row's record, without its adjacency offset.
void encode_record(const Codec &codec, const Projected &p, u8 *record);

// A query: `code` has record_bytes bytes, 64-byte aligned. distance = base + unit * estimate, as the codes see it.
struct EncodedQuery {
    QueryCode code;
    float base;
    float unit;
    float residual;     // what the code doesn't hold of the query, in its steps
    float origin;       // squared distance from the query, in code steps = origin + up * estimate; both 0 under inner product
    float up;

    // The error of an estimate, roughly, in its units: from the residuals, and from rounding, which counts the more the farther
    // the row is. A measure only: how many of it are enough is calibrated.
    float spread(i32 estimate) const {
        return residual + 1 + 0.6f * std::sqrt(larger(origin + up * static_cast<float>(estimate), 0.0f));
    }
};
EncodedQuery encode_query(const Codec &codec, const Projected &p, i8 *code);

// A row as the query of a build: estimates are distances in squared code steps,
// or, where `inner`, -2 inner products.
QueryCode query_of_record(const Codec &codec, const u8 *record, bool inner, i8 *code);

LEARNANN_END
