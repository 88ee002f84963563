// build_test.cpp: what a build promises: the same bytes on any number of threads, progress, cancellation, limits,
// errors.
#include "watchedbuild.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

using namespace testdata;

namespace {

const learnann_metric all_metrics[] = {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS};

}  // namespace

TEST_CASE("the same seed gives the same bytes on any number of threads, another seed other bytes") {
    for (const learnann_metric metric : all_metrics)
        for (const learnann_type type : {LEARNANN_F32, LEARNANN_U8}) {
            const Rows rows = clustered(2500, 20, type, 50);
            learnann_build_options options = build_options(metric);
            options.seed = 5;
            Memory expected, file;
            REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
            for (const uint32_t threads : {3u, 2u, 7u}) {
                if (SANITIZED && threads != 3) continue;
                CAPTURE(metric);
                CAPTURE(threads);
                options.threads = threads;
                REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
                CHECK(file == expected);
            }
            options.seed = 6;
            REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
            CHECK_FALSE(file == expected);
        }
}

TEST_CASE("the implicit fit of wide rows gives the same bytes on any number of threads, too") {
    const Rows rows = clustered(300, 1100, LEARNANN_F32, 51);
    learnann_build_options options = build_options();
    options.code_bytes = 32;
    Memory expected, file;
    REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
    options.threads = 3;
    REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
    CHECK(file == expected);
}

TEST_CASE("a builder runs again, writes again and reports") {
    const Rows first = clustered(1500, 8, LEARNANN_F32, 52), second = clustered(400, 5, LEARNANN_U8, 53);
    const learnann_build_options options = build_options();
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    learnann_build_report report = learnann_build_report_default();
    learnann_error error{};
    uint8_t nothing[64];
    CHECK(learnann_builder_bytes(builder) == 0);
    CHECK(learnann_builder_write(builder, nothing, sizeof nothing, &error) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_save(builder, "never_written.la", &error) == LEARNANN_ARGUMENT);
    for (const Rows *rows : {&first, &second, &first}) {
        const learnann_vectors view = rows->view();
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        const Memory file = bytes_of(builder);
        Memory expected;
        REQUIRE(build(*rows, options, nullptr, expected) == LEARNANN_OK);
        CHECK(file == expected);
        CHECK(bytes_of(builder) == expected);
        CHECK(learnann_builder_write(builder, nothing, sizeof nothing, &error) == LEARNANN_ARGUMENT);

        CHECK(learnann_builder_report(builder, &report) == LEARNANN_OK);
        CHECK(report.rows == rows->count);
        CHECK(report.dim == rows->dim);
        CHECK(report.metric == LEARNANN_L2);
        CHECK(report.threads == 1);
        CHECK(report.file_bytes == file.size());
        CHECK(report.phase_count >= 4);
        CHECK(report.phase_count <= 12);
        double seconds = 0;
        for (uint32_t i = 0; i < report.phase_count; ++i) {
            CHECK(std::strlen(report.phases[i].name) > 0);
            CHECK(report.phases[i].seconds >= 0);
            seconds += report.phases[i].seconds;
        }
        CHECK(seconds <= report.seconds * 1.01 + 0.001);
        const Index index{file};
        CHECK(report.code_bytes == index.info().code_bytes);
        CHECK(report.code_dim == index.info().code_dim);
        CHECK(std::fabs(report.mean_degree * static_cast<double>(rows->count) -
                        static_cast<double>(index.info().edges)) < 0.5);
        CHECK(index.info().hot_bytes + index.info().cold_bytes == file.size());
    }
    learnann_builder_free(builder);
}

TEST_CASE("a run that is refused leaves no report of the one before") {
    const Rows rows = clustered(600, 5, LEARNANN_F32, 63);
    const Rows nothing(0, 5, LEARNANN_F32);
    const learnann_vectors view = rows.view(), none = nothing.view();
    const Index index(rows, build_options());
    const learnann_build_options options = build_options();
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    for (const bool training : {false, true}) {
        CAPTURE(training);
        learnann_build_report report = learnann_build_report_default();
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_report(builder, &report) == LEARNANN_OK);
        CHECK(report.rows == rows.count);
        CHECK((training ? learnann_builder_train(builder, index.handle, nullptr, nullptr) : learnann_builder_run(builder, &none, nullptr, nullptr)) == LEARNANN_ARGUMENT);
        REQUIRE(learnann_builder_report(builder, &report) == LEARNANN_OK);
        CHECK(report.rows == 0);
        CHECK(report.file_bytes == 0);
        CHECK(report.phase_count == 0);
        CHECK(report.seconds == 0);
    }
    learnann_builder_free(builder);
}

