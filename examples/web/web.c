/* web: what learnann.mjs calls. The library's structs stay on this side: what crosses are numbers, and bytes of the module's
 * memory. Whatever fails returns NULL or -1 and leaves its reason for web_error(). */
#include "learnann.h"

#include <stdlib.h>

#define EXPORT(NAME) __attribute__((export_name(#NAME))) NAME

typedef struct Web {
    void *bytes;
    learnann_index *index;
    learnann_scratch *scratch;
} Web;

static learnann_error error;

const char *EXPORT(web_error)(void) { return error.message; }

/* 64-byte aligned, as learnann_open_memory wants it. */
void *EXPORT(web_allocate)(size_t bytes) { return bytes > SIZE_MAX / 2 ? NULL : aligned_alloc(64, (bytes + 64) / 64 * 64); }
void EXPORT(web_free)(void *memory) { free(memory); }

void EXPORT(web_close)(Web *web) {
    if (!web) return;
    learnann_scratch_free(web->scratch);
    learnann_close(web->index);
    free(web->bytes);
    free(web);
}

/* Takes over the bytes, from web_allocate, whether it opens them or not. */
Web *EXPORT(web_open)(void *bytes, size_t size) {
    Web *web = calloc(1, sizeof *web);
    error.message = "there is no memory left";
    if (web) web->bytes = bytes;
    else free(bytes);
    if (web && learnann_open_memory(bytes, size, NULL, &web->index, &error) == LEARNANN_OK &&
        learnann_scratch_create(web->index, &web->scratch, &error) == LEARNANN_OK)
        return web;
    web_close(web);
    return NULL;
}

static learnann_index_info about(const Web *web) {
    learnann_index_info info = learnann_index_info_default();
    learnann_get_info(web->index, &info);
    return info;
}
uint32_t EXPORT(web_rows)(const Web *web) { return (uint32_t)about(web).rows; }
uint32_t EXPORT(web_dim)(const Web *web) { return about(web).dim; }

/* How many hits there are. An effort of 0 asks for the recall. */
int32_t EXPORT(web_search)(Web *web, const float *query, uint32_t dim, uint32_t k, float recall, uint32_t effort, learnann_hit *hits) {
    const learnann_vectors q = {query, 1, 0, dim, LEARNANN_F32};
    learnann_search_options options = learnann_search_options_default();
    uint32_t count = 0;
    options.target_recall = recall;
    options.effort = effort;
    return learnann_search(web->index, web->scratch, &q, k, &options, hits, &count, NULL, &error) == LEARNANN_OK ? (int32_t)count : -1;
}

int32_t EXPORT(web_fetch)(const Web *web, uint64_t key, float *out, uint32_t dim) {
    error.message = "no row has that key, or the index keeps no exact rows";
    return learnann_fetch(web->index, key, out, dim) == LEARNANN_OK ? 0 : -1;
}

#ifndef LEARNANN_READ_ONLY
/* The index's bytes, for web_free, and how many they are. */
void *EXPORT(web_build)(const float *rows, uint32_t count, uint32_t dim, uint32_t metric, uint32_t *size) {
    const learnann_vectors input = {rows, count, 0, dim, LEARNANN_F32};
    learnann_build_options options = learnann_build_options_default();
    learnann_builder *builder = NULL;
    void *bytes = NULL;
    options.metric = (learnann_metric)metric;
    if (learnann_builder_create(&options, &builder, &error) == LEARNANN_OK &&
        learnann_builder_run(builder, &input, NULL, &error) == LEARNANN_OK) {
        *size = (uint32_t)learnann_builder_bytes(builder);
        bytes = web_allocate(*size);
        if (bytes) learnann_builder_write(builder, bytes, *size, NULL);
        else error.message = "there is no memory left";
    }
    learnann_builder_free(builder);
    return bytes;
}
#endif
