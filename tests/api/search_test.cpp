// search_test.cpp: what searches answer, against brute force in double precision.
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>

using namespace testdata;

namespace {

const learnann_metric all_metrics[] = {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS};
const learnann_type all_types[] = {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8};

const double *row_of(const std::vector<double> &rows, uint32_t dim, size_t i) { return rows.data() + i * dim; }

// Distances of hits are those of the rows as stored; the order is right.
void check_hits(const std::vector<learnann_hit> &hits, learnann_metric metric, const std::vector<double> &stored,
                uint32_t dim, const double *q) {
    CHECK(in_order(hits));
    size_t wrong = 0;
    for (const learnann_hit &h : hits) {
        const double *x = row_of(stored, dim, h.row);
        wrong += !(std::fabs(h.distance - distance(metric, q, x, dim)) <= tolerance(metric, q, x, dim));
    }
    CHECK(wrong == 0);
}

// The mean share of the true k among k hits, every hit checked on the way.
double recall_at(Index &index, const Rows &queries, learnann_metric metric, const std::vector<double> &stored,
                 uint32_t k, uint32_t effort) {
    const std::vector<double> q = queries.doubles();
    const uint32_t dim = queries.dim;
    size_t right = 0, wanted = 0;
    for (uint64_t i = 0; i < queries.count; ++i) {
        const auto hits = index.search(queries.one(i), k, effort);
        const auto truth = ranked(metric, stored, dim, row_of(q, dim, i));
        REQUIRE(hits.size() == std::min<size_t>(k, truth.size()));
        check_hits(hits, metric, stored, dim, row_of(q, dim, i));
        const double *last = row_of(stored, dim, truth[hits.size() - 1].row);
        right += found(hits, truth, k, 0.1 * tolerance(metric, row_of(q, dim, i), last, dim));
        wanted += std::min<size_t>(k, truth.size());
    }
    return static_cast<double>(right) / static_cast<double>(wanted);
}

std::vector<uint64_t> bitmap(uint64_t bits) { return std::vector<uint64_t>((bits + 63) / 64); }
void set_bit(std::vector<uint64_t> &bits, uint64_t i) { bits[i / 64] |= 1ull << (i % 64); }

void normalise(double *x, uint32_t dim) {
    double square = 0;
    for (uint32_t i = 0; i < dim; ++i) square += x[i] * x[i];
    for (uint32_t i = 0; square > 0 && i < dim; ++i) x[i] /= std::sqrt(square);
}

int is_odd(void *, uint64_t key) { return key & 1; }
int pass_none(void *, uint64_t) { return 0; }

}  // namespace

TEST_CASE("every metric, row type and kind of exact rows finds the true neighbours and their distances") {
    const uint32_t n = SANITIZED ? 1500 : 3000, dim = 24;
    for (const learnann_type type : all_types) {
        const Rows rows = clustered(n, dim, type, 1), queries = clustered(25, dim, type, 2);
        for (const learnann_metric metric : all_metrics)
            for (unsigned exact = LEARNANN_EXACT_AUTO; exact <= LEARNANN_EXACT_U8; ++exact) {
                CAPTURE(type);
                CAPTURE(metric);
                CAPTURE(exact);
                Index index(rows, build_options(metric, static_cast<learnann_exact>(exact)));
                REQUIRE(index.status == LEARNANN_OK);
                CHECK(index.info().exact_type == (exact == LEARNANN_EXACT_AUTO ? static_cast<uint32_t>(type)
                                                                             : static_cast<uint32_t>(exact)));
                CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
                CHECK(recall_at(index, queries, metric, index.stored(), 10, 400) >= 0.99);
            }
    }
}

TEST_CASE("rows of four bits, two and one: the more the nearer to those given, and distances are those to the rows kept") {
    const uint32_t n = 3000, dim = 21;      // no whole byte of levels
    for (const learnann_type type : all_types) {
        const Rows rows = clustered(n, dim, type, 1), queries = clustered(60, dim, type, 2);
        for (const learnann_metric metric : all_metrics) {
            std::vector<double> x = rows.doubles();
            const std::vector<double> q = queries.doubles();
            for (uint64_t i = 0; metric == LEARNANN_COS && i < n; ++i) normalise(&x[i * dim], dim);     // they come back so
            double before = 0;
            for (const learnann_exact exact : refined_kinds) {
                CAPTURE(type);
                CAPTURE(metric);
                CAPTURE(exact);
                learnann_build_options options = build_options(metric, exact);
                options.code_bytes = 16;    // eight for the code: much is left to refine
                Index index(rows, options);
                REQUIRE(index.status == LEARNANN_OK);
                CHECK(index.info().exact_type == static_cast<uint32_t>(exact));
                CHECK(index.info().format_version == 2);
                CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
                const std::vector<double> stored = index.stored();
                double off = 0, worst = 0;
                size_t right = 0;
                for (size_t i = 0; i < x.size(); ++i) off += (stored[i] - x[i]) * (stored[i] - x[i]);
                CHECK(off > 2.5 * before);
                before = off;
                for (uint64_t i = 0; i < queries.count; ++i) {
                    std::vector<double> query(row_of(q, dim, i), row_of(q, dim, i) + dim);
                    if (metric == LEARNANN_COS) normalise(query.data(), dim);
                    // Under cosine, half of the squared distance.
                    const learnann_metric as = metric == LEARNANN_IP ? LEARNANN_IP : LEARNANN_L2;
                    const auto near = ranked(as, stored, dim, query.data());
                    const double half = metric == LEARNANN_COS ? 0.5 : 1, spread = half * (near[n / 2].distance - near[0].distance);
                    const auto hits = index.search(queries.one(i), 10, n);
                    REQUIRE(hits.size() == 10);
                    CHECK(in_order(hits));
                    const auto truth = ranked(as, x, dim, query.data());
                    for (const learnann_hit &h : hits) {
                        worst = std::max(worst, std::fabs(h.distance - half * distance(as, query.data(), row_of(stored, dim, h.row), dim)) / spread);
                        for (size_t j = 0; j < 10; ++j) right += truth[j].row == h.row;
                    }
                }
                CHECK(worst < 1e-4);
                const double least = exact == LEARNANN_EXACT_I4 ? 0.86 : exact == LEARNANN_EXACT_I2 ? 0.64 : 0.45;
                CHECK(static_cast<double>(right) >= least * 10 * static_cast<double>(queries.count));
            }
        }
    }
}

TEST_CASE("without exact rows the distances are estimates, near the true ones, and fetch says so") {
    const uint32_t n = 3000, dim = 24;
    for (const learnann_type type : all_types) {
        const Rows rows = clustered(n, dim, type, 1), queries = clustered(25, dim, type, 2);
        const std::vector<double> x = rows.doubles(), q = queries.doubles();
        for (const learnann_metric metric : all_metrics) {
            CAPTURE(type);
            CAPTURE(metric);
            Index index(rows, build_options(metric, LEARNANN_EXACT_NONE));
            REQUIRE(index.status == LEARNANN_OK);
            CHECK(index.info().exact_type == 0);
            size_t right = 0;
            double worst = 0;
            for (uint64_t i = 0; i < queries.count; ++i) {
                const double *query = row_of(q, dim, i);
                const auto hits = index.search(queries.one(i), 10, 400);
                REQUIRE(hits.size() == 10);
                CHECK(in_order(hits));
                const auto truth = ranked(metric, x, dim, query);
                const double spread = truth[n / 2].distance - truth[0].distance;
                for (const learnann_hit &h : hits) {
                    const double off = std::fabs(h.distance - distance(metric, query, row_of(x, dim, h.row), dim));
                    worst = std::max(worst, off / spread);
                    for (size_t j = 0; j < 10; ++j) right += truth[j].row == h.row;
                }
            }
            CHECK(static_cast<double>(right) >= 0.85 * 10 * static_cast<double>(queries.count));
            CHECK(worst < 0.06);        // the vector, the projection and the code are each rounded to a byte
            float out[dim];
            CHECK(learnann_fetch(index.handle, 0, out, dim) == LEARNANN_UNSUPPORTED);
        }
    }
}

TEST_CASE("without exact rows near ones keep their order where estimates fall below zero") {
    Rows rows(8000, 2, LEARNANN_F32), queries(50, 2, LEARNANN_F32);         // places in a hundred towns
    Random random(3);
    double towns[200];
    for (double &t : towns) t = random.uniform();
    for (Rows *some : {&rows, &queries})
        for (uint64_t i = 0; i < some->count; ++i) {
            const size_t town = random.below(100);
            for (uint32_t j = 0; j < 2; ++j) some->set(i, j, towns[2 * town + j] + 0.002 * random.gaussian());
        }
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_COS}) {
        CAPTURE(metric);
        learnann_build_options options = build_options(metric, LEARNANN_EXACT_NONE);
        options.code_bytes = 64;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        size_t held = 0, below = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            const auto hits = index.search(queries.one(i), 20, 8000);
            const auto truth = ranked(metric, x, 2, row_of(q, 2, i));
            CHECK(in_order(hits));
            for (const learnann_hit &h : hits) {
                below += !(h.distance >= 0);
                for (size_t j = 0; j < 10; ++j) held += truth[j].row == h.row;
            }
        }
        CHECK(below == 0);
        CHECK(held >= 450);
    }
}

