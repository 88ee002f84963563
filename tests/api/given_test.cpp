// given_test.cpp: graphs and spaces made elsewhere: an index takes them as they are, and nothing that is wrong with them.
#include "indexfile.hpp"
#include "watchedbuild.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace testdata;

namespace {

const learnann_metric metrics[] = {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS};

// The `degree` rows nearest to each, but for itself.
std::vector<uint32_t> nearest_lists(const Rows &rows, learnann_metric metric, uint32_t degree) {
    const std::vector<double> all = rows.doubles();
    std::vector<uint32_t> lists;
    for (uint32_t row = 0; row < rows.count; ++row) {
        const auto near = ranked(metric, all, rows.dim, all.data() + row * rows.dim, [=](uint32_t other) { return other != row; });
        for (uint32_t i = 0; i < degree; ++i) lists.push_back(near[i].row);
    }
    return lists;
}

learnann_build_options graph_options(const std::vector<uint32_t> &lists, uint32_t degree, learnann_metric metric = LEARNANN_L2) {
    learnann_build_options o = build_options(metric);
    o.graph = LEARNANN_GRAPH_GIVEN;
    o.neighbours = lists.data();
    o.degree = degree;
    return o;
}

learnann_build_options space_options(const learnann_vectors &directions, learnann_metric metric = LEARNANN_L2) {
    learnann_build_options o = build_options(metric);
    o.spectral = LEARNANN_SPECTRAL_GIVEN;
    o.directions = &directions;
    return o;
}

// Axes of `dim` dimensions, so many and so long.
Rows axes(uint32_t count, uint32_t dim, double length = 1) {
    Rows out(count, dim, LEARNANN_F32);
    for (uint32_t i = 0; i < count; ++i)
        for (uint32_t j = 0; j < dim; ++j) out.set(i, j, i % dim == j ? length : 0);
    return out;
}

// Of the options alone, or of a build of the rows.
void check_refused(const Rows &rows, const learnann_build_options &options, const char *why, uint64_t at = LEARNANN_NO_OFFSET) {
    CAPTURE(why);
    learnann_builder *builder = nullptr;
    learnann_error error{};
    const learnann_vectors view = rows.view();
    learnann_status status = learnann_builder_create(&options, &builder, &error);
    if (status == LEARNANN_OK) status = learnann_builder_run(builder, &view, nullptr, &error);
    CHECK(status == LEARNANN_ARGUMENT);
    CHECK(std::string(error.message).find(why) != std::string::npos);
    CHECK(error.file_offset == at);
    const bool of_rows = options.graph == LEARNANN_GRAPH_GIVEN;
    CHECK(error.place == (at == LEARNANN_NO_OFFSET ? LEARNANN_AT_NOTHING : of_rows ? LEARNANN_AT_ROW : LEARNANN_AT_DIRECTION));
    CHECK(learnann_builder_bytes(builder) == 0);
    learnann_builder_free(builder);
}

}  // namespace

TEST_CASE("a graph that is given is the graph: that of the nearest neighbours is the exact one's to the byte") {
    const Rows rows = clustered(1500, 6, LEARNANN_F32, 300);
    const uint32_t degree = 12;
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP}) {
        CAPTURE(metric);
        const std::vector<uint32_t> lists = nearest_lists(rows, metric, degree);
        learnann_build_options exact = build_options(metric);
        exact.graph = LEARNANN_GRAPH_KNN;
        exact.degree = degree;
        const Index index(rows, graph_options(lists, degree, metric)), same(rows, exact);
        REQUIRE(index.status == LEARNANN_OK);
        REQUIRE(same.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        CHECK(index.info().graph == LEARNANN_GRAPH_GIVEN);
        CHECK(index.info().format_version == 3);
        CHECK(same.info().format_version == 1);
        CHECK(index.info().fingerprint == same.info().fingerprint);
        for (uint32_t point = 0; point < 4; ++point) {
            uint32_t effort[2] = {};
            float recall[2] = {};
            CHECK(learnann_calibration(index.handle, 10, point, &effort[0], &recall[0]) == learnann_calibration(same.handle, 10, point, &effort[1], &recall[1]));
            CHECK(effort[0] == effort[1]);
            CHECK(recall[0] == recall[1]);
        }
    }
}

