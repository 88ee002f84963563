// api.cpp: the reading half of the C API: argument checks, nothing else.
#include "api/api.hpp"

#include <atomic>

using namespace learnann;

LEARNANN_BEGIN

inline void clear(learnann_error *error) {
    if (error) *error = learnann_error{LEARNANN_OK, 0, LEARNANN_NO_OFFSET, 0, ""};
}

inline Status null_argument(learnann_error *error) { return fail(error, LEARNANN_ARGUMENT, "an argument is NULL that must not be"); }

inline Status make_resident(learnann_index &index, learnann_error *error) {
    u64 bytes = 0;
    for (const SectionKind kind : hot_sections) bytes += round_up(index.view.section_bytes(kind), section_alignment);
    index.resident.use(index.allocator);
    LEARNANN_RETURN_IF(index.resident.allocate(bytes, error));
    prefer_large_pages(index.resident.data(), index.resident.size());
    u8 *to = index.resident.data();
    for (const SectionKind kind : hot_sections) {
        const u8 *mapped = index.view.section(kind);
        const u64 size = index.view.section_bytes(kind);
        if (!mapped) continue;      // the layers that most graphs don't have
        read_in_order(mapped, size, [&](const u8 *part, size_t part_size) { std::memcpy(to + (part - mapped), part, part_size); });
        index.view.use_copy(kind, to);
        to += round_up(size, section_alignment);
    }
    return LEARNANN_OK;
}

// Tells the system what searches will do with a mapped file.
inline void advise(FileView &view, bool flash) {
    if (flash) {
        view.ask_ahead();
        for (const SectionKind kind : hot_sections)
            if (view.section(kind)) expect_rereads(view.section(kind), view.section_bytes(kind));
    }
    for (const u32 kind : {section_projection, section_entries})    // every search reads them
        expect_reads(view.section(kind), view.section_bytes(kind));
}

// One open for both sources of bytes: `path` is NULL where bytes are given.
inline Status open_index(const char *path, const void *bytes, size_t size, const learnann_open_options *options,
                         learnann_index **out, learnann_error *error) {
    learnann_open_options o = learnann_open_options_default();
    LEARNANN_RETURN_IF(take_options(options, o, error));
    if (o.flags & ~(LEARNANN_OPEN_RESIDENT | LEARNANN_OPEN_FLASH | LEARNANN_OPEN_COPY))
        return fail(error, LEARNANN_ARGUMENT, "a flag of the open options is unknown");
    if ((o.flags & LEARNANN_OPEN_COPY) && o.flags != LEARNANN_OPEN_COPY)
        return fail(error, LEARNANN_ARGUMENT, "a copy of the file takes no other flag");
    if (!path && (o.flags & (LEARNANN_OPEN_COPY | LEARNANN_OPEN_FLASH))) return fail(error, LEARNANN_ARGUMENT, "the index is in memory already");
    const bool copy = path && (!maps_files || o.flags == LEARNANN_OPEN_COPY);
    Allocator allocator;
    LEARNANN_RETURN_IF(take_allocator(o.allocator, allocator, error));
    learnann_index *index = make_handle<learnann_index>(allocator);
    if (!index) return fail_nomem(error, sizeof(learnann_index));
    index->allocator = allocator;
    Status status = LEARNANN_OK;
    if (copy) {
        index->resident.use(allocator);
        status = read_file(path, index->resident, error);
        bytes = index->resident.data();
        size = static_cast<size_t>(index->resident.size());
    } else if (path) {
        status = index->map.open(path, error);
        bytes = index->map.data();
        size = static_cast<size_t>(index->map.size());
    }
    if (status == LEARNANN_OK) status = index->view.open(static_cast<const u8 *>(bytes), size, error);
    if (status == LEARNANN_OK && path && !copy) advise(index->view, (o.flags & LEARNANN_OPEN_FLASH) != 0);
    if (status == LEARNANN_OK && !copy && (o.flags & LEARNANN_OPEN_RESIDENT)) status = make_resident(*index, error);
    if (status != LEARNANN_OK) free_handle(index, allocator);
    else *out = index;
    return status;
}

