/* learnann: the vector index that you drop into an app.
 *
 * Two source files (this header and learnann.c++), one header-only dependency (xsimd), one memory-mapped index file.
 *
 *   build   rows  -> learnann_builder -> one file
 *   search  file  -> learnann_index (shared by all threads) + learnann_scratch (one per thread) -> hits
 *
 * Rules that hold for every function below
 *   - Handles are opaque. A learnann_index never changes after it was opened: any number of threads may use it at once.
 *     A learnann_scratch and a learnann_builder belong to one thread at a time.
 *   - Errors are values. Every fallible function returns a learnann_status and, where `error` is not NULL, fills it with
 *     the reason. On failure every output handle is NULL and every output count is 0 (but those of queries whose number or
 *     layout was refused). Nothing throws, aborts or prints.
 *     (The vectors that the C++ wrapper returns may throw std::bad_alloc.)
 *   - Option structs begin with struct_size; get one from its ..._default() function, which sets it. Zero in any other
 *     field means "the default", so structs can grow without breaking callers. Fields named `reserved` are to stay 0.
 *   - Every ..._free / ..._close accepts NULL.
 *   - Whatever reads an index takes up to 32 KiB of stack, whatever builds or trains one up to 512 KiB (measured at -O2).
 *   - Sizes are bytes unless the name says otherwise. Vectors are dense, of `dim` elements, in the machine's byte order.
 *   - Distances: smaller is nearer, always.
 *       L2   squared Euclidean distance          |q - x|^2
 *       IP   negated inner product              -<q, x>          (norms may differ as they like)
 *       COS  cosine distance                     1 - <q, x> / (|q| |x|);  1 where either is the zero vector
 *     They are computed on the exact rows as the file keeps them. Two exceptions: an index built with LEARNANN_EXACT_NONE
 *     reports estimates, and one built with LEARNANN_EXACT_I4, _I2 or _BINARY the distances to its rounded rows.
 *     For L2 and IP over rows kept as the bytes they were given in, and a query of such whole numbers, a distance is the
 *     true one, rounded once. Otherwise sums are floats, whose order differs by instruction set: within (dim + 8) 2^-23 of
 *     what was added up (L2: the distance; IP: the sum of |q_i x_i|; COS: 1; L2 of floats kept as bytes: |q|^2 + |x|^2), in
 *     practice a few 2^-24. Distances below 1e-37 may lose digits, or be 0.
 *   - Rows are at most 1e18 long: longer ones, like NaN and infinity, are LEARNANN_ARGUMENT. So are queries longer than
 *     about 2e18 (under COS a query may have any length).
 *
 * The C API is C99. The C++17 wrapper at the end is inline, adds ownership, and compiles with -fno-exceptions.
 * In one translation unit, `#define LEARNANN_IMPLEMENTATION` before the include gives the single-include form.
 *
 * Switches, defined when learnann.c++ is compiled (or by whoever includes this with LEARNANN_IMPLEMENTATION):
 *   LEARNANN_READ_ONLY   leaves building and training out
 *   LEARNANN_NO_X86      leaves out the code for SSSE3, AVX2 and AVX-512, which is otherwise chosen at run time: a smaller reader
 *   LEARNANN_NO_XSIMD    does without xsimd: plain C++ where there is no code of our own for the machine
 *   LEARNANN_SHARED      on Windows, when the library and when its users are compiled: it is a DLL
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef LEARNANN_H
#define LEARNANN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LEARNANN_VERSION 100   /* major * 10000 + minor * 100 + patch */

#ifndef LEARNANN_API
#if defined(_WIN32) && defined(LEARNANN_SHARED)     /* a DLL: by the library and by whoever uses it */
#ifdef LEARNANN_AMALGAMATION
#define LEARNANN_API __declspec(dllexport)
#else
#define LEARNANN_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define LEARNANN_API __attribute__((visibility("default")))
#else
#define LEARNANN_API
#endif
#endif

/* Any number that fits may come for an enum, and is refused with a status where it means nothing. */
#if defined(__cplusplus) && (__cplusplus >= 201103L || defined(_MSC_VER))
#define LEARNANN_ENUM : unsigned int
#else
#define LEARNANN_ENUM
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ------------------------------------------------------------------------------------------------- */

typedef enum learnann_status LEARNANN_ENUM {
    LEARNANN_OK = 0,
    LEARNANN_ARGUMENT = 1,      /* the caller's mistake: a NULL, a wrong dimension, NaN in a query, k = 0 ... */
    LEARNANN_NOT_LEARNANN = 2,  /* the bytes are not a learnann index */
    LEARNANN_TOO_NEW = 3,       /* a learnann index, but this version can't read it: update the library */
    LEARNANN_CORRUPT = 4,       /* a learnann index that is damaged; file_offset says where */
    LEARNANN_IO = 5,            /* the operating system refused to read or write */
    LEARNANN_NOMEM = 6,         /* out of memory, or above the memory limit given */
    LEARNANN_UNSUPPORTED = 7,   /* a valid wish that this build of the library can't grant */
    LEARNANN_CANCELLED = 8,     /* the progress callback said stop */
    LEARNANN_NOT_FOUND = 9      /* no such key, or no such row */
} learnann_status;

