// fit.cpp: rows -> projection and codes: how wide a record has to be, and the order that the records lie in.
#include "build/pipeline.hpp"

LEARNANN_BEGIN

// Above this ratio (overfit_ratio) the codes of held-out rows are so much worse than the others' that the index would keep a flaw.
// Measured: 1.00 to 1.16 of texts and images, where held-out rows are found like the others and a second build gains nothing; 1.14 of
// 1,000 Gaussian rows of 500 dimensions, where it gains 2 points of recall; 1.25 to 2.7 of wider, sparse and one-hot rows.
constexpr double too_overfit = 1.12;

// A codec of that width and basis, and the codes it gives `rows`.
Status Pipeline::fit_codes(const Rows &rows, const Basis &basis, u32 record_bytes, u32 best, learnann_error *error) {
    const float recall = code_recall_, weight = fitted_.codec.residual_weight;
    LEARNANN_RETURN_IF(fit_codec(rows_, basis, record_bytes, holdout_, options_.seed + codec_seed, allocator_, fitted_, error));
    LEARNANN_RETURN_IF(encode(rows, best, error));
    if (fitted_to_all_) code_recall_ = recall, fitted_.codec.residual_weight = weight;     // measured on rows that it was not fitted to
    return LEARNANN_OK;
}

// Records of `rows`, in records_, and what they keep of the true neighbours.
Status Pipeline::encode(const Rows &rows, u32 best, learnann_error *error) {
    LEARNANN_RETURN_IF(records_.allocate(static_cast<u64>(rows.count()) * fitted_.codec.record_bytes, error));
    LEARNANN_RETURN_IF(encode_rows(rows, fitted_.codec, nullptr, context(), records_.data(), error));
    space_ = CodeSpace{&fitted_.codec, records_.data(), rows.count(), rows_.metric == LEARNANN_IP};
    return measure_codes(space_, rows, holdout_, best, context(), code_recall_, error);
}

Status Pipeline::fit_basis(u32 count, learnann_error *error) {
    const Holdout nobody;
    return fit_pca(rows_, leaves_out_held() ? holdout_ : nobody, count, options_.seed + sample_seed, context(), basis_, error);
}

// How many directions a record has room for, where these are a good many more than the rows have dimensions; else 0. As many as a cache
// line holds, or 8 for each dimension: more cost a query more than they tell.
inline u32 frame_size(u32 record_bytes, u32 dim) {
    const u32 room = smaller(code_capacity(record_bytes), larger(8 * dim, code_capacity(cache_line)));
    return 4ull * room >= 5ull * dim ? room : 0;
}

// A codec of that width in PCA's space, in the one given, or in one that is learned, from all rows; and the codes of `rows`.
Status Pipeline::fit_width(const Rows &rows, u32 record_bytes, bool learn, u32 best, learnann_error *error) {
    progress().share(learn ? 0.1 : 0.5);        // how many widths will be tried nobody knows
    if (takes_space()) return fit_codes(rows, learned_, record_bytes, best, error);
    const u32 wanted = larger(most_code_dims(record_bytes, rows_.dim()), learns_space() ? learning_dims : 0);
    if (basis_.count < smaller(wanted, rows_.dim()))
        LEARNANN_RETURN_IF(fit_basis(larger(wanted, most_code_dims(2 * cache_line, rows_.dim())), error));
    const u32 directions = basis_.count == rows_.dim() ? frame_size(record_bytes, rows_.dim()) : 0;
    if (directions) LEARNANN_RETURN_IF(make_frame(basis_, directions, allocator_, frame_, error));
    LEARNANN_RETURN_IF(fit_codes(rows, directions ? frame_ : basis_, record_bytes, best, error));
    return learn ? learn_space(error) : LEARNANN_OK;
}

// Whether a width is enough, tried on every fourth row: of the true neighbours among them, the best 5 must hold as many as the
// best 20 of all rows would.
Status Pipeline::try_width(u32 record_bytes, bool learn, bool &enough, learnann_error *error) {
    constexpr u32 thinning = 4, rows_to_thin = 10000;
    tried_learning_ = learn;
    if (rows_.count() < rows_to_thin || learn) {
        LEARNANN_RETURN_IF(fit_width(rows_, record_bytes, learn, measured_best, error));
    } else {
        LEARNANN_RETURN_IF(fit_width(rows_.thinned(thinning), record_bytes, false, measured_best / thinning, error));
    }
    // What one line loses is made up for by more exact rows: cheap where those are a few lines themselves. A third line and more
    // cost more than they save.
    const bool cheap = exact_.type && exact_.stride() <= 4 * cache_line;
    const float wanted = record_bytes > cache_line ? 0.90f : cheap ? 0.93f : 0.99f;
    enough = code_recall_ >= wanted || (code_recall_ < 0 && record_bytes >= 2 * cache_line);
    return LEARNANN_OK;
}

