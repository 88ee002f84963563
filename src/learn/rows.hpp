// rows.hpp: the rows of a build as they were given, or of an index as it keeps them, read as floats or compared exactly.
#pragma once

#include "search/exact.hpp"

LEARNANN_BEGIN

struct Rows {
    learnann_vectors vectors{};
    learnann_metric metric = LEARNANN_L2;
    const float *norms = nullptr;   // |row|, at row * step
    u32 step = 1;                   // row i here is row i * step of the build: a thinned sample, for trials
    const FileView *stored = nullptr;   // the rows are the slots of this index; of `vectors` count, dim and type are theirs

    static Rows of_index(const FileView &view) {
        const About &a = view.about();
        Rows rows;
        rows.vectors.count = a.rows;
        rows.vectors.dim = a.dim;
        rows.vectors.type = static_cast<learnann_type>(a.exact_type);
        rows.metric = static_cast<learnann_metric>(a.metric);
        rows.stored = &view;
        return rows;
    }

    u32 count() const { return static_cast<u32>(vectors.count); }
    u32 dim() const { return vectors.dim; }
    const void *raw(u32 row) const { return vector_at(vectors, row); }      // not of an index's rows
    // Vectors of the same dimension, as the codec wants them: normalised under cosine. False where a value is NaN or infinite.
    static bool floats_of(const learnann_vectors &vectors, u64 i, learnann_metric metric, float *out) {
        const bool finite = to_floats(vector_at(vectors, i), vectors.type, vectors.dim, out);
        if (metric == LEARNANN_COS) normalise(out, vectors.dim);
        return finite;
    }
    // The same for a query: false as well where it is too long.
    static bool query_of(const learnann_vectors &queries, u64 i, learnann_metric metric, float *out) {
        return floats_of(queries, i, metric, out) && length_of(out, queries.dim) <= longest_vector;
    }
    bool floats(u32 row, float *out) const { return floats_of(vectors, row, metric, out); }     // not of an index's rows

    // `x` from floats_of; `bytes` has room for dim.
    ExactQuery exact_query(const float *x, u8 *bytes) const {
        ExactQuery query = ExactQuery::of(x, dim(), metric == LEARNANN_COS ? 0 : static_cast<u32>(vectors.type), bytes);
        if (stored && stored->about().exact_tail) query.measure(dim());
        return query;
    }
    // Distance by which hits are ranked; of rows not yet in an index under cosine for a query of unit length, and 1 less than
    // reported.
    float distance(const ExactQuery &query, u32 row) const {
        if (stored) return exact_distance(*stored, query, row);
        if (metric == LEARNANN_L2) return static_cast<float>(element_l2(vectors.type, dim(), query, raw(row)));
        const double dot = element_dot(vectors.type, dim(), query, raw(row));
        if (metric == LEARNANN_IP) return static_cast<float>(-dot);
        return norm(row) > 0 ? static_cast<float>(-dot / norm(row)) : 0.0f;
    }
    float norm(u32 row) const { return norms[static_cast<u64>(row) * step]; }
};

LEARNANN_END