#define LEARNANN_NO_OFFSET UINT64_MAX
#define LEARNANN_MAX_EFFORT 1048576
#define LEARNANN_MAX_THREADS 64

/* What is at fault: a byte of the file, or one of the vectors given. */
typedef enum learnann_place LEARNANN_ENUM {
    LEARNANN_AT_NOTHING = 0,
    LEARNANN_AT_BYTE = 1,
    LEARNANN_AT_ROW = 2,
    LEARNANN_AT_QUERY = 3,      /* of a search, or a sample query of a build */
    LEARNANN_AT_DIRECTION = 4   /* of learnann_build_options.directions */
} learnann_place;

typedef struct learnann_error {
    learnann_status status;
    int32_t system_error;       /* errno (GetLastError() on Windows) behind LEARNANN_IO where there is one, else 0 */
    uint64_t file_offset;       /* the number, from 0, of the byte or vector that `place` names; LEARNANN_NO_OFFSET where it names none */
    uint64_t needed;            /* behind LEARNANN_NOMEM: the bytes that would be needed; else 0 */
    const char *message;        /* a static string: never freed, never NULL after a failed call */
    learnann_place place;
} learnann_error;

/* A static English name for a status, "unknown status" for any other number. */
LEARNANN_API const char *learnann_status_text(learnann_status status);

/* LEARNANN_VERSION of the compiled library. */
LEARNANN_API uint32_t learnann_version(void);

/* The instruction set in use: "scalar", "sse2", "ssse3", "avx2", "avx512", "neon", "dotprod" or "simd128". Chosen once, at
 * first use; the environment variable LEARNANN_ISA overrides it where the machine has what it names. A static string. */
LEARNANN_API const char *learnann_isa(void);

/* ---- vectors, memory ---------------------------------------------------------------------------------------- */

typedef enum learnann_type LEARNANN_ENUM { LEARNANN_F32 = 1, LEARNANN_F16 = 2, LEARNANN_I8 = 3, LEARNANN_U8 = 4 } learnann_type;
typedef enum learnann_metric LEARNANN_ENUM { LEARNANN_L2 = 1, LEARNANN_IP = 2, LEARNANN_COS = 3 } learnann_metric;

/* How an index keeps its rows for the final ranking. I4, I2 and BINARY store what a row's code leaves of it, rounded to so many
 * bits: a quarter to a sixteenth of the bytes of f16. Distances are those to the stored row: a row is not at 0 from itself, and
 * some neighbours change places. The calibrated recall takes that loss into account; asked for a recall that is out of reach,
 * a search does the best that the kind allows. */
typedef enum learnann_exact LEARNANN_ENUM {
    LEARNANN_EXACT_AUTO = 0,    /* as the rows were given */
    LEARNANN_EXACT_F32 = 1,
    LEARNANN_EXACT_F16 = 2,     /* ARGUMENT for a row of floats that holds 65,520 or more */
    LEARNANN_EXACT_I8 = 3,      /* float rows: scaled by row */
    LEARNANN_EXACT_U8 = 4,      /* float rows: scaled and shifted by row */
    LEARNANN_EXACT_NONE = 5,    /* no exact rows: distances are estimates from the codes */
    LEARNANN_EXACT_I4 = 6,      /* four bits a dimension, scaled by row. Under cosine rows come back at about length 1 */
    LEARNANN_EXACT_I2 = 7,      /* two bits */
    LEARNANN_EXACT_BINARY = 8   /* one bit */
} learnann_exact;

/* A borrowed array of vectors: vector i begins at data + i * stride. */
typedef struct learnann_vectors {
    const void *data;       /* any alignment */
    uint64_t count;
    uint64_t stride;        /* bytes from one vector to the next; 0 means dense */
    uint32_t dim;           /* 1 to 65,535 */
    learnann_type type;
} learnann_vectors;

/* Memory for everything the library allocates through the handle that it was given to. `allocate` returns memory aligned
 * as malloc's, or NULL; `release` gets what allocate returned, with the same byte count, never NULL. Both may be called
 * from several threads at once during a build or a threaded batch. The struct is copied. */
typedef struct learnann_allocator {
    void *(*allocate)(void *context, size_t bytes);
    void (*release)(void *context, void *memory, size_t bytes);
    void *context;
} learnann_allocator;

/* The graph that searches walk on. All end in the same file and are searched alike. KNN, NSW, HNSW and UNIFORM are there to be
 * compared with the default (`make ablation`). Only the default learns from queries; the others are merely calibrated by them. */
