// neon.hpp: what the aarch64 tables share: how functions get at the dot products of bytes (dotprod), and the end of a score.
#pragma once

#include "simd/dispatch.hpp"

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#define LEARNANN_NEON 1
#include <arm_neon.h>
#else
#define LEARNANN_NEON 0
#endif

// The target of functions that use dotprod; undefined where there can be no such table. gcc inlines intrinsics into a function
// only if its target has all that the command line asks for: told of a processor with one of these extensions and without
// dotprod, it gets none. clang lets intrinsics be used under targets from 16 on; Apple's mostly assumes it.
#if LEARNANN_NEON
#if defined(__ARM_FEATURE_DOTPROD)
#define LEARNANN_DOTPROD
#elif defined(__linux__) && defined(__clang__)
#if __clang_major__ >= 16
#define LEARNANN_DOTPROD __attribute__((target("dotprod")))
#endif
#elif defined(__linux__) && !defined(__ARM_FEATURE_CRYPTO) && !defined(__ARM_FEATURE_SVE) && \
    !defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define LEARNANN_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#endif

#if LEARNANN_NEON

LEARNANN_BEGIN

namespace neon {

LEARNANN_INLINE uint8x16_t load16(const u8 *p) { return vld1q_u8(p); }
LEARNANN_INLINE int8x16_t load16(const i8 *p) { return vld1q_s8(p); }
LEARNANN_INLINE int8x16_t load_record(const u8 *p) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128))); }

LEARNANN_INLINE uint8x16_t difference(uint8x16_t a, uint8x16_t b) { return vabdq_u8(a, b); }
LEARNANN_INLINE uint8x16_t difference(int8x16_t a, int8x16_t b) { return vreinterpretq_u8_s8(vabdq_s8(a, b)); }

LEARNANN_INLINE int32x4_t sum4(const int32x4_t sums[4]) {
    return vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
}

// What sixteen bytes of records with nibbles or crumbs meet.
struct PackedStep {
    int8x16_t whole = vdupq_n_s8(0);    // the code of whole bytes
    int8x16_t planes[query_planes];
    uint8x16_t mask;
    int16x8_t power;
    u32 count;                          // of planes

    LEARNANN_INLINE PackedStep(const QueryCode &query, u32 stride, u32 j)
        : mask(vld1q_u8(query.masks(stride) + j)), power(vreinterpretq_s16_u8(vld1q_u8(query.powers(stride) + j))),
          count(query.planes_before(j + 16)) {
        for (u32 p = 0; p < query_planes; ++p) planes[p] = vld1q_s8(query.plane(p, stride) + j);
        const int8x16_t bytes = vreinterpretq_s8_u8(vceqq_u8(mask, vdupq_n_u8(255)));
        whole = vandq_s8(planes[0], bytes);
        planes[0] = vbicq_s8(planes[0], bytes);
    }
    // The levels that plane p meets.
    LEARNANN_INLINE int8x16_t levels(uint8x16_t x, u32 p) const {
        const int8x16_t down = vdupq_n_s8(static_cast<i8>(-static_cast<int>(plane_bit[p])));
        return vreinterpretq_s8_u8(vandq_u8(vshlq_u8(x, down), mask));
    }
};

// Four results, or the first of them where fewer are left.
LEARNANN_INLINE void store4(i32 *out, int32x4_t four, u32 left) {
    if (left >= 4) {
        vst1q_s32(out, four);
        return;
    }
    i32 results[4];
    vst1q_s32(results, four);
    std::memcpy(out, results, left * sizeof(i32));
}

// finish_estimate for four records, from dots without the bias.
LEARNANN_INLINE void finish4(const QueryCode &q, int32x4_t dots, const u8 *const r[4], u32 stride, i32 *estimates) {
    u32 tail[4];
    for (int k = 0; k < 4; ++k) tail[k] = load<u32>(r[k] + stride - record_tail);
    const uint32x4_t tails = vld1q_u32(tail);
    uint32x4_t norm = vshlq_u32(vshrq_n_u32(tails, 8), vdupq_n_s32(static_cast<i32>(q.norm_left)));
    norm = vandq_u32(vshlq_u32(norm, vdupq_n_s32(-static_cast<i32>(q.norm_right))), vdupq_n_u32(q.norm_mask));
    const uint32x4_t exponent = vaddq_u32(vandq_u32(vshrq_n_u32(tails, 5), vdupq_n_u32(7)), vdupq_n_u32(q.exponent + 1));
    const int32x4_t residual = vmulq_n_s32(vreinterpretq_s32_u32(vandq_u32(tails, vdupq_n_u32(31))), q.residual_weight);
    const int32x4_t sum = vaddq_s32(vreinterpretq_s32_u32(norm), vdupq_n_s32(q.offset));
    const int32x4_t less = vaddq_s32(vshlq_s32(dots, vreinterpretq_s32_u32(exponent)), vshrq_n_s32(residual, 4));
    vst1q_s32(estimates, vsubq_s32(sum, less));
}

}  // namespace neon

LEARNANN_END

#endif
