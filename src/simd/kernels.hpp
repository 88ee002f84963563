// kernels.hpp: the inner loops as a table of functions, one table an instruction set, all with the same meaning.
// Invariants: integer results are equal on every table, for every dim and alignment; float sums differ only by the order of
// addition. Nothing here knows what a row or an index is.
#pragma once

#include "simd/loops.hpp"

LEARNANN_BEGIN

// A record is `stride` bytes, a multiple of 16: the code, then a u32 that holds the squared norm (upper 24 bits), the code's
// exponent (3 bits) and the residual norm (lower 5 bits), then a u32 that is not the kernels' business. The exponent is 0 but for
// rows far out, whose code is in steps of 2^exponent.
//   The code's strongest dimensions are bytes c + 128 with c in [-127, 127]. From the byte `nibbles_at` on each holds two weaker
// ones: nibbles u for c = (2u - 15) 2^(nibble_shift - 1), the middle of its sixteenth of the range; first come the lower halves of
// all those bytes, then the upper ones. From `crumbs_at` on each holds four still weaker ones: crumbs u of two bits for
// c = (2u - 3) 2^(crumb_shift - 1); first come the bits 0 and 1 of all, then 4 and 5, 2 and 3, 6 and 7. Both are multiples of 4,
// nibbles_at <= crumbs_at <= stride: where equal, there are none.
constexpr u32 record_tail = 8;
constexpr u32 max_exponent = 7;
constexpr u32 max_residual = 31;
constexpr u32 max_nibble_shift = 4;
constexpr u32 max_crumb_shift = 6;

inline u32 tail_of(u32 norm, u32 exponent, u32 residual) { return norm << 8 | exponent << 5 | residual; }
inline u32 tail_norm(u32 tail) { return tail >> 8; }
inline u32 tail_exponent(u32 tail) { return tail >> 5 & 7u; }
inline u32 tail_residual(u32 tail) { return tail & 31u; }

constexpr u32 query_planes = 4;
constexpr u32 plane_bit[query_planes] = {0, 4, 2, 6};     // where in a record's byte the level lies that a plane meets

// The query's side of an estimate, in units of one squared code step:
//     estimate = ((norm << norm_left) >> norm_right & norm_mask) + offset - (2 dot(code, query) << exponents)
//              - (residual * residual_weight >> 4)
// where dot is over the true codes c, and the exponents are the record's and the query's. 32-bit arithmetic
// that wraps: for files that keep their promises (format.hpp) it never does.
struct QueryCode {
    const i8 *code;         // 64-byte aligned planes of `stride` bytes, by which the record's levels are multiplied. Plane 0 meets bytes,
                            // low nibbles and the crumbs at bit 0; plane 1 high nibbles and the crumbs at bit 4; planes 2 and 3 the
                            // crumbs at bits 2 and 6; they are 0 elsewhere. Where nibbles_at < stride two more follow: the mask of a
                            // level (255 for bytes), and its power of two (an i16 for each two bytes; 1 for bytes)
    i32 bias;               // 128 * sum(code of bytes)
    i32 packed_bias;        // 15 * 2^(nibble_shift - 1) * sum(code of nibbles) + 3 * 2^(crumb_shift - 1) * sum(code of crumbs)
    u32 nibbles_at;
    u32 crumbs_at;
    u32 nibble_shift;       // 1 to max_nibble_shift, where there are nibbles
    u32 crumb_shift;        // 1 to max_crumb_shift, where there are crumbs
    i32 offset;
    i32 residual_weight;
    u32 exponent;
    u32 norm_left;
    u32 norm_right;
    u32 norm_mask;          // all ones, or 0 where norms don't matter (inner product)

    const i8 *plane(u32 p, u32 stride) const { return code + static_cast<size_t>(p) * stride; }
    const u8 *masks(u32 stride) const { return reinterpret_cast<const u8 *>(plane(query_planes, stride)); }
    const u8 *powers(u32 stride) const { return reinterpret_cast<const u8 *>(plane(query_planes + 1, stride)); }
    // How many planes meet levels of bytes before `end`.
    u32 planes_before(u32 end) const { return end > crumbs_at ? 4 : 2; }
};

