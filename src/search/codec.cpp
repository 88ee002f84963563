// codec.cpp: see codec.hpp.
#include "search/codec.hpp"

LEARNANN_BEGIN

Codec Codec::of(const FileView &view) {
    const About &a = view.about();
    Codec c;
    c.matrix = view.matrix();
    c.unit = view.unit();
    c.shift = view.shift();
    c.mean = view.mean();
    c.dim = a.dim;
    c.code_dim = a.code_dim;
    c.record_bytes = a.record_bytes;
    c.metric = static_cast<learnann_metric>(a.metric);
    c.norm_left = a.norm_left;
    c.code_step = a.code_step;
    c.residual_unit = a.residual_unit;
    c.residual_weight = a.residual_weight;
    return c;
}

bool to_floats(const void *vector, learnann_type type, u32 dim, float *out) { return kernels().loops.widen(vector, type, dim, out); }

// The length of x; where the squares of large floats overflow, or those of small ones vanish, by doubles.
inline double length_of(const float *x, u32 dim) {
    const float square = kernels().loops.square_sum(x, dim);
    if (square > 1e-30f && square < 1e37f) return std::sqrt(static_cast<double>(square));
    double sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += static_cast<double>(x[i]) * x[i];
    return std::sqrt(sum);
}

void normalise(float *x, u32 dim) {
    const double length = length_of(x, dim);
    const double scale = length > 0 ? 1 / length : 0;
    if (scale < 1e37) {
        const float factor = static_cast<float>(scale);
        for (u32 i = 0; i < dim; ++i) x[i] *= factor;
    } else {
        for (u32 i = 0; i < dim; ++i) x[i] = static_cast<float>(x[i] * scale);
    }
}

Projected project(const Codec &codec, CodecScratch &scratch) {
    const Loops &loops = kernels().loops;
    const float *x = scratch.x.data();
    const u32 cols = projection_cols(codec.dim);
    const double length = length_of(x, codec.dim);
    const double scale = length > 0 ? fixed_point_norm / length : 0;
    const float to_fixed = scale < 3e38 ? static_cast<float>(scale) : 0;
    i16 *fixed = scratch.fixed.data();
    loops.to_fixed(x, codec.dim, to_fixed, fixed);
    for (u32 i = codec.dim; i < cols; ++i) fixed[i] = 0;
    i32 *sums = scratch.sums.data();
    kernels().project(codec.matrix, codec.code_dim, cols, fixed, sums);

    Projected p;
    p.y = scratch.y.data();
    loops.from_fixed(sums, codec.unit, codec.shift, codec.code_dim, to_fixed > 0 ? 1 / to_fixed : 0, p.y);
    const double kept = loops.square_sum(p.y, codec.code_dim), whole = loops.square_distance(x, codec.mean, codec.dim);
    p.residual2 = static_cast<float>(smaller(larger(whole - kept, 0.0), 3e38));
    return p;
}

// The smallest exponent at which a value of `steps` code steps fits 127.
inline u32 exponent_for(double steps, u32 most) {
    u32 exponent = 0;
    while (exponent < most && steps > 127.0 * static_cast<double>(1u << exponent)) ++exponent;
    return exponent;
}

// The squares of what clamping to 127 cuts off.
inline double clamped_off(const float *y, u32 dim, float scale) {
    double lost = 0;
    for (u32 i = 0; i < dim; ++i) {
        const double over = larger(std::fabs(y[i] * scale) - 127.0f, 0.0f);
        lost += over * over;
    }
    return lost;
}

