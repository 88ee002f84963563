// calibrate.cpp: see calibrate.hpp.
#include "learn/calibrate.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

struct Worker {
    CodecScratch codec;
    Array<i8> code;
    Array<u8> bytes;
    Beam beam;

    Status prepare(const CodeSpace &space, u32 dim, const Allocator &a, learnann_error *error) {
        codec.use(a);
        code.use(a);
        bytes.use(a);
        beam.use(a);
        LEARNANN_RETURN_IF(codec.allocate(*space.codec, error));
        LEARNANN_RETURN_IF(code.allocate(space.stride(), error));
        return bytes.allocate(dim, error);
    }
    EncodedQuery encode(const CodeSpace &space, const Holdout &h, u32 i) {
        std::memcpy(codec.x.data(), h.query(i, space.codec->dim), space.codec->dim * sizeof(float));
        return encode_query(*space.codec, project(*space.codec, codec), code.data());
    }
    ExactQuery exact(const Rows &rows, const Holdout &h, u32 i) {
        const u32 type = rows.metric == LEARNANN_COS ? 0 : rows.exact_type();
        return ExactQuery::of(h.query(i, rows.dim()), rows.dim(), type, bytes.data());
    }
};

}  // namespace

Status measure_codes(const CodeSpace &space, const Rows &rows, const Holdout &h, u32 best, u32 threads,
                     const Allocator &allocator, float &recall, learnann_error *error) {
    constexpr u32 block = 1024;
    const u32 depth = smaller(10u, h.neighbours);
    recall = -1;
    if (h.count == 0 || depth == 0) return LEARNANN_OK;
    Worker workers[max_threads];
    for (u32 t = 0; t < threads; ++t) {
        LEARNANN_RETURN_IF(workers[t].prepare(space, space.codec->dim, allocator, error));
        LEARNANN_RETURN_IF(workers[t].beam.pool.prepare(best, error));
    }
    Array<u32> found(allocator), wanted(allocator);
    LEARNANN_RETURN_IF(found.zeroes(h.count, error));
    LEARNANN_RETURN_IF(wanted.zeroes(h.count, error));
    parallel(threads, h.count, 1, [&](u64 q, u32 worker) {
        Worker &w = workers[worker];
        const EncodedQuery query = w.encode(space, h, static_cast<u32>(q));
        Pool &pool = w.beam.pool;
        (void)pool.prepare(best, nullptr);
        i32 estimates[block];
        for (u32 begin = 0; begin < space.rows; begin += block) {
            const u32 size = smaller(block, space.rows - begin);
            kernels().score(query.code, space.record(begin), space.stride(), nullptr, size, estimates);
            for (u32 i = 0; i < size; ++i)
                if (pool.would_keep(estimates[i], begin + i) && !h.holds((begin + i) * rows.step)) pool.insert(estimates[i], begin + i);
        }
        const ExactQuery exact = w.exact(rows, h, static_cast<u32>(q));
        const float reach = h.reach(static_cast<u32>(q), depth);
        const u32 *truth = h.truth_rows.data() + q * Holdout::depth;
        for (u32 i = 0; i < depth; ++i) wanted[q] += truth[i] % rows.step == 0 && truth[i] / rows.step < rows.count();
        for (u32 i = 0; i < pool.size() && found[q] < wanted[q]; ++i) found[q] += rows.distance(exact, pool.id(i)) <= reach;
    });
    u64 sum = 0, all = 0;
    for (u32 q = 0; q < h.count; ++q) sum += found[q], all += wanted[q];
    if (all > 0) recall = static_cast<float>(static_cast<double>(sum) / static_cast<double>(all));
    return LEARNANN_OK;
}

// Hits of one query at one effort, counted for each calibrated k.
inline void count_found(const CodeSpace &space, const BuildGraph &graph, const EntryTable &entries, const Rows &rows,
                        const Array<u32> &row_of_slot, const Holdout &h, u32 q, u32 effort, Worker &w, const u32 *ks,
                        u32 *found) {
    constexpr u32 most = 1024;
    float near[most];
    const EncodedQuery query = w.encode(space, h, q);
    (void)w.beam.prepare(effort, space.rows, nullptr);
    scan_entries(query.code, entries.records.data(), space.stride(), static_cast<u32>(entries.rows.size()),
                 [&](i32 estimate, u32 entry) { w.beam.add_entry(estimate, entries.rows[entry]); });
    while (w.beam.gather(graph)) w.beam.score(graph, query.code, [](i32, u32) {});
    const ExactQuery exact = w.exact(rows, h, q);
    u32 size = 0;
    for (u32 i = 0; i < smaller(w.beam.pool.size(), most); ++i) {
        const u32 row = row_of_slot[w.beam.pool.id(i)];
        if (!h.holds(row)) near[size++] = rows.distance(exact, row);
    }
    std::sort(near, near + size);
    for (u32 j = 0; j < 3; ++j) {
        const u32 k = smaller(ks[j], h.neighbours);
        found[j] = 0;
        for (u32 i = 0; i < smaller(k, size); ++i) found[j] += near[i] <= h.reach(q, k);
    }
}

Status calibrate(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Rows &rows,
                 const Array<u32> &row_of_slot, const Holdout &h, u32 threads, const Allocator &allocator, Calibration &out,
                 learnann_error *error) {
    static const u32 ks[3] = {1, 10, 100};
    static const u32 efforts[] = {2, 4, 6, 8, 10, 12, 16, 20, 26, 34, 44, 58, 76, 100, 140, 200, 280, 400, 560, 800};
    constexpr u32 steps = sizeof efforts / sizeof *efforts;
    float reached[3][steps] = {};
    u32 used = 0;
    if (h.count == 0) return LEARNANN_OK;
    Worker workers[max_threads];
    for (u32 t = 0; t < threads; ++t) {
        LEARNANN_RETURN_IF(workers[t].prepare(space, rows.dim(), allocator, error));
        LEARNANN_RETURN_IF(workers[t].beam.prepare(efforts[steps - 1], space.rows, error));
    }
    Array<u32> found(allocator);
    LEARNANN_RETURN_IF(found.allocate(3ull * h.count, error));
    const BuildGraph graph{&space, &edges};
    for (u32 e = 0; e < steps; ++e) {
        parallel(threads, h.count, 4, [&](u64 q, u32 worker) {
            count_found(space, graph, entries, rows, row_of_slot, h, static_cast<u32>(q), efforts[e], workers[worker], ks,
                        found.data() + 3 * q);
        });
        used = e + 1;
        for (u32 j = 0; j < 3; ++j) {
            u64 sum = 0;
            for (u32 q = 0; q < h.count; ++q) sum += found[3ull * q + j];
            const double all = static_cast<double>(smaller(ks[j], h.neighbours)) * h.count;
            reached[j][e] = larger(static_cast<float>(static_cast<double>(sum) / all), e ? reached[j][e - 1] : 0.0f);
        }
        if (reached[0][e] >= 0.999f && reached[1][e] >= 0.999f && reached[2][e] >= 0.99f) break;
    }
    for (u32 j = 0; j < 3; ++j)
        for (u32 e = 0; e < used && out.count < Calibration::most; ++e) {
            if (efforts[e] < ks[j]) continue;
            out.points[out.count++] = CalibrationPoint{ks[j], efforts[e], reached[j][e], 0};
            if (reached[j][e] >= 0.9995f) break;
        }
    return LEARNANN_OK;
}

LEARNANN_END