TEST_CASE("rows of many local dimensions get twice the edges, if they fit the memory") {
    const uint32_t n = 1500, dim = 120;
    Rows hard(n, dim, LEARNANN_F32), hard_and_long(n, dim, LEARNANN_F32);
    Random random(61);
    for (uint64_t i = 0; i < n; ++i)
        for (uint32_t j = 0; j < dim; ++j) {
            const double x = random.gaussian();
            hard.set(i, j, x);
            hard_and_long.set(i, j, i % 3 == 0 ? x : 2 * x);
        }
    const Rows easy = clustered(n, 6, LEARNANN_F32, 62);
    const auto most_edges = [](const Rows &rows, learnann_metric metric, uint32_t degree) {
        learnann_build_options options = build_options(metric);
        options.degree = degree;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        return index.info().max_degree;
    };
    CHECK(most_edges(hard, LEARNANN_L2, 0) > 48);
    CHECK(most_edges(hard, LEARNANN_COS, 0) > 48);
    CHECK(most_edges(hard_and_long, LEARNANN_IP, 0) > 72);
    CHECK(most_edges(hard, LEARNANN_L2, 32) <= 48);
    CHECK(most_edges(easy, LEARNANN_L2, 0) <= 48);
    CHECK(most_edges(easy, LEARNANN_IP, 0) > 48);
    CHECK(most_edges(easy, LEARNANN_IP, 0) <= 72);
    CHECK(most_edges(easy, LEARNANN_IP, 32) <= 48);
    // What a builder chose for some rows does not stay for the next.
    learnann_builder *builder = nullptr;
    learnann_build_options options = build_options();
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    Memory file;
    for (const Rows *rows : {static_cast<const Rows *>(&hard), &easy}) {
        const learnann_vectors view = rows->view();
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        REQUIRE(build(*rows, options, nullptr, file) == LEARNANN_OK);
        CHECK(bytes_of(builder) == file);
    }
    learnann_builder_free(builder);

    options.memory_limit = learnann_build_bytes(n, dim, &options);
    learnann_error error{};
    CHECK(build(hard, options, nullptr, file, &error) == LEARNANN_NOMEM);
    CHECK(std::string(error.message).find("give degree") != std::string::npos);
    options.degree = 32;
    CHECK(build(hard, options, nullptr, file, &error) == LEARNANN_OK);
}

TEST_CASE("options shape the index") {
    const Rows rows = clustered(1500, 40, LEARNANN_F32, 54);
    for (const uint32_t code_bytes : {16u, 48u, 64u, 128u, 1024u}) {
        learnann_build_options options = build_options();
        options.code_bytes = code_bytes;
        options.degree = 8;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(index.info().code_bytes == code_bytes);
        CHECK(index.info().code_dim <= std::min(code_bytes < 64 ? 40u : 8 * 40u, code_bytes - 8));
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
    }
    uint64_t last = 0;
    for (const uint32_t degree : {4u, 16u, 128u}) {
        learnann_build_options options = build_options();
        options.degree = degree;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(index.info().edges > last);       // most rows keep fewer than they may
        last = index.info().edges * 9 / 10;
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
    }
    // Sample queries bring a calibration to rows that are too few to hold some out.
    const Rows few = clustered(300, 40, LEARNANN_F32, 55), sample = clustered(40, 40, LEARNANN_F16, 56);
    const learnann_vectors queries = sample.view();
    learnann_build_options options = build_options();
    uint32_t effort = 0;
    float recall = 0;
    CHECK(learnann_calibration(Index(few, options).handle, 10, 0, &effort, &recall) == LEARNANN_NOT_FOUND);
    options.queries = &queries;
    Index index(few, options);
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(learnann_calibration(index.handle, 10, 0, &effort, &recall) == LEARNANN_OK);
    CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
}

TEST_CASE("of many rows a fourth tells how wide codes must be") {
    const uint32_t dim = 80;
    const Rows rows = clustered(10000, dim, LEARNANN_U8, 61, 400);
    Index chosen(rows, build_options());
    REQUIRE(chosen.status == LEARNANN_OK);
    CHECK((chosen.info().code_bytes == 64 || chosen.info().code_bytes == 128));
    CHECK(chosen.info().code_recall >= 0.9f);
    CHECK(learnann_verify(chosen.handle, nullptr) == LEARNANN_OK);
    // The width is all that the trial leaves: asked for, it gives the same file.
    learnann_build_options options = build_options();
    options.code_bytes = chosen.info().code_bytes;
    Memory asked;
    REQUIRE(build(rows, options, nullptr, asked) == LEARNANN_OK);
    CHECK(asked == chosen.file);
}

