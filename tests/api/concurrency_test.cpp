// concurrency_test.cpp: many threads and many processes at once give what one gives. Also run under ThreadSanitizer (make tsan).
#include "folder.hpp"

#include <atomic>
#include <thread>

#if HAVE_POSIX
#include <sys/wait.h>
#endif

using namespace testdata;

namespace {

constexpr uint32_t dim = 16, k = 8;

int third(void *, uint64_t key) { return key % 3 == 0; }

// Every kind of search of all queries, with a scratch of its own: the hits of all, one after the other. Empty where one fails.
std::vector<learnann_hit> all_hits(const learnann_index *index, const Rows &queries) {
    std::vector<learnann_hit> all, hits(queries.count * k);
    std::vector<uint32_t> counts(queries.count);
    const learnann_filter filter{LEARNANN_FILTER_PREDICATE, nullptr, 0, third, nullptr};
    learnann_search_options options = learnann_search_options_default();
    options.effort = 30;
    options.threads = 2;
    learnann_scratch *scratch = nullptr;
    bool right = learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK;
    const auto keep = [&](uint64_t query) { all.insert(all.end(), &hits[query * k], &hits[query * k] + counts[query]); };
    for (const learnann_filter *f : {static_cast<const learnann_filter *>(nullptr), &filter}) {
        options.filter = f;
        for (uint64_t i = 0; i < queries.count; ++i) {
            const learnann_vectors query = queries.one(i);
            right = learnann_search(index, scratch, &query, k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK && right;
            keep(0);
            right = learnann_search_range(index, scratch, &query, 8, k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK && right;
            keep(0);
        }
        const learnann_vectors view = queries.view();
        right = learnann_search_interleaved(index, scratch, &view, k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK && right;
        for (uint64_t i = 0; i < queries.count; ++i) keep(i);
        right = learnann_search_batch(index, &view, k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK && right;
        for (uint64_t i = 0; i < queries.count; ++i) keep(i);
    }
    learnann_scratch_free(scratch);
    if (!right) all.clear();
    return all;
}

template <class Work> void on_threads(uint32_t threads, Work work) {
    std::vector<std::thread> all;
    for (uint32_t t = 0; t < threads; ++t) all.emplace_back([&work, t] { work(t); });
    for (std::thread &thread : all) thread.join();
}

const Rows &data() {
    static const Rows rows = clustered(3000, dim, LEARNANN_F32, 110);
    return rows;
}
const Rows &asked() {
    static const Rows queries = clustered(40, dim, LEARNANN_F32, 111);
    return queries;
}

}  // namespace

TEST_CASE("threads: 16 on one index give the hits of one, by every kind of search") {
    Index index(data(), build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const std::vector<learnann_hit> expected = all_hits(index.handle, asked());
    REQUIRE(expected.size() > 2 * 3 * asked().count * k);
    std::atomic<uint32_t> wrong{0};
    on_threads(16, [&](uint32_t) { wrong += !same_hits(all_hits(index.handle, asked()), expected); });
    CHECK(wrong == 0);
}

TEST_CASE("threads: some open, search and close the file while others search their own handles") {
    const Folder folder;
    const Built built(data());
    const std::string path = folder.file("shared.la");
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    learnann_index *lasting = nullptr;
    REQUIRE(learnann_open(path.c_str(), nullptr, &lasting, nullptr) == LEARNANN_OK);
    const std::vector<learnann_hit> expected = all_hits(lasting, asked());
    REQUIRE(!expected.empty());
    std::atomic<uint32_t> wrong{0};
    on_threads(6, [&](uint32_t t) {
        for (uint32_t round = 0; round < 4; ++round) {
            learnann_open_options options = learnann_open_options_default();
            options.flags = t % 4;      // resident, flash, both, neither
            learnann_index *own = nullptr;
            if (t >= 4) {
                wrong += !same_hits(all_hits(lasting, asked()), expected);
            } else if (learnann_open(path.c_str(), &options, &own, nullptr) == LEARNANN_OK) {
                wrong += !same_hits(all_hits(own, asked()), expected);
                learnann_close(own);
            } else {
                ++wrong;
            }
        }
    });
    CHECK(wrong == 0);
    learnann_close(lasting);
}

TEST_CASE("threads: builds side by side, some cancelled from their progress callback, give the bytes of one alone") {
    const Rows rows = clustered(1200, dim, LEARNANN_F32, 112);
    learnann_build_options options = build_options();
    options.threads = 2;
    Memory expected;
    REQUIRE(build(rows, options, nullptr, expected) == LEARNANN_OK);
    std::atomic<uint32_t> wrong{0}, cancelled{0};
    on_threads(4, [&](uint32_t t) {
        struct Countdown {
            uint32_t left;
            static int tick(void *self, const char *, double) { return --static_cast<Countdown *>(self)->left == 0; }
        };
        for (uint32_t round = 0; round < 3; ++round) {
            Countdown countdown{t % 2 ? 1 + 3 * round : UINT32_MAX};
            learnann_build_options own = options;
            own.progress = Countdown::tick;
            own.progress_context = &countdown;
            Memory file;
            const learnann_status status = build(rows, own, nullptr, file);
            wrong += status != (t % 2 ? LEARNANN_CANCELLED : LEARNANN_OK);
            wrong += status == LEARNANN_OK && !(file == expected);
            cancelled += status == LEARNANN_CANCELLED;
        }
    });
    CHECK(wrong == 0);
    CHECK(cancelled == 6);
}

TEST_CASE("threads: a threaded batch asks its filter from all of them, and each query gets its own hits") {
    Index index(data(), build_options());
    REQUIRE(index.status == LEARNANN_OK);
    const Rows queries = clustered(1500, dim, LEARNANN_F32, 113);
    std::atomic<uint64_t> asked_keys{0};
    const learnann_filter filter{LEARNANN_FILTER_PREDICATE, nullptr, 0,
                                 [](void *context, uint64_t key) -> int {
                                     ++*static_cast<std::atomic<uint64_t> *>(context);
                                     return key % 2 == 1;
                                 },
                                 &asked_keys};
    learnann_search_options options = learnann_search_options_default();
    options.effort = 30;
    options.filter = &filter;
    options.threads = 8;
    std::vector<learnann_hit> hits(queries.count * k);
    std::vector<uint32_t> counts(queries.count);
    const learnann_vectors view = queries.view();
    REQUIRE(learnann_search_batch(index.handle, &view, k, &options, hits.data(), counts.data(), nullptr, nullptr) == LEARNANN_OK);
    CHECK(asked_keys > queries.count);
    size_t wrong = 0;
    for (uint64_t i = 0; i < queries.count; ++i)
        wrong += !same_hits(index.search(queries.one(i), k, 30, &filter), std::vector<learnann_hit>(&hits[i * k], &hits[i * k] + counts[i]));
    CHECK(wrong == 0);
}

#if HAVE_POSIX
TEST_CASE("processes: eight map one file and find what this one finds") {
    const Folder folder;
    const Built built(data());
    const std::string path = folder.file("shared.la");
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    learnann_index *inherited = nullptr;
    REQUIRE(learnann_open(path.c_str(), nullptr, &inherited, nullptr) == LEARNANN_OK);
    const std::vector<learnann_hit> expected = all_hits(inherited, asked());
    REQUIRE(!expected.empty());
    pid_t children[8];
    for (pid_t &child : children) {
        child = ::fork();
        if (child != 0) continue;
        learnann_index *own = nullptr;      // and the one from before the fork
        const bool right = learnann_open(path.c_str(), nullptr, &own, nullptr) == LEARNANN_OK && same_hits(all_hits(own, asked()), expected) &&
                           same_hits(all_hits(inherited, asked()), expected);
        learnann_close(own);
        ::_exit(right ? 0 : 1);
    }
    int failed = 0;
    for (const pid_t child : children) {
        int status = 0;
        failed += ::waitpid(child, &status, 0) != child || status != 0;
    }
    CHECK(failed == 0);
    learnann_close(inherited);
}
#endif
