// loops.hpp: plain loops over vectors, which compilers turn into whatever vectors their target has: written once, compiled
// once for each table (LEARNANN_LOOPS). Sums run in sixteen fixed lanes, so that the same additions happen in the same order on
// every machine: what decides how a search walks must not depend on the instruction set. A product fused with the sum that it
// goes into rounds once instead of twice: no target here has fused multiply-add, and no statement has both a product and its
// sum, as compilers that keep to the standard fuse within a statement only.
#pragma once

#include "base/base.hpp"

#if defined(__GNUC__)
#define LEARNANN_INLINE inline __attribute__((always_inline))
#define LEARNANN_LAMBDA __attribute__((always_inline))
#define LEARNANN_RESTRICT __restrict__
#else
#define LEARNANN_INLINE inline
#define LEARNANN_LAMBDA
#define LEARNANN_RESTRICT
#endif

LEARNANN_BEGIN

namespace loops {

constexpr u32 lanes = 16;

#if defined(__GNUC__)
typedef float EightFloats __attribute__((vector_size(32)));
typedef i32 EightInts __attribute__((vector_size(32)));
#else
struct EightFloats {
    float v[8];
    friend EightFloats operator+(const EightFloats &a, const EightFloats &b) { return each(a, b, [](float x, float y) { return x + y; }); }
    friend EightFloats operator-(const EightFloats &a, const EightFloats &b) { return each(a, b, [](float x, float y) { return x - y; }); }
    friend EightFloats operator*(const EightFloats &a, const EightFloats &b) { return each(a, b, [](float x, float y) { return x * y; }); }
    EightFloats &operator+=(const EightFloats &b) { return *this = *this + b; }
    template <class F> static EightFloats each(const EightFloats &a, const EightFloats &b, F f) {
        EightFloats r;
        for (u32 i = 0; i < 8; ++i) r.v[i] = f(a.v[i], b.v[i]);
        return r;
    }
};
#endif

// Adds term(i) for all i < count, where term(i) is of one float, and terms(i) of eight from i on.
template <class Terms, class Term> LEARNANN_INLINE float lane_sum(u32 count, Terms terms, Term term) {
    EightFloats low{}, high{};
    float sums[lanes];
    u32 i = 0;
    for (; i + lanes <= count; i += lanes) {
        EightFloats x;
        terms(i, x);
        low += x;
        terms(i + 8, x);
        high += x;
    }
    std::memcpy(sums, &low, 32);
    std::memcpy(sums + 8, &high, 32);
    for (; i < count; ++i) sums[i % lanes] += term(i);
    for (u32 half = lanes / 2; half > 0; half /= 2)
        for (u32 l = 0; l < half; ++l) sums[l] += sums[l + half];
    return sums[0];
}

LEARNANN_INLINE void read(const float *x, EightFloats &out) { std::memcpy(&out, x, 32); }

LEARNANN_INLINE void read_ints(const i32 *x, EightFloats &out) {
#if defined(__GNUC__)
    EightInts ints;
    std::memcpy(&ints, x, 32);
    out = __builtin_convertvector(ints, EightFloats);
#else
    for (u32 i = 0; i < 8; ++i) out.v[i] = static_cast<float>(x[i]);
#endif
}

LEARNANN_INLINE bool any_below(const EightFloats &a, const EightFloats &b, const EightFloats &bound) {
#if defined(__GNUC__)
    const EightInts below = (a < bound) | (b < bound);
    u64 words[4];
    std::memcpy(words, &below, 32);
    return (words[0] | words[1] | words[2] | words[3]) != 0;
#else
    bool below = false;
    for (u32 i = 0; i < 8; ++i) below |= a.v[i] < bound.v[i] || b.v[i] < bound.v[i];
    return below;
#endif
}

LEARNANN_INLINE float sum(const float *x, u32 count) {
    return lane_sum(count, [=](u32 i, EightFloats &out) LEARNANN_LAMBDA { read(x + i, out); },
                    [=](u32 i) LEARNANN_LAMBDA { return x[i]; });
}

LEARNANN_INLINE float square_sum(const float *x, u32 count) {
    return lane_sum(count,
                    [=](u32 i, EightFloats &out) LEARNANN_LAMBDA {
                        read(x + i, out);
                        out = out * out;
                    },
                    [=](u32 i) LEARNANN_LAMBDA { return x[i] * x[i]; });
}

// out = x - mean; returns its squared length.
LEARNANN_INLINE float centre(const float *LEARNANN_RESTRICT x, const float *LEARNANN_RESTRICT mean, u32 count,
                             float *LEARNANN_RESTRICT out) {
    return lane_sum(count,
                    [=](u32 i, EightFloats &squares) LEARNANN_LAMBDA {
                        EightFloats a, b;
                        read(x + i, a);
                        read(mean + i, b);
                        a = a - b;
                        std::memcpy(out + i, &a, 32);
                        squares = a * a;
                    },
                    [=](u32 i) LEARNANN_LAMBDA {
                        out[i] = x[i] - mean[i];
                        return out[i] * out[i];
                    });
}

template <class T> LEARNANN_INLINE void widen_all(const T *LEARNANN_RESTRICT from, u32 count, float *LEARNANN_RESTRICT to) {
    for (u32 i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

// Any element type to floats, from any alignment. False where a value is NaN or infinite.
LEARNANN_INLINE bool widen(const void *LEARNANN_RESTRICT from, u32 type, u32 count, float *LEARNANN_RESTRICT to) {
    const u8 *bytes = static_cast<const u8 *>(from);
    u32 bad = 0;
    if (type == LEARNANN_I8) widen_all(static_cast<const i8 *>(from), count, to);
    if (type == LEARNANN_U8) widen_all(bytes, count, to);
    if (type == LEARNANN_F32)
        for (u32 i = 0; i < count; ++i) {
            const u32 bits = load<u32>(bytes + 4ull * i);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
            store(to + i, bits);
        }
    if (type == LEARNANN_F16)
        for (u32 i = 0; i < count; ++i) {
            const u32 half = load<u16>(bytes + 2ull * i);
            bad |= (half & 0x7c00u) == 0x7c00u;
            to[i] = finite_half_to_float(half);
        }
    return bad == 0;
}

// To bytes of the range [low, high]. False where a value is no whole number in it.
LEARNANN_INLINE bool narrow(const float *LEARNANN_RESTRICT x, u32 count, float low, float high, u8 *LEARNANN_RESTRICT bytes) {
    u32 other = 0;
    for (u32 i = 0; i < count; ++i) {
        const i32 whole = static_cast<i32>(clamp(x[i], low, high));
        bytes[i] = static_cast<u8>(whole);
        other |= static_cast<float>(whole) != x[i];
    }
    return other == 0;
}

// Nearest integer, halves away from zero.
LEARNANN_INLINE i32 rounded(float v) { return static_cast<i32>(v + std::copysign(0.5f, v)); }

// y = sums * units * scale.
LEARNANN_INLINE void from_fixed(const i32 *LEARNANN_RESTRICT sums, const float *LEARNANN_RESTRICT units, u32 count, float scale,
                                float *LEARNANN_RESTRICT y) {
    for (u32 i = 0; i < count; ++i) y[i] = static_cast<float>(sums[i]) * units[i] * scale;
}

// To [-127, 127], by the bits of the magnitude: compilers make vectors of integer minima, and of comparing floats they don't.
LEARNANN_INLINE float clamped(float v) {
    const i32 bits = load<i32>(&v), most = 0x42fe0000;      // 127.0f
    const i32 magnitude = bits & 0x7fffffff, kept = (magnitude < most ? magnitude : most) | (bits & ~0x7fffffff);
    return load<float>(&kept);
}

// Rounds y * scale to codes in [-127, 127].
LEARNANN_INLINE void quantise(const float *LEARNANN_RESTRICT y, u32 count, float scale, i8 *LEARNANN_RESTRICT code) {
    for (u32 i = 0; i < count; ++i) code[i] = static_cast<i8>(rounded(clamped(y[i] * scale)));
}

// Rounds y * scale to the middles of top + 1 levels around 0, 2^bits of them: u in [0, top] for u - top / 2. Returns the sum of
// (2u - top)^2. The caller sees to it that |y| scale < 2^24.
LEARNANN_INLINE i32 levels(const float *LEARNANN_RESTRICT y, u32 count, float scale, i32 top, u8 *LEARNANN_RESTRICT level) {
    i32 squares = 0;
    for (u32 i = 0; i < count; ++i) {
        const float v = y[i] * scale;
        const i32 whole = static_cast<i32>(v), floor = whole - (static_cast<float>(whole) > v);
        const i32 u = clamp(floor + (top + 1) / 2, 0, top), c = 2 * u - top;
        level[i] = static_cast<u8>(u);
        squares += c * c;
    }
    return squares;
}

// Adds to each dimension's error the square of what y * scale is off the middle of its level, of top + 1 around 0.
LEARNANN_INLINE void add_level_errors(const float *LEARNANN_RESTRICT y, u32 count, float scale, i32 top, double *LEARNANN_RESTRICT error) {
    const float half = 0.5f * static_cast<float>(top + 1);
    for (u32 i = 0; i < count; ++i) {
        const float v = y[i] * scale, within = clamp(v, -half, half - 1);       // of 2 half levels the last begins at half - 1
        const float middle = static_cast<float>(static_cast<i32>(within + half)) - half + 0.5f;
        const double square = static_cast<double>((v - middle) * (v - middle));
        error[i] += square;
    }
}

// The codes (2u - top) 2^(shift - 1) of the levels at a bit of each byte.
LEARNANN_INLINE void level_codes(const u8 *LEARNANN_RESTRICT bytes, u32 count, u32 bit, i32 top, u32 shift, i8 *LEARNANN_RESTRICT code) {
    const i32 half = 1 << (shift - 1);
    for (u32 i = 0; i < count; ++i) code[i] = static_cast<i8>((2 * (bytes[i] >> bit & top) - top) * half);
}

LEARNANN_INLINE i32 sum_codes(const i8 *code, u32 count) {
    i32 sum = 0;
    for (u32 i = 0; i < count; ++i) sum += code[i];
    return sum;
}

// Rows compared with a query by the products of their codes: whole blocks of `lanes`.
struct Compared {
    const i32 *dots;
    const float *norms;
    const float *scales;
    const float *residuals;
    u32 count;
};

// The places of those nearer than `bound`, and how far away they are: norm - weight residual - scale scales dot. Returns how many.
LEARNANN_INLINE u32 nearer(const Compared &rows, float scale, float weight, float bound, float *LEARNANN_RESTRICT distances,
                           u32 *LEARNANN_RESTRICT places) {
    const EightFloats bounds = EightFloats{} + bound, scale8 = EightFloats{} + scale, weight8 = EightFloats{} + weight;
    u32 found = 0;
    for (u64 i = 0; i < rows.count; i += lanes) {
        EightFloats low, high;
        const auto distance = [&](u64 at, EightFloats &out) LEARNANN_LAMBDA {
            EightFloats product, scales, residual;
            read_ints(rows.dots + at, product);
            read(rows.scales + at, scales);
            read(rows.residuals + at, residual);
            read(rows.norms + at, out);
            product = product * scale8;
            product = product * scales;
            residual = residual * weight8;
            out = out - product;
            out = out - residual;
        };
        distance(i, low);
        distance(i + 8, high);
        if (!any_below(low, high, bounds)) continue;
        float at[lanes];
        std::memcpy(at, &low, 32);
        std::memcpy(at + 8, &high, 32);
        for (u32 l = 0; l < lanes; ++l) {
            distances[found] = at[l];
            places[found] = static_cast<u32>(i) + l;
            found += at[l] < bound;
        }
    }
    return found;
}

// The largest magnitude. Magnitudes as bits sort like integers, of which compilers make vectors more readily.
LEARNANN_INLINE float peak(const float *x, u32 count) {
    i32 peak = 0;
    for (u32 i = 0; i < count; ++i) peak = larger(peak, load<i32>(x + i) & 0x7fffffff);
    return load<float>(&peak);
}

}  // namespace loops

// The same as a table.
struct Loops {
    float (*sum)(const float *x, u32 count);
    float (*square_sum)(const float *x, u32 count);
    float (*centre)(const float *x, const float *mean, u32 count, float *out);
    float (*peak)(const float *x, u32 count);
    bool (*widen)(const void *from, u32 type, u32 count, float *to);
    bool (*narrow)(const float *x, u32 count, float low, float high, u8 *bytes);
    void (*from_fixed)(const i32 *sums, const float *units, u32 count, float scale, float *y);
    void (*quantise)(const float *y, u32 count, float scale, i8 *code);
    i32 (*levels)(const float *y, u32 count, float scale, i32 top, u8 *level);
    void (*add_level_errors)(const float *y, u32 count, float scale, i32 top, double *error);
    void (*level_codes)(const u8 *bytes, u32 count, u32 bit, i32 top, u32 shift, i8 *code);
    i32 (*sum_codes)(const i8 *code, u32 count);
    u32 (*nearer)(const loops::Compared &rows, float scale, float weight, float bound, float *distances, u32 *places);
};

// Compiles them for a target, in the namespace where it stands, and names the table `compiled_loops`.
#define LEARNANN_LOOPS(TARGET)                                                                                              \
    struct LoopsHere {                                                                                                      \
        TARGET static float sum(const float *x, u32 n) { return loops::sum(x, n); }                                         \
        TARGET static float square_sum(const float *x, u32 n) { return loops::square_sum(x, n); }                           \
        TARGET static float centre(const float *x, const float *mean, u32 n, float *out) { return loops::centre(x, mean, n, out); } \
        TARGET static float peak(const float *x, u32 n) { return loops::peak(x, n); }                                       \
        TARGET static bool widen(const void *from, u32 type, u32 n, float *to) { return loops::widen(from, type, n, to); }  \
        TARGET static bool narrow(const float *x, u32 n, float low, float high, u8 *bytes) {                                \
            return loops::narrow(x, n, low, high, bytes);                                                                   \
        }                                                                                                                   \
        TARGET static void from_fixed(const i32 *sums, const float *units, u32 n, float scale, float *y) {                  \
            loops::from_fixed(sums, units, n, scale, y);                                                                    \
        }                                                                                                                   \
        TARGET static void quantise(const float *y, u32 n, float scale, i8 *code) { loops::quantise(y, n, scale, code); }   \
        TARGET static i32 levels(const float *y, u32 n, float scale, i32 top, u8 *to) { return loops::levels(y, n, scale, top, to); } \
        TARGET static void add_level_errors(const float *y, u32 n, float scale, i32 top, double *error) {                   \
            loops::add_level_errors(y, n, scale, top, error);                                                               \
        }                                                                                                                   \
        TARGET static void level_codes(const u8 *bytes, u32 n, u32 bit, i32 top, u32 shift, i8 *code) {                     \
            loops::level_codes(bytes, n, bit, top, shift, code);                                                            \
        }                                                                                                                   \
        TARGET static i32 sum_codes(const i8 *code, u32 n) { return loops::sum_codes(code, n); }                            \
        TARGET static u32 nearer(const loops::Compared &rows, float scale, float weight, float bound, float *distances, u32 *places) { \
            return loops::nearer(rows, scale, weight, bound, distances, places);                                            \
        }                                                                                                                   \
    };                                                                                                                      \
    constexpr Loops compiled_loops = {LoopsHere::sum,   LoopsHere::square_sum, LoopsHere::centre,   LoopsHere::peak,        \
                                      LoopsHere::widen, LoopsHere::narrow,     LoopsHere::from_fixed,                       \
                                      LoopsHere::quantise, LoopsHere::levels,  LoopsHere::add_level_errors,                 \
                                      LoopsHere::level_codes, LoopsHere::sum_codes, LoopsHere::nearer}

LEARNANN_END
