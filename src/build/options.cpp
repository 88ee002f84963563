// options.cpp: see options.hpp.
#include "build/options.hpp"

#include "learn/calibrate.hpp"
#include "learn/cells.hpp"
#include "learn/codec_fit.hpp"
#include "learn/knn.hpp"
#include "learn/metric.hpp"
#include "learn/scan.hpp"
#include "learn/teach.hpp"

LEARNANN_BEGIN

namespace {

constexpr u32 insertion_bytes = 24;     // a row, for the order of insertion and for telling copies

// What learning a space, or taking one that is given, needs while it lasts.
u64 space_bytes(u64 rows, u32 dim, const learnann_build_options &options) {
    if (options.spectral == LEARNANN_SPECTRAL_GIVEN) {
        const u64 m = options.directions->count, sample = smaller<u64>(rows, pca_sample(dim));
        return 4 * (sample * (dim + m) + 4 * m * dim) + 32 * m * m;
    }
    if (options.spectral != LEARNANN_SPECTRAL_LEARNED) return 0;
    const MetricTraining training;
    const u64 d = smaller(dim, learning_dims), batch = static_cast<u64>(training.batch) * (NearLists::depth + 1);
    return near_lists_bytes(rows, static_cast<u32>(d)) + 4 * batch * 3 * d + 32 * d * d + 8ull * d * dim;
}

// Of few rows, where no queries are given, nothing is calibrated.
bool calibrates(u64 rows, const learnann_build_options &o) { return o.queries || rows >= rows_to_calibrate_by; }

bool teaches(const learnann_build_options &o) {
    return o.queries && o.queries->count >= Teacher::least_lessons && o.graph != LEARNANN_GRAPH_UNIFORM && adaptive(o);
}

u32 widest_code(u32 record, u32 dim) { return larger(most_code_dims(record, dim), record); }
u64 rows_in_cells(u64 rows) { return smaller<u64>(rows, rows_by_cells); }

// What all threads hold in the phases where they hold most.
struct ThreadBytes {
    u64 coded, linked, calibrated;

    ThreadBytes(u64 rows, u32 dim, u32 record, const learnann_build_options &o) {
        const u32 code_dim = widest_code(record, dim);
        const u64 threads = thread_count(o), walks = teaches(o) ? 2 : 1;      // the teacher's as well
        coded = threads * larger(scan_thread_bytes(dim, code_dim, record), tile_vectors * query_memory_bytes(dim, code_dim, record));
        linked = threads * (linking_thread_bytes + (o.graph == LEARNANN_GRAPH_KNN ? knn_thread_bytes(dim, degree_of(o)) : 0));
        if (adaptive(o)) linked += threads * Cells::thread_bytes(rows_in_cells(rows), code_dim, larger(linking_beam, degree_of(o)));
        calibrated = threads * linking_thread_bytes;
        if (calibrates(rows, o)) calibrated += threads * (calibration_thread_bytes + walks * query_memory_bytes(dim, code_dim, record));
    }
};

}  // namespace

u64 build_bytes(u64 rows, u32 dim, const learnann_build_options &o) {
    const u64 record = larger(o.code_bytes, graph_code_bytes), degree = degree_of(o);
    const u64 lists = edge_capacity(o) * 4ull + 2, threads = thread_count(o);
    const u64 held_out = smaller<u64>(o.queries ? o.queries->count : rows, Holdout::most);
    const ThreadBytes of_threads(rows, dim, static_cast<u32>(record), o);
    // What the phases hold that hold most, besides the norms, both orders of the rows and what is held out.
    const u64 sample = smaller<u64>(rows, pca_sample(dim));
    const u64 block = smaller<u64>(larger<u64>(most_code_dims(static_cast<u32>(record), dim), learning_dims) + 16, dim);     // of directions
    const u64 matrices = 4 * larger<u64>(dim <= covariance_dims ? 1ull * dim * dim : 0, sample * block) + 16ull * dim * block + 24 * block * block;
    const u64 kept = 7 * block * dim;       // directions, as floats, in the codecs and in tiles
    const u64 coded = rows * record + larger(sample * dim * 4 + matrices, kept + of_threads.coded);
    const u64 arranged = rows * 2 * record;
    const u64 graph = rows * (record + lists) + kept;
    const u64 batch = smaller<u64>(rows / 50 + 512, 32768) * degree * 12;
    const u64 angular = o.metric == LEARNANN_IP ? record + angular_capacity * 4ull + 2 : 0;
    const u64 cells = adaptive(o) ? Cells::bytes(rows_in_cells(rows), widest_code(static_cast<u32>(record), dim)) : 0;
    const u64 evened = o.graph == LEARNANN_GRAPH_UNIFORM ? rows * lists : 0;
    const u64 linked = graph + larger(batch, larger(cells, evened)) + rows * (insertion_bytes + angular) + of_threads.linked;
    const u64 unheld = linked_whole(o) || o.metric == LEARNANN_IP ? lists : 0;     // the graph without what is held out
    const u64 taught = teaches(o) ? lists + teacher_bytes_a_row(edge_capacity(o), thread_count(o)) : 0;
    const u64 lessons = teaches(o) ? smaller<u64>(o.queries->count, Teacher::most_lessons) * lesson_bytes : 0;
    const u64 tried = calibrates(rows, o) ? held_out * calibration_bytes : 0;
    const u64 calibrated = graph + batch + rows * (4 + taught + unheld) + lessons + tried + of_threads.calibrated;
    const u64 laid_out = graph + rows * (14 + degree * IdList::bits_for(static_cast<u32>(rows)) * 5 / 32);
    const u64 most = larger(larger(larger(coded, arranged), linked), larger(calibrated, laid_out));
    const u64 in_memory = o.rows_mapped ? 2 * Rows::window + threads * Rows::together * (dim * 4ull + Rows::around / 4) : 0;
    return most + space_bytes(rows, dim, o) + rows * 3 * 4 + held_out * dim * 5 + in_memory + (8u << 20);
}

LEARNANN_END
