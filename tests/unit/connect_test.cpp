// connect_test.cpp: bridges to what no path reaches.
#include "learn/connect.hpp"
#include "plainrecord.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

using namespace learnann;

namespace {

constexpr u32 stride = 32, dim = stride - record_tail;

// Two bunches of `half` rows, far from each other, each a ring of edges: nothing leads from one to the other. An entry in each.
struct TwoRings {
    std::vector<u8> records;
    Codec codec;
    CodeSpace space;
    EdgeLists edges;
    EntryTable entries;

    explicit TwoRings(u32 half) : records(2 * half * stride) {
        testdata::Random random(11);
        for (u32 row = 0; row < 2 * half; ++row)
            put_plain_record(&records[row * stride], dim,
                             [&](u32) { return (row < half ? 80 : -80) + static_cast<i32>(random.below(9)) - 4; });
        codec = plain_codec(dim);
        space = CodeSpace{&codec, records.data(), 2 * half, false};
        REQUIRE(edges.allocate(2 * half, 8, Allocator(), nullptr) == LEARNANN_OK);
        for (u32 row = 0; row < 2 * half; ++row) {
            const u32 first = row < half ? 0 : half;
            for (u32 step = 1; step <= 4; ++step) edges.link(row, first + (row - first + step) % half);
        }
        REQUIRE(entries.rows.allocate(2) == LEARNANN_OK);
        entries.rows[0] = 3;
        entries.rows[1] = half + 3;
        REQUIRE(entries.fill(space, nullptr) == LEARNANN_OK);
        entries.group = 2;
    }
};

}  // namespace

TEST_CASE("bridges: one leads to a bunch that the first entry does not reach, entry or not") {
    for (const u32 half : {10u, 100u}) {        // 100: a walk from there sees none that is reached
        CAPTURE(half);
        TwoRings rings(half);
        Array<Bridge> bridges;
        u32 count = 0;
        REQUIRE(bridge_gaps(rings.space, rings.edges, rings.entries, Allocator(), bridges, count, nullptr) == LEARNANN_OK);
        REQUIRE(count == 1);
        CHECK(bridges[0].from < half);
        CHECK(bridges[0].to >= half);
    }
}

TEST_CASE("bridges: from the row that has room in its list, while there is one") {
    TwoRings rings(10);
    for (u32 row = 0; row < 10; ++row)
        for (u32 step = 5; step <= 8 && row != 6; ++step) rings.edges.link(row, (row + step) % 10);
    Array<Bridge> bridges;
    u32 count = 0;
    REQUIRE(bridge_gaps(rings.space, rings.edges, rings.entries, Allocator(), bridges, count, nullptr) == LEARNANN_OK);
    REQUIRE(count == 1);
    CHECK(bridges[0].from == 6);
    for (u32 step = 5; step <= 8; ++step) rings.edges.link(6, (6 + step) % 10);
    REQUIRE(bridge_gaps(rings.space, rings.edges, rings.entries, Allocator(), bridges, count, nullptr) == LEARNANN_OK);
    CHECK(count == 1);      // all are full: one more, then
}

// A hundred rows that nothing leads to, and one of the others that is the nearest to all of them.
TEST_CASE("bridges: under inner product not from the few rows that every walk passes") {
    TwoRings rings(100);
    rings.space.inner = true;
    for (u32 row = 100; row < 200; ++row) rings.edges.degrees[row] = 0;
    Array<Bridge> bridges;
    u32 count = 0, most = 0, of[200] = {};
    REQUIRE(bridge_gaps(rings.space, rings.edges, rings.entries, Allocator(), bridges, count, nullptr) == LEARNANN_OK);
    REQUIRE(count == 100);
    for (u32 i = 0; i < count; ++i) most = larger(most, ++of[bridges[i].from]);
    CHECK(most <= 4);       // what the lists have room for
}
