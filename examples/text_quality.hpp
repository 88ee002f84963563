// text_quality: whether an index finds what a look at every row finds, and how fast, for textsearch.cpp.
#pragma once
#include "text_features.hpp"
#include "text_passages.hpp"
#include "learnann.h"
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

inline double resident_megabytes() {    // 0 where the system has no /proc
    double pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * double(sysconf(_SC_PAGESIZE)) / 1e6;
}

inline double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A passage as somebody might remember it: a third of the words gone, some of the others misspelt. The passages
// themselves would be no test, as a row finds itself easily.
inline std::string half_remembered(const std::string &text, std::mt19937 &random) {
    std::istringstream words(text);
    std::string result;
    for (std::string word; words >> word;) {
        if (random() % 3 == 0) continue;
        if (random() % 4 == 0) word[random() % word.size()] = char('a' + random() % 26);
        result += word + ' ';
    }
    return result;
}

// Vectors of half-remembered passages, every second one from `first` (0 or 1) on: so the sample that the build learns
// from and the queries that it is judged by come from different passages.
inline std::vector<float> remembered_queries(const std::vector<Passage> &passages, const TextFeatures &features,
                                             size_t first, uint32_t count) {
    std::mt19937 random(1);
    std::vector<float> queries;
    for (uint32_t i = 0; i < count; ++i) {
        const size_t row = std::min(passages.size() - 1, random() % ((passages.size() + 1) / 2) * 2 + first);
        const std::vector<float> query = features.embed(half_remembered(passages[row].text, random));
        queries.insert(queries.end(), query.begin(), query.end());
    }
    return queries;
}

struct Quality {
    double recall = 0;              // the share of the true ten nearest that were found
    double queries_a_second = 0;    // of the search alone, on one thread
};

inline Quality measure_quality(const learnann::Index &index, const std::vector<float> &rows,
                               const std::vector<float> &queries) {
    constexpr uint32_t DIM = TextFeatures::DIM, K = 10;
    learnann::Scratch scratch = index.scratch();
    std::vector<float> similarity(rows.size() / DIM);
    size_t k = std::min<size_t>(K, similarity.size()), count = queries.size() / DIM, found = 0;
    double searching = 0;
    for (const float *query = queries.data(); query < queries.data() + queries.size(); query += DIM) {
        const double begin = seconds_now();
        const std::vector<learnann::Hit> hits = index.search(scratch, query, DIM, K);
        searching += seconds_now() - begin;

        for (size_t row = 0; row < similarity.size(); ++row)
            similarity[row] = std::inner_product(query, query + DIM, &rows[row * DIM], 0.0f);
        std::vector<float> sorted = similarity;
        std::sort(sorted.begin(), sorted.end(), std::greater<float>());
        for (const learnann::Hit &hit : hits) found += similarity[hit.row] >= sorted[k - 1];    // equals are as good
    }
    return {double(found) / double(k * count), double(count) / searching};
}