TEST_CASE("queries of any type, of any stride and alignment") {
    const uint32_t n = 1500, dim = 9;
    const Rows rows = clustered(n, dim, LEARNANN_U8, 3), queries = clustered(20, dim, LEARNANN_U8, 4);
    for (const learnann_metric metric : all_metrics) {
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        for (uint64_t i = 0; i < queries.count; ++i) {
            const auto hits = index.search(queries.one(i), 10, 200);
            Rows f32(1, dim, LEARNANN_F32), f16(1, dim, LEARNANN_F16);    // small whole numbers: the same in every type
            for (uint32_t j = 0; j < dim; ++j) f32.set(0, j, queries.value(i, j)), f16.set(0, j, queries.value(i, j));
            CHECK(same_hits(hits, index.search(f32.one(0), 10, 200)));
            CHECK(same_hits(hits, index.search(f16.one(0), 10, 200)));
            std::vector<uint8_t> shifted(4 * dim + 1);
            std::memcpy(shifted.data() + 1, f32.bytes.data(), 4 * dim);
            CHECK(
                same_hits(hits, index.search(learnann_vectors{shifted.data() + 1, 1, 0, dim, LEARNANN_F32}, 10, 200)));
        }
    }
    // Strided rows build the same index as dense ones.
    std::vector<uint8_t> spread(n * (dim + 5ull), 77);
    for (uint64_t i = 0; i < n; ++i) std::memcpy(spread.data() + i * (dim + 5), rows.row(i), dim);
    const learnann_build_options options = build_options();
    const learnann_vectors strided{spread.data(), n, dim + 5, dim, LEARNANN_U8};
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_run(builder, &strided, nullptr, nullptr) == LEARNANN_OK);
    Memory dense, file(learnann_builder_bytes(builder));
    REQUIRE(learnann_builder_write(builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
    learnann_builder_free(builder);
    REQUIRE(build(rows, options, nullptr, dense) == LEARNANN_OK);
    CHECK(file == dense);
}

TEST_CASE("k: above the rows, and the first j hits of a larger k") {
    for (const learnann_metric metric : all_metrics) {
        for (const uint64_t n : {40u, 900u}) {
            const Rows rows = clustered(n, 6, LEARNANN_F32, 5), queries = clustered(5, 6, LEARNANN_F32, 6);
            Index index(rows, build_options(metric));
            REQUIRE(index.status == LEARNANN_OK);
            for (uint64_t i = 0; i < queries.count; ++i) {
                const auto all = index.search(queries.one(i), 1000, 10);
                CHECK(all.size() == n);
                CHECK(in_order(all));
            }
        }
        const Rows rows = clustered(3000, 12, LEARNANN_F32, 7), queries = clustered(20, 12, LEARNANN_F32, 8);
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        for (uint64_t i = 0; i < queries.count; ++i)
            for (const uint32_t effort : {100u, 300u}) {
                auto hits = index.search(queries.one(i), 100, effort);
                REQUIRE(hits.size() == 100);
                for (const uint32_t k : {10u, 1u}) {
                    const auto fewer = index.search(queries.one(i), k, effort);
                    hits.resize(k);
                    CHECK(same_hits(hits, fewer));
                }
            }
    }
}

TEST_CASE("a few hundred hits and more: those of the true order, ties by key, whichever number is asked for") {
    const uint32_t n = 1500, dim = 3;
    Rows rows(n, dim, LEARNANN_U8);
    for (uint32_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, (i * 7919u >> (3 * j)) % 7);      // many equal distances
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<double> x = rows.doubles();
    for (const uint64_t query : {3u, 700u}) {
        const auto truth = ranked(LEARNANN_L2, x, dim, row_of(x, dim, query));
        for (const uint32_t k : {1u, 100u, 255u, 256u, 257u, 1000u, n}) {
            CAPTURE(k);
            const auto hits = index.search(rows.one(query), k, n);
            REQUIRE(hits.size() == k);
            size_t wrong = 0;
            for (uint32_t i = 0; i < k; ++i) wrong += hits[i].row != truth[i].row;
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("single, interleaved and threaded searches give the same hits, and counters add up") {
    const uint32_t dim = 16, k = 7;
    const Rows rows = clustered(3000, dim, LEARNANN_F16, 9), queries = clustered(333, dim, LEARNANN_F16, 10);
    for (const learnann_metric metric : all_metrics)
        for (const bool filtered : {false, true}) {
            Index index(rows, build_options(metric));
            REQUIRE(index.status == LEARNANN_OK);
            learnann_filter filter{LEARNANN_FILTER_PREDICATE, nullptr, 0, is_odd, nullptr};
            learnann_search_options options = learnann_search_options_default();
            options.effort = 30;
            options.filter = filtered ? &filter : nullptr;
            const uint64_t count = queries.count;
            std::vector<learnann_hit> expected(count * k), hits(count * k);
            std::vector<uint32_t> expected_counts(count), counts(count);
            learnann_search_stats sum = learnann_search_stats_default();
            for (uint64_t i = 0; i < count; ++i) {
                learnann_search_stats stats = learnann_search_stats_default();
                const learnann_vectors query = queries.one(i);
                REQUIRE(learnann_search(index.handle, index.scratch, &query, k, &options, expected.data() + i * k,
                                        &expected_counts[i], &stats, nullptr) == LEARNANN_OK);
                CHECK(stats.queries == 1);
                CHECK(stats.effort == 30);
                sum.distances += stats.distances;
                sum.hops += stats.hops;
                sum.reranked += stats.reranked;
            }
            const learnann_vectors view = queries.view();
            const auto check = [&](const learnann_search_stats &stats) {
                size_t different = 0;
                for (uint64_t i = 0; i < count; ++i) {
                    const std::vector<learnann_hit> a(expected.data() + i * k,
                                                      expected.data() + i * k + expected_counts[i]);
                    const std::vector<learnann_hit> b(hits.data() + i * k, hits.data() + i * k + counts[i]);
                    different += !same_hits(a, b);
                }
                CHECK(different == 0);
                CHECK(stats.queries == count);
                CHECK(stats.distances == sum.distances);
                CHECK(stats.hops == sum.hops);
                CHECK(stats.reranked == sum.reranked);
                CHECK(stats.bad_ids == 0);
            };
            learnann_search_stats stats = learnann_search_stats_default();
            REQUIRE(learnann_search_interleaved(index.handle, index.scratch, &view, k, &options, hits.data(),
                                                counts.data(), &stats, nullptr) == LEARNANN_OK);
            check(stats);
            for (const uint32_t threads : {1u, 2u, 4u}) {
                options.threads = threads;
                std::fill(counts.begin(), counts.end(), 99u);
                REQUIRE(learnann_search_batch(index.handle, &view, k, &options, hits.data(), counts.data(), &stats,
                                              nullptr) == LEARNANN_OK);
                check(stats);
            }
        }
}

TEST_CASE("a warm scratch allocates nothing more") {
    const Rows rows = clustered(2000, 10, LEARNANN_F32, 11);
    CountingAllocator counter;
    const learnann_allocator hooks = counter.hooks();
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    learnann_open_options open = learnann_open_options_default();
    open.allocator = &hooks;
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    REQUIRE(learnann_open_memory(file.data(), file.size(), &open, &index, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK);
    learnann_search_options options = learnann_search_options_default();
    options.effort = 50;
    std::vector<learnann_hit> hits(10);
    uint32_t count = 0;
    int64_t warm = 0;
    for (uint64_t i = 0; i < 50; ++i) {
        const learnann_vectors query = rows.one(i);
        REQUIRE(learnann_search(index, scratch, &query, 10, &options, hits.data(), &count, nullptr, nullptr) ==
                LEARNANN_OK);
        if (i == 0) warm = counter.calls;
    }
    CHECK(counter.calls == warm);
    CHECK(learnann_scratch_bytes(scratch) > 0);
    CHECK(static_cast<int64_t>(learnann_scratch_bytes(scratch)) <= counter.live_bytes);
    learnann_scratch_free(scratch);
    learnann_close(index);
    CHECK(counter.live == 0);
    CHECK(counter.live_bytes == 0);
}

TEST_CASE("inner product with very unequal norms") {
    const uint32_t n = 3000, dim = 16;
    Random random(12);
    Rows rows = clustered(n, dim, LEARNANN_F32, 12);
    for (uint64_t i = 0; i < n; ++i) {
        const double scale = std::pow(10, 4 * random.uniform() - 2);    // 0.01 to 100
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, scale * rows.value(i, j));
    }
    const Rows queries = clustered(40, dim, LEARNANN_F32, 13);
    Index index(rows, build_options(LEARNANN_IP));
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(recall_at(index, queries, LEARNANN_IP, rows.doubles(), 10, 400) >= 0.99);
}

TEST_CASE("inner product of rows of one length compares as few as cosine, and finds as much") {
    const uint32_t n = 3000, dim = 24, effort = 30;
    Rows rows = clustered(n, dim, LEARNANN_F32, 14);
    for (uint64_t i = 0; i < n; ++i) {
        double length2 = 0;
        for (uint32_t j = 0; j < dim; ++j) length2 += rows.value(i, j) * rows.value(i, j);
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, 3 * rows.value(i, j) / std::sqrt(length2));
    }
    const Rows queries = clustered(30, dim, LEARNANN_F32, 15);
    double compared[2], recall[2];
    for (const learnann_metric metric : {LEARNANN_IP, LEARNANN_COS}) {
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        learnann_search_stats stats{};
        for (uint64_t i = 0; i < queries.count; ++i) index.search(queries.one(i), 10, effort, nullptr, &stats);
        const bool cosine = metric == LEARNANN_COS;
        compared[cosine] = static_cast<double>(stats.distances + stats.entry_distances);
        recall[cosine] = recall_at(index, queries, metric, rows.doubles(), 10, effort);
    }
    CHECK(recall[0] >= 0.95);
    CHECK(recall[0] >= recall[1] - 0.02);
    CHECK(compared[0] <= 1.2 * compared[1]);
}

TEST_CASE("signed bytes: negative inner products stay negative") {
    Rows rows(4, 3, LEARNANN_I8);
    const int values[4][3] = {{-100, -100, -100}, {100, 100, 100}, {1, 0, 0}, {-1, 0, 0}};
    for (uint32_t i = 0; i < 4; ++i)
        for (uint32_t j = 0; j < 3; ++j) rows.set(i, j, values[i][j]);
    Index index(rows, build_options(LEARNANN_IP));
    REQUIRE(index.status == LEARNANN_OK);
    const auto hits = index.search(rows.one(1), 4);
    REQUIRE(hits.size() == 4);
    CHECK(hits[0].row == 1);
    CHECK(hits[0].distance == -30000.0f);
    CHECK(hits[3].row == 0);
    CHECK(hits[3].distance == 30000.0f);
}

TEST_CASE("cosine with zero vectors, as rows and as queries") {
    const uint32_t n = 2000, dim = 8;
    for (const learnann_type type : all_types)
        for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_I8, LEARNANN_EXACT_I4, LEARNANN_EXACT_NONE}) {
            Rows rows = clustered(n, dim, type, 14);
            for (uint64_t i = 0; i < n; i += 100)
                for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, 0);
            Index index(rows, build_options(LEARNANN_COS, exact));
            REQUIRE(index.status == LEARNANN_OK);
            const Rows queries = clustered(20, dim, type, 15);
            if (exact != LEARNANN_EXACT_NONE && exact != LEARNANN_EXACT_I4)
                CHECK(recall_at(index, queries, LEARNANN_COS, index.stored(), 10, 400) >= 0.99);
            const Rows zero(1, dim, type);      // all zero; for u8, too
            const auto hits = index.search(zero.one(0), 10, 100);
            REQUIRE(hits.size() == 10);
            if (exact != LEARNANN_EXACT_NONE)
                for (const learnann_hit &h : hits) CHECK(h.distance == 1.0f);
        }
}

