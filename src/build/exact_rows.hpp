// exact_rows.hpp: the rows as the file keeps them for reranking: as given, converted, or refining what their codes say.
#pragma once

#include "format/writer.hpp"
#include "learn/holdout.hpp"
#include "learn/scan.hpp"
#include "search/refined.hpp"

LEARNANN_BEGIN

struct ExactRows {
    const Rows *rows = nullptr;
    const u32 *row_of_slot = nullptr;
    const Codec *codec = nullptr;
    const u8 *records = nullptr;    // by slot
    u32 type = 0;           // as about.exact_type
    bool quantised = false; // float rows to bytes: with scale and offset by row
    bool tail = false;
    Allocator allocator;

    // What `wish` means for these rows.
    void choose(const Rows &source, learnann_exact wish);
    u32 stride() const { return type ? exact_stride_of(rows->dim(), type, tail) : 0; }

    // A producer for the writer: context is an ExactRows.
    static Status produce(const void *context, Sink &sink, learnann_error *error);

    // Whether what is kept ranks rows otherwise than those given would.
    bool rounds() const { return rounds_rows(type, rows->vectors.type); }
    // Of each k, the share of a held-out query's true k that stay among its k nearest by what is kept (of its nearest hundred; by
    // codes where nothing is). Codec and records are set.
    static constexpr u32 ranked_k[3] = {1, 10, 50};
    Status measure_ranking(const Holdout &holdout, const u32 *slot_of_row, float share[3], learnann_error *error) const;

    // One row as it is kept, of a kind that is not refined: its stride() bytes to `out`. Where that rounds it, `x`, of rows->dim() floats,
    // is left with the rounded values.
    void encode(u32 row, float *x, u8 *out) const;
    // ARGUMENT, with the first row at fault, where half floats are asked for and can't hold a value.
    Status check(learnann_error *error) const;

private:
    Status produce_refined(Sink &sink, learnann_error *error) const;
};

LEARNANN_END
