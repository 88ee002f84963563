// filtered: searches that may find only some of the rows, here of a shop's 5,000 things. "Like this, but in stock" is a
// bitmap over rows, "like this, but in department 3" a predicate over keys.
//   filtered          returns 0 where every hit passed its filter and hardly a true neighbour was missed
#include "learnann.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr uint32_t ROWS = 5000, DIM = 24, K = 10, QUERIES = 50;
using Pass = std::function<bool(uint32_t row)>;

// A key may say more than a number: here the department, above the running number.
int in_department_3(void *, uint64_t key) { return key >> 32 == 3; }

// The truth to compare with: what a scan of all rows finds.
std::vector<uint32_t> scan(const std::vector<float> &rows, const float *query, const Pass &pass) {
    std::vector<std::pair<float, uint32_t>> all;
    for (uint32_t row = 0; row < ROWS; ++row) {
        float distance = 0;
        for (uint32_t j = 0; j < DIM; ++j) distance += std::pow(query[j] - rows[row * DIM + j], 2.0f);
        if (pass(row)) all.emplace_back(distance, row);
    }
    std::sort(all.begin(), all.end());
    std::vector<uint32_t> best;
    for (size_t i = 0; i < all.size() && i < K; ++i) best.push_back(all[i].second);
    return best;
}

} // namespace

int main() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> rows(ROWS * DIM), queries(QUERIES * DIM);
    std::vector<uint64_t> keys(ROWS), stock((ROWS + 63) / 64), last_three(stock);
    for (float &value : rows) value = normal(random);
    for (float &value : queries) value = normal(random);
    for (uint32_t row = 0; row < ROWS; ++row) keys[row] = uint64_t(row % 7) << 32 | row;
    for (uint32_t row = 0; row < ROWS; row += 2) stock[row / 64] |= uint64_t(1) << row % 64;
    for (uint32_t row = ROWS - 3; row < ROWS; ++row) last_three[row / 64] |= uint64_t(1) << row % 64;

    const std::string path = (std::filesystem::temp_directory_path() / "learnann-filtered.index").string();
    if (learnann::build(path.c_str(), rows.data(), ROWS, DIM, nullptr, keys.data()) != LEARNANN_OK) return 1;
    const learnann::Index index = learnann::Index::open(path.c_str());
    learnann::Scratch scratch = index ? index.scratch() : nullptr;
    if (!scratch) return 1;
    std::filesystem::remove(path);  // a mapped file stays readable until it is closed
    const auto passes = [&](const char *name, const learnann_filter &filter, const Pass &pass) {
        learnann_search_options options = learnann_search_options_default();
        options.filter = &filter;
        size_t found = 0, expected = 0, wrong = 0;
        for (const float *query = queries.data(); query < queries.data() + QUERIES * DIM; query += DIM) {
            const std::vector<uint32_t> truth = scan(rows, query, pass);
            expected += truth.size();
            for (const learnann::Hit &hit : index.search(scratch, query, DIM, K, &options)) {
                found += size_t(std::count(truth.begin(), truth.end(), hit.row));
                wrong += !pass(hit.row) || hit.key != keys[hit.row];
            }
        }
        std::printf("%-14s recall %.3f, wrong hits: %zu\n", name, double(found) / double(expected), wrong);
        return wrong == 0 && double(found) >= (expected < QUERIES * K ? 1.0 : 0.9) * double(expected);
    };
    const bool half = passes("in stock", {LEARNANN_FILTER_ROWS, stock.data(), ROWS, nullptr, nullptr},
                             [](uint32_t row) { return row % 2 == 0; });
    const bool third = passes("department 3", {LEARNANN_FILTER_PREDICATE, nullptr, 0, in_department_3, nullptr},
                              [](uint32_t row) { return row % 7 == 3; });
    // Three rows pass: three hits instead of ten, and never a miss, as so few are simply looked at one by one.
    const bool few = passes("the last three", {LEARNANN_FILTER_ROWS, last_three.data(), ROWS, nullptr, nullptr},
                            [](uint32_t row) { return row >= ROWS - 3; });
    return half && third && few ? 0 : 1;
}
