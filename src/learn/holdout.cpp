// holdout.cpp: see holdout.hpp.
#include "learn/holdout.hpp"

#include "learn/near.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 min_rows_to_hold_out = 1000;

bool Holdout::holds(u32 row) const { return from_rows && std::binary_search(query_rows.begin(), query_rows.end(), row); }

// By brute force: enough for a recall within a hundredth or two; fewer where it would take long.
inline u32 measured_size(const Rows &rows) {
    const double work = static_cast<double>(rows.count()) * rows.dim();
    return static_cast<u32>(clamp(1e10 / work, 32.0, 128.0));
}

// In all: for a recall within half a hundredth.
inline u32 holdout_size(const Rows &rows) { return clamp(rows.count() / 32, measured_size(rows), Holdout::most); }

inline Status take_queries(const Rows &rows, const learnann_vectors *given, u64 seed, Holdout &h, learnann_error *error) {
    const u32 d = rows.dim();
    h.from_rows = given == nullptr;
    h.count = holdout_size(rows);
    if (given) h.count = static_cast<u32>(smaller<u64>(h.count, given->count));
    else if (rows.count() < min_rows_to_hold_out) h.count = 0;
    if (h.count == 0) return LEARNANN_OK;
    h.measured = smaller(h.count, given ? 2 * measured_size(rows) : measured_size(rows));
    LEARNANN_RETURN_IF(h.queries.allocate(static_cast<u64>(h.count) * d, error));
    if (given) {
        h.given_step = given->count / h.count;
        for (u32 i = 0; i < h.count; ++i)
            if (!Rows::query_of(*given, i * h.given_step, rows.metric, h.queries.data() + static_cast<u64>(i) * d))
                return fail(error, LEARNANN_ARGUMENT, "a sample query holds NaN or infinity, or is longer than 1e18", i * h.given_step);
        return LEARNANN_OK;
    }
    LEARNANN_RETURN_IF(h.query_rows.allocate(h.count, error));
    Random random(seed);
    u32 taken = 0;
    for (u32 row = 0; row < rows.count() && taken < h.count; ++row)
        if (random.below(rows.count() - row) < h.count - taken) h.query_rows[taken++] = row;
    u32 order[Holdout::most];       // any but the rows': the first few are a sample of them all
    shuffle(order, h.count, seed + 1);
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the draw above takes exactly h.count of the rows
    for (u32 i = 0; i < h.count; ++i) rows.floats(h.query_rows[order[i]], h.queries.data() + static_cast<u64>(i) * d);
    return LEARNANN_OK;
}

Status make_holdout(const Rows &rows, const learnann_vectors *given, u32 threads, u64 seed, const Progress &progress,
                    const Allocator &allocator, Holdout &h, learnann_error *error) {
    h.query_rows.use(allocator);
    h.queries.use(allocator);
    h.truth.use(allocator);
    h.truth_rows.use(allocator);
    LEARNANN_RETURN_IF(take_queries(rows, given, seed, h, error));
    if (h.count == 0) return LEARNANN_OK;
    const u32 n = rows.count(), d = rows.dim(), others = n - (h.from_rows ? h.count : 0);
    h.neighbours = smaller(Holdout::depth, others);
    LEARNANN_RETURN_IF(h.truth.zeroes(static_cast<u64>(h.count) * Holdout::depth, error));
    LEARNANN_RETURN_IF(h.truth_rows.zeroes(static_cast<u64>(h.count) * Holdout::depth, error));

    constexpr u32 together = Holdout::together;
    const u32 groups = (h.measured + together - 1) / together, heap_size = Holdout::depth + 1;
    Array<Near> heaps(allocator);
    Array<u8> bytes(allocator);
    LEARNANN_RETURN_IF(heaps.allocate(static_cast<u64>(threads) * together * heap_size, error));
    LEARNANN_RETURN_IF(bytes.allocate(static_cast<u64>(threads) * together * d, error));
    for (u32 begin = 0; begin < groups; begin += threads) {
        LEARNANN_RETURN_IF(progress.at(static_cast<double>(begin) / groups));
        parallel(threads, smaller(threads, groups - begin), 1, [&](u64 item, u32 worker) {
            const u32 first = (begin + static_cast<u32>(item)) * together, count = smaller(together, h.measured - first);
            NearHeap nearest[together];
            ExactQuery queries[together];
            for (u32 i = 0; i < count; ++i) {
                const u64 place = static_cast<u64>(worker) * together + i;
                nearest[i] = NearHeap{heaps.data() + place * heap_size, 0, h.neighbours};
                queries[i] = rows.exact_query(h.query(first + i, d), bytes.data() + place * d);
            }
            u32 held = 0;       // query rows passed so far: they ascend, as the rows do
            for (u32 row = 0; row < n; ++row) {
                if (h.from_rows && held < h.count && h.query_rows[held] == row) {
                    ++held;
                    continue;
                }
                for (u32 i = 0; i < count; ++i) nearest[i].offer(Near{rows.distance(queries[i], row), row});
            }
            for (u32 i = 0; i < count; ++i) {
                const u64 at = static_cast<u64>(first + i) * Holdout::depth;
                nearest[i].sort();
                for (u32 j = 0; j < nearest[i].size; ++j) {
                    h.truth[at + j] = nearest[i].items[j].distance;
                    h.truth_rows[at + j] = nearest[i].items[j].row;
                }
            }
        });
    }
    return LEARNANN_OK;
}

LEARNANN_END
