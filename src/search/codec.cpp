// codec.cpp: see codec.hpp.
#include "search/codec.hpp"

#include "simd/lanes.hpp"

LEARNANN_BEGIN

Codec Codec::of(const FileView &view) {
    const About &a = view.about();
    Codec c;
    c.matrix = view.matrix();
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
    c.matrix_scale = a.matrix_scale;
    return c;
}

// A finite half float as bits, moved to where a float keeps them, is the value times 2^-112.
inline float finite_half(u16 h) {
    const u32 bits = static_cast<u32>(h & 0x8000u) << 16 | static_cast<u32>(h & 0x7fffu) << 13;
    return load<float>(&bits) * 5.192296858534828e33f;
}

template <class T> void widen(const T *LEARNANN_RESTRICT from, float *LEARNANN_RESTRICT to, u32 count) {
    for (u32 i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

inline bool widen_halves(const u8 *LEARNANN_RESTRICT from, float *LEARNANN_RESTRICT to, u32 count) {
    u32 bad = 0;
    for (u32 i = 0; i < count; ++i) {
        const u16 h = load<u16>(from + 2ull * i);
        bad |= (h & 0x7c00u) == 0x7c00u;
        to[i] = finite_half(h);
    }
    return bad == 0;
}

bool to_floats(const void *vector, learnann_type type, u32 dim, float *out) {
    if (type == LEARNANN_F16) return widen_halves(static_cast<const u8 *>(vector), out, dim);
    if (type == LEARNANN_I8) widen(static_cast<const i8 *>(vector), out, dim);
    if (type == LEARNANN_U8) widen(static_cast<const u8 *>(vector), out, dim);
    if (type != LEARNANN_F32) return true;
    std::memcpy(out, vector, dim * sizeof(float));
    u32 bad = 0;
    for (u32 i = 0; i < dim; ++i) bad |= (load<u32>(out + i) & 0x7f800000u) == 0x7f800000u;
    return bad == 0;
}

// The length of x; where the squares of large floats overflow, or those of small ones vanish, by doubles.
inline double length_of(const float *x, u32 dim) {
    const float square = lane_sum(dim, [=](u32 i) { return x[i] * x[i]; });
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

// Nearest integer, halves away from zero.
inline i32 rounded(float v) { return static_cast<i32>(v + (v < 0 ? -0.5f : 0.5f)); }

// |x| scale <= fixed_point_norm.
inline void to_fixed_point(const float *LEARNANN_RESTRICT x, u32 count, float scale, i16 *LEARNANN_RESTRICT fixed) {
    for (u32 i = 0; i < count; ++i) fixed[i] = static_cast<i16>(rounded(x[i] * scale));
}

Projected project(const Codec &codec, CodecScratch &scratch) {
    const float *x = scratch.x.data();
    const u32 cols = projection_cols(codec.dim);
    const double length = length_of(x, codec.dim);
    const double scale = length > 0 ? fixed_point_norm / length : 0;
    const float to_fixed = scale < 3e38 ? static_cast<float>(scale) : 0;
    i16 *fixed = scratch.fixed.data();
    to_fixed_point(x, codec.dim, to_fixed, fixed);
    for (u32 i = codec.dim; i < cols; ++i) fixed[i] = 0;
    i32 *sums = scratch.sums.data();
    kernels().project(codec.matrix, codec.code_dim, cols, fixed, sums);

    Projected p;
    p.y = scratch.y.data();
    const double unit = to_fixed > 0 ? 1.0 / (static_cast<double>(to_fixed) * codec.matrix_scale) : 0;
    const float unit_float = static_cast<float>(unit), *shift = codec.shift, *mean = codec.mean;
    float *y = p.y;
    for (u32 i = 0; i < codec.code_dim; ++i) y[i] = static_cast<float>(sums[i]) * unit_float - shift[i];
    const double kept = lane_sum(codec.code_dim, [=](u32 i) { return y[i] * y[i]; });
    const double whole = lane_sum(codec.dim, [=](u32 i) { return (x[i] - mean[i]) * (x[i] - mean[i]); });
    p.residual2 = static_cast<float>(smaller(larger(whole - kept, 0.0), 3e38));
    return p;
}

// Rounds y * scale into codes and returns |code|^2; what clamping cuts off is added to `lost`, in squared steps.
inline i32 quantise(const float *LEARNANN_RESTRICT y, u32 dim, float scale, i8 *LEARNANN_RESTRICT code, double &lost) {
    float cut[max_record_bytes];
    i32 norm = 0;
    for (u32 i = 0; i < dim; ++i) {
        const float v = y[i] * scale, kept = clamp(v, -127.0f, 127.0f);
        const i32 c = rounded(kept);
        cut[i] = v - kept;
        code[i] = static_cast<i8>(c);
        norm += c * c;
    }
    lost += lane_sum(dim, [&](u32 i) { return cut[i] * cut[i]; });
    return norm;
}

inline float peak_of(const float *y, u32 dim) {
    float peak = 0;
    for (u32 i = 0; i < dim; ++i) peak = larger(peak, std::fabs(y[i]));
    return peak;
}

// The smallest exponent at which a value of `steps` code steps fits 127.
inline u32 exponent_for(double steps, u32 most) {
    u32 exponent = 0;
    while (exponent < most && steps > 127.0 * static_cast<double>(1u << exponent)) ++exponent;
    return exponent;
}

void encode_record(const Codec &codec, const Projected &p, u8 *record) {
    i8 code[max_record_bytes];
    double lost = 0;
    const u32 exponent = exponent_for(0.98 * peak_of(p.y, codec.code_dim) / codec.code_step, max_exponent);
    const double up = static_cast<double>(1u << exponent), step2 = static_cast<double>(codec.code_step) * codec.code_step;
    const double code2 = quantise(p.y, codec.code_dim, static_cast<float>(1 / (codec.code_step * up)), code, lost) * up * up;
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
    const float *y = p.y;
    const double length = p.residual2 + lane_sum(dim, [=](u32 i) { return y[i] * y[i]; });
    const double largest = peak_of(y, dim);
    double lost = 0;
    const double s = codec.code_step, residual = std::sqrt(p.residual2);
    EncodedQuery q{};
    q.code.code = code;
    if (codec.metric == LEARNANN_IP) {      // only the direction matters: the query has a step of its own
        const double step = largest > 0 ? largest / 127 : 1;
        quantise(p.y, dim, static_cast<float>(1 / step), code, lost);
        q.code.residual_weight = as_weight(32 * codec.residual_weight * (residual / step) * codec.residual_unit);
        q.unit = static_cast<float>(s * step / 2);
    } else {
        // A query far outside of the rows is taken in steps of 2^j, and all distances with it: they are large there.
        const u32 j = exponent_for(0.98 * largest / s, 30);
        const double up = static_cast<double>(1u << j);
        quantise(p.y, dim, static_cast<float>(1 / (s * up)), code, lost);
        q.code.residual_weight = as_weight(32 * codec.residual_weight * (residual / (s * up)) * codec.residual_unit);
        q.code.norm_left = codec.norm_left > j ? codec.norm_left - j : 0;
        q.code.norm_right = j > codec.norm_left ? j - codec.norm_left : 0;
        q.code.norm_mask = ~0u;
        const double scale = codec.metric == LEARNANN_COS ? 0.5 : 1.0;      // |a - b|^2 = 2 (1 - cos) for unit vectors
        q.unit = static_cast<float>(s * s * up * scale);
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