inline u32 effort_of(const FileView &view, u32 k, const learnann_search_options &o) {
    return o.effort ? o.effort : effort_for_recall(view, k, o.target_recall > 0 ? o.target_recall : 0.95f);
}

// What all searches check, and the request that their options mean.
inline Status check_search(const learnann_index *index, const learnann_vectors *queries, u32 k,
                           const learnann_search_options *options, const void *hits, const void *counts,
                           learnann_search_options &o, SearchRequest &request, learnann_error *error) {
    if (!index || !queries || !counts || (!hits && queries->count > 0)) return null_argument(error);
    LEARNANN_RETURN_IF(check_vectors(queries, error));
    if (queries->dim != index->view.about().dim)
        return fail(error, LEARNANN_ARGUMENT, "the query's dimension is not that of the index");
    if (k == 0) return fail(error, LEARNANN_ARGUMENT, "k must be at least 1");
    u64 all;
    if (mul_overflows(queries->count, static_cast<u64>(k) * sizeof(learnann_hit), all) || all > SIZE_MAX / 2)
        return fail(error, LEARNANN_ARGUMENT, "queries times k is larger than memory");
    LEARNANN_RETURN_IF(take_options(options, o, error));
    if (o.effort > max_effort) return fail(error, LEARNANN_ARGUMENT, "effort must be at most 2^20");
    if (!(o.target_recall >= 0 && o.target_recall <= 1)) return fail(error, LEARNANN_ARGUMENT, "target_recall must be in (0, 1]");
    if (o.filter) {
        const learnann_filter &f = *o.filter;
        const bool bitmap = f.kind == LEARNANN_FILTER_ROWS || f.kind == LEARNANN_FILTER_KEYS;
        if (f.kind > LEARNANN_FILTER_PREDICATE) return fail(error, LEARNANN_ARGUMENT, "the filter's kind is unknown");
        if ((bitmap && !f.bits && f.bit_count > 0) || (f.kind == LEARNANN_FILTER_PREDICATE && !f.accept))
            return fail(error, LEARNANN_ARGUMENT, "the filter lacks what its kind needs");
    }
    request.k = k;
    request.filter = o.filter;
    request.effort = larger(effort_of(index->view, k, o), k);
    return LEARNANN_OK;
}

// After a failure every count is 0.
inline Status finish_search(Status status, u32 *counts, const learnann_vectors *queries, const SearchRequest &request,
                            learnann_search_stats &counted, learnann_search_stats *stats) {
    if (status != LEARNANN_OK && counts && queries)
        for (u64 i = 0; i < queries->count; ++i) counts[i] = 0;
    counted.effort = request.effort;
    if (stats) (void)give_struct(counted, stats);
    return status;
}

// A batch shared out over threads in runs of queries.
struct Batch {
    const learnann_index *index;
    const learnann_vectors *queries;
    const SearchRequest *request;
    learnann_hit *hits;
    u32 *counts;
    std::atomic<u64> next{0};
    struct Outcome {
        Status status;
        learnann_error error;
        learnann_search_stats stats;
    };
    Array<Outcome> outcomes;

    static constexpr u64 run = 64;

    static void work(void *self, u32 worker) {
        Batch &b = *static_cast<Batch *>(self);
        Outcome &o = b.outcomes[worker];
        learnann_scratch *scratch = nullptr;
        o.status = learnann_scratch_create(b.index, &scratch, &o.error);
        while (o.status == LEARNANN_OK) {
            const u64 begin = b.next.fetch_add(run, std::memory_order_relaxed);
            if (begin >= b.queries->count) break;
            o.status = search_queries(b.index->view, scratch->space, *b.queries, begin, smaller(begin + run, b.queries->count),
                                      *b.request, b.hits, b.counts, o.stats, &o.error);
        }
        learnann_scratch_free(scratch);
    }
};