inline u32 query_bytes(u32 stride) { return (query_planes + 2) * stride; }

inline i32 finish_estimate(const QueryCode &q, i32 dot, u32 tail) {
    const u32 dots = static_cast<u32>(dot) << (tail_exponent(tail) + q.exponent + 1);
    const u32 norm = (tail_norm(tail) << q.norm_left >> q.norm_right) & q.norm_mask;
    const i32 residual = static_cast<i32>(tail_residual(tail)) * q.residual_weight >> 4;
    return static_cast<i32>(norm + static_cast<u32>(q.offset) - dots - static_cast<u32>(residual));
}

// `count` ids of `bits` bits each, 1 to 25 or 32, one behind the other from the lowest bit of the first byte on. Each of the
// 64-byte lines that the ids and three more bytes lie in may be read whole.
struct IdList {
    const u8 *bytes = nullptr;
    u32 bits = 32;
    u32 count = 0;

    static u32 bits_for(u32 rows) {
        u32 bits = 1;
        while (bits < 32 && (rows - 1) >> bits) ++bits;
        return bits <= 25 ? bits : 32;
    }
    static u64 bytes_for(u64 count, u32 bits) { return (count * bits + 7) / 8; }
    u32 mask() const { return ~0u >> (32 - bits); }
    u32 operator[](u32 i) const { return load<u32>(bytes + (i * bits >> 3)) >> (i * bits & 7) & mask(); }
};

// Puts id i of a list whose memory was 0.
inline void put_id(u8 *bytes, u32 bits, u32 i, u32 id) {
    u8 *at = bytes + (i * bits >> 3);
    for (u64 rest = static_cast<u64>(id) << (i * bits & 7); rest; rest >>= 8) *at++ |= static_cast<u8>(rest);
}

// Rows seen: tags[place(id)] == base + id. See SeenTable.
struct SeenTags {
    u32 *tags;
    u32 shift;
    u32 base;
    u32 place(u32 id) const { return id * 2654435769u >> shift; }
};

constexpr u32 matvec_vectors = 4;

constexpr u32 tile_rows = 16;
constexpr u32 tile_vectors = 4;         // that tiles are multiplied with at once

// Where row r of tiles begins.
inline u64 in_tiles(u64 r, u32 cols) { return r / tile_rows * tile_rows * cols + r % tile_rows * 4; }
// `bytes` are v + 128, `cols` of them, a multiple of 4. Rows that no one puts into the last tile hold what they held.
inline void put_in_tiles(const u8 *bytes, u32 cols, u64 r, u8 *tiles) {
    u8 *to = tiles + in_tiles(r, cols);
    for (u32 c = 0; c < cols; c += 4, to += 4ull * tile_rows) store(to, load<u32>(bytes + c));
}

constexpr u32 unseen_padding = 16;      // `fresh` has room for so many more
constexpr u32 unseen_block = 16;        // so many ids are looked up before they are marked
constexpr u32 sorted_padding = 8;       // sorted items lie in whole blocks of so many

// The first place in sorted items that is not below `item`; branchless: compilers make the choice a conditional move.
inline u32 first_not_below(const i64 *items, u32 count, i64 item) {
    u32 low = 0;
    while (count > 0) {
        const u32 half = count / 2;
        const bool right = items[low + half] < item;
        low = right ? low + half + 1 : low;
        count = right ? count - half - 1 : half;
    }
    return low;
}

// Four rows of bytes that share each load of what they are multiplied with: from the i-th of those listed in ids on, or of all
// where ids is NULL. Past `count` rows the last stands in; whole fours don't ask: it would be felt.
struct FourRows {
    const u8 *at[4];
    LEARNANN_INLINE FourRows(const u8 *rows, u32 stride, const u32 *ids, u32 i)
        : FourRows(rows, stride, ids, i, i + 1, i + 2, i + 3) {}
    LEARNANN_INLINE FourRows(const u8 *rows, u32 stride, const u32 *ids, u32 i, u32 count)
        : FourRows(rows, stride, ids, i, smaller(i + 1, count - 1), smaller(i + 2, count - 1), smaller(i + 3, count - 1)) {}

private:
    LEARNANN_INLINE FourRows(const u8 *rows, u32 stride, const u32 *ids, u32 a, u32 b, u32 c, u32 d)
        : at{rows + static_cast<u64>(ids ? ids[a] : a) * stride, rows + static_cast<u64>(ids ? ids[b] : b) * stride,
             rows + static_cast<u64>(ids ? ids[c] : c) * stride, rows + static_cast<u64>(ids ? ids[d] : d) * stride} {}
};

