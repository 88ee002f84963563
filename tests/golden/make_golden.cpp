// make_golden.cpp: writes the golden files whose names begin with a prefix, and what searches find in them: an index <name>.la and
// a text <name>.txt with a line for each hit: query, search or range, key, row, distance. Once a version of the format is
// released its files are kept for good, and this generator serves the next. From the root:
//   c++ -std=c++17 -I. tests/golden/make_golden.cpp learnann.c++ -pthread -o build/make_golden &&
//       build/make_golden tests/golden golden_v3
#include "golden.hpp"

#include <cstdio>
#include <string>

using namespace testdata;

int main(int argc, char **argv) {
    const std::string folder = argc > 1 ? argv[1] : "tests/golden", prefix = argc > 2 ? argv[2] : "";
    for (const golden::Case &c : golden::cases) {
        if (std::string(c.name).rfind(prefix, 0) != 0) continue;
        std::vector<uint64_t> keys(golden::rows);
        for (uint64_t i = 0; i < golden::rows; ++i) keys[i] = 1000 + (i * 7) % golden::rows;
        learnann_build_options options = build_options(c.metric, c.exact);
        options.degree = golden::degree;
        options.code_bytes = c.code_bytes;
        options.seed = 1;
        const std::vector<uint32_t> lists = golden::lists();
        options.graph = c.given ? LEARNANN_GRAPH_GIVEN : LEARNANN_GRAPH_AUTO;
        options.neighbours = c.given ? lists.data() : nullptr;
        Index index(golden::rows_of(c), options, c.keys ? keys.data() : nullptr);
        const std::string path = folder + "/" + c.name;
        std::FILE *bytes = std::fopen((path + ".la").c_str(), "wb"), *text = std::fopen((path + ".txt").c_str(), "w");
        if (index.status != LEARNANN_OK || !bytes || !text) {
            std::fprintf(stderr, "can't make %s\n", path.c_str());
            return 1;
        }
        std::fwrite(index.file.data(), 1, index.file.size(), bytes);
        for (uint32_t i = 0; i < golden::queries; ++i) {
            const std::vector<float> q = golden::query(c, i);
            const learnann_vectors query{q.data(), 1, 0, c.dim, LEARNANN_F32};
            for (const learnann_hit &h : index.search(query, golden::k, golden::effort))
                std::fprintf(text, "%u search %llu %u %.9g\n", i, static_cast<unsigned long long>(h.key), h.row,
                             h.distance);
            for (const learnann_hit &h : index.range(query, c.radius, golden::k, golden::effort))
                std::fprintf(text, "%u range %llu %u %.9g\n", i, static_cast<unsigned long long>(h.key), h.row,
                             h.distance);
        }
        std::printf("%s: %zu bytes\n", path.c_str(), index.file.size());
        if (std::fclose(bytes) != 0 || std::fclose(text) != 0) return 1;
    }
    return 0;
}
