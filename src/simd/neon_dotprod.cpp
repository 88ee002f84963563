// neon_dotprod.cpp: the kernels for aarch64 with dotprod: four products of bytes added to each 32-bit lane at once.
#include "simd/neon.hpp"

#if defined(LEARNANN_DOTPROD) && !defined(__ARM_FEATURE_DOTPROD)
#include <sys/auxv.h>
#endif

LEARNANN_BEGIN

#if defined(LEARNANN_DOTPROD)

namespace dotprod {

using namespace neon;

inline bool have_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
    return true;
#else
    constexpr unsigned long bit = 1ul << 20;    // HWCAP_ASIMDDP; its header is not everywhere
    return getauxval(AT_HWCAP) & bit;
#endif
}

LEARNANN_DOTPROD LEARNANN_INLINE uint32x4_t multiply_add(uint32x4_t sum, uint8x16_t a, uint8x16_t b) {
    return vdotq_u32(sum, a, b);
}
LEARNANN_DOTPROD LEARNANN_INLINE uint32x4_t multiply_add(uint32x4_t sum, int8x16_t a, int8x16_t b) {
    return vreinterpretq_u32_s32(vdotq_s32(vreinterpretq_s32_u32(sum), a, b));
}

template <class T, bool Squared>
LEARNANN_DOTPROD LEARNANN_INLINE uint32x4_t byte_step(uint32x4_t sum, const T *a, const T *b) {
    if (!Squared) return multiply_add(sum, load16(a), load16(b));
    const uint8x16_t d = difference(load16(a), load16(b));
    return multiply_add(sum, d, d);
}

template <class T, bool Squared> LEARNANN_DOTPROD u32 byte_kernel(const u8 *x, const u8 *y, u32 dim) {
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

// Four rows of bytes v + 128 times a code; `count` is a multiple of 16.
LEARNANN_DOTPROD LEARNANN_INLINE int32x4_t dots4(const u8 *const r[4], const i8 *code, u32 count) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (u32 j = 0; j < count; j += 16) {
        const int8x16_t q = vld1q_s8(code + j);
        for (int k = 0; k < 4; ++k) sums[k] = vdotq_s32(sums[k], load_record(r[k] + j), q);
    }
    return sum4(sums);
}

// The nibbles of four records times the query's code, less their bias.
LEARNANN_DOTPROD LEARNANN_INLINE int32x4_t nibbles4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (u32 j = query.nibbles_at; j < stride; j += 16) {
        const int8x16_t lower = vld1q_s8(query.code + j), upper = vld1q_s8(query.code + stride + j);
        for (int k = 0; k < 4; ++k) {
            sums[k] = vdotq_s32(sums[k], lower_nibbles(r[k] + j), lower);
            sums[k] = vdotq_s32(sums[k], upper_nibbles(r[k] + j), upper);
        }
    }
    return scale_nibbles(query, sum4(sums));
}

LEARNANN_DOTPROD LEARNANN_INLINE void score4(const QueryCode &query, const u8 *const r[4], u32 stride, i32 *estimates) {
    int32x4_t dots = dots4(r, query.code, query.nibbles_at);
    if (query.nibbles_at < stride) dots = vaddq_s32(dots, nibbles4(query, r, stride));
    finish4(query, dots, r, stride, estimates);
}

LEARNANN_DOTPROD inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                   i32 *estimates) {
    u32 i = 0;
    for (; i + 4 <= count; i += 4) score4(query, FourRows(records, stride, ids, i).at, stride, estimates + i);
    if (i == count) return;
    i32 rest[4];
    score4(query, FourRows(records, stride, ids, i, count).at, stride, rest);
    std::memcpy(estimates + i, rest, (count - i) * sizeof(i32));
}

LEARNANN_DOTPROD inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *x, i32 *out) {
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        store4(out + r, dots4(four.at, x, cols), rows - r);
    }
}

}  // namespace dotprod

const Kernels *dotprod_kernels() {
    using namespace dotprod;
    if (!have_dotprod()) return nullptr;
    static const Kernels table = [] {
        Kernels k = *neon_kernels();
        k.name = "dotprod";
        k.score = dotprod::score;
        k.l2_u8 = dotprod::byte_kernel<u8, true>;
        k.l2_i8 = dotprod::byte_kernel<i8, true>;
        k.dot_u8 = dotprod::byte_kernel<u8, false>;
        k.dot_i8 = dotprod::byte_kernel<i8, false>;
        k.matvec = dotprod::matvec;
        return k;
    }();
    return &table;
}

#else

const Kernels *dotprod_kernels() { return nullptr; }

#endif

LEARNANN_END