using FloatKernel = float (*)(const float *query, const void *row, u32 dim);

// Each table is made of a lower one, of which it replaces what it does better, by name.
struct Kernels {
    const char *name;
    // estimates[i] of record ids[i], or of record i where ids is NULL.
    void (*score)(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates);
    // Those ids of a list that were not seen yet, in order; all are marked as seen. Ids that are not below `rows` are left out and
    // counted.
    u32 (*unseen)(const IdList &ids, const SeenTags &seen, u32 rows, u32 *fresh, u64 &bad);
    // Inserts each fresh item into the sorted items, of which the last falls out; one that differs from an item in the lowest bit
    // at most is dropped. Items are 64-byte aligned and padded to whole blocks, whose rest belongs to the kernel. Fresh items have
    // a lowest bit of 0. Returns the first place that may have changed.
    u32 (*insert_sorted)(i64 *items, u32 width, const i64 *fresh, u32 count);
    Loops loops;
    FloatKernel dot[5];     // by learnann_type of the row; [0] is NULL
    FloatKernel l2[5];
    // Bytes against bytes, exact up to 65,535 elements.
    u32 (*l2_u8)(const u8 *, const u8 *, u32 dim);
    u32 (*l2_i8)(const u8 *, const u8 *, u32 dim);
    u32 (*dot_u8)(const u8 *, const u8 *, u32 dim);
    u32 (*dot_i8)(const u8 *, const u8 *, u32 dim);     // two's complement of the signed sum
    // out[q][r] = row r of the matrix (rows x cols bytes v + 128, cols a multiple of 64 and at most 65,536) times x[q], for `count`
    // vectors, at most matvec_vectors: they share the matrix's way from the second cache. No v and no x is -128.
    void (*matvec)(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out);
    // Rows in tiles of tile_rows: for every four columns, of which `cols` is a multiple, four bytes v + 128 of each row of the tile.
    // out[q * tiles * tile_rows + r] = row r times x[q]. No v and no x is -128; cols is at most 65,536.
    void (*multiply_tiles)(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out);
    // Each of `rows` rows of y, `stride` floats apart, += a[0] x[0] + a[1] x[1] + a[2] x[2] + a[3] x[3], each of n floats; a holds four
    // weights a row.
    void (*axpy4)(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n);
    // CRC32C (Castagnoli) of bytes behind those that `crc` is of; it is 0 of none.
    u32 (*crc32c)(u32 crc, const u8 *bytes, u64 size);
};

// Puts the templates of these names, as seen from where it stands, into a table.
#define LEARNANN_TAKE_FLOAT_KERNELS(k)                      \
    do {                                                    \
        (k).dot[LEARNANN_F32] = float_kernel<float, false>; \
        (k).dot[LEARNANN_F16] = float_kernel<u16, false>;   \
        (k).dot[LEARNANN_I8] = float_kernel<i8, false>;     \
        (k).dot[LEARNANN_U8] = float_kernel<u8, false>;     \
        (k).l2[LEARNANN_F32] = float_kernel<float, true>;   \
        (k).l2[LEARNANN_F16] = float_kernel<u16, true>;     \
        (k).l2[LEARNANN_I8] = float_kernel<i8, true>;       \
        (k).l2[LEARNANN_U8] = float_kernel<u8, true>;       \
    } while (0)
#define LEARNANN_TAKE_BYTE_KERNELS(k)        \
    do {                                     \
        (k).l2_u8 = byte_kernel<u8, true>;   \
        (k).l2_i8 = byte_kernel<i8, true>;   \
        (k).dot_u8 = byte_kernel<u8, false>; \
        (k).dot_i8 = byte_kernel<i8, false>; \
    } while (0)

inline u32 record_tail_of(const u8 *records, u32 stride, u64 id) {
    return load<u32>(records + id * stride + stride - record_tail);
}

LEARNANN_END
