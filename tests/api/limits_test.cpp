// limits_test.cpp: the most rows, the most dimensions, files larger than the address space, the stack.
#include "folder.hpp"
#include "indexfile.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#if HAVE_POSIX
#include <pthread.h>
#endif

using namespace testdata;

#if HAVE_POSIX

namespace {

constexpr uint64_t most_rows = 0xfffffffe;
constexpr uint64_t most_adjacency = 1ull << 34;

// The rows of a small index as the last of the most rows that an index can have: its slots, rows and adjacency blocks lie at the
// very end of their sections. All other rows are zeroes, which take no room on the disk.
class Giant {
public:
    explicit Giant(const Memory &small) : small_(small), head_(small), first_(most_rows - small_.rows()) {
        const uint64_t about = small_.offset(kind_about);
        head_.put(about + about_rows, most_rows);
        head_.repair(kind_about);
        move_blocks();
        uint64_t at = (small_.table_end() + 127) / 128 * 128;
        for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind) {
            if (!small_.has(kind)) continue;
            head_.put(small_.entry(kind) + 8, at);
            head_.put(small_.entry(kind) + 16, size(kind));
            at = (at + size(kind) + 127) / 128 * 128;
        }
        head_.put(24, at);
        head_.repair_header();
        bytes = at;
    }
    uint64_t bytes = 0;

    // False where the disk has no room for files of that length.
    bool write(const std::string &path) const {
        write_file(path, head_.bytes.data(), small_.table_end());
        if (!lengthen(path, bytes)) return false;
        std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
        for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind) {
            if (!small_.has(kind)) continue;
            const std::vector<uint8_t> end = contents(kind);
            out.seekp(static_cast<std::streamoff>(head_.get<uint64_t>(small_.entry(kind) + 8) + size(kind) - end.size()));
            out.write(reinterpret_cast<const char *>(end.data()), static_cast<std::streamsize>(end.size()));
        }
        return out.good();
    }
    uint64_t first() const { return first_; }

private:
    // Ids of 32 bits where there were fewer: other blocks, at other offsets.
    void move_blocks() {
        std::vector<uint64_t> at(small_.rows());
        for (uint32_t slot = 0; slot < small_.rows(); ++slot) {
            at[slot] = blocks_.size();
            const uint32_t degree = small_.degree(slot);
            blocks_.push_back(static_cast<uint8_t>(degree));
            for (uint32_t i = 0; i < degree; ++i) push(static_cast<uint32_t>(first_ + small_.neighbour(slot, i)));
            blocks_.resize((blocks_.size() + 3) / 4 * 4);
        }
        blocks_.resize((blocks_.size() + 3 + 63) / 64 * 64);
        const uint64_t begin = most_adjacency - blocks_.size();
        for (uint32_t slot = 0; slot < small_.rows(); ++slot)
            head_.put(small_.record(slot) + small_.about(about_record_bytes) - 4, static_cast<uint32_t>((begin + at[slot]) / 4));
    }
    void push(uint32_t id) {
        for (uint32_t shift = 0; shift < 32; shift += 8) blocks_.push_back(static_cast<uint8_t>(id >> shift));
    }
    bool for_each_row(uint32_t kind) const {
        return kind == kind_records || (kind >= kind_row_of_slot && kind <= kind_exact);
    }
    uint64_t size(uint32_t kind) const {
        if (kind == kind_adjacency) return most_adjacency;
        return for_each_row(kind) ? small_.size(kind) / small_.rows() * most_rows : small_.size(kind);
    }
    // What the end of a section holds.
    std::vector<uint8_t> contents(uint32_t kind) const {
        if (kind == kind_adjacency) return blocks_;
        const uint8_t *from = head_.bytes.data() + small_.offset(kind);
        std::vector<uint8_t> out(from, from + small_.size(kind));
        const bool numbers = kind == kind_row_of_slot || kind == kind_slot_of_row || kind == kind_key_order;
        const size_t moved = numbers ? out.size() / 4 : kind == kind_entries ? small_.about(about_entries) : 0;
        for (size_t i = out.size() / 4 - moved; i < out.size() / 4; ++i) {
            uint32_t number;
            std::memcpy(&number, &out[4 * i], 4);
            number += static_cast<uint32_t>(first_);
            std::memcpy(&out[4 * i], &number, 4);
        }
        return out;
    }

    const IndexFile small_;
    IndexFile head_;
    const uint64_t first_;
    std::vector<uint8_t> blocks_;
};

}  // namespace

