// wasm.cpp: the kernels for WebAssembly with vectors of 128 bits. A module that has them doesn't load where they are missing, so
// that the compiler's flag (-msimd128) decides, and nothing at run time.
#include "simd/dispatch.hpp"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

LEARNANN_BEGIN

#if defined(__wasm_simd128__)

namespace wasm {

// ---- float against anything ----

struct EightOf {
    v128_t low, high;
};
LEARNANN_INLINE EightOf widen(const float *p) { return {wasm_v128_load(p), wasm_v128_load(p + 4)}; }
LEARNANN_INLINE EightOf widen(const i8 *p) {
    const v128_t x = wasm_i16x8_load8x8(p);
    return {wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(x)), wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(x))};
}
LEARNANN_INLINE EightOf widen(const u8 *p) {
    const v128_t x = wasm_u16x8_load8x8(p);
    return {wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(x)), wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(x))};
}
// A finite half in the lower 16 bits, its sign in all of the upper ones: moved to where a float's exponent and mantissa are it is
// too small by the difference of the biases, 2^112.
LEARNANN_INLINE v128_t halves(v128_t h) {
    const v128_t magnitude = wasm_i32x4_shl(wasm_v128_and(h, wasm_i32x4_splat(0x7fff)), 13);
    const v128_t sign = wasm_v128_and(h, wasm_i32x4_splat(INT32_MIN));
    return wasm_v128_or(wasm_f32x4_mul(magnitude, wasm_f32x4_splat(0x1p112f)), sign);
}
LEARNANN_INLINE EightOf widen(const u16 *p) { return {halves(wasm_i32x4_load16x4(p)), halves(wasm_i32x4_load16x4(p + 4))}; }

template <bool Squared> LEARNANN_INLINE v128_t step(v128_t sum, v128_t q, v128_t x) {
    if (!Squared) return wasm_f32x4_add(sum, wasm_f32x4_mul(q, x));
    const v128_t d = wasm_f32x4_sub(q, x);
    return wasm_f32x4_add(sum, wasm_f32x4_mul(d, d));
}

template <class T, bool Squared> float float_kernel(const float *query, const void *bytes, u32 dim) {
    const T *row = static_cast<const T *>(bytes);
    v128_t low = wasm_f32x4_splat(0), high = low;
    const auto add = [&](const float *q, const T *x) {
        const EightOf values = widen(x);
        low = step<Squared>(low, wasm_v128_load(q), values.low);
        high = step<Squared>(high, wasm_v128_load(q + 4), values.high);
    };
    u32 i = 0;
    for (; i + 8 <= dim; i += 8) add(query + i, row + i);
    if (i < dim) {
        T last[8] = {};
        float q[8] = {};
        std::memcpy(last, row + i, (dim - i) * sizeof(T));
        std::memcpy(q, query + i, (dim - i) * sizeof(float));
        add(q, last);
    }
    const v128_t sum = wasm_f32x4_add(low, high), half = wasm_f32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(half, 0) + wasm_f32x4_extract_lane(half, 1);
}

// ---- bytes ----

LEARNANN_INLINE v128_t low_words(v128_t x, i8) { return wasm_i16x8_extend_low_i8x16(x); }
LEARNANN_INLINE v128_t low_words(v128_t x, u8) { return wasm_u16x8_extend_low_u8x16(x); }
LEARNANN_INLINE v128_t high_words(v128_t x, i8) { return wasm_i16x8_extend_high_i8x16(x); }
LEARNANN_INLINE v128_t high_words(v128_t x, u8) { return wasm_u16x8_extend_high_u8x16(x); }

// The products of eight words, added in pairs to sums of 32 bits.
LEARNANN_INLINE v128_t multiply_add(v128_t sum, v128_t a, v128_t b) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(a, b)); }

