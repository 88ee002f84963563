// graphs_test.cpp: the graphs that are there for comparison: each builds for every metric, verifies, finds, and keeps what a build
// promises; the exact one is what brute force finds.
#include "indexfile.hpp"
#include "watchedbuild.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace testdata;

namespace {

const learnann_graph graphs[] = {LEARNANN_GRAPH_ADAPTIVE, LEARNANN_GRAPH_KNN, LEARNANN_GRAPH_NSW, LEARNANN_GRAPH_HNSW, LEARNANN_GRAPH_UNIFORM};
const learnann_metric metrics[] = {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS};

learnann_build_options options_for(learnann_graph graph, learnann_metric metric = LEARNANN_L2) {
    learnann_build_options o = build_options(metric);
    o.graph = graph;
    return o;
}

// The first `degree` neighbours of each row in its list, as row numbers.
std::vector<uint32_t> first_neighbours(const Memory &file, uint32_t row, uint32_t degree) {
    const IndexFile f(file);
    const auto row_of = [&](uint32_t slot) { return f.get<uint32_t>(f.offset(kind_row_of_slot) + 4ull * slot); };
    const uint32_t slot = f.get<uint32_t>(f.offset(kind_slot_of_row) + 4ull * row);
    std::vector<uint32_t> rows;
    for (uint32_t i = 0; i < std::min(degree, f.degree(slot)); ++i) rows.push_back(row_of(f.neighbour(slot, i)));
    return rows;
}

}  // namespace

TEST_CASE("every graph of every metric verifies, says what it is, and finds") {
    const Rows rows = clustered(3000, 12, LEARNANN_F32, 200), queries = clustered(40, 12, LEARNANN_F32, 201);
    for (const learnann_metric metric : metrics)
        for (const learnann_graph graph : graphs) {
            CAPTURE(metric);
            CAPTURE(graph);
            Index index(rows, options_for(graph, metric));
            REQUIRE(index.status == LEARNANN_OK);
            CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
            CHECK(index.info().graph == graph);
            CHECK(IndexFile(index.file).has(kind_layers) == (graph == LEARNANN_GRAPH_HNSW));
            CHECK(recall_of(index, queries, metric, 200) >= 0.95);
        }
}

TEST_CASE("the exact graph is that of brute force, ties by smaller row number") {
    for (const learnann_metric metric : metrics)
        for (const learnann_type type : {LEARNANN_F32, LEARNANN_U8, LEARNANN_I8}) {
            CAPTURE(metric);
            CAPTURE(type);
            Rows rows = clustered(1100, 5, LEARNANN_I8, 202);
            if (type != LEARNANN_I8) {      // whole numbers, many alike: distances tie, and sums of floats are exact
                Rows same(rows.count, rows.dim, type);
                for (uint64_t i = 0; i < rows.count; ++i)
                    for (uint32_t j = 0; j < rows.dim; ++j) same.set(i, j, std::floor(rows.value(i, j) / 8) + 16);
                rows = same;
            }
            for (uint64_t i = 0; i < 40; ++i) rows.copy(7, 500 + i);
            learnann_build_options options = options_for(LEARNANN_GRAPH_KNN, metric);
            options.degree = 9;
            Index index(rows, options);
            REQUIRE(index.status == LEARNANN_OK);
            const std::vector<double> all = rows.doubles();
            size_t wrong = 0;
            for (uint32_t row = 0; row < rows.count; ++row) {
                const double *x = all.data() + row * rows.dim;
                const std::vector<Neighbour> truth = ranked(metric, all, rows.dim, x, [=](uint32_t other) { return other != row; });
                const std::vector<uint32_t> linked = first_neighbours(index.file, row, 9);
                REQUIRE(linked.size() == 9);
                for (size_t i = 0; i < 9; ++i)      // of cosines, which are rounded, the distance
                    wrong += metric == LEARNANN_COS
                                 ? distance(metric, x, all.data() + linked[i] * rows.dim, rows.dim) > truth[i].distance + 1e-6
                                 : linked[i] != truth[i].row;
            }
            CHECK(wrong == 0);
        }
}

