// scalar.cpp: the kernels in plain C++: the fallback of every machine, and the oracle of every other table.
#include "simd/dispatch.hpp"

LEARNANN_BEGIN

namespace scalar {

inline float element(const float *row, u32 i) { return load<float>(row + i); }
inline float element(const u16 *row, u32 i) { return half_to_float(load<u16>(row + i)); }
inline float element(const i8 *row, u32 i) { return static_cast<float>(row[i]); }
inline float element(const u8 *row, u32 i) { return static_cast<float>(row[i]); }

template <class T> float dot(const float *query, const void *row, u32 dim) {
    float sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += query[i] * element(static_cast<const T *>(row), i);
    return sum;
}

template <class T> float l2(const float *query, const void *row, u32 dim) {
    float sum = 0;
    for (u32 i = 0; i < dim; ++i) {
        const float d = query[i] - element(static_cast<const T *>(row), i);
        sum += d * d;
    }
    return sum;
}

template <class T> u32 l2_bytes(const u8 *a, const u8 *b, u32 dim) {
    u32 sum = 0;
    for (u32 i = 0; i < dim; ++i) {
        const i32 d = static_cast<T>(a[i]) - static_cast<T>(b[i]);
        sum += static_cast<u32>(d * d);
    }
    return sum;
}

template <class T> u32 dot_bytes(const u8 *a, const u8 *b, u32 dim) {
    u32 sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += static_cast<u32>(static_cast<T>(a[i]) * static_cast<T>(b[i]));
    return sum;
}

inline void score(const QueryCode &query, const u8 *records, u32 stride, const u32 *ids, u32 count, i32 *estimates) {
    for (u32 i = 0; i < count; ++i) {
        const u8 *record = records + static_cast<u64>(ids ? ids[i] : i) * stride;
        i32 sum = 0;
        for (u32 j = 0; j < stride - record_tail; ++j) sum += record[j] * query.code[j];
        estimates[i] = finish_estimate(query, sum, load<u32>(record + stride - record_tail));
    }
}

inline void project(const i16 *matrix, u32 rows, u32 cols, const i16 *x, i32 *out) {
    for (u32 r = 0; r < rows; ++r) {
        i32 sum = 0;
        for (u32 c = 0; c < cols; ++c) sum += matrix[static_cast<u64>(r) * cols + c] * x[c];
        out[r] = sum;
    }
}

inline void axpy4(float *y, const float *const x[4], const float a[4], u32 n) {
    for (u32 i = 0; i < n; ++i) y[i] += a[0] * x[0][i] + a[1] * x[1][i] + a[2] * x[2][i] + a[3] * x[3][i];
}

}  // namespace scalar

const Kernels &scalar_kernels() {
    using namespace scalar;
    static const Kernels table = {"scalar",
                                  score,
                                  {nullptr, dot<float>, dot<u16>, dot<i8>, dot<u8>},
                                  {nullptr, l2<float>, l2<u16>, l2<i8>, l2<u8>},
                                  l2_bytes<u8>,
                                  l2_bytes<i8>,
                                  dot_bytes<u8>,
                                  dot_bytes<i8>,
                                  project,
                                  axpy4};
    return table;
}

LEARNANN_END
