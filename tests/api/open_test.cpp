// open_test.cpp: opening, saving and closing: files that are missing, foreign or too new, saves that fail, NULL
// everywhere.
#include "folder.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <string>

#if HAVE_POSIX
#include <cerrno>
#include <csignal>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#endif

using namespace testdata;

namespace {

learnann_status status_of(const std::string &path, learnann_error *error = nullptr) {
    int place = 0;
    learnann_index *index = reinterpret_cast<learnann_index *>(&place);
    const learnann_status status = learnann_open(path.c_str(), nullptr, &index, error);
    if (status != LEARNANN_OK) CHECK(index == nullptr);
    if (status == LEARNANN_OK) learnann_close(index);
    return status;
}

}  // namespace

TEST_CASE("files that are no index") {
    const Folder folder;
    learnann_error error{};
    CHECK(status_of(folder.file("absent.la"), &error) == LEARNANN_IO);
    CHECK(error.status == LEARNANN_IO);
    CHECK(error.system_error != 0);
    CHECK(std::strlen(error.message) > 0);
    CHECK(status_of(folder.path, &error) == LEARNANN_IO);
    CHECK(status_of("", &error) == LEARNANN_IO);
    const std::string path = folder.file("other");
    write_file(path, "", 0);
    CHECK(status_of(path, &error) == LEARNANN_NOT_LEARNANN);
    const char text[] =
        "This is a text. It is longer than a header of sixty-four bytes, and it begins with other letters.\n";
    for (const size_t size : {size_t(1), size_t(7), size_t(8), size_t(63), size_t(64), sizeof text}) {
        write_file(path, text, size);
        CHECK(status_of(path, &error) == LEARNANN_NOT_LEARNANN);
    }
    for (size_t size = 0; size < 8; ++size) {
        write_file(path, "LEARNANN", size);
        CHECK(status_of(path, &error) == LEARNANN_NOT_LEARNANN);
    }
    write_file(path, "LEARNANN", 8);
    CHECK(status_of(path, &error) == LEARNANN_CORRUPT);
}

TEST_CASE("a file of a newer format is told from a damaged one") {
    Memory file;
    REQUIRE(build(clustered(50, 3, LEARNANN_F32, 70), build_options(), nullptr, file) == LEARNANN_OK);
    const uint32_t newer = 1000;
    std::memcpy(file.data() + 12, &newer, 4);
    std::memcpy(file.data() + 16, &newer, 4);
    const Index index{file};
    CHECK(index.status == LEARNANN_TOO_NEW);
    CHECK(index.error.status == LEARNANN_TOO_NEW);
    CHECK(index.handle == nullptr);
}

