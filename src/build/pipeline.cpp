// pipeline.cpp: see pipeline.hpp. The phases one after the other, and the rows that they start from.
#include "build/pipeline.hpp"

#include "learn/knn.hpp"

#include <algorithm>

LEARNANN_BEGIN

Pipeline::Pipeline(const learnann_build_options &options, const Allocator &allocator)
    : options_(options), given_degree_(options.degree), allocator_(allocator), norms_(allocator), records_(allocator), row_of_slot_(allocator),
      slot_of_row_(allocator), key_order_(allocator), layers_(allocator), entry_section_(allocator), projection_section_(allocator) {
    entries_.rows.use(allocator);
    entries_.records.use(allocator);
    basis_.use(allocator);
    frame_.use(allocator);
    learned_.use(allocator);
    fitted_.matrix.use(allocator);
    fitted_.unit.use(allocator);
    fitted_.mean.use(allocator);
}

Status Pipeline::begin(const char *phase) {
    if (phase_.name) LEARNANN_RETURN_IF(end_phase());
    phase_ = Phase{};
    phase_.name = phase;
    phase_start_ = seconds_now();
    return progress().at(0);
}

Status Pipeline::end_phase() {
    const double now = seconds_now();
    u32 at = 0;     // where a phase comes again, its seconds are added
    while (at < report_.phase_count && std::strcmp(report_.phases[at].name, phase_.name) != 0) ++at;
    if (at < sizeof report_.phases / sizeof *report_.phases) {
        if (at == report_.phase_count) report_.phases[report_.phase_count++] = learnann_phase{phase_.name, 0};
        report_.phases[at].seconds += now - phase_start_;
    }
    report_.seconds = now - start_;
    return progress().end();
}

// Cancelled at the last moment, nothing was built either.
Status Pipeline::end() {
    const Status status = end_phase();
    if (status != LEARNANN_OK) writer_.clear();
    return status;
}

void Pipeline::start() {
    forget();
    report_.threads = thread_count(options_);
    calibration_ = Calibration{};
    fitted_to_all_ = false;
    phase_ = Phase{};
    start_ = seconds_now();
}

Status Pipeline::check_memory(u64 needed, const char *message, learnann_error *error) const {
    if (!options_.memory_limit || needed <= options_.memory_limit) return LEARNANN_OK;
    fail_nomem(error, needed);
    if (error) error->message = message;
    return LEARNANN_NOMEM;
}

Status Pipeline::run(const learnann_vectors &rows, const u64 *keys, learnann_error *error) {
    start();
    options_.degree = given_degree_;    // what the last rows wanted was theirs
    LEARNANN_RETURN_IF(check_memory(build_bytes(rows.count, rows.dim, options_), "the build would need more memory than the limit", error));
    if (options_.graph == LEARNANN_GRAPH_KNN && knn_work(rows.count, rows.dim) > most_knn_work)
        return fail(error, LEARNANN_UNSUPPORTED, "the exact graph of nearest neighbours compares all pairs of rows: rows^2 x dim may be 2e13");
    rows_ = Rows{};
    rows_.vectors = rows;
    rows_.metric = options_.metric;
    rows_.mapped = options_.rows_mapped != 0;
    keys_ = keys;
    LEARNANN_RETURN_IF(check_given(error));
    LEARNANN_RETURN_IF(measure_rows(error));
    LEARNANN_RETURN_IF(fit(error));
    LEARNANN_RETURN_IF(arrange(error));
    if (rows_are_scarce()) LEARNANN_RETURN_IF(refit_to_all(error));     // nothing will be calibrated
    LEARNANN_RETURN_IF(link(error));
    if (holds_out_rows()) {
        LEARNANN_RETURN_IF(refit_to_all(error));
        if (fitted_to_all_) LEARNANN_RETURN_IF(link(error));
    }
    LEARNANN_RETURN_IF(finish(error));
    return end();
}

// ---- rows, held-out queries ----

// Every value finite, no row too long; and the norms: the codec's scales, cosine, and neighbours by angle need them.
Status Pipeline::check_rows(learnann_error *error) {
    const u32 n = rows_.count(), d = rows_.dim();
    Array<float> x(allocator_);
    LEARNANN_RETURN_IF(x.allocate(static_cast<u64>(threads()) * d, error));
    LEARNANN_RETURN_IF(norms_.allocate(n, error));
    std::atomic<u32> bad{n};
    LEARNANN_RETURN_IF(rows_.in_blocks([&](u32 begin, u32 end) {
        parallel(threads(), end - begin, 64, [&](u64 item, u32 worker) {
            const u32 row = begin + static_cast<u32>(item);
            float *values = x.data() + static_cast<u64>(worker) * d;
            const bool finite = to_floats(rows_.raw(row), rows_.vectors.type, d, values);
            norms_[row] = static_cast<float>(smaller(length_of(values, d), 3e38));
            if (!finite || norms_[row] > longest_vector) keep_least(bad, row);
        });
        return LEARNANN_OK;
    }));
    if (bad.load() < n) return fail(error, LEARNANN_ARGUMENT, "a row holds NaN or infinity, or is longer than 1e18", LEARNANN_AT_ROW, bad.load());
    rows_.norms = norms_.data();
    return LEARNANN_OK;
}

Status Pipeline::measure_rows(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("sample"));
    exact_.allocator = allocator_;
    exact_.choose(rows_, options_.exact);
    LEARNANN_RETURN_IF(exact_.check(error));
    LEARNANN_RETURN_IF(check_rows(error));
    holdout_ = Holdout{};
    return make_holdout(rows_, options_.queries, options_.seed + holdout_seed, context(), holdout_, error);
}

LEARNANN_END
