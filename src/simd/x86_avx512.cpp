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
LEARNANN_AVX512 LEARNANN_INLINE __m128i sum_ints4(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

LEARNANN_AVX512 LEARNANN_INLINE __mmask64 first_bytes(u32 count) { return count >= 64 ? ~0ull : (1ull << count) - 1; }

// The product of one row of a FourRows with the code, added to the sum of its lanes.
LEARNANN_AVX512 LEARNANN_INLINE __m512i add_product(__m512i sum, const u8 *row, __mmask64 m, __m512i code) {
    return _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(m, row), code);
}

// Four rows of bytes v + 128 times a code, less its bias; `count` is a multiple of 16. Of whole cache lines no load is masked:
// masks cost nearly as much as the products.
LEARNANN_AVX512 LEARNANN_INLINE __m128i dots4(const u8 *const r[4], const i8 *code, u32 count, i32 bias) {
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    u32 j = 0;
    for (; j + 64 <= count; j += 64) {
        const __m512i q = _mm512_loadu_si512(code + j);
        s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(r[0] + j), q);
        s1 = _mm512_dpbusd_epi32(s1, _mm512_loadu_si512(r[1] + j), q);
        s2 = _mm512_dpbusd_epi32(s2, _mm512_loadu_si512(r[2] + j), q);
        s3 = _mm512_dpbusd_epi32(s3, _mm512_loadu_si512(r[3] + j), q);
    }
    if (j < count) {
        const __mmask64 m = first_bytes(count - j);
        const __m512i q = _mm512_maskz_loadu_epi8(m, code + j);
        s0 = add_product(s0, r[0] + j, m, q);
        s1 = add_product(s1, r[1] + j, m, q);
        s2 = add_product(s2, r[2] + j, m, q);
        s3 = add_product(s3, r[3] + j, m, q);
    }
    return _mm_sub_epi32(sum_ints4(s0, s1, s2, s3), _mm_set1_epi32(bias));
}

LEARNANN_AVX512 LEARNANN_INLINE __m512i add_nibbles(__m512i sum, __m512i x, __m512i lower, __m512i upper) {
    const __m512i nibble = _mm512_set1_epi8(15);
    sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(x, nibble), lower);
    return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble), upper);
}

// 64 bytes of a query, and how a record's meet them: whole, or as levels of four or two bits, of which those at each bit are
// multiplied with a plane. Sums of four bytes each are then shifted to one scale: no kind of level begins within four bytes.
struct PackedLine {
    __m512i plane[query_planes], lowest, next, shift;

    LEARNANN_AVX512 LEARNANN_INLINE PackedLine(const QueryCode &q, u32 stride, u32 begin, __mmask64 m) {
        const __mmask64 bytes = before(q.nibbles_at, begin), nibbles = before(q.crumbs_at, begin) & ~bytes;
        const __m512i crumb = _mm512_set1_epi8(3), nibble = _mm512_set1_epi8(15), zero = _mm512_setzero_si512();
        for (u32 p = 0; p < query_planes; ++p) plane[p] = _mm512_maskz_loadu_epi8(m, q.plane(p, stride) + begin);
        next = _mm512_mask_mov_epi8(crumb, nibbles, nibble);
        lowest = _mm512_mask_mov_epi8(next, bytes, _mm512_set1_epi8(-1));
        shift = _mm512_mask_mov_epi8(_mm512_set1_epi32(static_cast<i32>(q.crumb_shift)), nibbles, _mm512_set1_epi32(static_cast<i32>(q.nibble_shift)));
        shift = _mm512_mask_mov_epi8(shift, bytes, zero);
    }
    static LEARNANN_AVX512 LEARNANN_INLINE __mmask64 before(u32 at, u32 begin) { return at > begin ? first_bytes(at - begin) : 0; }

