// See measure.hpp. One clock reading a query: the end of one is the begin of the next, so that the clock costs least.
#include "measure.hpp"

#include "cache.hpp"
#include "cli.hpp"
#include "system.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

void add(learnann_search_stats &sum, const learnann_search_stats &one) {
    sum.effort = one.effort;
    sum.queries += one.queries;
    sum.distances += one.distances;
    sum.entry_distances += one.entry_distances;
    sum.reranked += one.reranked;
    sum.hops += one.hops;
    sum.bad_ids += one.bad_ids;
}

// The smallest value that at least `share` of all are not above; `sorted` is not empty.
double percentile(const std::vector<double> &sorted, double share) {
    const double rank = share * static_cast<double>(sorted.size());
    const size_t at = rank <= 1 ? 0 : static_cast<size_t>(rank + 0.999999) - 1;
    return sorted[std::min(at, sorted.size() - 1)];
}

void latencies(std::vector<double> microseconds, Figures &figures) {
    if (microseconds.empty()) return;
    std::sort(microseconds.begin(), microseconds.end());
    const double sum = std::accumulate(microseconds.begin(), microseconds.end(), 0.0);
    figures.mean_us = sum / static_cast<double>(microseconds.size());
    figures.p50_us = percentile(microseconds, 0.50);
    figures.p99_us = percentile(microseconds, 0.99);
}

} // namespace

bool open_index(const std::string &path, OpenHow how, Index &index, Failure &failure) {
    learnann_index *raw = nullptr;
    learnann_error error{};
    learnann_open_options options = learnann_open_options_default();
    if (how.resident) options.flags |= LEARNANN_OPEN_RESIDENT;
    if (how.flash) options.flags |= LEARNANN_OPEN_FLASH;
    if (how.copy) options.flags |= LEARNANN_OPEN_COPY;
    if (learnann_open(path.c_str(), &options, &raw, &error) != LEARNANN_OK) {
        failure = library_failure(path, error);
        return false;
    }
    index.reset(raw);
    return true;
}

bool Measurement::open_index_file(Failure &failure) {
    scratch_.reset();
    if (!open_index(index_path_, how_, index_, failure)) return false;
    learnann_scratch *raw = nullptr;
    learnann_error error{};
    if (learnann_scratch_create(index_.get(), &raw, &error) != LEARNANN_OK) {
        failure = library_failure(index_path_, error);
        return false;
    }
    scratch_.reset(raw);
    return true;
}

bool Measurement::open(const std::string &index, const std::string &queries, const std::string &truth, uint32_t k,
                       OpenHow how, Failure &failure) {
    index_path_ = index;
    query_path_ = queries;
    how_ = how;
    if (!open_index_file(failure) || !open_vectors(queries, query_file_, failure)) return false;
    learnann_get_info(index_.get(), &info_);
    vectors_ = as_vectors(query_file_.matrix);
    if (vectors_.dim != info_.dim) {
        return fail(failure, queries, "", format("its vectors have %u elements, those of %s %u", vectors_.dim,
                                                 index.c_str(), info_.dim),
                    "Give queries of the same dimension as the index.");
    }
    k_ = k;
    if (vectors_.count > SIZE_MAX / 2 / sizeof(learnann_hit) / k) {
        return fail(failure, queries, "", format("%s queries of %u hits are more than memory can hold",
                                                 grouped(vectors_.count).c_str(), k),
                    "Search with a smaller -k, or in parts.");
    }
    hits_.resize(static_cast<size_t>(vectors_.count * k));
    counts_.resize(static_cast<size_t>(vectors_.count));
    return truth.empty() || (open_ids(truth, truth_file_, failure) && load_truth(k, failure));
}

