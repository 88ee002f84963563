// nearlists.cpp: see nearlists.hpp.
#include "learn/nearlists.hpp"

#include "learn/scan.hpp"

LEARNANN_BEGIN

namespace {

// Fills an array of coordinates, block by block; load(i, x) gives vector i.
template <class Load>
Status take_coordinates(const Basis &basis, u32 count, const BuildContext &build, Load load, Array<float> &out, Array<float> &length2,
                        learnann_error *error) {
    constexpr u32 block = 1024;
    const u32 d = basis.dim, m = basis.count;
    Array<float> directions(build.allocator), centred(build.allocator);     // directions: dim x count
    LEARNANN_RETURN_IF(directions.allocate(static_cast<u64>(d) * m, error));
    LEARNANN_RETURN_IF(centred.allocate(static_cast<u64>(block) * d, error));
    LEARNANN_RETURN_IF(out.allocate(static_cast<u64>(count) * m, error));
    LEARNANN_RETURN_IF(length2.allocate(count, error));
    for (u32 k = 0; k < m; ++k)
        for (u32 i = 0; i < d; ++i) directions[static_cast<u64>(i) * m + k] = basis.directions[static_cast<u64>(k) * d + i];
    for (u32 begin = 0; begin < count; begin += block) {
        const u32 size = smaller(block, count - begin);
        parallel(build.threads, size, 16, [&](u64 i, u32) {
            float *x = centred.data() + i * d;
            load(begin + static_cast<u32>(i), x);
            for (u32 j = 0; j < d; ++j) x[j] -= basis.mean[j];
            length2[begin + i] = kernels().loops.square_sum(x, d);
        });
        multiply(centred.data(), directions.data(), out.data() + static_cast<u64>(begin) * m, size, d, m, build.threads);
    }
    return LEARNANN_OK;
}

// The queries that lists are made for: rows of the sample, or places among the queries given.
struct Sources {
    const Rows &rows;
    const learnann_vectors *given;      // NULL: rows
    Array<u64> places;

    Sources(const Rows &r, const learnann_vectors *g, const Allocator &allocator) : rows(r), given(g), places(allocator) {}

    Status choose(const Holdout &h, u64 seed, const Allocator &allocator, learnann_error *error) {
        const u64 untested = given ? given->count - smaller<u64>(given->count, h.count) : 0;
        if (untested < NearLists::least_queries) given = nullptr;
        if (given) {
            LEARNANN_RETURN_IF(places.allocate(smaller<u64>(untested, NearLists::most_queries), error));
            for (u64 i = 0; i < places.size(); ++i) places[i] = h.untested(i * untested / places.size());
            return LEARNANN_OK;
        }
        Array<u32> sample(allocator);
        LEARNANN_RETURN_IF(sample_rows(rows.count(), smaller(rows.count(), NearLists::most_queries), seed, sample, error));
        u32 count = 0;
        for (const u32 row : sample)
            if (!h.holds(row * rows.step)) sample[count++] = row;
        LEARNANN_RETURN_IF(places.allocate(count, error));
        for (u32 i = 0; i < count; ++i) places[i] = sample[i];
        return LEARNANN_OK;
    }
    bool load(u32 i, float *x) const {
        return given ? Rows::query_of(*given, places[i], rows.metric, x) : rows.floats(static_cast<u32>(places[i]), x);
    }
};

// To a mean squared length of 1, so that squares neither overflow nor vanish. False where the rows have none.
bool scale_lists(NearLists &lists) {
    double mean = 0;
    for (const float v : lists.row_length2) mean += static_cast<double>(v) / static_cast<double>(lists.row_length2.size());
    const float factor2 = static_cast<float>(1 / mean), factor = std::sqrt(factor2);
    if (!(factor2 > 0 && factor2 < 3e38f && factor > 0)) return false;
    for (Array<float> *a : {&lists.query, &lists.row})
        for (float &v : *a) v *= factor;
    for (Array<float> *a : {&lists.query_length2, &lists.row_length2, &lists.truth})
        for (float &v : *a) v *= factor2;
    return true;
}

}  // namespace

// Not inlined: its frame holds the workers of all threads, and should not be part of a caller's.
LEARNANN_NOINLINE Status list_near_rows(const CodeSpace &space, const Rows &rows, const Basis &basis, const Holdout &h, const learnann_vectors *given,
                      u64 seed, const BuildContext &build, NearLists &lists, learnann_error *error) {
    lists.queries = 0;
    if (rows.count() < NearLists::least_rows) return LEARNANN_OK;
    const u32 step = (rows.count() - 1) / NearLists::most_rows + 1;
    const Rows thin = rows.thinned(step);
    CodeSpace part = space;
    Array<u8> records(build.allocator);
    if (step > 1) {
        part.rows = thin.count();
        LEARNANN_RETURN_IF(records.allocate(static_cast<u64>(part.rows) * part.stride(), error));
        for (u32 i = 0; i < part.rows; ++i) std::memcpy(records.data() + static_cast<u64>(i) * part.stride(), space.record(i * step), part.stride());
        part.records = records.data();
    }
    Sources sources(thin, given, build.allocator);
    LEARNANN_RETURN_IF(sources.choose(h, seed, build.allocator, error));
    const u32 queries = static_cast<u32>(sources.places.size());
    std::atomic<u32> bad{no_row};
    const auto load_query = [&](u32 i, float *x) {
        if (!sources.load(i, x)) keep_least(bad, i);
    };
    LEARNANN_RETURN_IF(take_coordinates(basis, queries, build, load_query, lists.query, lists.query_length2, error));
    if (bad != no_row)
        return fail(error, LEARNANN_ARGUMENT, "a sample query holds NaN or infinity, or is longer than 1e18", LEARNANN_AT_QUERY, sources.places[bad]);
    LEARNANN_RETURN_IF(take_coordinates(basis, thin.count(), build, [&](u32 i, float *x) { thin.floats(i, x); }, lists.row, lists.row_length2, error));
    LEARNANN_RETURN_IF(lists.near.allocate(static_cast<u64>(queries) * NearLists::depth, error));
    LEARNANN_RETURN_IF(lists.truth.allocate(static_cast<u64>(queries) * NearLists::depth, error));
    // Rows are unlike themselves, and unlike those held out, which measure.
    const auto skip = [&](u32 q, u32 row) { return (!sources.given && row == sources.places[q]) || h.holds(row * thin.step); };
    const float unit = rows.metric == LEARNANN_L2 ? 1 : 2;
    const auto note = [&](u32 q, const BestRows &best, QueryMemory &memory) {
        load_query(q, memory.codec.x.data());
        const ExactQuery exact = thin.exact_query(memory.codec.x.data(), memory.bytes.data());
        const u64 at = static_cast<u64>(q) * NearLists::depth;
        for (u32 i = 0; i < NearLists::depth; ++i) {
            lists.near[at + i] = best.row(i);
            lists.truth[at + i] = unit * thin.distance(exact, best.row(i));
        }
    };
    LEARNANN_RETURN_IF(each_best(part, 0, queries, NearLists::depth, build, load_query, skip, note, error));
    lists.dim = basis.count;
    lists.inner = rows.metric == LEARNANN_IP;
    lists.queries = scale_lists(lists) ? queries : 0;
    return LEARNANN_OK;
}

u64 near_lists_bytes(u64 rows, u32 dim) {
    const u64 sample = smaller<u64>(rows, NearLists::most_rows), lists = NearLists::most_queries * (NearLists::depth * 8ull + dim * 4ull + 4);
    return sample * (4ull * dim + 4 + max_record_bytes / 4) + lists;
}

LEARNANN_END
