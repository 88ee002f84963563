// train_test.cpp: what learning from queries promises: less work for such queries, everything else as it was, the same bytes on any
// number of threads, and errors that say why.
#include "watchedbuild.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>

using namespace testdata;

namespace {

// Items of unequal norms.
Rows items(uint64_t count, uint32_t dim, uint64_t seed) {
    Random random(seed);
    Rows rows(count, dim, LEARNANN_F32);
    for (uint64_t i = 0; i < count; ++i) {
        const double norm = std::exp(0.5 * random.gaussian());
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, norm * random.gaussian());
    }
    return rows;
}

// Users: of a few tastes, unlike the items.
Rows users(uint64_t count, uint32_t dim, uint64_t seed) {
    Random tastes(77), random(seed);
    std::vector<double> centre(8 * dim);
    for (double &c : centre) c = tastes.gaussian();
    Rows rows(count, dim, LEARNANN_F32);
    for (uint64_t i = 0; i < count; ++i) {
        const uint32_t taste = random.below(8);
        for (uint32_t j = 0; j < dim; ++j) rows.set(i, j, centre[taste * dim + j] + 0.5 * random.gaussian());
    }
    return rows;
}

struct Builder {
    learnann_builder *handle = nullptr;
    learnann_error error{};

    explicit Builder(const learnann_build_options &options) { REQUIRE(learnann_builder_create(&options, &handle, nullptr) == LEARNANN_OK); }
    Builder(const Builder &) = delete;
    Builder &operator=(const Builder &) = delete;
    ~Builder() { learnann_builder_free(handle); }

    learnann_status train(const Index &index, const Rows &queries) {
        const learnann_vectors view = queries.view();
        return learnann_builder_train(handle, index.handle, &view, &error);
    }
    Memory bytes() const {
        Memory file(learnann_builder_bytes(handle));
        CHECK(learnann_builder_write(handle, file.data(), file.size(), nullptr) == LEARNANN_OK);
        return file;
    }
    learnann_build_report report() const {
        learnann_build_report r = learnann_build_report_default();
        CHECK(learnann_builder_report(handle, &r) == LEARNANN_OK);
        return r;
    }
};

// What the queries find when they ask for a recall of 0.95, and the code distances that takes.
struct Reached {
    double recall = 0, distances = 0;
};
Reached reached(Index &index, const Rows &queries, learnann_metric metric) {
    const std::vector<double> rows = index.stored(), asked = queries.doubles();
    Reached r;
    for (uint64_t q = 0; q < queries.count; ++q) {
        const auto truth = ranked(metric, rows, queries.dim, asked.data() + q * queries.dim);
        learnann_search_stats stats = learnann_search_stats_default();
        const auto hits = index.search(queries.one(q), 10, 0, nullptr, &stats);
        r.recall += static_cast<double>(found(hits, truth, 10, 1e-4)) / 10;
        r.distances += static_cast<double>(stats.distances + stats.entry_distances);
    }
    r.recall /= static_cast<double>(queries.count);
    r.distances /= static_cast<double>(queries.count);
    return r;
}

}  // namespace

TEST_CASE("queries teach a graph what they want: less work at the recall asked for, for others of their kind") {
    constexpr uint32_t dim = 16;
    const Rows rows = items(6000, dim, 1), log = users(5000, dim, 2), others = users(200, dim, 3);
    std::vector<uint64_t> keys(rows.count);
    for (uint64_t i = 0; i < keys.size(); ++i) keys[i] = 1000000 - i;
    Index before(rows, build_options(LEARNANN_IP), nullptr), keyed(rows, build_options(LEARNANN_IP), keys.data());
    Builder builder(build_options());
    REQUIRE(builder.train(before, log) == LEARNANN_OK);
    Index after(builder.bytes());
    REQUIRE(after.status == LEARNANN_OK);
    CHECK(learnann_verify(after.handle, nullptr) == LEARNANN_OK);
    const learnann_build_report report = builder.report();
    CHECK(report.lessons == 5000 - 512);        // the others measure
    CHECK(report.entries == after.info().entries);
    CHECK(report.hot_bytes_per_row * 6000 == doctest::Approx(static_cast<double>(after.info().hot_bytes)));

    const Reached was = reached(before, others, LEARNANN_IP), is = reached(after, others, LEARNANN_IP);
    CHECK(is.recall > 0.93);
    CHECK(is.distances < 0.7 * was.distances);

    // What build learns from the same queries is no worse.
    learnann_build_options options = build_options(LEARNANN_IP);
    const learnann_vectors sample = log.view();
    options.queries = &sample;
    Index taught(rows, options);
    const Reached built = reached(taught, others, LEARNANN_IP);
    CHECK(built.recall > 0.93);
    CHECK(built.distances < 0.7 * was.distances);

    // Rows, keys and the hits of an exhaustive search stay.
    REQUIRE(builder.train(keyed, log) == LEARNANN_OK);
    Index still(builder.bytes());
    REQUIRE(still.status == LEARNANN_OK);
    CHECK(learnann_verify(still.handle, nullptr) == LEARNANN_OK);
    CHECK(still.info().has_keys == 1);
    std::vector<float> row(dim);
    REQUIRE(learnann_fetch(still.handle, keys[42], row.data(), dim) == LEARNANN_OK);
    CHECK(row[3] == static_cast<float>(rows.value(42, 3)));
    for (uint64_t q = 0; q < 20; ++q)
        CHECK(same_hits(keyed.search(others.one(q), 10, 6000), still.search(others.one(q), 10, 6000)));
    // Whoever trains again with the same log finds a good graph, and may leave it.
    CHECK(builder.train(after, log) == LEARNANN_OK);
}

