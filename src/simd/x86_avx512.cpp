// x86_avx512.cpp: the kernels for AVX-512 with VNNI. Its masks leave no ends to be treated apart.
#include "simd/x86.hpp"

LEARNANN_BEGIN

#if LEARNANN_X86

#if !defined(__clang__)     // gcc 12 warns of the undefined registers inside its own AVX-512 headers
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace avx512 {

// Not _mm512_reduce_add_epi32: gcc's adds signed ints, where overflow is undefined; these add as the instructions do, and wrap.
LEARNANN_AVX512 LEARNANN_INLINE i32 sum_ints(__m512i v) {
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

LEARNANN_AVX512 LEARNANN_INLINE __m512 widen(__mmask16 m, const float *p) { return _mm512_maskz_loadu_ps(m, p); }
LEARNANN_AVX512 LEARNANN_INLINE __m512 widen(__mmask16 m, const u16 *p) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, p));
}
LEARNANN_AVX512 LEARNANN_INLINE __m512 widen(__mmask16 m, const i8 *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, p)));
}
LEARNANN_AVX512 LEARNANN_INLINE __m512 widen(__mmask16 m, const u8 *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p)));
}

template <class T, bool Squared>
LEARNANN_AVX512 LEARNANN_INLINE __m512 step(__m512 sum, const float *query, const T *row, __mmask16 m) {
    const __m512 q = _mm512_maskz_loadu_ps(m, query), x = widen(m, row);
    if (!Squared) return _mm512_fmadd_ps(q, x, sum);
    const __m512 d = _mm512_sub_ps(q, x);
    return _mm512_fmadd_ps(d, d, sum);
}

template <class T, bool Squared> LEARNANN_AVX512 float float_kernel(const float *query, const void *bytes, u32 dim) {
    const T *row = static_cast<const T *>(bytes);
    const __mmask16 all = 0xffff;
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    u32 i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = step<T, Squared>(s0, query + i, row + i, all);
        s1 = step<T, Squared>(s1, query + i + 16, row + i + 16, all);
        s2 = step<T, Squared>(s2, query + i + 32, row + i + 32, all);
        s3 = step<T, Squared>(s3, query + i + 48, row + i + 48, all);
    }
    for (; i < dim; i += 16) {
        const __mmask16 m = dim - i >= 16 ? all : static_cast<__mmask16>((1u << (dim - i)) - 1);
        s0 = step<T, Squared>(s0, query + i, row + i, m);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

template <class T> LEARNANN_AVX512 LEARNANN_INLINE __m512i widen_words(__mmask32 m, const u8 *p) {
    const __m256i x = _mm256_maskz_loadu_epi8(m, p);
    return std::is_signed<T>::value ? _mm512_cvtepi8_epi16(x) : _mm512_cvtepu8_epi16(x);
}

template <class T, bool Squared>
LEARNANN_AVX512 LEARNANN_INLINE __m512i byte_step(__m512i sum, const u8 *a, const u8 *b, __mmask32 m) {
    const __m512i x = widen_words<T>(m, a), y = widen_words<T>(m, b);
    if (!Squared) return _mm512_dpwssd_epi32(sum, x, y);
    const __m512i d = _mm512_sub_epi16(x, y);
    return _mm512_dpwssd_epi32(sum, d, d);
}

template <class T, bool Squared> LEARNANN_AVX512 u32 byte_kernel(const u8 *a, const u8 *b, u32 dim) {
    __m512i s0 = _mm512_setzero_si512(), s1 = s0;
    u32 i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = byte_step<T, Squared>(s0, a + i, b + i, 0xffffffffu);
        s1 = byte_step<T, Squared>(s1, a + i + 32, b + i + 32, 0xffffffffu);
    }
    for (; i < dim; i += 32) {
        const __mmask32 m = dim - i >= 32 ? 0xffffffffu : (1u << (dim - i)) - 1;
        s0 = byte_step<T, Squared>(s0, a + i, b + i, m);
    }
    return static_cast<u32>(sum_ints(_mm512_add_epi32(s0, s1)));
}

