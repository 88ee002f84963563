// A system under test, behind one small interface: build, load, search.
//
// Invariants: everything runs on the thread that calls. prepare() comes first, then build() or load(); what a search
// needs of the queries beyond that (a float copy, unit length) is made by prepare() and is not timed. Methods throw
// std::runtime_error where they fail.
#pragma once

#include "dataset.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace bench {

constexpr uint32_t graph_degree = 16, graph_beam = 200;     // M and efConstruction of every HNSW

class System {
public:
    virtual ~System() = default;

    virtual void prepare(const Dataset &set) = 0;

    // Builds, writes the index to `path`, and returns the seconds that building alone took.
    virtual double build(const std::string &path) = 0;
    virtual void load(const std::string &path) = 0;
    // As little of the index in memory as the system can do with.
    virtual void load_sparingly(const std::string &path) { load(path); }
    // As little read before the first query as the system can do with.
    virtual void load_lazily(const std::string &path) { load(path); }

    // Bytes that must lie beside the index file for load(): rows that the file does not keep.
    virtual uint64_t bytes_beside_file() const { return 0; }

    virtual void set_effort(uint32_t effort) = 0;
    virtual void search(uint64_t query, int64_t *ids) = 0;      // hits_wanted ids, -1 for none

    // Every query, ids one after the other.
    virtual void search_all(uint64_t queries, int64_t *ids) {
        for (uint64_t i = 0; i < queries; ++i) search(i, ids + i * hits_wanted);
    }

    // Distances computed since load(). Counted only while counting is on; it may be slow, so nothing is timed then.
    virtual void count(bool on) = 0;
    virtual uint64_t distances() const = 0;

    // What a reader of the figures must know, once loaded: the instruction set, the element type.
    virtual std::string note() const = 0;
};

struct SystemKind {
    const char *id;             // of --systems
    const char *name;
    const char *index;          // the id of the system whose index this one searches; its own for most
    const char *settings;       // of the build, in a form that can be part of a file name
    const char *colour;         // in the plot
    bool dashed;
    bool keep;                  // whether an index of an earlier run may be used again
    const char *missing;        // what has to be installed; nullptr where all is there
    std::vector<uint32_t> efforts;
    bool (*suits)(const Dataset &set);
    std::unique_ptr<System> (*make)();
};

// One file each: sys_*.cpp. A peer that was not there at compile time is listed as missing.
std::vector<SystemKind> learnann_systems();
std::vector<SystemKind> brute_systems();
std::vector<SystemKind> hnswlib_systems();
std::vector<SystemKind> faiss_systems();
std::vector<SystemKind> usearch_systems();

// least, least * sqrt(2), least * 2 ... up to most.
std::vector<uint32_t> geometric(uint32_t least, uint32_t most);

inline bool suits_all(const Dataset &) { return true; }

class Stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

private:
    using Clock = std::chrono::steady_clock;
    Clock::time_point begin_ = Clock::now();
};

} // namespace bench
