// code_space.hpp: where graphs are built and sample queries compared: the rows' records.
#pragma once

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

LEARNANN_END
