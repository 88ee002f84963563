// See report.hpp. The picture is drawn by chart.cpp.
#include "report.hpp"

#include "chart.hpp"

#include "../tools/cli.hpp"
#include "../tools/json.hpp"

#include <algorithm>
#include <cmath>

namespace bench {
namespace {

using tools::format;

const Entry *hnswlib_of(const SetRun &run) {
    for (const Entry &entry : run.entries) {
        if (std::string(entry.kind.id) == "hnswlib" && entry.left_out.empty()) return &entry;
    }
    return nullptr;
}

std::string thousands(double number) {
    return number >= 99950 ? format("%.0fk", number / 1e3) : number >= 1000 ? format("%.1fk", number / 1e3)
                                                                            : format("%.0f", number);
}

std::string ratio_text(double ratio) { return format("%.*fx", ratio < 1 ? 2 : ratio < 10 ? 1 : 0, ratio); }

// "46.1k 4.9x": queries a second and their ratio to hnswlib's at the same recall.
std::string cell(const AtRecall &own, const AtRecall *reference) {
    if (own.qps == 0) return "-";
    const std::string text = (own.or_more ? ">=" : "") + thousands(own.qps);
    if (reference == nullptr) return text;
    if (reference->qps == 0) return text + "     -";
    // Where one of the two is a bound only, so is the ratio; where both are, it compares the lowest settings.
    const char *sign = own.or_more && reference->or_more ? "~" : own.or_more ? ">" : reference->or_more ? "<" : "";
    return text + format(" %6s", (sign + ratio_text(own.qps / reference->qps)).c_str());
}

std::vector<std::string> heading() {
    std::vector<std::string> row = {""};
    for (const double mark : recall_marks) row.push_back(format("q/s at %g", mark));
    for (const char *name : {"best recall", "build s", "", "file B/row", "resident", "distances"}) row.push_back(name);
    return row;
}

std::vector<std::string> row_of(const SetRun &run, const Entry &entry) {
    const Entry *hnswlib = hnswlib_of(run);
    std::vector<std::string> row = {entry.kind.name};
    for (const double mark : recall_marks) {
        AtRecall reference;
        if (hnswlib != nullptr) reference = at_recall(hnswlib->points, mark);
        const bool compare = hnswlib != nullptr && hnswlib != &entry;
        row.push_back(cell(at_recall(entry.points, mark), compare ? &reference : nullptr));
    }
    double best = 0;
    for (const Point &point : entry.points) best = std::max(best, point.recall);
    const AtRecall mid = at_recall(entry.points, 0.95);
    row.push_back(format("%.4f", best));
    row.push_back(entry.build_seconds > 0 ? format("%.1f%s", entry.build_seconds, entry.built_now ? "" : "*") : "-");
    row.push_back(hnswlib != nullptr && hnswlib != &entry && entry.build_seconds > 0
                      ? ratio_text(hnswlib->build_seconds / entry.build_seconds) : "");
    row.push_back(format("%.0f", static_cast<double>(entry.file_bytes) / static_cast<double>(run.set.rows())));
    row.push_back(format("%.0f", entry.resident));
    row.push_back(mid.qps > 0 ? (mid.or_more ? "<=" : "") + format("%.0f", mid.distances) : "-");
    return row;
}

std::string set_text(const Dataset &set) {
    return format("%s rows x %u, %s, %s", tools::grouped(set.rows()).c_str(), set.dim(),
                  tools::element_name(set.base.matrix.element), tools::metric_name(set.metric));
}

bool shared_core(const SetRun &run) { return run.own_seconds < 0.98 * run.timed_seconds; }

std::string set_table(const SetRun &run) {
    std::vector<std::vector<std::string>> rows = {heading()};
    std::string left_out, notes;
    bool earlier = false;
    for (const Entry &entry : run.entries) {
        if (!entry.left_out.empty()) {
            left_out += format("  left out: %s: %s\n", entry.kind.name, entry.left_out.c_str());
            continue;
        }
        rows.push_back(row_of(run, entry));
        const std::string note = ": " + entry.note + "\n";
        const bool said = notes.find(note) != std::string::npos;     // by another system over the same index
        if (!said) notes += "  " + std::string(entry.kind.name) + note;
        earlier = earlier || (!entry.built_now && entry.build_seconds > 0);
    }
    if (shared_core(run)) {
        notes += format("  NOISY: other processes had %.0f %% of the core while searches were timed\n",
                        100 * (1 - run.own_seconds / run.timed_seconds));
    }
    if (earlier) notes += "  *: built by an earlier run (--fresh builds all again)\n";
    return format("\n%s: %s, %s queries\n\n", run.set.name.c_str(), set_text(run.set).c_str(),
                  tools::grouped(run.set.queries()).c_str()) +
           tools::table_text(rows, "lrrrrrrrrrrr", true) + "\n" + left_out + notes;
}

void write_points(tools::JsonWriter &json, const Entry &entry) {
    json.key("points");
    json.begin_array();
    for (const Point &point : entry.points) {
        json.begin_object();
        json.field("effort", point.effort);
        json.field("recall", point.recall);
        json.field("qps", point.qps);
        json.field("distances", point.distances);
        json.end_object();
    }
    json.end_array();
    json.key("at");
    json.begin_array();
    for (const double mark : recall_marks) {
        const AtRecall at = at_recall(entry.points, mark);
        if (at.qps == 0) continue;
        json.begin_object();
        json.field("recall", mark);
        json.field("qps", at.qps);
        json.field("or_more", at.or_more);
        json.field("distances", at.distances);
        json.end_object();
    }
    json.end_array();
}

void write_entry(tools::JsonWriter &json, const SetRun &run, const Entry &entry) {
    json.begin_object();
    json.field("id", entry.kind.id);
    json.field("name", entry.kind.name);
    if (!entry.left_out.empty()) {
        json.field("left_out", entry.left_out);
    } else {
        json.field("note", entry.note);
        json.field("build_seconds", entry.build_seconds);
        json.field("built_now", entry.built_now);
        json.field("file_bytes", entry.file_bytes);
        json.field("file_bytes_per_row", static_cast<double>(entry.file_bytes) / static_cast<double>(run.set.rows()));
        json.field("resident_bytes_per_row", entry.resident);
        write_points(json, entry);
    }
    json.end_object();
}

Panel panel_of(const SetRun &run) {
    Panel panel;
    panel.title = run.set.name;
    panel.note = set_text(run.set);
    for (const Entry &entry : run.entries) {
        if (!entry.left_out.empty() || entry.points.empty()) continue;
        Curve curve{entry.kind.name, entry.kind.colour, entry.kind.dashed, false, {}};
        curve.flat = entry.points.size() == 1;
        for (const Point &point : best_points(entry.points)) curve.points.push_back({point.recall, point.qps});
        panel.curves.push_back(std::move(curve));
    }
    return panel;
}

} // namespace

std::vector<Point> best_points(std::vector<Point> points) {
    std::sort(points.begin(), points.end(), [](const Point &a, const Point &b) {
        return a.recall != b.recall ? a.recall > b.recall : a.qps > b.qps;
    });
    std::vector<Point> best;
    for (const Point &point : points) {
        if (best.empty() || point.qps > best.back().qps) best.push_back(point);
    }
    std::reverse(best.begin(), best.end());
    return best;
}

AtRecall at_recall(const std::vector<Point> &points, double recall) {
    const std::vector<Point> best = best_points(points);
    if (best.empty() || best.back().recall < recall) return {};
    if (best.front().recall >= recall) {
        const bool adjustable = points.size() > 1;
        return {best.front().qps, best.front().distances, adjustable && best.front().recall > recall};
    }
    size_t upper = 1;
    while (best[upper].recall < recall) ++upper;
    const Point &a = best[upper - 1], &b = best[upper];
    const double share = (recall - a.recall) / (b.recall - a.recall);
    const auto between = [&](double x, double y) { return x * std::pow(y / x, share); };
    return {between(a.qps, b.qps), between(a.distances, b.distances), false};
}

std::string table_of(const std::vector<SetRun> &runs, const Machine &machine) {
    std::string text = format(
        "recall@%u against queries a second, one thread%s, one query at a time, best of %u passes in which the systems take turns\n"
        "%s, huge pages: %s\n"
        "%s; learnann as its library is built, the benchmark and the header-only peers with %s\n"
        "\n"
        "q/s         log-linear between measured settings; >=: the lowest setting is above that recall already\n"
        "  then      the ratio to hnswlib; < and >: a bound; ~: both at their lowest settings\n"
        "build s     one thread; then hnswlib's seconds over these\n"
        "file B/row  what must lie on disk to search\n"
        "resident    bytes a row that a process grows by when it loads and answers all queries\n"
        "distances   a query, at recall 0.95\n",
        hits_wanted, machine.cpu < 0 ? "" : format(" pinned to core %d", machine.cpu).c_str(), machine.passes,
        machine.processor.c_str(), machine.huge_pages.c_str(), machine.compiler.c_str(), machine.flags.c_str());
    for (const SetRun &run : runs) text += set_table(run);
    return text;
}

std::string json_of(const std::vector<SetRun> &runs, const Machine &machine) {
    tools::JsonWriter json;
    json.begin_object();
    json.field("k", hits_wanted);
    json.field("processor", machine.processor);
    json.field("compiler", machine.compiler);
    json.field("flags", machine.flags);
    json.field("huge_pages", machine.huge_pages);
    json.field("isa", learnann_isa());
    json.field("core", machine.cpu);
    json.field("passes", machine.passes);
    json.key("sets");
    json.begin_array();
    for (const SetRun &run : runs) {
        json.begin_object();
        json.field("name", run.set.name);
        json.field("rows", run.set.rows());
        json.field("dim", run.set.dim());
        json.field("type", tools::element_name(run.set.base.matrix.element));
        json.field("metric", tools::metric_name(run.set.metric));
        json.field("queries", run.set.queries());
        json.field("core_share", run.timed_seconds > 0 ? run.own_seconds / run.timed_seconds : 1.0);
        json.key("systems");
        json.begin_array();
        for (const Entry &entry : run.entries) write_entry(json, run, entry);
        json.end_array();
        json.end_object();
    }
    json.end_array();
    json.end_object();
    return json.text() + "\n";
}

std::string chart_of(const std::vector<SetRun> &runs, const Machine &machine) {
    Chart chart;
    chart.title = "Queries a second at a given recall: up and to the right is better";
    chart.subtitle = format("one thread, one query at a time, best of %u passes; %s, learnann with %s", machine.passes,
                            machine.processor.c_str(), learnann_isa());
    chart.x_label = format("recall@%u", hits_wanted);
    chart.y_label = "queries a second";
    for (const SetRun &run : runs) chart.panels.push_back(panel_of(run));
    return chart_svg(chart);
}

} // namespace bench
