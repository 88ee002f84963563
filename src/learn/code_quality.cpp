// code_quality.cpp: see code_quality.hpp.
#include "learn/code_quality.hpp"

#include "learn/scan.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

// Calls for every query of the holdout in [begin, end), with its best rows by code that are not held out.
template <class Visit>
Status each_best(const CodeSpace &space, const Rows &rows, const Holdout &h, u32 begin, u32 end, u32 best, const BuildContext &build,
                 Visit visit, learnann_error *error) {
    return each_best(space, begin, end, best, build, [&](u32 q, float *x) { h.copy_query(q, rows.dim(), x); },
                     [&](u32, u32 row) { return h.holds(row * rows.step); }, visit, error);
}

}  // namespace

Status measure_codes(const CodeSpace &space, const Rows &rows, const Holdout &h, u32 best, const BuildContext &build, float &recall,
                     learnann_error *error) {
    const u32 depth = smaller(10u, h.neighbours);
    recall = -1;
    if (h.count == 0 || depth == 0) return LEARNANN_OK;
    Array<u32> found(build.allocator), wanted(build.allocator);
    LEARNANN_RETURN_IF(found.zeroes(h.measured, error));
    LEARNANN_RETURN_IF(wanted.zeroes(h.measured, error));
    const auto count = [&](u32 q, const BestRows &near, QueryMemory &memory) {
        const ExactQuery exact = rows.exact_query(h.query(q, rows.dim()), memory.bytes.data());
        const float reach = h.reach(q, depth);
        const u32 *truth = h.truth_rows.data() + static_cast<u64>(q) * Holdout::depth;
        for (u32 i = 0; i < depth; ++i) wanted[q] += truth[i] % rows.step == 0 && truth[i] / rows.step < rows.count();
        rows.each(near.count, [&](u32 i) { return near.row(i); }, [&](u32 i) {
            if (found[q] < wanted[q]) found[q] += rows.distance(exact, near.row(i)) <= reach;
        });
    };
    LEARNANN_RETURN_IF(each_best(space, rows, h, 0, h.measured, best, build, count, error));
    u64 sum = 0, all = 0;
    for (u32 q = 0; q < h.measured; ++q) sum += found[q], all += wanted[q];
    if (all > 0) recall = static_cast<float>(static_cast<double>(sum) / static_cast<double>(all));
    return LEARNANN_OK;
}

Status complete_holdout(const CodeSpace &space, const Rows &rows, float code_recall, const BuildContext &build, Holdout &h,
                        learnann_error *error) {
    constexpr u32 best = 256;
    constexpr float sure = 0.98f;       // of the best 20: then the best 256 hold all there are
    constexpr float enough = 0.998f;    // of the best 256
    if (code_recall < sure) {
        float held;
        LEARNANN_RETURN_IF(measure_codes(space, rows, h, best, build, held, error));
        if (held >= 0 && held < enough) return measure_more(rows, build, h, error);
    }
    const auto note = [&](u32 q, const BestRows &near, QueryMemory &memory) {
        const u32 depth = smaller(Holdout::shallow_depth, smaller(h.neighbours, near.count));
        const ExactQuery exact = rows.exact_query(h.query(q, rows.dim()), memory.bytes.data());
        float distances[best] = {};
        rows.each(near.count, [&](u32 i) { return near.row(i); }, [&](u32 i) { distances[i] = rows.distance(exact, near.row(i)); });
        std::partial_sort(distances, distances + depth, distances + near.count);
        std::memcpy(h.truth.data() + static_cast<u64>(q) * Holdout::depth, distances, depth * sizeof(float));
    };
    return each_best(space, rows, h, h.measured, h.count, best, build, note, error);
}

double overfit_ratio(const CodeSpace &space, const Array<u32> &row_of_slot, const Holdout &h) {
    const Codec &codec = *space.codec;
    double kept[2] = {}, whole[2] = {};     // of the others, of those held out
    for (u32 slot = 0; slot < space.rows; ++slot) {
        const u32 tail = space.tail(slot);
        const double norm2 = std::ldexp(static_cast<double>(tail_norm(tail)), static_cast<int>(codec.norm_left));     // in squared steps
        const double residual = tail_residual(tail) * static_cast<double>(codec.residual_unit);
        const bool held = h.holds(row_of_slot[slot]);
        whole[held] += norm2;
        kept[held] += larger(norm2 - residual * residual, 0.0);
    }
    const double of_others = kept[0] * whole[1], of_held = kept[1] * whole[0];
    return of_held > 0 ? of_others / of_held : of_others > 0 ? 1e9 : 1;
}

LEARNANN_END
