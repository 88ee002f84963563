// neon.cpp: the kernels for aarch64 with plain NEON: what xsimd lacks, widening multiplies and half floats. 32-bit ARM keeps
// the portable table.
#include "simd/neon.hpp"

LEARNANN_BEGIN

#if LEARNANN_NEON

namespace neon {

// ---- float against anything ----

struct EightOf {
    float32x4_t low, high;
};
LEARNANN_INLINE EightOf widen(const float *p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
LEARNANN_INLINE EightOf widen(const u16 *p) {
    const float16x8_t x = vreinterpretq_f16_u16(vld1q_u16(p));
    return {vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x)};
}
LEARNANN_INLINE EightOf widen(const i8 *p) {
    const int16x8_t x = vmovl_s8(vld1_s8(p));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), vcvtq_f32_s32(vmovl_high_s16(x))};
}
LEARNANN_INLINE EightOf widen(const u8 *p) {
    const uint16x8_t x = vmovl_u8(vld1_u8(p));
    return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(x))), vcvtq_f32_u32(vmovl_high_u16(x))};
}

template <bool Squared> LEARNANN_INLINE float32x4_t step(float32x4_t sum, float32x4_t q, float32x4_t x) {
    if (!Squared) return vfmaq_f32(sum, q, x);
    const float32x4_t d = vsubq_f32(q, x);
    return vfmaq_f32(sum, d, d);
}

template <class T, bool Squared> float float_kernel(const float *query, const void *bytes, u32 dim) {
    const T *row = static_cast<const T *>(bytes);
    float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    const auto add = [&](u32 pair, const float *q, const T *x) {
        const EightOf values = widen(x);
        sums[pair] = step<Squared>(sums[pair], vld1q_f32(q), values.low);
        sums[pair + 1] = step<Squared>(sums[pair + 1], vld1q_f32(q + 4), values.high);
    };
    u32 i = 0;
    for (; i + 16 <= dim; i += 16) {
        add(0, query + i, row + i);
        add(2, query + i + 8, row + i + 8);
    }
    for (; i < dim; i += 8) {
        if (i + 8 <= dim) {
            add(0, query + i, row + i);
            continue;
        }
        T last[8] = {};
        float q[8] = {};
        std::memcpy(last, row + i, (dim - i) * sizeof(T));
        std::memcpy(q, query + i, (dim - i) * sizeof(float));
        add(2, q, last);
    }
    return vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])));
}

// ---- bytes ----

LEARNANN_INLINE uint32x4_t multiply_add(uint32x4_t sum, uint8x16_t a, uint8x16_t b) {
    sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(a), vget_low_u8(b)));
    return vpadalq_u16(sum, vmull_high_u8(a, b));
}
LEARNANN_INLINE uint32x4_t multiply_add(uint32x4_t sum, int8x16_t a, int8x16_t b) {
    const int32x4_t s = vpadalq_s16(vreinterpretq_s32_u32(sum), vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vreinterpretq_u32_s32(vpadalq_s16(s, vmull_high_s8(a, b)));
}

template <class T, bool Squared> LEARNANN_INLINE uint32x4_t byte_step(uint32x4_t sum, const T *a, const T *b) {
    if (!Squared) return multiply_add(sum, load16(a), load16(b));
    const uint8x16_t d = difference(load16(a), load16(b));
    return multiply_add(sum, d, d);
}

template <class T, bool Squared> u32 byte_kernel(const u8 *x, const u8 *y, u32 dim) {
    const T *a = reinterpret_cast<const T *>(x), *b = reinterpret_cast<const T *>(y);
    uint32x4_t s0 = vdupq_n_u32(0), s1 = s0;
    u32 i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = byte_step<T, Squared>(s0, a + i, b + i);
        s1 = byte_step<T, Squared>(s1, a + i + 16, b + i + 16);
    }
    for (; i < dim; i += 16) {
        if (i + 16 <= dim) {
            s0 = byte_step<T, Squared>(s0, a + i, b + i);
            continue;
        }
        T last_a[16] = {}, last_b[16] = {};
        std::memcpy(last_a, a + i, dim - i);
        std::memcpy(last_b, b + i, dim - i);
        s1 = byte_step<T, Squared>(s1, last_a, last_b);
    }
    return vaddvq_u32(vaddq_u32(s0, s1));
}

