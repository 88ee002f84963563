// querycode.hpp: queries for score() out of any bytes. To be included behind the kernels.
#pragma once

// With nibbles_at, crumbs_at and the shifts set, and query_bytes(stride) bytes of code above -128: zeroes those of them that meet
// nothing, and sets the masks, the powers and the biases.
inline void complete_query(learnann::QueryCode &q, learnann::i8 *code, learnann::u32 stride) {
    using namespace learnann;
    i32 byte_sum = 0, nibble_sum = 0, crumb_sum = 0;
    for (u32 i = 0; i < query_planes * stride; ++i) {
        const u32 j = i % stride, planes = j < q.nibbles_at ? 1 : j < q.crumbs_at ? 2 : 4;
        if (j >= stride - record_tail || i / stride >= planes) code[i] = 0;
        (planes == 1 ? byte_sum : planes == 2 ? nibble_sum : crumb_sum) += code[i];
    }
    for (u32 j = 0; j < stride; ++j) {
        const bool whole = j < q.nibbles_at, nibble = j < q.crumbs_at;
        code[query_planes * stride + j] = static_cast<i8>(whole ? 255 : nibble ? 15 : 3);
        const u32 shift = whole ? 0 : nibble ? q.nibble_shift : q.crumb_shift;
        if (j % 2 == 0) store(code + (query_planes + 1) * stride + j, static_cast<u16>(1u << shift));
    }
    q.code = code;
    q.bias = 128 * byte_sum;
    q.packed_bias = 15 * nibble_sum * (1 << q.nibble_shift) / 2 + 3 * crumb_sum * (1 << q.crumb_shift) / 2;
}
