// spaces.cpp: spaces other than PCA, learned within its leading directions.
#include "build/pipeline.hpp"

LEARNANN_BEGIN

Status Pipeline::keep_pca(const char *note) {
    learned_.count = 0;
    report_.spectral_note = note;
    return LEARNANN_OK;
}

// Where codes in PCA's space are there for all rows: codes of as many bytes in a space learned from them. PCA stays, with a note
// in the report, where that keeps no more of the true neighbours.
Status Pipeline::learn_space(learnann_error *error) {
    const u32 width = fitted_.codec.record_bytes, known = basis_.count;
    const float recall = code_recall_;
    report_.spectral_note = nullptr;
    if (fitted_.codec.byte_dims() >= rows_.dim()) return keep_pca("codes hold all dimensions as bytes: PCA");
    // Of more dimensions than have a nibble each, rounding loses what they gain.
    const u32 dims = smaller(fitted_.codec.code_dim, 2 * code_capacity(width));
    basis_.count = smaller(known, learning_dims);
    const Status status = dims <= basis_.count ? learn_metric_space(dims, error) : keep_pca("records too wide for a learned space: PCA");
    basis_.count = known;
    if (status != LEARNANN_OK || learned_.count == 0) return status;
    LEARNANN_RETURN_IF(fit_codes(rows_, learned_, width, measured_best, error));
    if (code_recall_ >= recall) return LEARNANN_OK;
    (void)keep_pca("the learned space kept no more of the held-out neighbours: PCA");
    return fit_codes(rows_, basis_, width, measured_best, error);
}

Status Pipeline::learn_metric_space(u32 dims, learnann_error *error) {
    NearLists lists;
    lists.use(allocator_);
    LEARNANN_RETURN_IF(list_near_rows(space_, rows_, basis_, holdout_, options_.queries, options_.seed + lists_seed, context(), lists, error));
    if (lists.queries == 0) return keep_pca("too few rows to learn a space from: PCA");
    Metric metric;
    bool diverged = false;
    progress().share(0.9);
    LEARNANN_RETURN_IF(learn_metric(lists, MetricTraining{}, dims, options_.seed + metric_seed, context(), metric, diverged, error));
    if (diverged) return keep_pca("training diverged, or there was nothing to gain: PCA");
    return basis_of_metric(metric, lists, basis_, context(), learned_, error);
}

LEARNANN_END
