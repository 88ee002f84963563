// growing_collection.hpp: vectors that come and go, on an index that never changes. New rows wait in memory, where a search looks at
// each, those removed are filtered out, and once in a while what is left becomes a new file in the old one's place. For one thread.
#pragma once
#include "learnann.h"
#include <algorithm>
#include <fstream>
#include <map>
#include <string>

using Row = std::vector<float>;
inline float distance(const Row &a, const Row &b) {     // squared, as an index has it
    float sum = 0;
    for (size_t j = 0; j < a.size(); ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

class Collection {
public:
    Collection(std::string path, uint32_t dim) : path_(std::move(path)), dim_(dim) { open(); }      // goes on with the file where there is one
    void remove(uint64_t key) {
        recent_.erase(key);
        uint32_t row = 0;
        if (index_ && learnann_find(index_.get(), key, &row) == LEARNANN_OK) live_[row / 64] &= ~(uint64_t(1) << row % 64);
    }
    bool put(uint64_t key, const Row &row) {            // adds a row, or replaces it; false: it is none that an index takes, all stays as it was
        if (!takes(row)) return false;
        remove(key);
        recent_[key] = row;
        if (recent_.size() >= 500 + rows_ / 10 && recent_.size() % 100 == 0) merge();   // where that fails the rows wait for the next time
        return true;
    }
    bool merge() {      // saves what waits; where it fails, as it does where the file is none of ours, all stays as it was
        std::vector<uint64_t> keys; Row rows;
        for (const auto &[key, row] : recent_) keys.push_back(key), rows.insert(rows.end(), row.begin(), row.end());
        for (uint32_t row = 0; row < rows_; ++row) {
            if (!(live_[row / 64] >> row % 64 & 1)) continue;
            keys.push_back(0), rows.resize(rows.size() + dim_);
            if (learnann_key(index_.get(), row, &keys.back()) || learnann_fetch(index_.get(), keys.back(), rows.data() + rows.size() - dim_, dim_)) return false;
        }
        if ((!index_ && std::ifstream(path_)) || learnann::build(path_.c_str(), rows.data(), keys.size(), dim_, nullptr, keys.data()) || !open()) return false;
        recent_.clear();
        return true;
    }
    size_t waiting() const { return recent_.size(); }   // rows that are in memory only: far more than a tenth of all where merges fail
    std::vector<learnann::Hit> search(const Row &query, uint32_t k, learnann::Error &error) {       // none where it fails: see the error
        const learnann_filter live{LEARNANN_FILTER_ROWS, live_.data(), rows_, nullptr, nullptr};
        learnann_search_options options = learnann_search_options_default();
        options.filter = &live;
        std::vector<learnann::Hit> hits;
        error = learnann::Error{};
        if (!takes(query)) error = {LEARNANN_ARGUMENT, 0, 0, 0, "a query of another dimension, not finite or too long", LEARNANN_AT_QUERY};
        else if (index_) hits = index_.search(scratch_, query.data(), dim_, k, &options, &error);
        if (error.status) return hits;
        for (const auto &[key, row] : recent_) hits.push_back({key, 0, distance(row, query)});
        std::sort(hits.begin(), hits.end(), [](const auto &a, const auto &b) { return a.distance < b.distance; });
        hits.resize(std::min<size_t>(hits.size(), k));
        return hits;
    }

private:
    bool takes(const Row &row) const { return row.size() == dim_ && distance(row, Row(dim_)) < 9e35f; }     // neither NaN nor longer than 1e18
    bool open() {
        learnann::Index fresh = learnann::Index::open(path_.c_str());
        learnann::Scratch scratch = fresh && fresh.info().dim == dim_ ? fresh.scratch() : nullptr;
        if (!scratch) return false;
        scratch_ = std::move(scratch), index_ = std::move(fresh);       // the scratch before its index
        rows_ = index_.info().rows;         // what waits, and what is removed from now on, is in memory only
        live_.assign(size_t(rows_ + 63) / 64, ~uint64_t(0));
        return true;
    }

    std::string path_;
    uint32_t dim_;
    learnann::Index index_;
    learnann::Scratch scratch_;
    uint64_t rows_ = 0;                 // of the index
    std::vector<uint64_t> live_;        // a bit for each of them
    std::map<uint64_t, Row> recent_;    // by key
};
