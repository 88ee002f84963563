// threads: several threads share one open index, each with a scratch of its own. An index never changes after it was
// opened, so there is no lock anywhere, and the hits are those that one thread finds alone.
//
//   threads           returns 0 where every thread found the same hits
#include "learnann.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr uint32_t ROWS = 4000, QUERIES = 400, DIM = 48, K = 10, THREADS = 4;

// The index lives in memory here: the same bytes that a file would hold, at an address that is a multiple of 64.
struct alignas(64) Block { unsigned char bytes[64]; };

std::vector<Block> build(const std::vector<float> &rows) {
    std::vector<Block> file;
    learnann_builder *builder = nullptr;
    const learnann_vectors input = learnann::vectors(rows.data(), ROWS, DIM);
    if (learnann_builder_create(nullptr, &builder, nullptr) == LEARNANN_OK &&
        learnann_builder_run(builder, &input, nullptr, nullptr) == LEARNANN_OK) {
        const uint64_t size = learnann_builder_bytes(builder);
        file.resize(size_t((size + 63) / 64));
        if (learnann_builder_write(builder, file.data(), size, nullptr) != LEARNANN_OK) file.clear();
    }
    learnann_builder_free(builder);
    return file;
}

// Searches for the queries first, first + step, ...; hits of query i go to hits[i * K].
void search(const learnann::Index &index, const float *queries, uint32_t first, uint32_t step, learnann_hit *hits) {
    learnann::Scratch scratch = index.scratch();
    for (uint32_t i = first; i < QUERIES && scratch; i += step) {
        const std::vector<learnann::Hit> found = index.search(scratch, queries + size_t(i) * DIM, DIM, K);
        std::copy(found.begin(), found.end(), hits + size_t(i) * K);
    }
}

bool same(const std::vector<learnann_hit> &a, const std::vector<learnann_hit> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), [](const learnann_hit &x, const learnann_hit &y) {
        return x.key == y.key && x.row == y.row && x.distance == y.distance;
    });
}

} // namespace

int main() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> rows(ROWS * DIM), queries(QUERIES * DIM);
    for (float &value : rows) value = normal(random);
    for (float &value : queries) value = normal(random);

    const std::vector<Block> file = build(rows);
    const learnann::Index index = learnann::Index::open_memory(file.data(), file.size() * sizeof(Block));
    if (!index) return 1;

    std::vector<learnann_hit> alone(QUERIES * K), together(alone), batch(alone);
    search(index, queries.data(), 0, 1, alone.data());

    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < THREADS; ++t)
        threads.emplace_back(search, std::cref(index), queries.data(), t, THREADS, together.data());
    for (std::thread &thread : threads) thread.join();
    std::printf("%u threads of my own: %s\n", THREADS, same(alone, together) ? "the same hits" : "DIFFERENT HITS");

    // And the short way, for queries that are all there at once.
    std::vector<uint32_t> counts(QUERIES);
    const learnann_vectors input = learnann::vectors(queries.data(), QUERIES, DIM);
    learnann_search_batch(index.get(), &input, K, nullptr, batch.data(), counts.data(), nullptr, nullptr);
    std::printf("learnann_search_batch: %s\n", same(alone, batch) ? "the same hits" : "DIFFERENT HITS");
    return alone[0].key != alone[1].key && same(alone, together) && same(alone, batch) ? 0 : 1;
}
