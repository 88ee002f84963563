// beam_test.cpp: the pool against a sorted set, the table of rows seen, and what a walk tells.
#include "learn/graph.hpp"
#include "search/effort.hpp"
#include "plainrecord.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace learnann;

TEST_CASE("pool: the best `width`, sorted, without duplicates, like a set") {
    testdata::Random random(1);
    Pool pool;
    for (u32 round = 0; round < 400; ++round) {
        const u32 width = 1 + random.below(round % 10 == 0 ? 300 : 20);
        REQUIRE(pool.prepare(width, width, nullptr) == LEARNANN_OK);
        std::set<i64> all;
        std::vector<i32> estimate_of(50);       // an id has one estimate
        const i32 range = round % 3 == 0 ? 5 : 1 << 30;
        for (i32 &e : estimate_of) e = 2 * (static_cast<i32>(random.below(static_cast<u32>(range))) - range / 2);
        if (round % 4 == 0)
            estimate_of[0] = INT32_MIN, estimate_of[1] = INT32_MAX - 1, estimate_of[2] = 0, estimate_of[3] = -2;
        size_t wrong = 0;
        for (u32 i = 0; i < 200; ++i) {
            const u32 id = random.below(50);
            const i64 item = Pool::item(estimate_of[id], id);
            std::set<i64> before = all;
            if (before.size() > width) before.erase(std::next(before.begin(), width), before.end());
            const bool fits = before.size() < width || item < *before.rbegin();
            if (fits) wrong += !pool.would_keep(estimate_of[id], id);
            pool.insert(estimate_of[id], id);
            all.insert(item);
            wrong += pool.size() != smaller<size_t>(all.size(), width);
        }
        u32 at = 0;
        for (auto it = all.begin(); at < pool.size(); ++it, ++at)
            wrong +=
                Pool::item(pool.estimate(at), pool.id(at)) != *it || Pool::estimate_of(*it) != estimate_of[pool.id(at)];
        CHECK(wrong == 0);
    }
}