TEST_CASE("very few rows") {
    for (const learnann_metric metric : all_metrics)
        for (const learnann_type type : all_types)
            for (const uint64_t n : {1u, 2u, 3u, 5u, 17u}) {
                CAPTURE(n);
                const Rows rows = clustered(n, 5, type, 16), queries = clustered(3, 5, type, 17);
                Index index(rows, build_options(metric));
                REQUIRE(index.status == LEARNANN_OK);
                CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
                CHECK(recall_at(index, queries, metric, rows.doubles(), 10, 0) == 1.0);
            }
}

TEST_CASE("all rows equal") {
    for (const learnann_metric metric : all_metrics)
        for (const double value : {0.0, 3.0}) {
            Rows rows(500, 7, LEARNANN_F32);
            for (uint64_t i = 0; i < rows.count; ++i)
                for (uint32_t j = 0; j < rows.dim; ++j) rows.set(i, j, value);
            Index index(rows, build_options(metric));
            REQUIRE(index.status == LEARNANN_OK);
            CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
            const auto hits = index.search(rows.one(0), 20, 50);
            REQUIRE(hits.size() == 20);
            check_hits(hits, metric, rows.doubles(), rows.dim, rows.doubles().data());
            CHECK(index.search(rows.one(0), 1000, 50).size() == 500);
            // Ties are by key: where every row is seen, they are the first.
            const auto first = index.search(rows.one(0), 20, 500);
            for (uint32_t i = 0; i < 20; ++i) CHECK(first[i].key == i);
        }
}

TEST_CASE("duplicates: each comes once, ties by key") {
    const uint32_t n = 2000, dim = 6;
    Rows rows = clustered(n, dim, LEARNANN_F32, 18);
    for (uint64_t i = 0; i < n; ++i) rows.copy(i % 100, i);     // 20 of each
    for (const learnann_metric metric : all_metrics) {
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        CHECK(recall_at(index, clustered(20, dim, LEARNANN_F32, 19), metric, rows.doubles(), 20, 400) >= 0.99);
        if (metric == LEARNANN_IP) continue;
        const auto hits = index.search(rows.one(42), 20, 400);
        for (const learnann_hit &h : hits) CHECK(h.row % 100 == 42);
    }
}

TEST_CASE("one dimension, and thousands") {
    for (const learnann_metric metric : all_metrics) {
        CAPTURE(metric);
        const Rows line = clustered(2000, 1, LEARNANN_F32, 20), points = clustered(20, 1, LEARNANN_F32, 21);
        Index thin(line, build_options(metric));
        REQUIRE(thin.status == LEARNANN_OK);
        CHECK(recall_at(thin, points, metric, line.doubles(), 10, 400) >= 0.99);
    }
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_COS})
        for (const learnann_type type : {LEARNANN_F32, LEARNANN_U8}) {
            CAPTURE(metric);
            const Rows wide = clustered(300, 4096, type, 22), queries = clustered(5, 4096, type, 23);
            learnann_build_options options = build_options(metric);
            options.code_bytes = 64;
            Index index(wide, options);
            REQUIRE(index.status == LEARNANN_OK);
            CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
            CHECK(recall_at(index, queries, metric, wide.doubles(), 10, 140) >= 0.99);
        }
}

TEST_CASE("the widest vectors: bytes at their extremes") {
    const uint32_t dim = 65535;
    Rows rows(3, dim, LEARNANN_U8);
    std::fill(rows.row(1), rows.row(1) + dim, 255);
    std::fill(rows.row(2), rows.row(2) + dim, 128);
    learnann_build_options options = build_options();
    options.code_bytes = 16;
    Index index(rows, options);
    REQUIRE(index.status == LEARNANN_OK);
    const auto hits = index.search(rows.one(0), 3);
    REQUIRE(hits.size() == 3);
    CHECK(hits[0].distance == 0.0f);
    CHECK(hits[1].distance == static_cast<float>(65535.0 * 128 * 128));
    CHECK(hits[2].distance == static_cast<float>(65535.0 * 255 * 255));
}

TEST_CASE("large and tiny values") {
    const uint32_t n = 1500, dim = 8;
    for (const double scale : {1e-12, 1e-6, 1e6, 1e15}) {
        CAPTURE(scale);
        Rows rows = clustered(n, dim, LEARNANN_F32, 24), queries = clustered(20, dim, LEARNANN_F32, 25);
        for (uint64_t i = 0; i < n; ++i)
            for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, scale * rows.value(i, j));
        for (uint64_t i = 0; i < queries.count; ++i)
            for (uint32_t j = 0; j < dim; ++j) queries.set(i, j, scale * queries.value(i, j));
        for (const learnann_metric metric : all_metrics) {
            CAPTURE(metric);
            Index index(rows, build_options(metric));
            REQUIRE(index.status == LEARNANN_OK);
            const std::vector<double> x = rows.doubles(), q = queries.doubles();
            size_t right = 0;
            for (uint64_t i = 0; i < queries.count; ++i) {
                const auto hits = index.search(queries.one(i), 10, 300);
                const auto truth = ranked(metric, x, dim, row_of(q, dim, i));
                REQUIRE(hits.size() == 10);
                right += found(hits, truth, 10, 1e-5 * std::fabs(truth[9].distance));
            }
            CHECK(right >= 198);
        }
    }
}