TEST_CASE("of a given list a row itself, what comes twice and what is missing are passed over") {
    const Rows rows = clustered(900, 5, LEARNANN_F32, 302);
    const std::vector<uint32_t> lists = nearest_lists(rows, LEARNANN_L2, 6);
    std::vector<uint32_t> untidy;
    for (uint32_t row = 0; row < rows.count; ++row) {
        untidy.push_back(row);
        for (uint32_t i = 0; i < 6; ++i) {
            untidy.push_back(lists[row * 6 + i]);
            if (i == 2) untidy.insert(untidy.end(), {lists[row * 6], UINT32_MAX});
        }
    }
    const Index clean(rows, graph_options(lists, 6)), index(rows, graph_options(untidy, 9));
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(index.info().fingerprint == clean.info().fingerprint);
    learnann_build_options threaded = graph_options(untidy, 9);
    threaded.threads = 3;
    CHECK(Index(rows, threaded).file == index.file);
}

TEST_CASE("a given graph without an edge, or of one row: every row is reached, and found") {
    for (const uint32_t count : {1u, 2u, 700u})
        for (const learnann_metric metric : metrics) {
            CAPTURE(count);
            CAPTURE(metric);
            const Rows rows = clustered(count, 4, LEARNANN_F32, 303);
            const std::vector<uint32_t> none(count * 4, UINT32_MAX);
            Index index(rows, graph_options(none, 4, metric));
            REQUIRE(index.status == LEARNANN_OK);
            CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
            CHECK(index.search(rows.one(0), 10, 200).size() == std::min(count, 10u));
        }
}

TEST_CASE("queries calibrate a given graph, and don't teach it") {
    const Rows rows = clustered(900, 5, LEARNANN_F32, 310), log = clustered(60, 5, LEARNANN_F32, 311);
    const std::vector<uint32_t> lists = nearest_lists(rows, LEARNANN_L2, 6);
    const learnann_vectors queries = log.view();
    learnann_build_options options = graph_options(lists, 6);
    const Index plain(rows, options);
    options.queries = &queries;
    const Index index(rows, options);
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(index.info().fingerprint == plain.info().fingerprint);
    learnann_builder *builder = nullptr;
    learnann_error error{};
    REQUIRE(learnann_builder_create(nullptr, &builder, nullptr) == LEARNANN_OK);
    CHECK(learnann_builder_train(builder, index.handle, &queries, &error) == LEARNANN_UNSUPPORTED);
    learnann_builder_free(builder);
}

TEST_CASE("what is wrong with a given graph is told") {
    const Rows rows = clustered(100, 3, LEARNANN_F32, 304);
    std::vector<uint32_t> lists(400, 7);
    learnann_build_options options = graph_options(lists, 0);
    check_refused(rows, options, "degree");
    options = graph_options(lists, 4);
    options.graph = LEARNANN_GRAPH_AUTO;
    check_refused(rows, options, "no other graph");
    options.graph = LEARNANN_GRAPH_GIVEN;
    options.neighbours = nullptr;
    check_refused(rows, options, "neighbours");
    options = graph_options(lists, 3);
    check_refused(rows, options, "degree");
    lists[4 * 60 + 2] = 100;
    check_refused(rows, graph_options(lists, 4), "no row", 60);
    lists[4 * 60 + 2] = UINT32_MAX - 1;
    check_refused(rows, graph_options(lists, 4), "no row", 60);
}