    LEARNANN_AVX512 LEARNANN_INLINE __m512i dot(__m512i x) const {
        const __m512i crumb = _mm512_set1_epi8(3);
        __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_and_si512(x, lowest), plane[0]);
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(x, 4), next), plane[1]);
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(x, 2), crumb), plane[2]);
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(x, 6), crumb), plane[3]);
        return _mm512_sllv_epi32(sum, shift);
    }
};

// As dots4, of records with nibbles or crumbs.
LEARNANN_AVX512 LEARNANN_INLINE __m128i packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    __m512i sums[4] = {};
    for (u32 j = 0; j < stride; j += 64) {
        const __mmask64 m = first_bytes(stride - j);
        const PackedLine line(query, stride, j, m);
        for (u32 k = 0; k < 4; ++k) sums[k] = _mm512_add_epi32(sums[k], line.dot(_mm512_maskz_loadu_epi8(m, r[k] + j)));
    }
    return _mm_sub_epi32(sum_ints4(sums[0], sums[1], sums[2], sums[3]), _mm_set1_epi32(query.bias + query.packed_bias));
}

LEARNANN_AVX512 LEARNANN_INLINE __m128i score4(const QueryCode &query, const x86::Finish &finish, const u8 *const r[4], u32 stride) {
    const __m128i dots = query.nibbles_at < stride ? packed_dots4(query, r, stride) : dots4(r, query.code, stride, query.bias);
    return finish(dots, x86::tails4(r, stride));
}

// Records of any width.
LEARNANN_AVX512 inline void score_any(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                      i32 *estimates) {
    const x86::Finish finish(query);
    u32 i = 0;
    for (; i + 4 <= count; i += 4) x86::store4(estimates + i, score4(query, finish, FourRows(records, stride, ids, i).at, stride), 4);
    if (i < count) x86::store4(estimates + i, score4(query, finish, FourRows(records, stride, ids, i, count).at, stride), count - i);
}

// Records of one or two whole cache lines: the query stays in registers. Where there are nibbles, they are the last line, or
// the rest of the only one.
template <u32 Lines, bool Nibbles> struct LineQuery {
    static constexpr u32 stride = 64 * Lines, last = stride - 64;
    __m512i bytes[Lines], lower, upper, shift;
    __m128i bias;

    LEARNANN_AVX512 LEARNANN_INLINE explicit LineQuery(const QueryCode &q) {
        for (u32 l = 0; l < Lines; ++l) bytes[l] = _mm512_loadu_si512(q.code + 64ull * l);
        if (Nibbles) {
            const __mmask64 in_bytes = Lines == 1 ? first_bytes(q.nibbles_at) : 0;
            lower = _mm512_maskz_mov_epi8(~in_bytes, bytes[Lines - 1]);
            bytes[Lines - 1] = _mm512_maskz_mov_epi8(in_bytes, bytes[Lines - 1]);
            upper = _mm512_loadu_si512(q.code + stride + last);
            shift = _mm512_set1_epi32(static_cast<i32>(q.nibble_shift));
        }
        bias = _mm_set1_epi32(q.bias + (Nibbles ? q.packed_bias : 0));
    }
    LEARNANN_AVX512 LEARNANN_INLINE __m512i dot(const u8 *row) const {
        const __m512i x = _mm512_loadu_si512(row + last);
        __m512i sum = _mm512_setzero_si512();
        if (Nibbles) sum = _mm512_sllv_epi32(add_nibbles(sum, x, lower, upper), shift);
        if (Lines == 1 || !Nibbles) sum = _mm512_dpbusd_epi32(sum, x, bytes[Lines - 1]);
        if (Lines == 2) sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(row), bytes[0]);
        return sum;
    }
    LEARNANN_AVX512 LEARNANN_INLINE __m128i dots(const u8 *const r[4]) const {
        return _mm_sub_epi32(sum_ints4(dot(r[0]), dot(r[1]), dot(r[2]), dot(r[3])), bias);
    }
};

// Records of one cache line that hold crumbs.
struct CrumbQuery {
    static constexpr u32 stride = 64;
    PackedLine line;
    __m128i bias;

