// peers_test.cpp: ten kinds of bug that users of other vector indexes reported, each tried here. All ten are in this file,
// and corrupt_test.cpp goes further into the first three.
#include "folder.hpp"
#include "indexfile.hpp"

#include <atomic>
#include <thread>

#if HAVE_POSIX
#include <cerrno>
#include <grp.h>
#include <sys/wait.h>
#endif

using namespace testdata;

namespace {

constexpr uint32_t n = 700, dim = 6;        // ids of 10 bits: they can say up to 1,023
Rows plain_rows() { return clustered(n, dim, LEARNANN_F32, 90); }

// Searches of every kind, whose hits must be rows, k of them, in order. Returns how many wrong ids were met.
uint64_t search_all_ways(Index &index, const Rows &rows) {
    uint64_t bad = 0;
    for (uint64_t i = 0; i < rows.count; i += 31)
        for (const uint32_t effort : {1u, 20u, 340u, 700u}) {
            learnann_search_stats stats = learnann_search_stats_default();
            const auto hits = index.search(rows.one(i), 10, effort, nullptr, &stats);
            CHECK(index.status == LEARNANN_OK);
            CHECK(hits.size() == 10);
            CHECK(in_order(hits));
            for (const learnann_hit &h : hits) CHECK(h.row < rows.count);
            CHECK(index.range(rows.one(i), 1, 10, effort).size() <= 10);
            bad += stats.bad_ids;
        }
    return bad;
}

}  // namespace

// 1. Kind: a view of a truncated file, read beyond its end.
TEST_CASE("peers: a truncated file is refused when it is opened") {
    const Folder folder;
    const Built built(plain_rows());
    const std::string path = folder.file("whole.la"), cut = folder.file("cut.la");
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    const std::vector<char> bytes = read_file(path);
    for (const size_t size : {size_t(0), size_t(7), size_t(63), size_t(64), size_t(500), bytes.size() / 2, bytes.size() - 64, bytes.size() - 1}) {
        CAPTURE(size);
        write_file(cut, bytes.data(), size);
        for (const uint32_t flags : {0u, LEARNANN_OPEN_RESIDENT, LEARNANN_OPEN_FLASH}) {
            learnann_open_options options = learnann_open_options_default();
            options.flags = flags;
            learnann_index *index = nullptr;
            learnann_error error{};
            CHECK(learnann_open(cut.c_str(), &options, &index, &error) == (size < 8 ? LEARNANN_NOT_LEARNANN : LEARNANN_CORRUPT));
            CHECK(index == nullptr);
        }
    }
}

// 2. Kind: neighbour ids of a file taken on trust, and rows read far outside.
TEST_CASE("peers: poisoned neighbour ids are skipped and counted") {
    const Rows rows = plain_rows();
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    IndexFile poisoned(file);
    for (uint32_t slot = 0; slot < n; ++slot)
        for (uint32_t i = 0; i < poisoned.degree(slot); i += 2) poisoned.put_neighbour(slot, i, 1023 - slot % 50);
    poisoned.repair_all();
    Index index{poisoned.bytes};
    REQUIRE(index.status == LEARNANN_OK);
    CHECK(search_all_ways(index, rows) > 0);
    CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_CORRUPT);
}

// 3. Kind: the id of the entry point taken on trust.
TEST_CASE("peers: wrong entry ids are skipped and counted") {
    const Rows rows = plain_rows();
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    for (const uint32_t wrong : {n, n + 1, UINT32_MAX}) {
        IndexFile poisoned(file);
        const uint32_t entries = poisoned.about(about_entries);
        const uint64_t ids = poisoned.offset(kind_entries) + poisoned.size(kind_entries) - 4ull * entries;
        for (uint32_t i = 0; i < entries; ++i) poisoned.put(ids + 4 * i, wrong);        // all of them: the walk starts nowhere
        poisoned.repair_all();
        Index index{poisoned.bytes};
        REQUIRE(index.status == LEARNANN_OK);
        CHECK(search_all_ways(index, rows) > 0);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_CORRUPT);
    }
}

// 4. Kind: fewer than k hits, or an exception, where the walk found fewer than k.
TEST_CASE("peers: k hits where there are k rows, whatever the graph and the filter") {
    const Rows rows = plain_rows();
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    IndexFile torn(file);       // no row leads anywhere
    for (uint32_t slot = 0; slot < n; ++slot) torn.put(torn.block(slot), uint8_t(0));
    torn.repair_all();
    Index whole{file}, pieces{torn.bytes};
    REQUIRE(pieces.status == LEARNANN_OK);
    const learnann_filter few{LEARNANN_FILTER_PREDICATE, nullptr, 0, [](void *, uint64_t key) -> int { return key % 100 == 7; }, nullptr};
    for (Index *index : {&whole, &pieces})
        for (const uint32_t k : {1u, 10u, 100u, n, 5 * n}) {
            CHECK(index->search(rows.one(3), k, 20).size() == std::min(k, n));
            CHECK(index->search(rows.one(3), k, 20, &few).size() == std::min(k, 7u));
        }
}

