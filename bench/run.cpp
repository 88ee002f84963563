// See run.hpp.
#include "run.hpp"

#include "child.hpp"

#include "../tools/system.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace bench {
namespace {

namespace fs = std::filesystem;

constexpr double perfect = 0.9995;      // two efforts as good as this end the list
constexpr uint32_t resident_effort = 80;

std::string index_path(const SetRun &run, const SystemKind &kind, const RunOptions &options) {
    return (fs::path(options.cache) / tools::format("%s-%016llx-%s-%s.index", run.set.name.c_str(),
                                                    static_cast<unsigned long long>(run.set.fingerprint), kind.index,
                                                    kind.settings)).string();
}

// The seconds of a build lie beside its index, in a file that is written last: without it the index does not count.
std::string seconds_path(const std::string &path) { return path + ".seconds"; }

bool read_seconds(const std::string &path, double &seconds) {
    std::ifstream file(seconds_path(path));
    return static_cast<bool>(file >> seconds);
}

double build_in_child(const SetRun &run, const Entry &entry) {
    std::error_code ignored;
    fs::remove(seconds_path(entry.path), ignored);
    const double seconds = in_child([&] {
        const std::unique_ptr<System> system = entry.kind.make();
        system->prepare(run.set);
        return std::vector<double>{system->build(entry.path)};
    }).at(0);
    std::ofstream(seconds_path(entry.path)) << seconds << "\n";
    return seconds;
}

// Reads every page of a mapped matrix, so that reading it again does not count as growth.
void touch(const tools::Matrix &m) {
    volatile uint8_t sink = 0;
    const uint64_t bytes = (m.rows - 1) * m.stride + m.dim;
    for (uint64_t at = 0; at < bytes; at += 4096) sink = sink + m.data[at];
}

// Bytes that a process grows by when it loads the index and answers all queries; then bytes beside the index file.
std::vector<double> memory_of(const SetRun &run, const Entry &entry) {
    return in_child([&] {
        const std::unique_ptr<System> system = entry.kind.make();
        std::vector<int64_t> ids(run.set.queries() * hits_wanted);
        system->prepare(run.set);
        touch(run.set.base.matrix);
        touch(run.set.query.matrix);
        const double before = static_cast<double>(tools::rss_bytes());
        system->load(entry.path);
        system->set_effort(resident_effort);
        system->search_all(run.set.queries(), ids.data());
        const double after = static_cast<double>(tools::rss_bytes());
        return std::vector<double>{after - before, static_cast<double>(system->bytes_beside_file())};
    });
}

// An index that two systems search is built once a run.
bool built_by(const std::vector<Entry> &entries, const Entry &entry, Entry const *&builder) {
    for (const Entry &other : entries) {
        if (&other == &entry) return false;
        builder = &other;
        if (other.path == entry.path && other.left_out.empty()) return true;
    }
    return false;
}

void prepare_index(SetRun &run, Entry &entry, const RunOptions &options) {
    entry.path = index_path(run, entry.kind, options);
    const Entry *builder = nullptr;
    if (built_by(run.entries, entry, builder)) {
        entry.build_seconds = builder->build_seconds;
        entry.built_now = builder->built_now;
    } else if (entry.kind.keep && !options.fresh && read_seconds(entry.path, entry.build_seconds)) {
        entry.built_now = false;
    } else {
        tell(tools::format("%s: building %s", run.set.name.c_str(), entry.kind.name));
        entry.build_seconds = build_in_child(run, entry);
    }
    const std::vector<double> memory = memory_of(run, entry);
    entry.resident = memory.at(0) / static_cast<double>(run.set.rows());
    entry.file_bytes = fs::file_size(entry.path) + static_cast<uint64_t>(memory.at(1));
}

// Calls `work` for an entry that is still in, and leaves it out where that throws.
template <class Work> void guarded(const SetRun &run, Entry &entry, Work work) {
    if (!entry.left_out.empty()) return;
    try {
        work();
    } catch (const std::exception &e) {
        entry.left_out = e.what();
        entry.points.clear();
        entry.system.reset();
        tell(tools::format("%s: %s is left out: %s", run.set.name.c_str(), entry.kind.name, e.what()));
    }
}

// Recall and distances of each effort, up to the second one that is as good as perfect.
void scout(const Dataset &set, Entry &entry) {
    std::vector<int64_t> ids(set.queries() * hits_wanted);
    int as_good_as_perfect = 0;
    entry.system->count(true);
    for (const uint32_t effort : entry.kind.efforts) {
        entry.system->set_effort(effort);
        const uint64_t before = entry.system->distances();
        entry.system->search_all(set.queries(), ids.data());
        Point point;
        point.effort = effort;
        point.recall = recall_of(set, ids);
        point.distances = static_cast<double>(entry.system->distances() - before) / static_cast<double>(set.queries());
        entry.points.push_back(point);
        as_good_as_perfect += point.recall >= perfect;
        if (as_good_as_perfect == 2) break;
    }
    entry.system->count(false);
}

double own_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void time_point(SetRun &run, Entry &entry, Point &point) {
    const Dataset &set = run.set;
    std::vector<int64_t> ids(set.queries() * hits_wanted);
    entry.system->set_effort(point.effort);
    // The caches were another's: a round untimed. With a few queries only, what came after another system on the same index, or
    // after one that streams all rows, was measured warmer or colder than its neighbours by half.
    entry.system->search_all(set.queries(), ids.data());
    const double own_before = own_seconds();
    const Stopwatch watch;
    entry.system->search_all(set.queries(), ids.data());
    const double seconds = watch.seconds();
    run.own_seconds += own_seconds() - own_before;
    run.timed_seconds += seconds;
    if (point.seconds == 0 || seconds < point.seconds) point.seconds = seconds;
    point.qps = static_cast<double>(set.queries()) / point.seconds;
}

void pass(SetRun &run) {
    bool more = true;
    for (size_t at = 0; more; ++at) {
        more = false;
        for (Entry &entry : run.entries) {
            if (at >= entry.points.size()) continue;
            more = true;
            guarded(run, entry, [&] { time_point(run, entry, entry.points[at]); });
        }
    }
}

} // namespace

void tell(const std::string &text) {
    std::fprintf(stderr, "%s%s%s", tools::stderr_is_terminal() ? "\r\033[K" : "", text.c_str(),
                 tools::stderr_is_terminal() ? "" : "\n");
    std::fflush(stderr);
}

std::vector<uint32_t> geometric(uint32_t least, uint32_t most) {
    std::vector<uint32_t> numbers;
    for (double number = least; number < most + 0.5; number *= std::sqrt(2.0)) {
        numbers.push_back(static_cast<uint32_t>(number + 0.5));
    }
    return numbers;
}

void prepare_indexes(SetRun &run, const RunOptions &options) {
    for (Entry &entry : run.entries) {
        guarded(run, entry, [&] { prepare_index(run, entry, options); });
    }
}

void measure(SetRun &run, const RunOptions &options) {
    for (Entry &entry : run.entries) {
        guarded(run, entry, [&] {
            tell(tools::format("%s: loading %s", run.set.name.c_str(), entry.kind.name));
            entry.system = entry.kind.make();
            entry.system->prepare(run.set);
            entry.system->load(entry.path);
            scout(run.set, entry);
            entry.note = entry.system->note();
        });
    }
    for (uint32_t i = 0; i < options.passes; ++i) {
        tell(tools::format("%s: pass %u of %u", run.set.name.c_str(), i + 1, options.passes));
        pass(run);
    }
    for (Entry &entry : run.entries) entry.system.reset();
    if (tools::stderr_is_terminal()) tell("");
}

} // namespace bench
