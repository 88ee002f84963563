// x86_avx2.cpp: the kernels for AVX2 with FMA and half floats (F16C).
#include "simd/x86.hpp"

LEARNANN_BEGIN

#if LEARNANN_X86

namespace avx2 {

LEARNANN_LOOPS(__attribute__((target("avx2"))));

LEARNANN_AVX2 LEARNANN_INLINE __m256i load_bytes(const void *p) { return _mm256_loadu_si256(static_cast<const __m256i *>(p)); }
LEARNANN_AVX2 LEARNANN_INLINE __m256i load_half(const void *p) {    // the upper half is 0
    return _mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i *>(p)));
}

LEARNANN_AVX2 LEARNANN_INLINE i32 sum_ints(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

LEARNANN_AVX2 LEARNANN_INLINE float sum_floats(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

LEARNANN_AVX2 LEARNANN_INLINE __m256 widen(const float *p) { return _mm256_loadu_ps(p); }
LEARNANN_AVX2 LEARNANN_INLINE __m256 widen(const u16 *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
LEARNANN_AVX2 LEARNANN_INLINE __m256 widen(const i8 *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}
LEARNANN_AVX2 LEARNANN_INLINE __m256 widen(const u8 *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}

template <class T, bool Squared> LEARNANN_AVX2 LEARNANN_INLINE __m256 step(__m256 sum, __m256 q, __m256 x) {
    if (!Squared) return _mm256_fmadd_ps(q, x, sum);
    const __m256 d = _mm256_sub_ps(q, x);
    return _mm256_fmadd_ps(d, d, sum);
}

template <class T, bool Squared> LEARNANN_AVX2 float float_kernel(const float *query, const void *bytes, u32 dim) {
    const T *row = static_cast<const T *>(bytes);
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    u32 i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = step<T, Squared>(s0, _mm256_loadu_ps(query + i), widen(row + i));
        s1 = step<T, Squared>(s1, _mm256_loadu_ps(query + i + 8), widen(row + i + 8));
        s2 = step<T, Squared>(s2, _mm256_loadu_ps(query + i + 16), widen(row + i + 16));
        s3 = step<T, Squared>(s3, _mm256_loadu_ps(query + i + 24), widen(row + i + 24));
    }
    for (; i + 8 <= dim; i += 8) s0 = step<T, Squared>(s0, _mm256_loadu_ps(query + i), widen(row + i));
    float sum = sum_floats(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
    if (i < dim) {
        T last[8] = {};
        float q[8] = {};
        std::memcpy(last, row + i, (dim - i) * sizeof(T));
        std::memcpy(q, query + i, (dim - i) * sizeof(float));
        sum += sum_floats(step<T, Squared>(_mm256_setzero_ps(), _mm256_loadu_ps(q), widen(last)));
    }
    return sum;
}

template <class T> LEARNANN_AVX2 LEARNANN_INLINE __m256i widen_words(const u8 *p) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
    return std::is_signed<T>::value ? _mm256_cvtepi8_epi16(x) : _mm256_cvtepu8_epi16(x);
}

template <class T, bool Squared> LEARNANN_AVX2 LEARNANN_INLINE __m256i byte_step(__m256i sum, const u8 *a, const u8 *b) {
    const __m256i x = widen_words<T>(a), y = widen_words<T>(b);
    if (!Squared) return _mm256_add_epi32(sum, _mm256_madd_epi16(x, y));
    const __m256i d = _mm256_sub_epi16(x, y);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(d, d));
}

template <class T, bool Squared> LEARNANN_AVX2 u32 byte_kernel(const u8 *a, const u8 *b, u32 dim) {
    __m256i s0 = _mm256_setzero_si256(), s1 = s0;
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
        u8 x[16] = {}, y[16] = {};
        std::memcpy(x, a + i, dim - i);
        std::memcpy(y, b + i, dim - i);
        s1 = byte_step<T, Squared>(s1, x, y);
    }
    return static_cast<u32>(sum_ints(_mm256_add_epi32(s0, s1)));
}

// The sums of four vectors' lanes.
LEARNANN_AVX2 LEARNANN_INLINE __m128i sum_ints4(const __m256i v[4]) {
    const __m256i abcd = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(abcd), _mm256_extracti128_si256(abcd, 1));
}