// The narrowest record whose best 20 hold enough of the true 10, or the widest there is. Where a width is given, that; the graph is
// linked by wider records if they tell too little.
Status Pipeline::choose_width(learnann_error *error) {
    constexpr u32 widths[] = {16, 32, 64, 128, 256}, widest = 256;
    bool enough = true;
    if (options_.code_bytes) {
        record_bytes_ = linked_bytes_ = options_.code_bytes;
        if (record_bytes_ >= graph_code_bytes || code_capacity(record_bytes_) >= rows_.dim()) return LEARNANN_OK;
        LEARNANN_RETURN_IF(try_width(record_bytes_, false, enough, error));
        if (!enough && code_recall_ >= 0) linked_bytes_ = graph_code_bytes;     // of few rows nothing is known, and any graph does
        return LEARNANN_OK;
    }
    for (const u32 width : widths) {
        record_bytes_ = linked_bytes_ = width;
        const bool holds_all = code_capacity(width) >= rows_.dim();
        const bool tells_more = width < cache_line && !takes_space() && frame_size(2 * width, rows_.dim());     // the next one, the same
        if (width == widest || (holds_all && !tells_more)) break;
        if (!holds_all && width < (rows_are_scarce() ? 2 * cache_line : cache_line)) continue;      // a line is fetched whole; of few rows two are cheap
        LEARNANN_RETURN_IF(try_width(width, learns_space(), enough, error));
        if (enough || (holds_all && code_recall_ < 0)) break;
    }
    return LEARNANN_OK;
}

// The codes that the graph is linked by. Of a width that was tried last, much is there already.
Status Pipeline::fit(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("codes"));
    basis_.count = learned_.count = 0;
    space_ = CodeSpace{};
    if (takes_space()) LEARNANN_RETURN_IF(basis_of_map(rows_, *options_.directions, options_.seed + sample_seed, context(), learned_, error));
    LEARNANN_RETURN_IF(choose_width(error));
    learnann_build_options chosen = options_;
    chosen.code_bytes = linked_bytes_;
    LEARNANN_RETURN_IF(check_memory(build_bytes(rows_.count(), rows_.dim(), chosen),
                                    "records as wide as these rows want need more memory than the limit: give code_bytes", error));
    const bool learn = learns_space() && linked_bytes_ == record_bytes_;
    const bool tried = space_.rows > 0 && fitted_.codec.record_bytes == linked_bytes_ && tried_learning_ == learn;
    if (!tried) LEARNANN_RETURN_IF(fit_width(rows_, linked_bytes_, learn, measured_best, error));
    else if (space_.rows < rows_.count()) LEARNANN_RETURN_IF(encode(rows_, measured_best, error));      // on a part of the rows
    progress().share(1);
    return complete_holdout(space_, rows_, code_recall_, context(), holdout_, error);
}

// ---- order ----

Status Pipeline::arrange(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("order"));
    LEARNANN_RETURN_IF(spatial_order(space_, context(), row_of_slot_, error));
    LEARNANN_RETURN_IF(slot_of_row_.allocate(rows_.count(), error));
    for (u32 slot = 0; slot < rows_.count(); ++slot) slot_of_row_[row_of_slot_[slot]] = slot;
    return arrange_records(error);
}

// From the order of the rows to that of the slots.
Status Pipeline::arrange_records(learnann_error *error) {
    const u32 stride = space_.stride();
    Array<u8> arranged(allocator_);
    LEARNANN_RETURN_IF(arranged.allocate(records_.size(), error));
    prefer_large_pages(arranged.data(), arranged.size());
    for (u32 slot = 0; slot < rows_.count(); ++slot)
        std::memcpy(arranged.data() + static_cast<u64>(slot) * stride, space_.record(row_of_slot_[slot]), stride);
    records_.swap(arranged);
    space_.records = records_.data();
    return LEARNANN_OK;
}

// The records that the file will have, once the graph is linked by wider ones.
Status Pipeline::narrow_records(learnann_error *error) {
    if (space_.stride() == record_bytes_) return LEARNANN_OK;
    LEARNANN_RETURN_IF(fit_width(rows_, record_bytes_, learns_space(), measured_best, error));
    LEARNANN_RETURN_IF(arrange_records(error));
    return entries_.arrange(space_, allocator_, error);
}

// After the calibration: if the projection is overfitted, fits it to all rows, held-out ones too, and encodes and orders them again, so
// that the graph can be linked anew. The calibration stays as it was measured on unseen rows; a learned space stays, too.
Status Pipeline::refit_to_all(learnann_error *error) {
    if (!leaves_out_held() || learned_.count || overfit_ratio(space_, row_of_slot_, holdout_) < too_overfit) return LEARNANN_OK;
    LEARNANN_RETURN_IF(begin("codes"));
    fitted_to_all_ = true;
    edges_ = EdgeLists{};
    LEARNANN_RETURN_IF(fit_basis(basis_.count, error));
    LEARNANN_RETURN_IF(fit_width(rows_, linked_bytes_, false, measured_best, error));
    return arrange(error);
}

LEARNANN_END
