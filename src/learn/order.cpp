// order.cpp: see order.hpp.
#include "learn/order.hpp"

#include "base/parallel.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

constexpr u32 split_dims = 24;      // the leading dimensions hold most of the variance
constexpr u32 leaf = 16;

struct Cell {
    u32 begin, end;
};

// The dimension along which a sample of the cell varies most.
u32 widest(const CodeSpace &space, const u32 *order, Cell cell) {
    const u32 dims = smaller(space.codec->byte_dims(), split_dims), size = cell.end - cell.begin, sample = smaller(size, 128u);
    i64 sum[split_dims] = {}, square[split_dims] = {};
    for (u32 i = 0; i < sample; ++i) {
        const u8 *record = space.record(order[cell.begin + static_cast<u32>(static_cast<u64>(i) * size / sample)]);
        for (u32 j = 0; j < dims; ++j) {
            const i64 value = record[j];
            sum[j] += value;
            square[j] += value * value;
        }
    }
    u32 best = 0;
    i64 best_spread = -1;
    for (u32 j = 0; j < dims; ++j) {
        const i64 spread = square[j] * sample - sum[j] * sum[j];
        if (spread > best_spread) best_spread = spread, best = j;
    }
    return best;
}

u32 split(const CodeSpace &space, u32 *order, Cell cell) {
    const u32 dim = widest(space, order, cell), middle = cell.begin + (cell.end - cell.begin) / 2;
    std::nth_element(order + cell.begin, order + middle, order + cell.end, [&](u32 a, u32 b) {
        const u8 x = space.record(a)[dim], y = space.record(b)[dim];
        return x != y ? x < y : a < b;
    });
    return middle;
}

// Splits down to the leaves. A half waits for each level of the tree, which halves: 64 are enough for any number of rows.
void split_all(const CodeSpace &space, u32 *order, Cell cell) {
    Cell stack[64];
    u32 depth = 0;
    stack[depth++] = cell;
    while (depth > 0) {
        const Cell top = stack[--depth];
        if (top.end - top.begin <= leaf) continue;
        const u32 middle = split(space, order, top);
        stack[depth++] = Cell{top.begin, middle};
        stack[depth++] = Cell{middle, top.end};
    }
}

}  // namespace

Status spatial_order(const CodeSpace &space, const BuildContext &build, Array<u32> &order, learnann_error *error) {
    order.use(build.allocator);
    LEARNANN_RETURN_IF(order.allocate(space.rows, error));
    for (u32 i = 0; i < space.rows; ++i) order[i] = i;
    constexpr u32 most = 64;        // cells that build.threads share out
    Cell cells[most];
    u32 count = 1;
    cells[0] = Cell{0, space.rows};
    while (count < most) {
        const u32 level = count;
        for (u32 i = 0; i < level; ++i) {
            const Cell c = cells[i];
            const u32 middle = c.end - c.begin > leaf ? split(space, order.data(), c) : c.end;
            cells[i] = Cell{c.begin, middle};
            cells[count++] = Cell{middle, c.end};
        }
    }
    parallel(build.threads, count, 1, [&](u64 i, u32) { split_all(space, order.data(), cells[i]); });
    return LEARNANN_OK;
}

LEARNANN_END
