// memory_test.cpp: memory that runs out at every single allocation, of every call that allocates: alone, and with all after it. The
// status is NOMEM, nothing is leaked, no file is left, and what there was goes on where memory is back.
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace testdata;

namespace {

namespace fs = std::filesystem;

// run(allocator, error) with an allocator that fails from its n-th call on, for n = 0, step, 2 step ... until there is no n-th call, and
// with one that fails at that call only, for those halfway between. Returns how many failed. A run may succeed where it can do without, or where threads share the calls in another way.
template <class Run> int each_allocation(int64_t step, Run run) {
    int failed = 0, wrong = 0;
    for (const bool lasting : {true, false}) {
        bool reached = true;
        for (int64_t n = lasting ? 0 : step / 2; reached && n < 5000; n += step) {
            CountingAllocator counter;
            counter.lasting = lasting;
            counter.fail_after(n);
            const learnann_allocator hooks = counter.hooks();
            learnann_error error{};
            const learnann_status status = run(counter, hooks, error);
            reached = counter.calls > n;
            wrong += status != LEARNANN_OK && (status != LEARNANN_NOMEM || error.status != LEARNANN_NOMEM);
            wrong += !reached && status != LEARNANN_OK;
            wrong += counter.live != 0 || counter.live_bytes != 0;
            failed += status != LEARNANN_OK;
        }
        CHECK(!reached);
    }
    CHECK(wrong == 0);
    return failed;
}

Memory bytes_of(learnann_builder *builder) {
    Memory file(learnann_builder_bytes(builder));
    CHECK(learnann_builder_write(builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
    return file;
}

// An empty folder, for one test.
struct Folder {
    fs::path path;
    explicit Folder(const char *name) : path(fs::temp_directory_path() / (name + std::to_string(Random(reinterpret_cast<uintptr_t>(this)).next()))) {
        fs::create_directory(path);
    }
    ~Folder() { fs::remove_all(path); }
    size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator())); }
    std::string file(const char *name) const { return (path / name).string(); }
};

}  // namespace

TEST_CASE("a build whose allocator fails at any call ends with NOMEM, and leaks nothing") {
    for (const learnann_metric metric : {LEARNANN_COS, LEARNANN_IP}) {
        CAPTURE(metric);
        // Enough rows to hold some out, the smallest that visits every phase; many fail late, so the rows are tiny.
        const Rows rows = clustered(1000, 2, LEARNANN_F32, 65);
        const learnann_vectors view = rows.view();
        std::vector<uint64_t> keys(rows.count);
        for (uint64_t i = 0; i < rows.count; ++i) keys[i] = 3 * i;
        learnann_build_options options = build_options(metric, metric == LEARNANN_IP ? LEARNANN_EXACT_I8 : LEARNANN_EXACT_I4);
        const int failed = each_allocation(SANITIZED ? 5 : 2, [&](CountingAllocator &, const learnann_allocator &hooks, learnann_error &error) {
            options.allocator = &hooks;
            learnann_builder *builder = nullptr;
            learnann_status status = learnann_builder_create(&options, &builder, &error);
            if (status == LEARNANN_OK) status = learnann_builder_run(builder, &view, keys.data(), &error);
            if (status == LEARNANN_OK) {
                Memory file(learnann_builder_bytes(builder));
                status = learnann_builder_write(builder, file.data(), file.size(), &error);
                if (status == LEARNANN_OK) CHECK(Index(file).status == LEARNANN_OK);
            }
            learnann_builder_free(builder);
            return status;
        });
        CHECK(failed > 20);
    }
}

TEST_CASE("every graph's build whose allocator fails at any call ends with NOMEM, and leaks nothing") {
    const Rows rows = clustered(1000, 2, LEARNANN_F32, 69);
    for (const learnann_graph graph : {LEARNANN_GRAPH_KNN, LEARNANN_GRAPH_NSW, LEARNANN_GRAPH_HNSW, LEARNANN_GRAPH_UNIFORM}) {
        CAPTURE(graph);
        learnann_build_options options = build_options();
        options.graph = graph;
        const int failed = each_allocation(SANITIZED ? 15 : 5, [&](CountingAllocator &, const learnann_allocator &hooks, learnann_error &error) {
            options.allocator = &hooks;
            Memory file;
            return build(rows, options, nullptr, file, &error);
        });
        CHECK(failed > (SANITIZED ? 3 : 10));
    }
}

