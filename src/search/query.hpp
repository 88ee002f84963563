// query.hpp: a query made ready: in code space for the walk, and as exact rows want it.
#pragma once

#include "search/exact.hpp"
#include "search/refined.hpp"

LEARNANN_BEGIN

struct Query {
    CodecScratch codec;
    Array<i8> code;
    Array<u8> bytes;
    Centred centred{};
    EncodedQuery encoded{};
    ExactQuery exact;
    RefinedQuery refined;
    u64 number = 0;         // among those asked

    void use(const Allocator &allocator) {
        codec.use(allocator);
        code.use(allocator);
        bytes.use(allocator);
    }
    u64 memory() const { return codec.memory() + code.bytes() + bytes.bytes(); }
};

// Makes `count` of these vectors ready, from the `first` on, at most matvec_vectors: they share the matrix's way from the second cache.
// Of several bad ones the error is about the first.
Status make_ready(const FileView &view, const Codec &codec, const learnann_vectors &vectors, u64 first, u32 count, Query *const *queries,
                  learnann_error *error);

LEARNANN_END
