// copies.hpp: rows whose codes are equal. A walk can't tell them apart, so insertion would let them fill each other's lists, and
// nothing would lead out of them. One of each kind, the original, is linked as any row; the others hang on it in a tree.
#pragma once

#include "learn/graph.hpp"

LEARNANN_BEGIN

// Moves the copies among rows[0..count) behind the originals; of equal rows the first is the original. The last parents.size() rows
// are then the copies: each one's parent is the original, or another copy of it.
Status set_copies_apart(const CodeSpace &space, u32 *rows, u32 count, const Allocator &allocator, Array<u32> &parents,
                        learnann_error *error);

// Links copies to their parents and back, in front of what the lists hold: of full ones the last edge falls out.
void link_copies(EdgeLists &edges, const u32 *copies, const Array<u32> &parents);

LEARNANN_END
