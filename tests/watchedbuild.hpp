// watchedbuild.hpp: builds whose progress is watched, and what they built.
#pragma once

#include "testdata.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace testdata {

// What a build tells of its progress; cancels it at one of the calls.
struct Watch {
    int64_t calls = 0;
    int64_t cancel_at = -1;
    bool sane = true;           // each phase goes from 0 to 1, and never back
    double done = 1;
    int64_t ones = 0;
    std::string phase;
    std::vector<std::string> phases;

    static int call(void *context, const char *phase, double done) {
        Watch &w = *static_cast<Watch *>(context);
        w.sane = w.sane && phase && *phase && done >= 0 && done <= 1;
        w.sane = w.sane && (w.phase == phase ? done >= w.done : done == 0 && w.done == 1);
        w.done = done;
        w.ones += done == 1;
        if (phase && w.phase != phase) {
            w.phase = phase;
            w.phases.push_back(phase);
        }
        return w.calls++ == w.cancel_at;
    }
    // Another run begins, to be cancelled at that call.
    void again(int64_t cancel) {
        *this = Watch{};
        cancel_at = cancel;
    }
    bool whole() const { return sane && done == 1; }
};

// The file that was built.
inline Memory bytes_of(learnann_builder *builder) {
    Memory file(learnann_builder_bytes(builder));
    CHECK(learnann_builder_write(builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
    return file;
}

// Builds, and leaves the report beside the index.
struct Reported {
    Memory file;
    learnann_build_report report = learnann_build_report_default();

    Reported(const Rows &rows, const learnann_build_options &options) {
        const learnann_vectors view = rows.view();
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        file = bytes_of(builder);
        REQUIRE(learnann_builder_report(builder, &report) == LEARNANN_OK);
        learnann_builder_free(builder);
    }
};

}  // namespace testdata