TEST_CASE("the most rows: 2^32 - 2, of which a search finds the last") {
    const uint64_t n = 2000;
    const Rows rows = clustered(n, 6, LEARNANN_F32, 150), queries = clustered(20, 6, LEARNANN_F32, 151);
    std::vector<uint64_t> keys;
    for (uint64_t i = 0; i < n; ++i) keys.push_back(1000 + i * 7 % n * 10);
    learnann_build_options options = build_options();
    options.code_bytes = 16;
    Index small(rows, options, keys.data());
    REQUIRE(small.status == LEARNANN_OK);
    const Folder folder;
    const std::string path = folder.file("giant.la");
    const Giant giant(small.file);
    if (!giant.write(path)) {
        MESSAGE("no sparse files of " << giant.bytes << " bytes here");
        return;
    }
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    learnann_error error{};
    const learnann_status status = learnann_open(path.c_str(), nullptr, &index, &error);
    if (sizeof(size_t) == 4) {
        CHECK(status == LEARNANN_UNSUPPORTED);
        return;
    }
    if (status == LEARNANN_IO && error.system_error == ENOMEM) {    // addresses of 39 bits, as under qemu and on phones
        MESSAGE("no room for " << giant.bytes << " bytes among this machine's addresses");
        return;
    }
    REQUIRE(status == LEARNANN_OK);
    REQUIRE(learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK);
    learnann_index_info info = learnann_index_info_default();
    learnann_get_info(index, &info);
    CHECK(info.rows == most_rows);
    CHECK(info.file_bytes == giant.bytes);
    CHECK(info.hot_bytes > most_rows * info.code_bytes + most_adjacency);

    learnann_search_options o = learnann_search_options_default();
    o.effort = 64;
    for (uint64_t i = 0; i < queries.count; ++i) {
        std::vector<learnann_hit> wanted = small.search(queries.one(i), 10, o.effort), hits(10);
        for (learnann_hit &hit : wanted) hit.row += static_cast<uint32_t>(giant.first());
        uint32_t count = 0;
        learnann_search_stats stats = learnann_search_stats_default();
        const learnann_vectors query = queries.one(i);
        REQUIRE(learnann_search(index, scratch, &query, 10, &o, hits.data(), &count, &stats, &error) == LEARNANN_OK);
        CHECK(count == 10);
        CHECK(same_hits(hits, wanted));
        CHECK(stats.bad_ids == 0);
        CHECK(stats.stop == LEARNANN_STOP_BEAM);
    }
    for (const uint64_t row : {uint64_t(0), n / 2, n - 1}) {
        uint64_t key = 0;
        uint32_t found = 0;
        float values[6];
        const uint32_t last = static_cast<uint32_t>(giant.first() + row);
        CHECK(learnann_key(index, last, &key) == LEARNANN_OK);
        CHECK(key == keys[row]);
        CHECK(learnann_find(index, key, &found) == LEARNANN_OK);
        CHECK(found == last);
        CHECK(learnann_fetch(index, key, values, 6) == LEARNANN_OK);
        CHECK(values[5] == static_cast<float>(rows.value(row, 5)));
    }
    learnann_scratch_free(scratch);
    learnann_close(index);
}

TEST_CASE("files too large for the address space say so; where there is room they are judged by what they hold") {
    const Folder folder;
    const std::string path = folder.file("large");
    for (const uint64_t size : {1ull << 31, 3ull << 30, (1ull << 32) + 64, 5ull << 30}) {
        CAPTURE(size);
        write_file(path, "LEARNANN", 8);
        if (!lengthen(path, size)) {
            MESSAGE("no sparse files of " << size << " bytes here");
            return;
        }
        learnann_index *index = nullptr;
        learnann_error error{};
        CHECK(learnann_open(path.c_str(), nullptr, &index, &error) ==
              (sizeof(size_t) == 4 ? LEARNANN_UNSUPPORTED : LEARNANN_CORRUPT));
        CHECK(index == nullptr);
    }
}

