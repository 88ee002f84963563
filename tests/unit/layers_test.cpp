// layers_test.cpp: the descent through the layers of a graph.
#include "learn/graph.hpp"
#include "plainrecord.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

using namespace learnann;

namespace {

constexpr u32 stride = 32, dim = stride - record_tail, rows = 60, top = 5, nodes = 20, degree = nodes - 1;

// Random rows; every third is a node of the lower of two layers, the first few of those are also nodes of the upper one. On each
// layer all nodes are neighbours.
struct Layered {
    std::vector<u8> records;
    Codec codec;
    CodeSpace space;
    EdgeLists edges;
    LayersHead head{};
    std::vector<u32> body;

    Layered() : records(rows * stride) {
        testdata::Random random(21);
        for (u32 row = 0; row < rows; ++row)
            put_plain_record(&records[row * stride], dim, [&](u32) { return static_cast<i32>(random.below(201)) - 100; });
        codec = plain_codec(dim);
        space = CodeSpace{&codec, records.data(), rows, false};
        head.count = 2;
        head.degree = degree;
        head.nodes[0] = top;
        head.nodes[1] = nodes;
        for (u32 node = 0; node < nodes; ++node) body.push_back(3 * node);
        for (const u32 size : {top, nodes})
            for (u32 node = 0; node < size; ++node) {
                body.push_back(size - 1);
                for (u32 i = 0; i < degree; ++i) body.push_back(i + 1 < size ? (node + i + 1) % size : 0);
            }
    }
    Descent<BuildGraph> descend(u32 row, u32 shown = 2) const {
        alignas(64) i8 code[max_query_bytes];
        const BuildGraph graph{&space, &edges};
        const LayersView view{head, reinterpret_cast<const u8 *>(body.data()), shown};
        return Descent<BuildGraph>(graph, space.query(row, code), view);
    }
    // The nearest to a row among the first `count` nodes.
    u32 nearest(u32 row, u32 count) const {
        alignas(64) i8 code[max_query_bytes];
        i32 estimates[nodes];
        kernels().score(space.query(row, code), records.data(), stride, body.data(), count, estimates);
        return body[static_cast<size_t>(std::min_element(estimates, estimates + count) - estimates)];
    }
};

}  // namespace

TEST_CASE("descent: to the nearest node of the lowest layer shown") {
    const Layered layered;
    for (u32 row = 0; row < rows; ++row) {
        const Descent<BuildGraph> found = layered.descend(row), upper = layered.descend(row, 1);
        CHECK(found.slot == layered.nearest(row, nodes));
        CHECK(upper.slot == layered.nearest(row, top));
        CHECK(found.distances > upper.distances);
        CHECK(upper.distances >= top);
        CHECK(found.bad_ids == 0);
    }
}

TEST_CASE("descent: what is out of range is counted and left out") {
    Layered layered;
    const size_t lower = nodes + top * (1 + degree);
    layered.body[lower + 1] = nodes;            // no node
    layered.body[lower + 2] = UINT32_MAX;
    layered.body[lower] = UINT32_MAX;           // nor so many neighbours
    layered.body[7] = rows;                     // a node that is no row
    u32 bad = 0;
    for (u32 row = 0; row < rows; ++row) {
        const Descent<BuildGraph> found = layered.descend(row);
        CHECK(found.slot < rows);
        bad += found.bad_ids;
    }
    CHECK(bad >= rows);
    layered.body[0] = rows;
    const Descent<BuildGraph> none = layered.descend(1);
    CHECK(none.slot == no_row);
    CHECK(none.bad_ids == 1);
}
