// lanes.hpp: sums over floats in sixteen fixed lanes. Plain loops of a constant length, which compilers turn into whatever
// vectors they have; and, unlike the kernels' sums, the same additions in the same order on every machine: what decides how a
// search walks must not depend on the instruction set.
#pragma once

#include "base/base.hpp"

LEARNANN_BEGIN

constexpr u32 lane_count = 16;

// Calls block(begin) for each full block of lanes, then rest(i) for what is left.
template <class Block, class Rest> void in_lanes(u32 count, Block block, Rest rest) {
    u32 i = 0;
    for (; i + lane_count <= count; i += lane_count) block(i);
    for (; i < count; ++i) rest(i);
}

// The sum of term(i) for i below count.
template <class Term> float lane_sum(u32 count, Term term) {
    float sums[lane_count] = {};
    in_lanes(
        count,
        [&](u32 begin) {
            for (u32 l = 0; l < lane_count; ++l) sums[l] += term(begin + l);
        },
        [&](u32 i) { sums[i % lane_count] += term(i); });
    for (u32 half = lane_count / 2; half > 0; half /= 2)
        for (u32 l = 0; l < half; ++l) sums[l] += sums[l + half];
    return sums[0];
}

// A promise that two arrays don't overlap, without which bytes may alias anything and no loop is vectorised.
#if defined(__GNUC__)
#define LEARNANN_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define LEARNANN_RESTRICT __restrict
#else
#define LEARNANN_RESTRICT
#endif

LEARNANN_END
