// query.cpp: see query.hpp.
#include "search/query.hpp"

LEARNANN_BEGIN

// Up to the bytes that the matrix is multiplied with.
inline Status load_query(const FileView &view, const Codec &codec, const learnann_vectors &vectors, u64 i, Query &q, learnann_error *error) {
    const About &a = view.about();
    LEARNANN_RETURN_IF(q.codec.allocate(codec, error));
    LEARNANN_RETURN_IF(q.code.at_least(query_bytes(a.record_bytes), error));
    LEARNANN_RETURN_IF(q.bytes.at_least(refined_room(a.dim), error));
    float *x = q.codec.x.data();
    if (!to_floats(vector_at(vectors, i), vectors.type, a.dim, x))
        return fail(error, LEARNANN_ARGUMENT, "the query holds NaN or infinity", LEARNANN_AT_QUERY, i);
    q.number = i;
    const bool same_bytes = vectors.type == static_cast<learnann_type>(a.exact_type) && element_bytes(vectors.type) == 1;
    q.exact = ExactQuery::of(x, a.dim, same_bytes ? 0 : a.exact_type, q.bytes.data());
    if (same_bytes) {
        std::memcpy(q.bytes.data(), vector_at(vectors, i), a.dim);
        q.exact.bytes = q.bytes.data();
    }
    // Under cosine the projection wants the query normalised, in place: an exact query in floats then has length 1 as well.
    // One in bytes keeps the length it was given.
    const bool in_bytes = q.exact.bytes != nullptr;
    if (a.exact_tail && in_bytes) q.exact.measure(a.dim);
    if (codec.metric == LEARNANN_COS) normalise(x, a.dim);
    if (a.exact_tail && !in_bytes) q.exact.measure(a.dim);
    q.centred = centre(codec, q.codec);
    if (!(static_cast<float>(q.centred.whole) <= 4 * longest_vector * longest_vector))      // the mean may be as long as a row
        return fail(error, LEARNANN_ARGUMENT, "the query is longer than 1e18", LEARNANN_AT_QUERY, i);
    return LEARNANN_OK;
}

Status make_ready(const FileView &view, const Codec &codec, const learnann_vectors &vectors, u64 first, u32 count, Query *const *queries,
                  learnann_error *error) {
    CodecScratch *scratch[matvec_vectors] = {};
    for (u32 i = 0; i < count; ++i) {
        LEARNANN_RETURN_IF(load_query(view, codec, vectors, first + i, *queries[i], error));
        scratch[i] = &queries[i]->codec;
    }
    multiply(codec, scratch, count);
    for (u32 i = 0; i < count; ++i) {
        Query &q = *queries[i];
        const Projected p = finish_projection(codec, q.centred, q.codec.sums.data(), q.codec);
        q.encoded = encode_query(codec, p, q.code.data());
        if (!refined_bits(view.about().exact_type)) continue;
        q.refined = RefinedQuery::of(codec, q.codec, p.norm2, q.bytes.data());
        q.exact.refined = &q.refined;
    }
    return LEARNANN_OK;
}

LEARNANN_END
