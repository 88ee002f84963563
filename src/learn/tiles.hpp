// tiles.hpp: rows of code space unpacked, once for many queries that are compared with them: then a comparison takes a few cycles.
#pragma once

#include "learn/code_space.hpp"
#include "search/beam.hpp"

#include <limits>

LEARNANN_BEGIN

// Rows unpacked, in whole tiles. A place may hold none: that is never near.
struct Panel {
    u32 cols = 0;               // code_dim, padded
    Array<u8> codes;            // tiles of `cols` (Kernels::multiply_tiles)
    Array<float> norms;         // in squared code steps
    Array<float> scales;        // twice the steps of the codes
    Array<float> residuals;

    Status reserve(u32 padded_dim, u32 rows, const Allocator &allocator, learnann_error *error);
    // Into a place: `cols` codes, and what else makes up a distance from them (PanelQuery).
    void put(u32 place, const i8 *code, float norm, float scale, float residual);
    void leave_empty(u32 place);
    // To the places from `first` on; that and `count` are multiples of tile_rows. Some of the rows may be no_row.
    void unpack(const CodeSpace &space, const u32 *rows, u32 first, u32 count);
    const u8 *of(u32 place) const { return codes.data() + static_cast<u64>(place) * cols; }

    static u32 padded(u32 code_dim) { return static_cast<u32>(round_up(code_dim, 4)); }
    static u64 bytes_a_row(u32 code_dim) { return padded(code_dim) + 3 * sizeof(float); }
};

// A query that is compared with a panel's rows: norm - scale scales dot - weight residual is its distance from a row, but for a constant.
struct PanelQuery {
    const i8 *code = nullptr;   // `cols`, of which those behind the dimensions are 0
    float scale = 1;            // steps of its code
    float weight = 0;           // of residuals
};

// The codes of a row, `cols` of them. `code` has max_code_dim.
void unpack_codes(const CodeSpace &space, u32 row, u32 cols, i8 *code);

// A distance as a Pool item. In a file that no build made, tails may hold more than an estimate does.
inline i64 item_of(float distance, u32 id) { return Pool::item(static_cast<i32>(clamp(distance, -2147483648.0f, 2147483520.0f)), id); }
// What is no nearer than that is no better than an item: items drop a bit, and what comes after the point.
inline float bound_of(i64 item) { return item == Pool::nothing ? std::numeric_limits<float>::max() : static_cast<float>(Pool::estimate_of(item)) + 2; }

constexpr u32 panel_block = 64;     // rows: what is found among them may lower the bound for the next

// Compares `count` queries with a panel's rows [first, first + size), whole tiles: near(q, found, distances, places) for those that lie nearer than
// bound(q), which is asked again and again. query(q) is a PanelQuery.
template <class Query, class Bound, class Near>
void compare(const Panel &panel, u32 first, u32 size, u32 count, Query query, Bound bound, Near near) {
    for (u32 begin = 0; begin < count; begin += tile_vectors) {
        const i8 *codes[tile_vectors];
        for (u32 q = 0; q < tile_vectors; ++q) codes[q] = query(smaller(begin + q, count - 1)).code;
        for (u32 at = first; at < first + size; at += panel_block) {
            const u32 rows = smaller(panel_block, first + size - at);
            i32 dots[tile_vectors * panel_block];
            kernels().multiply_tiles(panel.of(at), rows / tile_rows, panel.cols, codes, dots);
            for (u32 q = begin; q < smaller(begin + tile_vectors, count); ++q) {
                float distances[panel_block];
                u32 places[panel_block];
                const PanelQuery &asked = query(q);
                const loops::Compared compared{dots + static_cast<u64>(q - begin) * rows, panel.norms.data() + at, panel.scales.data() + at, panel.residuals.data() + at, rows};
                const u32 found = kernels().loops.nearer(compared, asked.scale, asked.weight, bound(q), distances, places);
                for (u32 i = 0; i < found; ++i) places[i] += at;
                if (found) near(q, found, distances, places);
            }
        }
    }
}

LEARNANN_END