namespace {

constexpr size_t kib = 1024;

// Bytes of stack that work(context) touches, on a stack of that size.
size_t stack_used(size_t size, void *(*work)(void *), void *context) {
    uint8_t *stack = static_cast<uint8_t *>(std::aligned_alloc(64 * kib, size));
    REQUIRE(stack != nullptr);
    std::memset(stack, 0xa5, size);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstack(&attributes, stack, size) == 0);
    REQUIRE(pthread_create(&thread, &attributes, work, context) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    size_t untouched = 0;
    while (untouched < size && stack[untouched] == 0xa5) ++untouched;
    std::free(stack);
    return size - untouched;
}

void *nothing(void *) { return nullptr; }

struct Reading {
    const Memory file;
    const Rows queries;
    bool done = false;
};

void *read_all(void *context) {
    Reading &r = *static_cast<Reading *>(context);
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    r.done = learnann_open_memory(r.file.data(), r.file.size(), nullptr, &index, nullptr) == LEARNANN_OK &&
             learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK && learnann_verify(index, nullptr) == LEARNANN_OK;
    learnann_hit hits[10];
    uint32_t count = 0, row = 0;
    learnann_search_options o = learnann_search_options_default();
    for (uint64_t i = 0; r.done && i < r.queries.count; ++i) {
        const learnann_vectors query = r.queries.one(i);
        o.effort = i % 2 ? 500 : 20;
        r.done = learnann_search(index, scratch, &query, 10, &o, hits, &count, nullptr, nullptr) == LEARNANN_OK &&
                 learnann_search_range(index, scratch, &query, 1, 10, &o, hits, &count, nullptr, nullptr) == LEARNANN_OK &&
                 learnann_find(index, i, &row) == LEARNANN_OK;
    }
    learnann_scratch_free(scratch);
    learnann_close(index);
    return nullptr;
}

struct Building {
    const Rows rows;
    Memory file;
    learnann_status status = LEARNANN_OK;
};

void *build_all(void *context) {
    Building &b = *static_cast<Building *>(context);
    const learnann_vectors view = b.rows.view();
    learnann_build_options options = build_options(LEARNANN_IP);
    options.threads = 2;
    options.queries = &view;
    b.status = build(b.rows, options, nullptr, b.file);
    return nullptr;
}

}  // namespace

// learnann.h states these numbers. The sanitizers' own frames are larger.
TEST_CASE("the stack: 32 KiB for reading, 512 KiB for building") {
    if (SANITIZED) return;
    const size_t own = stack_used(128 * kib, nothing, nullptr);
    for (const uint32_t dim : {8u, 2000u}) {
        Reading reading{[&] {
                            Memory file;
                            REQUIRE(build(clustered(dim == 8 ? 5000 : 600, dim, LEARNANN_F32, 160), build_options(), nullptr,
                                          file) == LEARNANN_OK);
                            return file;
                        }(),
                        clustered(20, dim, LEARNANN_F32, 161)};
        const size_t read = stack_used(128 * kib, read_all, &reading);
        CHECK(reading.done);
        CAPTURE(read);
        CHECK(read - own <= 32 * kib);
    }
    Building building{clustered(3000, 16, LEARNANN_F32, 162), {}};
    const size_t built = stack_used(1024 * kib, build_all, &building);
    CHECK(building.status == LEARNANN_OK);
    CAPTURE(built);
    CHECK(built - own <= 512 * kib);
}

#endif

TEST_CASE("the most dimensions: 65,535") {
    const struct {
        learnann_type type;
        learnann_metric metric;
    } kinds[] = {{LEARNANN_F32, LEARNANN_COS}, {LEARNANN_F16, LEARNANN_IP}};    // bytes: search_test.cpp
    for (const auto &kind : kinds) {
        CAPTURE(kind.type);
        const Rows rows = clustered(8, 65535, kind.type, 170);
        learnann_build_options options = build_options(kind.metric);
        options.code_bytes = 16;
        Index index(rows, options);
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
        const std::vector<double> values = rows.doubles();
        const auto truth = ranked(kind.metric, values, 65535, &values[7 * 65535]);
        const auto hits = index.search(rows.one(7), 8);
        REQUIRE(hits.size() == 8);
        for (size_t i = 0; i < 8; ++i) {
            CHECK(hits[i].row == truth[i].row);
            CHECK(hits[i].distance == doctest::Approx(truth[i].distance).epsilon(1e-4));
        }
    }
}