TEST_CASE("of few dimensions wider records say more, and are chosen where it takes that" * doctest::skip(SANITIZED)) {
    const struct {
        double width;
        uint32_t code_bytes;
    } sets[] = {{1, 16}, {1e-3, 64}};       // of the clusters that rows lie in
    for (const auto &set : sets) {
        Rows rows(20000, 3, LEARNANN_F32);
        Random random(66);
        for (uint64_t i = 0; i < rows.count; ++i) {
            const uint32_t cluster = random.below(50);
            for (uint32_t j = 0; j < rows.dim; ++j) rows.set(i, j, cluster * 37 % (7 + j) + set.width * random.gaussian());
        }
        Index index(rows, build_options());
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(index.info().code_bytes == set.code_bytes);
        CHECK(index.info().code_dim > 3);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
    }
}

// Clusters far apart in some dimensions, and near in others, in which their rows differ: PCA sees the clusters first.
Rows planted(uint64_t count, uint64_t seed, double distance) {
    const uint32_t dim = 24, apart = 8, within = 6, clusters = 12;
    Rows rows(count, dim, LEARNANN_F32);
    Random centres(70), random(seed);
    std::vector<double> centre(clusters * apart);
    for (double &c : centre) c = distance * centres.gaussian();
    for (uint64_t r = 0; r < count; ++r)
        for (uint32_t i = 0; i < dim; ++i) {
            const double about = i < apart ? centre[r % clusters * apart + i] : 0;
            rows.set(r, i, about + random.gaussian() * (i >= apart && i < apart + within ? 1.0 : 0.1));
        }
    return rows;
}

TEST_CASE("a learned space keeps more of the true neighbours than PCA, alike on any number of threads") {
    const Rows rows = planted(4000, 71, 5), sample = planted(1500, 72, 0);      // queries care for nothing that PCA sees first
    const learnann_vectors queries = sample.view();
    for (const learnann_metric metric : all_metrics) {
        if (SANITIZED && metric == LEARNANN_COS) continue;
        CAPTURE(metric);
        learnann_build_options options = build_options(metric);
        options.code_bytes = 16;
        options.queries = metric == LEARNANN_IP ? &queries : nullptr;
        const Reported pca(rows, options);
        CHECK(pca.report.spectral == LEARNANN_SPECTRAL_PCA);
        CHECK(pca.report.spectral_note == nullptr);
        options.spectral = LEARNANN_SPECTRAL_LEARNED;
        const Reported learned(rows, options);
        CHECK(learned.report.spectral == LEARNANN_SPECTRAL_LEARNED);
        CHECK(learned.report.spectral_note == nullptr);
        CHECK(learned.report.code_recall > pca.report.code_recall + 0.02f);
        options.threads = 3;
        CHECK(Reported(rows, options).file == learned.file);
    }
}

TEST_CASE("where no space is to be learned PCA serves, and the report says why") {
    const Rows few = clustered(1500, 30, LEARNANN_F32, 73), narrow = clustered(2500, 6, LEARNANN_F32, 74);
    for (const Rows *rows : {&few, &narrow}) {
        learnann_build_options options = build_options();
        const Reported pca(*rows, options);
        options.spectral = LEARNANN_SPECTRAL_LEARNED;
        const Reported asked(*rows, options);
        CHECK(asked.report.spectral == LEARNANN_SPECTRAL_PCA);
        REQUIRE(asked.report.spectral_note != nullptr);
        CHECK(asked.file == pca.file);
    }
}

TEST_CASE("progress is told, and a cancel at any call ends the build and leaves a builder that can run again") {
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP}) {
        const Rows rows = clustered(1100, 6, LEARNANN_F32, 57);
        const learnann_vectors view = rows.view();
        Watch watch;
        learnann_build_options options = build_options(metric);
        Memory expected;
        REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
        options.progress = Watch::call;
        options.progress_context = &watch;
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        const int64_t calls = watch.calls;
        CHECK(calls >= 5);
        CHECK(watch.phases.size() >= 4);
        CHECK(watch.whole());
        CHECK(watch.ones <= static_cast<int64_t>(2 * watch.phases.size()));     // and a phase is not at its end long before it ends
        CHECK(bytes_of(builder) == expected);
        for (int64_t at = 0; at < calls; at += at < 40 ? 1 : 7) {
            watch.again(at);
            learnann_error error{};
            CHECK(learnann_builder_run(builder, &view, nullptr, &error) == LEARNANN_CANCELLED);
            CHECK(error.status == LEARNANN_CANCELLED);
            CHECK(watch.calls == at + 1);
            CHECK(watch.sane);
            CHECK(learnann_builder_bytes(builder) == 0);
        }
        watch.again(-1);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        CHECK(bytes_of(builder) == expected);
        learnann_builder_free(builder);
    }
}