TEST_CASE("every graph is the same bytes on any number of threads") {
    const Rows rows = clustered(2200, 10, LEARNANN_U8, 203);
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP})
        for (const learnann_graph graph : graphs) {
            CAPTURE(metric);
            CAPTURE(graph);
            learnann_build_options options = options_for(graph, metric);
            Memory one, many;
            REQUIRE(build(rows, options, nullptr, one) == LEARNANN_OK);
            for (const uint32_t threads : {5u, 2u}) {
                if (SANITIZED && threads != 5) continue;
                options.threads = threads;
                REQUIRE(build(rows, options, nullptr, many) == LEARNANN_OK);
                CHECK(one == many);
            }
            options.seed = 77;
            REQUIRE(build(rows, options, nullptr, many) == LEARNANN_OK);
            CHECK(!(one == many));
        }
}

TEST_CASE("every graph of few rows, of copies, of one row, at any degree") {
    for (const learnann_metric metric : metrics)
        for (const learnann_graph graph : graphs)
            for (const uint64_t count : {1u, 2u, 5u, 300u, 1200u}) {
                CAPTURE(metric);
                CAPTURE(graph);
                CAPTURE(count);
                Rows rows = clustered(count, 4, LEARNANN_F32, 204);
                for (uint64_t i = 0; i < count / 2; ++i) rows.copy(count - 1, i);       // half of them are one row
                learnann_build_options options = options_for(graph, metric);
                options.degree = count == 300 ? 4 : count == 5 ? 128 : count == 1200 ? 5 : 0;
                Index index(rows, options);
                REQUIRE(index.status == LEARNANN_OK);
                learnann_error error{};
                CHECK(learnann_verify(index.handle, &error) == LEARNANN_OK);
                const uint32_t k = static_cast<uint32_t>(std::min<uint64_t>(count, 20));
                const std::vector<learnann_hit> hits = index.search(rows.one(count - 1), k, 20);
                REQUIRE(hits.size() == k);
                CHECK(in_order(hits));
            }
}

