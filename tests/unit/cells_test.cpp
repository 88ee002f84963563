// cells_test.cpp: the nearest rows by cells are those that comparing all would give: exactly where rows are few, nearly where they are many.
// The graph that is made of them leads to the nearest rows.
#include "learn/cells.hpp"
#include "learn/graph.hpp"
#include "plainrecord.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace learnann;

namespace {

// Rows in bunches, as records of 64 bytes. Some are far out, and some have much that the projection cut off.
struct Scattered {
    static constexpr u32 stride = 64, dim = stride - record_tail;
    std::vector<u8> records;
    Codec codec;
    CodeSpace space;

    Scattered(u32 count, u32 bunches, i32 spread) : records(count * stride) {
        testdata::Random random(5);
        std::vector<i32> centre(bunches * dim);
        for (i32 &c : centre) c = static_cast<i32>(random.below(121)) - 60;
        for (u32 row = 0; row < count; ++row) {
            const u32 bunch = random.below(bunches);
            const auto value = [&](u32 i) { return centre[bunch * dim + i] + static_cast<i32>(random.below(static_cast<u32>(2 * spread + 1))) - spread; };
            put_plain_record(&records[row * stride], dim, value);
            u8 *tail = &records[row * stride + dim];
            const u32 exponent = random.below(50) == 0 ? 1 + random.below(2) : 0;
            store(tail, tail_of(tail_norm(load<u32>(tail)) << 2 * exponent, exponent, random.below(32)));
        }
        codec = plain_codec(dim);
        codec.residual_unit = 3;
        codec.residual_weight = 0.5f;
        space = CodeSpace{&codec, records.data(), count, false};
    }
    // Sorted estimates of the nearest others, as Pool items have them.
    std::vector<i32> nearest(u32 row, u32 most) const {
        alignas(64) i8 code[max_query_bytes];
        std::vector<i32> estimates(space.rows);
        kernels().score(space.query(row, code), records.data(), stride, nullptr, space.rows, estimates.data());
        estimates.erase(estimates.begin() + row);
        std::sort(estimates.begin(), estimates.end());
        estimates.resize(std::min<size_t>(most, estimates.size()));
        return estimates;
    }
};

using Lists = std::map<u32, std::vector<i64>>;

Lists by_cells(const CodeSpace &space, const std::vector<u32> &rows, u32 most, u32 threads, double probes = 8) {
    BuildContext build;
    build.threads = threads;
    Cells cells(space, probes, build);
    REQUIRE(cells.divide(rows.data(), static_cast<u32>(rows.size()), static_cast<u32>(rows.size()), nullptr) == LEARNANN_OK);
    std::vector<std::vector<i64>> found(space.rows);
    std::vector<u32> times(space.rows);
    const std::vector<u8> asking(space.rows, 1);
    REQUIRE(cells.each_nearest(most, asking.data(), [&](u32, u32 row, const i64 *nearest, u32 size) {
        found[row].assign(nearest, nearest + size);
        ++times[row];
    }, nullptr) == LEARNANN_OK);
    Lists lists;
    for (const u32 row : rows) {
        REQUIRE(times[row] == 1);
        lists[row] = found[row];
    }
    return lists;
}

std::vector<u32> shuffled(u32 count) {
    std::vector<u32> rows(count);
    shuffle(rows.data(), count, 3);
    return rows;
}

}  // namespace

TEST_CASE("cells: of few rows all the nearest, in order, and never the row itself") {
    for (const u32 count : {1u, 2u, 15u, 16u, 17u, 100u, 700u}) {
        const Scattered data(count, 7, 30);
        for (const auto &list : by_cells(data.space, shuffled(count), 20, 1)) {
            const std::vector<i32> expected = data.nearest(list.first, 20);
            REQUIRE(list.second.size() == expected.size());
            const auto nearer = [](i64 a, i64 b) { return Pool::estimate_of(a) < Pool::estimate_of(b); };
            CHECK(std::is_sorted(list.second.begin(), list.second.end(), nearer));
            std::set<u32> ids{list.first};
            for (size_t i = 0; i < expected.size(); ++i) {
                CHECK(ids.insert(Pool::id_of(list.second[i])).second);
                CHECK(std::abs(Pool::estimate_of(list.second[i]) - expected[i]) <= 4);      // roundings
            }
        }
    }
}

