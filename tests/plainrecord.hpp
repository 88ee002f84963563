// plainrecord.hpp: a record whose code is bytes alone, for tests that don't care how rows are projected. To be included behind the codec.
#pragma once

// A codec of such records.
inline learnann::Codec plain_codec(learnann::u32 dim) {
    learnann::Codec codec;
    codec.code_dim = dim;
    codec.record_bytes = codec.nibbles_at = codec.crumbs_at = dim + learnann::record_tail;
    return codec;
}

// Codes code(0) to code(dim - 1), each in [-127, 127], and a tail with their norm.
template <class Code> inline void put_plain_record(learnann::u8 *record, learnann::u32 dim, Code code) {
    using namespace learnann;
    u32 norm = 0;
    for (u32 i = 0; i < dim; ++i) {
        const i32 c = code(i);
        record[i] = static_cast<u8>(c + 128);
        norm += static_cast<u32>(c * c);
    }
    store(record + dim, tail_of(norm, 0, 0));
}
