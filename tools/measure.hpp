// Searches and what they cost: the work behind `learnann search` and `learnann sweep`.
//
// Invariants: the truth has a row for each query, in order, and its ids are input row numbers of the index; all of that
// is checked before the first search. The figures of a run are those of its fastest pass.
#pragma once

#include "common.hpp"
#include "json.hpp"
#include "vectorfile.hpp"

#include "../learnann.h"

#include <memory>
#include <string>
#include <vector>

namespace tools {

struct Plan {
    uint32_t k = 10;
    uint32_t effort = 0;            // 0: from target_recall
    float target_recall = 0;        // 0 with effort 0: the library's default
    uint32_t threads = 1;           // 1: one query after the other, each timed; otherwise a batch on so many threads
    bool interleave = false;        // one thread, several queries in flight
    uint32_t repeat = 1;            // passes
};

// Negative where a figure was not measured.
struct Figures {
    uint64_t queries = 0;
    uint32_t k = 0;
    uint32_t effort = 0;
    double recall = -1;
    double qps = -1;
    double mean_us = -1, p50_us = -1, p99_us = -1;      // only where each query was timed
    double distances = -1, entry_distances = -1, reranked = -1, hops = -1;      // a query
    double cold_bytes = -1;         // of the file, read for a query that found nothing of it in memory
};

// How an index is opened (learnann_open_options).
struct OpenHow {
    bool resident = false, flash = false, copy = false;
};

struct CloseIndex {
    void operator()(learnann_index *index) const { learnann_close(index); }
};
using Index = std::unique_ptr<learnann_index, CloseIndex>;

bool open_index(const std::string &path, OpenHow how, Index &index, Failure &failure);

class Measurement {
public:
    // `truth` may be empty: no recall then.
    bool open(const std::string &index, const std::string &queries, const std::string &truth, uint32_t k,
              OpenHow how, Failure &failure);
    bool run(const Plan &plan, Figures &figures, Failure &failure);
    // The first few hundred queries one by one, each on an index just opened of which nothing is in memory. Timed from before
    // the opening on.
    bool run_cold(const Plan &plan, Figures &figures, Failure &failure);

    // The hits of the last run as row numbers, k for each query; -1 past the last hit.
    std::vector<int64_t> hit_rows() const;

    uint64_t queries() const { return vectors_.count; }
    const learnann_index_info &info() const { return info_; }

private:
    struct FreeScratch {
        void operator()(learnann_scratch *scratch) const { learnann_scratch_free(scratch); }
    };
    struct Pass {
        double seconds = 0;
        std::vector<double> microseconds;       // of each query, where they were timed
        learnann_search_stats stats = learnann_search_stats_default();
    };

    bool open_index_file(Failure &failure);
    bool load_truth(uint32_t k, Failure &failure);
    bool run_pass(const Plan &plan, const learnann_search_options &options, Pass &pass, Failure &failure);
    bool search_one(uint64_t i, const learnann_search_options &options, Pass &pass, Failure &failure);
    bool run_singly(const learnann_search_options &options, Pass &pass, Failure &failure);
    double recall(uint64_t queries) const;

    void fill_figures(const Pass &pass, uint64_t count, Figures &figures) const;

    std::string index_path_, query_path_;
    OpenHow how_;
    MatrixFile query_file_, truth_file_;
    learnann_vectors vectors_{};
    std::vector<int64_t> truth_;                // the first k true ids of each query, sorted
    Index index_;
    std::unique_ptr<learnann_scratch, FreeScratch> scratch_;    // after index_: it has to go first
    learnann_index_info info_ = learnann_index_info_default();
    uint32_t k_ = 0;
    std::vector<learnann_hit> hits_;
    std::vector<uint32_t> counts_;
};

// The fields of `search --json`, as one object.
void write_figures(JsonWriter &json, const Figures &figures);

} // namespace tools