// 5. Kind: rows added beyond the capacity that was reserved, or sizes that overflow on the way to it.
TEST_CASE("peers: more rows than there can be are refused, and a builder takes more at its next run") {
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(nullptr, &builder, nullptr) == LEARNANN_OK);
    const uint8_t byte = 0;
    learnann_error error{};
    learnann_vectors rows{&byte, 0xffffffffull, 0, 1, LEARNANN_U8};
    CHECK(learnann_builder_run(builder, &rows, nullptr, &error) == LEARNANN_ARGUMENT);
    for (const uint64_t count : {UINT64_MAX, UINT64_MAX / 65535, uint64_t(1) << 62}) {
        rows = learnann_vectors{&byte, count, 0, 65535, LEARNANN_F32};
        CHECK(learnann_builder_run(builder, &rows, nullptr, &error) == LEARNANN_ARGUMENT);
        rows.stride = UINT64_MAX / 2;
        rows.count = 3;
        CHECK(learnann_builder_run(builder, &rows, nullptr, &error) == LEARNANN_ARGUMENT);
    }
    CHECK(learnann_builder_bytes(builder) == 0);
    for (const uint64_t count : {10u, 700u, 3000u, 5u}) {
        const Rows some = clustered(count, dim, LEARNANN_F32, 91);
        const learnann_vectors view = some.view();
        REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
        Memory file(learnann_builder_bytes(builder));
        REQUIRE(learnann_builder_write(builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
        Index index{file};
        CHECK(index.info().rows == count);
        CHECK(learnann_verify(index.handle, nullptr) == LEARNANN_OK);
    }
    learnann_builder_free(builder);
}

#if HAVE_POSIX

// 6. Kind: a save over a file that is mapped, which changed what was being searched.
TEST_CASE("peers: saving over an index that is open and searched leaves its readers what they had") {
    const Folder folder;
    const Rows first = plain_rows(), second = clustered(900, 7, LEARNANN_F32, 73);
    const Built one(first), two(second);
    const std::string path = folder.file("replaced.la");
    REQUIRE(learnann_builder_save(one.builder, path.c_str(), nullptr) == LEARNANN_OK);
    learnann_index *index = nullptr, *fresh = nullptr;
    REQUIRE(learnann_open(path.c_str(), nullptr, &index, nullptr) == LEARNANN_OK);
    // A thread searches while the file is replaced under its feet, many times.
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> searched{0}, wrong{0};
    std::thread reader([&] {
        learnann_scratch *scratch = nullptr;
        wrong += learnann_scratch_create(index, &scratch, nullptr) != LEARNANN_OK;
        learnann_hit hits[3];
        uint32_t count = 0;
        while (!stop || searched < 2000) {
            const uint64_t row = searched++ % first.count;
            const learnann_vectors query = first.one(row);
            wrong += learnann_search(index, scratch, &query, 3, nullptr, hits, &count, nullptr, nullptr) != LEARNANN_OK || count != 3;
            wrong += hits[0].distance != 0;
        }
        learnann_scratch_free(scratch);
    });
    for (uint32_t i = 0; i < 21; ++i) {
        CHECK(learnann_builder_save(i % 2 ? one.builder : two.builder, path.c_str(), nullptr) == LEARNANN_OK);
        CHECK(folder.names().size() == 1);
    }
    stop = true;
    reader.join();
    CHECK(wrong == 0);
    CHECK(learnann_verify(index, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_open(path.c_str(), nullptr, &fresh, nullptr) == LEARNANN_OK);
    learnann_index_info info = learnann_index_info_default();
    CHECK(learnann_get_info(fresh, &info) == LEARNANN_OK);
    CHECK(info.rows == 900);
    learnann_close(fresh);
    learnann_close(index);
}

// ---- 7. Kind: a file that belongs to somebody else: opened for writing where reading is enough, or half replaced ----

namespace {

// Runs `act` in a child that is nobody in particular, where this process may change who it is. Its exit: what `act` returns.
template <class Act> int as_somebody_else(Act act) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(99);
        ::_exit(act());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

bool searches(const std::string &path, const Rows &rows) {
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    learnann_hit hit{};
    uint32_t count = 0;
    const learnann_vectors query = rows.one(5);
    const bool right = learnann_open(path.c_str(), nullptr, &index, nullptr) == LEARNANN_OK &&
                       learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK &&
                       learnann_search(index, scratch, &query, 1, nullptr, &hit, &count, nullptr, nullptr) == LEARNANN_OK && hit.row == 5;
    learnann_scratch_free(scratch);
    learnann_close(index);
    return right;
}

// Nothing can be saved there: the reason is told, and the folder is as it was.
int save_is_refused(const Built &built, const std::string &path) {
    learnann_error error{};
    if (learnann_builder_save(built.builder, path.c_str(), &error) != LEARNANN_IO) return 1;
    return error.system_error == EACCES || error.system_error == EPERM ? 0 : 2;
}

}  // namespace

TEST_CASE("peers: a file of somebody else's is read where that is allowed, and replaced or left whole") {
    const Folder folder;
    const Built built(plain_rows());
    const std::string path = folder.file("theirs.la");
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    const std::vector<char> before = read_file(path);
    const bool other_user = ::geteuid() == 0;
    REQUIRE(::chmod(path.c_str(), 0444) == 0);
    if (as_somebody_else([&] { return searches(path, built.rows) ? 0 : 1; }) != 0) {
        MESSAGE("not tried: another user can't read below this folder");
        return;
    }
    // A folder that they may not write to.
    REQUIRE(::chmod(folder.path.c_str(), 0555) == 0);
    CHECK(as_somebody_else([&] { return save_is_refused(built, path); }) == 0);
    CHECK(as_somebody_else([&] { return searches(path, built.rows) ? 0 : 1; }) == 0);
    CHECK(folder.names().size() == 1);
    CHECK(read_file(path) == before);
    // A file that they may not read.
    REQUIRE(::chmod(folder.path.c_str(), 0777) == 0);
    REQUIRE(::chmod(path.c_str(), 0000) == 0);
    CHECK(as_somebody_else([&] {
              learnann_index *index = nullptr;
              learnann_error error{};
              const learnann_status status = learnann_open(path.c_str(), nullptr, &index, &error);
              return status == LEARNANN_IO && error.system_error == EACCES && index == nullptr ? 0 : 1;
          }) == 0);
    // A folder where everybody may write, but not over the files of others, as /tmp.
    if (other_user) {
        REQUIRE(::chmod(folder.path.c_str(), 01777) == 0);
        CHECK(as_somebody_else([&] { return save_is_refused(built, path); }) == 0);
        CHECK(folder.names().size() == 1);
        CHECK(read_file(path) == before);
    } else {
        MESSAGE("not tried: a folder with the sticky bit, which needs root");
    }
    // One where they may: a file that can't be written to is replaced, not written to.
    REQUIRE(::chmod(folder.path.c_str(), 0777) == 0);
    REQUIRE(::chmod(path.c_str(), 0444) == 0);
    CHECK(as_somebody_else([&] { return learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK ? 0 : 1; }) == 0);
    CHECK(folder.names().size() == 1);
    CHECK(searches(path, built.rows));
    if (other_user) {
        // What the old file's group could read, theirs can't. And who may give files away leaves the owner what was his.
        struct stat about {};
        const std::string ours = folder.file("ours.la");
        write_file(ours, "old", 3);
        REQUIRE(::chmod(ours.c_str(), 0640) == 0);
        CHECK(as_somebody_else([&] { return learnann_builder_save(built.builder, ours.c_str(), nullptr) == LEARNANN_OK ? 0 : 1; }) == 0);
        REQUIRE(::stat(ours.c_str(), &about) == 0);
        CHECK((about.st_mode & 0777) == 0600);
        const uid_t theirs = about.st_uid;
        CHECK(theirs == 65534);
        CHECK(learnann_builder_save(built.builder, ours.c_str(), nullptr) == LEARNANN_OK);
        REQUIRE(::stat(ours.c_str(), &about) == 0);
        CHECK(about.st_uid == theirs);
        CHECK((about.st_mode & 0777) == 0600);
#ifdef __linux__
        // A list of which the mode's group bits are not what the group has: without that group it goes, with all that it granted.
        REQUIRE(::chown(ours.c_str(), 0, 0) == 0);
        if (set_list(ours, file_list, 4, 0, 4)) {
            CHECK(as_somebody_else([&] { return learnann_builder_save(built.builder, ours.c_str(), nullptr) == LEARNANN_OK ? 0 : 1; }) == 0);
            REQUIRE(::stat(ours.c_str(), &about) == 0);
            CHECK((about.st_mode & 0777) == 0600);
            CHECK(list_of(ours).empty());
        }
#endif
    }
    REQUIRE(::chmod(folder.path.c_str(), 0755) == 0);
}

// 8. Kind: two processes that save to one path at once, and a file with something of both.
TEST_CASE("peers: two processes save to one path at once: the file is always one of the two, whole") {
    const Folder folder;
    const Rows first = plain_rows(), second = clustered(900, 7, LEARNANN_F32, 73);
    const Built one(first), two(second);
    const std::string path = folder.file("shared.la");
    const uint32_t saves = 60;
    REQUIRE(learnann_builder_save(one.builder, path.c_str(), nullptr) == LEARNANN_OK);
    pid_t children[2];
    for (int c = 0; c < 2; ++c) {
        children[c] = ::fork();
        if (children[c] != 0) continue;
        bool right = true;
        for (uint32_t i = 0; i < saves; ++i)
            right = learnann_builder_save(c ? one.builder : two.builder, path.c_str(), nullptr) == LEARNANN_OK && right;
        ::_exit(right ? 0 : 1);
    }
    uint32_t seen[2] = {0, 0}, running = 2;
    int failed = 0;
    while (running > 0) {
        learnann_index *index = nullptr;
        REQUIRE(learnann_open(path.c_str(), nullptr, &index, nullptr) == LEARNANN_OK);
        CHECK(learnann_verify(index, nullptr) == LEARNANN_OK);
        learnann_index_info info = learnann_index_info_default();
        learnann_get_info(index, &info);
        CHECK((info.rows == first.count || info.rows == second.count));
        ++seen[info.rows == first.count];
        learnann_close(index);
        for (pid_t &child : children) {
            int status = 0;
            if (child == 0 || ::waitpid(child, &status, WNOHANG) != child) continue;
            failed += status != 0;
            child = 0;
            --running;
        }
    }
    CHECK(failed == 0);
    CHECK(folder.names().size() == 1);
    MESSAGE("opened while two saved: " << seen[0] + seen[1] << " times, the one " << seen[0] << ", the other " << seen[1]);
}

TEST_CASE("a temporary that a killed process left, or one of another container, does not hinder a save") {
    const Folder folder;
    const Built built(plain_rows());
    const std::string path = folder.file("index.la");
    char name[48];
    for (uint32_t i = 0; i < 6000; i += 2) {    // every second name that this process may try
        std::snprintf(name, sizeof name, "learnann-%llx-%x.tmp", static_cast<unsigned long long>(::getpid()), i);
        write_file(folder.file(name), "left", 4);
    }
    for (uint32_t i = 0; i < 2; ++i) CHECK(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    CHECK(folder.names().size() == 3001);
    CHECK(searches(path, built.rows));
}

#endif

// 9. Kind: a search of an empty index.
TEST_CASE("peers: there is no empty index, and a file that says it is one is refused") {
    const uint8_t byte = 0;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(nullptr, &builder, nullptr) == LEARNANN_OK);
    for (const void *data : {static_cast<const void *>(&byte), static_cast<const void *>(nullptr)}) {
        const learnann_vectors none{data, 0, 0, dim, LEARNANN_F32};
        CHECK(learnann_builder_run(builder, &none, nullptr, nullptr) == LEARNANN_ARGUMENT);
    }
    CHECK(learnann_builder_save(builder, "nothing.la", nullptr) == LEARNANN_ARGUMENT);
    learnann_builder_free(builder);
    Memory file;
    REQUIRE(build(clustered(1, dim, LEARNANN_F32, 92), build_options(), nullptr, file) == LEARNANN_OK);
    Index one{file};
    CHECK(one.search(clustered(1, dim, LEARNANN_F32, 93).one(0), 10).size() == 1);
    IndexFile empty(file);
    empty.put(empty.offset(kind_about) + about_rows, uint64_t(0));
    empty.repair_all();
    CHECK(Index{empty.bytes}.status == LEARNANN_CORRUPT);
}

// 10. Kind: a query with NaN, which no comparison puts in order.
TEST_CASE("peers: a query with NaN or infinity is refused by every kind of search") {
    Index index(plain_rows(), build_options());
    REQUIRE(index.status == LEARNANN_OK);
    std::vector<learnann_hit> hits(10);
    for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity()})
        for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16})
            for (uint32_t at = 0; at < dim; ++at) {
                Rows nan = clustered(1, dim, type, 1);
                nan.set(0, at, value);
                const learnann_vectors query = nan.one(0);
                uint32_t count = 9;
                CHECK(index.search(query, 10).empty());
                CHECK(index.status == LEARNANN_ARGUMENT);
                CHECK(index.range(query, 1, 10).empty());
                CHECK(index.status == LEARNANN_ARGUMENT);
                CHECK(learnann_search_interleaved(index.handle, index.scratch, &query, 10, nullptr, hits.data(), &count, nullptr, nullptr) == LEARNANN_ARGUMENT);
                CHECK(count == 0);
                CHECK(learnann_search_batch(index.handle, &query, 10, nullptr, hits.data(), &count, nullptr, nullptr) == LEARNANN_ARGUMENT);
            }
}
