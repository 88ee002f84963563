// learnann train: an index file and a log of queries -> the index that they would have liked, in its place or elsewhere.
//
// Invariants: the file is the old index or the new one at every moment, after an error or Ctrl-C too; its rows, keys and codes
// stay as they are.
#include "building.hpp"
#include "cli.hpp"
#include "json.hpp"
#include "measure.hpp"
#include "system.hpp"
#include "vectorfile.hpp"

namespace tools {
namespace {

struct Settings {
    std::string index, queries, output;
    uint64_t threads = 0, seed = 0;
    bool json = false;
};

Syntax syntax_of(Settings &s) {
    Syntax syntax{"train", "FILE --queries LOG [options]",
                  "Learns from the queries in LOG what the index FILE can learn with its rows as they are: which edges\n"
                  "lead such queries to their answers, under inner product where to start, and the effort that reaches\n"
                  "a recall. Real queries often come from another distribution than the rows, or ask for some again and\n"
                  "again: they may be answered for half the work. Queries unlike these may find less than before.\n"
                  "LOG is .npy (f4 f2 i1 u1), .fvecs, .bvecs, .fbin, .u8bin or .i8bin. Some 500 of them, spread evenly,\n"
                  "measure and don't teach; from a thousand others on the graph is taught, and the taught one is kept\n"
                  "where it finds as much for less. With fewer the calibration alone is new; fewer than 50 are too few\n"
                  "for that: searches for a recall may find less than it then, and a warning says so.\n",
                  {{"FILE", &s.index}}, {}};
    syntax.options = {
        {"--queries", "LOG", "the queries, of any of these types", &s.queries},
        {"-o", "FILE", "write the new index there, complete or not at all (default: in place of the old)", &s.output},
        {"--threads", "N", "at most 64; 0, the default: one for each core; the file does not depend on it", Whole{&s.threads, 0, LEARNANN_MAX_THREADS}},
        {"--seed", "N", "of all random choices (default 0)", Whole{&s.seed, 0, UINT64_MAX}},
        {"--json", "", "one JSON object on stdout", &s.json},
    };
    return syntax;
}

struct Outcome {
    uint64_t queries = 0;
    learnann_index_info before = learnann_index_info_default();
    learnann_build_report report = learnann_build_report_default();
};

bool train(const Settings &s, Outcome &done, Failure &failure) {
    Index index;
    MatrixFile log;
    const std::string &output = s.output;
    if (!check_output(output, {s.queries}, failure) || !open_index(s.index, {}, index, failure) || !open_vectors(s.queries, log, failure)) return false;
    const learnann_vectors queries = as_vectors(log.matrix);
    learnann_get_info(index.get(), &done.before);
    if (queries.dim != done.before.dim) {
        return fail(failure, s.queries, "", format("its vectors have %u elements, the rows of %s %u", queries.dim, s.index.c_str(),
                                                   done.before.dim),
                    "Give queries of the index's dimension.");
    }
    done.queries = queries.count;
    warn_of_few(s.queries, queries.count);

    ProgressLine progress;
    learnann_build_options options = learnann_build_options_default();
    options.threads = static_cast<uint32_t>(s.threads);
    options.seed = s.seed;
    options.memory_limit = available_memory().bytes;
    progress.attach(options);
    learnann_builder *raw = nullptr;
    learnann_error error{};
    learnann_status status = learnann_builder_create(&options, &raw, &error);
    const Builder builder(raw);
    if (status == LEARNANN_OK) status = learnann_builder_train(raw, index.get(), &queries, &error);
    progress.clear();
    if (status == LEARNANN_CANCELLED || (status == LEARNANN_OK && interrupted())) {
        return fail(failure, output, "", "interrupted; nothing was written", "Run it again to begin anew.");
    }
    if (status != LEARNANN_OK) {
        failure = library_failure(status == LEARNANN_ARGUMENT ? s.queries : s.index, error);
        return false;
    }
    if (learnann_builder_save(raw, output.c_str(), &error) != LEARNANN_OK) {
        failure = library_failure(output, error);
        return false;
    }
    learnann_builder_report(raw, &done.report);
    return true;
}

double mean_degree(const learnann_index_info &info) { return static_cast<double>(info.edges) / static_cast<double>(info.rows); }

std::string json_of(const Outcome &done) {
    const learnann_build_report &r = done.report;
    JsonWriter json;
    json.begin_object();
    json.field("rows", r.rows);
    json.field("queries", done.queries);
    json.field("lessons", r.lessons);
    json.field("seconds", r.seconds);
    write_phases(json, r);
    json.field("mean_degree_before", mean_degree(done.before));
    json.field("mean_degree", r.mean_degree);
    json.field("entries_before", done.before.entries);
    json.field("entries", r.entries);
    json.field("file_bytes", r.file_bytes);
    json.field("hot_bytes_per_row", r.hot_bytes_per_row);
    json.end_object();
    return json.text() + "\n";
}

std::string table_of(const Settings &s, const Outcome &done) {
    const learnann_build_report &r = done.report;
    std::vector<std::vector<std::string>> rows = {
        {"file", s.output},
        {"rows", grouped(r.rows)},
        {"queries", grouped(done.queries)},
        {"graph", r.lessons == 0 ? "as it was" : "taught by " + lessons_text(r)},
        {"mean degree", format("%.1f, before %.1f", r.mean_degree, mean_degree(done.before))},
        {"entries", format("%s, before %s", grouped(r.entries).c_str(), grouped(done.before.entries).c_str())},
        {"seconds", format("%.2f on %u thread%s", r.seconds, r.threads, r.threads == 1 ? "" : "s")},
    };
    add_phases(rows, r);
    return table_text(rows, "ll", false);
}

} // namespace

int train_command(const std::vector<std::string> &arguments) {
    Settings s;
    const Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    if (s.queries.empty()) return usage_error("train", "--queries LOG is missing");
    if (s.output.empty()) s.output = s.index;

    Outcome done;
    Failure failure;
    catch_interrupts();
    if (!train(s, done, failure)) return report(failure);
    return finish(s.json ? json_of(done) : table_of(s, done));
}

} // namespace tools
