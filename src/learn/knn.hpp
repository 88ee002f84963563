// knn.hpp: the exact graph of nearest neighbours, by brute force over the rows as they were given.
#pragma once

#include "learn/graph.hpp"
#include "learn/rows.hpp"

LEARNANN_BEGIN

// What comparing all pairs of rows costs, in element pairs, and what is refused as too much: beyond some ten minutes on two cores.
inline double knn_work(u64 rows, u32 dim) { return static_cast<double>(rows) * static_cast<double>(rows) * dim; }
constexpr double most_knn_work = 2e13;

constexpr u32 knn_together = 32;        // rows that a thread compares with all others at a time
// Bytes of a thread: their vectors, as floats and as bytes, and the nearest so far.
inline u64 knn_thread_bytes(u32 dim, u32 degree) { return knn_together * (5ull * dim + 16ull * degree + 256); }

// Links each row to its `degree` nearest others, nearest first, of equally near ones those with the smallest row numbers. The
// lists are by slot, and empty.
Status link_nearest(const Rows &rows, const Array<u32> &row_of_slot, const Array<u32> &slot_of_row, u32 degree,
                    const BuildContext &build, EdgeLists &edges, learnann_error *error);

LEARNANN_END