// Clustered rows, of which rows 0, 300, ... 2,100 are moved `far` out, towards the corners.
static Rows with_outliers(uint32_t n, uint32_t dim, double far) {
    Rows rows = clustered(n, dim, LEARNANN_F32, 26);
    for (uint64_t i = 0; i < 8; ++i)
        for (uint32_t j = 0; j < dim; ++j)
            rows.set(i * 300, j, ((i >> (j % 3)) & 1 ? far : -far) + rows.value(i * 300, j));
    return rows;
}

TEST_CASE("a few far outliers don't cost the other rows their recall") {
    const uint32_t n = 3000, dim = 8;
    for (const double far : {10.0, 1000.0}) {
        CAPTURE(far);
        const Rows rows = with_outliers(n, dim, far);
        Index index(rows, build_options());
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(recall_at(index, clustered(20, dim, LEARNANN_F32, 27), LEARNANN_L2, rows.doubles(), 10, 400) >= 0.99);
    }
}

TEST_CASE("outliers are found, and so are the nearest rows of far queries") {
    const uint32_t n = 3000, dim = 8;
    for (const double far : {10.0, 1000.0}) {
        CAPTURE(far);
        const Rows rows = with_outliers(n, dim, far);
        Index index(rows, build_options());
        REQUIRE(index.status == LEARNANN_OK);
        for (uint64_t i = 0; i < 8; ++i) CHECK(index.search(rows.one(i * 300), 1, 400).at(0).row == i * 300);
        Rows queries = clustered(200, dim, LEARNANN_F32, 28);
        for (uint64_t i = 0; i < queries.count; ++i)
            for (uint32_t j = 0; j < dim; ++j) queries.set(i, j, far * queries.value(i, j));
        CHECK(recall_at(index, queries, LEARNANN_L2, rows.doubles(), 1, 400) >= 0.9);
    }
}

TEST_CASE("keys: find, key, fetch, and hits that carry them") {
    const uint32_t n = 1200, dim = 4;
    const Rows rows = clustered(n, dim, LEARNANN_F32, 29);
    std::vector<uint64_t> keys(n);
    for (uint32_t i = 0; i < n; ++i) keys[i] = (static_cast<uint64_t>(i) * 7919 % n) * 1000003 + (1ull << 40);
    keys[700] = keys[20];       // twice
    keys[3] = UINT64_MAX;
    keys[4] = 0;
    for (const bool given : {true, false}) {
        Index index(rows, build_options(), given ? keys.data() : nullptr);
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        CHECK(index.info().has_keys == (given ? 1 : 0));
        size_t wrong = 0;
        for (uint32_t i = 0; i < n; ++i) {
            const uint64_t key = given ? keys[i] : i;
            uint32_t row = 0;
            uint64_t back = 0;
            float values[dim];
            wrong += learnann_find(index.handle, key, &row) != LEARNANN_OK;
            wrong += row != (given && i == 700 ? 20 : i);
            wrong += learnann_key(index.handle, i, &back) != LEARNANN_OK || back != key;
            wrong += learnann_fetch(index.handle, key, values, dim) != LEARNANN_OK;
            for (uint32_t j = 0; j < dim; ++j) wrong += values[j] != static_cast<float>(rows.value(row, j));
        }
        CHECK(wrong == 0);
        uint32_t row = 0;
        uint64_t key = 0;
        float values[dim];
        const uint64_t absent = given ? 12345 : n;
        CHECK(learnann_find(index.handle, absent, &row) == LEARNANN_NOT_FOUND);
        CHECK(learnann_fetch(index.handle, absent, values, dim) == LEARNANN_NOT_FOUND);
        CHECK(learnann_key(index.handle, n, &key) == LEARNANN_NOT_FOUND);
        CHECK(learnann_key(index.handle, UINT32_MAX, &key) == LEARNANN_NOT_FOUND);
        CHECK(learnann_fetch(index.handle, given ? keys[0] : 0, values, dim + 1) == LEARNANN_ARGUMENT);
        for (uint64_t i = 0; i < 20; ++i)
            for (const learnann_hit &h : index.search(rows.one(i), 10, 100))
                wrong += h.key != (given ? keys[h.row] : h.row);
        CHECK(wrong == 0);
    }
}

TEST_CASE("filters of every kind and selectivity agree with brute force") {
    const uint32_t n = 3000, dim = 10, k = 10;
    const Rows rows = clustered(n, dim, LEARNANN_F32, 30), queries = clustered(10, dim, LEARNANN_F32, 31);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    std::vector<uint64_t> keys(n);
    for (uint32_t i = 0; i < n; ++i) keys[i] = (i * 1009u) % n + 50;    // a permutation, moved up by 50
    struct Accept {
        std::vector<char> by_key;
        static int call(void *context, uint64_t key) { return static_cast<Accept *>(context)->by_key.at(key); }
    };
    for (const learnann_metric metric : all_metrics)
        for (const bool given : {false, true}) {
            Index index(rows, build_options(metric), given ? keys.data() : nullptr);
            REQUIRE(index.status == LEARNANN_OK);
            for (const uint32_t passing : {0u, 3u, k, 30u, 300u, 1500u, 2990u, n}) {
                CAPTURE(metric);
                CAPTURE(given);
                CAPTURE(passing);
                std::vector<char> pass(n, 0);
                Random random(passing + 1);
                for (uint32_t left = passing; left > 0;) {
                    char &p = pass[random.below(n)];
                    left -= !p;
                    p = 1;
                }
                std::vector<uint64_t> row_bits = bitmap(n), key_bits = bitmap(n + 50);
                Accept accept{std::vector<char>(n + 50)};
                for (uint32_t i = 0; i < n; ++i) {
                    if (!pass[i]) continue;
                    const uint64_t key = given ? keys[i] : i;
                    set_bit(row_bits, i);
                    set_bit(key_bits, key);
                    accept.by_key[key] = 1;
                }
                const learnann_filter filters[] = {{LEARNANN_FILTER_ROWS, row_bits.data(), n, nullptr, nullptr},
                                                   {LEARNANN_FILTER_KEYS, key_bits.data(), n + 50, nullptr, nullptr},
                                                   {LEARNANN_FILTER_PREDICATE, nullptr, 0, Accept::call, &accept}};
                for (const learnann_filter &filter : filters) {
                    size_t right = 0, wanted = 0, outside = 0;
                    for (uint64_t i = 0; i < queries.count; ++i) {
                        const auto hits = index.search(queries.one(i), k, 100, &filter);
                        REQUIRE(index.status == LEARNANN_OK);
                        const auto truth =
                            ranked(metric, x, dim, row_of(q, dim, i), [&](uint32_t r) { return pass[r] != 0; });
                        REQUIRE(hits.size() == std::min<size_t>(k, truth.size()));
                        check_hits(hits, metric, x, dim, row_of(q, dim, i));
                        for (const learnann_hit &h : hits) outside += !pass[h.row];
                        if (truth.empty()) continue;
                        right += found(hits, truth, k, 1e-5);
                        wanted += std::min<size_t>(k, truth.size());
                    }
                    CHECK(outside == 0);
                    CHECK(static_cast<double>(right) >= 0.99 * static_cast<double>(wanted));
                }
            }
        }
}

TEST_CASE("how many rows pass a filter decides: all their exact rows, all their codes and the best exact rows, or a walk") {
    const uint32_t n = 6000, dim = 12, k = 10, effort = 20;
    const Rows rows = clustered(n, dim, LEARNANN_F32, 34), queries = clustered(40, dim, LEARNANN_F32, 35);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_NONE}) {
        Index index(rows, build_options(LEARNANN_L2, exact));
        REQUIRE(index.status == LEARNANN_OK);
        for (const uint32_t every : {150u, 10u, 1u}) {
            CAPTURE(every);
            std::vector<uint64_t> bits = bitmap(n);
            for (uint32_t row = 0; row < n; row += every) set_bit(bits, row);
            const uint32_t passing = (n + every - 1) / every;
            const learnann_filter filter{LEARNANN_FILTER_ROWS, bits.data(), n, nullptr, nullptr};
            size_t right = 0;
            for (uint64_t i = 0; i < queries.count; ++i) {
                learnann_search_options options = learnann_search_options_default();
                options.effort = effort;
                options.filter = &filter;
                learnann_search_stats stats = learnann_search_stats_default();
                std::vector<learnann_hit> hits(k);
                uint32_t count = 0;
                const learnann_vectors query = queries.one(i);
                REQUIRE(learnann_search(index.handle, index.scratch, &query, k, &options, hits.data(), &count, &stats, nullptr) == LEARNANN_OK);
                REQUIRE(count == k);
                for (const learnann_hit &h : hits) CHECK(h.row % every == 0);
                right += found(hits, ranked(LEARNANN_L2, x, dim, row_of(q, dim, i), [&](uint32_t r) { return r % every == 0; }), k, 1e-5);
                const bool few = every == 150, all = every == 1;
                CHECK(stats.scanned == !all);
                CHECK((stats.stop == LEARNANN_STOP_SCAN) == !all);
                CHECK((stats.hops > 0) == all);
                if (few) CHECK(stats.reranked == passing);
                else CHECK(stats.reranked <= (exact == LEARNANN_EXACT_NONE ? 0 : all ? effort : 4 * effort));
                if (!all) CHECK(stats.distances == (few ? 0 : passing));
                // Interleaved, the same.
                std::vector<learnann_hit> other(k);
                REQUIRE(learnann_search_interleaved(index.handle, index.scratch, &query, k, &options, other.data(), &count, nullptr, nullptr) == LEARNANN_OK);
                CHECK(same_hits(hits, other));
            }
            const double recall = static_cast<double>(right) / static_cast<double>(k * queries.count);
            CHECK(recall >= (exact == LEARNANN_EXACT_NONE ? 0.8 : every == 150 ? 1.0 : 0.95));
        }
    }
}

