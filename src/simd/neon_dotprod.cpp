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

// The products of sixteen bytes of four rows, v + 128, and a code.
LEARNANN_DOTPROD LEARNANN_INLINE void bytes_step(int32x4_t sums[4], const u8 *const r[4], u32 j, int8x16_t q) {
    for (int k = 0; k < 4; ++k) sums[k] = vdotq_s32(sums[k], load_record(r[k] + j), q);
}

// As bytes_step, where some or all of the bytes hold levels.
LEARNANN_DOTPROD LEARNANN_INLINE void packed_step(int32x4_t sums[4], const u8 *const r[4], u32 j, const PackedStep &step) {
    const int32x4_t power = vandq_s32(vreinterpretq_s32_s16(step.power), vdupq_n_s32(0xffff));
    for (int k = 0; k < 4; ++k) {
        const uint8x16_t x = vld1q_u8(r[k] + j);
        int32x4_t dots = vdupq_n_s32(0);
        for (u32 p = 0; p < step.count; ++p) dots = vdotq_s32(dots, step.levels(x, p), step.planes[p]);
        sums[k] = vmlaq_s32(sums[k], dots, power);
    }
}

// Four rows of bytes v + 128 times a code; `count` is a multiple of 16.
LEARNANN_DOTPROD LEARNANN_INLINE int32x4_t dots4(const u8 *const r[4], const i8 *code, u32 count) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (u32 j = 0; j < count; j += 16) bytes_step(sums, r, j, vld1q_s8(code + j));
    return sum4(sums);
}

// As dots4, of records with nibbles or crumbs, less their bias.
LEARNANN_DOTPROD LEARNANN_INLINE int32x4_t packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    u32 j = 0;
    for (; j + 16 <= query.nibbles_at; j += 16) bytes_step(sums, r, j, vld1q_s8(query.code + j));
    for (; j < stride; j += 16) {
        const PackedStep step(query, stride, j);
        if (j < query.nibbles_at) bytes_step(sums, r, j, step.whole);
        dotprod::packed_step(sums, r, j, step);    // not the one beside PackedStep
    }
    return vsubq_s32(sum4(sums), vdupq_n_s32(query.packed_bias));
}

LEARNANN_DOTPROD LEARNANN_INLINE void score4(const QueryCode &query, const u8 *const r[4], u32 stride, i32 *estimates) {
    finish4(query, query.nibbles_at < stride ? packed_dots4(query, r, stride) : dots4(r, query.code, stride), r, stride, estimates);
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

LEARNANN_DOTPROD inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        for (u32 q = 0; q < count; ++q) store4(out[q] + r, dots4(four.at, x[q], cols), rows - r);
    }
}

// A quarter of a tile is a vector of four rows.
LEARNANN_DOTPROD inline void multiply_tiles(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out) {
    for (u32 quarter = 0; quarter < 4 * tiles; ++quarter) {
        const u8 *at = rows + static_cast<u64>(quarter / 4) * cols * tile_rows + quarter % 4 * 16ull;
        int32x4_t sums[tile_vectors] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (u32 c = 0; c < cols; c += 4, at += 64) {
            const int8x16_t v = load_record(at);
            for (u32 q = 0; q < tile_vectors; ++q) sums[q] = vdotq_s32(sums[q], v, vreinterpretq_s8_s32(vdupq_n_s32(load<i32>(x[q] + c))));
        }
        for (u32 q = 0; q < tile_vectors; ++q) vst1q_s32(out + (static_cast<u64>(q) * tiles * 4 + quarter) * 4, sums[q]);
    }
}

// In here the names are those of this namespace; from outside they would be neon's as well.
inline Kernels make_table() {
    Kernels k = *neon_kernels();
    k.name = "dotprod";
    k.score = score;
    LEARNANN_TAKE_BYTE_KERNELS(k);
    k.matvec = matvec;
    k.multiply_tiles = multiply_tiles;
    return k;
}

}  // namespace dotprod

const Kernels *dotprod_kernels() {
    if (!dotprod::have_dotprod()) return nullptr;
    static const Kernels table = dotprod::make_table();
    return &table;
}

#else

const Kernels *dotprod_kernels() { return nullptr; }

#endif

LEARNANN_END
