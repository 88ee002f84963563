// soak.cpp SECONDS THREADS: searches of every kind on one index from several threads, with opening and closing between, for as long
// as asked. Every answer is compared with that of one thread alone, and memory must not grow once all is warm. Ends with one line.
#include "testdata.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

using namespace testdata;

namespace {

constexpr uint32_t n = 20000, dim = 32, k = 10, queries_count = 256, group = 16;
const char *const path = "soak_test.la";

enum Kind { single, filtered, bitmap, range, interleaved, batch, reopened, kinds };
const char *const names[kinds] = {"single", "filtered by callback", "by bitmap", "range", "interleaved", "batches", "opened and closed"};

int odd(void *, uint64_t key) { return key & 1; }

// What is asked; the same for all threads.
struct Questions {
    Rows queries = clustered(queries_count, dim, LEARNANN_F32, 2);
    std::vector<uint64_t> bits = std::vector<uint64_t>((n + 63) / 64, 0x00ff0f0f33335555ull);
    learnann_filter by_callback{LEARNANN_FILTER_PREDICATE, nullptr, 0, odd, nullptr};
    learnann_filter by_bits{LEARNANN_FILTER_ROWS, bits.data(), n, nullptr, nullptr};

    // One query, or `group` of them from there on where the kind takes many. Empty where the search fails.
    std::vector<learnann_hit> ask(Kind kind, uint32_t at, const learnann_index *index, learnann_scratch *scratch) const {
        learnann_search_options options = learnann_search_options_default();
        options.effort = 40;
        options.threads = 2;
        options.filter = kind == filtered ? &by_callback : kind == bitmap ? &by_bits : nullptr;
        const bool many = kind == interleaved || kind == batch;
        learnann_vectors query = queries.one(at);
        query.count = many ? group : 1;
        std::vector<learnann_hit> hits(query.count * k), found;
        std::vector<uint32_t> counts(query.count);
        learnann_status status = LEARNANN_OK;
        if (kind == range) status = learnann_search_range(index, scratch, &query, 12, k, &options, hits.data(), counts.data(), nullptr, nullptr);
        else if (kind == interleaved) status = learnann_search_interleaved(index, scratch, &query, k, &options, hits.data(), counts.data(), nullptr, nullptr);
        else if (kind == batch) status = learnann_search_batch(index, &query, k, &options, hits.data(), counts.data(), nullptr, nullptr);
        else status = learnann_search(index, scratch, &query, k, &options, hits.data(), counts.data(), nullptr, nullptr);
        for (uint64_t i = 0; i < query.count && status == LEARNANN_OK; ++i) found.insert(found.end(), &hits[i * k], &hits[i * k] + counts[i]);
        return found;
    }
};

// Private memory of this process, in bytes; what is mapped from files does not count.
uint64_t private_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("RssAnon:", 0) == 0) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
    return 0;
}

struct Soak {
    Questions questions;
    std::vector<std::vector<learnann_hit>> expected[kinds];
    learnann_index *index = nullptr;
    CountingAllocator lasting, passing;     // of the shared index and its scratches; of those opened on the way
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> done[kinds] = {}, wrong{0};

