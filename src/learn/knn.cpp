// knn.cpp: see knn.hpp.
#include "learn/knn.hpp"

#include "learn/near.hpp"

LEARNANN_BEGIN

namespace {

// Compares some rows, the queries, with all rows, a block of rows with each query before the next block: a block stays in cache.
class NeighbourScan {
public:
    static constexpr u32 together = knn_together;       // queries
    static constexpr u32 block_bytes = 256u << 10;

    Status prepare(const Rows &rows, u32 degree, const Allocator &a, learnann_error *error) {
        rows_ = &rows;
        degree_ = degree;
        nearest.use(a);
        query_.use(a);
        items_.use(a);
        x_.use(a);
        bytes_.use(a);
        LEARNANN_RETURN_IF(nearest.allocate(together, error));
        LEARNANN_RETURN_IF(query_.allocate(together, error));
        LEARNANN_RETURN_IF(items_.allocate(static_cast<u64>(together) * NearestRows::room(degree), error));
        LEARNANN_RETURN_IF(x_.allocate(static_cast<u64>(together) * rows.dim(), error));
        return bytes_.allocate(static_cast<u64>(together) * rows.dim(), error);
    }

    // Of the rows named, at most `together`.
    void find(const u32 *queries, u32 count) {
        const u32 n = rows_->count(), d = rows_->dim();
        const u32 block = larger(block_bytes / static_cast<u32>(smaller<u64>(stride_of(rows_->vectors), block_bytes)), 1u);
        for (u32 q = 0; q < count; ++q) {
            float *x = x_.data() + static_cast<u64>(q) * d;
            rows_->floats(queries[q], x);
            query_[q] = rows_->exact_query(x, bytes_.data() + static_cast<u64>(q) * d);
            nearest[q] = NearestRows(items_.data() + static_cast<u64>(q) * NearestRows::room(degree_), degree_);
        }
        for (u32 begin = 0; begin < n; begin += smaller(block, n - begin)) {
            const u32 end = begin + smaller(block, n - begin);
            for (u32 q = 0; q < count; ++q)
                for (u32 row = begin; row < end; ++row)
                    if (row != queries[q]) nearest[q].offer(Near{rows_->distance(query_[q], row), row});
        }
        for (u32 q = 0; q < count; ++q) nearest[q].sort();
    }

    Array<NearestRows> nearest;

private:
    const Rows *rows_ = nullptr;
    u32 degree_ = 0;
    Array<Near> items_;
    Array<float> x_;
    Array<u8> bytes_;
    Array<ExactQuery> query_;
};

}  // namespace

Status link_nearest(const Rows &rows, const Array<u32> &row_of_slot, const Array<u32> &slot_of_row, u32 degree,
                    const BuildContext &build, EdgeLists &edges, learnann_error *error) {
    constexpr u32 together = NeighbourScan::together;
    const u32 n = rows.count(), groups = n / together + (n % together > 0), round = 4 * build.threads;
    NeighbourScan workers[max_threads];
    for (u32 t = 0; t < build.threads; ++t) LEARNANN_RETURN_IF(workers[t].prepare(rows, smaller(degree, n - 1), build.allocator, error));
    for (u32 begin = 0; begin < groups; begin += smaller(round, groups - begin)) {
        LEARNANN_RETURN_IF(build.progress.at(static_cast<double>(begin) / groups));
        parallel(build.threads, smaller(round, groups - begin), 1, [&](u64 item, u32 worker) {
            NeighbourScan &w = workers[worker];
            const u32 first = (begin + static_cast<u32>(item)) * together, count = smaller(together, n - first);
            w.find(row_of_slot.data() + first, count);
            for (u32 q = 0; q < count; ++q) {
                const NearestRows &nearest = w.nearest[q];
                for (u32 i = 0; i < nearest.size; ++i) edges.of(first + q)[i] = slot_of_row[nearest.items[i].row];
                edges.degrees[first + q] = static_cast<u8>(nearest.size);
            }
        });
    }
    return LEARNANN_OK;
}

LEARNANN_END
