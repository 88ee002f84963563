// What a run says: speed at given recalls, as a table, as JSON, as a picture.
#pragma once

#include "run.hpp"

#include <string>
#include <vector>

namespace bench {

constexpr double recall_marks[] = {0.90, 0.95, 0.98, 0.99, 0.995};

struct Machine {
    std::string processor, compiler, flags, huge_pages;
    int cpu = -1;               // the core that the run was pinned to, -1 for none
    uint32_t passes = 0;
};

// Queries a second, or distances a query, at a recall: log-linear between the neighbouring points of the best curve.
struct AtRecall {
    double qps = 0;             // 0: the recall was not reached
    double distances = 0;
    bool or_more = false;       // the lowest setting is above the recall already: its figures
};
AtRecall at_recall(const std::vector<Point> &points, double recall);

// The points that no other beats in both recall and speed, by rising recall.
std::vector<Point> best_points(std::vector<Point> points);

std::string table_of(const std::vector<SetRun> &runs, const Machine &machine);
std::string json_of(const std::vector<SetRun> &runs, const Machine &machine);
std::string chart_of(const std::vector<SetRun> &runs, const Machine &machine);

} // namespace bench
