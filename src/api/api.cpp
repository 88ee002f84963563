// api.cpp: searches and lookups of the C API: argument checks, nothing else.
#include "api/api.hpp"

#include "search/batch.hpp"

LEARNANN_BEGIN

inline u32 effort_of(const FileView &view, u32 k, const learnann_search_options &o) {
    return o.effort ? o.effort : effort_for_recall(view, k, o.target_recall > 0 ? o.target_recall : 0.95f);
}

// What all searches check, and the request that their options mean.
inline Status check_search(const learnann_index *index, const learnann_vectors *queries, u32 k,
                           const learnann_search_options *options, const void *hits, u32 *counts, const learnann_search_stats *stats,
                           learnann_search_options &o, SearchRequest &request, learnann_error *error) {
    if (!queries || !counts) return null_argument(error);
    LEARNANN_RETURN_IF(check_vectors(queries, error));
    u64 all;
    const auto larger_than_memory = [&](u64 hits_each) {
        return mul_overflows(queries->count, hits_each * sizeof(learnann_hit), all) || all > SIZE_MAX / 2;
    };
    if (larger_than_memory(1)) return fail(error, LEARNANN_ARGUMENT, "so many queries have more hits than memory");
    for (u64 i = 0; i < queries->count; ++i) counts[i] = 0;     // so many there can be
    if (k == 0) return fail(error, LEARNANN_ARGUMENT, "k must be at least 1");
    if (larger_than_memory(k)) return fail(error, LEARNANN_ARGUMENT, "queries times k is larger than memory");
    if (!index || (!hits && queries->count > 0)) return null_argument(error);
    if (queries->dim != index->view.about().dim)
        return fail(error, LEARNANN_ARGUMENT, "the query's dimension is not that of the index");
    if (stats && stats->struct_size < sizeof(u32)) return unset_size(error);
    LEARNANN_RETURN_IF(take_options(options, o, error));
    if (o.effort > max_effort) return fail(error, LEARNANN_ARGUMENT, "effort must be at most 2^20");
    if (!(o.target_recall >= 0 && o.target_recall <= 1)) return fail(error, LEARNANN_ARGUMENT, "target_recall must be in (0, 1]");
    if (o.filter) {
        const learnann_filter &f = *o.filter;
        const bool bitmap = f.kind == LEARNANN_FILTER_ROWS || f.kind == LEARNANN_FILTER_KEYS;
        if (no_kind(f.kind, LEARNANN_FILTER_PREDICATE)) return fail(error, LEARNANN_ARGUMENT, "the filter's kind is unknown");
        if ((bitmap && !f.bits && f.bit_count > 0) || (f.kind == LEARNANN_FILTER_PREDICATE && !f.accept))
            return fail(error, LEARNANN_ARGUMENT, "the filter lacks what its kind needs");
    }
    request.k = k;
    request.filter = o.filter;
    request.effort = larger(effort_of(index->view, k, o), k);
    return LEARNANN_OK;
}

// Of a request that check_search() took. After a failure every count is 0.
inline Status finish_search(Status status, u32 *counts, const learnann_vectors &queries, const SearchRequest &request,
                            learnann_search_stats &counted, learnann_search_stats *stats) {
    if (status != LEARNANN_OK)
        for (u64 i = 0; i < queries.count; ++i) counts[i] = 0;
    counted.effort = request.effort;
    if (stats) (void)give_struct(counted, stats);
    return status;
}

LEARNANN_END