TEST_CASE("training gives the same bytes on any number of threads") {
    const Rows rows = items(3000, 12, 4), log = users(2500, 12, 5);
    const Index index(rows, build_options(LEARNANN_IP));
    Memory expected;
    for (const uint32_t threads : {1u, 2u, 5u}) {
        learnann_build_options options = build_options();
        options.threads = threads;
        Builder builder(options);
        REQUIRE(builder.train(index, log) == LEARNANN_OK);
        CHECK(builder.report().threads == threads);
        if (threads == 1) expected = builder.bytes();
        else CHECK(builder.bytes() == expected);
    }
}

TEST_CASE("every metric and every kind of exact rows can be trained") {
    const Rows rows = clustered(3000, 16, LEARNANN_F32, 6), log = clustered(2000, 16, LEARNANN_F32, 7), others = clustered(50, 16, LEARNANN_F32, 8);
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS})
        for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_F16, LEARNANN_EXACT_I8, LEARNANN_EXACT_U8}) {
            CAPTURE(metric);
            CAPTURE(exact);
            Index before(rows, build_options(metric, exact));
            Builder builder(build_options());
            REQUIRE(builder.train(before, log) == LEARNANN_OK);
            Index after(builder.bytes());
            REQUIRE(after.status == LEARNANN_OK);
            CHECK(learnann_verify(after.handle, nullptr) == LEARNANN_OK);
            CHECK(reached(after, others, metric).recall > 0.9);
            CHECK(same_hits(before.search(others.one(0), 10, 3000), after.search(others.one(0), 10, 3000)));
        }
}

TEST_CASE("byte rows learn from queries of another type") {
    const Rows rows = clustered(3000, 24, LEARNANN_U8, 9), log = clustered(1500, 24, LEARNANN_F32, 10);
    const Index index(rows, build_options());
    Builder builder(build_options());
    REQUIRE(builder.train(index, log) == LEARNANN_OK);
    const Index after(builder.bytes());
    CHECK(learnann_verify(after.handle, nullptr) == LEARNANN_OK);
}

// Half of the rows lie on a plane somewhere, where a little effort does; the other half is noise.
static Rows easy_and_hard(uint64_t easy, uint64_t hard, uint64_t seed) {
    constexpr uint32_t dim = 32;
    Random plane(5), random(seed);
    std::vector<double> axes(3 * dim);
    for (double &a : axes) a = plane.gaussian() / 2;
    Rows rows(easy + hard, dim, LEARNANN_F32);
    for (uint64_t i = 0; i < rows.count; ++i) {
        const double at[3] = {random.gaussian(), random.gaussian(), random.gaussian()};
        for (uint32_t j = 0; j < dim; ++j)
            rows.set(i, j, i < easy ? 6 + at[0] * axes[j] + at[1] * axes[dim + j] + at[2] * axes[2 * dim + j] : random.gaussian());
    }
    return rows;
}

