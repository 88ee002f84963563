// hello: the whole of learnann in C++17, by way of the wrapper that owns the handles.
//
//   hello [FILE]      keeps the index in FILE; without one, in a temporary file that it removes
//
// Returns 0 where the right key was found.
#include "learnann.h"

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr uint32_t ROWS = 2000, DIM = 32;

int failed(const char *what, const learnann::Error &error) {
    std::fprintf(stderr, "%s: %s (%s)\n", what, error.message, learnann_status_text(error.status));
    return 1;
}

} // namespace

int main(int argc, char **argv) {
    const std::string temporary = (std::filesystem::temp_directory_path() / "learnann-hello-cpp.index").string();
    const std::string path = argc > 1 ? argv[1] : temporary;

    // Rows are any floats, side by side; keys are any numbers by which your program knows them.
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> rows(ROWS * DIM);
    std::vector<uint64_t> keys(ROWS);
    for (float &value : rows) value = normal(random);
    for (uint32_t i = 0; i < ROWS; ++i) keys[i] = 1000000 + i;

    learnann::Error error{};
    learnann_build_options options = learnann_build_options_default();
    options.metric = LEARNANN_COS;
    if (learnann::build(path.c_str(), rows.data(), ROWS, DIM, &options, keys.data(), &error) != LEARNANN_OK)
        return failed("build", error);

    int result = 1;
    {
        const learnann::Index index = learnann::Index::open(path.c_str(), &error);
        if (!index) return failed("open", error);
        learnann::Scratch scratch = index.scratch(&error);   // one for each thread
        if (!scratch) return failed("scratch", error);

        std::vector<float> query(rows.begin() + 42 * DIM, rows.begin() + 43 * DIM);
        for (float &value : query) value = 3 * value + 0.3f * normal(random);   // the cosine does not mind the length
        const std::vector<learnann::Hit> hits = index.search(scratch, query.data(), DIM, 5, nullptr, &error);
        if (hits.empty()) return failed("search", error);
        for (const learnann::Hit &hit : hits)
            std::printf("key %llu at distance %.4f\n", (unsigned long long)hit.key, double(hit.distance));
        result = hits.size() == 5 && hits[0].key == 1000042 ? 0 : 1;
    }   // the scratch goes before its index, the index before its file
    if (argc < 2) std::filesystem::remove(path);
    return result;
}
