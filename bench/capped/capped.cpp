// learnann-bench-capped: systems that search an index larger than the memory there is. Each is built and measured as `make bench`
// does; then it opens its index as sparingly as it can (mapped, where it can) in a process whose memory, cached pages of files
// included, is capped, and answers the queries again at the least effort that reached the recall. Last it answers single queries,
// each on an index opened anew. One thread.
//
// Invariants: all systems get the same cap, a share of learnann's file. A capped process begins with nothing of its index in memory
// and searches untimed before it is timed. So does each of the single queries: what is in memory after it is what it read.
#include "../run.hpp"

#include "../../tools/cache.hpp"
#include "../../tools/cli.hpp"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <sys/mman.h>

namespace bench {
namespace {

using tools::Failure;

struct Settings {
    std::string data = "build/made", set = "million=cos", systems = "learnann,hnswlib,usearch", cache = "build/bench-cache";
    double share = 0.25, recall = 0.95;
    uint64_t seconds = 20;
};

tools::Syntax syntax_of(Settings &s) {
    tools::Syntax syntax{"bench-capped", "[options]",
                         "Measures how fast systems search an index of which a part only fits into memory, and what a single query\n"
                         "reads and takes when nothing of it is there (pages of 4 KiB, the median of 30). One thread.\n"
                         "Needs Linux and the right to make control groups.\n", {}, {}};
    syntax.options = {
        {"--data", "DIR", "the folder of the set (default build/made, as `make made-set` writes it)", &s.data},
        {"--set", "NAME=METRIC", "the set (default million=cos)", &s.set},
        {"--systems", "LIST", "of learnann, hnswlib and usearch (default all)", &s.systems},
        {"--share", "F", "memory, as a share of learnann's file (default 0.25)", tools::Fraction{&s.share}},
        {"--recall", "F", "at least (default 0.95)", tools::Fraction{&s.recall}},
        {"--seconds", "N", "of capped searching that are timed, after half as many that are not (default 20)",
         tools::Whole{&s.seconds, 1, 3600}},
        {"--cache", "DIR", "where the peers' built indexes stay between runs (default build/bench-cache)", &s.cache},
    };
    return syntax;
}

// What a capped process found, in memory that it shares with this one.
struct Answer {
    uint64_t queries = 0;
    double seconds = 0;
    double recall = 0;      // of the queries answered
};

class SharedAnswer {
public:
    SharedAnswer() : memory_(mmap(nullptr, sizeof(Answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::runtime_error("no memory could be shared");
        new (memory_) Answer;
    }
    SharedAnswer(const SharedAnswer &) = delete;
    SharedAnswer &operator=(const SharedAnswer &) = delete;
    ~SharedAnswer() { munmap(memory_, sizeof(Answer)); }
    Answer &get() { return *static_cast<Answer *>(memory_); }

private:
    void *memory_;
};

// Queries one after the other, and all over again, until the time is over.
Answer search_for(System &system, const Dataset &set, double seconds) {
    Answer answer;
    std::vector<int64_t> ids(set.queries() * hits_wanted, -1);
    const Stopwatch watch;
    while (answer.seconds < seconds) {
        const uint64_t query = answer.queries % set.queries();
        system.search(query, &ids[query * hits_wanted]);
        ++answer.queries;
        answer.seconds = watch.seconds();
    }
    const uint64_t asked = std::min(answer.queries, set.queries());
    answer.recall = recall_of(set, ids) * static_cast<double>(set.queries()) / static_cast<double>(asked);
    return answer;
}

int search_capped(const SetRun &run, const Entry &entry, uint32_t effort, double seconds, Answer &answer) {
    try {
        const std::unique_ptr<System> system = entry.kind.make();
        system->prepare(run.set);
        system->load_sparingly(entry.path);
        system->set_effort(effort);
        search_for(*system, run.set, seconds / 2);
        answer = search_for(*system, run.set, seconds);
        return 0;
    } catch (const std::exception &e) {
        tell(e.what());
        return 1;
    }
}

struct Cold {
    std::vector<double> milliseconds;   // of each query, opening included, sorted
    double pages = 0;                   // a query
};

constexpr uint64_t cold_queries = 30;
constexpr double cold_seconds = 20;     // enough, for those who read all of it

bool search_cold(const SetRun &run, const Entry &entry, uint32_t effort, Cold &cold, Failure &failure) {
    constexpr double page_bytes = 4096;
    const Stopwatch all;
    while (cold.milliseconds.size() < std::min(cold_queries, run.set.queries()) && all.seconds() < cold_seconds) {
        int64_t ids[hits_wanted];
        uint64_t bytes = 0;
        if (!tools::drop_cached(entry.path, failure)) return false;
        const std::unique_ptr<System> system = entry.kind.make();
        system->prepare(run.set);
        const Stopwatch watch;
        system->load_lazily(entry.path);
        system->set_effort(effort);
        system->search(cold.milliseconds.size(), ids);
        cold.milliseconds.push_back(1000 * watch.seconds());
        if (!tools::cached_bytes(entry.path, bytes, failure)) return false;
        cold.pages += static_cast<double>(bytes) / page_bytes;
    }
    cold.pages /= static_cast<double>(cold.milliseconds.size());
    std::sort(cold.milliseconds.begin(), cold.milliseconds.end());
    return true;
}

std::vector<std::string> row_of(const SetRun &run, const Entry &entry, uint64_t cap, const Settings &s) {
    if (!entry.left_out.empty()) return {entry.kind.name, "", "", "", "", "", "", "", entry.left_out};
    const auto point = std::find_if(entry.points.begin(), entry.points.end(), [&](const Point &p) { return p.recall >= s.recall; });
    if (point == entry.points.end()) return {entry.kind.name, "", "", "", "", "", "", "", "never reaches the recall"};
    SharedAnswer shared;
    const Answer &answer = shared.get();
    Failure failure;
    int code = 0;
    tell(tools::format("%s: %s, capped", run.set.name.c_str(), entry.kind.name));
    const bool ended = tools::run_capped(cap, entry.path, [&] {
        return search_capped(run, entry, point->effort, static_cast<double>(s.seconds), shared.get());
    }, code, failure);
    Cold cold;
    Failure cold_failure;
    const bool told = search_cold(run, entry, point->effort, cold, cold_failure);
    if (!told) tell(cold_failure.reason);
    const double qps = answer.seconds > 0 ? static_cast<double>(answer.queries) / answer.seconds : 0;
    return {entry.kind.name, tools::size_text(entry.file_bytes), std::to_string(point->effort), tools::format("%.4f", point->recall),
            tools::format("%.1f", point->qps), tools::format("%.1f", qps),
            told ? tools::format("%.0f", cold.pages) : "", told ? tools::format("%.1f", cold.milliseconds[cold.milliseconds.size() / 2]) : "",
            !ended ? failure.reason : code != 0 ? "failed" : tools::format("%.1f %% of its speed uncapped", 100 * qps / point->qps)};
}

bool open_run(const Settings &s, SetRun &run, Failure &failure) {
    if (!open_dataset(s.data, s.set, run.set, failure)) return false;
    for (const auto list : {learnann_systems, hnswlib_systems, usearch_systems}) {
        const SystemKind kind = list().front();
        if (("," + s.systems + ",").find("," + std::string(kind.id) + ",") == std::string::npos) continue;
        run.entries.emplace_back();
        Entry &entry = run.entries.back();
        entry.kind = kind;
        if (kind.missing != nullptr) entry.left_out = std::string(kind.missing) + " is not installed (make bench-deps installs it)";
    }
    return (!run.entries.empty() && std::string(run.entries.front().kind.id) == "learnann") ||
           tools::fail(failure, "--systems", "", "learnann is not among them", "The cap is a share of its file: name it.");
}

int capped_command(const std::vector<std::string> &arguments) {
    Settings s;
    const tools::Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;
    Failure failure;
    SetRun run;
    std::error_code ignored;
    std::filesystem::create_directories(s.cache, ignored);
    if (!open_run(s, run, failure)) return tools::report(failure);
    const RunOptions options{s.cache, false, 1};
    prepare_indexes(run, options);
    measure(run, options);
    const uint64_t cap = static_cast<uint64_t>(s.share * static_cast<double>(run.entries.front().file_bytes));
    std::vector<std::vector<std::string>> rows = {{"system", "index", "effort", "recall@10", "queries/s", "capped", "cold pages", "cold ms", ""}};
    for (const Entry &entry : run.entries) rows.push_back(row_of(run, entry, cap, s));
    return tools::finish(tools::format("%s: %s rows of %u, capped to %s\n", run.set.name.c_str(), tools::grouped(run.set.rows()).c_str(),
                                       run.set.dim(), tools::size_text(cap).c_str()) + tools::table_text(rows, "lrrrrrrrl", true));
}

} // namespace
} // namespace bench

int main(int count, char **words) { return bench::capped_command(std::vector<std::string>(words + 1, words + count)); }
