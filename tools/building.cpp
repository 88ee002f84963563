// building.cpp: see building.hpp.
#include "building.hpp"

#include "cli.hpp"
#include "system.hpp"

#include <cstdio>
#include <cstring>
#include <iterator>

namespace tools {

ProgressLine::ProgressLine() : shown_(stderr_is_terminal()) {}

void ProgressLine::attach(learnann_build_options &options) {
    options.progress = on_progress;
    options.progress_context = this;
}

void ProgressLine::clear() {
    if (line_open_) std::fputs("\r\033[K", stderr);
    line_open_ = false;
}

void ProgressLine::show(const char *phase, int percent) {
    if (percent == percent_ && phase_ == phase) return;
    std::fprintf(stderr, "\r\033[K%-16s %3d %%", phase, percent);
    std::fflush(stderr);
    line_open_ = true;
    phase_ = phase;
    percent_ = percent;
}

int ProgressLine::on_progress(void *self, const char *phase, double done) {
    ProgressLine &line = *static_cast<ProgressLine *>(self);
    if (line.shown_) line.show(phase, static_cast<int>(100 * done));
    return interrupted() ? 1 : 0;
}

bool open_vectors_for(const std::string &path, const std::string &rows, uint32_t dim, MatrixFile &queries, Failure &failure) {
    if (!open_vectors(path, queries, failure)) return false;
    if (queries.matrix.dim == dim) return true;
    return fail(failure, path, "", format("its vectors have %u elements, those of %s %u", queries.matrix.dim, rows.c_str(), dim),
                "Give vectors of the same dimension as the rows.");
}

void warn_of_few(const std::string &path, uint64_t queries) {
    constexpr uint64_t enough = 50;     // by which the recall that is asked for is missed by a hundredth or so
    if (queries >= enough) return;
    std::fprintf(stderr, "learnann: warning: %s: to calibrate by %s quer%s is to guess: searches for a recall may find less than it\n"
                         "  (for 0.95, 0.78 to 0.88 after one query, 0.91 to 0.92 after five). Give 50 or more, better some hundreds.\n",
                 path.c_str(), grouped(queries).c_str(), queries == 1 ? "y" : "ies");
}

void write_phases(JsonWriter &json, const learnann_build_report &report) {
    json.key("phases");
    json.begin_object();
    for (uint32_t i = 0; i < report.phase_count && i < std::size(report.phases); ++i) {
        json.field(report.phases[i].name, report.phases[i].seconds);
    }
    json.end_object();
}

void add_phases(std::vector<std::vector<std::string>> &rows, const learnann_build_report &report) {
    for (uint32_t i = 0; i < report.phase_count && i < std::size(report.phases); ++i) {
        rows.push_back({std::string("  ") + report.phases[i].name, format("%.2f", report.phases[i].seconds)});
    }
}

Failure input_failure(const std::string &rows, const std::string &queries, const std::string &directions, const learnann_error &error) {
    const bool of_query = error.place == LEARNANN_AT_QUERY, of_direction = error.place == LEARNANN_AT_DIRECTION;
    return library_failure(of_query ? queries : of_direction ? directions : rows, error);
}

const char *spectral_name(learnann_spectral spectral) {
    return spectral == LEARNANN_SPECTRAL_LEARNED ? "learned" : spectral == LEARNANN_SPECTRAL_GIVEN ? "given" : "pca";
}

std::string lessons_text(const learnann_build_report &report) {
    return report.lessons == 0 ? "rows alone" : grouped(report.lessons) + " queries";
}

} // namespace tools