void encode_record(const Codec &codec, const Projected &p, u8 *record) {
    i8 code[max_record_bytes];
    const Loops &loops = kernels().loops;
    const float peak = loops.peak(p.y, codec.code_dim);
    const u32 exponent = exponent_for(0.98 * peak / codec.code_step, max_exponent);
    const double up = static_cast<double>(1u << exponent), step2 = static_cast<double>(codec.code_step) * codec.code_step;
    const float scale = static_cast<float>(1 / (codec.code_step * up));
    const double code2 = loops.quantise(p.y, codec.code_dim, scale, code) * up * up;
    const double lost = peak * scale > 127 ? clamped_off(p.y, codec.code_dim, scale) : 0;
    const u32 capacity = code_capacity(codec.record_bytes);
    for (u32 i = 0; i < capacity; ++i) record[i] = i < codec.code_dim ? static_cast<u8>(code[i] + 128) : 128;

    const double residual2 = p.residual2 / step2 + lost * up * up;
    const double whole = smaller((code2 + residual2) / (1u << codec.norm_left) + 0.5, 16777215.0);
    const double residual = smaller(std::sqrt(residual2) / codec.residual_unit + 0.5, static_cast<double>(max_residual));
    store(record + capacity, tail_of(static_cast<u32>(whole), exponent, static_cast<u32>(residual)));
    store(record + capacity + 4, u32{0});
}

inline i32 sum_of(const i8 *code, u32 count) {
    i32 sum = 0;
    for (u32 i = 0; i < count; ++i) sum += code[i];
    return sum;
}

inline i32 as_weight(double w) { return static_cast<i32>(clamp(w, -8.0e6, 8.0e6)); }

EncodedQuery encode_query(const Codec &codec, const Projected &p, i8 *code) {
    const u32 dim = codec.code_dim;
    std::memset(code, 0, codec.record_bytes);
    const Loops &loops = kernels().loops;
    const double length = p.residual2 + loops.square_sum(p.y, dim), largest = loops.peak(p.y, dim);
    const double s = codec.code_step, residual = std::sqrt(p.residual2);
    EncodedQuery q{};
    q.code.code = code;
    if (codec.metric == LEARNANN_IP) {      // only the direction matters: the query has a step of its own
        const double step = largest > 0 ? largest / 127 : 1;
        loops.quantise(p.y, dim, static_cast<float>(1 / step), code);
        q.code.residual_weight = as_weight(32 * codec.residual_weight * (residual / step) * codec.residual_unit);
        q.unit = static_cast<float>(s * step / 2);
        q.residual = static_cast<float>(residual / step);
    } else {
        // A query far outside of the rows is taken in steps of 2^j, and all distances with it: they are large there.
        const u32 j = exponent_for(0.98 * largest / s, 30);
        const double up = static_cast<double>(1u << j);
        loops.quantise(p.y, dim, static_cast<float>(1 / (s * up)), code);
        q.code.residual_weight = as_weight(32 * codec.residual_weight * (residual / (s * up)) * codec.residual_unit);
        q.code.norm_left = codec.norm_left > j ? codec.norm_left - j : 0;
        q.code.norm_right = j > codec.norm_left ? j - codec.norm_left : 0;
        q.code.norm_mask = ~0u;
        const double scale = codec.metric == LEARNANN_COS ? 0.5 : 1.0;      // |a - b|^2 = 2 (1 - cos) for unit vectors
        q.unit = static_cast<float>(s * s * up * scale);
        // Of far queries nothing is known: they were not calibrated with, and far rows have rounder codes.
        q.residual = j > 0 ? 3e38f : static_cast<float>(residual / s);
        q.origin = static_cast<float>(smaller(length / (s * s), 3e38));
        q.up = static_cast<float>(up);
        q.base = static_cast<float>(smaller(length * scale, 3e38));
    }
    q.code.bias = 128 * sum_of(code, dim);
    return q;
}

QueryCode query_of_record(const Codec &codec, const u8 *record, bool inner, i8 *code) {
    const u32 capacity = code_capacity(codec.record_bytes);
    for (u32 i = 0; i < capacity; ++i) code[i] = static_cast<i8>(record[i] ^ 128);
    std::memset(code + capacity, 0, record_tail);
    const u32 tail = load<u32>(record + capacity);
    const double residual = tail_residual(tail) * static_cast<double>(codec.residual_unit);
    QueryCode q{};
    q.code = code;
    q.bias = 128 * sum_of(code, capacity);
    q.residual_weight = as_weight(32 * codec.residual_weight * residual * codec.residual_unit);
    q.exponent = tail_exponent(tail);
    if (!inner) {
        q.norm_left = codec.norm_left;
        q.norm_mask = ~0u;
        q.offset = static_cast<i32>(tail_norm(tail) << codec.norm_left);
    }
    return q;
}

LEARNANN_END