TEST_CASE("a threaded build whose allocator fails ends with NOMEM, and leaks nothing") {
    const Rows rows = clustered(1200, 2, LEARNANN_F32, 66);
    learnann_build_options options = build_options(LEARNANN_IP);
    options.threads = 3;
    const int failed = each_allocation(23, [&](CountingAllocator &, const learnann_allocator &hooks, learnann_error &error) {
        options.allocator = &hooks;
        Memory file;
        return build(rows, options, nullptr, file, &error);
    });
    CHECK(failed > 2);
}

TEST_CASE("a builder that ran out of memory runs again") {
    const Rows rows = clustered(1000, 3, LEARNANN_F32, 67);
    const learnann_vectors view = rows.view();
    CountingAllocator counter;
    const learnann_allocator hooks = counter.hooks();
    learnann_build_options options = build_options(LEARNANN_IP);
    Memory expected;
    REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
    options.allocator = &hooks;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    for (const int64_t n : {0, 3, 10, 30, 60, 90, 120}) {
        counter.fail_after(n);
        const learnann_status status = learnann_builder_run(builder, &view, nullptr, nullptr);
        CHECK((status == LEARNANN_NOMEM || status == LEARNANN_OK));
        CHECK((learnann_builder_bytes(builder) == 0) == (status != LEARNANN_OK));
    }
    counter.fail_after(-1);
    REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    CHECK(bytes_of(builder) == expected);
    learnann_builder_free(builder);
    CHECK(counter.live == 0);
}

TEST_CASE("training with an allocator that fails at any call") {
    const Rows rows = clustered(1100, 4, LEARNANN_F32, 80), few = clustered(30, 4, LEARNANN_F32, 81),
               many = clustered(1400, 4, LEARNANN_F32, 82);
    const Index index(rows, build_options(LEARNANN_IP));
    learnann_build_options options = build_options();
    // A few queries calibrate, many teach, at more cost.
    for (const Rows *log : {&few, &many}) {
        const learnann_vectors queries = log->view();
        const int failed = each_allocation(log == &few ? 1 : 6, [&](CountingAllocator &, const learnann_allocator &hooks, learnann_error &error) {
            options.allocator = &hooks;
            learnann_builder *builder = nullptr;
            learnann_status status = learnann_builder_create(&options, &builder, &error);
            if (status == LEARNANN_OK) status = learnann_builder_train(builder, index.handle, &queries, &error);
            CHECK((learnann_builder_bytes(builder) == 0) == (status != LEARNANN_OK));
            learnann_builder_free(builder);
            return status;
        });
        CHECK(failed > 20);
    }
}

TEST_CASE("a save whose allocator fails leaves no file") {
    const Folder folder("learnann-memory-");
    const Rows rows = clustered(600, 5, LEARNANN_F32, 75);
    const learnann_vectors view = rows.view();
    learnann_build_options options = build_options(LEARNANN_COS);
    size_t files = 0;
    const int failed = each_allocation(1, [&](CountingAllocator &counter, const learnann_allocator &hooks, learnann_error &error) {
        const int64_t n = counter.fail_at;
        counter.fail_after(-1);
        options.allocator = &hooks;
        learnann_builder *builder = nullptr;
        REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        counter.fail_after(n);
        const learnann_status status = learnann_builder_save(builder, folder.file("small.la").c_str(), &error);
        files += folder.files() != (status == LEARNANN_OK ? 1 : 0);
        fs::remove(folder.file("small.la"));
        learnann_builder_free(builder);
        return status;
    });
    CHECK(files == 0);
    CHECK(failed > 2);
}

