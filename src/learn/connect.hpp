// connect.hpp: makes every row reachable from the entries, and lays the edges out as the file keeps them.
#pragma once

#include "learn/graph.hpp"

LEARNANN_BEGIN

// Edges beyond the lists' capacity, from rows that lead to rows which nothing else led to.
struct Bridge {
    u32 from, to;
    bool operator<(const Bridge &o) const { return from != o.from ? from < o.from : to < o.to; }
};

// Finds every row that no path from the first entry reaches, other entries too, so that each search can reach all rows; and bridges to
// it from the nearest row that is reached. Sorted.
Status bridge_gaps(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Allocator &allocator,
                   Array<Bridge> &bridges, u32 &bridge_count, learnann_error *error);

// The adjacency section: each row's edges and bridges. Sets the offsets in the records.
struct Adjacency {
    Array<u8> bytes;
    u64 edges = 0;
    u32 max_degree = 0;
};
Status lay_out_edges(const CodeSpace &space, const EdgeLists &edges, const Array<Bridge> &bridges, u32 bridge_count,
                     u8 *records, const Allocator &allocator, Adjacency &out, learnann_error *error);

LEARNANN_END
