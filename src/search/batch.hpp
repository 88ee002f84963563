// batch.hpp: many queries, shared out over threads.
#pragma once

#include "search/search.hpp"

LEARNANN_BEGIN

// search_queries() for all of them, on at most `threads` threads, each with working memory of its own from the allocator. Adds to stats.
// Of several failures the one about the first query is told.
Status search_batch(const FileView &view, const learnann_vectors &queries, const SearchRequest &request, u32 threads,
                    const Allocator &allocator, learnann_hit *hits, u32 *counts, learnann_search_stats &stats, learnann_error *error);

LEARNANN_END
