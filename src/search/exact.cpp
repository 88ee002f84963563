// exact.cpp: see exact.hpp.
#include "search/exact.hpp"

#include "search/refined.hpp"

#include <limits>

LEARNANN_BEGIN

ExactQuery ExactQuery::of(const float *x, u32 dim, u32 exact_type, u8 *bytes) {
    ExactQuery q;
    q.x = x;
    const bool is_signed = exact_type == LEARNANN_I8;
    if (!is_signed && exact_type != LEARNANN_U8) return q;
    if (kernels().loops.narrow(x, dim, is_signed ? -128.0f : 0.0f, is_signed ? 127.0f : 255.0f, bytes)) q.bytes = bytes;
    return q;
}

void ExactQuery::measure(u32 dim) {
    sum = kernels().loops.sum(x, dim);
    norm2 = kernels().loops.square_sum(x, dim);
}

double element_dot(u32 type, u32 dim, const ExactQuery &query, const void *row) {
    const Kernels &k = kernels();
    if (!query.bytes) return k.dot[type](query.x, row, dim);
    const u8 *bytes = static_cast<const u8 *>(row);
    if (type == LEARNANN_U8) return k.dot_u8(query.bytes, bytes, dim);
    return static_cast<i32>(k.dot_i8(query.bytes, bytes, dim));
}

double element_l2(u32 type, u32 dim, const ExactQuery &query, const void *row) {
    const Kernels &k = kernels();
    if (!query.bytes) return k.l2[type](query.x, row, dim);
    const u8 *bytes = static_cast<const u8 *>(row);
    return type == LEARNANN_U8 ? k.l2_u8(query.bytes, bytes, dim) : k.l2_i8(query.bytes, bytes, dim);
}

// Of rows so short that their squared norm is no normal float, element by element. The query is of any length.
inline double short_row_cosine(const FileView &view, const ExactQuery &query, u32 slot) {
    const About &a = view.about();
    const ExactTail tail = view.exact_tail(slot);
    double dot = 0, norm2 = 0;
    for (u32 i = 0; i < a.dim; ++i) {
        float element;
        const u8 *at = view.exact_row(slot) + static_cast<u64>(i) * element_bytes(static_cast<learnann_type>(a.exact_type));
        to_floats(at, static_cast<learnann_type>(a.exact_type), 1, &element);
        const double v = tail.offset + static_cast<double>(tail.scale) * element;
        const i32 whole = !query.bytes ? 0 : a.exact_type == LEARNANN_I8 ? static_cast<i8>(query.bytes[i]) : query.bytes[i];
        dot += v * (query.bytes ? static_cast<double>(whole) : static_cast<double>(query.x[i]));
        norm2 += v * v;
    }
    return norm2 > 0 && query.norm2 > 0 ? 1 - dot / std::sqrt(query.norm2 * norm2) : 1;
}

// Of rows that end in an ExactTail.
inline double tailed_distance(const FileView &view, const ExactQuery &query, u32 slot) {
    const About &a = view.about();
    const ExactTail tail = view.exact_tail(slot);
    if (a.metric == LEARNANN_COS && tail.norm2 < 1e-30f) return larger(short_row_cosine(view, query, slot), 0.0);
    const double dot = tail.offset * query.sum + tail.scale * element_dot(a.exact_type, a.dim, query, view.exact_row(slot));
    if (a.metric == LEARNANN_IP) return -dot;
    if (a.metric == LEARNANN_L2) return larger(query.norm2 + tail.norm2 - 2 * dot, 0.0);
    const double norms = std::sqrt(query.norm2 * static_cast<double>(tail.norm2));
    return norms > 0 ? larger(1 - dot / norms, 0.0) : 1.0;
}

float exact_distance(const FileView &view, const ExactQuery &query, u32 slot) {
    const About &a = view.about();
    const u8 *row = view.exact_row(slot);
    const double d = query.refined  ? refined_distance(view, *query.refined, slot)
                     : a.exact_tail ? tailed_distance(view, query, slot)
                     : a.metric == LEARNANN_L2 ? element_l2(a.exact_type, a.dim, query, row)
                                               : -element_dot(a.exact_type, a.dim, query, row);
    return d == d ? static_cast<float>(d) : std::numeric_limits<float>::infinity();     // NaN: the file is damaged
}

void exact_values(const FileView &view, u32 slot, float *out) {
    const About &a = view.about();
    if (refined_bits(a.exact_type)) return refined_values(view, slot, out);
    to_floats(view.exact_row(slot), static_cast<learnann_type>(a.exact_type), a.dim, out);
    if (!a.exact_tail) return;
    const ExactTail tail = view.exact_tail(slot);
    for (u32 i = 0; i < a.dim; ++i) out[i] = tail.offset + tail.scale * out[i];
}

LEARNANN_END
