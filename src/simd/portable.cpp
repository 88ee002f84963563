// portable.cpp: the kernels on xsimd, for whatever vector set the compiler was told to use: SSE2 on x86-64, NEON on ARM.
// Bytes are taken as the two halves of 16-bit lanes, products added in 32-bit lanes: a dot product doesn't mind the order.
#include "simd/dispatch.hpp"
#include "simd/simd.hpp"

LEARNANN_BEGIN

#if LEARNANN_HAVE_XSIMD

namespace portable {

using Floats = xsimd::batch<float>;
using Words = xsimd::batch<i16>;
using Ints = xsimd::batch<i32>;
constexpr u32 floats = Floats::size;
constexpr u32 words = Words::size;
constexpr u32 batch_bytes = 2 * words;

// ---- float against anything ----

inline Floats load_floats(const float *row) { return Floats::load_unaligned(row); }
template <class T> Floats load_floats(const T *row) {
    alignas(64) float wide[floats];
    for (u32 i = 0; i < floats; ++i) wide[i] = std::is_same<T, u16>::value
        ? finite_half_to_float(static_cast<u16>(load<T>(row + i))) : static_cast<float>(row[i]);
    return Floats::load_aligned(wide);
}

template <class T, bool Squared> float float_kernel(const float *query, const void *bytes, u32 dim) {
    const T *row = static_cast<const T *>(bytes);
    Floats sums[2] = {Floats(0.0f), Floats(0.0f)};
    u32 i = 0;
    for (; i + 2 * floats <= dim; i += 2 * floats)
        for (u32 s = 0; s < 2; ++s) {
            const Floats q = Floats::load_unaligned(query + i + 1ull * s * floats), x = load_floats(row + i + 1ull * s * floats);
            sums[s] = Squared ? xsimd::fma(q - x, q - x, sums[s]) : xsimd::fma(q, x, sums[s]);
        }
    float sum = batch_sum(Floats(sums[0] + sums[1]));
    const FloatKernel rest = Squared ? scalar_kernels().l2[1] : scalar_kernels().dot[1];
    for (; i < dim; ++i) {
        float x;
        if (std::is_same<T, u16>::value) x = finite_half_to_float(static_cast<u16>(load<T>(row + i)));
        else x = static_cast<float>(load<T>(row + i));
        sum += rest(query + i, &x, 1);
    }
    return sum;
}

// ---- bytes: a 16-bit lane holds two ----

template <class T> Words low_bytes(const Words &w) {
    return std::is_signed<T>::value ? Words((w << 8) >> 8) : Words(w & Words(i16(255)));
}
template <class T> Words high_bytes(const Words &w) {
    return std::is_signed<T>::value ? Words(w >> 8) : Words((w >> 8) & Words(i16(255)));
}
#if defined(__SSE2__) && !defined(__AVX2__)
// xsimd has no multiply-add of 16-bit pairs; every x86-64 has.
inline Ints multiply_add(const Words &a, const Words &b) { return Ints(_mm_madd_epi16(a, b)); }
#else
// The products of 16-bit lanes, added in pairs. The values come from bytes or their differences: |v| <= 255.
inline Ints multiply_add(const Words &a, const Words &b) {
    const Ints x = batch_bits<i32>(a), y = batch_bits<i32>(b);
    return ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
}
#endif

template <class T, bool Squared> u32 byte_kernel(const u8 *a, const u8 *b, u32 dim) {
    Ints sum(0);
    u32 i = 0;
    for (; i + batch_bytes <= dim; i += batch_bytes) {
        const Words x = Words::load_unaligned(reinterpret_cast<const i16 *>(a + i));
        const Words y = Words::load_unaligned(reinterpret_cast<const i16 *>(b + i));
        if (Squared) {
            const Words low = low_bytes<T>(x) - low_bytes<T>(y), high = high_bytes<T>(x) - high_bytes<T>(y);
            sum = sum + multiply_add(low, low) + multiply_add(high, high);
        } else {
            sum = sum + multiply_add(low_bytes<T>(x), low_bytes<T>(y)) + multiply_add(high_bytes<T>(x), high_bytes<T>(y));
        }
    }
    u32 total = static_cast<u32>(batch_sum(sum));
    const Kernels &rest = scalar_kernels();
    if (Squared) total += (std::is_signed<T>::value ? rest.l2_i8 : rest.l2_u8)(a + i, b + i, dim - i);
    else total += (std::is_signed<T>::value ? rest.dot_i8 : rest.dot_u8)(a + i, b + i, dim - i);
    return total;
}

// ---- records, matrices ----

// Bytes v + 128 against signed ones, without the 128.
inline i32 dot_code(const u8 *row, const i8 *code, u32 count) {
    const Words offset(i16(128));
    Ints sum(0);
    u32 j = 0;
    for (; j + batch_bytes <= count; j += batch_bytes) {
        const Words x = Words::load_unaligned(reinterpret_cast<const i16 *>(row + j));
        const Words y = Words::load_unaligned(reinterpret_cast<const i16 *>(code + j));
        const Words low = low_bytes<u8>(x) - offset, high = high_bytes<u8>(x) - offset;
        sum = sum + multiply_add(low, low_bytes<i8>(y)) + multiply_add(high, high_bytes<i8>(y));
    }
    i32 total = batch_sum(sum);
    for (; j < count; ++j) total += (row[j] - 128) * code[j];
    return total;
}

// The levels from the first nibble on against the query's planes, in code steps.
inline i32 dot_levels(const QueryCode &query, const u8 *record, u32 stride) {
    const u8 *masks = query.masks(stride), *powers = query.powers(stride);
    Ints sum(0);
    u32 j = query.nibbles_at;
    for (; j + batch_bytes <= stride; j += batch_bytes) {
        const Words x = Words::load_unaligned(reinterpret_cast<const i16 *>(record + j));
        const Words mask = Words::load_unaligned(reinterpret_cast<const i16 *>(masks + j));
        const Words low = low_bytes<u8>(mask), high = high_bytes<u8>(mask);
        Ints levels(0);
        for (u32 p = 0; p < query.planes_before(j + batch_bytes); ++p) {
            const Words y = Words::load_unaligned(reinterpret_cast<const i16 *>(query.plane(p, stride) + j));
            const int bit = static_cast<int>(plane_bit[p]);
            levels = levels + multiply_add((x >> bit) & low, low_bytes<i8>(y)) + multiply_add((x >> (bit + 8)) & high, high_bytes<i8>(y));
        }
        const Words power = Words::load_unaligned(reinterpret_cast<const i16 *>(powers + j));
        sum = sum + levels * (batch_bits<i32>(power) & Ints(0xffff));
    }
    i32 total = batch_sum(sum);
    for (; j < stride; ++j)
        for (u32 p = 0; p < query.planes_before(stride); ++p)
            total += static_cast<i32>(record[j] >> plane_bit[p] & masks[j]) * query.plane(p, stride)[j] * load<i16>(powers + (j & ~1u));
    return total;
}

inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates) {
    for (u32 i = 0; i < count; ++i) {
        const u8 *record = records + static_cast<u64>(ids ? ids[i] : i) * stride;
        i32 dot = dot_code(record, query.code, query.nibbles_at);
        if (query.nibbles_at < stride) dot += dot_levels(query, record, stride) - query.packed_bias;
        estimates[i] = finish_estimate(query, dot, load<u32>(record + stride - record_tail));
    }
}

inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; ++r)
        for (u32 q = 0; q < count; ++q) out[q][r] = dot_code(matrix + static_cast<u64>(r) * cols, x[q], cols);
}

// A lane of 32 bits holds four bytes of a row, and their products with four of x: two vectors of a tile share what is unpacked of x.
inline void multiply_tiles(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out) {
    constexpr u32 lanes = Ints::size, pair = 2 * lanes;
    static_assert(tile_rows % pair == 0, "a tile is made of pairs of vectors");
    const Words offset(i16(128));
    for (u32 first = 0; first < tiles * tile_rows; first += pair) {
        const u8 *at = rows + static_cast<u64>(first / tile_rows) * tile_rows * cols + first % tile_rows * 4ull;
        Ints sums[tile_vectors][2];
        for (auto &sum : sums) sum[0] = sum[1] = Ints(0);
        for (u32 c = 0; c < cols; c += 4, at += 4ull * tile_rows) {
            Words low[2], high[2];
            for (u32 k = 0; k < 2; ++k) {
                const Words v = Words::load_unaligned(reinterpret_cast<const i16 *>(at + 4ull * lanes * k));
                low[k] = low_bytes<u8>(v) - offset;
                high[k] = high_bytes<u8>(v) - offset;
            }
            for (u32 q = 0; q < tile_vectors; ++q) {
                const Words y = batch_bits<i16>(Ints(load<i32>(x[q] + c)));
                const Words even = low_bytes<i8>(y), odd = high_bytes<i8>(y);
                for (u32 k = 0; k < 2; ++k) sums[q][k] = sums[q][k] + multiply_add(low[k], even) + multiply_add(high[k], odd);
            }
        }
        for (u32 q = 0; q < tile_vectors; ++q)
            for (u32 k = 0; k < 2; ++k) sums[q][k].store_unaligned(out + static_cast<u64>(q) * tiles * tile_rows + first + static_cast<u64>(k) * lanes);
    }
}

// ---- linear algebra ----

inline void axpy4(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n) {
    for (u32 row = 0; row < rows; ++row, y += stride, a += 4) {
        u32 i = 0;
        for (; i + floats <= n; i += floats) {
            Floats sum = Floats::load_unaligned(y + i);
            for (u32 j = 0; j < 4; ++j) sum = xsimd::fma(Floats(a[j]), Floats::load_unaligned(x[j] + i), sum);
            sum.store_unaligned(y + i);
        }
        for (; i < n; ++i) y[i] += a[0] * x[0][i] + a[1] * x[1][i] + a[2] * x[2][i] + a[3] * x[3][i];
    }
}

}  // namespace portable

const Kernels &portable_kernels() {
    using namespace portable;
#if defined(__ARM_NEON)
    static constexpr const char *name = "neon";
#else
    static constexpr const char *name = "sse2";
#endif
    static const Kernels table = [] {
        Kernels k = scalar_kernels();
        k.name = name;
        k.score = score;
        LEARNANN_TAKE_FLOAT_KERNELS(k);
        LEARNANN_TAKE_BYTE_KERNELS(k);
        k.matvec = matvec;
        k.multiply_tiles = multiply_tiles;
        k.axpy4 = axpy4;
        return k;
    }();
    return table;
}

#else

const Kernels &portable_kernels() { return scalar_kernels(); }

#endif

LEARNANN_END