TEST_CASE("opening a file with an allocator that fails at any call") {
    const Folder folder("learnann-memory-");
    Memory bytes;
    REQUIRE(build(clustered(700, 6, LEARNANN_U8, 83), build_options(), nullptr, bytes) == LEARNANN_OK);
    const std::string path = folder.file("index.la");
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    for (const uint32_t flags : {0u, LEARNANN_OPEN_RESIDENT, LEARNANN_OPEN_FLASH, LEARNANN_OPEN_RESIDENT | LEARNANN_OPEN_FLASH}) {
        CAPTURE(flags);
        const int failed = each_allocation(1, [&](CountingAllocator &, const learnann_allocator &hooks, learnann_error &error) {
            learnann_open_options open = learnann_open_options_default();
            open.flags = flags;
            open.allocator = &hooks;
            int place = 0;
            learnann_index *index = reinterpret_cast<learnann_index *>(&place);
            const learnann_status status = learnann_open(path.c_str(), &open, &index, &error);
            CHECK((index == nullptr) == (status != LEARNANN_OK));
            learnann_close(index);
            return status;
        });
        CHECK(failed >= 2);
    }
}

TEST_CASE("searching with an allocator that fails at any call") {
    const Rows rows = clustered(1500, 6, LEARNANN_F32, 68), queries = clustered(100, 6, LEARNANN_F32, 69);
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    learnann_search_options options = learnann_search_options_default();
    options.effort = 40;
    options.threads = 2;
    const learnann_filter filter{LEARNANN_FILTER_PREDICATE, nullptr, 0,
                                 [](void *, uint64_t key) -> int { return key % 4 != 0; }, nullptr};
    const learnann_vectors view = queries.view(), one = queries.one(0);
    std::vector<learnann_hit> hits(100 * 10);
    std::vector<uint32_t> counts(100);
    // Each kind by itself: 0 single, 1 interleaved, 2 batch, 3 range, 4 filtered, 5 verify.
    for (int kind = 0; kind < 6; ++kind) {
        CAPTURE(kind);
        options.filter = kind == 4 ? &filter : nullptr;
        const int failed = each_allocation(1, [&](CountingAllocator &counter, const learnann_allocator &hooks, learnann_error &error) {
            learnann_open_options open = learnann_open_options_default();
            open.allocator = &hooks;
            int place = 0;
            learnann_index *index = reinterpret_cast<learnann_index *>(&place);
            learnann_scratch *scratch = nullptr;
            learnann_search_stats stats = learnann_search_stats_default();
            std::fill(counts.begin(), counts.end(), 5u);
            learnann_status status = learnann_open_memory(file.data(), file.size(), &open, &index, &error);
            if (status != LEARNANN_OK) CHECK(index == nullptr);
            if (status == LEARNANN_OK) status = learnann_scratch_create(index, &scratch, &error);
            if (status == LEARNANN_OK) {
                learnann_hit *h = hits.data();
                uint32_t *c = counts.data();
                if (kind == 0 || kind == 4)
                    status = learnann_search(index, scratch, &one, 10, &options, h, c, &stats, &error);
                if (kind == 1)
                    status = learnann_search_interleaved(index, scratch, &view, 10, &options, h, c, &stats, &error);
                if (kind == 2) status = learnann_search_batch(index, &view, 10, &options, h, c, &stats, &error);
                if (kind == 3)
                    status = learnann_search_range(index, scratch, &one, 1e9f, 10, &options, h, c, &stats, &error);
                if (kind == 5) status = learnann_verify(index, &error);
                if (status != LEARNANN_OK && kind != 5) CHECK(counts[0] == 0);
                // The same scratch and index go on where memory is back.
                const int64_t calls = counter.calls;
                counter.fail_at = -1;
                CHECK(learnann_search(index, scratch, &one, 10, &options, h, c, nullptr, nullptr) == LEARNANN_OK);
                counter.calls = calls;
            }
            learnann_scratch_free(scratch);
            learnann_close(index);
            return status;
        });
        CHECK(failed >= 3);
    }
}
