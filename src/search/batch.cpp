// batch.cpp: see batch.hpp.
#include "search/batch.hpp"

#include "base/os.hpp"

#include <atomic>

LEARNANN_BEGIN

namespace {

struct Batch {
    struct Outcome {
        Status status;
        learnann_error error;
        learnann_search_stats stats;
    };
    static constexpr u64 run = 64;      // queries that a thread takes at a time

    const FileView &view;
    const learnann_vectors &queries;
    const SearchRequest &request;
    const Allocator &allocator;
    learnann_hit *hits = nullptr;
    u32 *counts = nullptr;
    std::atomic<u64> next{0};
    Array<Outcome> outcomes{allocator};

    static void work(void *self, u32 worker) { static_cast<Batch *>(self)->search(static_cast<Batch *>(self)->outcomes[worker]); }

    void search(Outcome &o) {
        Workspace *const space = make<Workspace>(allocator);
        if (!space) {
            o.status = fail_nomem(&o.error, sizeof(Workspace));
            return;
        }
        space->use(allocator);
        while (o.status == LEARNANN_OK) {
            const u64 begin = next.fetch_add(run, std::memory_order_relaxed);
            if (begin >= queries.count) break;
            o.status = search_queries(view, *space, queries, begin, smaller(begin + run, queries.count), request, hits, counts, o.stats, &o.error);
        }
        destroy(space, allocator);
    }
};

void add_stats(learnann_search_stats &sum, const learnann_search_stats &s) {
    sum.queries += s.queries;
    sum.distances += s.distances;
    sum.entry_distances += s.entry_distances;
    sum.reranked += s.reranked;
    sum.hops += s.hops;
    sum.scanned += s.scanned;
    sum.bad_ids += s.bad_ids;
    if (s.queries) sum.stop = s.stop;
}

}  // namespace

Status search_batch(const FileView &view, const learnann_vectors &queries, const SearchRequest &request, u32 threads,
                    const Allocator &allocator, learnann_hit *hits, u32 *counts, learnann_search_stats &stats, learnann_error *error) {
    const u64 runs = (queries.count + Batch::run - 1) / Batch::run;
    threads = static_cast<u32>(clamp<u64>(runs, 1, threads));
    Batch batch{view, queries, request, allocator};
    batch.hits = hits;
    batch.counts = counts;
    LEARNANN_RETURN_IF(batch.outcomes.zeroes(threads, error));
    run_threads(threads, Batch::work, &batch);
    Status status = LEARNANN_OK;
    for (const Batch::Outcome &o : batch.outcomes) {
        add_stats(stats, o.stats);
        if (o.status == LEARNANN_OK) continue;
        if (status == LEARNANN_OK || (error && o.error.file_offset < error->file_offset)) {
            status = o.status;
            if (error) *error = o.error;
        }
    }
    return status;
}

LEARNANN_END