// u8 * i8 pairs would overflow maddubs' 16 bits, so rows are made signed and lend their sign to the code:
// |code| * sign(row, code) stays within 2 * 127 * 127. A record's tail may be anything: the code is 0 there.
LEARNANN_AVX2 LEARNANN_INLINE __m256i code_step(__m256i sum, __m256i row, __m256i code, __m256i magnitude) {
    const __m256i x = _mm256_xor_si256(row, _mm256_set1_epi8(-128));
    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, code));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// The products of 32 bytes v + 128 of four rows, or with load_half of 16, and a code.
template <__m256i Load(const void *)>
LEARNANN_AVX2 LEARNANN_INLINE void bytes_step(__m256i sums[4], const u8 *const r[4], u32 j, __m256i q) {
    const __m256i magnitude = _mm256_abs_epi8(q);
    for (int k = 0; k < 4; ++k) sums[k] = code_step(sums[k], Load(r[k] + j), q, magnitude);
}

// Four rows of bytes v + 128 times a code; `count` is a multiple of 16.
LEARNANN_AVX2 LEARNANN_INLINE __m128i dots4(const u8 *const r[4], const i8 *code, u32 count) {
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    u32 j = 0;
    for (; j + 32 <= count; j += 32) bytes_step<load_bytes>(sums, r, j, load_bytes(code + j));
    if (j < count) bytes_step<load_half>(sums, r, j, load_half(code + j));
    return sum_ints4(sums);
}

// Levels of two planes or four: four products of 15 * 127 fit 16 bits, and so do eight of 3 * 127.
template <u32 Planes>
LEARNANN_AVX2 LEARNANN_INLINE __m256i level_step(__m256i sum, __m256i x, const __m256i *planes, __m256i mask, __m256i power) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_and_si256(x, mask), planes[0]);
    for (u32 p = 1; p < Planes; ++p) {
        const __m256i level = _mm256_and_si256(_mm256_srli_epi16(x, static_cast<int>(plane_bit[p])), mask);
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(level, planes[p]));
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, power));
}

// As bytes_step, where some or all of the bytes hold levels.
template <__m256i Load(const void *)>
LEARNANN_AVX2 LEARNANN_INLINE void packed_step(__m256i sums[4], const QueryCode &query, const u8 *const r[4], u32 stride, u32 j) {
    const __m256i mask = Load(query.masks(stride) + j), power = Load(query.powers(stride) + j);
    __m256i planes[query_planes];
    for (u32 p = 0; p < query_planes; ++p) planes[p] = Load(query.plane(p, stride) + j);
    if (j < query.nibbles_at) {
        const __m256i whole = _mm256_cmpeq_epi8(mask, _mm256_set1_epi8(-1));
        bytes_step<Load>(sums, r, j, _mm256_and_si256(planes[0], whole));
        planes[0] = _mm256_andnot_si256(whole, planes[0]);
    }
    if (query.planes_before(smaller(j + 32, stride)) == 4)
        for (int k = 0; k < 4; ++k) sums[k] = level_step<4>(sums[k], Load(r[k] + j), planes, mask, power);
    else
        for (int k = 0; k < 4; ++k) sums[k] = level_step<2>(sums[k], Load(r[k] + j), planes, mask, power);
}

// As dots4, of records with nibbles or crumbs, less their bias.
LEARNANN_AVX2 LEARNANN_INLINE __m128i packed_dots4(const QueryCode &query, const u8 *const r[4], u32 stride) {
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    u32 j = 0;
    for (; j + 32 <= query.nibbles_at; j += 32) bytes_step<load_bytes>(sums, r, j, load_bytes(query.code + j));
    for (; j + 32 <= stride; j += 32) packed_step<load_bytes>(sums, query, r, stride, j);
    if (j < stride) packed_step<load_half>(sums, query, r, stride, j);
    return _mm_sub_epi32(sum_ints4(sums), _mm_set1_epi32(query.packed_bias));
}

