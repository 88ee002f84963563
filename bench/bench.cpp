// The benchmark: learnann and its peers side by side, on real sets, in one run. `make bench` runs it.
#include "report.hpp"

#include "../tools/cli.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#ifdef __linux__
#include <sched.h>
#endif

namespace bench {
namespace {

using tools::Failure;

struct Settings {
    std::string data = "../shared/data", sets, systems, json, svg, cache = "build/bench-cache";
    uint64_t cpu = 1, passes = 7;
    bool anywhere = false, fresh = false;
};

tools::Syntax syntax_of(Settings &s) {
    tools::Syntax syntax{"bench", "[options]",
                         "Measures learnann and its peers on the sets of a folder: recall against queries a second,\n"
                         "build time, file and memory. One thread.\n", {}, {}};
    syntax.options = {
        {"--data", "DIR", "the folder of the sets (default ../shared/data; where it has none, a made set)", &s.data},
        {"--sets", "LIST", "of these sets only, commas between; NAME=l2|ip|cos gives a set's metric", &s.sets},
        {"--systems", "LIST", "these systems only, by their ids in the JSON; brute, hnswlib, usearch ...", &s.systems},
        {"--passes", "N", "passes over everything; the fastest counts (default 7)", tools::Whole{&s.passes, 1, 1000}},
        {"--cpu", "N", "the core to run on (default 1)", tools::Whole{&s.cpu, 0, 1023}},
        {"--any-cpu", "", "do not pin to a core", &s.anywhere},
        {"--cache", "DIR", "where built indexes stay between runs (default build/bench-cache)", &s.cache},
        {"--fresh", "", "build the peers' indexes even where they are there; learnann's is always built", &s.fresh},
        {"--json", "FILE", "write all figures there", &s.json},
        {"--svg", "FILE", "write a picture there", &s.svg},
    };
    return syntax;
}

std::vector<std::string> words_of(const std::string &list) {
    std::vector<std::string> words;
    std::istringstream stream(list);
    for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
    return words;
}

// The core that the process now runs on, -1 where the system can't pin or has no such core.
int pin(uint64_t core) {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(core), &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return static_cast<int>(core);
#endif
    tell(tools::format("not pinned: there is no core %d to pin to\n", static_cast<int>(core)));
    return -1;
}

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const size_t colon = line.find(": ");
        if (line.compare(0, 10, "model name") == 0 && colon != std::string::npos) return line.substr(colon + 2);
    }
    return "processor unknown";
}

// "always", "madvise" or "never": whether plain allocations get huge pages.
std::string huge_pages() {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    for (std::string word; file >> word;) {
        if (word.size() > 2 && word[0] == '[') return word.substr(1, word.size() - 2);
    }
    return "unknown";
}

std::string compiler() {
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "g++ " __VERSION__;
#endif
}

std::vector<SystemKind> all_systems() {
    std::vector<SystemKind> all;
    for (const auto list : {learnann_systems, hnswlib_systems, usearch_systems, faiss_systems, brute_systems}) {
        const std::vector<SystemKind> some = list();
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

bool choose_systems(const std::string &list, std::vector<SystemKind> &kinds, Failure &failure) {
    const std::vector<std::string> wanted = words_of(list);
    const std::vector<SystemKind> all = all_systems();
    std::string known;
    for (const SystemKind &kind : all) {
        known += std::string(known.empty() ? "" : ", ") + kind.id;
        if (wanted.empty() || std::count(wanted.begin(), wanted.end(), kind.id) > 0) kinds.push_back(kind);
    }
    return (wanted.empty() ? kinds.size() == all.size() : kinds.size() == wanted.size()) ||
           tools::fail(failure, "--systems", "", "names a system that is not known", "There is: " + known + ".");
}

bool open_run(const std::string &folder, const std::string &name, const std::vector<SystemKind> &kinds, SetRun &run,
              Failure &failure) {
    if (!open_dataset(folder, name, run.set, failure)) return false;
    for (const SystemKind &kind : kinds) {
        if (kind.missing == nullptr && !kind.suits(run.set)) continue;
        run.entries.emplace_back();
        run.entries.back().kind = kind;
        if (kind.missing != nullptr) {
            run.entries.back().left_out = std::string(kind.missing) + " is not installed (make bench-deps installs it)";
        }
    }
    return true;
}

bool open_runs(Settings &s, const std::vector<SystemKind> &kinds, std::vector<SetRun> &runs, Failure &failure) {
    std::vector<std::string> names = s.sets.empty() ? list_datasets(s.data) : words_of(s.sets);
    if (names.empty()) {
        tell(tools::format("%s has no sets: making one\n", s.data.c_str()));
        if (!make_dataset(s.cache, failure)) return false;
        s.data = s.cache;
        names = {"made"};
    }
    runs.resize(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
        if (!open_run(s.data, names[i], kinds, runs[i], failure)) return false;
    }
    return true;
}

bool write_reports(const Settings &s, const std::vector<SetRun> &runs, const Machine &machine, Failure &failure) {
    return (s.json.empty() || tools::write_file(s.json, json_of(runs, machine), failure)) &&
           (s.svg.empty() || tools::write_file(s.svg, chart_of(runs, machine), failure));
}

int bench_command(const std::vector<std::string> &arguments) {
    Settings s;
    const tools::Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;

    Failure failure;
    std::vector<SystemKind> kinds;
    std::vector<SetRun> runs;
    std::error_code ignored;
    std::filesystem::create_directories(s.cache, ignored);
    if ((!s.json.empty() && !tools::check_output(s.json, {}, failure)) ||
        (!s.svg.empty() && !tools::check_output(s.svg, {}, failure)) || !choose_systems(s.systems, kinds, failure) ||
        !open_runs(s, kinds, runs, failure)) {
        return tools::report(failure);
    }
    const RunOptions options{s.cache, s.fresh, static_cast<uint32_t>(s.passes)};
    Machine machine{processor(), compiler(), BENCH_FLAGS, huge_pages(), -1, options.passes};
    if (!s.anywhere) machine.cpu = pin(s.cpu);

    for (SetRun &run : runs) prepare_indexes(run, options);     // all of them before anything big is in memory
    for (SetRun &run : runs) measure(run, options);
    if (!write_reports(s, runs, machine, failure)) return tools::report(failure);
    return tools::finish(table_of(runs, machine));
}

} // namespace
} // namespace bench

int main(int count, char **words) {
    // Before any of its threads starts: OpenBLAS reads it once.
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    return bench::bench_command(std::vector<std::string>(words + 1, words + count));
}
