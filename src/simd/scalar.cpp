// scalar.cpp: the kernels in plain C++: the fallback of every machine, and the oracle of every other table.
#include "simd/dispatch.hpp"

LEARNANN_BEGIN

namespace scalar {

LEARNANN_LOOPS();

inline float element(const float *row, u32 i) { return load<float>(row + i); }
inline float element(const u16 *row, u32 i) { return finite_half_to_float(load<u16>(row + i)); }
inline float element(const i8 *row, u32 i) { return static_cast<float>(row[i]); }
inline float element(const u8 *row, u32 i) { return static_cast<float>(row[i]); }

template <class T> float dot(const float *query, const void *row, u32 dim) {
    float sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += query[i] * element(static_cast<const T *>(row), i);
    return sum;
}

template <class T> float l2(const float *query, const void *row, u32 dim) {
    float sum = 0;
    for (u32 i = 0; i < dim; ++i) {
        const float d = query[i] - element(static_cast<const T *>(row), i);
        sum += d * d;
    }
    return sum;
}

template <class T> u32 l2_bytes(const u8 *a, const u8 *b, u32 dim) {
    u32 sum = 0;
    for (u32 i = 0; i < dim; ++i) {
        const i32 d = static_cast<T>(a[i]) - static_cast<T>(b[i]);
        sum += static_cast<u32>(d * d);
    }
    return sum;
}

template <class T> u32 dot_bytes(const u8 *a, const u8 *b, u32 dim) {
    u32 sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += static_cast<u32>(static_cast<T>(a[i]) * static_cast<T>(b[i]));
    return sum;
}

inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates) {
    for (u32 i = 0; i < count; ++i) {
        const u8 *record = records + static_cast<u64>(ids ? ids[i] : i) * stride;
        const i8 *first = query.code, *second = query.plane(1, stride), *third = query.plane(2, stride), *fourth = query.plane(3, stride);
        i32 bytes = 0, nibbles = 0, crumbs = 0;
        for (u32 j = 0; j < smaller(query.nibbles_at, stride - record_tail); ++j) bytes += record[j] * first[j];
        for (u32 j = query.nibbles_at; j < query.crumbs_at; ++j) nibbles += (record[j] & 15) * first[j] + (record[j] >> 4) * second[j];
        for (u32 j = query.crumbs_at; j < stride; ++j)
            crumbs += (record[j] & 3) * first[j] + (record[j] >> 4 & 3) * second[j] + (record[j] >> 2 & 3) * third[j] + (record[j] >> 6) * fourth[j];
        const i32 dot = bytes - query.bias + nibbles * (1 << query.nibble_shift) + crumbs * (1 << query.crumb_shift) - query.packed_bias;
        estimates[i] = finish_estimate(query, dot, load<u32>(record + stride - record_tail));
    }
}

// Looked up in blocks before they are marked, as vectors do: two ids of a block that share a place are both fresh.
inline u32 unseen(const IdList &ids, const SeenTags &seen, u32 rows, u32 *fresh, u64 &bad) {
    u32 found = 0;
    for (u32 begin = 0; begin < ids.count; begin += unseen_block) {
        const u32 end = smaller(begin + unseen_block, ids.count), first = found;
        for (u32 i = begin; i < end; ++i) {
            const u32 id = ids[i];
            bad += id >= rows;
            fresh[found] = id;
            found += id < rows && seen.tags[seen.place(id)] != seen.base + id;
        }
        for (u32 i = first; i < found; ++i) seen.tags[seen.place(fresh[i])] = seen.base + fresh[i];
    }
    return found;
}

// The place that an item which is not the last or behind it gets; `width` where it was there already.
// Where there are few, moving them one by one until the place is found takes less than to look for it first.
inline u32 insert_among_few(i64 *items, u32 width, i64 fresh) {
    const i64 last = items[width - 1];
    u32 place = width - 1;
    for (; place > 0 && items[place - 1] > (fresh | 1); --place) items[place] = items[place - 1];
    if (place > 0 && (items[place - 1] | 1) == (fresh | 1)) {      // it was there: the others get back
        std::memmove(items + place, items + place + 1, (width - 1 - place) * sizeof(i64));
        items[width - 1] = last;
        return width;
    }
    items[place] = fresh;
    return place;
}

inline u32 insert_among_many(i64 *items, u32 width, i64 fresh) {
    const u32 place = first_not_below(items, width, fresh);
    if ((items[place] | 1) == (fresh | 1)) return width;
    std::memmove(items + place + 1, items + place, (width - 1 - place) * sizeof(i64));
    items[place] = fresh;
    return place;
}