typedef enum learnann_graph LEARNANN_ENUM {
    LEARNANN_GRAPH_AUTO = 0,        /* adaptive */
    LEARNANN_GRAPH_ADAPTIVE = 1,    /* as many edges a row as occlusion pruning leaves; under inner product also neighbours by angle */
    LEARNANN_GRAPH_KNN = 2,         /* each row's `degree` nearest rows, exactly, ties by smaller row number, and what makes all
                                     * rows reachable. Compares all pairs: UNSUPPORTED where rows^2 x dim is above 2e13 */
    LEARNANN_GRAPH_NSW = 3,         /* rows inserted at random, linked to and from the nearest degree / 2 that a walk from the one
                                     * entry finds (Malkov et al., 2014); at most `degree` edges a row */
    LEARNANN_GRAPH_HNSW = 4,        /* M = degree / 2: layers of random rows, each a layer of 1 / M of the one below, links chosen
                                     * by the heuristic, at most M of them, `degree` on the lowest layer; searches descend
                                     * through the layers (Malkov and Yashunin, 2016) */
    LEARNANN_GRAPH_UNIFORM = 5,     /* adaptive, then linked anew with as many edges, the same number for every row: tells what it
                                     * is worth that rows have as many as they need */
    LEARNANN_GRAPH_GIVEN = 6        /* the edges of `neighbours` in the build's options, made elsewhere (on a GPU, by a network), and
                                     * what makes all rows reachable */
} learnann_graph;

/* ---- open --------------------------------------------------------------------------------------------------- */

typedef struct learnann_index learnann_index;

/* Copies the hot part (learnann_index_info.hot_bytes) into private memory, in large pages where the system grants them: for
 * servers, where translating the addresses of small pages costs a search some tenth of its time. */
#define LEARNANN_OPEN_RESIDENT 1u

/* For many queries to a file larger than memory. A search requests the exact rows that it will probably need while it still walks,
 * so that the device reads them side by side; the hot part is read ahead, and preferred when the system has to drop pages. About a
 * tenth more rows are read than are needed, and each row costs 0.3 microseconds even where it is in memory already. Without this
 * flag searches read no more of the file than they touch. Not with learnann_open_memory. */
#define LEARNANN_OPEN_FLASH 2u

/* Reads the whole file into private memory instead of mapping it. If another process truncates the file meanwhile, the open fails
 * with a status; what happens to the file later does not matter. Time and memory (in large pages, where the system grants them)
 * are proportional to the file's size. Excludes the other flags. */
#define LEARNANN_OPEN_COPY 4u

typedef struct learnann_open_options {
    uint32_t struct_size;
    uint32_t flags;                         /* LEARNANN_OPEN_RESIDENT, LEARNANN_OPEN_FLASH, both; or LEARNANN_OPEN_COPY; or 0 */
    const learnann_allocator *allocator;    /* NULL: malloc and free */
} learnann_open_options;

static inline learnann_open_options learnann_open_options_default(void) {
    learnann_open_options o;
    memset(&o, 0, sizeof o);
    o.struct_size = (uint32_t)sizeof o;
    return o;
}

/* Maps an index file read-only and checks its header and section table: time and memory do not depend on its size, and
 * the data itself is read only where searches touch it (but see LEARNANN_OPEN_RESIDENT). `path` is UTF-8. options may be
 * NULL. While the index is open the file may be replaced by rename (as learnann_builder_save does) or removed, but not
 * truncated in place: as with every mapped file, reading a page that is gone raises SIGBUS (but see LEARNANN_OPEN_COPY).
 * Where the system maps no files (WASI), every open is with LEARNANN_OPEN_COPY.
 * Returns OK, ARGUMENT, NOT_LEARNANN, TOO_NEW, CORRUPT, IO, NOMEM, UNSUPPORTED. */
LEARNANN_API learnann_status learnann_open(const char *path, const learnann_open_options *options, learnann_index **index,
                                           learnann_error *error);

/* The same for an index that is in memory already. `bytes` is borrowed until learnann_close and must be 64-byte aligned.
 * Returns OK, ARGUMENT, NOT_LEARNANN, TOO_NEW, CORRUPT, NOMEM, UNSUPPORTED. */
LEARNANN_API learnann_status learnann_open_memory(const void *bytes, size_t size, const learnann_open_options *options,
                                                  learnann_index **index, learnann_error *error);

/* Unmaps. No search may be running; scratches made from the index must be freed before. */
LEARNANN_API void learnann_close(learnann_index *index);

