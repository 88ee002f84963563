// build_fuzz.cpp: rows of any bits, built with any options. Refused with a reason, or an index that verifies, whose rows are
// found: nearest first, no distance NaN.
#include "../indexfile.hpp"

#include "input.hpp"
#include "require.hpp"

using testdata::Memory;
using testdata::Rows;

namespace {

// Builds of a thousand rows, the least that hold some out, and those with sample queries take long: one input in a hundred has them,
// by a sum that every change of it changes.
bool takes_long(const uint8_t *data, size_t size) { return testdata::crc32c(0, data, size) % 100 == 0; }

Rows make_rows(Input &in, bool many) {
    const uint32_t count = 1 + in.number(40);
    return Rows(many ? 1000 : count, 1 + in.number(12), static_cast<learnann_type>(1 + in.number(4)));
}

learnann_build_options make_options(Input &in) {
    learnann_build_options options = testdata::build_options(static_cast<learnann_metric>(in.number(4)), static_cast<learnann_exact>(in.number(9)));
    options.code_bytes = 16 * in.number(6);
    options.degree = in.number(2) ? 4 + in.number(125) : 0;
    options.seed = in.word();
    options.graph = static_cast<learnann_graph>(options.seed % 6);
    return options;
}

// A graph's lists and a map, asked for by the upper bits of the seed, so by few inputs.
struct Given {
    std::vector<uint32_t> lists;
    Rows map;
    learnann_vectors directions{};
};
void give(Input &in, const Rows &rows, learnann_build_options &options, Given &given) {
    const uint64_t kind = options.seed >> 24 & 7;
    if (kind == 5 || kind == 7) {
        options.graph = LEARNANN_GRAPH_GIVEN;
        options.degree = std::max(options.degree, 4u);
        given.lists.resize(rows.count * options.degree);
        in.fill(given.lists.data(), given.lists.size() * sizeof given.lists[0]);
        for (uint32_t &other : given.lists)     // one in many is no row
            if (other % 251) other = other % 7 ? other % static_cast<uint32_t>(rows.count) : UINT32_MAX;
        options.neighbours = given.lists.data();
    }
    if (kind == 6 || kind == 7) {
        given.map = Rows(1 + options.seed % 20, rows.dim, static_cast<learnann_type>(1 + (options.seed >> 8) % 4));
        in.fill(given.map.bytes.data(), given.map.bytes.size());
        for (uint64_t i = 0; i < given.map.count; ++i)      // or else most are too long
            for (uint32_t j = 0; j < rows.dim && options.seed & 64; ++j) given.map.set(i, j, std::fmod(given.map.value(i, j), 2));
        given.directions = given.map.view();
        options.spectral = LEARNANN_SPECTRAL_GIVEN;
        options.directions = &given.directions;
    }
}

void check_hits(testdata::Index &index, const Rows &rows) {
    const uint32_t k = 10, effort = static_cast<uint32_t>(rows.count);
    for (uint64_t i = 0; i < rows.count; i += 1 + rows.count / 5) {
        const std::vector<learnann_hit> hits = index.search(rows.one(i), k, effort < k ? k : effort);
        REQUIRE(index.status == LEARNANN_OK);
        REQUIRE(hits.size() == std::min<uint64_t>(k, rows.count));
        for (const learnann_hit &hit : hits) REQUIRE(hit.row < rows.count && !std::isnan(hit.distance));
        REQUIRE(testdata::in_order(hits));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > (1u << 16)) return 0;
    Input in(data, size);
    const bool large = takes_long(data, size);
    Rows rows = make_rows(in, large && in.number(2));
    learnann_build_options options = make_options(in);
    const bool keyed = in.number(2), sampled = large && rows.count < 1000;
    Rows sample(8, rows.dim, LEARNANN_F32);
    std::vector<uint64_t> keys(rows.count);
    in.fill(rows.bytes.data(), rows.bytes.size());
    in.fill(sample.bytes.data(), sample.bytes.size());
    in.fill(keys.data(), keys.size() * sizeof keys[0]);
    Given given;
    give(in, rows, options, given);
    const learnann_vectors queries = sample.view();
    if (sampled) options.queries = &queries;

    learnann_error error{};
    Memory file;
    const learnann_status status = testdata::build(rows, options, keyed ? keys.data() : nullptr, file, &error);
    if (status != LEARNANN_OK) {
        REQUIRE(status == LEARNANN_ARGUMENT && error.status == status && error.message[0]);
        return 0;
    }
    testdata::Index index(std::move(file));
    REQUIRE(index.status == LEARNANN_OK);
    if (learnann_verify(index.handle, &error) != LEARNANN_OK) std::fprintf(stderr, "%s\n", error.message);
    REQUIRE(error.status == LEARNANN_OK);
    check_hits(index, rows);
    return 0;
}