// The sums of four vectors' lanes.
LEARNANN_AVX512 LEARNANN_INLINE __m128i sum_ints4(const __m512i v[4]) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    const __m512i lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Four rows, records or signed bytes, times the query's code, less its bias; `count` is a multiple of 16. Records are
// multiplied as they are. Signed rows take the code's signs, for the other factor must be unsigned: their bias is 0.
template <bool Record>
LEARNANN_AVX512 LEARNANN_INLINE __m128i dots4(const QueryCode &query, const u8 *const r[4], u32 count) {
    __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (u32 j = 0; j < count; j += 64) {
        const u32 left = count - j;
        const __mmask64 m = left >= 64 ? ~0ull : (1ull << left) - 1;
        const __m512i q = _mm512_maskz_loadu_epi8(m, query.code + j), magnitude = _mm512_abs_epi8(q);
        const __mmask64 negative = _mm512_movepi8_mask(q);
        for (int k = 0; k < 4; ++k) {
            const __m512i x = _mm512_maskz_loadu_epi8(m, r[k] + j);
            const __m512i turned = _mm512_mask_sub_epi8(x, negative, _mm512_setzero_si512(), x);
            sums[k] = Record ? _mm512_dpbusd_epi32(sums[k], x, q) : _mm512_dpbusd_epi32(sums[k], magnitude, turned);
        }
    }
    return _mm_sub_epi32(sum_ints4(sums), _mm_set1_epi32(query.bias));
}

LEARNANN_AVX512 inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                  i32 *estimates) {
    u32 i = 0;
    for (; i + 4 <= count; i += 4) {
        const FourRows four(records, stride, ids, i);
        x86::finish4(query, dots4<true>(query, four.at, stride), x86::tails4(four.at, stride), estimates + i);
    }
    if (i == count) return;
    const FourRows four(records, stride, ids, i, count);
    i32 rest[4];
    x86::finish4(query, dots4<true>(query, four.at, stride), x86::tails4(four.at, stride), rest);
    std::memcpy(estimates + i, rest, (count - i) * sizeof(i32));
}

LEARNANN_AVX512 inline void matvec(const i8 *weights, u32 rows, u32 cols, const i8 *x, i32 *out) {
    QueryCode query{};
    query.code = x;
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(reinterpret_cast<const u8 *>(weights), cols, nullptr, r, rows);
        x86::store4(out + r, dots4<false>(query, four.at, cols), rows - r);
    }
}

// A load that reaches into another cache line waits for it, even where the mask leaves nothing of it: no wider than need be.
LEARNANN_AVX512 LEARNANN_INLINE __m512i load_ids(const u8 *ids, __mmask16 m, u32 left) {
    if (left > 8) return _mm512_maskz_loadu_epi32(m, ids);
    if (left > 4) return _mm512_castsi256_si512(_mm256_maskz_loadu_epi32(static_cast<__mmask8>(m), ids));
    return _mm512_castsi128_si512(_mm_maskz_loadu_epi32(static_cast<__mmask8>(m), ids));
}

LEARNANN_AVX512 inline u32 unseen(const u8 *ids, u32 count, const SeenTags &seen, u32 rows, u32 *fresh, u64 &bad) {
    const __m512i factor = _mm512_set1_epi32(static_cast<i32>(2654435769u)), base = _mm512_set1_epi32(static_cast<i32>(seen.base));
    const __m512i limit = _mm512_set1_epi32(static_cast<i32>(rows));
    const __m128i shift = _mm_cvtsi32_si128(static_cast<i32>(seen.shift));
    u32 found = 0;
    for (u32 i = 0; i < count; i += 16) {
        const __mmask16 all = count - i >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (count - i)) - 1);
        const __m512i id = load_ids(ids + 4ull * i, all, count - i);
        const __mmask16 good = _mm512_mask_cmplt_epu32_mask(all, id, limit);
        if (good != all) bad += static_cast<u32>(__builtin_popcount(static_cast<u32>(all ^ good)));
        const __m512i place = _mm512_srl_epi32(_mm512_mullo_epi32(id, factor), shift), tag = _mm512_add_epi32(id, base);
        const __m512i old = _mm512_mask_i32gather_epi32(tag, good, place, seen.tags, 4);
        const __mmask16 other = _mm512_mask_cmpneq_epi32_mask(good, old, tag);
        _mm512_mask_i32scatter_epi32(seen.tags, other, place, tag, 4);
        _mm512_storeu_si512(fresh + found, _mm512_maskz_compress_epi32(other, id));
        found += static_cast<u32>(__builtin_popcount(other));
    }
    return found;
}