typedef struct learnann_index_info {
    uint32_t struct_size;
    uint32_t format_version;
    uint64_t rows;
    uint32_t dim;
    learnann_metric metric;
    uint32_t exact_type;            /* a learnann_type, LEARNANN_EXACT_I4, _I2 or _BINARY; 0 where no exact rows are kept */
    uint32_t input_type;            /* the learnann_type that the rows were given in */
    uint32_t code_dim;              /* dimensions of the code: of rows with few, more than dim, along additional directions */
    uint32_t code_bytes;            /* bytes of a record: its code, norms and adjacency offset */
    uint32_t entries;
    uint32_t max_degree;
    uint64_t edges;
    uint64_t file_bytes;
    uint64_t hot_bytes;             /* what a search touches at random: projection, records, adjacency, entries */
    uint64_t cold_bytes;            /* the rest */
    uint64_t private_bytes;         /* heap memory held by this handle */
    uint32_t has_keys;              /* 1 where the caller gave keys, 0 where keys are row numbers */
    uint32_t writer_version;        /* LEARNANN_VERSION of the library that wrote the file */
    uint64_t fingerprint;           /* of the graph: equal fingerprints, equal graphs */
    float residual_weight;          /* the fitted rho of the distance estimate */
    float code_recall;              /* held-out share of the true 10 among the best 20 by code, measured at build; -1 unknown */
    uint32_t graph;                 /* a learnann_graph */
    uint32_t reserved;
} learnann_index_info;

static inline learnann_index_info learnann_index_info_default(void) {
    learnann_index_info i;
    memset(&i, 0, sizeof i);
    i.struct_size = (uint32_t)sizeof i;
    return i;
}

/* Fills as much of `info` as info->struct_size allows. OK, ARGUMENT. */
LEARNANN_API learnann_status learnann_get_info(const learnann_index *index, learnann_index_info *info);

/* The recall that an effort reaches, as calibrated at build on held-out rows: point i of the table for this k.
 * OK; NOT_FOUND past the last point or where the file has no calibration for this k; ARGUMENT. k is 1, 4, 10, 20, 30, 50 or 100. */
LEARNANN_API learnann_status learnann_calibration(const learnann_index *index, uint32_t k, uint32_t point, uint32_t *effort,
                                                  float *recall);

/* ---- search ------------------------------------------------------------------------------------------------- */

typedef struct learnann_scratch learnann_scratch;

/* The working memory of one thread. It grows to what the searches run with it need and is then reused: once warm, a search
 * allocates nothing. Uses the index's allocator. OK, ARGUMENT, NOMEM. */
LEARNANN_API learnann_status learnann_scratch_create(const learnann_index *index, learnann_scratch **scratch,
                                                     learnann_error *error);
LEARNANN_API void learnann_scratch_free(learnann_scratch *scratch);

/* Bytes that the scratch holds now; 0 for NULL. */
LEARNANN_API size_t learnann_scratch_bytes(const learnann_scratch *scratch);

typedef struct learnann_hit {
    uint64_t key;       /* the caller's key, or the row number where none were given */
    uint32_t row;       /* row number in the input of the build */
    float distance;
} learnann_hit;

typedef enum learnann_filter_kind LEARNANN_ENUM {
    LEARNANN_FILTER_NONE = 0,
    LEARNANN_FILTER_ROWS = 1,       /* bit r of `bits` says whether input row r may be a hit */
    LEARNANN_FILTER_KEYS = 2,       /* bit key of `bits` says whether that key may be a hit */
    LEARNANN_FILTER_PREDICATE = 3   /* accept(context, key) says so */
} learnann_filter_kind;

/* Which rows may be hits. Bit i is (bits[i / 64] >> (i % 64)) & 1; bits from bit_count on count as 0. `accept` may be called
 * more than once for a key and, in a threaded batch, from several threads at once; it must answer alike each time.
 * The fewer rows pass, the wider the beam; where fewer than expected pass near the query, the search walks once more in a wider one.
 * Where comparing the codes of all rows that pass is cheaper, that is done instead, and the best 4 * effort of them are reranked: if
 * no more pass, the hits are exact. Which rows pass is known at once from a bitmap of ROWS (and of KEYS, where keys are row numbers);
 * otherwise each row has to be tested. */
typedef struct learnann_filter {
    learnann_filter_kind kind;
    const uint64_t *bits;
    uint64_t bit_count;
    int (*accept)(void *context, uint64_t key);
    void *context;
} learnann_filter;

typedef struct learnann_search_options {
    uint32_t struct_size;
    uint32_t effort;                /* the beam's width: so many candidates are kept. 1 to 2^20, more is slower and better.
                                     * 0: from target_recall. How many of the candidates are expanded and reranked was
                                     * calibrated at build; beyond the last effort that was tried there for 10 hits, all that
                                     * are more are expanded too, and all are reranked */
    float target_recall;            /* (0, 1]: the effort comes from the file's calibration. 0 with effort 0: 0.95. The recall
                                     * holds for queries like those that calibrated: held-out rows, or the build's `queries`.
                                     * Where exact rows of few bits can't reach it, the effort is the one beyond which next
                                     * to nothing is gained. A file of fewer than 1,000 rows, built and trained without
                                     * queries, has no calibration: the effort is then 48, or 2k if that is more, and all
                                     * candidates are reranked */
    uint32_t threads;               /* of learnann_search_batch; 0: one for each core; more count as LEARNANN_MAX_THREADS */
    const learnann_filter *filter;  /* NULL: every row */
} learnann_search_options;

