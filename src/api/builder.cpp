// builder.cpp: the building half of the C API: argument checks, nothing else. Left out with LEARNANN_READ_ONLY.
#ifndef LEARNANN_READ_ONLY
#include "api/api.hpp"
#include "build/pipeline.hpp"
#include "build/verify.hpp"

struct learnann_builder {
    learnann_builder(const learnann_build_options &o, const learnann::Allocator &a) : options(o), pipeline(o, a) {}
    learnann_build_options options;
    learnann::Pipeline pipeline;
};

LEARNANN_BEGIN

constexpr u32 most_directions = 1024;

inline Status check_options(const learnann_build_options &o, learnann_error *error) {
    if (o.metric < LEARNANN_L2 || o.metric > LEARNANN_COS) return fail(error, LEARNANN_ARGUMENT, "the metric is unknown");
    if (no_kind(o.spectral, LEARNANN_SPECTRAL_GIVEN)) return fail(error, LEARNANN_ARGUMENT, "the spectral space is unknown");
    if (no_kind(o.graph, LEARNANN_GRAPH_GIVEN)) return fail(error, LEARNANN_UNSUPPORTED, "the graph is of a kind that this library can't build");
    if (no_kind(o.exact, LEARNANN_EXACT_BINARY)) return fail(error, LEARNANN_ARGUMENT, "the kind of exact rows is unknown");
    if (o.code_bytes && (o.code_bytes < min_record_bytes || o.code_bytes > max_record_bytes || o.code_bytes % 16 != 0))
        return fail(error, LEARNANN_ARGUMENT, "code_bytes must be a multiple of 16 from 16 to 1024");
    if (o.degree && (o.degree < 4 || o.degree > 128)) return fail(error, LEARNANN_ARGUMENT, "degree must be 4 to 128");
    if ((o.graph == LEARNANN_GRAPH_GIVEN) != (o.neighbours != nullptr) || (o.graph == LEARNANN_GRAPH_GIVEN && o.degree == 0))
        return fail(error, LEARNANN_ARGUMENT, "a given graph takes neighbours and degree, and no other graph takes neighbours");
    if ((o.spectral == LEARNANN_SPECTRAL_GIVEN) != (o.directions != nullptr))
        return fail(error, LEARNANN_ARGUMENT, "a given space takes directions, and no other does");
    if (o.directions) LEARNANN_RETURN_IF(check_vectors(o.directions, error));
    if (o.directions && (o.directions->count == 0 || o.directions->count > most_directions))
        return fail(error, LEARNANN_ARGUMENT, "directions must be 1 to 1,024");
    if (o.queries) LEARNANN_RETURN_IF(check_vectors(o.queries, error));
    if (o.queries && o.queries->count == 0) return fail(error, LEARNANN_ARGUMENT, "the sample has no queries");
    return LEARNANN_OK;
}

inline Status take_build_options(const learnann_build_options *given, learnann_build_options &o, learnann_error *error) {
    o = learnann_build_options_default();
    LEARNANN_RETURN_IF(take_options(given, o, error));
    if (o.metric == 0) o.metric = LEARNANN_L2;
    return check_options(o, error);
}

inline Status nothing_built(learnann_error *error) { return fail(error, LEARNANN_ARGUMENT, "nothing was built yet"); }

LEARNANN_END