TEST_CASE("the recall asked for comes with filters too, with those that go with the vectors by walking wider, not by scanning all") {
    const uint32_t n = 20000, dim = 12, k = 10;
    Rows rows(n, dim, LEARNANN_F32), queries(60, dim, LEARNANN_F32);
    Random random(36);
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i)
            for (uint32_t j = 0; j < dim; ++j) r->set(i, j, random.gaussian() / (1 + j / 4.0));
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP}) {
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        uint64_t unfiltered = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            learnann_search_stats stats = learnann_search_stats_default();
            index.search(queries.one(i), k, 0, nullptr, &stats);      // 0.95
            unfiltered += stats.distances;
        }
        // All rows pass; every third; and those on one side of a plane, beyond which a third of the queries lies.
        struct {
            bool (*pass)(const double *row, uint32_t i);
            uint64_t most_distances, most_scans;
        } const filters[] = {{[](const double *, uint32_t) { return true; }, unfiltered + unfiltered / 10, 0},
                             {[](const double *, uint32_t i) { return i % 3 == 0; }, 5 * unfiltered, 0},
                             {[](const double *row, uint32_t) { return row[0] > -0.5; }, n * queries.count / 4, metric == LEARNANN_L2 ? 10u : 18u}};
        for (const auto &f : filters) {
            CAPTURE(metric);
            CAPTURE(f.most_scans);
            std::vector<uint64_t> bits = bitmap(n);
            for (uint32_t row = 0; row < n; ++row)
                if (f.pass(row_of(x, dim, row), row)) set_bit(bits, row);
            const learnann_filter filter{LEARNANN_FILTER_ROWS, bits.data(), n, nullptr, nullptr};
            uint64_t distances = 0, scans = 0;
            size_t right = 0;
            for (uint64_t i = 0; i < queries.count; ++i) {
                learnann_search_stats stats = learnann_search_stats_default();
                const auto hits = index.search(queries.one(i), k, 0, &filter, &stats);
                REQUIRE(hits.size() == k);
                distances += stats.distances;
                scans += stats.scanned;
                right += found(hits, ranked(metric, x, dim, row_of(q, dim, i), [&](uint32_t r) { return f.pass(row_of(x, dim, r), r); }), k, 1e-5);
            }
            CHECK(static_cast<double>(right) >= 0.93 * static_cast<double>(k * queries.count));
            CHECK(distances <= f.most_distances);
            CHECK(scans <= f.most_scans);
        }
    }
}

TEST_CASE("with a filter there are k hits wherever k rows pass, of rows most of which have equals too") {
    const uint32_t n = 20000, dim = 12, k = 10;
    Rows rows(n, dim, LEARNANN_U8);
    Random random(38);
    std::vector<uint64_t> bits = bitmap(n);
    for (uint32_t row = 0; row < n; ++row) {
        for (uint32_t j = 0; j < dim; ++j) rows.set(row, j, random.below(2));
        if (random.below(10) == 0) set_bit(bits, row);
    }
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const learnann_filter filter{LEARNANN_FILTER_ROWS, bits.data(), n, nullptr, nullptr};
    uint32_t fewer = 0;
    for (uint64_t i = 0; i < 200; ++i) fewer += index.search(rows.one(i), k, 0, &filter).size() < k;
    CHECK(fewer == 0);
}

TEST_CASE("filter bits beyond bit_count count as 0, and NONE is no filter") {
    const uint32_t n = 700;
    const Rows rows = clustered(n, 4, LEARNANN_F32, 32);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    std::vector<uint64_t> ones(bitmap(n).size(), ~0ull);
    for (const uint64_t bits : {0u, 1u, 63u, 64u, 65u, 200u, 699u, 700u})
        for (const learnann_filter_kind kind : {LEARNANN_FILTER_ROWS, LEARNANN_FILTER_KEYS}) {
            const learnann_filter filter{kind, bits ? ones.data() : nullptr, bits, nullptr, nullptr};
            const auto hits = index.search(rows.one(0), n, 50, &filter);
            CHECK(index.status == LEARNANN_OK);
            CHECK(hits.size() == bits);
            for (const learnann_hit &h : hits) CHECK(h.row < bits);
        }
    // More bits than rows are fine, and the words behind bit_count are not read.
    std::vector<uint64_t> many(bitmap(5000).size(), ~0ull);
    const learnann_filter wide{LEARNANN_FILTER_ROWS, many.data(), 5000, nullptr, nullptr};
    CHECK(index.search(rows.one(0), n, 50, &wide).size() == n);
    const learnann_filter none{LEARNANN_FILTER_NONE, nullptr, 0, nullptr, nullptr};
    CHECK(same_hits(index.search(rows.one(5), 10, 50, &none), index.search(rows.one(5), 10, 50)));
    const learnann_filter nobody{LEARNANN_FILTER_PREDICATE, nullptr, 0, pass_none, nullptr};
    CHECK(index.search(rows.one(5), 10, 50, &nobody).empty());
}

// Of the rows within a distance the share that is found, where `inside` of those that pass lie there; the nearest `barred` rows don't pass.
static double range_recall(const Rows &rows, const Rows &queries, uint32_t inside, uint32_t barred) {
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    double share = 0;
    for (uint64_t i = 0; i < queries.count; ++i) {
        const std::vector<Neighbour> near = ranked(LEARNANN_L2, x, rows.dim, row_of(q, rows.dim, i));
        std::vector<uint64_t> bits = bitmap(rows.count);
        for (uint64_t n = barred; n < rows.count; ++n) set_bit(bits, near[n].row);
        const learnann_filter filter{LEARNANN_FILTER_ROWS, bits.data(), rows.count, nullptr, nullptr};
        const float radius = static_cast<float>((near[barred + inside - 1].distance + near[barred + inside].distance) / 2);
        share += static_cast<double>(index.range(queries.one(i), radius, 1000, 0, barred ? &filter : nullptr).size()) / inside;
    }
    return share / static_cast<double>(queries.count);
}

TEST_CASE("a range search goes on until its beam is as wide as so many rows take") {
    CHECK(range_recall(clustered(6000, 800, LEARNANN_F32, 45, 1), clustered(20, 800, LEARNANN_F32, 46, 1), 300, 0) > 0.93);
}

TEST_CASE("a range search reaches beyond rows that don't pass its filter") {
    for (const uint32_t barred : {300u, 1500u})
        CHECK(range_recall(clustered(6000, 12, LEARNANN_F32, 45, 1), clustered(20, 12, LEARNANN_F32, 46, 1), 100, barred) > 0.93);
}

TEST_CASE("a range search whose first effort reaches more than was asked does not end there") {
    const uint32_t n = 3000, dim = 2, inside = 150;
    Random random(3);
    Rows rows(n, dim, LEARNANN_F32), queries(40, dim, LEARNANN_F32);
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i) {
            const double length = 5 * random.gaussian();
            for (uint32_t j = 0; j < dim; ++j) r->set(i, j, length + random.gaussian());
        }
    Index index(rows, build_options(LEARNANN_IP));
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    for (const float asked : {0.8f, 0.9f, 0.95f}) {
        learnann_search_options options = learnann_search_options_default();
        options.target_recall = asked;
        double got = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            const double last = ranked(LEARNANN_IP, x, dim, row_of(q, dim, i))[inside - 1].distance;
            const learnann_vectors query = queries.one(i);
            std::vector<learnann_hit> hits(n);
            uint32_t count = 0;
            REQUIRE(learnann_search_range(index.handle, index.scratch, &query, static_cast<float>(last + 1e-5 * std::fabs(last)), n, &options, hits.data(),
                                          &count, nullptr, nullptr) == LEARNANN_OK);
            got += std::min(1.0, count / static_cast<double>(inside));
        }
        CAPTURE(asked);
        CHECK(got / static_cast<double>(queries.count) > 0.9);
    }
}

