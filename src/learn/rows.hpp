// rows.hpp: the rows of a build as they were given, or of an index as it keeps them, read as floats or compared exactly.
//
// Rows may lie in a mapped file larger than memory. So whoever reads many of them does it through in_blocks() or each(): these ask
// for what comes next, and give back what was read, so that little of the file is in memory at a time. Other rows lie where the
// caller keeps them, and stay there.
#pragma once

#include "base/os.hpp"
#include "search/exact.hpp"

LEARNANN_BEGIN

struct Rows {
    learnann_vectors vectors{};
    learnann_metric metric = LEARNANN_L2;
    const float *norms = nullptr;   // |row|, at row * step
    u32 step = 1;                   // row i here is row i * step of the build: a thinned sample, for trials
    bool mapped = false;            // they lie in a mapped file that nobody wrote to
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

    // Every `nth` of them.
    Rows thinned(u32 nth) const {
        Rows thin = *this;
        thin.vectors.stride = nth * stride_of(vectors);
        thin.vectors.count /= nth;
        thin.step *= nth;
        return thin;
    }

    // visit(begin, end), which returns a status, for one block of rows after the other.
    template <class Visit> Status in_blocks(Visit visit) const {
        const u32 n = count(), most = static_cast<u32>(clamp<u64>(window / stride_of(vectors), 1, n));
        const u32 block = smaller(most, larger(n / 32, 256u));      // not all at once: between two there may be progress to tell
        for (u32 begin = 0; begin < n; begin += smaller(block, n - begin)) {
            const u32 end = begin + smaller(block, n - begin);
            if (mapped) expect_reads(raw(end), static_cast<u64>(smaller(block, n - end)) * stride_of(vectors));
            LEARNANN_RETURN_IF(visit(begin, end));
            if (mapped) drop(raw(begin), static_cast<u64>(end - begin) * stride_of(vectors));
        }
        return LEARNANN_OK;
    }
    // visit(i) for every i below count, which reads row row_at(i), if any. Best in ascending order.
    template <class RowAt, class Visit> void each(u32 count, RowAt row_at, Visit visit) const {
        const u64 bytes = row_bytes();
        for (u32 begin = 0; begin < count; begin += together) {
            const u32 end = smaller(begin + together, count);
            for (u32 i = begin; mapped && i < end; ++i) expect_reads(raw(row_at(i)), bytes);
            for (u32 i = begin; i < end; ++i) visit(i);
            for (u32 i = begin; mapped && i < end; ++i) drop(raw(row_at(i)), bytes);
        }
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

    static constexpr u64 window = 8u << 20;     // bytes of a block of rows
    static constexpr u32 together = 16;         // rows that each() asks for at once
    static constexpr u64 around = 2u << 20;     // with a page that is read, Linux may map those of the same 2 MiB

private:
    u64 row_bytes() const { return static_cast<u64>(dim()) * element_bytes(vectors.type); }
    // What was mapped around it as well, as far as it is of the rows.
    void drop(const void *from, u64 size) const {
        const u64 all = (vectors.count - 1) * stride_of(vectors) + row_bytes();
        const u64 at = static_cast<u64>(static_cast<const u8 *>(from) - static_cast<const u8 *>(vectors.data));
        const u64 begin = at - smaller(at, around), end = smaller(at + size + around, all);
        give_back(static_cast<const u8 *>(vectors.data) + begin, end - begin);
    }
};

LEARNANN_END
