// rows.hpp: the rows of a build as they were given, read as floats or compared exactly.
#pragma once

#include "search/exact.hpp"

LEARNANN_BEGIN

struct Rows {
    learnann_vectors vectors{};
    learnann_metric metric = LEARNANN_L2;
    const float *norms = nullptr;   // |row|, at row * step
    u32 step = 1;                   // row i here is row i * step of the build: a thinned sample, for trials

    u32 count() const { return static_cast<u32>(vectors.count); }
    u32 dim() const { return vectors.dim; }
    const void *raw(u32 row) const { return vector_at(vectors, row); }
    // As the codec wants it: normalised under cosine. False where a value is NaN or infinite: check_rows says so first.
    bool floats(u32 row, float *out) const {
        const bool finite = to_floats(raw(row), vectors.type, vectors.dim, out);
        if (metric == LEARNANN_COS) normalise(out, vectors.dim);
        return finite;
    }
    // Distance by which hits are ranked; under cosine for a query of unit length, and 1 less than reported.
    float distance(const ExactQuery &query, u32 row) const {
        if (metric == LEARNANN_L2) return static_cast<float>(element_l2(vectors.type, dim(), query, raw(row)));
        const double dot = element_dot(vectors.type, dim(), query, raw(row));
        if (metric == LEARNANN_IP) return static_cast<float>(-dot);
        return norm(row) > 0 ? static_cast<float>(-dot / norm(row)) : 0.0f;
    }
    float norm(u32 row) const { return norms[static_cast<u64>(row) * step]; }
    u32 exact_type() const { return vectors.type; }
};

LEARNANN_END