    LEARNANN_AVX512 LEARNANN_INLINE explicit CrumbQuery(const QueryCode &q)
        : line(q, stride, 0, ~0ull), bias(_mm_set1_epi32(q.bias + q.packed_bias)) {}
    LEARNANN_AVX512 LEARNANN_INLINE __m512i dot(const u8 *row) const { return line.dot(_mm512_loadu_si512(row)); }
    LEARNANN_AVX512 LEARNANN_INLINE __m128i dots(const u8 *const r[4]) const {
        return _mm_sub_epi32(sum_ints4(dot(r[0]), dot(r[1]), dot(r[2]), dot(r[3])), bias);
    }
};

template <class Lines>
LEARNANN_AVX512 void score_lines(const QueryCode &query, const u8 *records, const u32 *ids, u32 count, i32 *estimates) {
    constexpr u32 stride = Lines::stride;
    const Lines lines(query);
    const x86::Finish finish(query);
    u32 i = 0;
    for (; i + 8 <= count; i += 8) {
        const FourRows a(records, stride, ids, i), b(records, stride, ids, i + 4);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(estimates + i),
                            finish(_mm256_set_m128i(lines.dots(b.at), lines.dots(a.at)),
                                   _mm256_set_m128i(x86::tails4(b.at, stride), x86::tails4(a.at, stride))));
    }
    for (; i < count; i += 4) {
        const FourRows four(records, stride, ids, i, count);
        x86::store4(estimates + i, finish(lines.dots(four.at), x86::tails4(four.at, stride)), count - i);
    }
}

LEARNANN_AVX512 inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                  i32 *estimates) {
    const bool nibbles = query.nibbles_at < query.crumbs_at, crumbs = query.crumbs_at < stride;
    if (stride == 64 && crumbs) score_lines<CrumbQuery>(query, records, ids, count, estimates);
    else if (stride == 64 && nibbles) score_lines<LineQuery<1, true>>(query, records, ids, count, estimates);
    else if (stride == 64) score_lines<LineQuery<1, false>>(query, records, ids, count, estimates);
    else if (stride == 128 && !crumbs && query.nibbles_at == 64) score_lines<LineQuery<2, true>>(query, records, ids, count, estimates);
    else if (stride == 128 && query.nibbles_at == stride) score_lines<LineQuery<2, false>>(query, records, ids, count, estimates);
    else score_any(query, records, stride, ids, count, estimates);
}

// 128 times the sum of x: so much bytes v + 128 add to a product.
LEARNANN_AVX512 LEARNANN_INLINE i32 bias_of(const i8 *x, u32 cols) {
    __m512i sum = _mm512_setzero_si512();
    for (u32 j = 0; j < cols; j += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(-128), _mm512_maskz_loadu_epi8(first_bytes(cols - j), x + j));
    return sum_ints(sum);
}

// As dots4, of four vectors: each line of a row is loaded once for all of them.
LEARNANN_AVX512 LEARNANN_INLINE void dots4x4(const u8 *const r[4], const i8 *const *x, u32 cols, __m512i sums[4][4]) {
    for (u32 q = 0; q < 4; ++q)
        for (u32 k = 0; k < 4; ++k) sums[q][k] = _mm512_setzero_si512();
    for (u32 j = 0; j < cols; j += 64)
        for (u32 k = 0; k < 4; ++k) {
            const __m512i row = _mm512_loadu_si512(r[k] + j);
            for (u32 q = 0; q < 4; ++q) sums[q][k] = _mm512_dpbusd_epi32(sums[q][k], row, _mm512_loadu_si512(x[q] + j));
        }
}

LEARNANN_AVX512 inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    i32 bias[matvec_vectors];
    for (u32 q = 0; q < count; ++q) bias[q] = bias_of(x[q], cols);
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        if (count == 4) {
            __m512i sums[4][4];
            dots4x4(four.at, x, cols, sums);
            for (u32 q = 0; q < 4; ++q)
                x86::store4(out[q] + r, _mm_sub_epi32(sum_ints4(sums[q][0], sums[q][1], sums[q][2], sums[q][3]), _mm_set1_epi32(bias[q])), rows - r);
        } else {
            for (u32 q = 0; q < count; ++q) x86::store4(out[q] + r, dots4(four.at, x[q], cols, bias[q]), rows - r);
        }
    }
}

