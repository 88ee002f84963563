// train.cpp: an index and real queries -> the index that they would have liked: the same rows and codes, the graph, the entries and
// the calibration learned anew (learn/teach.hpp). What a row is called here is its slot.
#include "build/pipeline.hpp"
#include "build/verify.hpp"
#include "learn/scan.hpp"

LEARNANN_BEGIN

// Room for what queries add to a list.
inline u32 taught_capacity(const About &a) { return clamp(a.max_degree + 16, 48u, max_out_degree); }

inline u64 train_bytes(const About &a, u64 queries, u32 threads) {
    const u64 a_row = a.record_bytes + taught_capacity(a) * 4ull + 2 + 4 + teacher_bytes_a_row(taught_capacity(a), threads);
    const u64 held_out = smaller<u64>(queries, Holdout::most) * (a.dim * 5ull + calibration_bytes);
    const u64 walks = calibration_thread_bytes + 2 * query_memory_bytes(a.dim, a.code_dim, a.record_bytes);      // the teacher's and the calibration's
    const u64 of_threads = threads * larger(walks, scan_thread_bytes(a.dim, a.code_dim, a.record_bytes));
    return a.rows * a_row + smaller<u64>(queries, Teacher::most_lessons) * lesson_bytes + held_out + of_threads + (12u << 20);
}

Status Pipeline::load_edges(const FileView &view, learnann_error *error) {
    const u32 n = view.rows();
    LEARNANN_RETURN_IF(edges_.allocate(n, taught_capacity(view.about()), allocator_, error));
    prefer_large_pages(edges_.ids.data(), edges_.ids.bytes());
    for (u32 slot = 0; slot < n; ++slot) {
        IdList list;
        (void)view.neighbours(slot, list);      // verified
        for (u32 i = 0; i < list.count; ++i) edges_.of(slot)[i] = list[i];
        edges_.degrees[slot] = static_cast<u8>(list.count);
    }
    return LEARNANN_OK;
}

Status Pipeline::load(const FileView &view, learnann_error *error) {
    LEARNANN_RETURN_IF(begin("load"));
    LEARNANN_RETURN_IF(verify_file(view, allocator_, error));
    const About &a = view.about();
    rows_ = Rows::of_index(view);
    layers_.release();
    entries_.layers = LayersView{};
    keys_ = nullptr;
    fitted_.codec = Codec::of(view);
    record_bytes_ = a.record_bytes;
    LEARNANN_RETURN_IF(records_.allocate(a.rows * a.record_bytes, error));
    std::memcpy(records_.data(), view.records(), records_.size());
    space_ = CodeSpace{&fitted_.codec, records_.data(), view.rows(), a.metric == LEARNANN_IP};
    LEARNANN_RETURN_IF(entries_.rows.allocate(a.entries, error));
    for (u32 i = 0; i < a.entries; ++i) entries_.rows[i] = view.entry_slot(i);
    entries_.group = a.entry_group;
    LEARNANN_RETURN_IF(entries_.fill(space_, error));
    LEARNANN_RETURN_IF(row_of_slot_.allocate(a.rows, error));
    for (u32 slot = 0; slot < a.rows; ++slot) row_of_slot_[slot] = slot;
    return load_edges(view, error);
}

Status Pipeline::train(const FileView &view, const learnann_vectors &queries, learnann_error *error) {
    start();
    if (!view.has_exact())
        return fail(error, LEARNANN_UNSUPPORTED, "the index keeps no exact rows to tell good answers from bad ones");
    if (refined_bits(view.about().exact_type))
        return fail(error, LEARNANN_UNSUPPORTED, "the index keeps its rows too roughly to tell good answers from bad ones: build it with the queries");
    if (view.about().graph > LEARNANN_GRAPH_ADAPTIVE)
        return fail(error, LEARNANN_UNSUPPORTED, "of graphs the adaptive one alone learns from queries");
    LEARNANN_RETURN_IF(check_memory(train_bytes(view.about(), queries.count, threads()), "training would need more memory than the limit", error));
    LEARNANN_RETURN_IF(load(view, error));
    LEARNANN_RETURN_IF(begin("sample"));
    holdout_ = Holdout{};
    LEARNANN_RETURN_IF(make_holdout(rows_, &queries, options_.seed + holdout_seed, context(), holdout_, error));
    LEARNANN_RETURN_IF(measure_codes(space_, rows_, holdout_, measured_best, context(), code_recall_, error));
    LEARNANN_RETURN_IF(complete_holdout(space_, rows_, code_recall_, context(), holdout_, error));
    LEARNANN_RETURN_IF(calibrate_graph(error));
    LEARNANN_RETURN_IF(teach(queries, error));
    LEARNANN_RETURN_IF(lay_out(error));
    collect_trained(view);
    return end();
}

void Pipeline::collect_trained(const FileView &view) {
    about_ = view.about();
    describe_graph();
    add_hot_sections(view.section(section_projection), view.section_bytes(section_projection));
    for (const u32 kind : {section_row_of_slot, section_slot_of_row, section_keys, section_key_order, section_exact})
        if (view.section(kind)) writer_.add(kind, view.section(kind), view.section_bytes(kind));
    report_sections();
}

LEARNANN_END
