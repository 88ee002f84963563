// x86_ssse3.cpp: the kernels for SSSE3, the first x86 that multiplies bytes. The rest is the table below's.
#include "simd/x86.hpp"

LEARNANN_BEGIN

#if LEARNANN_X86

namespace ssse3 {

LEARNANN_SSSE3 LEARNANN_INLINE __m128i load_bytes(const void *p) { return _mm_loadu_si128(static_cast<const __m128i *>(p)); }

LEARNANN_SSSE3 LEARNANN_INLINE i32 sum_ints(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
}

// ---- bytes ----

template <class T> LEARNANN_SSSE3 LEARNANN_INLINE __m128i low_words(__m128i v) {
    return std::is_signed<T>::value ? _mm_srai_epi16(_mm_unpacklo_epi8(v, v), 8) : _mm_unpacklo_epi8(v, _mm_setzero_si128());
}
template <class T> LEARNANN_SSSE3 LEARNANN_INLINE __m128i high_words(__m128i v) {
    return std::is_signed<T>::value ? _mm_srai_epi16(_mm_unpackhi_epi8(v, v), 8) : _mm_unpackhi_epi8(v, _mm_setzero_si128());
}

template <class T, bool Squared> LEARNANN_SSSE3 LEARNANN_INLINE __m128i byte_step(__m128i sum, const u8 *a, const u8 *b) {
    const __m128i x = load_bytes(a), y = load_bytes(b);
    if (!Squared) {
        sum = _mm_add_epi32(sum, _mm_madd_epi16(low_words<T>(x), low_words<T>(y)));
        return _mm_add_epi32(sum, _mm_madd_epi16(high_words<T>(x), high_words<T>(y)));
    }
    const __m128i low = _mm_sub_epi16(low_words<T>(x), low_words<T>(y));
    const __m128i high = _mm_sub_epi16(high_words<T>(x), high_words<T>(y));
    return _mm_add_epi32(_mm_add_epi32(sum, _mm_madd_epi16(low, low)), _mm_madd_epi16(high, high));
}

template <class T, bool Squared> LEARNANN_SSSE3 u32 byte_kernel(const u8 *a, const u8 *b, u32 dim) {
    __m128i sum = _mm_setzero_si128();
    u32 i = 0;
    for (; i + 16 <= dim; i += 16) sum = byte_step<T, Squared>(sum, a + i, b + i);
    if (i < dim) {
        u8 x[16] = {}, y[16] = {};
        std::memcpy(x, a + i, dim - i);
        std::memcpy(y, b + i, dim - i);
        sum = byte_step<T, Squared>(sum, x, y);
    }
    return static_cast<u32>(sum_ints(sum));
}

// ---- records, matrices ----

LEARNANN_SSSE3 LEARNANN_INLINE __m128i sum_ints4(const __m128i v[4]) {
    return _mm_hadd_epi32(_mm_hadd_epi32(v[0], v[1]), _mm_hadd_epi32(v[2], v[3]));
}

// The products of 16 bytes v + 128 of four rows and a code; as in AVX2: |code| * sign(row, code) stays within 16 bits.
LEARNANN_SSSE3 LEARNANN_INLINE void bytes_step(__m128i sums[4], const u8 *const r[4], u32 j, __m128i q) {
    const __m128i magnitude = _mm_abs_epi8(q);
    for (int k = 0; k < 4; ++k) {
        const __m128i x = _mm_xor_si128(load_bytes(r[k] + j), _mm_set1_epi8(-128));
        const __m128i pairs = _mm_maddubs_epi16(magnitude, _mm_sign_epi8(x, q));
        sums[k] = _mm_add_epi32(sums[k], _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    }
}

// Four rows of bytes v + 128 times a code; `count` is a multiple of 16.
LEARNANN_SSSE3 LEARNANN_INLINE __m128i dots4(const u8 *const r[4], const i8 *code, u32 count) {
    __m128i sums[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (u32 j = 0; j < count; j += 16) bytes_step(sums, r, j, load_bytes(code + j));
    return sum_ints4(sums);
}

// As in AVX2.
template <u32 Planes>
LEARNANN_SSSE3 LEARNANN_INLINE __m128i level_step(__m128i sum, __m128i x, const __m128i *planes, __m128i mask, __m128i power) {
    __m128i pairs = _mm_maddubs_epi16(_mm_and_si128(x, mask), planes[0]);
    for (u32 p = 1; p < Planes; ++p) {
        const __m128i level = _mm_and_si128(_mm_srli_epi16(x, static_cast<int>(plane_bit[p])), mask);
        pairs = _mm_add_epi16(pairs, _mm_maddubs_epi16(level, planes[p]));
    }
    return _mm_add_epi32(sum, _mm_madd_epi16(pairs, power));
}

// As dots4, of records with nibbles or crumbs, less their bias.
LEARNANN_SSSE3 LEARNANN_INLINE __m128i packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    __m128i sums[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    u32 j = 0;
    for (; j + 16 <= query.nibbles_at; j += 16) bytes_step(sums, r, j, load_bytes(query.code + j));
    for (; j < stride; j += 16) {
        const __m128i mask = load_bytes(query.masks(stride) + j), power = load_bytes(query.powers(stride) + j);
        __m128i planes[query_planes];
        for (u32 p = 0; p < query_planes; ++p) planes[p] = load_bytes(query.plane(p, stride) + j);
        if (j < query.nibbles_at) {
            const __m128i whole = _mm_cmpeq_epi8(mask, _mm_set1_epi8(-1));
            bytes_step(sums, r, j, _mm_and_si128(planes[0], whole));
            planes[0] = _mm_andnot_si128(whole, planes[0]);
        }
        if (query.planes_before(j + 16) == 4)
            for (int k = 0; k < 4; ++k) sums[k] = level_step<4>(sums[k], load_bytes(r[k] + j), planes, mask, power);
        else
            for (int k = 0; k < 4; ++k) sums[k] = level_step<2>(sums[k], load_bytes(r[k] + j), planes, mask, power);
    }
    return _mm_sub_epi32(sum_ints4(sums), _mm_set1_epi32(query.packed_bias));
}

// The low 32 bits of the products, by the multiply of every other lane.
LEARNANN_SSSE3 LEARNANN_INLINE __m128i multiply(__m128i a, __m128i b) {
    const __m128i even = _mm_mul_epu32(a, b), odd = _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32));
    return _mm_unpacklo_epi32(_mm_shuffle_epi32(even, 0x08), _mm_shuffle_epi32(odd, 0x08));
}

// The norms of four records, in the query's units.
LEARNANN_SSSE3 LEARNANN_INLINE __m128i norms4(const QueryCode &q, __m128i tails) {
    __m128i norm = _mm_sll_epi32(_mm_srli_epi32(tails, 8), _mm_cvtsi32_si128(static_cast<int>(q.norm_left)));
    norm = _mm_srl_epi32(norm, _mm_cvtsi32_si128(static_cast<int>(q.norm_right)));
    return _mm_and_si128(norm, _mm_set1_epi32(static_cast<i32>(q.norm_mask)));
}

// As x86::Finish. A shift by lanes is a multiplication with the power of two, which a float makes of its exponent.
LEARNANN_SSSE3 LEARNANN_INLINE void finish4(const QueryCode &q, __m128i dots, __m128i tails, i32 *estimates) {
    const __m128i residual = _mm_srai_epi32(
        multiply(_mm_and_si128(tails, _mm_set1_epi32(31)), _mm_set1_epi32(q.residual_weight)), 4);
    const __m128i exponents = _mm_add_epi32(_mm_and_si128(_mm_srli_epi32(tails, 5), _mm_set1_epi32(7)),
                                            _mm_set1_epi32(static_cast<i32>(q.exponent + 1 + 127)));
    const __m128i powers = _mm_cvttps_epi32(_mm_castsi128_ps(_mm_slli_epi32(exponents, 23)));
    const __m128i sum = _mm_sub_epi32(_mm_add_epi32(norms4(q, tails), _mm_set1_epi32(q.offset)), multiply(dots, powers));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(estimates), _mm_sub_epi32(sum, residual));
}