// Tiles [t, t + Tiles): each four columns of one are a vector.
template <u32 Tiles>
LEARNANN_AVX512 LEARNANN_INLINE void multiply_some(const u8 *rows, u32 t, u32 tiles, u32 cols, const i8 *const x[tile_vectors],
                                                   const __m512i less[tile_vectors], i32 *out) {
    const u8 *at[Tiles];
    __m512i sums[Tiles][tile_vectors];
    for (u32 k = 0; k < Tiles; ++k) {
        at[k] = rows + static_cast<u64>(t + k) * cols * tile_rows;
        for (u32 q = 0; q < tile_vectors; ++q) sums[k][q] = less[q];
    }
    for (u32 c = 0; c < cols; c += 4) {
        __m512i v[Tiles];
        for (u32 k = 0; k < Tiles; ++k) v[k] = _mm512_loadu_si512(at[k] + static_cast<u64>(c) * tile_rows);
        for (u32 q = 0; q < tile_vectors; ++q) {
            const __m512i code = _mm512_set1_epi32(load<i32>(x[q] + c));
            for (u32 k = 0; k < Tiles; ++k) sums[k][q] = _mm512_dpbusd_epi32(sums[k][q], v[k], code);
        }
    }
    for (u32 k = 0; k < Tiles; ++k)
        for (u32 q = 0; q < tile_vectors; ++q) _mm512_storeu_si512(out + (static_cast<u64>(q) * tiles + t + k) * tile_rows, sums[k][q]);
}

LEARNANN_AVX512 inline void multiply_tiles(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out) {
    __m512i less[tile_vectors];
    for (u32 q = 0; q < tile_vectors; ++q) less[q] = _mm512_set1_epi32(-bias_of(x[q], cols));
    u32 t = 0;
    for (; t + 2 <= tiles; t += 2) multiply_some<2>(rows, t, tiles, cols, x, less, out);
    if (t < tiles) multiply_some<1>(rows, t, tiles, cols, x, less, out);
}

// A load that reaches into another cache line waits for it, even where the mask leaves nothing of it: no wider than need be.
LEARNANN_AVX512 LEARNANN_INLINE __m512i load_ids(const u8 *ids, __mmask16 m, u32 left) {
    if (left > 8) return _mm512_maskz_loadu_epi32(m, ids);
    if (left > 4) return _mm512_castsi256_si512(_mm256_maskz_loadu_epi32(static_cast<__mmask8>(m), ids));
    return _mm512_castsi128_si512(_mm_maskz_loadu_epi32(static_cast<__mmask8>(m), ids));
}

// Ids of a list, sixteen at a time. Most lists lie in one line, which is read once.
class IdReader {
public:
    LEARNANN_AVX512 LEARNANN_INLINE explicit IdReader(const IdList &ids) : ids_(ids) {
        first_bit_ = static_cast<u32>(reinterpret_cast<uintptr_t>(ids.bytes) % 64 * 8);
        in_line_ = ids.bits < 32 && first_bit_ + ids.count * ids.bits <= 512;
        if (in_line_) line_ = _mm512_load_si512(ids.bytes - first_bit_ / 8);
    }
    LEARNANN_AVX512 LEARNANN_INLINE __m512i read(u32 i, __mmask16 m) const {
        if (ids_.bits == 32) return load_ids(ids_.bytes + 4ull * i, m, ids_.count - i);
        const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i from = _mm512_mullo_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<i32>(i))),
                                                _mm512_set1_epi32(static_cast<i32>(ids_.bits)));
        const __m512i mask = _mm512_set1_epi32(static_cast<i32>(ids_.mask()));
        if (!in_line_) {
            const __m512i window = _mm512_mask_i32gather_epi32(lanes, m, _mm512_srli_epi32(from, 3), ids_.bytes, 1);
            return _mm512_and_si512(_mm512_srlv_epi32(window, _mm512_and_si512(from, _mm512_set1_epi32(7))), mask);
        }
        const __m512i bit = _mm512_add_epi32(from, _mm512_set1_epi32(static_cast<i32>(first_bit_)));
        const __m512i word = _mm512_srli_epi32(bit, 5), low = _mm512_and_si512(bit, _mm512_set1_epi32(31));
        const __m512i high = _mm512_sub_epi32(_mm512_set1_epi32(32), low);
        const __m512i next = _mm512_permutexvar_epi32(_mm512_add_epi32(word, _mm512_set1_epi32(1)), line_);
        const __m512i window = _mm512_or_si512(_mm512_srlv_epi32(_mm512_permutexvar_epi32(word, line_), low), _mm512_sllv_epi32(next, high));
        return _mm512_and_si512(window, mask);
    }

