// pipeline.hpp: rows -> the sections of a file, or an index and queries -> the same. One object a builder; it may run again.
#pragma once

#include "build/exact_rows.hpp"
#include "build/options.hpp"
#include "format/writer.hpp"
#include "learn/calibrate.hpp"
#include "learn/code_quality.hpp"
#include "learn/codec_fit.hpp"
#include "learn/connect.hpp"
#include "learn/copies.hpp"
#include "learn/metric.hpp"
#include "learn/order.hpp"
#include "learn/teach.hpp"

LEARNANN_BEGIN

constexpr u32 measured_best = 20;       // of codes, that must hold the true 10

// The order in which rows are inserted: entries, then all others at random; held-out rows last, once the calibration is done. Rows whose
// codes equal another's are not inserted but attached to that one, when it is inserted.
struct InsertionOrder {
    Array<u32> rows;        // `inserted`, then `held`; what lies behind means nothing
    Array<Copy> copies;     // `linked_copies`, then those held out
    u32 inserted = 0, held = 0, linked_copies = 0;

    explicit InsertionOrder(const Allocator &a) : rows(a), copies(a) {}
};

class Pipeline {
public:
    Pipeline(const learnann_build_options &options, const Allocator &allocator);

    Status run(const learnann_vectors &rows, const u64 *keys, learnann_error *error);
    // Learns from queries what an index can learn with its rows as they are (train.cpp). Both are borrowed as long as the writer
    // is in use.
    Status train(const FileView &view, const learnann_vectors &queries, learnann_error *error);
    // What was built before, and the report of it: its rows may be gone.
    void forget() {
        writer_.clear();
        report_ = learnann_build_report_default();
    }
    const FileWriter &writer() const { return writer_; }
    const learnann_build_report &report() const { return report_; }
    const Allocator &allocator() const { return allocator_; }

private:
    // pipeline.cpp
    void start();
    Status begin(const char *phase);    // ends the phase before
    Status end_phase();
    Status end();                       // of the last phase, and of all
    Status check_memory(u64 needed, const char *message, learnann_error *error) const;
    Status check_rows(learnann_error *error);
    Status measure_rows(learnann_error *error);
    Progress progress() const { return Progress{options_.progress, options_.progress_context, &phase_}; }
    BuildContext context() const { return BuildContext{threads(), allocator_, progress()}; }
    u32 threads() const { return report_.threads; }

    // fit.cpp
    Status fit(learnann_error *error);
    Status choose_width(learnann_error *error);
    Status try_width(u32 record_bytes, bool learn, bool &enough, learnann_error *error);
    Status fit_width(const Rows &rows, u32 record_bytes, bool learn, u32 best, learnann_error *error);
    Status fit_basis(u32 count, learnann_error *error);
    Status fit_codes(const Rows &rows, const Basis &basis, u32 record_bytes, u32 best, learnann_error *error);
    Status encode(const Rows &rows, u32 best, learnann_error *error);
    Status arrange(learnann_error *error);
    Status arrange_records(learnann_error *error);
    Status narrow_records(learnann_error *error);
    Status refit_to_all(learnann_error *error);
    bool learns_space() const { return options_.spectral == LEARNANN_SPECTRAL_LEARNED && !fitted_to_all_; }
    bool takes_space() const { return options_.spectral == LEARNANN_SPECTRAL_GIVEN; }
    bool holds_out_rows() const { return holdout_.from_rows && !fitted_to_all_; }
    bool rows_are_scarce() const { return holdout_.from_rows && rows_.count() < rows_to_calibrate_by; }
    // Where PCA cuts off dimensions and would take every row, it would know those held out better than it will know queries.
    bool leaves_out_held() const {
        return holds_out_rows() && rows_.count() <= pca_sample(rows_.dim()) && rows_.dim() > code_capacity(cache_line) && !takes_space();
    }

    // spaces.cpp
    Status learn_space(learnann_error *error);
    Status keep_pca(const char *note);
    Status learn_metric_space(u32 dims, learnann_error *error);

    // link.cpp
    Status link(learnann_error *error);
    Status choose_degree(learnann_error *error);
    Status measure_dimension(learnann_error *error);
    Status link_adaptive(learnann_error *error);
    Status link_by_angle(learnann_error *error);
    Status encode_by_angle(FittedCodec &fitted, Array<u8> &records, learnann_error *error);
    bool lengths_differ() const;
    CodeSpace link_space() const;
    Status choose_central_entries(learnann_error *error);
    Status choose_long_entries(const CodeSpace &angular, learnann_error *error);    // under inner product
    Status insertion_order(InsertionOrder &out, learnann_error *error);
    template <class Builder> Status insert_held_out(Builder &builder, const InsertionOrder &order, learnann_error *error) {
        LEARNANN_RETURN_IF(builder.insert(order.rows.data() + order.inserted, order.held, order.inserted + order.linked_copies, error));
        link_copies(edges_, order.copies.data() + order.linked_copies, static_cast<u32>(order.copies.size()) - order.linked_copies);
        return LEARNANN_OK;
    }
    Status calibrate_graph(learnann_error *error);
    Status teach(const learnann_vectors &queries, learnann_error *error);

    // graphs.cpp
    Status link_knn(learnann_error *error);
    Status link_nsw(learnann_error *error);
    Status link_hnsw(learnann_error *error);
    Status link_given(learnann_error *error);
    Status check_given(learnann_error *error) const;
    Status choose_default_entries(learnann_error *error);
    Status calibrate_without_held_out(learnann_error *error);

    // file.cpp
    Status finish(learnann_error *error);
    Status discount_calibration(learnann_error *error);
    Status lay_out(learnann_error *error);
    Status order_keys(learnann_error *error);
    void collect_sections();
    void describe_graph();
    void add_hot_sections(const u8 *projection, u64 projection_bytes);
    void report_sections();

    // train.cpp
    Status load(const FileView &view, learnann_error *error);
    Status load_edges(const FileView &view, learnann_error *error);
    void collect_trained(const FileView &view);

    learnann_build_options options_;     // of them the degree, where none is given, is chosen anew for each run
    u32 given_degree_;
    Allocator allocator_;
    learnann_build_report report_{};
    mutable Phase phase_;       // which those who tell the progress, and change nothing else, move on
    double start_ = 0, phase_start_ = 0;

    Rows rows_;
    const u64 *keys_ = nullptr;
    Array<float> norms_;
    Holdout holdout_;
    Basis basis_;           // PCA; empty where a space is given
    Basis frame_;           // of PCA's directions, where records have room for more of them than there are
    Basis learned_;         // the space asked for, learned or given; empty where PCA serves
    FittedCodec fitted_;
    u32 record_bytes_ = 0, linked_bytes_ = 0;       // of the file, and of what the graph is linked by
    bool tried_learning_ = false;   // whether the last trial of a width learned a space
    bool fitted_to_all_ = false;        // held-out rows too: see refit_to_all()
    float code_recall_ = -1;
    double dimension_ = 0;      // local, of what links the rows
    Array<u8> records_;
    Array<u32> row_of_slot_, slot_of_row_, key_order_;
    CodeSpace space_;
    EntryTable entries_;
    EdgeLists edges_;
    Array<u8> layers_;      // section 12, where the graph has layers
    Adjacency adjacency_;
    Array<u8> entry_section_, projection_section_;
    Calibration calibration_;
    ExactRows exact_;
    About about_{};
    FileWriter writer_;
};

LEARNANN_END
