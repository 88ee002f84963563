// codec.hpp: a vector's way into code space: floats -> bytes -> projection -> code with its norms. Sums of integers are exact and
// those of floats have a fixed order, so every instruction set walks the same way.
#pragma once

#include "format/reader.hpp"
#include "simd/dispatch.hpp"

LEARNANN_BEGIN

// The projection and its scales, wherever they lie (a file's sections, or a build's arrays).
//   y = P (x - mean) = unit (matrix bytes(x - mean))      code = y / (code_step 2^exponent), rounded to a byte, a nibble or a crumb (kernels.hpp)
//   residual^2 = |x - mean|^2 - |y|^2 + what clamping cuts    norm = |code 2^exponent|^2 + (residual / code_step)^2
// where bytes() rounds to 127 steps each way: what that gets wrong is little beside what the projection cuts off and the code
// rounds. Under cosine x is normalised first; under inner product the mean is 0.
//
// Where a record has room for more directions than there are dimensions, P may be a tight frame: each direction is rounded for itself,
// and together they tell a vector more finely than its dimensions would. Then nothing is cut off, and what bytes() rounds counts too:
// it is projected as well.
struct Codec {
    const u8 *matrix = nullptr;         // entries v + 128
    const float *unit = nullptr;        // of each matrix row
    const float *mean = nullptr;
    u32 dim = 0;
    u32 code_dim = 0;
    u32 record_bytes = 0;
    u32 nibbles_at = 0;
    u32 nibble_shift = 0;
    u32 crumbs_at = 0;
    u32 crumb_shift = 0;
    learnann_metric metric = LEARNANN_L2;
    u32 norm_left = 0;
    float code_step = 1;
    float residual_unit = 1;
    float residual_weight = 0;

    static Codec of(const FileView &view);

    CodeZones zones() const { return CodeZones::of(record_bytes, nibbles_at, crumbs_at); }
    // How many dimensions are bytes.
    u32 byte_dims() const { return smaller(code_dim, zones().whole); }
    u32 nibble_dims() const { return smaller(code_dim - byte_dims(), 2 * zones().nibbles); }
    bool is_frame() const { return code_dim > dim && dim < max_record_bytes; }
};

// Records are at most this many code steps long (from the mean): then no estimate between two of them overflows 32 bits.
constexpr float max_steps = 20000.0f;

// Vectors are at most this long: no distance between two of them overflows a float, and no sum of theirs is NaN.
constexpr float longest_vector = 1e18f;

// A vector in the spectral space.
struct Projected {
    float *y = nullptr;         // code_dim
    float kept2 = 0;            // its squared length
    float residual2 = 0;        // squared length of what the projection cuts off
    float norm2 = 0;            // |x - mean|^2; infinity where it overflows
};

// Working memory for one vector at a time.
struct CodecScratch {
    Array<float> x;         // dim
    Array<float> centred;   // dim
    Array<i8> bytes;        // cols
    Array<i32> sums;        // code_dim
    Array<float> y;         // code_dim

    void use(const Allocator &allocator) {
        x.use(allocator);
        centred.use(allocator);
        bytes.use(allocator);
        sums.use(allocator);
        y.use(allocator);
    }
    Status allocate(const Codec &codec, learnann_error *error) {
        LEARNANN_RETURN_IF(x.at_least(codec.dim, error));
        LEARNANN_RETURN_IF(centred.at_least(codec.dim, error));
        LEARNANN_RETURN_IF(bytes.at_least(projection_cols(codec.dim), error));
        LEARNANN_RETURN_IF(sums.at_least(codec.code_dim, error));
        return y.at_least(codec.code_dim, error);
    }
    u64 memory() const { return x.bytes() + centred.bytes() + bytes.bytes() + sums.bytes() + y.bytes(); }
};

// Any element type to floats. False where a value is NaN or infinite.
bool to_floats(const void *vector, learnann_type type, u32 dim, float *out);

// The length of x; where the squares of large floats overflow, or those of small ones vanish, by doubles.
double length_of(const float *x, u32 dim);

// x / |x|; a zero vector stays zero.
void normalise(float *x, u32 dim);

// What a vector of that peak is multiplied with before it is rounded to bytes; 0 where it is as good as zero.
inline float byte_scale(float peak) { return peak > 1e-35f && peak < 3e38f ? 127 / peak : 0; }

// Projects scratch.x; the result lives in scratch.y.
Projected project(const Codec &codec, CodecScratch &scratch);
// The same in two steps, between which the bytes of several vectors may be multiplied with the matrix at once.
struct Centred {
    double whole;       // |x - mean|^2
    float scale;        // of the bytes
};
Centred centre(const Codec &codec, CodecScratch &scratch);      // scratch.x -> scratch.bytes
void multiply(const Codec &codec, CodecScratch *const *scratch, u32 count);     // each one's bytes -> its sums; at most matvec_vectors
Projected finish_projection(const Codec &codec, const Centred &centred, const i32 *sums, CodecScratch &scratch);    // matrix bytes = sums

// Adds to scratch.y what rounding to bytes lost in project(), unless that did. Overwrites scratch.x.
void project_rest(const Codec &codec, CodecScratch &scratch);

// Rounds y * scale to a record's codes, and returns the sum of their squares.
double put_code(const Codec &codec, const float *y, float scale, u8 *record);
// The code_dim codes of a record, in steps of 2^exponent; all fit [-127, 127]. `code` has max_code_dim; behind the dimensions
// there may be anything.
void get_code(const Codec &codec, const u8 *record, i8 *code);
// What a step of the record's code is worth.
inline float code_step_of(const Codec &codec, const u8 *record) {
    const u32 tail = load<u32>(record + code_capacity(codec.record_bytes));
    return codec.code_step * static_cast<float>(1u << tail_exponent(tail));
}

// A row's record, without its adjacency offset.
void encode_record(const Codec &codec, const Projected &p, u8 *record);

// A query: `code` has query_bytes(record_bytes) bytes, 64-byte aligned. distance = base + unit * estimate, as the codes see it.
struct EncodedQuery {
    QueryCode code;
    float base;
    float unit;
    float residual;     // what the code doesn't hold of the query, in its steps
    float origin;       // squared distance from the query, in code steps = origin + up * estimate; both 0 under inner product
    float up;
    float rounding;     // standard deviation of a code's error, twice

    // The error of an estimate, roughly, in its units: from the residuals, and from rounding, which counts the more the farther
    // the row is. A measure only: how many of it are enough is calibrated.
    float spread(i32 estimate) const {
        return residual + 1 + rounding * std::sqrt(larger(origin + up * static_cast<float>(estimate), 0.0f));
    }
};
EncodedQuery encode_query(const Codec &codec, const Projected &p, i8 *code);
// The same with its code as it is, code_dim bytes, not as planes: no kernel scores records by it.
EncodedQuery quantise_query(const Codec &codec, const Projected &p, i8 *code);

// A row as the query of a build: estimates are distances in squared code steps,
// or, where `inner`, -2 inner products.
QueryCode query_of_record(const Codec &codec, const u8 *record, bool inner, i8 *code);
// The same without its code: what its tail tells.
QueryCode terms_of_record(const Codec &codec, const u8 *record, bool inner);

LEARNANN_END
