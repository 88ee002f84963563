// refiner.hpp: exact rows of few bits: what a row's code leaves of it, rounded (search/refined.hpp has the format and the reasons).
#pragma once

#include "search/codec.hpp"
#include "search/refined.hpp"

LEARNANN_BEGIN

// Takes some rows at a time, so that a direction of the projection is made floats once for all of them.
class Refiner {
public:
    static constexpr u32 together = 16;

    Refiner(const Codec &c, u32 b, const Allocator &a) : codec(c), bits(b), spoken(a), rest(a), directions(a), codes(a), levels(a) {}
    Status allocate(learnann_error *error);
    // What the codes of `count` rows stand for, whose records lie side by side.
    void read_codes(const u8 *records, u32 count);
    // Of row i of those read, which is `row` as the codec takes it: what is kept, to `out`. `zero`: a zero vector under cosine.
    void encode(const float *row, u32 i, bool zero, u8 *out);
    // What is then known of that row, less the mean.
    const float *known(u32 i) const { return spoken.data() + static_cast<u64>(i) * dim; }

private:
    struct Fit {
        float scale;    // that fits the levels best
        double held;    // of |rest|^2, then
    };
    Fit round(float scale);
    float fit();

    const Codec &codec;
    const u32 bits, dim = codec.dim;
    Array<float> spoken, rest, directions;      // what the codes stand for, `together` rows; what one leaves; four directions
    Array<i8> codes;                            // together x max_code_dim
    Array<u8> levels;
    float sum = 0;                              // of `rest`
};

LEARNANN_END
