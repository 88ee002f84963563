// copies.cpp: see copies.hpp.
#include "learn/copies.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 children = 8;     // of a node of the tree

Status set_copies_apart(const CodeSpace &space, u32 *rows, u32 count, const Allocator &allocator, Array<Copy> &copies,
                        learnann_error *error) {
    const u32 coded = space.stride() - 4;       // the rest is the adjacency's offset
    Array<u64> hashes(allocator);               // hash << 32 | position
    Array<u32> parent_at(allocator);
    LEARNANN_RETURN_IF(hashes.allocate(count, error));
    LEARNANN_RETURN_IF(parent_at.allocate(count, error));
    for (u32 i = 0; i < count; ++i) {
        hashes[i] = static_cast<u64>(crc32c(0, space.record(rows[i]), coded)) << 32 | i;
        parent_at[i] = no_row;
    }
    std::sort(hashes.begin(), hashes.end());

    // Of a run of one hash, those that equal its first; two kinds of one hash are rare, and the second kind's copies stay rows.
    const auto position = [&](u32 i) { return static_cast<u32>(hashes[i]); };
    u32 first = 0, equal = 0, found = 0;
    for (u32 i = 0; i < count; ++i) {
        if (i == 0 || hashes[i] >> 32 != hashes[first] >> 32) first = i, equal = 0;
        if (std::memcmp(space.record(rows[position(i)]), space.record(rows[position(first)]), coded) != 0) continue;
        std::swap(hashes[first + equal], hashes[i]);        // equal ones side by side
        if (equal > 0) parent_at[position(first + equal)] = rows[position(first + (equal - 1) / children)];
        found += equal++ > 0;
    }
    LEARNANN_RETURN_IF(copies.allocate(found, error));
    u32 originals = 0, taken = 0;
    for (u32 i = 0; i < count; ++i) {
        if (parent_at[i] == no_row) rows[originals++] = rows[i];
        else copies[taken++] = Copy{rows[i], parent_at[i]};
    }
    return LEARNANN_OK;
}

inline void link_first(EdgeLists &edges, u32 from, u32 to) {
    u32 *const list = edges.of(from), *const first = list + edges.pinned[from];
    u8 &degree = edges.degrees[from];
    if (std::find(list, list + degree, to) != list + degree) return;
    if (degree < edges.capacity) ++degree;
    std::memmove(first + 1, first, static_cast<size_t>(list + degree - first - 1) * sizeof(u32));
    *first = to;
}

void link_copies(EdgeLists &edges, const Copy *copies, u32 count) {
    for (u32 i = 0; i < count; ++i) {
        link_first(edges, copies[i].parent, copies[i].row);
        link_first(edges, copies[i].row, copies[i].parent);
    }
}

LEARNANN_END