TEST_CASE("progress: each phase goes from 0 to 1 and never back, whatever is built") {
    const Rows few = clustered(1100, 6, LEARNANN_F32, 57), wide = clustered(2500, 300, LEARNANN_U8, 59),
               log = clustered(1600, 6, LEARNANN_F32, 58);
    Rows single(1000, 1000, LEARNANN_U8);       // a space that knows all but a few of these is fitted anew, and the graph built twice
    for (uint64_t i = 0; i < single.count; ++i) single.set(i, static_cast<uint32_t>(i), 1);
    const learnann_vectors queries = log.view();
    struct {
        const Rows &rows;
        learnann_metric metric;
        learnann_spectral spectral = LEARNANN_SPECTRAL_AUTO;
        const learnann_vectors *queries = nullptr;
        uint32_t code_bytes = 0;
    } const cases[] = {{few, LEARNANN_L2}, {few, LEARNANN_IP}, {few, LEARNANN_COS, LEARNANN_SPECTRAL_AUTO, &queries},
                       {few, LEARNANN_IP, LEARNANN_SPECTRAL_AUTO, &queries}, {wide, LEARNANN_L2, LEARNANN_SPECTRAL_LEARNED, nullptr, 32},
                       {wide, LEARNANN_IP}, {single, LEARNANN_L2, LEARNANN_SPECTRAL_AUTO, nullptr, 64}};
    for (const auto &c : cases) {
        CAPTURE(c.rows.dim);
        CAPTURE(c.metric);
        Watch watch;
        learnann_build_options options = build_options(c.metric);
        options.progress = Watch::call;
        options.progress_context = &watch;
        options.spectral = c.spectral;
        options.queries = c.queries;
        options.code_bytes = c.code_bytes;
        Memory file;
        REQUIRE(build(c.rows, options, nullptr, file) == LEARNANN_OK);
        CHECK(watch.whole());
        CHECK(std::count(watch.phases.begin(), watch.phases.end(), "graph") == (&c.rows == &single ? 2 : 1));
    }
}

TEST_CASE("memory for lessons is counted only where a log teaches") {
    const Rows log = clustered(3000, 8, LEARNANN_F32, 59);
    const auto needed = [&](uint64_t queries, learnann_graph graph) {
        learnann_vectors some = log.view();
        some.count = queries;
        learnann_build_options options = build_options();
        options.graph = graph;
        options.queries = &some;
        return learnann_build_bytes(200000, 8, &options);
    };
    CHECK(needed(3000, LEARNANN_GRAPH_UNIFORM) < needed(3000, LEARNANN_GRAPH_ADAPTIVE));
    CHECK(needed(999, LEARNANN_GRAPH_ADAPTIVE) < needed(1000, LEARNANN_GRAPH_ADAPTIVE) - 10000000);
}

TEST_CASE("a memory limit") {
    const Rows rows = clustered(2000, 16, LEARNANN_F32, 58);
    for (const learnann_metric metric : all_metrics) {
        learnann_build_options options = build_options(metric);
        const uint64_t needed = learnann_build_bytes(rows.count, rows.dim, &options);
        CHECK(needed > 0);
        CountingAllocator counter;
        const learnann_allocator hooks = counter.hooks();
        options.allocator = &hooks;
        for (const uint64_t limit : {uint64_t(1), needed / 2, needed - 1}) {
            options.memory_limit = limit;
            Memory file;
            learnann_error error{};
            CHECK(build(rows, options, nullptr, file, &error) == LEARNANN_NOMEM);
            CHECK(error.status == LEARNANN_NOMEM);
            CHECK(error.needed > limit);
            CHECK(counter.live == 0);
        }
        options.memory_limit = needed;
        Memory file;
        CHECK(build(rows, options, nullptr, file) == LEARNANN_OK);
        CHECK(counter.live == 0);
    }
    CHECK(learnann_build_bytes(0, 4, nullptr) == 0);
    CHECK(learnann_build_bytes(10, 0, nullptr) == 0);
    CHECK(learnann_build_bytes(10, 65536, nullptr) == 0);
    CHECK(learnann_build_bytes(UINT64_MAX, 4, nullptr) == 0);
    CHECK(learnann_build_bytes(10, 4, nullptr) > 0);
}

TEST_CASE("rows that want wider records than the limit allows") {
    // Random: the more dimensions a record holds, the better.
    Rows rows(1500, 600, LEARNANN_U8);
    Random random(5);
    for (uint8_t &byte : rows.bytes) byte = static_cast<uint8_t>(random.next());
    learnann_build_options options = build_options();
    options.degree = 32;
    options.code_bytes = 256;
    const uint64_t wide = learnann_build_bytes(rows.count, rows.dim, &options);
    options.code_bytes = 0;
    const uint64_t usual = learnann_build_bytes(rows.count, rows.dim, &options);
    CHECK(usual < wide);
    Memory file, roomy;
    learnann_error error{};
    options.memory_limit = usual;
    CHECK(build(rows, options, nullptr, file, &error) == LEARNANN_NOMEM);
    CHECK(error.needed == wide);
    options.memory_limit = wide;
    CHECK(build(rows, options, nullptr, file, &error) == LEARNANN_OK);
    options.memory_limit = 0;
    CHECK(build(rows, options, nullptr, roomy) == LEARNANN_OK);
    CHECK(file == roomy);
}

