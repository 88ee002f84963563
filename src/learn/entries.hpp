// entries.hpp: the rows that searches may start from, arranged so that a search need not compare all of them with its query.
#pragma once

#include "learn/cluster.hpp"
#include "search/beam.hpp"

LEARNANN_BEGIN

// Entry rows with their records side by side, in groups of near ones, each with its middle first. Under inner product, where the
// best entries lie apart, all of them are one group.
struct EntryTable {
    Array<u32> rows;
    Array<u8> records;
    u32 group = 1;
    LayersView layers;      // where some are shown, walks descend through them instead

    // The records of the rows.
    Status fill(const CodeSpace &space, learnann_error *error);
    // Brings the rows into groups, and fills.
    Status arrange(const CodeSpace &space, const Allocator &allocator, learnann_error *error);
    EntryView view(u32 stride) const { return EntryView{records.data(), stride, static_cast<u32>(rows.size()), group}; }
};

LEARNANN_END
