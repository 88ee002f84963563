// refined.cpp: see refined.hpp.
#include "search/refined.hpp"

LEARNANN_BEGIN

RefinedQuery RefinedQuery::of(const Codec &codec, CodecScratch &scratch, float norm2, u8 *levels) {
    RefinedQuery q;
    q.codec = &codec;
    q.centred = scratch.centred.data();
    q.projected = scratch.y.data();
    q.norm2 = norm2;
    q.zero = !(kernels().loops.peak(scratch.x.data(), codec.dim) > 0);
    q.sum = kernels().loops.sum(q.centred, codec.dim);
    q.levels = levels;
    project_rest(codec, scratch);
    return q;
}

void refined_levels(const u8 *row, u32 dim, u32 bits, u8 *levels) {
    const u32 bytes = refined_bytes(dim, bits), top = (1u << bits) - 1;
    const u64 tops = 0x0101010101010101u * top;
    for (u32 bit = 0; bit < 8; bit += bits, levels += bytes) {
        u32 i = 0;
        for (; i + 8 <= bytes; i += 8) store(levels + i, load<u64>(row + i) >> bit & tops);
        for (; i < bytes; ++i) levels[i] = static_cast<u8>(static_cast<u32>(row[i]) >> bit & top);
    }
}

// With P the projection, c a row's code and r what is refined, <q - mean, row - mean> = <P (q - mean), c> + <q - mean, r>.
double refined_distance(const FileView &view, const RefinedQuery &query, u32 slot) {
    const About &a = view.about();
    const Codec &codec = *query.codec;
    const u32 bits = refined_bits(a.exact_type);
    const Kernels &k = kernels();
    const u8 *record = view.record(slot);
    const RefinedTail tail = view.refined_tail(slot);
    if (codec.metric == LEARNANN_COS && (query.zero || tail.scale == 0)) return 1;
    i8 code[max_code_dim];
    get_code(codec, record, code);
    refined_levels(view.exact_row(slot), a.dim, bits, query.levels);
    const double coded = k.dot[LEARNANN_I8](query.projected, code, codec.code_dim), top = (1u << bits) - 1;
    const double rest = 2.0 * k.dot[LEARNANN_U8](query.centred, query.levels, a.dim) - top * query.sum;
    const double product = code_step_of(codec, record) * coded + tail.scale * rest;
    if (codec.metric == LEARNANN_IP) return -product;
    const double square = larger(query.norm2 + tail.norm2 - 2 * product, 0.0);
    return codec.metric == LEARNANN_COS ? square / 2 : square;      // |a - b|^2 = 2 (1 - cos) for unit vectors
}

void refined_values(const FileView &view, u32 slot, float *out) {
    const Codec codec = Codec::of(view);
    const u32 d = codec.dim, bits = refined_bits(view.about().exact_type), bytes = refined_bytes(d, bits), top = (1u << bits) - 1;
    const RefinedTail tail = view.refined_tail(slot);
    const bool zero = codec.metric == LEARNANN_COS && tail.scale == 0;
    const u8 *row = view.exact_row(slot);
    for (u32 j = 0; j < d; ++j) {
        const u32 u = static_cast<u32>(row[j % bytes]) >> (j / bytes * bits) & top;
        out[j] = zero ? 0 : codec.mean[j] + tail.scale * static_cast<float>(2 * static_cast<i32>(u) - static_cast<i32>(top));
    }
    i8 code[max_code_dim] = {};
    get_code(codec, view.record(slot), code);
    const float step = code_step_of(codec, view.record(slot));
    for (u32 i = 0; i < codec.code_dim && !zero; ++i) {
        const u8 *direction = codec.matrix + static_cast<u64>(i) * projection_cols(d);
        const float length = step * codec.unit[i] * static_cast<float>(code[i]);
        for (u32 j = 0; j < d; ++j) out[j] += length * static_cast<float>(direction[j] - 128);
    }
}

LEARNANN_END
