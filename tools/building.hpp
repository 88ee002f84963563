// What the commands that build share: the builder, its progress on a terminal, sample queries, and the report.
#pragma once

#include "json.hpp"
#include "vectorfile.hpp"

#include "../learnann.h"

#include <memory>
#include <string>
#include <vector>

namespace tools {

struct FreeBuilder {
    void operator()(learnann_builder *builder) const { learnann_builder_free(builder); }
};
using Builder = std::unique_ptr<learnann_builder, FreeBuilder>;

// A line on stderr where that is a terminal. After Ctrl-C (catch_interrupts) it cancels the work.
class ProgressLine {
public:
    ProgressLine();
    // Has to outlive what is made with the options.
    void attach(learnann_build_options &options);
    void clear();

private:
    static int on_progress(void *self, const char *phase, double done);
    void show(const char *phase, int percent);

    const bool shown_;          // asked once
    bool line_open_ = false;
    std::string phase_;
    int percent_ = -1;
};

// Sample queries, or directions, for rows of that dimension, which `rows` names.
bool open_vectors_for(const std::string &path, const std::string &rows, uint32_t dim, MatrixFile &queries, Failure &failure);

// A line on stderr where `queries` of `path` are too few to calibrate by.
void warn_of_few(const std::string &path, uint64_t queries);

// The report's phases: as the field "phases", and as rows of a table.
void write_phases(JsonWriter &json, const learnann_build_report &report);
void add_phases(std::vector<std::vector<std::string>> &rows, const learnann_build_report &report);

// A failed build as a Failure of the file at fault: that of the rows, of the queries or of the directions.
Failure input_failure(const std::string &rows, const std::string &queries, const std::string &directions, const learnann_error &error);

// "pca", which auto is too, "learned", "given".
const char *spectral_name(learnann_spectral spectral);

// "15,234 queries", or that there was nothing to learn from or no better for it.
std::string lessons_text(const learnann_build_report &report);

} // namespace tools
