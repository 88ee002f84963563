// simd.hpp: the only includer of xsimd. Uses the subset that means the same from xsimd 8.1 to 14.3, with two shims.
// Where the target has no batch type (riscv64, WebAssembly) LEARNANN_HAVE_XSIMD is 0, and scalar.cpp or wasm.cpp serves.
#pragma once

#include "base/base.hpp"

#if !defined(LEARNANN_NO_XSIMD) && (defined(__SSE2__) || defined(__ARM_NEON) || defined(_M_X64))
#define LEARNANN_HAVE_XSIMD 1
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

LEARNANN_BEGIN

template <class T> T batch_sum(const xsimd::batch<T> &b) {
#if XSIMD_VERSION_MAJOR >= 9
    return xsimd::reduce_add(b);
#else
    return xsimd::hadd(b);
#endif
}

template <class To, class From> xsimd::batch<To> batch_bits(const xsimd::batch<From> &b) {
#if XSIMD_VERSION_MAJOR >= 11
    return xsimd::bitwise_cast<To>(b);
#else
    return xsimd::bitwise_cast<xsimd::batch<To>>(b);
#endif
}

LEARNANN_END
#else
#define LEARNANN_HAVE_XSIMD 0
#endif
