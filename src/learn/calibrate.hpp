// calibrate.hpp: what an effort reaches, measured on the holdout.
#pragma once

#include "learn/graph.hpp"
#include "learn/holdout.hpp"
#include "search/effort.hpp"

LEARNANN_BEGIN

constexpr u32 calibration_bytes = 30000;        // of a held-out query, about, while it is calibrated
constexpr u32 calibration_thread_bytes = (1u << 20) + 80000;    // of a thread: the rows that its widest walk has seen, and those it keeps

constexpr u32 calibrated_ks = sizeof calibrated_k / sizeof *calibrated_k;

struct Calibration {
    static constexpr u32 efforts = 25;      // tried for each k
    CalibrationPoint points[efforts * calibrated_ks];
    u32 count = 0;
    float horizon = 1;      // see About
    double cost = 0;        // of a search, by a model: times at recall@10 of 0.95 and 0.99 multiplied; to compare graphs by
};

// Chooses the horizon, and searches as the reader will, at growing efforts. Rows of `space` are slots; row_of_slot leads back to the rows.
Status calibrate(const CodeSpace &space, const EdgeLists &edges, const EntryTable &entries, const Rows &rows,
                 const Array<u32> &row_of_slot, const Holdout &h, const BuildContext &build, Calibration &calibration, learnann_error *error);

LEARNANN_END