TEST_CASE("a cancel ends the build of every graph, and the builder runs again") {
    const Rows rows = clustered(1100, 6, LEARNANN_F32, 205);
    const learnann_vectors view = rows.view();
    for (const learnann_graph graph : graphs) {
        CAPTURE(graph);
        Watch watch;
        learnann_build_options options = options_for(graph);
        Memory expected;
        REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
        options.progress = Watch::call;
        options.progress_context = &watch;
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        const int64_t calls = watch.calls;
        CHECK(watch.whole());
        for (int64_t at = 0; at < calls; ++at) {
            watch.again(at);
            CHECK(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_CANCELLED);
        }
        watch.again(-1);
        CHECK(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        CHECK(bytes_of(builder) == expected);
        learnann_builder_free(builder);
    }
}

TEST_CASE("a graph with layers is entered through them") {
    const Rows rows = clustered(6000, 8, LEARNANN_F32, 206, 200), queries = clustered(50, 8, LEARNANN_F32, 207, 200);
    Index index(rows, options_for(LEARNANN_GRAPH_HNSW));
    REQUIRE(index.status == LEARNANN_OK);
    const IndexFile f(index.file);
    const uint64_t layers = f.offset(kind_layers);
    const uint32_t count = f.get<uint32_t>(layers);
    REQUIRE(count >= 2);        // a chance of 1/16 a layer: some 375 rows on the first, some 23 on the second
    CHECK(f.get<uint32_t>(layers + 4) == 16);
    uint32_t before = 0;
    for (uint32_t layer = 0; layer < count; ++layer) {
        const uint32_t nodes = f.get<uint32_t>(layers + 8 + 4ull * layer);
        CHECK(nodes > before);
        before = nodes;
    }
    CHECK(before > 250);
    CHECK(before < 500);
    CHECK(f.about(about_entries) == 1);
    learnann_search_stats stats = learnann_search_stats_default();
    const std::vector<learnann_hit> hits = index.search(queries.one(0), 10, 50, nullptr, &stats);
    CHECK(stats.entry_distances >= 10);     // not the one entry
    CHECK(stats.entry_distances < 400);     // nor all nodes

    // Copied into memory they lead to the same; with a filter, too.
    learnann_open_options open = learnann_open_options_default();
    open.flags = LEARNANN_OPEN_RESIDENT;
    learnann_index *resident = nullptr;
    REQUIRE(learnann_open_memory(index.file.data(), index.file.size(), &open, &resident, nullptr) == LEARNANN_OK);
    learnann_scratch *scratch = nullptr;
    REQUIRE(learnann_scratch_create(resident, &scratch, nullptr) == LEARNANN_OK);
    const learnann_filter odd{LEARNANN_FILTER_PREDICATE, nullptr, 0, [](void *, uint64_t key) -> int { return key % 2; }, nullptr};
    for (uint64_t i = 0; i < queries.count; ++i) {
        learnann_search_options o = learnann_search_options_default();
        o.effort = 50;
        std::vector<learnann_hit> again(10);
        uint32_t found = 0;
        const learnann_vectors query = queries.one(i);
        REQUIRE(learnann_search(resident, scratch, &query, 10, &o, again.data(), &found, nullptr, nullptr) == LEARNANN_OK);
        again.resize(found);
        CHECK(same_hits(again, index.search(query, 10, 50)));
        for (const learnann_hit &hit : index.search(query, 10, 50, &odd)) CHECK(hit.key % 2 == 1);
    }
    learnann_scratch_free(scratch);
    learnann_close(resident);
}

TEST_CASE("queries calibrate the graphs for comparison and don't teach them") {
    const Rows rows = clustered(1500, 6, LEARNANN_F32, 208), log = clustered(2000, 6, LEARNANN_F32, 209);
    const learnann_vectors queries = log.view(), view = rows.view();
    for (const learnann_graph graph : {LEARNANN_GRAPH_KNN, LEARNANN_GRAPH_NSW, LEARNANN_GRAPH_HNSW, LEARNANN_GRAPH_UNIFORM}) {
        CAPTURE(graph);
        learnann_build_options options = options_for(graph);
        options.queries = &queries;
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        learnann_build_report report = learnann_build_report_default();
        REQUIRE(learnann_builder_report(builder, &report) == LEARNANN_OK);
        CHECK(report.lessons == 0);
        learnann_builder_free(builder);
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        uint32_t effort = 0;
        float recall = 0;
        CHECK(learnann_calibration(index.handle, 10, 0, &effort, &recall) == LEARNANN_OK);

        learnann_builder *trainer = nullptr;
        learnann_error error{};
        REQUIRE(learnann_builder_create(nullptr, &trainer, nullptr) == LEARNANN_OK);
        CHECK(learnann_builder_train(trainer, index.handle, &queries, &error) == LEARNANN_UNSUPPORTED);
        CHECK(std::string(error.message).find("adaptive") != std::string::npos);
        learnann_builder_free(trainer);
    }
}

TEST_CASE("the exact graph of too many rows is refused before any is read") {
    learnann_build_options options = options_for(LEARNANN_GRAPH_KNN);
    const float nothing = 0;
    const learnann_vectors rows{&nothing, 1000000, 0, 21, LEARNANN_F32};      // 2.1e13
    learnann_builder *builder = nullptr;
    learnann_error error{};
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    CHECK(learnann_builder_run(builder, &rows, nullptr, &error) == LEARNANN_UNSUPPORTED);
    CHECK(std::string(error.message).find("2e13") != std::string::npos);
    CHECK(learnann_builder_bytes(builder) == 0);
    learnann_builder_free(builder);
}