LEARNANN_AVX2 LEARNANN_INLINE __m128i score4(const QueryCode &query, const x86::Finish &finish, const u8 *const r[4], u32 stride) {
    const __m128i dots = query.nibbles_at < stride ? packed_dots4(query, r, stride) : dots4(r, query.code, stride);
    return finish(dots, x86::tails4(r, stride));
}

LEARNANN_AVX2 inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count,
                                i32 *estimates) {
    const x86::Finish finish(query);
    u32 i = 0;
    for (; i + 4 <= count; i += 4) x86::store4(estimates + i, score4(query, finish, FourRows(records, stride, ids, i).at, stride), 4);
    if (i < count) x86::store4(estimates + i, score4(query, finish, FourRows(records, stride, ids, i, count).at, stride), count - i);
}

// Half a tile is a vector of eight rows.
LEARNANN_AVX2 inline void multiply_tiles(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out) {
    for (u32 t = 0; t < tiles; ++t) {
        __m256i sums[tile_vectors][2];
        for (auto &sum : sums) sum[0] = sum[1] = _mm256_setzero_si256();
        for (u32 c = 0; c < cols; c += 4, rows += 4ull * tile_rows) {
            const __m256i left = load_bytes(rows), right = load_bytes(rows + 32);
            for (u32 q = 0; q < tile_vectors; ++q) {
                const __m256i code = _mm256_set1_epi32(load<i32>(x[q] + c)), magnitude = _mm256_abs_epi8(code);
                sums[q][0] = code_step(sums[q][0], left, code, magnitude);
                sums[q][1] = code_step(sums[q][1], right, code, magnitude);
            }
        }
        for (u32 q = 0; q < tile_vectors; ++q)
            for (u32 half = 0; half < 2; ++half)
                _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + (static_cast<u64>(q) * tiles + t) * tile_rows + half * 8ull), sums[q][half]);
    }
}

LEARNANN_AVX2 inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; r += 4) {
        const FourRows four(matrix, cols, nullptr, r, rows);
        for (u32 q = 0; q < count; ++q) x86::store4(out[q] + r, dots4(four.at, x[q], cols), rows - r);
    }
}

// new[i] = min(old[i], max(old[i - 1], fresh)) inserts into a sorted array without a branch.
LEARNANN_AVX2 LEARNANN_INLINE __m256i smaller_of(__m256i a, __m256i b) {
    return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}
LEARNANN_AVX2 LEARNANN_INLINE __m256i larger_of(__m256i a, __m256i b) {
    return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

LEARNANN_AVX2 inline u32 insert_sorted(i64 *items, u32 width, const i64 *fresh, u32 count) {
    if (width > 96) return scalar_kernels().insert_sorted(items, width, fresh, count);      // finds the place, and moves only what is behind it
    const u32 end = static_cast<u32>(round_up(width, sorted_padding));
    i64 least = INT64_MAX;
    const __m256i one = _mm256_set1_epi64x(1);
    for (u32 f = 0; f < count; ++f) {
        const __m256i v = _mm256_set1_epi64x(fresh[f]), marked = _mm256_or_si256(v, one);
        __m256i twin = _mm256_setzero_si256();
        for (u32 i = 0; i < end; i += 4)
            twin = _mm256_or_si256(twin, _mm256_cmpeq_epi64(_mm256_or_si256(load_bytes(items + i), one), marked));
        if (!_mm256_testz_si256(twin, twin)) continue;
        least = smaller(least, fresh[f]);
        __m256i high = load_bytes(items + end - 4);
        for (u32 i = end - 4;; i -= 4) {
            const __m256i low = i ? load_bytes(items + i - 4) : _mm256_set1_epi64x(INT64_MIN);
            const __m256i before = _mm256_blend_epi32(_mm256_permute4x64_epi64(high, 0x90), _mm256_permute4x64_epi64(low, 0xff), 3);
            _mm256_store_si256(reinterpret_cast<__m256i *>(items + i), smaller_of(high, larger_of(before, v)));
            if (i == 0) break;
            high = low;
        }
    }
    u32 first = 0;
    const __m256i bound = _mm256_set1_epi64x(least);
    for (u32 i = 0; i < end; i += 4)
        first += static_cast<u32>(__builtin_popcount(static_cast<u32>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bound, load_bytes(items + i)))))));
    return first;
}