// Four vectors' sums.
LEARNANN_INLINE v128_t sum4(const v128_t sums[4]) {
    const v128_t a = wasm_i32x4_add(wasm_i32x4_shuffle(sums[0], sums[1], 0, 4, 1, 5), wasm_i32x4_shuffle(sums[0], sums[1], 2, 6, 3, 7));
    const v128_t b = wasm_i32x4_add(wasm_i32x4_shuffle(sums[2], sums[3], 0, 4, 1, 5), wasm_i32x4_shuffle(sums[2], sums[3], 2, 6, 3, 7));
    return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 1, 4, 5), wasm_i32x4_shuffle(a, b, 2, 3, 6, 7));
}

template <class T, bool Squared> LEARNANN_INLINE v128_t byte_step(v128_t sum, const u8 *a, const u8 *b) {
    const v128_t x = wasm_v128_load(a), y = wasm_v128_load(b);
    const v128_t low = low_words(x, T()), high = high_words(x, T()), other_low = low_words(y, T()), other_high = high_words(y, T());
    if (!Squared) return multiply_add(multiply_add(sum, low, other_low), high, other_high);
    const v128_t d = wasm_i16x8_sub(low, other_low), e = wasm_i16x8_sub(high, other_high);
    return multiply_add(multiply_add(sum, d, d), e, e);
}

template <class T, bool Squared> u32 byte_kernel(const u8 *a, const u8 *b, u32 dim) {
    v128_t sums[4] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
    u32 i = 0;
    for (; i + 32 <= dim; i += 32)
        for (u32 s = 0; s < 2; ++s) sums[s] = byte_step<T, Squared>(sums[s], a + i + 16 * s, b + i + 16 * s);
    for (; i < dim; i += 16) {
        if (i + 16 <= dim) {
            sums[2] = byte_step<T, Squared>(sums[2], a + i, b + i);
            continue;
        }
        u8 last_a[16] = {}, last_b[16] = {};
        std::memcpy(last_a, a + i, dim - i);
        std::memcpy(last_b, b + i, dim - i);
        sums[3] = byte_step<T, Squared>(sums[3], last_a, last_b);
    }
    const v128_t sum = sum4(sums), half = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
    return static_cast<u32>(wasm_i32x4_extract_lane(half, 0)) + static_cast<u32>(wasm_i32x4_extract_lane(half, 1));
}

// ---- records, matrices ----

// The products of sixteen bytes of four rows, v + 128, and a code: 128 times the code's sum too much.
LEARNANN_INLINE void bytes_step(v128_t sums[4], const u8 *const r[4], u32 j, v128_t q) {
    const v128_t q_low = low_words(q, i8()), q_high = high_words(q, i8());
    for (int k = 0; k < 4; ++k) {
        const v128_t x = wasm_v128_load(r[k] + j);
        sums[k] = multiply_add(multiply_add(sums[k], low_words(x, u8()), q_low), high_words(x, u8()), q_high);
    }
}

// As bytes_step, where some or all of the bytes hold levels, in so many planes: told at compile time, for shifts by what isn't
// constant are slow. Four products of 15 * 127 fit 16 bits.
template <u32 Planes> LEARNANN_INLINE void packed_step(v128_t sums[4], const u8 *const r[4], u32 j, const QueryCode &query, u32 stride) {
    const v128_t mask = wasm_v128_load(query.masks(stride) + j), power = wasm_v128_load(query.powers(stride) + j);
    const v128_t power_low = wasm_i16x8_shuffle(power, power, 0, 0, 1, 1, 2, 2, 3, 3);
    const v128_t power_high = wasm_i16x8_shuffle(power, power, 4, 4, 5, 5, 6, 6, 7, 7);
    const v128_t bytes = wasm_i8x16_eq(mask, wasm_u8x16_splat(255));
    v128_t planes[Planes];
    for (u32 p = 0; p < Planes; ++p) planes[p] = wasm_v128_load(query.plane(p, stride) + j);
    if (j < query.nibbles_at) bytes_step(sums, r, j, wasm_v128_and(planes[0], bytes));
    planes[0] = wasm_v128_andnot(planes[0], bytes);
    for (int k = 0; k < 4; ++k) {
        const v128_t x = wasm_v128_load(r[k] + j);
        v128_t low = wasm_i16x8_splat(0), high = low;
        for (u32 p = 0; p < Planes; ++p) {
            const v128_t levels = wasm_v128_and(wasm_u8x16_shr(x, plane_bit[p]), mask);
            low = wasm_i16x8_add(low, wasm_i16x8_extmul_low_i8x16(levels, planes[p]));
            high = wasm_i16x8_add(high, wasm_i16x8_extmul_high_i8x16(levels, planes[p]));
        }
        sums[k] = multiply_add(multiply_add(sums[k], low, power_low), high, power_high);
    }
}