#ifndef _WIN32
// A file, mapped where pages of other memory lie before and behind it.
struct Mapping {
    uint8_t *all = nullptr, *rows = nullptr;
    size_t page, size;
    static constexpr uint8_t mark = 0xa5;
    static constexpr size_t head = 8, marked = 32;      // bytes before the rows in the file, as .fbin has; pages on either side

    explicit Mapping(const std::vector<uint8_t> &bytes) : page(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
        size = (head + bytes.size() + page - 1) / page * page;
        std::FILE *file = std::tmpfile();
        REQUIRE(file);
        REQUIRE(std::fwrite("12345678", 1, head, file) == head);
        REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
        REQUIRE(std::fflush(file) == 0);
        void *memory = mmap(nullptr, size + 2 * marked * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory != MAP_FAILED);
        all = static_cast<uint8_t *>(memory);
        std::memset(all, mark, size + 2 * marked * page);
        REQUIRE(mmap(all + marked * page, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fileno(file), 0) != MAP_FAILED);
        std::fclose(file);
        rows = all + marked * page + head;
    }
    ~Mapping() { munmap(all, size + 2 * marked * page); }
    size_t damaged() const {
        const uint8_t *behind = all + marked * page + size;
        size_t same = 0;
        for (size_t i = 0; i < marked * page; ++i) same += static_cast<size_t>(all[i] == mark && behind[i] == mark);
        return marked * page - same;
    }
};

TEST_CASE("rows in a mapped file: the same bytes as from memory, and no other memory is given back") {
    for (const learnann_metric metric : all_metrics)
        for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_F16, LEARNANN_EXACT_I8}) {
            CAPTURE(metric);
            CAPTURE(exact);
            const Rows rows = clustered(3000, 24, LEARNANN_F32, 61);
            const Mapping mapping(rows.bytes);
            learnann_build_options options = build_options(metric, exact);
            Memory expected;
            REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
            const uint64_t resident = learnann_build_bytes(rows.count, rows.dim, &options);
            options.rows_mapped = 1;
            options.threads = 2;
            CHECK(learnann_build_bytes(rows.count, rows.dim, &options) > resident);
            learnann_vectors view = rows.view();
            view.data = mapping.rows;
            learnann_builder *builder = nullptr;
            REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
            REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
            CHECK(bytes_of(builder) == expected);
            learnann_builder_free(builder);
            CHECK(mapping.damaged() == 0);
        }
}
#endif

TEST_CASE("learnann_build_bytes covers what a build takes") {
    if (SANITIZED) return;      // bytes are the same there
    const uint64_t many = 20000;
    struct {
        uint64_t rows;
        uint32_t dim;
        learnann_metric metric;
        learnann_spectral spectral = LEARNANN_SPECTRAL_AUTO;
        uint32_t code_bytes = 0;
    } const cases[] = {
        {many, 32, LEARNANN_L2}, {many, 32, LEARNANN_IP}, {500, 1200, LEARNANN_COS}, {100, 4, LEARNANN_L2},
        {2500, 300, LEARNANN_L2, LEARNANN_SPECTRAL_LEARNED, 32}, {9000, 250, LEARNANN_L2, LEARNANN_SPECTRAL_GIVEN, 32}};
    Rows map(1024, 250, LEARNANN_F32);
    Random random(60);
    for (uint64_t i = 0; i < map.count; ++i)
        for (uint32_t j = 0; j < map.dim; ++j) map.set(i, j, 0.1 * random.gaussian());
    const learnann_vectors directions = map.view();
    for (const auto &c : cases) {
        CAPTURE(c.rows);
        PeakAllocator peak;
        const learnann_allocator hooks = peak.hooks();
        const Rows rows = clustered(c.rows, c.dim, LEARNANN_U8, 59);
        learnann_build_options options = build_options(c.metric);
        options.allocator = &hooks;
        options.spectral = c.spectral;
        options.directions = c.spectral == LEARNANN_SPECTRAL_GIVEN ? &directions : nullptr;
        options.code_bytes = c.code_bytes;
        Memory file;
        REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
        CHECK(peak.live == 0);
        CHECK(static_cast<uint64_t>(peak.peak) <= learnann_build_bytes(c.rows, c.dim, &options));
    }
}

