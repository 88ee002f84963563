// code_quality.hpp: how well codes tell the true neighbours of the holdout.
#pragma once

#include "learn/code_space.hpp"
#include "learn/holdout.hpp"

LEARNANN_BEGIN

// Of the true 10 neighbours of the held-out queries that are among these rows, the share that the best `best` by code hold; -1
// where there are none. Records are in row order. `rows` may be a part of those that the holdout was made of.
Status measure_codes(const CodeSpace &space, const Rows &rows, const Holdout &holdout, u32 best, const BuildContext &build, float &recall,
                     learnann_error *error);

// Finds the nearest neighbours of those queries of the holdout that brute force left out, among the best few hundred by code; or, where
// these don't hold the true ones, by brute force. Records are in row order; `code_recall` is what measure_codes() told of them.
Status complete_holdout(const CodeSpace &space, const Rows &rows, float code_recall, const BuildContext &build, Holdout &holdout,
                        learnann_error *error);

// How much more a projection keeps of the squared lengths of the rows that it was fitted to than of those held out: 1 where as much.
double overfit_ratio(const CodeSpace &space, const Array<u32> &row_of_slot, const Holdout &holdout);

LEARNANN_END
