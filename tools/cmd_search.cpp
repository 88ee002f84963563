// learnann search: runs a file of queries against an index, and says what came of it and what it cost.
#include "cache.hpp"
#include "cli.hpp"
#include "measure.hpp"
#include "system.hpp"

namespace tools {
namespace {

struct Settings {
    std::string index, queries, truth, out;
    uint64_t k = 10, effort = 0, threads = 1, repeat = 1;
    double recall = 0;
    uint32_t router = 0;
    uint64_t memory_limit = 0;
    bool interleave = false, resident = false, flash = false, copy = false, cold = false, json = false;
};

Syntax syntax_of(Settings &s) {
    Syntax syntax{"search", "FILE QUERIES [options]",
                  "Searches the index FILE for the nearest rows of each vector in QUERIES.\n"
                  "QUERIES is .npy (f4 f2 i1 u1), .fvecs, .bvecs, .fbin, .u8bin or .i8bin, of any of these types.\n"
                  "With one thread each query is timed; the first pass over a file also pays for reading it.\n",
                  {{"FILE", &s.index}, {"QUERIES", &s.queries}}, {}};
    syntax.options = {
        {"-k", "N", "hits wanted for each query (default 10)", Whole{&s.k, 1, 1u << 20}},
        {"--recall", "SHARE", "the recall wanted; the index knows the effort for it (default 0.95)",
         Fraction{&s.recall}},
        {"--effort", "N", "how far the beam goes, 1 to 1048576, instead of --recall", Whole{&s.effort, 1, 1u << 20}},
        {"--router", "auto|off", "index files have no router yet: both search without",
         Choice{&s.router, {{"auto", 0}, {"off", 0}, {"on", 0, false}}}},
        {"--truth", "TRUTH", "the true neighbours of each query as row numbers of the build's input, k or more\n"
                             "of them: .ivecs, .ibin, or .npy of i4 or i8. Reports the recall", &s.truth},
        {"--out", "HITS", "write the hits' row numbers, nearest first, k for each query, -1 for none:\n"
                          ".ivecs, .ibin or .npy", &s.out},
        {"--threads", "N", "threads for a batch, at most 64, 0 for one for each core (default 1, query by query)",
         Whole{&s.threads, 0, LEARNANN_MAX_THREADS}},
        {"--interleave", "", "one thread, several queries in flight at once", &s.interleave},
        {"--resident", "", "copy the hot part of the index into memory, in large pages where the system grants them",
         &s.resident},
        {"--flash", "", "for a file larger than memory: ask the device for all exact rows of a query at once", &s.flash},
        {"--copy", "", "read the whole index into memory first: whatever happens to the file then", &s.copy},
        {"--cold", "", "the first 300 queries, each on an index opened anew of which nothing is in memory:\n"
                       "the latency then, opening included, and what was read of the file (Linux)", &s.cold},
        {"--memory-limit", "MIB", "search in a process of so much memory, cached parts of files included, that begins\n"
                                  "with nothing of FILE in memory (Linux, where control groups are granted)",
         Whole{&s.memory_limit, 1, 1u << 24}},
        {"--repeat", "N", "passes over the queries; the fastest is reported (default 1)",
         Whole{&s.repeat, 1, 1000000}},
        {"--json", "", "one JSON object on stdout", &s.json},
    };
    return syntax;
}

// Ctrl-C ends the searches at once; from here on there is a temporary to remove.
bool write_hits(const std::string &path, const Measurement &measurement, uint32_t k, Failure &failure) {
    catch_interrupts();
    const std::vector<int64_t> rows = measurement.hit_rows();
    const Matrix matrix{reinterpret_cast<const uint8_t *>(rows.data()), measurement.queries(), uint64_t{k} * 8, k,
                        Element::I64};
    return write_matrix(path, matrix, path, interrupted, failure);
}

std::string table_of(const Figures &f) {
    std::vector<std::vector<std::string>> rows = {
        {"queries", grouped(f.queries)},
        {"k", grouped(f.k)},
        {"effort", grouped(f.effort)},
    };
    if (f.recall >= 0) rows.push_back({format("recall@%u", f.k), format("%.4f", f.recall)});
    rows.push_back({"queries/s", f.qps < 0 ? "unknown" : grouped(static_cast<uint64_t>(f.qps))});
    if (f.mean_us >= 0) {
        rows.push_back({"latency", format("mean %.1f us, median %.1f us, 99 %% below %.1f us", f.mean_us, f.p50_us,
                                          f.p99_us)});
    }
    rows.push_back({"a query", format("%.1f code distances and %.1f of entries, %.1f hops, %.1f exact rows",
                                      f.distances, f.entry_distances, f.hops, f.reranked)});
    if (f.cold_bytes >= 0) rows.push_back({"read of the file", format("%s a query, %.1f pages of 4 KiB", size_text(f.cold_bytes).c_str(), f.cold_bytes / 4096)});
    rows.push_back({"memory", rss_bytes() == 0 ? "unknown" : size_text(rss_bytes()) + ", mapped files included"});
    rows.push_back({"isa", learnann_isa()});
    return table_text(rows, "ll", false);
}

std::string wrong_combination(const Settings &s) {
    if (s.effort != 0 && s.recall != 0) return "--recall and --effort exclude each other";
    if (s.copy && (s.resident || s.flash)) return "--copy excludes --resident and --flash";
    if (s.interleave && s.threads != 1) return "--interleave is for one thread: leave out --threads";
    if (s.cold && (s.interleave || s.threads != 1 || s.repeat != 1)) return "--cold searches query by query, once";
    return "";
}

int search(const Settings &s) {
    Plan plan;
    plan.k = static_cast<uint32_t>(s.k);
    plan.effort = static_cast<uint32_t>(s.effort);
    plan.target_recall = static_cast<float>(s.recall);
    plan.threads = static_cast<uint32_t>(s.threads);
    plan.interleave = s.interleave;
    plan.repeat = static_cast<uint32_t>(s.repeat);

    Failure failure;
    Figures figures;
    Measurement measurement;
    const bool out_ok = s.out.empty() || (check_numbers_suffix(s.out, failure) && check_output(s.out, {s.index, s.queries, s.truth}, failure));
    if (!out_ok || !measurement.open(s.index, s.queries, s.truth, plan.k, OpenHow{s.resident, s.flash, s.copy}, failure) ||
        !(s.cold ? measurement.run_cold(plan, figures, failure) : measurement.run(plan, figures, failure))) {
        return report(failure);
    }
    if (!s.out.empty() && !write_hits(s.out, measurement, plan.k, failure)) return report(failure);
    if (!s.json) return finish(table_of(figures));
    JsonWriter json;
    write_figures(json, figures);
    return finish(json.text() + "\n");
}

} // namespace

int search_command(const std::vector<std::string> &arguments) {
    Settings s;
    const Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    const std::string wrong = wrong_combination(s);
    if (!wrong.empty()) return usage_error("search", wrong);
    if (s.memory_limit == 0) return search(s);

    Failure failure;
    int code = exit_failed;
    const bool ran = run_capped(s.memory_limit << 20, s.index, [&] { return search(s); }, code, failure);
    return ran ? code : report(failure);
}

} // namespace tools
