// calibrate.hpp: what an effort reaches, measured on the holdout.
#pragma once

#include "learn/graph.hpp"
#include "learn/holdout.hpp"
#include "search/effort.hpp"

LEARNANN_BEGIN

constexpr u32 calibration_bytes = 40000;        // of a held-out query, about, while it is calibrated

// Of the true 10 neighbours of the held-out queries that are among these rows, the share that the best `best` by code hold; -1
// where there are none. Records are in row order. `rows` may be a part of those that the holdout was made of.
Status measure_codes(const CodeSpace &space, const Rows &rows, const Holdout &holdout, u32 best, u32 threads, const Allocator &allocator, float &recall,
                     learnann_error *error);

// Finds the nearest neighbours of those queries of the holdout that brute force left out, among the best few hundred by code.
// Records are in row order.
Status complete_holdout(const CodeSpace &space, const Rows &rows, u32 threads, const Allocator &allocator, Holdout &holdout,
                        learnann_error *error);

// How much more a projection keeps of the squared lengths of the rows than of those held out: 1 where it knows the ones as well as the
// others.
double familiarity(const CodeSpace &space, const Array<u32> &row_of_slot, const Holdout &holdout);

struct Calibration {
    static constexpr u32 most = 64;
    CalibrationPoint points[most];
    u32 count = 0;
    float horizon = 1;      // see About
    double cost = 0;        // of a search, by a model: times at recall@10 of 0.95 and 0.99 multiplied; to compare graphs by
};

// Chooses the horizon, and searches as the reader will, at growing efforts. Rows of `space` are slots; row_of_slot leads back to the rows.
Status calibrate(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Rows &rows,
                 const Array<u32> &row_of_slot, const Holdout &h, u32 threads, const Allocator &allocator,
                 Calibration &calibration, learnann_error *error);

LEARNANN_END
