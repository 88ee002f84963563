// copies_test.cpp: rows with equal codes are set apart and hung in a tree, in which each is reached from its original and back.
#include "learn/copies.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace learnann;

namespace {

constexpr u32 stride = 32;

// Records of 32 bytes of which row r equals row r % different, but for the adjacency's offset, which doesn't count.
struct Repeated {
    std::vector<u8> records;
    Codec codec;
    CodeSpace space;

    Repeated(u32 count, u32 different) : records(count * stride) {
        testdata::Random random(7);
        for (u32 row = 0; row < count; ++row) {
            for (u32 i = 0; i < stride - 4; ++i)
                records[row * stride + i] = row < different ? static_cast<u8>(random.below(256)) : records[row % different * stride + i];
            store(&records[row * stride + stride - 4], row);
        }
        codec.record_bytes = codec.nibbles_at = codec.crumbs_at = stride;
        space = CodeSpace{&codec, records.data(), count, false};
    }
};

}  // namespace

TEST_CASE("copies: apart from the originals, each with a parent of its kind that comes first") {
    for (const u32 different : {1u, 3u, 100u, 500u}) {
        const u32 count = 500;
        const Repeated data(count, different);
        std::vector<u32> order(count);
        shuffle(order.data(), count, 3);
        const std::vector<u32> before = order;
        Array<Copy> copies;
        REQUIRE(set_copies_apart(data.space, order.data(), count, Allocator(), copies, nullptr) == LEARNANN_OK);
        REQUIRE(copies.size() == count - different);
        // The first of each kind, in their old order, are the originals.
        std::vector<u32> firsts;
        std::set<u32> seen, all;
        for (const u32 row : before)
            if (seen.insert(row % different).second) firsts.push_back(row);
        CHECK(std::vector<u32>(order.begin(), order.begin() + different) == firsts);
        std::map<u32, u32> parent_of, children;
        all.insert(firsts.begin(), firsts.end());
        for (const Copy &copy : copies) {
            CHECK(copy.parent % different == copy.row % different);
            CHECK(all.count(copy.parent) == 1);
            CHECK(all.insert(copy.row).second);
            parent_of[copy.row] = copy.parent;
            CHECK(++children[copy.parent] <= 8);
        }
        CHECK(all.size() == count);
        for (u32 row : before) {
            u32 steps = 0;
            for (; parent_of.count(row) && steps < 10; ++steps) row = parent_of[row];
            CHECK(steps < 5);       // 500 of one kind: 1 + 8 + 64 + 512
            CHECK(std::count(firsts.begin(), firsts.end(), row) == 1);
        }
    }
}

TEST_CASE("copies: links go in front, behind pinned edges, and push out the last of a full list") {
    EdgeLists edges;
    REQUIRE(edges.allocate(20, 6, Allocator(), nullptr) == LEARNANN_OK);
    for (u32 to = 1; to <= 6; ++to) edges.link(0, to);
    edges.pinned[0] = 2;
    const Copy copies[] = {{10, 0}, {11, 0}, {1, 0}};
    link_copies(edges, copies, 3);      // 1 is a neighbour already
    CHECK(edges.degrees[0] == 6);
    const u32 wanted[] = {1, 2, 11, 10, 3, 4};
    for (u32 i = 0; i < 6; ++i) CHECK(edges.of(0)[i] == wanted[i]);
    for (const Copy &copy : copies) {
        CHECK(edges.degrees[copy.row] == 1);
        CHECK(edges.of(copy.row)[0] == 0);
    }
}
