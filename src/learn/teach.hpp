// teach.hpp: edges and entries learned from real queries. Those ask for some rows again and again, and often come from another
// distribution than the rows: of an edge list that they walked over, what led to answers stays and the rest goes; what they missed
// is linked; and, under inner product, searches start at rows that answer many.
#pragma once

#include "learn/calibrate.hpp"

LEARNANN_BEGIN

class Teacher {
public:
    static constexpr u32 least_lessons = 1000;      // different ones; fewer teach chance
    static constexpr u32 most_lessons = 100000;     // of more, an even sample

    Teacher(const CodeSpace &space, const BuildContext &build)
        : space_(space), build_(build), lessons_(build.allocator), wanted_(build.allocator), traces_(build.allocator), expanded_(build.allocator),
          led_(build.allocator), missed_(build.allocator) {}

    // Takes those of `queries` that the holdout, made of the same, does not test with, and finds what each wants: its nearest rows,
    // by a wide walk. Queries are borrowed. lessons() is 0 afterwards where there are too few.
    Status prepare(const learnann_vectors &queries, const Holdout &holdout, const EdgeLists &edges, const EntryTable &entries,
                   learnann_error *error);
    u32 lessons() const { return static_cast<u32>(lessons_.size()); }

    // Rows that are among the first answers of many queries, each chosen for queries that those before it did not serve.
    Status choose_entries(u32 count, Array<u32> &rows, learnann_error *error) const;

    // Walks all lessons and changes the lists: of rows that `enough` of them expanded, edges that led to no answer go.
    Status teach(EdgeLists &edges, const EntryTable &entries, u32 enough, learnann_error *error);

private:
    static constexpr u32 wanted_rows = 20;
    static constexpr u32 wide = 64;                 // beam that finds what is wanted
    static constexpr u32 width = 40, horizon = 20;  // of a lesson: about what a search for a recall of 0.99 does
    static constexpr u32 hops = 64;                 // it ends after so many: rows expanded may have left the beam
    static constexpr u32 parents = 3;               // first rows of a walk, from which what it missed is linked
    static constexpr u32 batch = 1024;

    // What one lesson did.
    struct Trace {
        u32 expanded[hops];
        u64 led[hops + wanted_rows];                // edges, row << 8 | place, on a path to what is wanted
        u32 missed[wanted_rows];
        u32 expanded_count, led_count, missed_count;
    };
    // One thread's walk: a plain one, which knows of every row by which edge it was seen first, from the row from[row] at its
    // edge place[row]; from no_row where it is an entry.
    struct Walker {
        CodecScratch codec;
        Array<i8> code;
        Pool pool;
        Array<u32> seen, from;
        Array<u8> place;
        u32 walk = 0;
        u32 expanded[hops];         // the first so many
        u32 expanded_count = 0;

        Status prepare(const CodeSpace &space, const Allocator &a, learnann_error *error);
    };
    struct Missing {
        u32 count;
        u64 edge;       // from << 32 | to
        bool operator<(const Missing &o) const { return count != o.count ? count > o.count : edge < o.edge; }
    };

    bool walk(u32 lesson, const EdgeLists &edges, const EntryTable &entries, u32 beam, u32 share, u32 most, Walker &w) const;
    Status count_different(u32 &different, learnann_error *error) const;
    void trace(u32 lesson, Walker &w, Trace &out) const;
    Status note(const Trace &trace, const EdgeLists &edges, learnann_error *error);
    void drop_idle(EdgeLists &edges, u32 enough) const;
    Status link_missed(EdgeLists &edges, learnann_error *error);
    const u32 *wanted(u32 lesson) const { return wanted_.data() + static_cast<u64>(lesson) * wanted_rows; }

    const CodeSpace &space_;
    const BuildContext &build_;
    learnann_vectors queries_{};
    Array<u64> lessons_;        // places in queries_
    Array<u32> wanted_;         // lessons x wanted_rows, nearest first, no_row past the last
    Array<Trace> traces_;
    Array<u32> expanded_;       // of each row: by how many lessons
    Array<u8> led_;             // of each edge: whether it led to an answer
    Array<u64> missed_;         // edges that would have
    u64 missed_count_ = 0;
    Walker walkers_[max_threads];
};

// Bytes a row that learn_from_queries needs: the lists that are taught, their marks, counts, and each thread's walk; and bytes a query,
// up to most_lessons: what it wants and what it missed.
inline u64 teacher_bytes_a_row(u32 capacity, u32 threads) { return 5ull * capacity + 2 + 4 + 9ull * threads; }
constexpr u32 lesson_bytes = 600;

// Has a graph taught whose calibration is known, and keeps what finds as much for less, by the holdout; `lessons` is how many
// queries the graph kept was taught by, 0 where it is the one that came.
Status learn_from_queries(const CodeSpace &space, const learnann_vectors &queries, const Holdout &holdout, const Rows &rows,
                          const Array<u32> &row_of_slot, const BuildContext &build, EdgeLists &edges, EntryTable &entries,
                          Calibration &calibration, u64 &lessons, learnann_error *error);

LEARNANN_END