TEST_CASE("range searches against brute force, with and without a limit or a filter") {
    const uint32_t n = 3000, dim = 10;
    const Rows rows = clustered(n, dim, LEARNANN_F32, 33), queries = clustered(10, dim, LEARNANN_F32, 34);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    const learnann_filter odd{LEARNANN_FILTER_PREDICATE, nullptr, 0, is_odd, nullptr};
    for (const learnann_metric metric : all_metrics) {
        Index index(rows, build_options(metric));
        REQUIRE(index.status == LEARNANN_OK);
        for (const learnann_filter *filter : {static_cast<const learnann_filter *>(nullptr), &odd})
            for (const size_t depth : {0u, 1u, 5u, 40u, 400u, 1400u}) {
                CAPTURE(metric);
                CAPTURE(depth);
                size_t right = 0, wanted = 0;
                for (uint64_t i = 0; i < queries.count; ++i) {
                    const auto truth =
                        ranked(metric, x, dim, row_of(q, dim, i), [&](uint32_t r) { return !filter || (r & 1); });
                    const double nearest = truth[0].distance, slack = 1e-5;
                    // Between two distances, so that rounding doesn't matter.
                    const double radius = depth ? (truth[depth - 1].distance + truth[depth].distance) / 2
                                                : nearest - 0.1 * std::fabs(nearest);
                    const auto hits = index.range(queries.one(i), static_cast<float>(radius), n, 0, filter);
                    REQUIRE(index.status == LEARNANN_OK);
                    check_hits(hits, metric, x, dim, row_of(q, dim, i));
                    size_t outside = 0;
                    for (const learnann_hit &h : hits)
                        outside += h.distance > radius + slack || (filter && !(h.row & 1));
                    CHECK(outside == 0);
                    CHECK(hits.size() <= depth + 1);
                    right += std::min(hits.size(), depth);
                    wanted += depth;

                    const uint32_t limit = 7;
                    const auto limited = index.range(queries.one(i), static_cast<float>(radius), limit, 100, filter);
                    CHECK(limited.size() <= limit);
                    check_hits(limited, metric, x, dim, row_of(q, dim, i));
                    if (depth >= 40) CHECK(found(limited, truth, limit, slack) >= limit - 1);
                }
                CHECK(static_cast<double>(right) >= 0.98 * static_cast<double>(wanted));
            }
        // Everything, and nothing.
        CHECK(index.range(queries.one(0), std::numeric_limits<float>::infinity(), n).size() == n);
        CHECK(index.range(queries.one(0), -std::numeric_limits<float>::infinity(), n).empty());
        index.range(queries.one(0), std::numeric_limits<float>::quiet_NaN(), 5);
        CHECK(index.status == LEARNANN_ARGUMENT);
    }
}

namespace {

// Of the true k of each query, the share found when that recall is asked for; and with what effort.
double recall_got(const Index &index, const Rows &rows, const Rows &queries, float asked, uint32_t &effort, uint32_t k = 10) {
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    learnann_search_options options = learnann_search_options_default();
    options.target_recall = asked;
    learnann_search_stats stats = learnann_search_stats_default();
    size_t right = 0;
    for (uint64_t i = 0; i < queries.count; ++i) {
        std::vector<learnann_hit> hits(k);
        uint32_t count = 0;
        const learnann_vectors query = queries.one(i);
        REQUIRE(learnann_search(index.handle, index.scratch, &query, k, &options, hits.data(), &count, &stats, nullptr) == LEARNANN_OK);
        for (learnann_hit &h : hits) h.distance = static_cast<float>(distance(LEARNANN_L2, row_of(q, rows.dim, i), row_of(x, rows.dim, h.row), rows.dim));
        right += found(hits, ranked(LEARNANN_L2, x, rows.dim, row_of(q, rows.dim, i)), k, 1e-6);
    }
    effort = stats.effort;
    return static_cast<double>(right) / (static_cast<double>(k) * static_cast<double>(queries.count));
}

}  // namespace

TEST_CASE("calibration: monotone, and target_recall uses it") {
    const Rows rows = clustered(4000, 12, LEARNANN_F32, 35), queries = clustered(50, 12, LEARNANN_F32, 36);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    for (const uint32_t k : {1u, 10u, 100u}) {
        uint32_t point = 0, effort = 0, last_effort = 0;
        float recall = 0, last = 0;
        for (; learnann_calibration(index.handle, k, point, &effort, &recall) == LEARNANN_OK; ++point) {
            CHECK(effort > last_effort);
            CHECK(recall >= last);
            CHECK(recall <= 1);
            last_effort = effort;
            last = recall;
        }
        CHECK(point >= 1);
        CHECK(learnann_calibration(index.handle, k, point, &effort, &recall) == LEARNANN_NOT_FOUND);
    }
    uint32_t effort = 0;
    float recall = 0;
    CHECK(learnann_calibration(index.handle, 7, 0, &effort, &recall) == LEARNANN_ARGUMENT);
    uint32_t last = 0;
    for (const float target : {0.5f, 0.9f, 0.99f}) {
        CHECK(recall_got(index, rows, queries, target, effort) >= target - 0.05);
        CHECK(effort >= last);
        last = effort;
    }
}

TEST_CASE("calibration: for 100 it tells what searches find, of rows too whose 10 nearest take little effort" * doctest::skip(SANITIZED)) {
    const uint32_t dim = 24, clusters = 100, k = 100;
    Random random(39);
    std::vector<double> centres(clusters * dim);
    for (double &c : centres) c = 3 * random.gaussian();
    Rows rows(12000, dim, LEARNANN_F32), queries(60, dim, LEARNANN_F32);
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i) {
            const double *centre = centres.data() + dim * static_cast<size_t>(clusters * std::pow(random.uniform(), 6));     // few hold most
            for (uint32_t j = 0; j < dim; ++j) r->set(i, j, centre[j] + random.gaussian());
        }
    Index index(rows, build_options(LEARNANN_IP));
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    uint32_t effort = 0, point = 0;
    float told = 0;
    for (; learnann_calibration(index.handle, k, point, &effort, &told) == LEARNANN_OK; ++point) {
        size_t right = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            const std::vector<Neighbour> truth = ranked(LEARNANN_IP, x, dim, row_of(q, dim, i));
            right += found(index.search(queries.one(i), k, effort), truth, k, 1e-6 * std::fabs(truth[k - 1].distance));
        }
        CAPTURE(effort);
        CHECK(std::fabs(static_cast<double>(right) / static_cast<double>(k * queries.count) - static_cast<double>(told)) < 0.03);
    }
    CHECK(point >= 1);
}

TEST_CASE("calibration: between 1, 10 and 100 as near to the recall asked as at these, or by the least effort there is") {
    for (const uint32_t clusters : {20u, 1u}) {
        const uint32_t dim = clusters == 1 ? 64 : 16;
        const Rows rows = clustered(8000, dim, LEARNANN_F32, 35, clusters), queries = clustered(200, dim, LEARNANN_F32, 36, clusters);
        Index index(rows, build_options());
        REQUIRE(index.status == LEARNANN_OK);
        for (const uint32_t k : {5u, 20u, 30u}) {
            uint32_t effort = 0;
            const double got = recall_got(index, rows, queries, 0.9f, effort, k);
            CAPTURE(k);
            CAPTURE(effort);
            CHECK(got > 0.87);
            CHECK((effort == k || effort >= rows.count / 2 || got < 0.94));
        }
    }
}

// Rows and queries of the same few hundred narrow clusters.
static void group(Rows &rows, Rows &queries, uint32_t size, uint64_t seed) {
    Random random(seed);
    const uint32_t dim = rows.dim, groups = static_cast<uint32_t>(rows.count) / size;
    std::vector<double> centres(static_cast<size_t>(groups) * dim);
    for (double &c : centres) c = random.gaussian();
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i) {
            const double *centre = centres.data() + static_cast<size_t>(dim) * random.below(groups);
            for (uint32_t j = 0; j < dim; ++j) r->set(i, j, centre[j] + 0.15 * random.gaussian());
        }
}

TEST_CASE("calibration: where neighbours come in groups, so that the effort jumps between two numbers of hits") {
    Rows rows(6000, 32, LEARNANN_F32), queries(150, 32, LEARNANN_F32);
    for (const uint64_t seed : {1u, 2u}) {
        group(rows, queries, 25, seed);
        Index index(rows, build_options());
        REQUIRE(index.status == LEARNANN_OK);
        for (const uint32_t k : {15u, 40u, 50u, 70u}) {
            uint32_t effort = 0;
            CAPTURE(k);
            CHECK(recall_got(index, rows, queries, 0.95f, effort, k) > 0.91);
        }
    }
}

TEST_CASE("calibration: what takes a walk longer than a scan is one, for any number of hits") {
    Rows rows(4000, 64, LEARNANN_F32), queries(20, 64, LEARNANN_F32);
    Random random(41);
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i)
            for (uint32_t j = 0; j < r->dim; ++j) r->set(i, j, random.gaussian());
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    for (const uint32_t k : {10u, 50u, 90u, 100u, 200u}) {
        uint32_t effort = 0;
        CAPTURE(k);
        CHECK(recall_got(index, rows, queries, 1.0f, effort, k) > 0.95);        // all, but for the rounding of distances
        CHECK(effort >= rows.count / 2);
    }
}