bool Measurement::load_truth(uint32_t k, Failure &failure) {
    const Matrix &m = truth_file_.matrix;
    const std::string &path = truth_file_.path;
    if (m.rows != vectors_.count) {
        return fail(failure, path, "", format("it has %s rows, there are %s queries", grouped(m.rows).c_str(),
                                              grouped(vectors_.count).c_str()),
                    "Give the truth of these queries, a row for each.");
    }
    if (m.dim < k) {
        return fail(failure, path, "", format("its rows hold %u ids, fewer than k = %u", m.dim, k),
                    format("Search with -k %u or less, or give a wider truth.", m.dim));
    }
    truth_.reserve(static_cast<size_t>(m.rows * k));
    for (uint64_t row = 0; row < m.rows; ++row) {
        for (uint32_t column = 0; column < k; ++column) {
            const int64_t id = id_at(m, row, column);
            if (id < 0 || static_cast<uint64_t>(id) >= info_.rows) {
                return fail(failure, path, "row " + grouped(row),
                            format("column %u holds id %lld, the index has rows 0 to %s", column,
                                   static_cast<long long>(id), grouped(info_.rows - 1).c_str()),
                            "Give the truth that belongs to this index; its ids are row numbers of the build's input.");
            }
            truth_.push_back(id);
        }
        std::sort(truth_.end() - static_cast<std::ptrdiff_t>(k), truth_.end());
    }
    return true;
}

bool Measurement::search_one(uint64_t i, const learnann_search_options &options, Pass &pass, Failure &failure) {
    learnann_vectors query = vectors_;
    learnann_search_stats stats = learnann_search_stats_default();
    learnann_error error{};
    query.count = 1;
    query.data = static_cast<const uint8_t *>(vectors_.data) + i * vectors_.stride;
    if (learnann_search(index_.get(), scratch_.get(), &query, k_, &options, hits_.data() + i * k_, counts_.data() + i, &stats,
                        &error) != LEARNANN_OK) {
        if (error.place == LEARNANN_AT_QUERY) error.file_offset = i;
        failure = library_failure(query_path_, error);
        return false;
    }
    add(pass.stats, stats);
    return true;
}

bool Measurement::run_singly(const learnann_search_options &options, Pass &pass, Failure &failure) {
    pass.microseconds.resize(static_cast<size_t>(vectors_.count));
    Clock::time_point before = Clock::now();
    for (size_t i = 0; i < pass.microseconds.size(); ++i) {
        if (!search_one(i, options, pass, failure)) return false;
        const Clock::time_point after = Clock::now();
        pass.microseconds[i] = 1e6 * seconds_between(before, after);
        before = after;
    }
    return true;
}

bool Measurement::run_pass(const Plan &plan, const learnann_search_options &options, Pass &pass, Failure &failure) {
    learnann_error error{};
    learnann_status status = LEARNANN_OK;
    const Clock::time_point begin = Clock::now();
    if (plan.interleave) {
        status = learnann_search_interleaved(index_.get(), scratch_.get(), &vectors_, k_, &options, hits_.data(),
                                             counts_.data(), &pass.stats, &error);
    } else if (plan.threads != 1) {
        status = learnann_search_batch(index_.get(), &vectors_, k_, &options, hits_.data(), counts_.data(), &pass.stats,
                                       &error);
    } else if (!run_singly(options, pass, failure)) {
        return false;
    }
    pass.seconds = seconds_between(begin, Clock::now());
    if (status != LEARNANN_OK) failure = library_failure(query_path_, error);
    return status == LEARNANN_OK;
}

bool Measurement::run(const Plan &plan, Figures &figures, Failure &failure) {
    learnann_search_options options = learnann_search_options_default();
    options.effort = plan.effort;
    options.target_recall = plan.target_recall;
    options.threads = plan.threads;
    Pass best;
    for (uint32_t i = 0; i < plan.repeat; ++i) {
        Pass pass;
        if (!run_pass(plan, options, pass, failure)) return false;
        if (i == 0 || pass.seconds < best.seconds) best = std::move(pass);
    }
    fill_figures(best, vectors_.count, figures);
    return true;
}

