// replay.cpp: feeds every file of the folders and files named to the fuzz target, for compilers without libFuzzer.
//   c++ -std=c++17 -g -I. tests/fuzz/replay.cpp tests/fuzz/open_fuzz.cpp learnann.c++ -pthread -o replay
//   ./replay tests/fuzz/corpus
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const std::filesystem::path &path) {
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    return 1;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; ++i) {
        if (std::filesystem::is_directory(argv[i])) {
            for (const auto &entry : std::filesystem::directory_iterator(argv[i]))
                if (entry.is_regular_file()) count += feed(entry.path());
        } else {
            count += feed(argv[i]);
        }
    }
    std::printf("%d inputs, no crash\n", count);
    return count > 0 ? 0 : 1;
}