TEST_CASE("calibration: by one query, too, it is in order") {
    const Rows rows = clustered(7000, 32, LEARNANN_F32, 42, 1), one = clustered(1, 32, LEARNANN_F32, 43, 1);
    const learnann_vectors query = one.view();
    learnann_build_options options = build_options();
    options.queries = &query;
    Index index(rows, options);
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
}

TEST_CASE("calibration: where its efforts end, searches don't leap") {
    const Rows rows = clustered(8000, 16, LEARNANN_F32, 35), queries = clustered(50, 16, LEARNANN_F32, 36);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    uint32_t last = 0;
    float recall = 0;
    for (uint32_t point = 0; learnann_calibration(index.handle, 10, point, &last, &recall) == LEARNANN_OK;) ++point;
    const auto hops = [&](uint32_t effort) {
        double all = 0;
        for (uint64_t i = 0; i < queries.count; ++i) {
            learnann_search_stats stats = learnann_search_stats_default();
            index.search(queries.one(i), 10, effort, nullptr, &stats);
            all += static_cast<double>(stats.hops);
        }
        return all / static_cast<double>(queries.count);
    };
    const double before = hops(last);
    REQUIRE(before < 0.9 * last);       // a part of the beam is not expanded
    CHECK(hops(last + 1) <= before + 2);
    CHECK(hops(2 * last) >= before + 0.9 * last);
}

TEST_CASE("calibration: a recall beyond its efforts takes more of them, or a scan") {
    const uint32_t dim = 16, clusters = 2;
    Random random(44);
    Rows rows(30000, dim, LEARNANN_F32), queries(20, dim, LEARNANN_F32);
    for (Rows *r : {&rows, &queries})       // so narrow that codes tell the clusters from each other, and not their rows
        for (uint64_t i = 0; i < r->count; ++i) {
            const uint32_t cluster = random.below(clusters);
            for (uint32_t j = 0; j < dim; ++j) r->set(i, j, 1e4 * ((cluster + j) % 2) + random.gaussian());
        }
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    float last = 0;
    uint32_t effort = 0;
    for (uint32_t point = 0; learnann_calibration(index.handle, 10, point, &effort, &last) == LEARNANN_OK;) ++point;
    REQUIRE(last < 0.9f);
    CHECK(recall_got(index, rows, queries, 0.95f, effort) > 0.93);
}

TEST_CASE("a walk that met fewer than k rows goes on wider, and does not scan them all") {
    const uint32_t n = 20000, k = 100;
    Rows rows(n, 1, LEARNANN_F32);
    Random random(40);
    for (uint64_t i = 0; i < n; ++i) rows.set(i, 0, random.uniform());
    learnann_build_options options = build_options();
    options.code_bytes = 16;        // of which many rows share each code: few edges lead out
    Index index(rows, options);
    REQUIRE(index.status == LEARNANN_OK);
    for (uint64_t i = 0; i < 100; ++i) {
        learnann_search_stats stats = learnann_search_stats_default();
        CHECK(index.search(rows.one(i), k, k, nullptr, &stats).size() == k);
        CHECK(stats.scanned == 0);
    }
}

// What a search with default options finds of the true 10, of Gaussian rows: no spectrum is flatter.
static double gaussian_recall(uint64_t count, uint32_t d, learnann_metric metric) {
    Rows rows(count, d, LEARNANN_F32), queries(200, d, LEARNANN_F32);
    Random random(37);
    for (Rows *r : {&rows, &queries})
        for (uint64_t i = 0; i < r->count; ++i)
            for (uint32_t j = 0; j < d; ++j) r->set(i, j, random.gaussian());
    Index index(rows, build_options(metric));
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<double> x = rows.doubles(), q = queries.doubles();
    size_t right = 0;
    for (uint64_t i = 0; i < queries.count; ++i) {
        const std::vector<Neighbour> truth = ranked(metric, x, d, row_of(q, d, i));
        right += found(index.search(queries.one(i), 10), truth, 10, 1e-6 * std::fabs(truth[9].distance) + 1e-6);    // floats' rounding
    }
    return static_cast<double>(right) / (10 * static_cast<double>(queries.count));
}

TEST_CASE("calibration: under inner product too held-out rows are strangers to the graph") { CHECK(gaussian_recall(3000, 32, LEARNANN_IP) >= 0.92); }

TEST_CASE("calibration: where few rows tell a space its directions held-out rows are strangers to it") {
    CHECK(gaussian_recall(1000, 768, LEARNANN_L2) >= 0.90);
    CHECK(gaussian_recall(1000, 500, LEARNANN_L2) >= 0.932);
}

TEST_CASE("calibration: rows that were held out cost a graph of hubs none of their links") { CHECK(gaussian_recall(2500, 200, LEARNANN_L2) >= 0.93); }

TEST_CASE("rows that were held out are found as well as others where a space of fewer dimensions has to know each of them") {
    const uint32_t n = 1000;
    Rows rows(n, n, LEARNANN_U8);
    for (uint64_t i = 0; i < n; ++i) rows.set(i, static_cast<uint32_t>(i), 1);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    uint32_t own = 0;
    for (uint64_t i = 0; i < n; ++i) own += index.search(rows.one(i), 1, 48).at(0).row == i;
    CHECK(own >= n * 97 / 100);
}

TEST_CASE("rows too few to calibrate by tell how wide their codes have to be") { CHECK(gaussian_recall(900, 384, LEARNANN_COS) >= 0.93); }

TEST_CASE("calibration: of rows in few bits the recall is theirs, and more than they reach takes no endless effort") {
    const Rows rows = clustered(4000, 96, LEARNANN_F32, 35), queries = clustered(100, 96, LEARNANN_F32, 36);
    for (const learnann_exact exact : {LEARNANN_EXACT_BINARY, LEARNANN_EXACT_NONE}) {
        CAPTURE(exact);
        learnann_build_options options = build_options(LEARNANN_L2, exact);
        options.code_bytes = 32;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        float recall = 0, last = 0;
        uint32_t effort = 0;
        for (uint32_t i = 0; learnann_calibration(index.handle, 10, i, &effort, &recall) == LEARNANN_OK; ++i) last = recall;
        CHECK(std::fabs(recall_got(index, rows, queries, 1, effort) - static_cast<double>(last)) < 0.05);
        CHECK(last < 0.9f);
        CHECK(effort <= 200);
    }
}

