/* hello: the whole of learnann in C99. Builds an index from generated rows, saves it, opens it, searches it.
 *
 *   hello [FILE]      keeps the index in FILE; without one, in learnann-hello.tmp, which it removes
 *
 * Returns 0 where the right row was found. */
#include "learnann.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 2000, DIM = 32, K = 5 };

static float rows[ROWS][DIM];

/* The same numbers on every machine, which rand() does not promise. Between 0 and 1. */
static float next_random(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 16777216.0f;
}

static int failed(const char *what, const learnann_error *error) {
    fprintf(stderr, "%s: %s (%s)\n", what, error->message, learnann_status_text(error->status));
    return 1;
}

static int build(const char *path, learnann_error *error) {
    learnann_builder *builder = NULL;
    learnann_build_options options = learnann_build_options_default();
    learnann_vectors input = {rows, ROWS, 0, DIM, LEARNANN_F32};
    learnann_status status;

    options.metric = LEARNANN_L2;
    status = learnann_builder_create(&options, &builder, error);
    if (status == LEARNANN_OK) status = learnann_builder_run(builder, &input, NULL, error); /* no keys: row numbers */
    if (status == LEARNANN_OK) status = learnann_builder_save(builder, path, error);
    learnann_builder_free(builder);
    return status == LEARNANN_OK;
}

static int search(const learnann_index *index, const float *query, uint32_t expected) {
    learnann_scratch *scratch = NULL; /* one for each thread, made once and used for all its searches */
    learnann_vectors q = {query, 1, 0, DIM, LEARNANN_F32};
    learnann_search_options options = learnann_search_options_default();
    learnann_hit hits[K];
    uint32_t count = 0, i;
    learnann_error error;

    options.target_recall = 0.99f; /* say how good it must be, and the library finds out how far to look */
    if (learnann_scratch_create(index, &scratch, &error) != LEARNANN_OK) return failed("scratch", &error);
    if (learnann_search(index, scratch, &q, K, &options, hits, &count, NULL, &error) != LEARNANN_OK) {
        learnann_scratch_free(scratch);
        return failed("search", &error);
    }
    for (i = 0; i < count; i++) printf("key %llu at distance %g\n", (unsigned long long)hits[i].key, hits[i].distance);
    learnann_scratch_free(scratch);
    return count != K || hits[0].key != expected || hits[0].distance > hits[1].distance;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "learnann-hello.tmp";
    float query[DIM];
    learnann_index *index = NULL;
    learnann_error error;
    int i, j, result;

    for (i = 0; i < ROWS; i++)
        for (j = 0; j < DIM; j++) rows[i][j] = next_random();
    for (j = 0; j < DIM; j++) query[j] = rows[42][j] + 0.05f * next_random(); /* near row 42 */

    if (!build(path, &error)) return failed("build", &error);
    if (learnann_open(path, NULL, &index, &error) != LEARNANN_OK) return failed("open", &error);
    result = search(index, query, 42);
    learnann_close(index);
    if (argc < 2) remove(path);
    return result;
}