// ---- records, matrices ----

// The products of sixteen bytes of four rows, v + 128, and a code. Two products of 127 * 127 fit 16 bits; a record's tail may be
// anything: the code is 0 there.
LEARNANN_INLINE void bytes_step(int32x4_t sums[4], const u8 *const r[4], u32 j, int8x16_t q) {
    for (int k = 0; k < 4; ++k) {
        const int8x16_t x = load_record(r[k] + j);
        const int16x8_t pairs = vmull_s8(vget_low_s8(x), vget_low_s8(q));
        sums[k] = vpadalq_s16(sums[k], vmlal_high_s8(pairs, x, q));
    }
}

// As bytes_step, where some or all of the bytes hold levels. Four products of 15 * 127 fit 16 bits, and so do eight of 3 * 127.
LEARNANN_INLINE void packed_step(int32x4_t sums[4], const u8 *const r[4], u32 j, const PackedStep &step) {
    for (int k = 0; k < 4; ++k) {
        const uint8x16_t x = vld1q_u8(r[k] + j);
        int16x8_t low = vdupq_n_s16(0), high = low;
        for (u32 p = 0; p < step.count; ++p) {
            const int8x16_t levels = step.levels(x, p);
            low = vmlal_s8(low, vget_low_s8(levels), vget_low_s8(step.planes[p]));
            high = vmlal_high_s8(high, levels, step.planes[p]);
        }
        const int16x8_t pairs = vpaddq_s16(low, high);
        sums[k] = vmlal_high_s16(vmlal_s16(sums[k], vget_low_s16(pairs), vget_low_s16(step.power)), pairs, step.power);
    }
}

// Four rows of bytes v + 128 times a code; `count` is a multiple of 16.
LEARNANN_INLINE int32x4_t dots4(const u8 *const r[4], const i8 *code, u32 count) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (u32 j = 0; j < count; j += 16) bytes_step(sums, r, j, vld1q_s8(code + j));
    return sum4(sums);
}

// As dots4, of records with nibbles or crumbs, less their bias.
LEARNANN_INLINE int32x4_t packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    u32 j = 0;
    for (; j + 16 <= query.nibbles_at; j += 16) bytes_step(sums, r, j, vld1q_s8(query.code + j));
    for (; j < stride; j += 16) {
        const PackedStep step(query, stride, j);
        if (j < query.nibbles_at) bytes_step(sums, r, j, step.whole);
        packed_step(sums, r, j, step);
    }
    return vsubq_s32(sum4(sums), vdupq_n_s32(query.packed_bias));
}

LEARNANN_INLINE void score4(const QueryCode &query, const u8 *const r[4], u32 stride, i32 *estimates) {
    finish4(query, query.nibbles_at < stride ? packed_dots4(query, r, stride) : dots4(r, query.code, stride), r, stride, estimates);
}

inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates) {
    u32 i = 0;
    for (; i + 4 <= count; i += 4) score4(query, FourRows(records, stride, ids, i).at, stride, estimates + i);
    if (i == count) return;
    i32 rest[4];
    score4(query, FourRows(records, stride, ids, i, count).at, stride, rest);
    std::memcpy(estimates + i, rest, (count - i) * sizeof(i32));
}

inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        for (u32 q = 0; q < count; ++q) store4(out[q] + r, dots4(four.at, x[q], cols), rows - r);
    }
}

}  // namespace neon

const Kernels *neon_kernels() {
    using namespace neon;
    static const Kernels table = [] {
        Kernels k = portable_kernels();
        k.name = "neon";
        k.score = score;
        LEARNANN_TAKE_FLOAT_KERNELS(k);
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        return k;
    }();
    return &table;
}

#else

const Kernels *neon_kernels() { return nullptr; }

#endif

LEARNANN_END
