// cluster.hpp: where searches may start: rows near the centres of k-means clusters, or of the largest norms.
#pragma once

#include "base/parallel.hpp"
#include "learn/code_space.hpp"

LEARNANN_BEGIN

u32 entry_count(u32 rows);
u32 inner_entry_count(u32 rows);

// Distinct rows, at most `count`: of a sample, those nearest to the centres of Lloyd's k-means in code space. None of which `left_out`,
// where there is one, says 1: it has a byte for each row, and leaves some.
Status choose_entries(const CodeSpace &space, u32 count, const u8 *left_out, u64 seed, const BuildContext &build, Array<u32> &entries,
                      learnann_error *error);

// The same for inner product: the rows of largest norm overall, and of largest norm in each cluster by angle. `angular` holds
// the rows normalised.
Status choose_inner_entries(const CodeSpace &inner, const CodeSpace &angular, u32 count, u64 seed, const BuildContext &build,
                            Array<u32> &entries, learnann_error *error);

LEARNANN_END
