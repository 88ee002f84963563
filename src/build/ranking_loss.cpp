// ranking_loss.cpp: how rows rank as an index keeps them, against the rows given.
#include "build/exact_rows.hpp"
#include "build/refiner.hpp"

#include <algorithm>

LEARNANN_BEGIN

namespace {

// Distances from held-out queries to rows as an index keeps them: to its exact rows or, where it keeps none, by its codes.
class KeptDistances {
public:
    KeptDistances(const ExactRows &exact, const Holdout &h, const u32 *slot_of_row)
        : exact_(exact), h_(h), slot_of_row_(slot_of_row), dim_(exact.rows->dim()),
          space_{exact.codec, exact.records, exact.rows->count(), exact.rows->metric == LEARNANN_IP},
          refiner_(*exact.codec, refined_bits(exact.type), exact.allocator), row_(exact.allocator), kept_(exact.allocator) {}

    Status prepare(learnann_error *error) {
        LEARNANN_RETURN_IF(refiner_.allocate(error));
        LEARNANN_RETURN_IF(memory_.prepare(space_, exact_.allocator, error));
        LEARNANN_RETURN_IF(row_.allocate(dim_, error));
        return kept_.allocate(exact_.stride(), error);
    }
    void take_query(u32 q) {
        query_ = h_.query(q, dim_);
        if (exact_.type) return;
        h_.copy_query(q, dim_, memory_.codec.x.data());
        code_ = memory_.encode(space_).code;
    }
    // Up to a factor and a constant, which are the query's.
    float to(u32 row) {
        const u32 slot = slot_of_row_[row];
        if (!exact_.type) {
            i32 estimate;
            kernels().score(code_, space_.records, space_.stride(), &slot, 1, &estimate);
            return static_cast<float>(estimate);
        }
        if (refined_bits(exact_.type)) {
            refiner_.read_codes(space_.record(slot), 1);
            (void)exact_.rows->floats(row, row_.data());
            refiner_.encode(row_.data(), 0, false, kept_.data());
            for (u32 i = 0; i < dim_; ++i) row_[i] = exact_.codec->mean[i] + refiner_.known(0)[i];
        } else {
            exact_.encode(row, row_.data(), kept_.data());
        }
        return to_row();
    }

private:
    float to_row() const {
        const Kernels &k = kernels();
        const learnann_metric metric = exact_.rows->metric;
        if (metric == LEARNANN_L2) return static_cast<float>(k.l2[LEARNANN_F32](query_, row_.data(), dim_));
        const double dot = k.dot[LEARNANN_F32](query_, row_.data(), dim_);
        if (metric == LEARNANN_IP) return static_cast<float>(-dot);
        const float norm2 = k.loops.square_sum(row_.data(), dim_);
        return norm2 > 0 ? static_cast<float>(-dot / std::sqrt(norm2)) : 0.0f;
    }

    const ExactRows &exact_;
    const Holdout &h_;
    const u32 *slot_of_row_;
    const u32 dim_;
    const CodeSpace space_;
    Refiner refiner_;
    QueryMemory memory_;
    QueryCode code_{};          // where no exact rows are kept
    const float *query_ = nullptr;
    Array<float> row_;
    Array<u8> kept_;
};

// Of the first k, how many are among the k least.
u32 still_first(const float *distances, u32 count, u32 k) {
    float sorted[Holdout::depth];
    std::memcpy(sorted, distances, count * sizeof(float));
    std::nth_element(sorted, sorted + k - 1, sorted + count);
    return static_cast<u32>(std::count_if(distances, distances + k, [&](float d) { return d <= sorted[k - 1]; }));
}

}  // namespace

Status ExactRows::measure_ranking(const Holdout &h, const u32 *slot_of_row, float share[3], learnann_error *error) const {
    const u32 near = smaller(Holdout::depth, h.neighbours);
    KeptDistances kept_distances(*this, h, slot_of_row);
    LEARNANN_RETURN_IF(kept_distances.prepare(error));
    u64 kept[3] = {}, all[3] = {};
    for (u32 q = 0; q < h.measured; ++q) {
        const u32 *truth = h.truth_rows.data() + static_cast<u64>(q) * Holdout::depth;
        float distances[Holdout::depth] = {};
        kept_distances.take_query(q);
        rows->each(near, [&](u32 i) { return truth[i]; }, [&](u32 i) { distances[i] = kept_distances.to(truth[i]); });
        for (u32 j = 0; j < 3; ++j) {
            const u32 k = smaller(ranked_k[j], near);
            kept[j] += still_first(distances, near, k);
            all[j] += k;
        }
    }
    for (u32 j = 0; j < 3; ++j) share[j] = all[j] ? static_cast<float>(kept[j]) / static_cast<float>(all[j]) : 1;
    return LEARNANN_OK;
}

LEARNANN_END