namespace learnann {
extern "C" {

LEARNANN_API const char *learnann_status_text(learnann_status status) {
    switch (status) {
    case LEARNANN_OK: return "ok";
    case LEARNANN_ARGUMENT: return "wrong argument";
    case LEARNANN_NOT_LEARNANN: return "not a learnann index";
    case LEARNANN_TOO_NEW: return "written by a newer version";
    case LEARNANN_CORRUPT: return "damaged index";
    case LEARNANN_IO: return "input or output failed";
    case LEARNANN_NOMEM: return "out of memory";
    case LEARNANN_UNSUPPORTED: return "not supported";
    case LEARNANN_CANCELLED: return "cancelled";
    case LEARNANN_NOT_FOUND: return "not found";
    }
    return "unknown status";
}

LEARNANN_API uint32_t learnann_version(void) { return LEARNANN_VERSION; }

LEARNANN_API const char *learnann_isa(void) { return kernels().name; }

LEARNANN_API learnann_status learnann_get_info(const learnann_index *index, learnann_index_info *info) {
    if (!index || !info) return LEARNANN_ARGUMENT;
    const FileView &v = index->view;
    const About &a = v.about();
    learnann_index_info i = learnann_index_info_default();
    i.format_version = v.format();
    i.rows = a.rows;
    i.dim = a.dim;
    i.metric = static_cast<learnann_metric>(a.metric);
    i.exact_type = a.exact_type;
    i.input_type = a.input_type;
    i.code_dim = a.code_dim;
    i.code_bytes = a.record_bytes;
    i.entries = a.entries;
    i.max_degree = a.max_degree;
    i.edges = a.edges;
    i.file_bytes = v.file_bytes();
    for (const SectionKind kind : hot_sections)
        i.hot_bytes += v.section_bytes(kind);
    i.cold_bytes = i.file_bytes - i.hot_bytes;
    i.private_bytes = sizeof(learnann_index) + index->resident.bytes();
    i.has_keys = v.has_keys();
    i.writer_version = v.writer_version();
    i.fingerprint = a.fingerprint;
    i.residual_weight = a.residual_weight;
    i.code_recall = a.code_recall;
    i.graph = larger(a.graph, static_cast<u32>(LEARNANN_GRAPH_ADAPTIVE));
    return give_struct(i, info);
}

LEARNANN_API learnann_status learnann_calibration(const learnann_index *index, uint32_t k, uint32_t point, uint32_t *effort, float *recall) {
    if (!index || !effort || !recall || std::find(std::begin(calibrated_k), std::end(calibrated_k), k) == std::end(calibrated_k)) return LEARNANN_ARGUMENT;
    for (u32 i = 0; i < index->view.calibration_points(); ++i) {
        const CalibrationPoint p = index->view.calibration(i);
        if (p.k != k || point-- != 0) continue;
        *effort = p.effort;
        *recall = p.recall;
        return LEARNANN_OK;
    }
    return LEARNANN_NOT_FOUND;
}

LEARNANN_API learnann_status learnann_scratch_create(const learnann_index *index, learnann_scratch **scratch, learnann_error *error) {
    clear(error);
    if (scratch) *scratch = nullptr;
    if (!index || !scratch) return null_argument(error);
    learnann_scratch *s = make<learnann_scratch>(index->allocator);
    if (!s) return fail_nomem(error, sizeof(learnann_scratch));
    s->allocator = index->allocator;
    s->index = index;
    s->space.use(index->allocator);
    *scratch = s;
    return LEARNANN_OK;
}

LEARNANN_API void learnann_scratch_free(learnann_scratch *scratch) {
    if (!scratch) return;
    const Allocator allocator = scratch->allocator;
    destroy(scratch, allocator);
}

LEARNANN_API size_t learnann_scratch_bytes(const learnann_scratch *scratch) {
    return scratch ? static_cast<size_t>(sizeof *scratch - sizeof scratch->space + scratch->space.memory()) : 0;
}

LEARNANN_API learnann_status learnann_search(const learnann_index *index, learnann_scratch *scratch, const learnann_vectors *query, uint32_t k,
                                             const learnann_search_options *options, learnann_hit *hits, uint32_t *count,
                                             learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    if (count) *count = 0;
    if (!query) return null_argument(error);
    if (query->count != 1) return fail(error, LEARNANN_ARGUMENT, "a single search takes one query");
    return learnann_search_interleaved(index, scratch, query, k, options, hits, count, stats, error);
}

LEARNANN_API learnann_status learnann_search_interleaved(const learnann_index *index, learnann_scratch *scratch,
                                                         const learnann_vectors *queries, uint32_t k, const learnann_search_options *options,
                                                         learnann_hit *hits, uint32_t *counts, learnann_search_stats *stats,
                                                         learnann_error *error) {
    clear(error);
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    LEARNANN_RETURN_IF(check_search(index, queries, k, options, hits, counts, stats, o, request, error));
    if (!scratch || scratch->index != index) return fail(error, LEARNANN_ARGUMENT, "the scratch is not one of this index");
    Status status = LEARNANN_OK;
    if (queries->count > 0)
        status = search_queries(index->view, scratch->space, *queries, 0, queries->count, request, hits, counts, counted, error);
    return finish_search(status, counts, *queries, request, counted, stats);
}

LEARNANN_API learnann_status learnann_search_batch(const learnann_index *index, const learnann_vectors *queries, uint32_t k,
                                                   const learnann_search_options *options, learnann_hit *hits, uint32_t *counts,
                                                   learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    LEARNANN_RETURN_IF(check_search(index, queries, k, options, hits, counts, stats, o, request, error));
    const u32 threads = o.threads ? smaller(o.threads, max_threads) : core_count();
    const Status status = search_batch(index->view, *queries, request, threads, index->allocator, hits, counts, counted, error);
    return finish_search(status, counts, *queries, request, counted, stats);
}

LEARNANN_API learnann_status learnann_search_range(const learnann_index *index, learnann_scratch *scratch, const learnann_vectors *query,
                                                   float max_distance, uint32_t limit, const learnann_search_options *options,
                                                   learnann_hit *hits, uint32_t *count, learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    if (count) *count = 0;
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    if (limit == 0) return fail(error, LEARNANN_ARGUMENT, "limit must be at least 1");
    if (!query) return null_argument(error);
    if (query->count != 1) return fail(error, LEARNANN_ARGUMENT, "a single search takes one query");
    LEARNANN_RETURN_IF(check_search(index, query, limit, options, hits, count, stats, o, request, error));
    if (!scratch || scratch->index != index) return fail(error, LEARNANN_ARGUMENT, "the scratch is not one of this index");
    if (!(max_distance == max_distance)) return fail(error, LEARNANN_ARGUMENT, "max_distance is not a number");
    request.effort = effort_of(index->view, 10, o);
    const Status status = search_range(index->view, scratch->space, *query, max_distance, request, hits, *count, counted, error);
    return finish_search(status, count, *query, request, counted, stats);
}

LEARNANN_API learnann_status learnann_find(const learnann_index *index, uint64_t key, uint32_t *row) {
    if (!index || !row) return LEARNANN_ARGUMENT;
    *row = index->view.row_of_key(key);
    return *row == no_row ? LEARNANN_NOT_FOUND : LEARNANN_OK;
}

LEARNANN_API learnann_status learnann_key(const learnann_index *index, uint32_t row, uint64_t *key) {
    if (!index || !key) return LEARNANN_ARGUMENT;
    if (row >= index->view.rows()) return LEARNANN_NOT_FOUND;
    *key = index->view.key_of_row(row);
    return LEARNANN_OK;
}

LEARNANN_API learnann_status learnann_fetch(const learnann_index *index, uint64_t key, float *out, uint32_t dim) {
    if (!index || !out || dim != index->view.about().dim) return LEARNANN_ARGUMENT;
    const FileView &v = index->view;
    if (!v.has_exact()) return LEARNANN_UNSUPPORTED;
    const u32 row = v.row_of_key(key);
    if (row == no_row) return LEARNANN_NOT_FOUND;
    const u32 slot = v.slot_of_row(row);
    if (slot >= v.rows()) return LEARNANN_CORRUPT;
    exact_values(v, slot, out);
    return LEARNANN_OK;
}

}  // extern "C"
}  // namespace learnann