static inline learnann_search_options learnann_search_options_default(void) {
    learnann_search_options o;
    memset(&o, 0, sizeof o);
    o.struct_size = (uint32_t)sizeof o;
    return o;
}

typedef enum learnann_stop LEARNANN_ENUM {
    LEARNANN_STOP_BEAM = 1,     /* the rows of the beam worth expanding were expanded */
    LEARNANN_STOP_SCAN = 2      /* all rows (that pass) were compared, as there are few, or the walk found too few */
} learnann_stop;

/* What searches did. The counters are sums over the queries of a call. After a failure they mean nothing. */
typedef struct learnann_search_stats {
    uint32_t struct_size;
    uint32_t effort;                /* the effort used, k at least; half of the rows or more where a recall was asked for and
                                     * comparing all is faster; of a range search, which widens it, the first one */
    uint64_t queries;
    uint64_t distances;             /* code distances of the walk, or of the rows that pass a filter */
    uint64_t entry_distances;       /* code distances of the entry scan, or of the descent through a graph's layers */
    uint64_t reranked;              /* exact rows read */
    uint64_t hops;                  /* rows expanded */
    uint64_t scanned;               /* queries that were answered by a scan */
    uint64_t bad_ids;               /* ids of a damaged file that were out of range, and skipped */
    learnann_stop stop;             /* why the last query stopped */
} learnann_search_stats;

static inline learnann_search_stats learnann_search_stats_default(void) {
    learnann_search_stats s;
    memset(&s, 0, sizeof s);
    s.struct_size = (uint32_t)sizeof s;
    return s;
}

/* The k nearest rows of one query (queries->count must be 1), nearest first, ties by key. hits has room for k; *count gets
 * how many there are, fewer than k only where fewer rows exist or pass the filter. k may exceed the rows. An effort
 * below k counts as k; with an effort of half the rows or more every row is compared, and the hits are exact. At equal effort
 * the hits for k up to 10 are prefixes of each other; a larger k reranks more candidates, so its first hits are the same or
 * nearer. The query's type is free: it need not be that of the rows. options and stats may be NULL.
 * OK; ARGUMENT (NULL, k = 0, wrong dimension, a query that is too long or not finite, effort out of range, scratch of another
 * index); NOMEM. */
LEARNANN_API learnann_status learnann_search(const learnann_index *index, learnann_scratch *scratch,
                                             const learnann_vectors *query, uint32_t k,
                                             const learnann_search_options *options, learnann_hit *hits, uint32_t *count,
                                             learnann_search_stats *stats, learnann_error *error);

/* Many queries on the calling thread, several in flight at once so that one's cache miss is another's work. Hits and counts
 * are those of learnann_search for each; those of query i are at hits[i * k] and counts[i]. Statuses as learnann_search;
 * error->file_offset is the query that an ARGUMENT is about. */
LEARNANN_API learnann_status learnann_search_interleaved(const learnann_index *index, learnann_scratch *scratch,
                                                         const learnann_vectors *queries, uint32_t k,
                                                         const learnann_search_options *options, learnann_hit *hits,
                                                         uint32_t *counts, learnann_search_stats *stats,
                                                         learnann_error *error);

/* The same on options->threads threads (fewer for less than 64 queries each), interleaved on each, with scratches of their own
 * that live for the call. */
LEARNANN_API learnann_status learnann_search_batch(const learnann_index *index, const learnann_vectors *queries, uint32_t k,
                                                   const learnann_search_options *options, learnann_hit *hits,
                                                   uint32_t *counts, learnann_search_stats *stats, learnann_error *error);

/* Every row with distance <= max_distance that the search finds, nearest first, at most `limit` (hits has room for that
 * many). The beam grows until it reaches beyond the radius and is as wide as so many neighbours take at the recall asked for, or at
 * that of the effort given. With LEARNANN_EXACT_NONE not even a row's distance from itself is 0: a radius near 0 finds nothing.
 * ARGUMENT where max_distance is NaN or limit is 0; otherwise as learnann_search. */
LEARNANN_API learnann_status learnann_search_range(const learnann_index *index, learnann_scratch *scratch,
                                                   const learnann_vectors *query, float max_distance, uint32_t limit,
                                                   const learnann_search_options *options, learnann_hit *hits,
                                                   uint32_t *count, learnann_search_stats *stats, learnann_error *error);

/* ---- keys and stored rows ----------------------------------------------------------------------------------- */

/* The input row number of a key; the smallest where a key was given more than once, UINT32_MAX where there is none. OK;
 * NOT_FOUND (of a damaged file also for keys that it holds); ARGUMENT. */
LEARNANN_API learnann_status learnann_find(const learnann_index *index, uint64_t key, uint32_t *row);

/* The key of an input row. OK, NOT_FOUND, ARGUMENT. */
LEARNANN_API learnann_status learnann_key(const learnann_index *index, uint32_t row, uint64_t *key);