TEST_CASE("learnann_build_bytes covers what threads take, and queries") {
    if (SANITIZED) return;
    struct {
        uint64_t rows;
        uint32_t dim, threads;
        uint64_t queries = 0;
        learnann_metric metric = LEARNANN_L2;
        learnann_graph graph = LEARNANN_GRAPH_AUTO;
    } const cases[] = {{12000, 16, 16}, {6000, 16, 64}, {2000, 1000, 64}, {1, 16, 1, 1500}, {30, 16, 2, 1500}, {200, 16, 64, 1500, LEARNANN_IP},
                       {40, 20000, 64, 20}, {200, 8000, 64, 20, LEARNANN_IP, LEARNANN_GRAPH_KNN}, {1100, 16, 64, 0, LEARNANN_L2, LEARNANN_GRAPH_NSW}};
    for (const auto &c : cases) {
        CAPTURE(c.rows);
        CAPTURE(c.dim);
        CAPTURE(c.threads);
        PeakAllocator peak;
        const learnann_allocator hooks = peak.hooks();
        const Rows rows = clustered(c.rows, c.dim, LEARNANN_U8, 59), log = clustered(c.queries, c.dim, LEARNANN_U8, 58);
        const learnann_vectors queries = log.view();
        learnann_build_options options = build_options(c.metric);
        options.allocator = &hooks;
        options.threads = c.threads;
        options.graph = c.graph;
        options.code_bytes = 128;
        if (c.queries) options.queries = &queries;
        options.memory_limit = learnann_build_bytes(c.rows, c.dim, &options);
        Memory file;
        REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
        CHECK(static_cast<uint64_t>(peak.peak) <= options.memory_limit);
    }
    // Half a kilobyte a row, as README says, and few rows need no table of what walks have seen.
    learnann_build_options options = build_options();
    for (const uint32_t threads : {1u, 2u}) {
        options.threads = threads;
        CHECK(learnann_build_bytes(1000000, 128, &options) < 550000000);
        CHECK(learnann_build_bytes(100, 128, &options) < 12000000);
    }
}

// Found by fuzzing: margins of the calibration were NaN, and the file did not verify.
TEST_CASE("rows and queries as long as they may be: the file verifies, trained too") {
    for (const learnann_metric metric : all_metrics)
        for (const double far : {1e9, 1e15, 4.9e17})
            for (const uint32_t every : {1u, 5u}) {
                CAPTURE(metric);
                CAPTURE(far);
                Rows rows = clustered(1100, 4, LEARNANN_F32, 80), log = clustered(30, 4, LEARNANN_F32, 81);
                for (Rows *all : {&rows, &log})
                    for (uint64_t i = 0; i < all->count; i += every)
                        for (uint32_t j = 0; j < 4; ++j) all->set(i, j, (j % 2 ? far : -far) * (0.1 + 0.9 * static_cast<double>(i) / 1100));
                const Index built(rows, build_options(metric));
                REQUIRE(built.status == LEARNANN_OK);
                CHECK(learnann_verify(built.handle, nullptr) == LEARNANN_OK);
                const learnann_vectors queries = log.view();
                const learnann_build_options options = build_options();
                learnann_builder *builder = nullptr;
                REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
                CHECK(learnann_builder_train(builder, built.handle, &queries, nullptr) == LEARNANN_OK);
                const Index trained{bytes_of(builder)};
                learnann_builder_free(builder);
                REQUIRE(trained.status == LEARNANN_OK);
                CHECK(learnann_verify(trained.handle, nullptr) == LEARNANN_OK);
            }
}

// Found by fuzzing: products of opposite signs overflowed to NaN, and such rows were no hits.
TEST_CASE("rows of any length: k hits, and distances as doubles have them") {
    for (const learnann_metric metric : all_metrics)
        for (const learnann_exact exact : {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_I8, LEARNANN_EXACT_U8, LEARNANN_EXACT_I2})
            for (const double far : {1e-44, 1e-39, 1e-25, 1.0, 1e9, 1e16}) {
                CAPTURE(metric);
                CAPTURE(exact);
                CAPTURE(far);
                Rows rows = clustered(40, 6, LEARNANN_F32, 84);
                for (uint64_t i = 0; i < rows.count; ++i)
                    for (uint32_t j = 0; j < rows.dim; ++j) rows.set(i, j, rows.value(i, j) * far);
                Index index(rows, build_options(metric, exact));
                REQUIRE(index.status == LEARNANN_OK);
                const std::vector<double> stored = index.stored(), queries = rows.doubles();
                for (uint64_t i = 0; i < rows.count; i += 7) {
                    const std::vector<learnann_hit> hits = index.search(rows.one(i), 10);
                    CHECK(hits.size() == 10);
                    CHECK(in_order(hits));
                    if (exact == LEARNANN_EXACT_I2) continue;       // rough distances
                    const double *q = queries.data() + i * rows.dim;
                    for (const learnann_hit &hit : hits) {
                        const double *x = stored.data() + uint64_t{hit.row} * rows.dim;
                        const double truth = distance(metric, q, x, rows.dim), slack = tolerance(metric, q, x, rows.dim) + 1e-30;
                        CHECK((std::fabs(hit.distance - truth) <= slack || far < 1e-40));       // of numbers that small a float holds a digit
                    }
                }
            }
}