inline void add_stats(learnann_search_stats &sum, const learnann_search_stats &s) {
    sum.queries += s.queries;
    sum.distances += s.distances;
    sum.entry_distances += s.entry_distances;
    sum.reranked += s.reranked;
    sum.hops += s.hops;
    sum.scanned += s.scanned;
    sum.bad_ids += s.bad_ids;
    if (s.queries) sum.stop = s.stop;
}

LEARNANN_END

extern "C" {

const char *learnann_status_text(learnann_status status) {
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

uint32_t learnann_version(void) { return LEARNANN_VERSION; }

const char *learnann_isa(void) { return kernels().name; }

learnann_status learnann_open(const char *path, const learnann_open_options *options, learnann_index **index,
                              learnann_error *error) {
    clear(error);
    if (index) *index = nullptr;
    if (!path || !index) return null_argument(error);
    return open_index(path, nullptr, 0, options, index, error);
}

learnann_status learnann_open_memory(const void *bytes, size_t size, const learnann_open_options *options,
                                     learnann_index **index, learnann_error *error) {
    clear(error);
    if (index) *index = nullptr;
    if (!index || (!bytes && size > 0)) return null_argument(error);
    if (reinterpret_cast<std::uintptr_t>(bytes) % cache_line != 0)
        return fail(error, LEARNANN_ARGUMENT, "an index in memory must be 64-byte aligned");
    return open_index(nullptr, bytes, size, options, index, error);
}

void learnann_close(learnann_index *index) {
    if (!index) return;
    const Allocator allocator = index->allocator;
    free_handle(index, allocator);
}

learnann_status learnann_get_info(const learnann_index *index, learnann_index_info *info) {
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

learnann_status learnann_calibration(const learnann_index *index, uint32_t k, uint32_t point, uint32_t *effort, float *recall) {
    if (!index || !effort || !recall || (k != 1 && k != 10 && k != 100)) return LEARNANN_ARGUMENT;
    for (u32 i = 0; i < index->view.calibration_points(); ++i) {
        const CalibrationPoint p = index->view.calibration(i);
        if (p.k != k || point-- != 0) continue;
        *effort = p.effort;
        *recall = p.recall;
        return LEARNANN_OK;
    }
    return LEARNANN_NOT_FOUND;
}

learnann_status learnann_scratch_create(const learnann_index *index, learnann_scratch **scratch, learnann_error *error) {
    clear(error);
    if (scratch) *scratch = nullptr;
    if (!index || !scratch) return null_argument(error);
    learnann_scratch *s = make_handle<learnann_scratch>(index->allocator);
    if (!s) return fail_nomem(error, sizeof(learnann_scratch));
    s->allocator = index->allocator;
    s->index = index;
    s->space.use(index->allocator);
    *scratch = s;
    return LEARNANN_OK;
}

void learnann_scratch_free(learnann_scratch *scratch) {
    if (!scratch) return;
    const Allocator allocator = scratch->allocator;
    free_handle(scratch, allocator);
}

size_t learnann_scratch_bytes(const learnann_scratch *scratch) {
    return scratch ? static_cast<size_t>(scratch->space.memory()) : 0;
}

learnann_status learnann_search(const learnann_index *index, learnann_scratch *scratch, const learnann_vectors *query, uint32_t k,
                                const learnann_search_options *options, learnann_hit *hits, uint32_t *count,
                                learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    if (count) *count = 0;
    if (query && query->count != 1) return fail(error, LEARNANN_ARGUMENT, "a single search takes one query");
    return learnann_search_interleaved(index, scratch, query, k, options, hits, count, stats, error);
}

learnann_status learnann_search_interleaved(const learnann_index *index, learnann_scratch *scratch,
                                            const learnann_vectors *queries, uint32_t k, const learnann_search_options *options,
                                            learnann_hit *hits, uint32_t *counts, learnann_search_stats *stats,
                                            learnann_error *error) {
    clear(error);
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    Status status = check_search(index, queries, k, options, hits, counts, o, request, error);
    if (status == LEARNANN_OK && (!scratch || scratch->index != index))
        status = fail(error, LEARNANN_ARGUMENT, "the scratch is not one of this index");
    if (status == LEARNANN_OK && queries->count > 0)
        status = search_queries(index->view, scratch->space, *queries, 0, queries->count, request, hits, counts, counted, error);
    return finish_search(status, counts, queries, request, counted, stats);
}

learnann_status learnann_search_batch(const learnann_index *index, const learnann_vectors *queries, uint32_t k,
                                      const learnann_search_options *options, learnann_hit *hits, uint32_t *counts,
                                      learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    Status status = check_search(index, queries, k, options, hits, counts, o, request, error);
    if (status != LEARNANN_OK) return finish_search(status, counts, queries, request, counted, stats);
    const u64 runs = (queries->count + Batch::run - 1) / Batch::run;
    const u32 threads = static_cast<u32>(clamp<u64>(runs, 1, o.threads ? smaller(o.threads, max_threads) : core_count()));
    Batch batch;
    batch.index = index;
    batch.queries = queries;
    batch.request = &request;
    batch.hits = hits;
    batch.counts = counts;
    batch.outcomes.use(index->allocator);
    status = batch.outcomes.zeroes(threads, error);
    if (status != LEARNANN_OK) return finish_search(status, counts, queries, request, counted, stats);
    run_threads(threads, Batch::work, &batch);
    for (u32 t = 0; t < threads; ++t) {
        const Batch::Outcome &outcome = batch.outcomes[t];
        add_stats(counted, outcome.stats);
        if (outcome.status == LEARNANN_OK) continue;
        // Of several failures the one about the first query is told.
        if (status == LEARNANN_OK || (error && outcome.error.file_offset < error->file_offset)) {
            status = outcome.status;
            if (error) *error = outcome.error;
        }
    }
    return finish_search(status, counts, queries, request, counted, stats);
}

learnann_status learnann_search_range(const learnann_index *index, learnann_scratch *scratch, const learnann_vectors *query,
                                      float max_distance, uint32_t limit, const learnann_search_options *options,
                                      learnann_hit *hits, uint32_t *count, learnann_search_stats *stats, learnann_error *error) {
    clear(error);
    if (count) *count = 0;
    learnann_search_options o = learnann_search_options_default();
    learnann_search_stats counted = learnann_search_stats_default();
    SearchRequest request;
    if (limit == 0) return fail(error, LEARNANN_ARGUMENT, "limit must be at least 1");
    LEARNANN_RETURN_IF(check_search(index, query, limit, options, hits, count, o, request, error));
    if (query->count != 1) return fail(error, LEARNANN_ARGUMENT, "a single search takes one query");
    if (!scratch || scratch->index != index) return fail(error, LEARNANN_ARGUMENT, "the scratch is not one of this index");
    if (!(max_distance == max_distance)) return fail(error, LEARNANN_ARGUMENT, "max_distance is not a number");
    request.effort = effort_of(index->view, 10, o);
    const Status status = search_range(index->view, scratch->space, *query, max_distance, request, hits, *count, counted, error);
    return finish_search(status, count, query, request, counted, stats);
}

learnann_status learnann_find(const learnann_index *index, uint64_t key, uint32_t *row) {
    if (!index || !row) return LEARNANN_ARGUMENT;
    *row = index->view.row_of_key(key);
    return *row == no_row ? LEARNANN_NOT_FOUND : LEARNANN_OK;
}

learnann_status learnann_key(const learnann_index *index, uint32_t row, uint64_t *key) {
    if (!index || !key) return LEARNANN_ARGUMENT;
    if (row >= index->view.rows()) return LEARNANN_NOT_FOUND;
    *key = index->view.key_of_row(row);
    return LEARNANN_OK;
}

learnann_status learnann_fetch(const learnann_index *index, uint64_t key, float *out, uint32_t dim) {
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
