// arguments_fuzz.cpp: any words as the command line's arguments, one on each line. They go through main and each command's
// own options; there are no files and no library behind, so that every command ends at the first file that it opens: with
// its help, a usage error, or a failure.
#define main learnann_main
#include "../../tools/learnann.cpp"
#undef main

#include "../../tools/cache.hpp"
#include "require.hpp"

#include <algorithm>

// ---- no library: what the commands call before a file is open, and what they only link to

extern "C" {
uint32_t learnann_version(void) { return LEARNANN_VERSION; }
const char *learnann_isa(void) { return "none"; }
const char *learnann_status_text(learnann_status) { return "no library"; }
learnann_status learnann_open(const char *, const learnann_open_options *, learnann_index **index, learnann_error *error) {
    *index = nullptr;
    *error = {LEARNANN_IO, 2, LEARNANN_NO_OFFSET, 0, "there is no such file", LEARNANN_AT_NOTHING};
    return LEARNANN_IO;
}
void learnann_close(learnann_index *) {}
void learnann_scratch_free(learnann_scratch *) {}
void learnann_builder_free(learnann_builder *) {}

#define NEVER_CALLED(name, ...) learnann_status name(__VA_ARGS__) { std::abort(); }
NEVER_CALLED(learnann_get_info, const learnann_index *, learnann_index_info *)
NEVER_CALLED(learnann_calibration, const learnann_index *, uint32_t, uint32_t, uint32_t *, float *)
NEVER_CALLED(learnann_verify, const learnann_index *, learnann_error *)
NEVER_CALLED(learnann_scratch_create, const learnann_index *, learnann_scratch **, learnann_error *)
NEVER_CALLED(learnann_search, const learnann_index *, learnann_scratch *, const learnann_vectors *, uint32_t,
             const learnann_search_options *, learnann_hit *, uint32_t *, learnann_search_stats *, learnann_error *)
NEVER_CALLED(learnann_search_interleaved, const learnann_index *, learnann_scratch *, const learnann_vectors *, uint32_t,
             const learnann_search_options *, learnann_hit *, uint32_t *, learnann_search_stats *, learnann_error *)
NEVER_CALLED(learnann_search_batch, const learnann_index *, const learnann_vectors *, uint32_t, const learnann_search_options *,
             learnann_hit *, uint32_t *, learnann_search_stats *, learnann_error *)
NEVER_CALLED(learnann_builder_create, const learnann_build_options *, learnann_builder **, learnann_error *)
NEVER_CALLED(learnann_builder_run, learnann_builder *, const learnann_vectors *, const uint64_t *, learnann_error *)
NEVER_CALLED(learnann_builder_train, learnann_builder *, const learnann_index *, const learnann_vectors *, learnann_error *)
NEVER_CALLED(learnann_builder_save, learnann_builder *, const char *, learnann_error *)
NEVER_CALLED(learnann_builder_report, const learnann_builder *, learnann_build_report *)
NEVER_CALLED(learnann_builder_write, learnann_builder *, void *, uint64_t, learnann_error *)
NEVER_CALLED(learnann_open_memory, const void *, size_t, const learnann_open_options *, learnann_index **, learnann_error *)
uint64_t learnann_builder_bytes(const learnann_builder *) { std::abort(); }
}

// ---- no system: neither signals nor control groups nor /proc

namespace tools {
uint64_t peak_rss_bytes() { return 0; }
uint64_t rss_bytes() { return 0; }
AvailableMemory available_memory() { return {}; }
bool stderr_is_terminal() { return false; }
void catch_interrupts() {}
bool interrupted() { return false; }
bool drop_cached(const std::string &, Failure &) { std::abort(); }
bool cached_bytes(const std::string &, uint64_t &, Failure &) { std::abort(); }
bool run_capped(uint64_t, const std::string &, const std::function<int()> &work, int &code, Failure &) {
    code = work();
    return true;
}
}  // namespace tools

// What the commands print is not looked at.
static void be_quiet() {
#ifdef __GLIBC__
    static bool quiet = false;
    if (quiet) return;
    if (std::FILE *nowhere = std::fopen("/dev/null", "w")) stdout = stderr = nowhere;
    quiet = true;
#endif
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) return 0;
    be_quiet();
    std::vector<std::string> words = {"learnann"};
    for (const uint8_t *at = data, *const end = data + size; at < end;) {
        const uint8_t *const stop = std::find(at, end, '\n');
        words.emplace_back(at, std::find(at, stop, '\0'));      // as the system hands them over
        at = stop + (stop < end);
    }
    std::vector<char *> argv;
    for (std::string &word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int code = learnann_main(static_cast<int>(words.size()), argv.data());
    REQUIRE(code == tools::exit_ok || code == tools::exit_failed || code == tools::exit_usage);
    const auto asks = [](const std::string &word) { return word == "--help" || word == "-h" || word == "--version"; };
    REQUIRE(code != tools::exit_ok || std::any_of(words.begin(), words.end(), asks));
    return 0;
}