TEST_CASE("a given space serves whatever it keeps, and the report tells how much") {
    const Rows rows = clustered(3000, 24, LEARNANN_F32, 305), queries = clustered(30, 24, LEARNANN_F32, 306);
    const Rows all = axes(24, 24), some = axes(3, 24);
    const learnann_vectors axes_of_all = all.view(), axes_of_some = some.view();
    for (const learnann_metric metric : metrics) {
        CAPTURE(metric);
        const learnann_build_options options = space_options(axes_of_all, metric);
        const Reported whole(rows, options), part(rows, space_options(axes_of_some, metric));
        CHECK(whole.report.spectral == LEARNANN_SPECTRAL_GIVEN);
        CHECK(part.report.spectral == LEARNANN_SPECTRAL_GIVEN);
        CHECK(part.report.code_dim == 3);
        CHECK(part.report.code_bytes == whole.report.code_bytes);      // wider records would not tell more
        CHECK(whole.report.code_recall > part.report.code_recall + 0.1f);
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        CHECK(index.info().format_version == 1);
        CHECK(recall_of(index, queries, metric, 200) >= 0.95);
        learnann_build_options threaded = options;
        threaded.threads = 3;
        CHECK(Index(rows, threaded).file == index.file);
    }
}

// The axes of what varies, in any order and turned among themselves, are the same space.
TEST_CASE("the strongest directions of a given space come first, however it is turned") {
    Rows rows(2500, 20, LEARNANN_F32), turned(20, 20, LEARNANN_F32);
    Random random(307);
    for (uint64_t r = 0; r < rows.count; ++r)
        for (uint32_t j = 0; j < 20; ++j) rows.set(r, j, random.gaussian() * (j % 4 == 1 ? 5.0 : 0.1));
    for (uint32_t i = 0; i < 20; ++i)       // pairs of axes, each turned by 45 degrees
        for (uint32_t j = 0; j < 20; ++j) turned.set(i, j, j / 2 == i / 2 ? (i % 2 && j % 2 ? -0.70710678 : 0.70710678) : 0);
    const learnann_vectors given = turned.view();
    learnann_build_options options = space_options(given), plain = build_options();
    options.code_bytes = plain.code_bytes = 16;
    CHECK(std::fabs(Reported(rows, options).report.code_recall - Reported(rows, plain).report.code_recall) < 0.03f);
}

TEST_CASE("spaces that say nothing, and those that stretch as far as they may, of rows as long as they may be") {
    for (const double length : {0.0, 1e-44, 1e-40, 1e-37, 1e-32, 1e-20, 8.0})
        for (const double far : {1.0, 4.9e17}) {
            CAPTURE(length);
            CAPTURE(far);
            Rows rows = clustered(1200, 4, LEARNANN_F32, 308);
            for (uint64_t i = 0; i < rows.count; ++i)
                for (uint32_t j = 0; j < 4; ++j) rows.set(i, j, rows.value(i, j) / 10 * far);
            const Rows map = axes(4, 4, length);
            const learnann_vectors given = map.view();
            for (const learnann_metric metric : metrics) {
                CAPTURE(metric);
                Index index(rows, space_options(given, metric));
                REQUIRE(index.status == LEARNANN_OK);
                CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
                CHECK(index.search(rows.one(3), 10, 50).size() == 10);
            }
        }
}

TEST_CASE("what is wrong with a given space is told") {
    const Rows rows = clustered(100, 3, LEARNANN_F32, 309);
    Rows map = axes(3, 3);
    learnann_vectors given = map.view();
    learnann_build_options options = space_options(given);
    options.spectral = LEARNANN_SPECTRAL_AUTO;
    check_refused(rows, options, "directions");
    options.spectral = LEARNANN_SPECTRAL_GIVEN;
    options.directions = nullptr;
    check_refused(rows, options, "directions");
    given.count = 0;
    check_refused(rows, space_options(given), "1 to 1,024");
    const Rows many = axes(1025, 3), other = axes(2, 4), far = axes(3, 3, 9), alike = axes(16, 3, 4);
    given = many.view();
    check_refused(rows, space_options(given), "1 to 1,024");
    given = other.view();
    check_refused(rows, space_options(given), "another dimension");
    given = far.view();
    check_refused(rows, space_options(given), "longer than 8", 0);
    given = alike.view();
    check_refused(rows, space_options(given), "8 times");
    map.set(1, 2, std::nan(""));
    given = map.view();
    check_refused(rows, space_options(given), "NaN", 1);
}