/* The stored exact row of a key as dim floats. OK; NOT_FOUND; UNSUPPORTED where the index keeps no exact rows; ARGUMENT
 * where dim is not the index's; CORRUPT. */
LEARNANN_API learnann_status learnann_fetch(const learnann_index *index, uint64_t key, float *out, uint32_t dim);

/* ---- build, verify: left out of a reader compiled with -DLEARNANN_READ_ONLY ---------------------------------- */
#ifndef LEARNANN_READ_ONLY

/* Reads every byte: all checksums, all invariants of the format (every id in range, every row reachable).
 * OK, CORRUPT with the offset and the invariant's number in the message, or NOMEM (it needs some five bytes a row). */
LEARNANN_API learnann_status learnann_verify(const learnann_index *index, learnann_error *error);

typedef struct learnann_builder learnann_builder;

typedef enum learnann_spectral LEARNANN_ENUM {
    LEARNANN_SPECTRAL_AUTO = 0,         /* PCA: no other is worth its build time unasked */
    LEARNANN_SPECTRAL_PCA = 1,
    LEARNANN_SPECTRAL_LEARNED = 2,      /* a map trained so that distances between codes rank near rows as true distances do: more
                                         * recall from narrow records, for 5 to 20 seconds more of build on two cores. With `queries`
                                         * it is trained for those. Where it keeps no more of the held-out neighbours, PCA stays */
    LEARNANN_SPECTRAL_GIVEN = 3         /* the map of `directions` in the build's options, made elsewhere. It is used however little it
                                         * keeps: code_recall of the report says how much */
} learnann_spectral;

typedef struct learnann_build_options {
    uint32_t struct_size;
    learnann_metric metric;         /* 0: L2 */
    uint32_t threads;               /* 0: one for each core; more count as LEARNANN_MAX_THREADS. The file's bytes do not
                                     * depend on it */
    learnann_spectral spectral;
    uint32_t code_bytes;            /* bytes of a record, a multiple of 16 from 16 to 1024; 0: from held-out recall */
    learnann_graph graph;
    uint32_t degree;                /* the most out-edges that pruning leaves a row, 4 to 128; most rows keep fewer. 0 chooses: 32, but
                                     * of the graphs adaptive and uniform 48 under inner product of rows of different lengths, and 64
                                     * where the local dimension is 20 or more. For a given graph: ids a row in `neighbours`, not 0 */
    learnann_exact exact;
    uint64_t seed;
    uint64_t memory_limit;          /* refuse with NOMEM, before the work, a build for which learnann_build_bytes says more; 0: none */
    const learnann_vectors *queries;/* sample queries: they choose the codes' width and calibrate in place of held-out rows, and about
                                     * 1,500 and more teach the graph, as learnann_builder_train does. Struct and vectors are
                                     * borrowed until the builder is freed */
    const learnann_allocator *allocator;
    /* Called now and then from the thread that builds. `phase`, a static string, names what is being done. Of each phase the first
     * call says 0 and the last one 1, and between them `done` never falls; how fast it grows is an estimate. A phase may come
     * again after others, and starts anew then. Non-zero cancels: it is not called again, nor after any other failure. */
    int (*progress)(void *context, const char *phase, double done);
    void *progress_context;
    uint32_t rows_mapped;           /* 1: the rows lie in a read-only mapping of a file. They are requested ahead, and their pages given
                                     * back to the system once read (madvise): some 20 MB of them are resident at a time (all, with
                                     * LEARNANN_GRAPH_KNN, which reads them again and again). Never for other memory: it would lose
                                     * its contents */
    uint32_t reserved;
    const learnann_vectors *directions; /* of LEARNANN_SPECTRAL_GIVEN: 1 to 1,024 vectors of the rows' dimension. A row is represented by
                                     * its dot products with them (under cosine made of length 1 first; but for inner product, minus
                                     * the mean of the rows), so these should lie as far apart as the rows do: orthonormal directions
                                     * are best, and none may make a vector more than 8 times longer. If a record has no room for all,
                                     * they are rotated so that the strongest come first, and the rest is dropped. Struct and vectors
                                     * are borrowed until the builder is freed */
    const uint32_t *neighbours;     /* of LEARNANN_GRAPH_GIVEN: `degree` row numbers for each row, dense, UINT32_MAX where there are fewer.
                                     * A row's own number and repeated ones are ignored. Borrowed until the builder is freed */
} learnann_build_options;

static inline learnann_build_options learnann_build_options_default(void) {
    learnann_build_options o;
    memset(&o, 0, sizeof o);
    o.struct_size = (uint32_t)sizeof o;
    return o;
}

typedef struct learnann_phase {
    const char *name;       /* static */
    double seconds;
} learnann_phase;