TEST_CASE("cells: of many rows nearly all the nearest, whatever the number of threads") {
    constexpr u32 count = 12000, most = 30;
    const Scattered data(count, 60, 40);
    const std::vector<u32> rows = shuffled(count);
    const Lists lists = by_cells(data.space, rows, most, 1);
    CHECK(lists == by_cells(data.space, rows, most, 3));
    const auto found = [&](const Lists &in) {
        u32 sum = 0;
        for (u32 row = 0; row < count; row += 97) {
            const i32 farthest = data.nearest(row, most).back();
            for (const i64 item : in.at(row)) sum += Pool::estimate_of(item) <= farthest + 4;
        }
        return static_cast<double>(sum) / ((count + 96) / 97 * most);
    };
    CHECK(found(lists) > 0.9);
    CHECK(found(by_cells(data.space, rows, most, 1, 100)) > 0.98);     // few and large cells
    CHECK(found(by_cells(data.space, rows, most, 1, 0)) > 0.6);        // the least number of cells
}

TEST_CASE("cells: rows that are all equal, or all as far from each other, have their lists full") {
    constexpr u32 count = 3000, stride = 64, dim = stride - record_tail;
    for (const bool equal : {true, false}) {
        std::vector<u8> records(count * stride);
        for (u32 row = 0; row < count; ++row)
            put_plain_record(&records[row * stride], dim, [&](u32 i) { return equal || i == row % dim ? 100 : 0; });
        const Codec codec = plain_codec(dim);
        const CodeSpace space{&codec, records.data(), count, false};
        for (const auto &list : by_cells(space, shuffled(count), 52, 2)) {
            std::set<u32> ids{list.first};
            for (const i64 item : list.second) CHECK(ids.insert(Pool::id_of(item)).second);
            CHECK(ids.size() == 53);
        }
    }
}

TEST_CASE("link_all: walks find nearly all the nearest rows, whether cells tell the neighbours of all rows or only of the first") {
    constexpr u32 count = 6000, most = 10;
    const Scattered data(count, 40, 40);
    const std::vector<u32> order = shuffled(count);
    const BuildContext build;
    EntryTable entries;
    REQUIRE(choose_entries(data.space, 64, nullptr, 1, build, entries.rows, nullptr) == LEARNANN_OK);
    REQUIRE(entries.arrange(data.space, build.allocator, nullptr) == LEARNANN_OK);
    for (const u32 by_cells : {count, 1500u, 40u})
        for (const u32 thinning : {2u, 4u}) {
            GraphOptions options;
            options.beam = 52;
            options.by_cells = by_cells;
            options.thinning = thinning;
            EdgeLists edges;
            REQUIRE(edges.allocate(count, 48, build.allocator, nullptr) == LEARNANN_OK);
            GraphBuilder builder(data.space, edges, entries, options, build);
            REQUIRE(builder.link_all(order.data(), count, 64, nullptr) == LEARNANN_OK);
            u32 found = 0;
            for (u32 row = 0; row < count; ++row) {
                const std::set<u32> distinct(edges.of(row), edges.of(row) + edges.degrees[row]);
                REQUIRE(distinct.size() == edges.degrees[row]);
                REQUIRE(edges.degrees[row] >= options.least);
                REQUIRE(distinct.count(row) == 0);
                REQUIRE(*distinct.rbegin() < count);
            }
            for (u32 row = 0; row < count; row += 97) {
                alignas(64) i8 code[max_query_bytes];
                Beam beam;
                REQUIRE(beam.prepare(64, 64, count, nullptr) == LEARNANN_OK);
                beam.mark_seen(row);
                walk(BuildGraph{&data.space, &edges}, entries, data.space.query(row, code), beam);
                const i32 farthest = data.nearest(row, most).back();
                for (u32 i = 0; i < most; ++i) found += beam.pool.estimate(i) <= farthest;
            }
            CHECK(found > (count + 96) / 97 * most * 9 / 10);
        }
}