TEST_CASE("a log in any order calibrates alike: its queries are taken from all of it, and none counts for more") {
    const Rows rows = easy_and_hard(4000, 4000, 1), queries = easy_and_hard(100, 100, 2);
    for (const uint64_t hard : {511u, 512u}) {      // 512 of them measure: of 1,023 queries not every second, but nearly
        const Rows log = easy_and_hard(512, hard, 3);
        Index before(rows, build_options());
        REQUIRE(before.status == LEARNANN_OK);
        Builder builder(build_options());
        REQUIRE(builder.train(before, log) == LEARNANN_OK);
        Index after(builder.bytes());
        CAPTURE(hard);
        CHECK(reached(after, queries, LEARNANN_L2).recall > 0.92);
    }
}

TEST_CASE("few queries calibrate, and leave the graph as it is") {
    const Rows rows = items(3000, 12, 11), log = users(700, 12, 12), one = users(1, 12, 13);
    Index before(rows, build_options(LEARNANN_IP));
    Builder builder(build_options());
    for (const Rows *queries : {&log, &one}) {
        REQUIRE(builder.train(before, *queries) == LEARNANN_OK);
        CHECK(builder.report().lessons == 0);
        const Index after(builder.bytes());
        REQUIRE(after.status == LEARNANN_OK);
        CHECK(learnann_verify(after.handle, nullptr) == LEARNANN_OK);
        CHECK(after.info().fingerprint == before.info().fingerprint);
        uint32_t effort = 0;
        float recall = 0;
        CHECK(learnann_calibration(after.handle, 10, 0, &effort, &recall) == LEARNANN_OK);
    }
}

TEST_CASE("a log that asks for the same few things over and over does not teach") {
    const Rows rows = items(4000, 8, 11), few = users(500, 8, 12);
    Rows log(3000, 8, LEARNANN_F32);
    for (uint64_t i = 0; i < log.count; ++i)
        for (uint32_t j = 0; j < log.dim; ++j) log.set(i, j, few.value(i % few.count, j));
    Index index(rows, build_options(LEARNANN_IP));
    Builder builder(build_options());
    REQUIRE(builder.train(index, log) == LEARNANN_OK);
    CHECK(builder.report().lessons == 0);
    CHECK(learnann_verify(Index(builder.bytes()).handle, nullptr) == LEARNANN_OK);
}

TEST_CASE("tiny indexes can be trained") {
    const Rows log = users(1300, 5, 14);
    for (const uint64_t count : {1u, 2u, 9u, 300u}) {
        CAPTURE(count);
        const Rows rows = items(count, 5, 15);
        const Index index(rows, build_options(LEARNANN_IP));
        Builder builder(build_options());
        REQUIRE(builder.train(index, log) == LEARNANN_OK);
        Index after(builder.bytes());
        REQUIRE(after.status == LEARNANN_OK);
        CHECK(learnann_verify(after.handle, nullptr) == LEARNANN_OK);
        CHECK(after.search(log.one(0), 10).size() == std::min<uint64_t>(10, count));
    }
}

TEST_CASE("training takes no more memory than it says beforehand, on any number of threads") {
    if (SANITIZED) return;      // bytes are the same there
    const Rows rows = items(1500, 16, 22), log = users(1600, 16, 23);
    const Index index(rows, build_options(LEARNANN_IP));
    for (const uint32_t threads : {1u, 16u, 64u}) {
        CAPTURE(threads);
        PeakAllocator peak;
        const learnann_allocator hooks = peak.hooks();
        learnann_build_options options = build_options();
        options.threads = threads;
        options.allocator = &hooks;
        options.memory_limit = 1;
        Builder refused(options);
        REQUIRE(refused.train(index, log) == LEARNANN_NOMEM);
        options.memory_limit = refused.error.needed;
        Builder builder(options);
        REQUIRE(builder.train(index, log) == LEARNANN_OK);
        CHECK(static_cast<uint64_t>(peak.peak) <= options.memory_limit);
    }
}