typedef struct learnann_build_report {
    uint32_t struct_size;
    uint32_t threads;
    uint64_t rows;
    uint32_t dim;
    learnann_metric metric;
    double seconds;
    uint64_t file_bytes;
    double hot_bytes_per_row;
    double cold_bytes_per_row;
    double mean_degree;
    uint32_t code_bytes;
    uint32_t code_dim;
    uint64_t repaired;              /* rows that no path led to before an edge was added for them */
    float code_recall;              /* as in learnann_index_info */
    float residual_weight;
    uint32_t phase_count;
    learnann_phase phases[12];
    uint32_t entries;
    learnann_spectral spectral;     /* the space that was built; AUTO after a training, which changes none */
    uint64_t lessons;               /* queries that taught the graph; 0 where there were too few, or it was no better for them */
    const char *spectral_note;      /* static: why it is PCA where another space was asked for; else NULL */
} learnann_build_report;

static inline learnann_build_report learnann_build_report_default(void) {
    learnann_build_report r;
    memset(&r, 0, sizeof r);
    r.struct_size = (uint32_t)sizeof r;
    return r;
}

/* Peak memory of learnann_builder_run in bytes, without the rows themselves (with rows_mapped: with what is resident of them); 0 for
 * bad arguments. Each thread adds up to 1.7 MB (records of 1,024 bytes: 5.4), or some 100 * dim (the exact graph: 160 * dim) where that is
 * more, and 9 a row where sample queries teach, but its stack does not count. It assumes 128 for code_bytes 0, and 32 (inner product: 48)
 * for degree 0. If the rows turn out to want wider records or more edges than memory_limit
 * has room for, the build ends with NOMEM before the graph. The file's bytes don't depend on the limit. */
LEARNANN_API uint64_t learnann_build_bytes(uint64_t rows, uint32_t dim, const learnann_build_options *options);

/* OK, ARGUMENT (an option out of range), UNSUPPORTED (a graph of no kind known), NOMEM. options may be NULL and are copied; what they point to is borrowed until the
 * builder is freed (the allocator is copied). */
LEARNANN_API learnann_status learnann_builder_create(const learnann_build_options *options, learnann_builder **builder,
                                                     learnann_error *error);
LEARNANN_API void learnann_builder_free(learnann_builder *builder);

/* Builds. `rows` (1 to 2^32 - 2 of them) and `keys` (rows->count of them, or NULL: keys are row numbers) are borrowed until
 * the builder is freed or runs again. OK; ARGUMENT (place and file_offset: the first row, or a sample query or direction, that is too long or
 * not finite, or the first row that has a neighbour that is no row); NOMEM (`needed`); CANCELLED; UNSUPPORTED. What was built before
 * is forgotten, whatever it returns. */
LEARNANN_API learnann_status learnann_builder_run(learnann_builder *builder, const learnann_vectors *rows,
                                                  const uint64_t *keys, learnann_error *error);

/* Learns from a log of real queries, with the rows as they are: edges (of a row that the queries walked over, those that led to
 * answers stay), entries (under inner product) and the calibration. About 500 queries, spread evenly over the log, are kept for
 * measuring. With a thousand different others or more the graph is taught, and the taught one is kept if it finds as much for less
 * work (see `lessons` of the report). Fewer only calibrate: a hundred tell a recall to a few hundredths, a handful tells nothing.
 * Queries unlike these may find less than before. The index is verified first. It and the queries (any element type) are borrowed
 * until the builder is freed or runs again; save next, to the index's own path if you like. Of the builder's options threads, seed,
 * memory_limit and progress count.
 * OK; ARGUMENT (no queries, another dimension, too long or not finite: file_offset = the query); CORRUPT; UNSUPPORTED where the
 * index keeps no exact rows or those of I4, I2 and BINARY (give such a build its queries), or where its graph is not the adaptive
 * one; NOMEM; CANCELLED. */
LEARNANN_API learnann_status learnann_builder_train(learnann_builder *builder, const learnann_index *index,
                                                    const learnann_vectors *queries, learnann_error *error);

/* Writes the index to `path`: a temporary file beside it, fsync, rename, fsync of the folder. A reader sees the old file or
 * the new one, never a part; on failure the old file is untouched and the temporary is removed. May be called again.
 * A file that is replaced leaves the new one its permissions, on Linux its POSIX access control list too, and, where the system
 * allows, its owner and group; at no time can anybody else read the new one who could not read the old. Where the group can't be
 * kept, the new file's group and all others may do what both could before; where the list can't be (with another group it isn't),
 * nobody but the owner may do anything. Lists of other kinds or systems are not looked at: the old file's is lost, and one that the
 * folder gives to new files holds. Where `path` is a symbolic link, it stays, and the file that it leads to is replaced; if it leads
 * to none, or the system doesn't tell what is there: IO, before anything is written. (Windows knows none of this: the new file has
 * the permissions of its folder, and takes the place of a link. WASI: no permissions, and a link is IO.)
 * Windows replaces no file that is open somewhere (IO): close it first, or open with LEARNANN_OPEN_COPY.
 * OK; ARGUMENT (nothing was built); IO; NOMEM. */
LEARNANN_API learnann_status learnann_builder_save(learnann_builder *builder, const char *path, learnann_error *error);