inline u32 insert_sorted(i64 *items, u32 width, const i64 *fresh, u32 count) {
    constexpr u32 few = 64;
    u32 first = width;
    for (u32 f = 0; f < count; ++f)
        if ((fresh[f] | 1) < items[width - 1])
            first = smaller(first, width <= few ? insert_among_few(items, width, fresh[f]) : insert_among_many(items, width, fresh[f]));
    return first;
}

inline void matvec(const u8 *matrix, u32 rows, u32 cols, const i8 *const *x, u32 count, i32 *const *out) {
    for (u32 r = 0; r < rows; ++r)
        for (u32 q = 0; q < count; ++q) {
            i32 sum = 0;
            for (u32 c = 0; c < cols; ++c) sum += (matrix[static_cast<u64>(r) * cols + c] - 128) * x[q][c];
            out[q][r] = sum;
        }
}

inline void multiply_tiles(const u8 *rows, u32 tiles, u32 cols, const i8 *const x[tile_vectors], i32 *out) {
    for (u32 t = 0; t < tiles; ++t, rows += static_cast<u64>(cols) * tile_rows)
        for (u32 q = 0; q < tile_vectors; ++q) {
            i32 sums[tile_rows] = {};
            const u8 *at = rows;
            for (u32 c = 0; c < cols; c += 4) {
                const i8 *y = x[q] + c;
                for (u32 r = 0; r < tile_rows; ++r, at += 4)
                    sums[r] += (at[0] - 128) * y[0] + (at[1] - 128) * y[1] + (at[2] - 128) * y[2] + (at[3] - 128) * y[3];
            }
            std::memcpy(out + (static_cast<u64>(q) * tiles + t) * tile_rows, sums, sizeof sums);
        }
}

inline void axpy4(float *y, u64 stride, u32 rows, const float *const x[4], const float *a, u32 n) {
    for (u32 row = 0; row < rows; ++row, y += stride, a += 4)
        for (u32 i = 0; i < n; ++i) y[i] += a[0] * x[0][i] + a[1] * x[1][i] + a[2] * x[2][i] + a[3] * x[3][i];
}

// Eight bytes a step (Kounavis and Berry 2005).
struct CrcTables {
    u32 at[8][256];
    CrcTables() {
        for (u32 i = 0; i < 256; ++i) {
            u32 c = i;
            for (int bit = 0; bit < 8; ++bit) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
            at[0][i] = c;
        }
        for (u32 i = 0; i < 256; ++i)
            for (int t = 1; t < 8; ++t) at[t][i] = at[t - 1][i] >> 8 ^ at[0][at[t - 1][i] & 255];
    }
};

inline u32 crc32c(u32 crc, const u8 *bytes, u64 size) {
    static const CrcTables tables;
    const auto &t = tables.at;
    crc = ~crc;
    for (; size >= 8; size -= 8, bytes += 8) {
        const u64 v = load<u64>(bytes) ^ crc;
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^
              t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; size > 0; --size, ++bytes) crc = crc >> 8 ^ t[0][(crc ^ *bytes) & 255];
    return ~crc;
}

}  // namespace scalar

const Kernels &scalar_kernels() {
    using namespace scalar;
    static const Kernels table = [] {
        Kernels k{};
        k.name = "scalar";
        k.score = score;
        k.unseen = unseen;
        k.insert_sorted = insert_sorted;
        k.loops = compiled_loops;
        k.dot[LEARNANN_F32] = dot<float>;
        k.dot[LEARNANN_F16] = dot<u16>;
        k.dot[LEARNANN_I8] = dot<i8>;
        k.dot[LEARNANN_U8] = dot<u8>;
        k.l2[LEARNANN_F32] = l2<float>;
        k.l2[LEARNANN_F16] = l2<u16>;
        k.l2[LEARNANN_I8] = l2<i8>;
        k.l2[LEARNANN_U8] = l2<u8>;
        k.l2_u8 = l2_bytes<u8>;
        k.l2_i8 = l2_bytes<i8>;
        k.dot_u8 = dot_bytes<u8>;
        k.dot_i8 = dot_bytes<i8>;
        k.matvec = matvec;
        k.multiply_tiles = multiply_tiles;
        k.axpy4 = axpy4;
        k.crc32c = crc32c;
        return k;
    }();
    return table;
}

LEARNANN_END