void Measurement::fill_figures(const Pass &pass, uint64_t count, Figures &figures) const {
    if (pass.stats.bad_ids > 0) {
        std::fprintf(stderr, "learnann: warning: the index is damaged (%s ids out of range); run `learnann verify`\n",
                     grouped(pass.stats.bad_ids).c_str());
    }
    const double queries = static_cast<double>(count);
    figures = Figures();
    figures.queries = count;
    figures.k = k_;
    figures.effort = pass.stats.effort;
    figures.recall = recall(count);
    figures.qps = pass.seconds > 0 ? queries / pass.seconds : -1;
    figures.distances = static_cast<double>(pass.stats.distances) / queries;
    figures.entry_distances = static_cast<double>(pass.stats.entry_distances) / queries;
    figures.reranked = static_cast<double>(pass.stats.reranked) / queries;
    figures.hops = static_cast<double>(pass.stats.hops) / queries;
    latencies(pass.microseconds, figures);
}

bool Measurement::run_cold(const Plan &plan, Figures &figures, Failure &failure) {
    constexpr uint64_t most = 300;
    learnann_search_options options = learnann_search_options_default();
    options.effort = plan.effort;
    options.target_recall = plan.target_recall;
    Pass pass;
    const uint64_t count = std::min<uint64_t>(vectors_.count, most);
    uint64_t all_bytes = 0;
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t bytes = 0;
        scratch_.reset();
        index_.reset();
        if (!drop_cached(index_path_, failure)) return false;
        const Clock::time_point begin = Clock::now();
        if (!open_index_file(failure) || !search_one(i, options, pass, failure)) return false;
        pass.microseconds.push_back(1e6 * seconds_between(begin, Clock::now()));
        pass.seconds += pass.microseconds.back() / 1e6;
        if (!cached_bytes(index_path_, bytes, failure)) return false;
        all_bytes += bytes;
    }
    fill_figures(pass, count, figures);
    figures.cold_bytes = static_cast<double>(all_bytes) / static_cast<double>(count);
    return true;
}

// Of the first so many.
double Measurement::recall(uint64_t queries) const {
    if (truth_.empty()) return -1;
    uint64_t found = 0;
    for (size_t i = 0; i < queries; ++i) {
        const auto begin = truth_.begin() + static_cast<std::ptrdiff_t>(i * k_);
        const auto end = begin + static_cast<std::ptrdiff_t>(k_);
        for (uint32_t j = 0; j < counts_[i]; ++j) {
            found += std::binary_search(begin, end, static_cast<int64_t>(hits_[i * k_ + j].row));
        }
    }
    return static_cast<double>(found) / static_cast<double>(queries * k_);
}

std::vector<int64_t> Measurement::hit_rows() const {
    std::vector<int64_t> rows(hits_.size(), -1);
    for (size_t i = 0; i < counts_.size(); ++i) {
        for (uint32_t j = 0; j < counts_[i]; ++j) rows[i * k_ + j] = hits_[i * k_ + j].row;
    }
    return rows;
}

void write_figures(JsonWriter &json, const Figures &f) {
    const auto measured = [&](const char *name, double number) {
        json.key(name);
        if (number < 0) json.value(nullptr);
        else json.value(number);
    };
    json.begin_object();
    json.field("queries", f.queries);
    json.field("k", f.k);
    json.field("effort", f.effort);
    json.field("router", "none");
    if (f.recall >= 0) json.field("recall", f.recall);
    measured("qps", f.qps);
    measured("mean_us", f.mean_us);
    measured("p50_us", f.p50_us);
    measured("p99_us", f.p99_us);
    measured("distances", f.distances);
    measured("entry_distances", f.entry_distances);
    measured("reranked", f.reranked);
    measured("hops", f.hops);
    if (f.cold_bytes >= 0) json.field("cold_bytes", f.cold_bytes);
    json.field("inferences", 0);
    const uint64_t resident = rss_bytes();
    measured("rss_bytes", resident == 0 ? -1.0 : static_cast<double>(resident));
    json.field("isa", learnann_isa());
    json.end_object();
}

} // namespace tools
