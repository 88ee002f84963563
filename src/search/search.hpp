// search.hpp: queries -> hits. One code path for single, interleaved, threaded, filtered and range searches.
#pragma once

#include "search/effort.hpp"
#include "search/filter.hpp"
#include "search/query.hpp"

LEARNANN_BEGIN

struct SearchRequest {
    u32 k = 0;
    u32 effort = 0;
    const learnann_filter *filter = nullptr;
};

// The working memory of one query in flight.
struct Lane {
    Query *query = nullptr;     // one of the workspace's
    Beam beam;
    Pool accepted;          // of a filtered search: the best rows that pass
    u32 width = 0;          // of the beam
    u32 looks_at = 0;       // the rank at which a filtered search looks again whether it may end
    enum { idle, walking, fetching } stage = idle;      // fetching: the walk is over, exact rows are on their way
    u32 depth = 0;          // of the rerank
    u32 asked = 0;          // of the nearest, so many are asked of the device as soon as they are expanded

    void use(const Allocator &allocator) {
        beam.use(allocator);
        accepted.use(allocator);
    }
    u64 memory() const { return beam.bytes() + accepted.bytes(); }
};

// The working memory of one thread: some lanes, their queries and the next ones, warm after the first search.
struct Workspace {
    static constexpr u32 max_lanes = 4;
    Lane lanes[max_lanes];
    Query queries[matvec_vectors + max_lanes];

    void use(const Allocator &allocator) {
        for (Lane &lane : lanes) lane.use(allocator);
        for (Query &query : queries) query.use(allocator);
    }
    u64 memory() const {
        u64 bytes = sizeof *this;
        for (const Lane &lane : lanes) bytes += lane.memory();
        for (const Query &query : queries) bytes += query.memory();
        return bytes;
    }
};

// The queries [begin, end), several at once, one in each lane. Adds to stats. error->file_offset is the query at fault.
Status search_queries(const FileView &view, Workspace &space, const learnann_vectors &queries, u64 begin, u64 end,
                      const SearchRequest &request, learnann_hit *hits, u32 *counts, learnann_search_stats &stats,
                      learnann_error *error);

// All rows within a distance, nearest first, at most request.k of them.
Status search_range(const FileView &view, Workspace &space, const learnann_vectors &query, float max_distance,
                    const SearchRequest &request, learnann_hit *hits, u32 &count, learnann_search_stats &stats,
                    learnann_error *error);

LEARNANN_END
