// The ablation: what each kind of index part is worth. Every set is built in several ways, which differ in one option of
// `learnann build`, and searched alike; counted are code distances and hops at equal recall, edges and bytes. `make ablation` runs it.
//
// Counts don't depend on the machine; build seconds do.
#include "../chart.hpp"
#include "../dataset.hpp"

#include "../../tools/cli.hpp"
#include "../../tools/json.hpp"
#include "../../tools/measure.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace bench {
namespace {

using tools::Failure;
using tools::Figures;
using tools::format;

// Options of `learnann build`, each compared with the first.
const char *const default_builds = "--graph adaptive; --graph uniform; --graph hnsw; --graph nsw; --graph knn";
const char *const colours[] = {"#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#555555"};

constexpr double marks[] = {0.90, 0.95, 0.98, 0.99};
constexpr double enough = 0.997;        // recall at which a sweep ends
constexpr uint32_t last_effort = 1024;

struct Settings {
    std::string data = "../shared/data", sets, builds = default_builds, tool = "build/learnann", json, svg;
};

tools::Syntax syntax_of(Settings &s) {
    tools::Syntax syntax{"ablation", "[options]",
                         "Builds each set of a folder in several ways and compares what searches of equal recall cost: code\n"
                         "distances with those of the entry scan, hops, edges, hot bytes. recall@10.\n", {}, {}};
    syntax.options = {
        {"--data", "DIR", "the folder of the sets (default ../shared/data)", &s.data},
        {"--sets", "LIST", "of these sets only, commas between; NAME=l2|ip|cos gives a set's metric", &s.sets},
        {"--builds", "LIST", "options of `learnann build`, semicolons between; the first is what the others are\n"
                             "compared with (default: every graph)", &s.builds},
        {"--tool", "FILE", "the command line to build with (default build/learnann)", &s.tool},
        {"--json", "FILE", "write all figures there", &s.json},
        {"--svg", "FILE", "write a picture there", &s.svg},
    };
    return syntax;
}

struct Build {
    std::string options, left_out;      // why, where there are no figures
    double edges = 0, hot_bytes = 0, seconds = 0, repaired = 0;
    std::vector<Figures> points;        // by effort
};

struct SetBuilds {
    Dataset set;
    std::vector<Build> builds;
};

std::vector<std::string> split(const std::string &list, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(list);
    for (std::string part; std::getline(stream, part, separator);) {
        const size_t first = part.find_first_not_of(' ');
        if (first != std::string::npos) parts.push_back(part.substr(first, part.find_last_not_of(' ') + 1 - first));
    }
    return parts;
}

double all_distances(const Figures &f) { return f.distances + f.entry_distances; }

// What `of` is at a recall, between the two points around it, by the logarithm of what is missing to 1. Negative where no point
// reaches it; the first point's where that is above.
template <class Of> double at_recall(const std::vector<Figures> &points, double recall, Of of) {
    const auto missing = [](double r) { return std::log(std::max(1 - r, 1e-5)); };
    for (size_t i = 0; i < points.size(); ++i) {
        if (points[i].recall < recall) continue;
        if (i == 0 || points[i].recall <= points[i - 1].recall) return of(points[i]);
        const double from = missing(points[i - 1].recall), to = missing(points[i].recall);
        const double share = to < from ? (missing(recall) - from) / (to - from) : 1;
        return of(points[i - 1]) + share * (of(points[i]) - of(points[i - 1]));
    }
    return -1;
}

// ---- the work

double number_of(const std::string &json, const char *name) {
    const size_t at = json.find(std::string("\"") + name + "\":");
    return at == std::string::npos ? 0 : std::strtod(json.c_str() + at + std::strlen(name) + 3, nullptr);
}

std::string quoted(const std::string &word) {
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// The report of `learnann build`, empty where it failed.
std::string build_index(const Settings &s, const Dataset &set, const std::string &options, const std::string &path) {
    const std::string report = path + ".json";
    const std::string command = quoted(s.tool) + " build " + quoted(set.base_path) + " -o " + quoted(path) + " --metric " +
                                tools::metric_name(set.metric) + " " + options + " --json >" + quoted(report);
    const bool ok = std::system(command.c_str()) == 0;
    std::ifstream file(report);
    std::stringstream text;
    text << file.rdbuf();
    std::filesystem::remove(report);
    return ok ? text.str() : "";
}

bool sweep(const Dataset &set, const std::string &path, Build &build, Failure &failure) {
    tools::Measurement measurement;
    if (!measurement.open(path, set.query_path, set.truth_path, hits_wanted, {}, failure)) return false;
    tools::Plan plan;
    plan.k = hits_wanted;
    double effort = hits_wanted;
    do {
        plan.effort = static_cast<uint32_t>(std::lround(effort));
        build.points.emplace_back();
        if (!measurement.run(plan, build.points.back(), failure)) return false;
        effort *= 1.2;
    } while (effort < last_effort && build.points.back().recall < enough);
    return true;
}

bool measure(const Settings &s, SetBuilds &run, Failure &failure) {
    const std::string path = (std::filesystem::temp_directory_path() / format("ablation-%s-%08x.la", run.set.name.c_str(),
                                                                            std::random_device()())).string();
    for (Build &build : run.builds) {
        std::fprintf(stderr, "%s: %s\n", run.set.name.c_str(), build.options.c_str());
        const std::string report = build_index(s, run.set, build.options, path);
        if (report.empty()) {
            build.left_out = "was not built";
            continue;
        }
        build.edges = number_of(report, "mean_degree");
        build.hot_bytes = number_of(report, "hot_bytes_per_row");
        build.seconds = number_of(report, "seconds");
        build.repaired = number_of(report, "repaired");
        const bool ok = sweep(run.set, path, build, failure);
        std::filesystem::remove(path);
        if (!ok) return false;
    }
    return true;
}

// ---- the report

std::vector<std::string> row_of(const Build &build) {
    std::vector<std::string> row = {build.options};
    for (const double mark : marks) {
        const double distances = at_recall(build.points, mark, all_distances);
        const double hops = at_recall(build.points, mark, [](const Figures &f) { return f.hops; });
        const bool or_less = !build.points.empty() && build.points[0].recall >= mark;
        row.push_back(distances < 0 ? "-" : format("%s%.0f, %.1f", or_less ? "<=" : "", distances, hops));
    }
    row.push_back(build.points.empty() ? build.left_out : format("%.1f", build.edges));
    row.push_back(build.points.empty() ? "" : format("%.1f", build.hot_bytes));
    row.push_back(build.points.empty() ? "" : format("%.1f", build.seconds));
    return row;
}

// Of the first build against another at recall 0.98, over the sets where both reach it.
std::string comparison(const std::vector<SetBuilds> &runs, size_t other) {
    double sum = 0, worst = -1, edges = 0, count = 0;
    for (const SetBuilds &run : runs) {
        const double a = at_recall(run.builds[0].points, 0.98, all_distances), b = at_recall(run.builds[other].points, 0.98, all_distances);
        if (a < 0 || b <= 0) continue;
        sum += a / b - 1;
        worst = std::max(worst, a / b - 1);
        edges += run.builds[0].edges / run.builds[other].edges;
        ++count;
    }
    if (count == 0) return "";
    return format("%s against %s at 0.98: %+.1f %% distances on the mean of %.0f sets (worst %+.1f %%), %.0f %% of its edges\n",
                  runs[0].builds[0].options.c_str(), runs[0].builds[other].options.c_str(), 100 * sum / count, count, 100 * worst,
                  100 * edges / count);
}

std::string table_of(const std::vector<SetBuilds> &runs) {
    std::string text;
    for (const SetBuilds &run : runs) {
        text += format("\n%s: %s x %u, %s. Code distances a query (those of the entry scan too), hops\n", run.set.name.c_str(),
                       tools::grouped(run.set.rows()).c_str(), run.set.dim(), tools::metric_name(run.set.metric));
        std::vector<std::vector<std::string>> rows = {{""}};
        for (const double mark : marks) rows[0].push_back(format("at %g", mark));
        for (const char *name : {"edges/row", "hot B/row", "build s"}) rows[0].push_back(name);
        for (const Build &build : run.builds) rows.push_back(row_of(build));
        text += tools::table_text(rows, "lrrrrrrr", true);
    }
    text += "\n";
    for (size_t other = 1; other < runs[0].builds.size(); ++other) text += comparison(runs, other);
    return text;
}

std::string json_of(const std::vector<SetBuilds> &runs) {
    tools::JsonWriter json;
    json.begin_array();
    for (const SetBuilds &run : runs)
        for (const Build &build : run.builds) {
            json.begin_object();
            json.field("set", run.set.name);
            json.field("build", build.options);
            json.field("edges_per_row", build.edges);
            json.field("hot_bytes_per_row", build.hot_bytes);
            json.field("seconds", build.seconds);
            json.field("repaired", build.repaired);
            json.key("points");
            json.begin_array();
            for (const Figures &f : build.points) tools::write_figures(json, f);
            json.end_array();
            json.end_object();
        }
    json.end_array();
    return json.text() + "\n";
}

std::string chart_of(const std::vector<SetBuilds> &runs) {
    Chart chart{"What a search costs, by how the index was built", "code distances a query, those of the entry scan too, at recall@10; less is better",
                "recall@10", "code distances a query", {}};
    for (const SetBuilds &run : runs) {
        Panel panel{run.set.name, format("%s x %u, %s", tools::grouped(run.set.rows()).c_str(), run.set.dim(), tools::metric_name(run.set.metric)), {}};
        for (size_t i = 0; i < run.builds.size(); ++i) {
            Curve curve;
            curve.name = run.builds[i].options;
            curve.colour = colours[i % (sizeof colours / sizeof *colours)];
            for (const Figures &f : run.builds[i].points) curve.points.emplace_back(f.recall, all_distances(f));
            panel.curves.push_back(curve);
        }
        chart.panels.push_back(panel);
    }
    return chart_svg(chart);
}

int ablation_command(const std::vector<std::string> &arguments) {
    Settings s;
    const tools::Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;
    const std::vector<std::string> names = s.sets.empty() ? list_datasets(s.data) : split(s.sets, ',');
    const std::vector<std::string> builds = split(s.builds, ';');
    if (builds.empty()) return tools::usage_error("ablation", "--builds names none");
    if (names.empty()) return tools::finish(s.data + " has no sets: nothing to compare\n");

    Failure failure;
    std::vector<SetBuilds> runs(names.size());
    if ((!s.json.empty() && !tools::check_output(s.json, {}, failure)) || (!s.svg.empty() && !tools::check_output(s.svg, {}, failure)))
        return tools::report(failure);
    for (size_t i = 0; i < names.size(); ++i) {
        if (!open_dataset(s.data, names[i], runs[i].set, failure)) return tools::report(failure);
        for (const std::string &options : builds) {
            runs[i].builds.emplace_back();
            runs[i].builds.back().options = options;
        }
    }
    for (SetBuilds &run : runs)
        if (!measure(s, run, failure)) return tools::report(failure);
    if ((!s.json.empty() && !tools::write_file(s.json, json_of(runs), failure)) ||
        (!s.svg.empty() && !tools::write_file(s.svg, chart_of(runs), failure)))
        return tools::report(failure);
    return tools::finish(table_of(runs));
}

} // namespace
} // namespace bench

int main(int count, char **words) { return bench::ablation_command(std::vector<std::string>(words + 1, words + count)); }