TEST_CASE("what can't be trained says why, and the builder works on") {
    const Rows rows = items(2500, 8, 16), log = users(2000, 8, 17);
    const Index index(rows, build_options(LEARNANN_IP));
    Builder builder(build_options(LEARNANN_IP));
    const learnann_vectors view = log.view();
    CHECK(learnann_builder_train(nullptr, index.handle, &view, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_train(builder.handle, nullptr, &view, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_train(builder.handle, index.handle, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(builder.train(index, Rows(0, 8, LEARNANN_F32)) == LEARNANN_ARGUMENT);
    CHECK(builder.train(index, users(2000, 9, 17)) == LEARNANN_ARGUMENT);
    for (const uint64_t at : {0u, 1u, 1999u}) {     // one that measures, one that teaches, the last
        Rows bad = log;
        bad.set(at, 3, std::numeric_limits<double>::quiet_NaN());
        CHECK(builder.train(index, bad) == LEARNANN_ARGUMENT);
        CHECK(builder.error.file_offset == at);
        CHECK(builder.error.place == LEARNANN_AT_QUERY);
        CHECK(learnann_builder_bytes(builder.handle) == 0);
    }
    const Index bare(rows, build_options(LEARNANN_IP, LEARNANN_EXACT_NONE));
    CHECK(builder.train(bare, log) == LEARNANN_UNSUPPORTED);
    for (const learnann_exact exact : refined_kinds)
        CHECK(builder.train(Index(rows, build_options(LEARNANN_IP, exact)), log) == LEARNANN_UNSUPPORTED);

    Memory damaged = index.file;
    damaged.data()[damaged.size() / 2] ^= 1;
    const Index broken(damaged);
    REQUIRE(broken.status == LEARNANN_OK);
    CHECK(builder.train(broken, log) == LEARNANN_CORRUPT);
    CHECK(learnann_builder_bytes(builder.handle) == 0);

    learnann_build_options tight = build_options();
    tight.memory_limit = 100000;
    Builder small(tight);
    CHECK(small.train(index, log) == LEARNANN_NOMEM);
    CHECK(small.error.needed > tight.memory_limit);

    // A builder trains, builds, and trains again.
    REQUIRE(builder.train(index, log) == LEARNANN_OK);
    const Memory first = builder.bytes();
    const learnann_vectors row_view = rows.view();
    REQUIRE(learnann_builder_run(builder.handle, &row_view, nullptr, nullptr) == LEARNANN_OK);
    CHECK(builder.bytes() == index.file);
    REQUIRE(builder.train(index, log) == LEARNANN_OK);
    CHECK(builder.bytes() == first);
}

TEST_CASE("training ends in order when it is cancelled") {
    const Rows rows = items(1500, 8, 18), log = users(1400, 8, 19);
    const Index index(rows, build_options(LEARNANN_IP));
    Watch watch;
    learnann_build_options options = build_options();
    options.progress = Watch::call;
    options.progress_context = &watch;
    Builder watched(options);
    REQUIRE(watched.train(index, log) == LEARNANN_OK);
    const int64_t calls = watch.calls;
    CHECK(calls > 8);
    CHECK(watch.whole());
    for (int64_t at = 0; at < calls; ++at) {
        watch.again(at);
        CHECK(watched.train(index, log) == LEARNANN_CANCELLED);
        CHECK(watch.calls == at + 1);
        CHECK(watch.sane);
        CHECK(learnann_builder_bytes(watched.handle) == 0);
    }
}

#ifndef _WIN32      // which replaces no file that is mapped: learnann.h says so
TEST_CASE("a trained index is saved over the one that it was learned from, while that is open") {
    const Rows rows = items(2500, 8, 20), log = users(2500, 8, 21);
    const std::string path = "train_test_" + std::to_string(rows.count) + ".la";
    const Index built(rows, build_options(LEARNANN_IP));
    std::FILE *file = std::fopen(path.c_str(), "wb");
    REQUIRE(file);
    REQUIRE(std::fwrite(built.file.data(), 1, built.file.size(), file) == built.file.size());
    std::fclose(file);
    learnann_index *index = nullptr, *reopened = nullptr;
    REQUIRE(learnann_open(path.c_str(), nullptr, &index, nullptr) == LEARNANN_OK);
    Builder builder(build_options());
    const learnann_vectors view = log.view();
    REQUIRE(learnann_builder_train(builder.handle, index, &view, &builder.error) == LEARNANN_OK);
    REQUIRE(learnann_builder_save(builder.handle, path.c_str(), &builder.error) == LEARNANN_OK);
    CHECK(learnann_verify(index, nullptr) == LEARNANN_OK);      // the old one, still mapped
    REQUIRE(learnann_open(path.c_str(), nullptr, &reopened, nullptr) == LEARNANN_OK);
    CHECK(learnann_verify(reopened, nullptr) == LEARNANN_OK);
    learnann_index_info was = learnann_index_info_default(), is = learnann_index_info_default();
    learnann_get_info(index, &was);
    learnann_get_info(reopened, &is);
    CHECK(was.fingerprint != is.fingerprint);
    learnann_close(reopened);
    learnann_close(index);
    std::remove(path.c_str());
}
#endif
