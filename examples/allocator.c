/* allocator: the library takes all its memory from the allocator that you hand it. This one counts, and so shows that a
 * warm search takes none, and that everything comes back with the size that it went out with.
 *
 *   allocator [FILE]  the file is removed again; returns 0 where both are true */
#include "learnann.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 3000, DIM = 32, K = 10, SEARCHES = 500 };

static float rows[ROWS][DIM];

typedef struct counter { uint64_t calls, blocks, bytes, peak; } counter;

static void *count_allocate(void *context, size_t bytes) {
    counter *c = (counter *)context;
    void *memory = malloc(bytes);
    if (!memory) return NULL;
    c->calls++, c->blocks++, c->bytes += bytes;
    if (c->bytes > c->peak) c->peak = c->bytes;
    return memory;
}

static void count_release(void *context, void *memory, size_t bytes) {
    counter *c = (counter *)context;
    c->blocks--, c->bytes -= bytes;
    free(memory);
}

static int report(const char *what, const counter *c) {
    printf("%-7s %5.0f allocations, peak %.0f bytes, still held: %.0f bytes in %.0f blocks\n", what, (double)c->calls,
           (double)c->peak, (double)c->bytes, (double)c->blocks);
    return c->calls > 0 && c->bytes == 0 && c->blocks == 0;
}

int main(int argc, char **argv) {
    counter build = {0, 0, 0, 0}, search = {0, 0, 0, 0};
    learnann_allocator build_memory = {count_allocate, count_release, NULL}, search_memory = build_memory;
    learnann_vectors input = {rows, ROWS, 0, DIM, LEARNANN_F32}, query = {NULL, 1, 0, DIM, LEARNANN_F32};
    learnann_build_options build_options = learnann_build_options_default();
    learnann_open_options open_options = learnann_open_options_default();
    learnann_builder *builder = NULL;
    learnann_index *index = NULL;
    learnann_scratch *scratch = NULL;
    const char *path = argc > 1 ? argv[1] : "learnann-allocator.tmp";
    uint64_t first_calls = 0, calls_when_warm = 0, index_bytes = 0;
    uint32_t state = 1, count = 0;
    int i, good = 1;

    for (i = 0; i < ROWS * DIM; i++) rows[i / DIM][i % DIM] = (float)((state = state * 1664525u + 1013904223u) >> 8);
    build_memory.context = &build;
    search_memory.context = &search;
    build_options.allocator = &build_memory;
    build_options.threads = 1; /* so that count_allocate needs no lock */
    open_options.allocator = &search_memory;

    good = good && learnann_builder_create(&build_options, &builder, NULL) == LEARNANN_OK;
    good = good && learnann_builder_run(builder, &input, NULL, NULL) == LEARNANN_OK;
    good = good && learnann_builder_save(builder, path, NULL) == LEARNANN_OK;
    learnann_builder_free(builder);
    good = good && learnann_open(path, &open_options, &index, NULL) == LEARNANN_OK;
    index_bytes = search.bytes;
    good = good && learnann_scratch_create(index, &scratch, NULL) == LEARNANN_OK;
    for (i = 0; good && i < SEARCHES; i++) {
        learnann_hit hits[K];
        query.data = rows[i];
        good = learnann_search(index, scratch, &query, K, NULL, hits, &count, NULL, NULL) == LEARNANN_OK && count == K;
        if (i == 0) first_calls = search.calls; /* the first search finds out how much it needs */
        calls_when_warm = search.calls - first_calls;
    }
    printf("the open index holds %.0f bytes, the scratch %.0f\n", (double)index_bytes, (double)(search.bytes - index_bytes));
    learnann_scratch_free(scratch);
    learnann_close(index);
    remove(path);
    printf("%d warm searches: %llu allocations\n", SEARCHES - 1, (unsigned long long)calls_when_warm);
    good = report("build", &build) && good;
    return report("search", &search) && good && calls_when_warm == 0 ? 0 : 1;
}
