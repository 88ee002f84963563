// scan.hpp: the best rows by code of many queries, by comparing all of them.
#pragma once

#include "base/parallel.hpp"
#include "learn/tiles.hpp"

#include <algorithm>
#include <limits>

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

// Bytes of that, at most: seven arrays, each of which may be 64 longer than it has to be.
inline u64 query_memory_bytes(u32 dim, u32 code_dim, u32 record_bytes) {
    return 9ull * dim + projection_cols(dim) + 8ull * code_dim + query_bytes(record_bytes) + 7ull * 64;
}

// The best rows by code of a query: Pool items, best first.
struct BestRows {
    const i64 *items;
    u32 count;
    u32 row(u32 i) const { return Pool::id_of(items[i]); }
};

// What one thread compares all rows with at once, and where it keeps what is best.
class Scanner {
public:
    static constexpr u32 most_together = 128;       // queries
    QueryMemory memory;

    // For up to `together` queries.
    Status prepare(const CodeSpace &space, u32 together, u32 best, const Allocator &a, learnann_error *error) {
        best_ = best;
        codes_.use(a);
        queries_.use(a);
        items_.use(a);
        rows_.use(a);
        LEARNANN_RETURN_IF(memory.prepare(space, a, error));
        LEARNANN_RETURN_IF(panel_.reserve(Panel::padded(space.codec->code_dim), block, a, error));
        LEARNANN_RETURN_IF(codes_.zeroes(static_cast<u64>(together) * panel_.cols, error));
        LEARNANN_RETURN_IF(queries_.allocate(together, error));
        LEARNANN_RETURN_IF(rows_.allocate(block, error));
        return items_.allocate(together * room(), error);
    }
    static u64 bytes(u32 dim, u32 code_dim, u32 record_bytes, u32 best) {
        const u64 of_query = Panel::padded(code_dim) + sizeof(Asked) + 16ull * (best + panel_block);
        return query_memory_bytes(dim, code_dim, record_bytes) + block * (Panel::bytes_a_row(code_dim) + 4) + most_together * of_query;
    }

    // For queries [first, first + count). load(query, x) fills in the vector as the codec wants it; skip(query, row) leaves rows out.
    template <class Load, class Skip> void scan(const CodeSpace &space, u32 first, u32 count, Load load, Skip skip) {
        for (u32 q = 0; q < count; ++q) {
            load(first + q, memory.codec.x.data());
            ask(space, q);
        }
        for (u32 begin = 0; begin < space.rows; begin += block) {
            const u32 size = smaller(block, space.rows - begin), padded = static_cast<u32>(round_up(size, tile_rows));
            for (u32 i = 0; i < padded; ++i) rows_[i] = i < size ? begin + i : no_row;
            panel_.unpack(space, rows_.data(), 0, padded);
            compare(panel_, 0, padded, count, [&](u32 q) -> const PanelQuery & { return queries_[q].panel; },
                    [&](u32 q) { return queries_[q].bound; },
                    [&](u32 q, u32 found, const float *distances, const u32 *places) {
                        Asked &asked = queries_[q];
                        for (u32 i = 0; i < found; ++i) {
                            items(q)[asked.found] = item_of(distances[i] / asked.up, begin + places[i]);
                            asked.found += !skip(first + q, begin + places[i]);
                        }
                        if (asked.found + panel_block > room()) thin_out(q);
                    });
        }
    }
    // Once they were scanned.
    BestRows best(u32 q) {
        i64 *const from = items(q);
        std::sort(from, from + queries_[q].found);
        return BestRows{from, smaller(queries_[q].found, best_)};
    }

private:
    static constexpr u32 block = 1024;      // rows
    struct Asked {
        PanelQuery panel;
        float up;           // of a query far out, estimates are in so many squared steps
        float bound;        // what is no nearer is not among the best
        u32 found;          // near ones, the best among them
    };
    u64 room() const { return 2ull * (best_ + panel_block); }
    i64 *items(u32 q) { return items_.data() + q * room(); }
    void thin_out(u32 q) {
        i64 *const from = items(q);
        std::nth_element(from, from + best_ - 1, from + queries_[q].found);
        queries_[q].found = best_;
        queries_[q].bound = bound_of(from[best_ - 1]) * queries_[q].up;
    }
    void ask(const CodeSpace &space, u32 q) {
        const Codec &codec = *space.codec;
        i8 *const code = codes_.data() + static_cast<u64>(q) * panel_.cols;
        const QueryCode terms = quantise_query(codec, project(codec, memory.codec), code).code;
        const i32 right = space.inner ? 0 : static_cast<i32>(codec.norm_left + terms.norm_right) - static_cast<i32>(terms.norm_left);
        const float up = static_cast<float>(1u << right);
        queries_[q] = Asked{PanelQuery{code, up, up * static_cast<float>(terms.residual_weight) / 16}, up, std::numeric_limits<float>::max(), 0};
    }

    u32 best_ = 0;
    Panel panel_;
    Array<i8> codes_;
    Array<Asked> queries_;
    Array<i64> items_;
    Array<u32> rows_;
};

// Of a thread in each_best(), which looks for no more than 256 rows.
inline u64 scan_thread_bytes(u32 dim, u32 code_dim, u32 record_bytes) { return Scanner::bytes(dim, code_dim, record_bytes, 256); }

// Calls visit(query, best, memory) for every query in [begin, end): its best rows by code, and the thread's memory. load and skip as of
// Scanner::scan().
template <class Load, class Skip, class Visit>
Status each_best(const CodeSpace &space, u32 begin, u32 end, u32 best, const BuildContext &build, Load load, Skip skip, Visit visit,
                 learnann_error *error) {
    if (begin == end) return LEARNANN_OK;
    const u32 share = (end - begin + build.threads - 1) / build.threads;    // NOLINT(clang-analyzer-core.DivideZero): one at least
    const u32 together = smaller(static_cast<u32>(round_up(share, tile_vectors)), Scanner::most_together);
    Scanner workers[max_threads];
    for (u32 t = 0; t < build.threads; ++t) LEARNANN_RETURN_IF(workers[t].prepare(space, together, best, build.allocator, error));
    parallel(build.threads, (end - begin + together - 1) / together, 1, [&](u64 item, u32 worker) {
        const u32 first = begin + static_cast<u32>(item) * together, count = smaller(together, end - first);
        Scanner &w = workers[worker];
        w.scan(space, first, count, load, skip);
        for (u32 q = 0; q < count; ++q) visit(first + q, w.best(q), w.memory);
    });
    return LEARNANN_OK;
}

LEARNANN_END