LEARNANN_SSSE3 LEARNANN_INLINE void score4(const QueryCode &query, const u8 *const r[4], u32 stride, i32 *estimates) {
    const __m128i dots = query.nibbles_at < stride ? packed_dots4(query, r, stride) : dots4(r, query.code, stride);
    finish4(query, dots, x86::tails4(r, stride), estimates);
}

LEARNANN_SSSE3 inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                 i32 *estimates) {
    u32 i = 0;
    for (; i + 4 <= count; i += 4) score4(query, FourRows(records, stride, ids, i).at, stride, estimates + i);
    if (i == count) return;
    i32 rest[4];
    score4(query, FourRows(records, stride, ids, i, count).at, stride, rest);
    std::memcpy(estimates + i, rest, (count - i) * sizeof(i32));
}

LEARNANN_SSSE3 inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        for (u32 q = 0; q < count; ++q) x86::store4(out[q] + r, dots4(four.at, x[q], cols), rows - r);
    }
}

}  // namespace ssse3

const Kernels *ssse3_kernels() {
    using namespace ssse3;
    if (!x86_features().ssse3) return nullptr;
    static const Kernels table = [] {
        Kernels k = portable_kernels();
        k.name = "ssse3";
        k.score = score;
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        return k;
    }();
    return &table;
}

#else

const Kernels *ssse3_kernels() { return nullptr; }

#endif

LEARNANN_END
