// holdout.cpp: see holdout.hpp.
#include "learn/holdout.hpp"

#include <algorithm>

LEARNANN_BEGIN

constexpr u32 min_rows_to_hold_out = 1000;

bool Holdout::holds(u32 row) const { return from_rows && std::binary_search(query_rows.begin(), query_rows.end(), row); }

// Enough for a recall within a hundredth or two; fewer where brute force would take long.
inline u32 holdout_size(const Rows &rows) {
    const double work = static_cast<double>(rows.count()) * rows.dim();
    return static_cast<u32>(clamp(1e10 / work, 32.0, 160.0));
}

inline Status take_queries(const Rows &rows, const learnann_vectors *given, u64 seed, Holdout &h, learnann_error *error) {
    const u32 d = rows.dim();
    h.from_rows = given == nullptr;
    h.count = holdout_size(rows);
    if (given) h.count = static_cast<u32>(smaller<u64>(h.count * 2, given->count));
    else if (rows.count() < min_rows_to_hold_out) h.count = 0;
    if (h.count == 0) return LEARNANN_OK;
    LEARNANN_RETURN_IF(h.queries.allocate(static_cast<u64>(h.count) * d, error));
    if (given) {
        Rows sample = rows;
        sample.vectors = *given;
        for (u32 i = 0; i < h.count; ++i)
            if (!sample.floats(static_cast<u32>(i * (given->count / h.count)), h.queries.data() + static_cast<u64>(i) * d))
                return fail(error, LEARNANN_ARGUMENT, "a sample query holds NaN or infinity", i);
        return LEARNANN_OK;
    }
    LEARNANN_RETURN_IF(h.query_rows.allocate(h.count, error));
    Random random(seed);
    u32 taken = 0;
    for (u32 row = 0; row < rows.count() && taken < h.count; ++row)
        if (random.below(rows.count() - row) < h.count - taken) h.query_rows[taken++] = row;
    for (u32 i = 0; i < h.count; ++i)
        if (!rows.floats(h.query_rows[i], h.queries.data() + static_cast<u64>(i) * d))
            return fail(error, LEARNANN_ARGUMENT, "a row holds NaN or infinity", h.query_rows[i]);
    return LEARNANN_OK;
}

Status make_holdout(const Rows &rows, const learnann_vectors *given, u32 threads, u64 seed, const Progress &progress,
                    const Allocator &allocator, Holdout &h, learnann_error *error) {
    h.query_rows.use(allocator);
    h.queries.use(allocator);
    h.truth.use(allocator);
    LEARNANN_RETURN_IF(take_queries(rows, given, seed, h, error));
    if (h.count == 0) return LEARNANN_OK;
    const u32 n = rows.count(), d = rows.dim(), others = n - (h.from_rows ? h.count : 0);
    h.neighbours = smaller(Holdout::depth, others);
    LEARNANN_RETURN_IF(h.truth.zeroes(static_cast<u64>(h.count) * Holdout::depth, error));

    struct Near {
        float distance;
        u32 row;
        bool operator<(const Near &o) const { return distance != o.distance ? distance < o.distance : row < o.row; }
    };
    Array<Near> heaps(allocator);
    Array<u8> bytes(allocator);
    LEARNANN_RETURN_IF(heaps.allocate(static_cast<u64>(threads) * (Holdout::depth + 1), error));
    LEARNANN_RETURN_IF(bytes.allocate(static_cast<u64>(threads) * d, error));
    const u32 step = larger(h.count / 16, threads);
    for (u32 begin = 0; begin < h.count; begin += step) {
        LEARNANN_RETURN_IF(progress.at(static_cast<double>(begin) / h.count));
        parallel(threads, smaller(step, h.count - begin), 1, [&](u64 i, u32 worker) {
            const u32 q = begin + static_cast<u32>(i);
            Near *heap = heaps.data() + static_cast<u64>(worker) * (Holdout::depth + 1);
            u32 size = 0;
            const u32 type = rows.metric == LEARNANN_COS ? 0 : rows.exact_type();
            const ExactQuery query = ExactQuery::of(h.query(q, d), d, type, bytes.data() + static_cast<u64>(worker) * d);
            for (u32 row = 0; row < n; ++row) {
                const Near candidate{rows.distance(query, row), row};
                if (size == h.neighbours && !(candidate < heap[0])) continue;
                if (h.holds(row)) continue;
                heap[size++] = candidate;
                std::push_heap(heap, heap + size);
                if (size > h.neighbours) std::pop_heap(heap, heap + size--);
            }
            std::sort_heap(heap, heap + size);
            for (u32 j = 0; j < size; ++j) h.truth[static_cast<u64>(q) * Holdout::depth + j] = heap[j].row;
        });
    }
    return LEARNANN_OK;
}

LEARNANN_END