namespace learnann {
extern "C" {

LEARNANN_API learnann_status learnann_verify(const learnann_index *index, learnann_error *error) {
    clear(error);
    if (!index) return fail(error, LEARNANN_ARGUMENT, "the index is NULL");
    return verify_file(index->view, index->allocator, error);
}

LEARNANN_API uint64_t learnann_build_bytes(uint64_t rows, uint32_t dim, const learnann_build_options *options) {
    learnann_build_options o;
    if (rows == 0 || rows >= no_row || dim == 0 || dim > max_dim) return 0;
    return take_build_options(options, o, nullptr) == LEARNANN_OK ? build_bytes(rows, dim, o) : 0;
}

LEARNANN_API learnann_status learnann_builder_create(const learnann_build_options *options, learnann_builder **builder,
                                                     learnann_error *error) {
    clear(error);
    if (!builder) return fail(error, LEARNANN_ARGUMENT, "there is no place for the builder");
    *builder = nullptr;
    learnann_build_options o;
    Allocator allocator;
    LEARNANN_RETURN_IF(take_build_options(options, o, error));
    LEARNANN_RETURN_IF(take_allocator(o.allocator, allocator, error));
    *builder = make<learnann_builder>(allocator, o, allocator);
    return *builder ? LEARNANN_OK : fail_nomem(error, sizeof(learnann_builder));
}

LEARNANN_API void learnann_builder_free(learnann_builder *builder) {
    if (!builder) return;
    const Allocator allocator = builder->pipeline.allocator();
    destroy(builder, allocator);
}

LEARNANN_API learnann_status learnann_builder_run(learnann_builder *builder, const learnann_vectors *rows, const uint64_t *keys,
                                                  learnann_error *error) {
    clear(error);
    if (!builder) return fail(error, LEARNANN_ARGUMENT, "the builder is NULL");
    builder->pipeline.forget();
    LEARNANN_RETURN_IF(check_vectors(rows, error));
    if (rows->count == 0) return fail(error, LEARNANN_ARGUMENT, "there are no rows");
    if (rows->count >= no_row) return fail(error, LEARNANN_ARGUMENT, "there are more than 2^32 - 2 rows");
    if (builder->options.queries && builder->options.queries->dim != rows->dim)
        return fail(error, LEARNANN_ARGUMENT, "the sample queries have another dimension than the rows");
    if (builder->options.directions && builder->options.directions->dim != rows->dim)
        return fail(error, LEARNANN_ARGUMENT, "the directions have another dimension than the rows");
    u64 lists;
    if (builder->options.neighbours && (mul_overflows(rows->count, 4ull * builder->options.degree, lists) || lists > SIZE_MAX / 2))
        return fail(error, LEARNANN_ARGUMENT, "so many neighbours are larger than memory");
    const Status status = builder->pipeline.run(*rows, keys, error);
    if (status == LEARNANN_CANCELLED) fail(error, LEARNANN_CANCELLED, "the build was cancelled");
    return status;
}

LEARNANN_API learnann_status learnann_builder_train(learnann_builder *builder, const learnann_index *index, const learnann_vectors *queries,
                                                    learnann_error *error) {
    clear(error);
    if (builder) builder->pipeline.forget();
    if (!builder || !index) return null_argument(error);
    LEARNANN_RETURN_IF(check_vectors(queries, error));
    if (queries->count == 0) return fail(error, LEARNANN_ARGUMENT, "there are no queries");
    if (queries->dim != index->view.about().dim)
        return fail(error, LEARNANN_ARGUMENT, "the queries' dimension is not that of the index");
    const Status status = builder->pipeline.train(index->view, *queries, error);
    if (status == LEARNANN_CANCELLED) fail(error, LEARNANN_CANCELLED, "the training was cancelled");
    return status;
}

LEARNANN_API learnann_status learnann_builder_save(learnann_builder *builder, const char *path, learnann_error *error) {
    clear(error);
    if (!builder || !path) return null_argument(error);
    if (!*path) return fail(error, LEARNANN_ARGUMENT, "the path is empty");
    if (builder->pipeline.writer().empty()) return nothing_built(error);
    return save_file(builder->pipeline.writer(), path, builder->pipeline.allocator(), error);
}

LEARNANN_API uint64_t learnann_builder_bytes(const learnann_builder *builder) {
    return builder ? builder->pipeline.writer().file_bytes() : 0;
}

LEARNANN_API learnann_status learnann_builder_write(learnann_builder *builder, void *buffer, uint64_t size, learnann_error *error) {
    clear(error);
    if (!builder || !buffer) return null_argument(error);
    if (builder->pipeline.writer().empty()) return nothing_built(error);
    if (size < builder->pipeline.writer().file_bytes())
        return fail(error, LEARNANN_ARGUMENT, "the buffer is smaller than learnann_builder_bytes");
    return save_memory(builder->pipeline.writer(), buffer, error);
}

LEARNANN_API learnann_status learnann_builder_report(const learnann_builder *builder, learnann_build_report *report) {
    if (!builder || !report) return LEARNANN_ARGUMENT;
    return give_struct(builder->pipeline.report(), report);
}

}  // extern "C"
}  // namespace learnann
#endif