TEST_CASE("wrong arguments of searches") {
    const Rows rows = clustered(300, 4, LEARNANN_F32, 37);
    Index index(rows, build_options()), other(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    std::vector<learnann_hit> hits(50);
    std::vector<uint32_t> counts(5, 9);
    const learnann_vectors good = rows.one(0);
    const learnann_search_options defaults = learnann_search_options_default();
    // Each wrong call, through every kind of search.
    const auto refused = [&](const learnann_index *i, learnann_scratch *s, const learnann_vectors *q, uint32_t k,
                             const learnann_search_options *o, learnann_hit *h, uint32_t *c) {
        learnann_error error{};
        if (c) *c = 9;
        CHECK(learnann_search(i, s, q, k, o, h, c, nullptr, &error) == LEARNANN_ARGUMENT);
        CHECK(error.status == LEARNANN_ARGUMENT);
        CHECK(error.message != nullptr);
        if (c) CHECK(*c == 0);
        CHECK(learnann_search_interleaved(i, s, q, k, o, h, c, nullptr, &error) == LEARNANN_ARGUMENT);
        if (s == index.scratch) CHECK(learnann_search_batch(i, q, k, o, h, c, nullptr, &error) == LEARNANN_ARGUMENT);
        if (c) *c = 9;
        CHECK(learnann_search_range(i, s, q, 1.0f, k, o, h, c, nullptr, nullptr) == LEARNANN_ARGUMENT);
        if (c) CHECK(*c == 0);
    };
    learnann_index *i = index.handle;
    learnann_scratch *s = index.scratch;
    learnann_hit *h = hits.data();
    uint32_t *c = counts.data();
    refused(nullptr, s, &good, 5, &defaults, h, c);
    refused(i, nullptr, &good, 5, &defaults, h, c);
    refused(i, other.scratch, &good, 5, &defaults, h, c);
    refused(i, s, nullptr, 5, &defaults, h, c);
    refused(i, s, &good, 0, &defaults, h, c);
    refused(i, s, &good, 5, &defaults, nullptr, c);
    refused(i, s, &good, 5, &defaults, h, nullptr);
    learnann_vectors q = good;
    q.data = nullptr;
    refused(i, s, &q, 5, &defaults, h, c);
    q = good;
    q.dim = 3;
    refused(i, s, &q, 5, &defaults, h, c);
    q = good;
    q.type = no_such<learnann_type>(9);
    refused(i, s, &q, 5, &defaults, h, c);
    q = good;
    q.stride = 15;
    refused(i, s, &q, 5, &defaults, h, c);
    learnann_search_options o = defaults;
    o.effort = LEARNANN_MAX_EFFORT + 1;
    refused(i, s, &good, 5, &o, h, c);
    for (const float target : {-0.1f, 1.1f, std::numeric_limits<float>::quiet_NaN()}) {
        o = defaults;
        o.target_recall = target;
        refused(i, s, &good, 5, &o, h, c);
    }
    for (const uint32_t size : {0u, static_cast<uint32_t>(offsetof(learnann_search_options, filter)) + 1}) {     // not set; within a field
        o = defaults;
        o.struct_size = size;
        refused(i, s, &good, 5, &o, h, c);
    }
    learnann_search_stats unset{};
    CHECK(learnann_search(i, s, &good, 5, nullptr, h, c, &unset, nullptr) == LEARNANN_ARGUMENT);
    // Of more queries than memory holds the counts are not the caller's to clear.
    q = good;
    q.count = UINT64_MAX / 8;
    *c = 9;
    CHECK(learnann_search_interleaved(i, s, &q, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_search_batch(i, &q, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(*c == 9);
    const uint64_t word = 1;
    const learnann_filter bad[] = {{no_such<learnann_filter_kind>(4), &word, 1, is_odd, nullptr},
                                   {LEARNANN_FILTER_ROWS, nullptr, 1, nullptr, nullptr},
                                   {LEARNANN_FILTER_KEYS, nullptr, 1, nullptr, nullptr},
                                   {LEARNANN_FILTER_PREDICATE, &word, 1, nullptr, nullptr}};
    for (const learnann_filter &filter : bad) {
        o = defaults;
        o.filter = &filter;
        refused(i, s, &good, 5, &o, h, c);
    }
    learnann_vectors two = rows.view();
    two.count = 2;
    CHECK(learnann_search(i, s, &two, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_search_range(i, s, &two, 1.0f, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_ARGUMENT);
    // No query at all is fine where many are taken.
    two.count = 0;
    CHECK(learnann_search_interleaved(i, s, &two, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_OK);
    CHECK(learnann_search_batch(i, &two, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_OK);
    // options and stats may be NULL.
    CHECK(learnann_search(i, s, &good, 5, nullptr, h, c, nullptr, nullptr) == LEARNANN_OK);
    CHECK(counts[0] == 5);
    // What is told is what is wrong, and what was done.
    learnann_error error{};
    CHECK(learnann_search_range(i, s, &good, 1.0f, 0, nullptr, h, c, nullptr, &error) == LEARNANN_ARGUMENT);
    CHECK(std::string(error.message).find("limit") != std::string::npos);
    o = defaults;
    o.filter = &bad[0];
    CHECK(learnann_search(i, s, &good, 5, &o, h, c, nullptr, &error) == LEARNANN_ARGUMENT);
    CHECK(std::string(error.message).find("kind") != std::string::npos);
    o = defaults;
    o.effort = 3;
    learnann_search_stats stats = learnann_search_stats_default();
    CHECK(learnann_search(i, s, &good, 5, &o, h, c, &stats, nullptr) == LEARNANN_OK);
    CHECK(stats.effort == 5);
    CHECK(learnann_search_range(i, s, &good, 1.0f, 5, &o, h, c, &stats, nullptr) == LEARNANN_OK);
    CHECK(stats.effort == 3);
}

TEST_CASE("the error names the first wrong query of many, and every count is 0") {
    const uint32_t dim = 4;
    const Rows rows = clustered(1000, dim, LEARNANN_F32, 38);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    Rows queries = clustered(500, dim, LEARNANN_F32, 39);
    for (const uint64_t bad : {130u, 260u, 490u}) queries.set(bad, 1, std::numeric_limits<double>::quiet_NaN());
    const learnann_vectors view = queries.view();
    std::vector<learnann_hit> hits(500 * 3);
    const auto check = [&](uint32_t threads, uint64_t first) {       // 0 threads: interleaved
        std::vector<uint32_t> counts(500, 7);
        learnann_error error{};
        learnann_search_options options = learnann_search_options_default();
        options.threads = threads;
        const learnann_status status =
            threads
                ? learnann_search_batch(index.handle, &view, 3, &options, hits.data(), counts.data(), nullptr, &error)
                : learnann_search_interleaved(index.handle, index.scratch, &view, 3, &options, hits.data(),
                                              counts.data(), nullptr, &error);
        CHECK(status == LEARNANN_ARGUMENT);
        CHECK(error.file_offset == first);
        CHECK(error.place == LEARNANN_AT_QUERY);
        CHECK(std::count(counts.begin(), counts.end(), 0u) == 500);
    };
    for (const uint32_t threads : {0u, 1u, 2u, 4u}) check(threads, 130);
    queries.set(129, 0, 1e19);      // too long: that is seen later than NaN
    check(0, 129);
    // On a mistake that is seen before any search, too.
    std::vector<uint32_t> counts(500, 7);
    CHECK(learnann_search_interleaved(index.handle, index.scratch, &view, 0, nullptr, hits.data(), counts.data(),
                                      nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(std::count(counts.begin(), counts.end(), 0u) == 500);
    counts.assign(500, 7);
    CHECK(learnann_search_batch(index.handle, &view, 0, nullptr, hits.data(), counts.data(), nullptr, nullptr) ==
          LEARNANN_ARGUMENT);
    CHECK(std::count(counts.begin(), counts.end(), 0u) == 500);
    counts.assign(500, 7);
    CHECK(learnann_search_batch(nullptr, &view, 3, nullptr, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(std::count(counts.begin(), counts.end(), 0u) == 500);
    // With no room for hits because none are wanted: k is what is wrong.
    for (const uint32_t k : {0u, 3u}) {
        counts.assign(500, 7);
        learnann_error error{};
        CHECK(learnann_search_interleaved(index.handle, index.scratch, &view, k, nullptr, nullptr, counts.data(), nullptr, &error) == LEARNANN_ARGUMENT);
        CHECK((std::strstr(error.message, "NULL") != nullptr) == (k > 0));
        CHECK(std::count(counts.begin(), counts.end(), 0u) == 500);
    }
}

TEST_CASE("scratches survive a change of effort, kind of search and failure") {
    const Rows rows = clustered(3000, 6, LEARNANN_F32, 40);
    Index index(rows, build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const auto fresh = [&](const learnann_vectors &q, uint32_t k, uint32_t effort) {
        Index copy(index.file);
        return copy.search(q, k, effort);
    };
    Random random(41);
    for (uint32_t round = 0; round < 200; ++round) {
        const uint32_t effort = 1 + random.below(round % 10 == 0 ? 1400 : 60), k = 1 + random.below(40);
        const learnann_vectors query = rows.one(random.below(3000));
        const auto hits = index.search(query, k, effort);
        if (round % 7 == 0) CHECK(same_hits(hits, fresh(query, k, effort)));
        if (round % 5 == 0) index.range(query, 0.5f, 20);
        if (round % 11 == 0) index.search(query, 0, effort);
    }
}

TEST_CASE("the C++ wrapper") {
    const Rows rows = clustered(500, 4, LEARNANN_F32, 42);
    std::vector<float> values(500 * 4);
    std::memcpy(values.data(), rows.bytes.data(), rows.bytes.size());
    const std::string path = "learnann_wrapper_test.la";
    learnann::Error error{};
    REQUIRE(learnann::build(path.c_str(), values.data(), 500, 4, nullptr, nullptr, &error) == LEARNANN_OK);
    {
        const learnann::Index index = learnann::Index::open(path.c_str(), &error);
        REQUIRE(static_cast<bool>(index));
        CHECK(index.info().rows == 500);
        learnann::Scratch scratch = index.scratch();
        const std::vector<learnann::Hit> hits = index.search(scratch, values.data() + 4 * 17, 4, 3);
        REQUIRE(hits.size() == 3);
        CHECK(hits[0].row == 17);
        CHECK(index.search(scratch, values.data(), 3, 3, nullptr, &error).empty());
        CHECK(error.status == LEARNANN_ARGUMENT);
    }
    learnann_open_options options = learnann_open_options_default();
    options.flags = LEARNANN_OPEN_COPY;
    CHECK(learnann::Index::open(path.c_str(), &error, &options).info().rows == 500);
    options.flags |= LEARNANN_OPEN_RESIDENT;    // which COPY excludes
    CHECK_FALSE(static_cast<bool>(learnann::Index::open(path.c_str(), &error, &options)));
    CHECK(error.status == LEARNANN_ARGUMENT);
    options.flags = LEARNANN_OPEN_FLASH;        // not of memory
    alignas(64) const char none[64] = {};
    CHECK_FALSE(static_cast<bool>(learnann::Index::open_memory(none, sizeof none, &error, &options)));
    CHECK(error.status == LEARNANN_ARGUMENT);
    std::remove(path.c_str());
    CHECK_FALSE(static_cast<bool>(learnann::Index::open(path.c_str(), &error)));
    CHECK(error.status == LEARNANN_IO);
}
