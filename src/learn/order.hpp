// order.hpp: the order of rows in the file. Rows that searches touch together should share cache lines' neighbours and pages.
#pragma once

#include "base/parallel.hpp"
#include "learn/code_space.hpp"

LEARNANN_BEGIN

// order[slot] = row, by recursive median splits of the rows at the widest of the leading code dimensions (a k-d tree's
// leaves from left to right).
Status spatial_order(const CodeSpace &space, const BuildContext &build, Array<u32> &order, learnann_error *error);

LEARNANN_END
