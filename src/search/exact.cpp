// exact.cpp: see exact.hpp.
#include "search/exact.hpp"

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

// Where floats overflow on the way, sums are taken anew in doubles, which hold the square of any float: rows may be any finite
// floats, and no distance may be NaN.

template <class Term> double sum_of(u32 dim, Term term) {
    double sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += term(i);
    return sum;
}

inline double element_of(u32 type, const void *row, u32 i) {
    const u8 *bytes = static_cast<const u8 *>(row);
    if (type == LEARNANN_F32) return load<float>(bytes + 4ull * i);
    if (type == LEARNANN_F16) return finite_half_to_float(load<u16>(bytes + 2ull * i));
    return type == LEARNANN_I8 ? static_cast<double>(static_cast<i8>(bytes[i])) : bytes[i];
}

void ExactQuery::measure(u32 dim) {
    sum = kernels().loops.sum(x, dim);
    norm2 = kernels().loops.square_sum(x, dim);
    if (!std::isfinite(sum)) sum = sum_of(dim, [&](u32 i) -> double { return x[i]; });
    if (!std::isfinite(norm2)) norm2 = sum_of(dim, [&](u32 i) { return static_cast<double>(x[i]) * x[i]; });
}

double element_dot(u32 type, u32 dim, const ExactQuery &query, const void *row) {
    const Kernels &k = kernels();
    if (!query.bytes) {
        const float dot = k.dot[type](query.x, row, dim);
        if (std::isfinite(dot)) return dot;
        return sum_of(dim, [&](u32 i) { return query.x[i] * element_of(type, row, i); });
    }
    const u8 *bytes = static_cast<const u8 *>(row);
    if (type == LEARNANN_U8) return k.dot_u8(query.bytes, bytes, dim);
    return static_cast<i32>(k.dot_i8(query.bytes, bytes, dim));
}

double element_l2(u32 type, u32 dim, const ExactQuery &query, const void *row) {
    const Kernels &k = kernels();
    if (!query.bytes) {
        const float l2 = k.l2[type](query.x, row, dim);
        if (std::isfinite(l2)) return l2;
        return sum_of(dim, [&](u32 i) {
            const double d = query.x[i] - element_of(type, row, i);
            return d * d;
        });
    }
    const u8 *bytes = static_cast<const u8 *>(row);
    return type == LEARNANN_U8 ? k.l2_u8(query.bytes, bytes, dim) : k.l2_i8(query.bytes, bytes, dim);
}

// The tail's, or, where that is at the end of what a float holds, by the row's elements.
inline double row_norm2(const About &a, const ExactTail &tail, const u8 *row) {
    if (tail.norm2 > 1e-35f && tail.norm2 < 2.9e38f) return tail.norm2;
    return sum_of(a.dim, [&](u32 i) {
        const double x = tail.offset + tail.scale * element_of(a.exact_type, row, i);
        return x * x;
    });
}

inline double stored_distance(const About &a, const ExactQuery &query, const u8 *row, const ExactTail &tail) {
    const double dot = tail.offset * query.sum + tail.scale * element_dot(a.exact_type, a.dim, query, row);
    if (a.metric == LEARNANN_IP) return -dot;
    const double norm2 = row_norm2(a, tail, row);
    if (a.metric == LEARNANN_L2) return larger(query.norm2 + norm2 - 2 * dot, 0.0);
    const double norms = std::sqrt(query.norm2 * norm2);
    return norms > 0 ? larger(1 - dot / norms, 0.0) : 1.0;
}

float exact_distance(const FileView &view, const ExactQuery &query, u32 slot) {
    const About &a = view.about();
    const u8 *row = view.exact_row(slot);
    const double d = a.exact_tail ? stored_distance(a, query, row, view.exact_tail(slot))
                     : a.metric == LEARNANN_L2 ? element_l2(a.exact_type, a.dim, query, row)
                                               : -element_dot(a.exact_type, a.dim, query, row);
    // Only the NaN of a damaged file gets here.
    return d == d ? static_cast<float>(d) : std::numeric_limits<float>::infinity();
}

void exact_values(const FileView &view, u32 slot, float *out) {
    const About &a = view.about();
    to_floats(view.exact_row(slot), static_cast<learnann_type>(a.exact_type), a.dim, out);
    if (!a.exact_tail) return;
    const ExactTail tail = view.exact_tail(slot);
    for (u32 i = 0; i < a.dim; ++i) out[i] = tail.offset + tail.scale * out[i];
}

LEARNANN_END
