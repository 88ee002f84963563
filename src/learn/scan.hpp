// scan.hpp: the best rows by code of many queries, by comparing all of them.
#pragma once

#include "base/parallel.hpp"
#include "learn/code_space.hpp"
#include "learn/holdout.hpp"
#include "search/beam.hpp"

LEARNANN_BEGIN

// Working memory for one query: its vector goes to codec.x.
struct QueryMemory {
    CodecScratch codec;
    Array<i8> code;
    Array<u8> bytes;

    Status prepare(const CodeSpace &space, const Allocator &a, learnann_error *error) {
        codec.use(a);
        code.use(a);
        bytes.use(a);
        LEARNANN_RETURN_IF(codec.allocate(*space.codec, error));    // NOLINT(clang-analyzer-core.NonNullParamChecker): set with records
        LEARNANN_RETURN_IF(code.allocate(query_bytes(space.stride()), error));
        return bytes.allocate(space.codec->dim, error);
    }
    EncodedQuery encode(const CodeSpace &space) { return encode_query(*space.codec, project(*space.codec, codec), code.data()); }
};

struct Scanner : QueryMemory {
    Pool pool;
};

// Bytes of that, at most: seven arrays, each of which may be 64 longer than it has to be.
inline u64 query_memory_bytes(u32 dim, u32 code_dim, u32 record_bytes) {
    return 9ull * dim + projection_cols(dim) + 8ull * code_dim + query_bytes(record_bytes) + 7ull * 64;
}
// Of a thread in each_best(), whose pools hold no more than 256 rows.
inline u64 scan_thread_bytes(u32 dim, u32 code_dim, u32 record_bytes) {
    return Holdout::together * (query_memory_bytes(dim, code_dim, record_bytes) + 8192);
}

// The best rows for queries [first, end), which share each block of rows while it is in cache: in the workers' pools.
template <class Load, class Skip>
void best_by_code(const CodeSpace &space, u32 first, u32 end, u32 best, Load load, Skip skip, Scanner *workers) {
    constexpr u32 block = 256;
    EncodedQuery queries[Holdout::together];
    for (u32 q = first; q < end; ++q) {
        Scanner &w = workers[q - first];
        load(q, w.codec.x.data());
        queries[q - first] = w.encode(space);
        (void)w.pool.prepare(best, 0, nullptr);
    }
    i32 estimates[block];
    i64 near[block + 1];
    for (u32 begin = 0; begin < space.rows; begin += block) {
        const u32 size = smaller(block, space.rows - begin);
        for (u32 q = first; q < end; ++q) {
            Pool &pool = workers[q - first].pool;
            kernels().score(queries[q - first].code, space.record(begin), space.stride(), nullptr, size, estimates);
            const u32 found = Pool::nearer(estimates, size, pool.worst(), [=](u32 i) { return begin + i; }, near);
            u32 kept = 0;
            for (u32 i = 0; i < found; ++i)
                if (!skip(q, Pool::id_of(near[i]))) near[kept++] = near[i];
            pool.insert(near, kept);
        }
    }
}

// Calls visit(query, worker) for every query in [begin, end), its best rows by code in the worker's pool. load(query, x) fills in
// the vector as the codec wants it; skip(query, row) leaves rows out.
template <class Load, class Skip, class Visit>
Status each_best(const CodeSpace &space, u32 begin, u32 end, u32 best, const BuildContext &build, Load load, Skip skip, Visit visit,
                 learnann_error *error) {
    if (begin == end) return LEARNANN_OK;
    Scanner workers[max_threads][Holdout::together];
    for (u32 t = 0; t < build.threads; ++t)
        for (Scanner &w : workers[t]) {
            w.pool.use(build.allocator);
            LEARNANN_RETURN_IF(w.prepare(space, build.allocator, error));
            LEARNANN_RETURN_IF(w.pool.prepare(best, 0, error));
        }
    constexpr u32 together = Holdout::together;
    parallel(build.threads, (end - begin + together - 1) / together, 1, [&](u64 item, u32 worker) {
        const u32 first = begin + static_cast<u32>(item) * together, last = smaller(first + together, end);
        best_by_code(space, first, last, best, load, skip, workers[worker]);
        for (u32 q = first; q < last; ++q) {
            Scanner &w = workers[worker][q - first];
            w.pool.settle();
            visit(q, w);
        }
    });
    return LEARNANN_OK;
}

LEARNANN_END