// Four rows of bytes v + 128 times a code, less its bias; `count` is a multiple of 16.
LEARNANN_INLINE v128_t dots4(const u8 *const r[4], const i8 *code, u32 count, i32 bias) {
    v128_t sums[4] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
    for (u32 j = 0; j < count; j += 16) bytes_step(sums, r, j, wasm_v128_load(code + j));
    return wasm_i32x4_sub(sum4(sums), wasm_i32x4_splat(bias));
}

// As dots4, of records with nibbles or crumbs.
LEARNANN_INLINE v128_t packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    v128_t sums[4] = {wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0), wasm_i32x4_splat(0)};
    u32 j = 0;
    for (; j + 16 <= query.nibbles_at; j += 16) bytes_step(sums, r, j, wasm_v128_load(query.code + j));
    for (; j < stride; j += 16) {
        if (query.planes_before(j + 16) == 2) packed_step<2>(sums, r, j, query, stride);
        else packed_step<4>(sums, r, j, query, stride);
    }
    return wasm_i32x4_sub(sum4(sums), wasm_i32x4_splat(query.bias + query.packed_bias));
}

inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates) {
    for (u32 i = 0; i < count; i += 4) {
        const FourRows four(records, stride, ids, i, count);
        i32 dots[4];
        wasm_v128_store(dots, query.nibbles_at < stride ? packed_dots4(query, four.at, stride)
                                                         : dots4(four.at, query.code, stride, query.bias));
        for (u32 k = 0; k < smaller(4u, count - i); ++k)
            estimates[i + k] = finish_estimate(query, dots[k], load<u32>(four.at[k] + stride - record_tail));
    }
}

inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    i32 bias[matvec_vectors];
    for (u32 q = 0; q < count; ++q) bias[q] = 128 * scalar_kernels().loops.sum_codes(x[q], cols);
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        for (u32 q = 0; q < count; ++q) {
            i32 dots[4];
            wasm_v128_store(dots, dots4(four.at, x[q], cols, bias[q]));
            std::memcpy(out[q] + r, dots, smaller(4u, rows - r) * sizeof(i32));
        }
    }
}

// ---- linear algebra ----

inline void axpy4(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n) {
    for (u32 row = 0; row < rows; ++row, y += stride, a += 4) {
        u32 i = 0;
        for (; i + 4 <= n; i += 4) {
            v128_t sum = wasm_v128_load(y + i);
            for (u32 j = 0; j < 4; ++j) sum = wasm_f32x4_add(sum, wasm_f32x4_mul(wasm_f32x4_splat(a[j]), wasm_v128_load(x[j] + i)));
            wasm_v128_store(y + i, sum);
        }
        for (; i < n; ++i) y[i] += a[0] * x[0][i] + a[1] * x[1][i] + a[2] * x[2][i] + a[3] * x[3][i];
    }
}

}  // namespace wasm

const Kernels *wasm_kernels() {
    using namespace wasm;
    static const Kernels table = [] {
        Kernels k = scalar_kernels();
        k.name = "simd128";
        k.score = score;
        LEARNANN_TAKE_FLOAT_KERNELS(k);
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        k.axpy4 = axpy4;
        return k;
    }();
    return &table;
}

#else

const Kernels *wasm_kernels() { return nullptr; }

#endif

LEARNANN_END