LEARNANN_AVX512 inline u32 insert_many(i64 *items, u32 width, const i64 *fresh, u32 count) {
    const u32 end = static_cast<u32>(round_up(width, sorted_padding));
    u32 first = width;
    for (u32 f = 0; f < count; ++f) {
        if (fresh[f] >= items[width - 1]) continue;
        const __m512i v = _mm512_set1_epi64(fresh[f]);
        const u32 place = first_not_below(items, width, fresh[f]);
        if ((items[place] | 1) == (fresh[f] | 1)) continue;
        first = smaller(first, place);
        __m512i high = _mm512_load_si512(items + end - 8);
        for (u32 i = end - 8; i + 8 > place; i -= 8) {
            const __m512i low = i ? _mm512_load_si512(items + i - 8) : _mm512_set1_epi64(INT64_MIN);
            const __m512i before = _mm512_alignr_epi64(high, low, 7);
            _mm512_store_si512(items + i, _mm512_min_epi64(high, _mm512_max_epi64(before, v)));
            if (i == 0) break;
            high = low;
        }
    }
    return first;
}

// As insert_sorted of AVX2, with all items in registers: `Blocks` of eight.
template <u32 Blocks> LEARNANN_AVX512 u32 insert_in_registers(i64 *items, const i64 *fresh, u32 count) {
    const __m512i one = _mm512_set1_epi64(1), nothing = _mm512_set1_epi64(INT64_MAX);
    __m512i block[Blocks], least = nothing;
    for (u32 b = 0; b < Blocks; ++b) block[b] = _mm512_load_si512(items + 8 * b);
    for (u32 f = 0; f < count; ++f) {
        __m512i v = _mm512_set1_epi64(fresh[f]);
        const __m512i marked = _mm512_or_si512(v, one);
        u32 twin = 0;
        for (u32 b = 0; b < Blocks; ++b) twin |= _mm512_cmpeq_epi64_mask(_mm512_or_si512(block[b], one), marked);
        v = twin ? nothing : v;
        least = _mm512_min_epi64(least, v);
        for (u32 b = Blocks; b-- > 0;) {
            const __m512i before = _mm512_alignr_epi64(block[b], b ? block[b - 1] : _mm512_set1_epi64(INT64_MIN), 7);
            block[b] = _mm512_min_epi64(block[b], _mm512_max_epi64(before, v));
        }
    }
    u32 first = 0;
    for (u32 b = 0; b < Blocks; ++b) {
        first += static_cast<u32>(__builtin_popcount(_mm512_cmplt_epi64_mask(block[b], least)));
        _mm512_store_si512(items + 8 * b, block[b]);
    }
    return first;
}

LEARNANN_AVX512 inline u32 insert_sorted(i64 *items, u32 width, const i64 *fresh, u32 count) {
    using Insert = u32 (*)(i64 *, const i64 *, u32);
    static constexpr Insert by_blocks[] = {
        insert_in_registers<1>,  insert_in_registers<2>,  insert_in_registers<3>,  insert_in_registers<4>,
        insert_in_registers<5>,  insert_in_registers<6>,  insert_in_registers<7>,  insert_in_registers<8>,
        insert_in_registers<9>,  insert_in_registers<10>, insert_in_registers<11>, insert_in_registers<12>,
        insert_in_registers<13>, insert_in_registers<14>, insert_in_registers<15>, insert_in_registers<16>};
    const u32 blocks = (width + 7) / 8;
    return blocks <= 16 ? by_blocks[blocks - 1](items, fresh, count) : insert_many(items, width, fresh, count);
}

