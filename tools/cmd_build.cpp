// learnann build: a file of vectors -> an index file.
//
// Invariants: the output appears complete or not at all, after an error or Ctrl-C too. All that can be refused cheaply
// (options, shapes, the output's folder) is refused before the work begins.
#include "building.hpp"
#include "cli.hpp"
#include "json.hpp"
#include "system.hpp"
#include "vectorfile.hpp"

#include <algorithm>
#include <cmath>

namespace tools {
namespace {

struct Settings {
    std::string input, output, keys, queries, directions, neighbours;
    uint32_t metric = LEARNANN_L2;
    uint64_t threads = 0, seed = 0, code_bytes = 0, degree = 0, memory = 0;
    uint32_t spectral = LEARNANN_SPECTRAL_AUTO;
    uint32_t graph = LEARNANN_GRAPH_ADAPTIVE;
    uint32_t exact = LEARNANN_EXACT_AUTO;
    uint32_t router = 0;
    bool json = false;
};

Syntax syntax_of(Settings &s) {
    Syntax syntax{"build", "INPUT -o FILE [options]",
                  "Builds an index of the vectors in INPUT and writes it to FILE, complete or not at all.\n"
                  "INPUT is .npy (f4 f2 i1 u1), .fvecs, .bvecs, .fbin, .u8bin or .i8bin, told by its suffix.\n",
                  {{"INPUT", &s.input}}, {}};
    syntax.options = {
        {"-o", "FILE", "the index file to write", &s.output},
        {"--metric", "l2|ip|cos", "squared Euclidean (default), inner product, or cosine distance",
         Choice{&s.metric, {{"l2", LEARNANN_L2}, {"ip", LEARNANN_IP}, {"cos", LEARNANN_COS}}}},
        {"--keys", "FILE", "a key for each row, which hits then carry: .npy of uint64 or int64,\n"
                           ".u64bin (int32 rows, int32 1, uint64 values), or text, one number a line.\n"
                           "Default: row numbers", &s.keys},
        {"--queries", "SAMPLE", "real queries to calibrate by, where queries differ from rows (default: rows held\n"
                                "out); from some 1,500 on the graph learns from them, as `learnann train` does.\n"
                                "By fewer than 50 searches for a recall may find less than it: a warning says so", &s.queries},
        {"--threads", "N", "at most 64; 0, the default: one for each core; the file does not depend on it",
         Whole{&s.threads, 0, LEARNANN_MAX_THREADS}},
        {"--memory", "SIZE", "refuse at once what would need more memory than this, as 512M, for all it holds\n"
                             "and for what is mapped of INPUT at a time (some 20 MB, however large it is).\n"
                             "Default: what the machine has available; the file does not depend on it", Bytes{&s.memory}},
        {"--seed", "N", "of all random choices (default 0)", Whole{&s.seed, 0, UINT64_MAX}},
        {"--spectral", "auto|pca|learned|FILE",
         "the projection: pca (auto, the default, is that), one trained for 5 to 20 s (more recall\n"
         "from narrow records), or one made elsewhere: a file of vectors, a direction each",
         Choice{&s.spectral, {{"auto", LEARNANN_SPECTRAL_AUTO}, {"pca", LEARNANN_SPECTRAL_PCA}, {"learned", LEARNANN_SPECTRAL_LEARNED}},
                &s.directions, LEARNANN_SPECTRAL_GIVEN}},
        {"--code-bytes", "N", "bytes of a record, a multiple of 16 from 16 to 1024.\n"
                              "Default: from the recall of held-out rows", Whole{&s.code_bytes, 16, 1024, 16}},
        {"--graph", "KIND", "adaptive (default); others to compare it with: knn (every row's nearest, exactly),\n"
                            "nsw, hnsw (M is half the degree), uniform (as adaptive, as many edges for each row);\n"
                            "or a FILE of one made elsewhere: for each row the numbers of its neighbours, -1 for none\n"
                            "(.ivecs, .ibin or .npy of i4 or i8), of which --degree takes the first so many",
         Choice{&s.graph, {{"adaptive", LEARNANN_GRAPH_ADAPTIVE}, {"knn", LEARNANN_GRAPH_KNN},
                           {"nsw", LEARNANN_GRAPH_NSW}, {"hnsw", LEARNANN_GRAPH_HNSW}, {"uniform", LEARNANN_GRAPH_UNIFORM}},
                &s.neighbours, LEARNANN_GRAPH_GIVEN}},
        {"--degree", "N", "out-edges that a row keeps at most when pruned, 4 to 128 (default 32;\n48 for inner products, 64 for rows of many local dimensions); most rows keep fewer", Whole{&s.degree, 4, 128}},
        {"--exact", "KIND", "how rows are kept for the last ranking: auto (default, as given), f32, f16,\n"
                            "i8, u8; i4, i2, binary (what the code leaves of a row, in so few bits a dimension:\n"
                            "some of the true neighbours are ranked wrongly); or none (distances are estimates)",
         Choice{&s.exact, {{"auto", LEARNANN_EXACT_AUTO}, {"f32", LEARNANN_EXACT_F32}, {"f16", LEARNANN_EXACT_F16},
                           {"i8", LEARNANN_EXACT_I8}, {"u8", LEARNANN_EXACT_U8}, {"i4", LEARNANN_EXACT_I4},
                           {"i2", LEARNANN_EXACT_I2}, {"binary", LEARNANN_EXACT_BINARY}, {"none", LEARNANN_EXACT_NONE}}}},
        {"--router", "auto|off", "index files have no router yet: both build without",
         Choice{&s.router, {{"auto", 0}, {"off", 0}, {"on", 0, false}}}},
        {"--json", "", "one JSON object on stdout", &s.json},
    };
    return syntax;
}

// ---- the input

struct Inputs {
    MatrixFile rows, queries, directions;
    std::vector<uint64_t> keys;
    std::vector<uint32_t> neighbours;   // `degree` of each row
    uint32_t degree = 0;
    learnann_vectors row_vectors{}, query_vectors{}, direction_vectors{};
};

// The first `degree` numbers of each row, all where that is 0.
bool read_neighbours(const std::string &path, const std::string &rows, uint64_t count, uint64_t degree, Inputs &in, Failure &failure) {
    MatrixFile file;
    if (!open_ids(path, file, failure)) return false;
    const Matrix &m = file.matrix;
    if (m.rows != count) {
        return fail(failure, path, "", format("holds the neighbours of %s rows, %s has %s", grouped(m.rows).c_str(), rows.c_str(), grouped(count).c_str()),
                    "Give a list for each row.");
    }
    in.degree = degree == 0 ? m.dim : static_cast<uint32_t>(degree);
    if (in.degree > m.dim || in.degree < 4 || in.degree > 128) {
        return fail(failure, path, "", format("holds %u neighbours a row", m.dim), "Take 4 to 128 of them: --degree N.");
    }
    in.neighbours.reserve(m.rows * in.degree);
    for (uint64_t row = 0; row < m.rows; ++row)
        for (uint32_t i = 0; i < in.degree; ++i) {
            const int64_t id = id_at(m, row, i);
            if (id < -1 || id >= static_cast<int64_t>(count)) {
                return fail(failure, path, format("row %llu", static_cast<unsigned long long>(row)),
                            format("names row %lld of %s", static_cast<long long>(id), grouped(count).c_str()), "Give row numbers, counted from 0, or -1 for none.");
            }
            in.neighbours.push_back(id < 0 ? UINT32_MAX : static_cast<uint32_t>(id));
        }
    return true;
}

bool open_inputs(const Settings &s, Inputs &in, Failure &failure) {
    if (!check_output(s.output, {s.input, s.keys, s.queries, s.directions, s.neighbours}, failure) || !open_vectors(s.input, in.rows, failure)) return false;
    in.row_vectors = as_vectors(in.rows.matrix);
    if (!s.keys.empty()) {
        if (!read_keys(s.keys, in.keys, failure)) return false;
        if (in.keys.size() != in.row_vectors.count) {
            return fail(failure, s.keys, "", format("holds %s keys, %s has %s rows", grouped(in.keys.size()).c_str(),
                                                    s.input.c_str(), grouped(in.row_vectors.count).c_str()),
                        "Give one key for each row.");
        }
    }
    if (!s.queries.empty()) {
        if (!open_vectors_for(s.queries, s.input, in.row_vectors.dim, in.queries, failure)) return false;
        in.query_vectors = as_vectors(in.queries.matrix);
        warn_of_few(s.queries, in.query_vectors.count);
    }
    if (!s.directions.empty()) {
        if (!open_vectors_for(s.directions, s.input, in.row_vectors.dim, in.directions, failure)) return false;
        in.direction_vectors = as_vectors(in.directions.matrix);
    }
    return s.neighbours.empty() || read_neighbours(s.neighbours, s.input, in.row_vectors.count, s.degree, in, failure);
}

learnann_build_options options_of(const Settings &s, const Inputs &in, const AvailableMemory &memory,
                                  ProgressLine &progress) {
    learnann_build_options o = learnann_build_options_default();
    o.metric = static_cast<learnann_metric>(s.metric);
    o.threads = static_cast<uint32_t>(s.threads);
    o.spectral = static_cast<learnann_spectral>(s.spectral);
    o.code_bytes = static_cast<uint32_t>(s.code_bytes);
    o.graph = static_cast<learnann_graph>(s.graph);
    o.degree = s.neighbours.empty() ? static_cast<uint32_t>(s.degree) : in.degree;
    o.neighbours = s.neighbours.empty() ? nullptr : in.neighbours.data();
    o.directions = s.directions.empty() ? nullptr : &in.direction_vectors;
    o.exact = static_cast<learnann_exact>(s.exact);
    o.seed = s.seed;
    o.memory_limit = memory.bytes;
    if (s.memory != 0) {        // what is held already is of what --memory allows; the machine has it no more
        const uint64_t held = in.neighbours.size() * sizeof in.neighbours[0] + in.keys.size() * sizeof in.keys[0];
        o.memory_limit -= std::min(held, o.memory_limit - 1);
    }
    // Rows given back must be asked for again: that is worth its time where not all of them fit.
    o.rows_mapped = in.rows.bytes.mapped() && (s.memory != 0 || in.rows.bytes.size() > memory.bytes / 2);
    o.queries = s.queries.empty() ? nullptr : &in.query_vectors;
    progress.attach(o);
    return o;
}

// ---- the work

Failure build_failure(const Settings &s, const Inputs &in, const AvailableMemory &memory, const learnann_error &error) {
    Failure failure = input_failure(s.input, s.queries, s.directions, error);
    if (error.status == LEARNANN_NOMEM && error.needed != 0) {
        failure.place.clear();
        failure.reason = format("building needs %s", size_text(error.needed).c_str());
        if (memory.bytes != 0) {
            failure.reason += memory.bytes == s.memory ? "; --memory allows " : memory.contained ? "; this container has left "
                                                                                               : "; this machine has available ";
            failure.reason += size_text(memory.bytes);
        }
        failure.advice = memory.bytes == s.memory ? "Allow as much; a smaller --degree or --code-bytes needs less."
                                                  : "Close other programs or build where there is more memory (searching needs far less);\n"
                                                    "  a smaller --degree or --code-bytes needs less, and so does a part of the rows.";
    }
    const double rows = static_cast<double>(in.row_vectors.count);
    if (error.status == LEARNANN_UNSUPPORTED && s.graph == LEARNANN_GRAPH_KNN) {
        failure.reason += format("; here it is %.1e", rows * rows * in.row_vectors.dim);
        failure.advice = "Build another graph, or that of fewer rows.";
    }
    return failure;
}

bool build(const Settings &s, const Inputs &in, learnann_build_report &done, Failure &failure) {
    ProgressLine progress;
    AvailableMemory memory = available_memory();
    if (s.memory != 0 && (memory.bytes == 0 || s.memory < memory.bytes)) memory.bytes = s.memory;
    const learnann_build_options options = options_of(s, in, memory, progress);
    learnann_builder *raw = nullptr;
    learnann_error error{};
    learnann_status status = learnann_builder_create(&options, &raw, &error);
    const Builder builder(raw);
    if (status == LEARNANN_OK) {
        status = learnann_builder_run(raw, &in.row_vectors, in.keys.empty() ? nullptr : in.keys.data(), &error);
    }
    progress.clear();
    if (status == LEARNANN_CANCELLED || (status == LEARNANN_OK && interrupted())) {
        return fail(failure, s.output, "", "interrupted; nothing was written", "Run it again to begin anew.");
    }
    if (status != LEARNANN_OK) {
        failure = build_failure(s, in, memory, error);
        return false;
    }
    if (learnann_builder_save(raw, s.output.c_str(), &error) != LEARNANN_OK) {
        failure = library_failure(s.output, error);
        return false;
    }
    learnann_builder_report(raw, &done);
    return true;
}

// ---- the report

std::string json_of(const Settings &s, const learnann_build_report &r) {
    JsonWriter json;
    json.begin_object();
    json.field("rows", r.rows);
    json.field("dim", r.dim);
    json.field("metric", metric_name(s.metric));
    json.field("seconds", r.seconds);
    write_phases(json, r);
    json.field("file_bytes", r.file_bytes);
    json.field("hot_bytes_per_row", r.hot_bytes_per_row);
    json.field("cold_bytes_per_row", r.cold_bytes_per_row);
    json.field("spectral", spectral_name(r.spectral));
    if (r.spectral_note != nullptr) json.field("spectral_note", r.spectral_note);
    json.field("code_bytes", r.code_bytes);
    json.field("graph", graph_name(s.graph));
    json.field("mean_degree", r.mean_degree);
    json.field("repaired", r.repaired);
    json.field("lessons", r.lessons);
    json.field("code_recall", r.code_recall < 0 ? std::nanf("") : r.code_recall);
    json.field("residual_weight", r.residual_weight);
    json.key("peak_rss_bytes");
    if (const uint64_t peak = peak_rss_bytes()) json.value(peak);
    else json.value(nullptr);
    json.field("router", "none");
    json.end_object();
    return json.text() + "\n";
}

std::string table_of(const Settings &s, const learnann_build_report &r) {
    std::vector<std::vector<std::string>> rows = {
        {"file", s.output},
        {"rows", format("%s x %u, %s", grouped(r.rows).c_str(), r.dim, metric_name(s.metric))},
        {"file size", size_text(r.file_bytes)},
        {"bytes a row", format("%.1f hot, %.1f cold", r.hot_bytes_per_row, r.cold_bytes_per_row)},
        {"record", format("%u bytes, %u dimensions", r.code_bytes, r.code_dim)},
        {"space", r.spectral_note != nullptr ? r.spectral_note : spectral_name(r.spectral)},
        {"graph", format("%s, %.1f edges a row", graph_name(s.graph), r.mean_degree)},
        {"learned from", lessons_text(r)},
        {"code recall", r.code_recall < 0 ? "unknown" : format("%.4f (true 10 in the best 20)",
                                                               static_cast<double>(r.code_recall))},
        {"peak memory", peak_rss_bytes() == 0 ? "unknown" : size_text(peak_rss_bytes())},
        {"seconds", format("%.2f on %u thread%s", r.seconds, r.threads, r.threads == 1 ? "" : "s")},
    };
    add_phases(rows, r);
    return table_text(rows, "ll", false);
}

} // namespace

int build_command(const std::vector<std::string> &arguments) {
    Settings s;
    const Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    if (s.output.empty()) return usage_error("build", "-o FILE is missing");

    Inputs inputs;
    Failure failure;
    learnann_build_report done = learnann_build_report_default();
    catch_interrupts();
    if (!open_inputs(s, inputs, failure) || !build(s, inputs, done, failure)) return report(failure);
    return finish(s.json ? json_of(s, done) : table_of(s, done));
}

} // namespace tools