private:
    const IdList &ids_;
    u32 first_bit_;
    bool in_line_;
    __m512i line_ = _mm512_setzero_si512();
};

LEARNANN_AVX512 inline u32 unseen(const IdList &ids, const SeenTags &seen, u32 rows, u32 *fresh, u64 &bad) {
    const __m512i factor = _mm512_set1_epi32(static_cast<i32>(2654435769u)), base = _mm512_set1_epi32(static_cast<i32>(seen.base));
    const __m512i limit = _mm512_set1_epi32(static_cast<i32>(rows));
    const __m128i shift = _mm_cvtsi32_si128(static_cast<i32>(seen.shift));
    const IdReader reader(ids);
    const u32 count = ids.count;
    u32 found = 0;
    for (u32 i = 0; i < count; i += 16) {
        const __mmask16 all = count - i >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (count - i)) - 1);
        const __m512i id = reader.read(i, all);
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

// As insert_sorted of AVX2, with all items in registers: `Blocks` of eight.
template <u32 Blocks> LEARNANN_AVX512 u32 insert_in_registers(i64 *items, const i64 *fresh, u32 count) {
    const __m512i one = _mm512_set1_epi64(1), nothing = _mm512_set1_epi64(INT64_MAX);
    __m512i block[Blocks], least = nothing;
    // NOLINTNEXTLINE(bugprone-implicit-widening-of-multiplication-result): widened, g++ 12 writes three instructions more
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
        _mm512_store_si512(items + 8ull * b, block[b]);
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
    return blocks <= 16 ? by_blocks[blocks - 1](items, fresh, count) : scalar_kernels().insert_sorted(items, width, fresh, count);
}

LEARNANN_AVX512 LEARNANN_INLINE __m512 add_four(__m512 y, const __m512 x[4], const __m512 a[4]) {
    for (u32 j = 0; j < 4; ++j) y = _mm512_fmadd_ps(a[j], x[j], y);
    return y;
}

// Stores through a mask are not forwarded to the loads of the next call, which may want the same y: only the last has one.
template <u32 Rows> LEARNANN_AVX512 inline void axpy4_rows(float *y, u64 stride, const float *const x[4], const float *a, u32 n) {
    __m512 weights[Rows][4];
    for (u32 row = 0; row < Rows; ++row)
        for (u32 j = 0; j < 4; ++j) weights[row][j] = _mm512_set1_ps(a[4 * row + j]);
    u32 i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 at[4] = {_mm512_loadu_ps(x[0] + i), _mm512_loadu_ps(x[1] + i), _mm512_loadu_ps(x[2] + i), _mm512_loadu_ps(x[3] + i)};
        for (u32 row = 0; row < Rows; ++row)
            _mm512_storeu_ps(y + row * stride + i, add_four(_mm512_loadu_ps(y + row * stride + i), at, weights[row]));
    }
    if (i == n) return;
    const __mmask16 m = static_cast<__mmask16>((1u << (n - i)) - 1);
    const __m512 at[4] = {_mm512_maskz_loadu_ps(m, x[0] + i), _mm512_maskz_loadu_ps(m, x[1] + i), _mm512_maskz_loadu_ps(m, x[2] + i),
                          _mm512_maskz_loadu_ps(m, x[3] + i)};
    for (u32 row = 0; row < Rows; ++row)
        _mm512_mask_storeu_ps(y + row * stride + i, m, add_four(_mm512_maskz_loadu_ps(m, y + row * stride + i), at, weights[row]));
}

