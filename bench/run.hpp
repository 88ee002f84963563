// The measurement: indexes built or found, memory, then passes. Within a pass every system has its turn at its lowest
// effort, then every system at its next one: a machine that is slow for a second is so for all.
//
// Invariants: the seconds of a point are those of its fastest pass; its recall and distances come from a pass before
// the timed ones, in which distances are counted. A system that failed has a reason in left_out and no points.
#pragma once

#include "system.hpp"

#include <memory>
#include <string>
#include <vector>

namespace bench {

struct Point {
    uint32_t effort = 0;
    double recall = 0;
    double distances = 0;       // a query
    double seconds = 0;         // of all queries
    double qps = 0;
};

struct Entry {
    SystemKind kind{};
    std::string left_out;               // why there is nothing to see, or empty
    std::string path, note;
    double build_seconds = 0;
    bool built_now = true;              // false: by an earlier run, on this machine
    uint64_t file_bytes = 0;            // what must lie on disk to search
    double resident = 0;                // bytes a row that loading and searching made resident
    std::vector<Point> points;          // in the order of efforts
    std::unique_ptr<System> system;     // while it is measured
};

struct SetRun {
    Dataset set;
    std::vector<Entry> entries;
    double timed_seconds = 0;           // of all timed searches, by the clock
    double own_seconds = 0;             // how much of that the core worked for this process
};

struct RunOptions {
    std::string cache;          // folder of built indexes
    bool fresh = false;         // build even those that are there
    uint32_t passes = 7;
};

// Builds what is missing and measures the memory of each system, all in processes of their own.
void prepare_indexes(SetRun &run, const RunOptions &options);

// Recall, distances and time of every effort.
void measure(SetRun &run, const RunOptions &options);

// One line on stderr about what is going on.
void tell(const std::string &text);

} // namespace bench