template <u32 Rows> LEARNANN_AVX2 inline void axpy4_rows(float *y, u64 stride, const float *const x[4], const float *a, u32 n) {
    __m256 weights[Rows][4];
    for (u32 row = 0; row < Rows; ++row)
        for (u32 j = 0; j < 4; ++j) weights[row][j] = _mm256_set1_ps(a[4 * row + j]);
    u32 i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 x0 = _mm256_loadu_ps(x[0] + i), x1 = _mm256_loadu_ps(x[1] + i), x2 = _mm256_loadu_ps(x[2] + i), x3 = _mm256_loadu_ps(x[3] + i);
        for (u32 row = 0; row < Rows; ++row) {
            float *const to = y + row * stride + i;
            const __m256 s = _mm256_fmadd_ps(weights[row][2], x2, _mm256_fmadd_ps(weights[row][0], x0, _mm256_loadu_ps(to)));
            const __m256 t = _mm256_fmadd_ps(weights[row][3], x3, _mm256_mul_ps(weights[row][1], x1));
            _mm256_storeu_ps(to, _mm256_add_ps(s, t));
        }
    }
    for (u32 row = 0; row < Rows; ++row, y += stride, a += 4)
        for (u32 j = i; j < n; ++j) y[j] += a[0] * x[0][j] + a[1] * x[1][j] + a[2] * x[2][j] + a[3] * x[3][j];
}

// Two rows at a time: they and their weights fill the registers.
LEARNANN_AVX2 inline void axpy4(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n) {
    u32 row = 0;
    for (; row + 2 <= rows; row += 2) axpy4_rows<2>(y + row * stride, stride, x, a + 4ull * row, n);
    if (row < rows) axpy4_rows<1>(y + row * stride, stride, x, a + 4ull * row, n);
}

// As loops::widen, with the machine's own conversion of halves.
LEARNANN_AVX2 inline bool widen_vector(const void *from, u32 type, u32 count, float *to) {
    if (type != LEARNANN_F16) return LoopsHere::widen(from, type, count, to);
    const u8 *halves = static_cast<const u8 *>(from);
    const __m128i exponent = _mm_set1_epi16(0x7c00);
    __m128i bad = _mm_setzero_si128();
    u32 i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i *>(halves + 2ull * i));
        bad = _mm_or_si128(bad, _mm_cmpeq_epi16(_mm_and_si128(eight, exponent), exponent));
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(eight));
    }
    if (_mm_testz_si128(bad, bad)) return LoopsHere::widen(halves + 2ull * i, type, count - i, to + i);
    return LoopsHere::widen(from, type, count, to);     // what is no number gets the same bits on every table
}

// SSE4.2 has it; what has AVX2 has that.
LEARNANN_AVX2 inline u32 crc32c(u32 crc, const u8 *bytes, u64 size) {
    crc = ~crc;
#if defined(__x86_64__)
    u64 wide = crc;
    for (; size >= 8; size -= 8, bytes += 8) wide = _mm_crc32_u64(wide, load<u64>(bytes));
    crc = static_cast<u32>(wide);
#endif
    for (; size >= 4; size -= 4, bytes += 4) crc = _mm_crc32_u32(crc, load<u32>(bytes));
    for (; size > 0; --size, ++bytes) crc = _mm_crc32_u8(crc, *bytes);
    return ~crc;
}

}  // namespace avx2

const Kernels *avx2_kernels() {
    using namespace avx2;
    if (!x86_features().avx2) return nullptr;
    static const Kernels table = [] {
        Kernels k = scalar_kernels();
        k.name = "avx2";
        k.score = score;
        k.insert_sorted = insert_sorted;
        k.loops = compiled_loops;
        k.loops.widen = widen_vector;
        LEARNANN_TAKE_FLOAT_KERNELS(k);
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        k.multiply_tiles = multiply_tiles;
        k.crc32c = crc32c;
        k.axpy4 = axpy4;
        return k;
    }();
    return &table;
}

#else

const Kernels *avx2_kernels() { return nullptr; }

#endif

LEARNANN_END
