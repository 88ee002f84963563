// cluster.hpp: where searches may start: rows near the centres of k-means clusters, or of the largest norms.
#pragma once

#include "learn/linalg.hpp"
#include "search/codec.hpp"

LEARNANN_BEGIN

constexpr u32 max_query_bytes = (query_planes + 2) * max_record_bytes;    // a CodeSpace's query of any width

// Records of all rows, and how to compare them. `inner`: by inner product, else by distance in code space.
struct CodeSpace {
    const Codec *codec = nullptr;
    const u8 *records = nullptr;
    u32 rows = 0;
    bool inner = false;

    u32 stride() const { return codec->record_bytes; }    // NOLINT(clang-analyzer-core.NullDereference): set with records
    const u8 *record(u32 row) const { return records + static_cast<u64>(row) * stride(); }
    QueryCode query(u32 row, i8 *code) const { return query_of_record(*codec, record(row), inner, code); }
    u32 tail(u32 row) const { return record_tail_of(records, stride(), row); }
    u32 norm(u32 row) const { return tail_norm(tail(row)); }
};

u32 entry_count(u32 rows);
u32 inner_entry_count(u32 rows);

// Distinct rows, at most `count`: of a sample, those nearest to the centres of Lloyd's k-means in code space. None of which `left_out`,
// where there is one, says 1: it has a byte for each row, and leaves some.
Status choose_entries(const CodeSpace &space, u32 count, const u8 *left_out, u32 threads, u64 seed, const Allocator &allocator,
                      Array<u32> &entries, learnann_error *error);

// The same for inner product: the rows of largest norm overall, and of largest norm in each cluster by angle. `angular` holds
// the rows normalised.
Status choose_inner_entries(const CodeSpace &inner, const CodeSpace &angular, u32 count, u32 threads, u64 seed,
                            const Allocator &allocator, Array<u32> &entries, learnann_error *error);

LEARNANN_END