TEST_CASE("a saved file holds the bytes that write gives, and opens like them") {
    const Folder folder;
    const Rows rows = clustered(600, 5, LEARNANN_F32, 71);
    const Built built(rows);
    const std::string path = folder.file("saved.la");
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);    // again, over itself
    Memory file(learnann_builder_bytes(built.builder));
    REQUIRE(learnann_builder_write(built.builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
    const std::vector<char> saved = read_file(path);
    REQUIRE(saved.size() == file.size());
    CHECK(std::memcmp(saved.data(), file.data(), file.size()) == 0);
    Index in_memory{file};
    const learnann_vectors query = rows.one(5);
    learnann_open_options options = learnann_open_options_default();
    for (const uint32_t flags : {0u, LEARNANN_OPEN_RESIDENT, LEARNANN_OPEN_FLASH, LEARNANN_OPEN_RESIDENT | LEARNANN_OPEN_FLASH}) {
        CAPTURE(flags);
        learnann_index *index = nullptr;
        learnann_scratch *scratch = nullptr;
        options.flags = flags;
        REQUIRE(learnann_open(path.c_str(), &options, &index, nullptr) == LEARNANN_OK);
        REQUIRE(learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK);
        std::vector<learnann_hit> hits(10);
        uint32_t count = 0;
        CHECK(learnann_search(index, scratch, &query, 10, nullptr, hits.data(), &count, nullptr, nullptr) == LEARNANN_OK);
        CHECK(same_hits(hits, in_memory.search(query, 10)));
        learnann_search_options wide = learnann_search_options_default();
        wide.effort = 100;      // asks ahead for exact rows while it walks
        CHECK(learnann_search(index, scratch, &query, 10, &wide, hits.data(), &count, nullptr, nullptr) == LEARNANN_OK);
        CHECK(same_hits(hits, in_memory.search(query, 10, 100)));
        CHECK(learnann_verify(index, nullptr) == LEARNANN_OK);
        learnann_scratch_free(scratch);
        learnann_close(index);
    }
    learnann_index *none = nullptr;
    options.flags = 8;
    CHECK(learnann_open(path.c_str(), &options, &none, nullptr) == LEARNANN_ARGUMENT);
    options.flags = LEARNANN_OPEN_FLASH;
    CHECK(learnann_open_memory(file.data(), file.size(), &options, &none, nullptr) == LEARNANN_ARGUMENT);
    CHECK(none == nullptr);
}

#if HAVE_POSIX
TEST_CASE("saves that fail leave the old file and no temporary") {
    const Folder folder;
    const Built built(clustered(600, 5, LEARNANN_F32, 74));
    learnann_error error{};
    const std::string path = folder.file("kept.la");
    write_file(path, "old", 3);
    // Below a regular file, below nothing, onto a folder, with no name.
    CHECK(learnann_builder_save(built.builder, (path + "/x.la").c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error != 0);
    CHECK(learnann_builder_save(built.builder, folder.file("absent/x.la").c_str(), &error) == LEARNANN_IO);
    CHECK(learnann_builder_save(built.builder, folder.path.c_str(), &error) == LEARNANN_IO);
    CHECK(::access(folder.path.c_str(), F_OK) == 0);
    CHECK(folder.names().size() == 1);
    // A disk that is full after some bytes: a limit on the size of files does the same.
    void (*before)(int) = std::signal(SIGXFSZ, SIG_IGN);
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    for (const rlim_t limit : {0u, 1000u, 20000u}) {
        rlimit tight = old;
        tight.rlim_cur = limit;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
        const learnann_status status = learnann_builder_save(built.builder, path.c_str(), &error);
        ::setrlimit(RLIMIT_FSIZE, &old);
        CHECK(status == LEARNANN_IO);
        CHECK(error.status == LEARNANN_IO);
        CHECK(error.system_error != 0);
        CHECK(folder.names().size() == 1);
        CHECK(read_file(path) == std::vector<char>{'o', 'l', 'd'});
    }
    std::signal(SIGXFSZ, before);
    CHECK(learnann_builder_save(built.builder, path.c_str(), &error) == LEARNANN_OK);
    CHECK(status_of(path) == LEARNANN_OK);
    CHECK(folder.names().size() == 1);
}
#endif

#if HAVE_POSIX
mode_t permissions(const std::string &path) {
    struct stat about {};
    CHECK(::stat(path.c_str(), &about) == 0);
    return about.st_mode & 0777;
}

// An allocator that looks, whenever it is asked, how open the temporaries in a folder are: a save asks while it writes.
struct Watcher {
    const Folder &folder;
    mode_t seen = 0;
    int looks = 0;
    static void *allocate(void *context, size_t bytes) {
        Watcher &self = *static_cast<Watcher *>(context);
        for (const std::string &name : self.folder.names()) {
            if (name.size() < 4 || name.compare(name.size() - 4, 4, ".tmp") != 0) continue;
            self.seen |= permissions(self.folder.file(name.c_str()));
            ++self.looks;
        }
        return std::malloc(bytes);
    }
    static void release(void *, void *memory, size_t) { std::free(memory); }
    learnann_allocator hooks() { return learnann_allocator{allocate, release, this}; }
};

TEST_CASE("a file that is saved over keeps its permissions, and the new one is at no time more open") {
    const Folder folder;
    const std::string path = folder.file("private.la");
    const Rows rows = clustered(300, 5, LEARNANN_F32, 77);
    const learnann_vectors view = rows.view();
    Watcher watcher{folder};
    const learnann_allocator hooks = watcher.hooks();
    learnann_build_options options = build_options();
    options.allocator = &hooks;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    const mode_t old_mask = ::umask(022);
    REQUIRE(learnann_builder_save(builder, path.c_str(), nullptr) == LEARNANN_OK);
    CHECK(permissions(path) == 0644);
    for (const mode_t mode : {0600u, 0640u, 0400u, 0666u, 0644u}) {      // more than the umask grants too
        CAPTURE(mode);
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        watcher.seen = 0;
        watcher.looks = 0;
        CHECK(learnann_builder_save(builder, path.c_str(), nullptr) == LEARNANN_OK);
        CHECK(permissions(path) == mode);
        CHECK(watcher.looks > 0);
        CHECK((watcher.seen & 077 & ~mode) == 0);
    }
    ::umask(077);
    const std::string other = folder.file("other.la");
    CHECK(learnann_builder_save(builder, other.c_str(), nullptr) == LEARNANN_OK);
    CHECK(permissions(other) == 0600);
    ::umask(old_mask);
    learnann_builder_free(builder);
}

TEST_CASE("what can't be told of the file that is there ends a save before anything is written") {
    const Folder folder;
    const Rows rows = clustered(300, 5, LEARNANN_F32, 75);
    const learnann_vectors view = rows.view();
    Watcher watcher{folder};
    const learnann_allocator hooks = watcher.hooks();
    learnann_build_options options = build_options();
    options.allocator = &hooks;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    REQUIRE(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    learnann_error error{};
    const std::string path = folder.file("large.la");
    CHECK(learnann_builder_save(builder, folder.file(std::string(5000, 'n').c_str()).c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error == ENAMETOOLONG);
    write_file(path, "old", 3);
    CHECK(learnann_builder_save(builder, (path + "/below.la").c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error == ENOTDIR);
    if (sizeof(off_t) == 4 && lengthen(path, 5ull << 30)) {
        CHECK(learnann_builder_save(builder, path.c_str(), &error) == LEARNANN_IO);
        CHECK(error.system_error == EOVERFLOW);
    }
    CHECK(watcher.looks == 0);
    CHECK(folder.names().size() == 1);
    learnann_builder_free(builder);
}

#ifdef __linux__
TEST_CASE("a file that is saved over keeps its access control list, and gets none from its folder") {
    const Folder folder;
    const Built built(clustered(300, 5, LEARNANN_F32, 74));
    const std::string path = folder.file("listed.la");
    write_file(path, "old", 3);
    if (!set_list(path, file_list, 0, 0, 4)) {
        MESSAGE("not tried: no access control lists here");
        return;
    }
    const std::string list = list_of(path);
    CHECK(permissions(path) == 0664);       // of which the group has nothing
    CHECK(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    CHECK(list_of(path) == list);
    CHECK(permissions(path) == 0664);
    CHECK(status_of(path) == LEARNANN_OK);
    // A folder whose new files anybody of that number may read and write: not those that were private before.
    REQUIRE(set_list(folder.path, folder_list, 6, 6, 0));
    CHECK(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
    CHECK(list_of(path) == list);
    REQUIRE(::removexattr(path.c_str(), file_list) == 0);
    for (const mode_t mode : {0640u, 0600u}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        CHECK(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
        CHECK(list_of(path).empty());
        CHECK(permissions(path) == mode);
    }
    // A file that was not there has what the folder gives it.
    const std::string other = folder.file("other.la");
    CHECK(learnann_builder_save(built.builder, other.c_str(), nullptr) == LEARNANN_OK);
    CHECK(!list_of(other).empty());
}
#endif

bool is_link(const std::string &path) {
    struct stat about {};
    return ::lstat(path.c_str(), &about) == 0 && S_ISLNK(about.st_mode);
}

TEST_CASE("a save to a symbolic link replaces the file that it leads to") {
    const Folder folder;
    const Built built(clustered(300, 5, LEARNANN_F32, 78));
    const std::string path = folder.file("file.la"), link = folder.file("link.la"), second = folder.file("second.la"),
                      below = folder.file("below"), up = below + "/up.la", dangling = folder.file("dangling.la"), loop = folder.file("loop.la");
    REQUIRE(::symlink("file.la", link.c_str()) == 0);
    REQUIRE(::symlink("link.la", second.c_str()) == 0);
    REQUIRE(::mkdir(below.c_str(), 0777) == 0);
    REQUIRE(::symlink("../file.la", up.c_str()) == 0);
    for (const std::string &name : {link, second, up}) {
        CAPTURE(name);
        write_file(path, "old", 3);
        REQUIRE(::chmod(path.c_str(), 0600) == 0);
        CHECK(learnann_builder_save(built.builder, name.c_str(), nullptr) == LEARNANN_OK);
        CHECK(is_link(name));
        CHECK(!is_link(path));
        CHECK(status_of(path) == LEARNANN_OK);
        CHECK(permissions(path) == 0600);
    }
    // One that leads to nothing, to itself, to a folder.
    const size_t names = folder.names().size() + 2;
    REQUIRE(::symlink("absent.la", dangling.c_str()) == 0);
    REQUIRE(::symlink("loop.la", loop.c_str()) == 0);
    learnann_error error{};
    CHECK(learnann_builder_save(built.builder, dangling.c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error == ENOENT);
    CHECK(std::string(error.message).find("symbolic link") != std::string::npos);
    CHECK(learnann_builder_save(built.builder, loop.c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error == ELOOP);
    CHECK(is_link(dangling));
    CHECK(is_link(loop));
    CHECK(::unlink(link.c_str()) == 0);
    REQUIRE(::symlink("below", link.c_str()) == 0);
    CHECK(learnann_builder_save(built.builder, link.c_str(), &error) == LEARNANN_IO);
    CHECK(error.system_error == EISDIR);
    CHECK(folder.names().size() == names);
    CHECK(::unlink(up.c_str()) == 0);
}
#endif

#if HAVE_POSIX
TEST_CASE("a name as long as the system allows can be saved to") {
    const Folder folder;
    const Built built(clustered(100, 5, LEARNANN_F32, 76));
    const long most = ::pathconf(folder.path.c_str(), _PC_NAME_MAX);
    REQUIRE(most > 0);
    for (long length = most - 40; length <= most; ++length) {
        const std::string path = folder.file(std::string(static_cast<size_t>(length), 'n').c_str());
        CAPTURE(length);
        CHECK(learnann_builder_save(built.builder, path.c_str(), nullptr) == LEARNANN_OK);
        CHECK(status_of(path) == LEARNANN_OK);
        CHECK(folder.names().size() == 1);      // no temporary
        CHECK(::unlink(path.c_str()) == 0);
    }
}
#endif

#if HAVE_POSIX
// What a mapped file can't give where another process may truncate it: there a page that is gone raises SIGBUS.
TEST_CASE("a file truncated by another process, opened as a copy: a status, and an open index goes on") {
    const Folder folder;
    const std::string path = folder.file("cut.la");
    const Rows rows = clustered(600, 8, LEARNANN_F32, 78);
    Memory file;
    REQUIRE(build(rows, build_options(), nullptr, file) == LEARNANN_OK);
    write_file(path, file.data(), file.size());
    learnann_open_options options = learnann_open_options_default();
    options.flags = LEARNANN_OPEN_COPY;
    learnann_index *copy = nullptr, *other = nullptr;
    REQUIRE(learnann_open(path.c_str(), &options, &copy, nullptr) == LEARNANN_OK);
    learnann_index_info info = learnann_index_info_default();
    REQUIRE(learnann_get_info(copy, &info) == LEARNANN_OK);
    CHECK(info.private_bytes >= file.size());
    for (off_t cut = static_cast<off_t>(file.size()) - 1; cut > 0; cut = cut * 2 / 3) {
        REQUIRE(::truncate(path.c_str(), cut) == 0);
        CHECK(learnann_open(path.c_str(), &options, &other, nullptr) == (cut < 8 ? LEARNANN_NOT_LEARNANN : LEARNANN_CORRUPT));
        CHECK(other == nullptr);
    }
    CHECK(learnann_verify(copy, nullptr) == LEARNANN_OK);
    learnann_close(copy);
    for (const uint32_t more : {LEARNANN_OPEN_RESIDENT, LEARNANN_OPEN_FLASH}) {
        options.flags = LEARNANN_OPEN_COPY | more;
        CHECK(learnann_open(path.c_str(), &options, &other, nullptr) == LEARNANN_ARGUMENT);
    }
    options.flags = LEARNANN_OPEN_COPY;
    CHECK(learnann_open_memory(file.data(), file.size(), &options, &other, nullptr) == LEARNANN_ARGUMENT);
}
#endif

TEST_CASE("bytes in memory must be aligned, and are borrowed") {
    Memory file;
    REQUIRE(build(clustered(100, 3, LEARNANN_F32, 76), build_options(), nullptr, file) == LEARNANN_OK);
    Memory shifted(file.size() + 64);
    for (const size_t by : {1u, 4u, 8u, 16u, 32u, 63u}) {
        std::memcpy(shifted.data() + by, file.data(), file.size());
        int place = 0;
        learnann_index *index = reinterpret_cast<learnann_index *>(&place);
        learnann_error error{};
        CHECK(learnann_open_memory(shifted.data() + by, file.size(), nullptr, &index, &error) == LEARNANN_ARGUMENT);
        CHECK(error.status == LEARNANN_ARGUMENT);
        CHECK(index == nullptr);
    }
    const Index index{file};
    CHECK(index.status == LEARNANN_OK);
    CHECK(index.info().private_bytes < 4096);
    CHECK(index.info().file_bytes == file.size());
    CHECK(index.info().format_version == 1);
    CHECK(index.info().writer_version == LEARNANN_VERSION);
}

TEST_CASE("NULL everywhere") {
    Memory file;
    REQUIRE(build(clustered(100, 3, LEARNANN_F32, 77), build_options(), nullptr, file) == LEARNANN_OK);
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    CHECK(learnann_open(nullptr, nullptr, &index, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_open("x.la", nullptr, nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_open_memory(nullptr, 100, nullptr, &index, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_open_memory(nullptr, 0, nullptr, &index, nullptr) == LEARNANN_NOT_LEARNANN);
    CHECK(learnann_open_memory(file.data(), 0, nullptr, &index, nullptr) == LEARNANN_NOT_LEARNANN);
    CHECK(learnann_open_memory(file.data(), file.size(), nullptr, nullptr, nullptr) == LEARNANN_ARGUMENT);
    learnann_open_options options{};        // struct_size not set
    CHECK(learnann_open_memory(file.data(), file.size(), &options, &index, nullptr) == LEARNANN_ARGUMENT);
    const learnann_allocator half{nullptr, CountingAllocator::release, nullptr};
    options = learnann_open_options_default();
    options.allocator = &half;
    CHECK(learnann_open_memory(file.data(), file.size(), &options, &index, nullptr) == LEARNANN_ARGUMENT);
    REQUIRE(learnann_open_memory(file.data(), file.size(), nullptr, &index, nullptr) == LEARNANN_OK);

    CHECK(learnann_scratch_create(nullptr, &scratch, nullptr) == LEARNANN_ARGUMENT);
    CHECK(scratch == nullptr);
    CHECK(learnann_scratch_create(index, nullptr, nullptr) == LEARNANN_ARGUMENT);
    learnann_index_info info = learnann_index_info_default();
    CHECK(learnann_get_info(nullptr, &info) == LEARNANN_ARGUMENT);
    CHECK(learnann_get_info(index, nullptr) == LEARNANN_ARGUMENT);
    uint32_t number = 0;
    uint64_t key = 0;
    float value = 0, row[3];
    CHECK(learnann_calibration(nullptr, 10, 0, &number, &value) == LEARNANN_ARGUMENT);
    CHECK(learnann_calibration(index, 10, 0, nullptr, &value) == LEARNANN_ARGUMENT);
    CHECK(learnann_calibration(index, 10, 0, &number, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_find(nullptr, 0, &number) == LEARNANN_ARGUMENT);
    CHECK(learnann_find(index, 0, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_key(nullptr, 0, &key) == LEARNANN_ARGUMENT);
    CHECK(learnann_key(index, 0, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_fetch(nullptr, 0, row, 3) == LEARNANN_ARGUMENT);
    CHECK(learnann_fetch(index, 0, nullptr, 3) == LEARNANN_ARGUMENT);
    CHECK(learnann_verify(nullptr, nullptr) == LEARNANN_ARGUMENT);
    CHECK(learnann_verify(index, nullptr) == LEARNANN_OK);
    CHECK(learnann_scratch_bytes(nullptr) == 0);
    learnann_close(index);
    learnann_close(nullptr);
    learnann_scratch_free(nullptr);
    learnann_builder_free(nullptr);
}

TEST_CASE("names") {
    for (unsigned s = 0; s <= LEARNANN_NOT_FOUND; ++s) {
        const std::string text = learnann_status_text(static_cast<learnann_status>(s));
        CHECK(!text.empty());
        CHECK(text != "unknown status");
    }
    CHECK(std::string(learnann_status_text(no_such<learnann_status>(99))) == "unknown status");
    CHECK(learnann_version() == LEARNANN_VERSION);
    const std::string isa = learnann_isa();
    size_t known = 0;
    for (const char *name : {"scalar", "sse2", "ssse3", "avx2", "avx512", "neon", "dotprod"}) known += isa == name;
    CHECK(known == 1);
}