TEST_CASE("NaN and infinity in rows: the first such row is named") {
    const double bad_values[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity()};
    for (const uint64_t n : {50u, 1500u})
        for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16})
            for (const learnann_metric metric : all_metrics)
                for (const double bad : bad_values) {
                    CAPTURE(n);
                    CAPTURE(type);
                    CAPTURE(metric);
                    Rows rows = clustered(n, 6, type, 60);
                    for (uint64_t i = 17; i < n; i += i < 40 ? 13 : 1) rows.set(i, 5, bad);
                    Memory file;
                    learnann_error error{};
                    CHECK(build(rows, build_options(metric), nullptr, file, &error) == LEARNANN_ARGUMENT);
                    CHECK(error.status == LEARNANN_ARGUMENT);
                    CHECK(error.file_offset == 17);
                }
    // In the very last row alone, on several threads.
    Rows rows = clustered(3000, 6, LEARNANN_F32, 61);
    rows.set(2999, 0, bad_values[0]);
    learnann_build_options options = build_options();
    options.threads = 3;
    Memory file;
    learnann_error error{};
    CHECK(build(rows, options, nullptr, file, &error) == LEARNANN_ARGUMENT);
    CHECK(error.file_offset == 2999);
    // In sample queries, and values that half floats can't hold.
    const Rows good = clustered(500, 6, LEARNANN_F32, 62);
    Rows sample = clustered(30, 6, LEARNANN_F32, 63);
    sample.set(3, 3, bad_values[1]);
    const learnann_vectors queries = sample.view();
    options.queries = &queries;
    CHECK(build(good, options, nullptr, file, &error) == LEARNANN_ARGUMENT);
    Rows large = good;
    large.set(77, 2, 1e6);
    CHECK(build(large, build_options(LEARNANN_L2, LEARNANN_EXACT_F16), nullptr, file, &error) == LEARNANN_ARGUMENT);
    CHECK(error.file_offset == 77);
    CHECK(error.place == LEARNANN_AT_ROW);
    CHECK(build(large, build_options(LEARNANN_L2, LEARNANN_EXACT_I8), nullptr, file, &error) == LEARNANN_OK);
}

