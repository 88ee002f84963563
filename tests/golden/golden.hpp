// golden.hpp: what the generator of the golden files and their test agree on.
#pragma once

#include "../testdata.hpp"

namespace golden {

constexpr uint32_t queries = 6, k = 5, effort = 100;    // wide: rounding must not matter

struct Case {
    const char *name;       // of the index <name>.la and of what was found in it <name>.txt
    learnann_metric metric;
    learnann_type type;
    learnann_exact exact;
    uint32_t dim;
    bool keys;
    float radius;
    uint32_t code_bytes;    // 0: as the build chooses
    bool given = false;     // the graph, as lists() has it
};
constexpr Case cases[] = {
    {"golden_v1_l2", LEARNANN_L2, LEARNANN_F32, LEARNANN_EXACT_AUTO, 6, false, 2.0f, 0},
    {"golden_v1_ip_keys", LEARNANN_IP, LEARNANN_I8, LEARNANN_EXACT_AUTO, 5, true, -2000.0f, 0},
    {"golden_v1_levels", LEARNANN_COS, LEARNANN_U8, LEARNANN_EXACT_AUTO, 60, false, 0.9f, 32},
    {"golden_v2_i2", LEARNANN_L2, LEARNANN_F32, LEARNANN_EXACT_I2, 30, false, 20.0f, 16},
    {"golden_v3_given", LEARNANN_L2, LEARNANN_I8, LEARNANN_EXACT_AUTO, 6, false, 900.0f, 0, true},
};
// Rows that are not kept as they were given.
inline bool rough(const Case &c) { return c.exact == LEARNANN_EXACT_I2; }
inline uint32_t format_of(const Case &c) { return c.given ? 3 : rough(c) ? 2 : 1; }
constexpr uint64_t rows = 300;      // enough to be walked, not scanned

inline testdata::Rows rows_of(const Case &c) { return testdata::clustered(rows, c.dim, c.type, 95); }

constexpr uint32_t degree = 6;

// A graph that has nothing to do with the rows.
inline std::vector<uint32_t> lists() {
    std::vector<uint32_t> out;
    for (uint32_t row = 0; row < rows; ++row)
        for (uint32_t i = 0; i < degree; ++i) out.push_back((row + (1u << i)) % static_cast<uint32_t>(rows));
    return out;
}

// Whole numbers, so that every machine asks exactly the same.
inline std::vector<float> query(const Case &c, uint32_t i) {
    std::vector<float> q(c.dim);
    const int scale = c.type == LEARNANN_I8 ? 20 : 1;
    for (uint32_t j = 0; j < c.dim; ++j)
        q[j] = static_cast<float>(scale * (static_cast<int>((i * 31 + j * 17) % 5) - 2));
    return q;
}

}  // namespace golden
