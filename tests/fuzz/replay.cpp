// replay.cpp: feeds every file of the folders and files named to a fuzz target, for compilers without libFuzzer. Compiled by
// AFL++ it takes its inputs from there instead, thousands in one process.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef __AFL_COMPILER
#include <unistd.h>
__AFL_FUZZ_INIT();

int main() {
    __AFL_INIT();
    const unsigned char *bytes = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(10000)) {
        // A copy that ends where the input ends.
        const std::vector<uint8_t> input(bytes, bytes + __AFL_FUZZ_TESTCASE_LEN);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    return 0;
}

#else

static int feed(const std::filesystem::path &path) {
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    return 1;
}

int main(int argc, char **argv) {
    std::FILE *const out = stdout;      // a target may send stdout elsewhere
    int count = 0;
    for (int i = 1; i < argc; ++i) {
        if (std::filesystem::is_directory(argv[i])) {
            for (const auto &entry : std::filesystem::directory_iterator(argv[i]))
                if (entry.is_regular_file()) count += feed(entry.path());
        } else {
            count += feed(argv[i]);
        }
    }
    std::fprintf(out, "%s: %d inputs, no crash\n", argv[0], count);
    return count > 0 ? 0 : 1;
}
#endif