    learnann_index *open(CountingAllocator &counter, uint32_t flags) {
        const learnann_allocator hooks = counter.hooks();
        learnann_open_options options = learnann_open_options_default();
        options.allocator = &hooks;
        options.flags = flags;
        learnann_index *opened = nullptr;
        wrong += learnann_open(path, &options, &opened, nullptr) != LEARNANN_OK;
        return opened;
    }
    void check(Kind kind, uint32_t at, const learnann_index *from, learnann_scratch *scratch) {
        const Kind asked = kind == reopened ? single : kind;
        wrong += !same_hits(questions.ask(asked, at, from, scratch), expected[asked][at]);
        ++done[kind];
    }
    void work(uint64_t seed) {
        Random random(seed);
        learnann_scratch *scratch = nullptr;
        wrong += learnann_scratch_create(index, &scratch, nullptr) != LEARNANN_OK;
        while (!stop) {
            const uint32_t at = random.below(queries_count - group), dice = random.below(100);
            if (dice < 94) {
                check(static_cast<Kind>(dice % batch), at, index, scratch);
            } else if (dice < 97) {
                check(batch, at, index, scratch);
            } else {
                learnann_index *own = open(passing, random.below(4));
                learnann_scratch *with = nullptr;
                wrong += learnann_scratch_create(own, &with, nullptr) != LEARNANN_OK;
                check(reopened, at, own, with);
                learnann_scratch_free(with);
                learnann_close(own);
            }
        }
        learnann_scratch_free(scratch);
    }
};

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

}  // namespace

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
    const int threads = argc > 2 ? std::atoi(argv[2]) : 4;
    if (seconds <= 0 || threads < 1) return std::fprintf(stderr, "usage: soak SECONDS THREADS\n"), 2;
    static Soak soak;
    {
        const Rows rows = clustered(n, dim, LEARNANN_F32, 1);
        const learnann_build_options options = build_options();
        const learnann_vectors view = rows.view();
        learnann_builder *builder = nullptr;
        const bool built = learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK &&
                           learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK && learnann_builder_save(builder, path, nullptr) == LEARNANN_OK;
        learnann_builder_free(builder);
        if (!built) return std::fprintf(stderr, "soak: no index\n"), 1;
    }
    soak.index = soak.open(soak.lasting, 0);
    learnann_scratch *scratch = nullptr;
    if (!soak.index || learnann_scratch_create(soak.index, &scratch, nullptr) != LEARNANN_OK) return 1;
    for (int kind = 0; kind < reopened; ++kind)
        for (uint32_t at = 0; at < queries_count - group; ++at)
            soak.expected[kind].push_back(soak.questions.ask(static_cast<Kind>(kind), at, soak.index, scratch));
    learnann_scratch_free(scratch);

    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) all.emplace_back([t] { soak.work(static_cast<uint64_t>(t) + 1); });
    const double warm_up = std::min(30.0, seconds / 3);
    sleep(warm_up);
    const uint64_t before = private_bytes();
    uint64_t most = before;
    int64_t most_held = 0;
    for (double left = seconds - warm_up; left > 0; left -= 0.5) {
        sleep(std::min(left, 0.5));
        most = std::max(most, private_bytes());
        most_held = std::max<int64_t>(most_held, soak.lasting.live_bytes);
    }
    soak.stop = true;
    for (std::thread &thread : all) thread.join();
    const uint64_t after = private_bytes();
    learnann_close(soak.index);
    std::remove(path);

    // Threads' scratches, and those of batches on their way: 64 KiB each is twice what they need. Of the process's memory, what the
    // system's allocator keeps may move a little.
    const int64_t held_limit = static_cast<int64_t>(threads) * (1 + 2) * 65536 * 2;
    const bool leaks = soak.lasting.live != 0 || soak.passing.live != 0, grew = after > before + (4u << 20) || most_held > held_limit;
    uint64_t searches = 0;
    std::string counts;
    for (int kind = 0; kind < kinds; ++kind) {
        searches += soak.done[kind] * (kind == interleaved || kind == batch ? group : 1);
        counts += (kind ? ", " : "") + std::to_string(soak.done[kind]) + " " + names[kind];
    }
    std::printf("soak: %.0f s, %d threads, %llu searches (%s): %llu wrong; private memory %.1f MiB warm, %.1f at most, %.1f at the end; "
                "%lld bytes held at most, %lld blocks left\n",
                seconds, threads, static_cast<unsigned long long>(searches), counts.c_str(), static_cast<unsigned long long>(soak.wrong.load()),
                static_cast<double>(before) / 1048576, static_cast<double>(most) / 1048576, static_cast<double>(after) / 1048576,
                static_cast<long long>(most_held), static_cast<long long>(soak.lasting.live + soak.passing.live));
    return soak.wrong == 0 && !leaks && !grew ? 0 : 1;
}