TEST_CASE("wrong options and arguments") {
    const auto refused = [](const learnann_build_options &o, learnann_status wanted = LEARNANN_ARGUMENT) {
        int place = 0;
        learnann_builder *builder = reinterpret_cast<learnann_builder *>(&place);
        learnann_error error{};
        CHECK(learnann_builder_create(&o, &builder, &error) == wanted);
        CHECK(builder == nullptr);
        CHECK(error.status == wanted);
        CHECK(std::strlen(error.message) > 0);
        CHECK(learnann_build_bytes(10, 4, &o) == 0);
    };
    const learnann_build_options good = build_options();
    learnann_build_options o = good;
    o.metric = no_such<learnann_metric>(4);
    refused(o);
    for (const uint32_t bytes : {1u, 8u, 17u, 24u, 1025u, 1040u, UINT32_MAX}) {
        o = good;
        o.code_bytes = bytes;
        refused(o);
    }
    for (const uint32_t degree : {1u, 3u, 129u, UINT32_MAX}) {
        o = good;
        o.degree = degree;
        refused(o);
    }
    o = good;
    o.exact = no_such<learnann_exact>(9);
    refused(o);
    o = good;
    o.spectral = no_such<learnann_spectral>(4);
    refused(o);
    o = good;
    o.graph = no_such<learnann_graph>(7);
    refused(o, LEARNANN_UNSUPPORTED);
    for (const uint32_t size : {0u, 3u, 5000u, UINT32_MAX}) {
        o = good;
        o.struct_size = size;
        refused(o);
    }
    learnann_vectors queries{nullptr, 5, 0, 4, LEARNANN_F32};
    o = good;
    o.queries = &queries;
    refused(o);
    float values[20] = {};
    queries = learnann_vectors{values, 0, 0, 4, LEARNANN_F32};
    refused(o);
    const learnann_allocator half{CountingAllocator::allocate, nullptr, nullptr};
    o = good;
    o.allocator = &half;
    learnann_builder *builder = nullptr;
    CHECK(learnann_builder_create(&o, &builder, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_create(&good, nullptr, nullptr) == LEARNANN_ARGUMENT);

    // Rows.
    REQUIRE(learnann_builder_create(nullptr, &builder, nullptr) == LEARNANN_OK);
    const learnann_vectors rows{values, 5, 0, 4, LEARNANN_F32};
    const auto wrong = [&](learnann_vectors v) {
        learnann_error error{};
        (void)learnann_builder_run(builder, &rows, nullptr, nullptr);
        CHECK(learnann_builder_run(builder, &v, nullptr, &error) == LEARNANN_ARGUMENT);
        CHECK(error.status == LEARNANN_ARGUMENT);
        CHECK(learnann_builder_bytes(builder) == 0);        // not what was built before
    };
    CHECK(learnann_builder_run(nullptr, &rows, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_run(builder, nullptr, nullptr, nullptr) == LEARNANN_ARGUMENT);
    wrong({nullptr, 5, 0, 4, LEARNANN_F32});
    wrong({values, 0, 0, 4, LEARNANN_F32});
    wrong({values, 5, 0, 0, LEARNANN_F32});
    wrong({values, 5, 0, 65536, LEARNANN_F32});
    wrong({values, 5, 15, 4, LEARNANN_F32});
    wrong({values, 5, 0, 4, no_such<learnann_type>(0)});
    wrong({values, 5, 0, 4, no_such<learnann_type>(5)});
    wrong({values, 0xffffffffull, 0, 4, LEARNANN_F32});
    wrong({values, UINT64_MAX, 0, 4, LEARNANN_F32});
    wrong({values, 1ull << 33, UINT64_MAX / 4, 4, LEARNANN_F32});
    CHECK(learnann_builder_save(builder, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_save(nullptr, "x.la", nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_save(builder, "", nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_write(builder, nullptr, 0, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_report(builder, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_report(nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_builder_bytes(nullptr) == 0);
    learnann_builder_free(builder);
    learnann_builder_free(nullptr);

    // Sample queries of another dimension.
    queries = learnann_vectors{values, 4, 0, 5, LEARNANN_F32};
    o = good;
    o.queries = &queries;
    REQUIRE(learnann_builder_create(&o, &builder, nullptr) == LEARNANN_OK);
    wrong(rows);
    learnann_builder_free(builder);
}

TEST_CASE("structs of older and newer callers") {
    const Rows rows = clustered(300, 4, LEARNANN_F32, 64);
    const learnann_vectors view = rows.view();
    Memory expected;
    REQUIRE(build(rows, build_options(LEARNANN_COS), nullptr, expected) == LEARNANN_OK);
    struct Newer {
        learnann_build_options known;
        uint64_t unknown[8];
    } newer;
    std::memset(&newer, 0xff, sizeof newer);
    newer.known = build_options(LEARNANN_COS);
    newer.known.struct_size = sizeof newer;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&newer.known, &builder, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    CHECK(bytes_of(builder) == expected);
    // A report of a caller who knows less: nothing behind its end is written.
    learnann_build_report report;
    std::memset(&report, 0x5a, sizeof report);
    report.struct_size = offsetof(learnann_build_report, seconds);
    CHECK(learnann_builder_report(builder, &report) == LEARNANN_OK);
    CHECK(report.rows == 300);
    CHECK(report.struct_size == offsetof(learnann_build_report, seconds));
    CHECK(reinterpret_cast<const uint8_t *>(&report)[offsetof(learnann_build_report, seconds)] == 0x5a);
    learnann_builder_free(builder);

    // An older caller, who knows nothing behind the metric; what follows is garbage.
    learnann_build_options older;
    std::memset(&older, 0xff, sizeof older);
    older.struct_size = offsetof(learnann_build_options, threads);
    older.metric = LEARNANN_COS;
    REQUIRE(learnann_builder_create(&older, &builder, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    CHECK(bytes_of(builder) == expected);
    learnann_builder_free(builder);

    // Searches.
    Index index{expected};
    REQUIRE(index.status == LEARNANN_OK);
    const auto hits = index.search(rows.one(7), 5);
    struct {
        learnann_search_options known;
        uint64_t unknown[4];
    } options;
    std::memset(&options, 0xff, sizeof options);
    options.known = learnann_search_options_default();
    options.known.struct_size = sizeof options;
    std::vector<learnann_hit> again(5);
    uint32_t count = 0;
    const learnann_vectors query = rows.one(7);
    learnann_search_stats stats;
    std::memset(&stats, 0x5a, sizeof stats);
    stats.struct_size = offsetof(learnann_search_stats, distances);
    CHECK(learnann_search(index.handle, index.scratch, &query, 5, &options.known, again.data(), &count, &stats,
                          nullptr) == LEARNANN_OK);
    CHECK(same_hits(hits, again));
    CHECK(stats.queries == 1);
    CHECK(stats.distances == 0x5a5a5a5a5a5a5a5aull);
    learnann_index_info info;
    std::memset(&info, 0x5a, sizeof info);
    info.struct_size = offsetof(learnann_index_info, dim);
    CHECK(learnann_get_info(index.handle, &info) == LEARNANN_OK);
    CHECK(info.rows == 300);
    CHECK(info.dim == 0x5a5a5a5a);
    info.struct_size = 0;
    CHECK(learnann_get_info(index.handle, &info) == LEARNANN_ARGUMENT);
}
