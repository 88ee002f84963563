// learnann sweep: recall against speed over a range of efforts, as a table, JSON, or a plot.
#include "cli.hpp"
#include "measure.hpp"
#include "plot.hpp"
#include "system.hpp"

#include <algorithm>
#include <cmath>

namespace tools {
namespace {

constexpr uint32_t last_effort = 1024;      // or 4 k where that is more
constexpr double perfect = 0.9995;          // two such rows end the sweep: more effort buys nothing

struct Settings {
    std::string index, queries, truth, plot;
    uint64_t k = 10, repeat = 3;
    bool interleave = false, resident = false, json = false;
};

Syntax syntax_of(Settings &s) {
    Syntax syntax{"sweep", "FILE QUERIES --truth TRUTH [options]",
                  "Measures recall and speed of the index FILE over a range of efforts, from k up to 1024 (4 k where\n"
                  "that is more), until the recall is as good as perfect. One thread; a first pass warms up.\n",
                  {{"FILE", &s.index}, {"QUERIES", &s.queries}}, {}};
    syntax.options = {
        {"--truth", "TRUTH", "the true neighbours of each query as row numbers of the build's input, k or more\n"
                             "of them: .ivecs, .ibin, or .npy of i4 or i8", &s.truth},
        {"-k", "N", "hits wanted for each query (default 10)", Whole{&s.k, 1, 1u << 18}},
        {"--repeat", "N", "passes for each effort; the fastest is reported (default 3)", Whole{&s.repeat, 1, 1000000}},
        {"--interleave", "", "several queries in flight at once, instead of query by query", &s.interleave},
        {"--resident", "", "copy the hot part of the index into memory, in large pages where the system grants them",
         &s.resident},
        {"--plot", "FILE", "write queries/s against recall as an SVG picture", &s.plot},
        {"--json", "", "a JSON list on stdout, its rows those of `learnann search --json`", &s.json},
    };
    return syntax;
}

std::vector<uint32_t> efforts_from(uint32_t k) {
    const uint32_t last = std::max(last_effort, 4 * k);
    std::vector<uint32_t> efforts;
    for (double effort = k; effort < last; effort *= std::sqrt(2.0)) {
        const uint32_t rounded = static_cast<uint32_t>(std::lround(effort));
        if (efforts.empty() || rounded > efforts.back()) efforts.push_back(rounded);
    }
    efforts.push_back(last);
    return efforts;
}

bool sweep(const Settings &s, Measurement &measurement, std::vector<Figures> &rows, Failure &failure) {
    Plan plan;
    plan.k = static_cast<uint32_t>(s.k);
    plan.interleave = s.interleave;
    const std::vector<uint32_t> efforts = efforts_from(plan.k);
    Figures figures;
    plan.effort = efforts.front();
    if (!measurement.run(plan, figures, failure)) return false;     // reads the file into memory
    plan.repeat = static_cast<uint32_t>(s.repeat);
    int as_good_as_perfect = 0;
    for (size_t i = 0; i < efforts.size() && as_good_as_perfect < 2; ++i) {
        if (stderr_is_terminal()) std::fprintf(stderr, "\r\033[Keffort %u", efforts[i]);
        plan.effort = efforts[i];
        const bool ok = measurement.run(plan, figures, failure);
        if (stderr_is_terminal()) std::fputs("\r\033[K", stderr);
        if (!ok) return false;
        rows.push_back(figures);
        as_good_as_perfect += figures.recall >= perfect;
    }
    return true;
}

std::string json_of(const std::vector<Figures> &rows) {
    JsonWriter json;
    json.begin_array();
    for (const Figures &f : rows) write_figures(json, f);
    json.end_array();
    return json.text() + "\n";
}

std::string table_of(const std::vector<Figures> &figures) {
    std::vector<std::vector<std::string>> rows = {{"effort", format("recall@%u", figures[0].k), "queries/s", "mean us",
                                                   "p50 us", "p99 us", "distances", "entries", "hops", "reranked"}};
    const auto time = [](double us) { return us < 0 ? std::string("-") : format("%.1f", us); };
    for (const Figures &f : figures) {
        rows.push_back({grouped(f.effort), format("%.4f", f.recall),
                        f.qps < 0 ? "-" : grouped(static_cast<uint64_t>(f.qps)), time(f.mean_us), time(f.p50_us),
                        time(f.p99_us), format("%.1f", f.distances), format("%.1f", f.entry_distances),
                        format("%.1f", f.hops), format("%.1f", f.reranked)});
    }
    return table_text(rows, "rrrrrrrrrr", true);
}

std::string plot_of(const Settings &s, const learnann_index_info &info, const std::vector<Figures> &rows) {
    Plot plot;
    plot.title = s.index.substr(s.index.find_last_of("/\\") + 1);
    plot.subtitle = format("%s x %u, %s, k = %u, one thread%s, %s", grouped(info.rows).c_str(), info.dim,
                           metric_name(info.metric), static_cast<unsigned>(s.k), s.interleave ? " interleaved" : "",
                           learnann_isa());
    plot.x_label = format("recall@%u", static_cast<unsigned>(s.k));
    plot.y_label = "queries a second";
    for (const Figures &f : rows) {
        if (f.qps > 0) plot.points.push_back({f.recall, f.qps, std::to_string(f.effort)});
    }
    plot.point_note = "numbers at the points: effort";
    return plot_svg(plot);
}

} // namespace

int sweep_command(const std::vector<std::string> &arguments) {
    Settings s;
    const Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    if (s.truth.empty()) return usage_error("sweep", "--truth TRUTH is missing");

    Failure failure;
    Measurement measurement;
    std::vector<Figures> rows;
    if ((!s.plot.empty() && !check_output(s.plot, {s.index, s.queries, s.truth}, failure)) ||
        !measurement.open(s.index, s.queries, s.truth, static_cast<uint32_t>(s.k), OpenHow{s.resident, false}, failure) ||
        !sweep(s, measurement, rows, failure)) {
        return report(failure);
    }
    catch_interrupts();     // a temporary must not stay
    if (!s.plot.empty() && !write_file(s.plot, plot_of(s, measurement.info(), rows), failure)) return report(failure);
    return finish(s.json ? json_of(rows) : table_of(rows));
}

} // namespace tools