TEST_CASE("pool: take gives each row once, always the nearest that is left, also of those that come in between") {
    testdata::Random random(2);
    Pool pool;
    for (u32 round = 0; round < 200; ++round) {
        const u32 width = 1 + random.below(40);
        REQUIRE(pool.prepare(width, width, nullptr) == LEARNANN_OK);
        std::set<u32> taken;
        size_t wrong = 0;
        for (u32 step = 0; step < 300; ++step) {
            if (random.below(3)) {
                const u32 id = random.below(1000);
                pool.insert(static_cast<i32>(id * 7919u % 10007u) * 2, id);
                continue;
            }
            u32 nearest = no_row;
            for (u32 i = 0; i < pool.size() && nearest == no_row; ++i)
                if (!taken.count(pool.id(i))) nearest = pool.id(i);
            wrong += pool.peek() != nearest;
            const u32 id = pool.take();
            // A row that fell out and came back may be taken again: it is not in the pool's memory.
            wrong += id != nearest;
            if (id != no_row) taken.insert(id);
            std::set<u32> present;
            for (u32 i = 0; i < pool.size(); ++i) present.insert(pool.id(i));
            for (auto it = taken.begin(); it != taken.end();) it = present.count(*it) ? std::next(it) : taken.erase(it);
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("pool: wide ones keep only what may be expanded in order, and settle to what a set holds") {
    testdata::Random random(5);
    Pool pool;
    for (u32 round = 0; round < 60; ++round) {
        const u32 width = 81 + random.below(round % 3 == 0 ? 1000 : 60), horizon = random.below(width + 1), most = 2500;
        CAPTURE(width);
        CAPTURE(horizon);
        REQUIRE(pool.prepare(width, horizon, nullptr) == LEARNANN_OK);
        std::set<i64> all;
        std::set<u32> taken;
        std::vector<i64> fresh;
        const u32 range = round % 4 == 0 ? 30 : 1u << 20;
        size_t wrong = 0;
        const auto estimate_of = [&](u32 id) { return static_cast<i32>(id * 2654435761u % range) * 2; };
        while (all.size() < most - 100) {
            // Mostly new rows, as in a search; one that fell out of the front may be offered again.
            fresh.clear();
            for (u32 i = 1 + random.below(random.below(10) ? 30 : 600); i > 0; --i) {
                const u32 id = random.below(most);
                const i64 item = Pool::item(estimate_of(id), id);
                if (random.below(12) && all.count(item)) continue;
                all.insert(item);
                if (item < pool.worst()) fresh.push_back(item);
            }
            pool.insert(fresh.data(), static_cast<u32>(fresh.size()));
            u32 nearest = no_row, rank = 0;
            for (auto it = all.begin(); nearest == no_row && it != all.end() && rank < horizon; ++it, ++rank)
                if (!taken.count(Pool::id_of(*it))) nearest = Pool::id_of(*it);
            wrong += pool.take() != nearest;
            if (nearest != no_row) wrong += pool.rank() != rank - 1;
            taken.insert(nearest);
        }
        const i32 limit = round % 2 ? INT32_MAX : static_cast<i32>(random.below(range)) * 2;
        pool.settle([&](i32 estimate) { return estimate <= limit; });
        u32 at = 0;
        for (auto it = all.begin(); at < width && it != all.end(); ++it, ++at) {
            if (at >= pool.size()) wrong += Pool::estimate_of(*it) <= limit;
            else wrong += (pool.item_at(at) | 1) != (*it | 1) || !pool.holds(*it);
        }
        wrong += pool.size() > width;
        CHECK(wrong == 0);
    }
}

TEST_CASE("pool: the last row of those in order, met again, is no second one") {
    Pool pool;
    for (const u32 horizon : {0u, 16u, 32u, 100u}) {
        CAPTURE(horizon);
        REQUIRE(pool.prepare(120, horizon, nullptr) == LEARNANN_OK);
        for (u32 again = 0; again < 2; ++again)
            for (u32 id = 0; id < 200; ++id) pool.insert(static_cast<i32>(2 * id), id);
        pool.settle();
        REQUIRE(pool.size() == 120);
        for (u32 i = 0; i < pool.size(); ++i) CHECK(pool.id(i) == i);
    }
}

TEST_CASE("pool: out of memory") {
    testdata::CountingAllocator counter;
    Allocator allocator;
    allocator.hooks = counter.hooks();
    counter.fail_after(0);
    Pool pool;
    pool.use(allocator);
    learnann_error error{};
    CHECK(pool.prepare(100, 100, &error) == LEARNANN_NOMEM);
    CHECK(error.status == LEARNANN_NOMEM);
}

TEST_CASE("seen table: first true, then false for the id just added, and never a false `seen`") {
    testdata::Random random(3);
    for (const u32 rows : {10u, 100000u, 0x70000000u, 0x80000000u, 0xfffffffeu}) {
        CAPTURE(rows);
        SeenTable seen;
        size_t wrong = 0;
        for (u32 query = 0; query < 300; ++query) {
            REQUIRE(seen.prepare(query % 50 == 49 ? 5000 : 200, rows, nullptr) == LEARNANN_OK);
            std::set<u32> added;
            for (u32 i = 0; i < 300; ++i) {
                u32 id = random.below(rows);
                if (i == 0) id = 0;
                if (i == 1) id = rows - 1;
                const bool fresh = seen.add(id);
                if (!added.count(id)) wrong += !fresh;      // said to be seen, and was not: a row would be lost
                wrong += seen.add(id);                      // just added: seen
                added.insert(id);
            }
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("seen table: few ids are all remembered") {
    SeenTable seen;
    REQUIRE(seen.prepare(1024, 100000, nullptr) == LEARNANN_OK);
    u32 forgotten = 0;
    for (u32 id = 0; id < 50; ++id) CHECK(seen.add(id * 1999));
    for (u32 id = 0; id < 50; ++id) forgotten += seen.add(id * 1999);
    CHECK(forgotten <= 10);     // direct-mapped: some share a place
}

TEST_CASE("entries: the nearest of the groups with the nearest middles are started from") {
    testdata::Random random(4);
    for (const u32 count : {1u, 5u, 16u, 17u, 255u, 256u, 257u, 1000u})
        for (const u32 group : {1u, 3u, 20u, 64u, 300u, count}) {
            if (group > count) continue;
            constexpr u32 stride = 32;
            std::vector<u8> records(count * stride);
            for (u8 &b : records) b = static_cast<u8>(1 + random.below(255));
            alignas(64) i8 code[stride] = {};
            i32 sum = 0;
            for (u32 i = 0; i < stride - record_tail; ++i)
                sum += code[i] = static_cast<i8>(static_cast<i32>(random.below(255)) - 127);
            QueryCode q{};
            q.code = code;
            q.bias = 128 * sum;
            q.nibbles_at = q.crumbs_at = stride;
            q.norm_mask = ~0u;
            std::vector<i32> estimates(count);
            scalar_kernels().score(q, records.data(), stride, nullptr, count, estimates.data());
            std::vector<i64> middles, items;
            for (u32 i = 0; i < count; i += group) middles.push_back(Pool::item(estimates[i], i));
            std::sort(middles.begin(), middles.end());
            const u32 groups = static_cast<u32>(middles.size());
            u32 scanned = groups > 4 ? groups : 0;
            middles.resize(std::min<size_t>(middles.size(), 4));
            for (const i64 middle : middles)
                for (u32 i = Pool::id_of(middle); i < std::min(Pool::id_of(middle) + group, count); ++i, ++scanned)
                    items.push_back(Pool::item(estimates[i], i));
            std::sort(items.begin(), items.end());
            items.resize(std::min<size_t>(items.size(), 16));
            std::vector<i64> got;
            const EntryView entries{records.data(), stride, count, group};
            const u32 scored = EntryScan(q, entries).run([&](i32 estimate, u32 entry) { got.push_back(Pool::item(estimate, entry)); });
            CHECK(scored == scanned);
            CHECK(got == items);
        }
}

namespace {

// Rows of plain codes, each with eight edges: one to the next row, so that all are reached, and seven to any.
struct Strewn {
    static constexpr u32 rows = 400, dim = 8, stride = dim + record_tail, degree = 8;
    std::vector<u8> records = std::vector<u8>(rows * stride);
    Codec codec = plain_codec(dim);
    EdgeLists edges;
    std::vector<i8> code = std::vector<i8>(query_bytes(stride));
    CodeSpace space{&codec, records.data(), rows, false};
    BuildGraph graph{&space, &edges};
    QueryCode query;

    explicit Strewn(u64 seed) {
        testdata::Random random(seed);
        for (u32 row = 0; row < rows; ++row)
            put_plain_record(&records[row * stride], dim, [&](u32) { return static_cast<i32>(random.below(255)) - 127; });
        REQUIRE(edges.allocate(rows, degree, Allocator(), nullptr) == LEARNANN_OK);
        for (u32 row = 0; row < rows; ++row)
            for (u32 i = 0; i < degree; ++i) edges.link(row, i == 0 ? (row + 1) % rows : random.below(rows));
        query = query_of_record(codec, &records[5 * stride], false, code.data());
    }
};

}  // namespace

TEST_CASE("a walk tells each row it expands, with its place when chosen, which gets no better; the nearest in the end are all among them") {
    constexpr u32 rows = Strewn::rows, width = 40;
    const Strewn s(7);
    Beam beam;
    REQUIRE(beam.prepare(width, width, rows, nullptr) == LEARNANN_OK);
    beam.pool.insert(1 << 29, 200);
    std::vector<u32> rank_of(rows, no_row), a_step_ago(width, no_row);
    size_t wrong = 0, expanded = 0;
    while (beam.gather(s.graph, true, [&](u32 row, u32 rank) {
        wrong += rank_of[row] != no_row || (beam.pool.id(rank) != row && a_step_ago[rank] != row);
        rank_of[row] = rank;
        ++expanded;
    })) {
        for (u32 i = 0; i < beam.pool.size(); ++i) a_step_ago[i] = beam.pool.id(i);
        beam.score(s.graph, s.query, [](i32, u32) {});
    }
    CHECK(expanded == beam.counts.hops);
    CHECK(expanded > width);
    for (u32 i = 0; i < width; ++i) wrong += rank_of[beam.pool.id(i)] > i;
    CHECK(wrong == 0);
}

TEST_CASE("a walk that is to end takes in what is on its way, and nothing else") {
    constexpr u32 rows = Strewn::rows, width = 40;
    const Strewn s(8);
    Beam beam;
    u32 drained = 0;
    for (u32 steps = 0; steps < 60; ++steps) {
        CAPTURE(steps);
        REQUIRE(beam.prepare(width, width, rows, nullptr) == LEARNANN_OK);
        CHECK_FALSE(beam.gather(s.graph, false, [](u32, u32) {}));     // of the walk before, nothing is left
        beam.mark_seen(200);
        beam.pool.insert(1 << 29, 200);
        std::vector<u32> scored(rows), expanded;
        const auto step = [&](bool chooses) {
            const bool on = beam.gather(s.graph, chooses, [&](u32 row, u32) { expanded.push_back(row); });
            if (on) beam.score(s.graph, s.query, [&](i32, u32 row) { ++scored[row]; });
            return on;
        };
        for (u32 i = 0; i < steps; ++i) step(true);
        const size_t before = expanded.size();
        u32 more = 0;
        while (step(false)) ++more;
        CHECK(more <= 2);
        CHECK(expanded.size() <= before + 1);
        drained += expanded.size() > before;
        CHECK(beam.counts.hops == expanded.size());
        u32 wrong = 0, visits = 0;
        std::vector<u32> wanted(rows);
        for (const u32 row : expanded)
            for (u32 i = 0; i < s.edges.degrees[row]; ++i) wanted[s.edges.ids[row * Strewn::degree + i]] = 1;
        wanted[200] = 0;
        for (u32 row = 0; row < rows; ++row) wrong += scored[row] != wanted[row], visits += scored[row];
        CHECK(wrong == 0);
        CHECK(beam.counts.distances == visits);
        if (steps % 2) step(true);      // so that the next walk begins where one was left in its midst
    }
    CHECK(drained > 0);
}

TEST_CASE("horizon: some of a beam is expanded, and no more than it holds, whatever a file says") {
    for (const float share : {0.0f, 1e-45f, 0.35f, 1.0f})
        for (const u32 last : {0u, 1u, 40u, 0xffffffffu})
            for (const u32 width : {1u, 2u, 39u, 40u, 41u, 5000u}) {
                const u32 expanded = Horizon{share, last}.at(width);
                CHECK(expanded >= 1);
                CHECK(expanded <= width);
                if (last == 40 && width > 40) CHECK(expanded == Horizon{share, last}.at(40) + width - 40);
            }
}