LEARNANN_AVX512 inline void axpy4(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n) {
    if (rows == 4) return axpy4_rows<4>(y, stride, x, a, n);
    for (u32 row = 0; row < rows; ++row) axpy4_rows<1>(y + row * stride, stride, x, a + 4ull * row, n);
}

// As loops::quantise.
LEARNANN_AVX512 inline void quantise(const float *y, u32 count, float scale, i8 *code) {
    const __m512 factor = _mm512_set1_ps(scale), half = _mm512_set1_ps(0.5f);
    const __m512i sign = _mm512_set1_epi32(INT32_MIN), magnitude = _mm512_set1_epi32(INT32_MAX), most = _mm512_set1_epi32(0x42fe0000);
    for (u32 i = 0; i < count; i += 16) {
        const __mmask16 m = count - i >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << (count - i)) - 1);
        const __m512i v = _mm512_castps_si512(_mm512_mul_ps(_mm512_maskz_loadu_ps(m, y + i), factor));
        const __m512i signs = _mm512_and_si512(v, sign);
        const __m512 clamped = _mm512_castsi512_ps(_mm512_or_si512(_mm512_min_epi32(_mm512_and_si512(v, magnitude), most), signs));
        const __m512 away = _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(half), signs));
        // Not the store that converts: MemorySanitizer doesn't know it.
        _mm_mask_storeu_epi8(code + i, m, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(_mm512_add_ps(clamped, away))));
    }
}

// As loops::nearer.
LEARNANN_AVX512 inline u32 nearer(const loops::Compared &rows, float scale, float weight, float bound, float *distances, u32 *places) {
    const __m512 scale16 = _mm512_set1_ps(scale), weight16 = _mm512_set1_ps(weight), bound16 = _mm512_set1_ps(bound);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    u32 found = 0;
    for (u32 i = 0; i < rows.count; i += 16) {
        const __m512 dots = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(rows.dots + i)), scale16);
        const __m512 products = _mm512_mul_ps(dots, _mm512_loadu_ps(rows.scales + i));
        const __m512 residuals = _mm512_mul_ps(_mm512_loadu_ps(rows.residuals + i), weight16);
        const __m512 at = _mm512_sub_ps(_mm512_sub_ps(_mm512_loadu_ps(rows.norms + i), products), residuals);
        const __mmask16 near = _mm512_cmp_ps_mask(at, bound16, _CMP_LT_OQ);
        if (near == 0) continue;
        const __m512i place = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<i32>(i)));
        _mm512_storeu_ps(distances + found, _mm512_maskz_compress_ps(near, at));
        _mm512_storeu_si512(places + found, _mm512_maskz_compress_epi32(near, place));
        found += static_cast<u32>(__builtin_popcount(near));
    }
    return found;
}

}  // namespace avx512

const Kernels *avx512_kernels() {
    using namespace avx512;
    if (!x86_features().avx512) return nullptr;
    static const Kernels table = [] {
        Kernels k = *avx2_kernels();
        k.name = "avx512";
        k.score = score;
        k.unseen = unseen;
        k.insert_sorted = insert_sorted;
        k.loops.quantise = quantise;
        k.loops.nearer = nearer;
        LEARNANN_TAKE_FLOAT_KERNELS(k);
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        k.multiply_tiles = multiply_tiles;
        k.axpy4 = axpy4;
        return k;
    }();
    return &table;
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#else

const Kernels *avx512_kernels() { return nullptr; }

#endif

LEARNANN_END
