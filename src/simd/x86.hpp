// x86.hpp: what the x86 tables share: which instruction sets the machine has, the targets that functions are compiled for, and
// the end of a score. The tables are raw intrinsics under function-level targets: they compile without any -m flag and run only
// where cpuid and the operating system allow. xsimd can't be used under such targets.
#pragma once

#include "simd/dispatch.hpp"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__) && !defined(LEARNANN_NO_X86)
#define LEARNANN_X86 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define LEARNANN_X86 0
#endif

#if LEARNANN_X86

#define LEARNANN_SSSE3 __attribute__((target("ssse3")))
#define LEARNANN_AVX2 __attribute__((target("avx2,fma,f16c")))
#define LEARNANN_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))

LEARNANN_BEGIN

// Each includes those before it.
struct X86Features {
    bool ssse3 = false;
    bool avx2 = false;
    bool avx512 = false;
};

// cpuid leaves 1 and 7, and the registers that the system saves (XGETBV).
inline X86Features detect_x86_features() {
    X86Features found;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
    found.ssse3 = c >> 9 & 1;
    const bool saves_registers = c >> 27 & 1, avx = c >> 28 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    if (!found.ssse3 || !saves_registers || !avx || !fma || !f16c) return found;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    found.avx2 = b >> 5 & 1;
    const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1, vnni = c >> 11 & 1;
    found.avx512 = found.avx2 && (low & 0xe6) == 0xe6 && f && dq && bw && vl && vnni;
    return found;
}

// Asked once: under a hypervisor each cpuid is a trap of microseconds.
inline const X86Features &x86_features() {
    static const X86Features found = detect_x86_features();
    return found;
}

namespace x86 {

// The tails of four records.
LEARNANN_SSSE3 LEARNANN_INLINE __m128i tails4(const u8 *const r[4], u32 stride) {
    const u32 at = stride - record_tail;
    return _mm_setr_epi32(load<i32>(r[0] + at), load<i32>(r[1] + at), load<i32>(r[2] + at), load<i32>(r[3] + at));
}

// Four results, or the first of them where fewer are left.
LEARNANN_SSSE3 LEARNANN_INLINE void store4(i32 *out, __m128i four, u32 left) {
    if (left >= 4) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out), four);
        return;
    }
    alignas(16) i32 results[4];
    _mm_store_si128(reinterpret_cast<__m128i *>(results), four);
    std::memcpy(out, results, left * sizeof(i32));
}

// finish_estimate for eight or four records, from dots without the bias, with what one query brings to it; from AVX2 on.
struct Finish {
    __m128i norm_left, norm_right;
    __m256i norm_mask, offset, residual_weight, exponent;

    LEARNANN_AVX2 LEARNANN_INLINE explicit Finish(const QueryCode &q)
        : norm_left(_mm_cvtsi32_si128(static_cast<int>(q.norm_left))), norm_right(_mm_cvtsi32_si128(static_cast<int>(q.norm_right))),
          norm_mask(_mm256_set1_epi32(static_cast<i32>(q.norm_mask))), offset(_mm256_set1_epi32(q.offset)),
          residual_weight(_mm256_set1_epi32(q.residual_weight)), exponent(_mm256_set1_epi32(static_cast<i32>(q.exponent + 1))) {}

    LEARNANN_AVX2 LEARNANN_INLINE __m256i operator()(__m256i dots, __m256i tails) const {
        const __m256i norm = _mm256_srl_epi32(_mm256_sll_epi32(_mm256_srli_epi32(tails, 8), norm_left), norm_right);
        const __m256i residual =
            _mm256_srai_epi32(_mm256_mullo_epi32(_mm256_and_si256(tails, _mm256_set1_epi32(31)), residual_weight), 4);
        const __m256i exponents = _mm256_add_epi32(_mm256_and_si256(_mm256_srli_epi32(tails, 5), _mm256_set1_epi32(7)), exponent);
        const __m256i sum = _mm256_sub_epi32(_mm256_add_epi32(_mm256_and_si256(norm, norm_mask), offset), residual);
        return _mm256_sub_epi32(sum, _mm256_sllv_epi32(dots, exponents));
    }
    LEARNANN_AVX2 LEARNANN_INLINE __m128i operator()(__m128i dots, __m128i tails) const {
        return _mm256_castsi256_si128((*this)(_mm256_zextsi128_si256(dots), _mm256_zextsi128_si256(tails)));
    }
};

}  // namespace x86

LEARNANN_END

#endif
