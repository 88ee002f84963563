// copies.hpp: rows whose codes are equal. A walk can't tell them apart, so insertion would let them fill each other's lists, and
// nothing would lead out of them. One of each kind, the original, is linked as any row; the others hang on it in a tree.
#pragma once

#include "learn/graph.hpp"

LEARNANN_BEGIN

struct Copy {
    u32 row, parent;        // the original, or another copy of it that comes before
};

// Takes the copies out of rows[0..count), and leaves count - copies.size() originals: of equal rows the first. The order stays.
Status set_copies_apart(const CodeSpace &space, u32 *rows, u32 count, const Allocator &allocator, Array<Copy> &copies,
                        learnann_error *error);

// Links copies to their parents and back, in front of what the lists hold: of full ones the last edge falls out.
void link_copies(EdgeLists &edges, const Copy *copies, u32 count);

LEARNANN_END