// The byte products want one side unsigned: that is the matrix, plus 128. x is 256 high + low, both signed bytes:
//     m x = 256 (m + 128) high + (m + 128) low - 128 x
LEARNANN_AVX512 inline void project(const i8 *matrix, u32 rows, u32 cols, const i16 *x, i32 *out) {
    constexpr u32 tile = 1024;
    alignas(64) i8 high[tile], low[tile];
    const __m512i flip = _mm512_set1_epi8(-128), rounding = _mm512_set1_epi16(128), ones = _mm512_set1_epi16(1);
    for (u32 begin = 0; begin < cols; begin += tile) {
        const u32 width = smaller(tile, cols - begin);
        __m512i sum = _mm512_setzero_si512();
        for (u32 c = 0; c < width; c += 32) {
            const __m512i v = _mm512_loadu_si512(x + begin + c);
            sum = _mm512_dpwssd_epi32(sum, v, ones);
            _mm256_store_si256(reinterpret_cast<__m256i *>(low + c), _mm512_cvtepi16_epi8(v));
            _mm256_store_si256(reinterpret_cast<__m256i *>(high + c),
                               _mm512_cvtepi16_epi8(_mm512_srai_epi16(_mm512_add_epi16(v, rounding), 8)));
        }
        const u32 correction = 128 * static_cast<u32>(sum_ints(sum));
        for (u32 r = 0; r < rows; r += 4) {     // four rows share each load of x
            const i8 *m[4];
            for (u32 k = 0; k < 4; ++k) m[k] = matrix + static_cast<u64>(smaller(r + k, rows - 1)) * cols + begin;
            __m512i h[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
            __m512i l[4] = {h[0], h[0], h[0], h[0]};
            for (u32 c = 0; c < width; c += 64) {
                const __m512i xh = _mm512_load_si512(high + c), xl = _mm512_load_si512(low + c);
                for (int k = 0; k < 4; ++k) {
                    const __m512i row = _mm512_xor_si512(_mm512_loadu_si512(m[k] + c), flip);
                    h[k] = _mm512_dpbusd_epi32(h[k], row, xh);
                    l[k] = _mm512_dpbusd_epi32(l[k], row, xl);
                }
            }
            for (int k = 0; k < 4; ++k) h[k] = _mm512_add_epi32(_mm512_slli_epi32(h[k], 8), l[k]);
            alignas(16) u32 dots[4];
            _mm_store_si128(reinterpret_cast<__m128i *>(dots), sum_ints4(h));
            for (u32 k = 0; k < 4 && r + k < rows; ++k)
                out[r + k] = static_cast<i32>((begin ? static_cast<u32>(out[r + k]) : 0) + dots[k] - correction);
        }
    }
}

LEARNANN_AVX512 inline void axpy4(float *y, const float *const x[4], const float a[4], u32 n) {
    const __m512 a0 = _mm512_set1_ps(a[0]), a1 = _mm512_set1_ps(a[1]), a2 = _mm512_set1_ps(a[2]), a3 = _mm512_set1_ps(a[3]);
    for (u32 i = 0; i < n; i += 16) {
        const __mmask16 m = n - i >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (n - i)) - 1);
        __m512 s = _mm512_fmadd_ps(a0, _mm512_maskz_loadu_ps(m, x[0] + i), _mm512_maskz_loadu_ps(m, y + i));
        __m512 t = _mm512_mul_ps(a1, _mm512_maskz_loadu_ps(m, x[1] + i));
        s = _mm512_fmadd_ps(a2, _mm512_maskz_loadu_ps(m, x[2] + i), s);
        t = _mm512_fmadd_ps(a3, _mm512_maskz_loadu_ps(m, x[3] + i), t);
        _mm512_mask_storeu_ps(y + i, m, _mm512_add_ps(s, t));
    }
}

}  // namespace avx512

const Kernels *avx512_kernels() {
    using namespace avx512;
    if (!x86_features().avx512) return nullptr;
    static const Kernels table = {"avx512",
                                  score,
                                  unseen,
                                  insert_sorted,
                                  avx2_kernels()->loops,
                                  {nullptr, float_kernel<float, false>, float_kernel<u16, false>, float_kernel<i8, false>,
                                   float_kernel<u8, false>},
                                  {nullptr, float_kernel<float, true>, float_kernel<u16, true>, float_kernel<i8, true>,
                                   float_kernel<u8, true>},
                                  byte_kernel<u8, true>,
                                  byte_kernel<i8, true>,
                                  byte_kernel<u8, false>,
                                  byte_kernel<i8, false>,
                                  project,
                                  matvec,
                                  axpy4};
    return &table;
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#else

const Kernels *avx512_kernels() { return nullptr; }

#endif

LEARNANN_END