/* Bytes of the built index; 0 where nothing was built. */
LEARNANN_API uint64_t learnann_builder_bytes(const learnann_builder *builder);

/* Writes the index, learnann_builder_bytes() of it, to a buffer of at least that size. OK, ARGUMENT. */
LEARNANN_API learnann_status learnann_builder_write(learnann_builder *builder, void *buffer, uint64_t size,
                                                    learnann_error *error);

/* What the last run did: of one that failed, as far as it came; zeroes where its options were refused, or there was none.
 * Fills as much as report->struct_size allows. OK, ARGUMENT. */
LEARNANN_API learnann_status learnann_builder_report(const learnann_builder *builder, learnann_build_report *report);

#endif /* LEARNANN_READ_ONLY */

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ---- C++17 ownership, nothing more -------------------------------------------------------------------------- */
#if defined(__cplusplus) && (__cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L))
#include <memory>
#include <vector>

namespace learnann {

using Hit = learnann_hit;
using Error = learnann_error;

namespace detail {
struct Close { void operator()(learnann_index *p) const { learnann_close(p); } };
struct FreeScratch { void operator()(learnann_scratch *p) const { learnann_scratch_free(p); } };
template <class T> struct type_of;
template <> struct type_of<float> { static constexpr learnann_type value = LEARNANN_F32; };
template <> struct type_of<int8_t> { static constexpr learnann_type value = LEARNANN_I8; };
template <> struct type_of<uint8_t> { static constexpr learnann_type value = LEARNANN_U8; };
template <> struct type_of<uint16_t> { static constexpr learnann_type value = LEARNANN_F16; };
}

/* Borrows `count` dense vectors of float, int8_t, uint8_t, or uint16_t (half floats). */
template <class T> learnann_vectors vectors(const T *data, uint64_t count, uint32_t dim) {
    return learnann_vectors{data, count, 0, dim, detail::type_of<T>::value};
}

/* One thread's working memory. It must not outlive its index. */
using Scratch = std::unique_ptr<learnann_scratch, detail::FreeScratch>;

class Index {
public:
    /* An empty Index (false in a condition) on failure, with the reason in *error. options as of learnann_open, NULL: the defaults. */
    static Index open(const char *path, Error *error = nullptr, const learnann_open_options *options = nullptr) {
        Index i;
        learnann_index *raw = nullptr;
        learnann_open(path, options, &raw, error);
        i.handle_.reset(raw);
        return i;
    }
    static Index open_memory(const void *bytes, size_t size, Error *error = nullptr, const learnann_open_options *options = nullptr) {
        Index i;
        learnann_index *raw = nullptr;
        learnann_open_memory(bytes, size, options, &raw, error);
        i.handle_.reset(raw);
        return i;
    }
    explicit operator bool() const { return handle_ != nullptr; }
    learnann_index *get() const { return handle_.get(); }

    Scratch scratch(Error *error = nullptr) const {
        learnann_scratch *raw = nullptr;
        learnann_scratch_create(handle_.get(), &raw, error);
        return Scratch(raw);
    }
    learnann_index_info info() const {
        learnann_index_info i = learnann_index_info_default();
        learnann_get_info(handle_.get(), &i);
        return i;
    }
    /* Hits, nearest first; empty on failure, with the reason in *error. */
    template <class T>
    std::vector<Hit> search(Scratch &scratch, const T *query, uint32_t dim, uint32_t k,
                            const learnann_search_options *options = nullptr, Error *error = nullptr) const {
        learnann_vectors q = vectors(query, 1, dim);
        std::vector<Hit> hits(k);
        uint32_t count = 0;
        learnann_search(handle_.get(), scratch.get(), &q, k, options, hits.data(), &count, nullptr, error);
        hits.resize(count);
        return hits;
    }

private:
    std::unique_ptr<learnann_index, detail::Close> handle_;
};

#ifndef LEARNANN_READ_ONLY
/* Builds and saves in one call; more control is in the C API. */
template <class T>
learnann_status build(const char *path, const T *rows, uint64_t count, uint32_t dim,
                      const learnann_build_options *options = nullptr, const uint64_t *keys = nullptr, Error *error = nullptr) {
    learnann_builder *b = nullptr;
    learnann_vectors v = vectors(rows, count, dim);
    learnann_status s = learnann_builder_create(options, &b, error);
    if (s == LEARNANN_OK) s = learnann_builder_run(b, &v, keys, error);
    if (s == LEARNANN_OK) s = learnann_builder_save(b, path, error);
    learnann_builder_free(b);
    return s;
}
#endif

} /* namespace learnann */
#endif

#endif /* LEARNANN_H */

/* Outside of the guard: another header may have included this one before. */
#if defined(LEARNANN_IMPLEMENTATION) && defined(__cplusplus) && !defined(LEARNANN_IMPLEMENTATION_INCLUDED)
#define LEARNANN_IMPLEMENTATION_INCLUDED
#include "learnann.c++"
#endif
