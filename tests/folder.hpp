// folder.hpp: files of a test: a folder of its own, what is in it, and indexes to save there.
#pragma once

#include "testdata.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_POSIX 1
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define HAVE_POSIX 0
#endif
#ifdef __linux__
#include <sys/xattr.h>
#endif

namespace testdata {

inline void write_file(const std::string &path, const void *bytes, size_t size) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(static_cast<const char *>(bytes), static_cast<std::streamsize>(size));
}

inline std::vector<char> read_file(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    return std::vector<char>(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// A folder of our own below the current one, removed at the end with what it holds.
struct Folder {
#if HAVE_POSIX
    std::string path = "test_files_" + std::to_string(::getpid());
    Folder() { ::mkdir(path.c_str(), 0777); }
    ~Folder() {
        for (const std::string &name : names()) ::remove((path + "/" + name).c_str());
        ::rmdir(path.c_str());
    }
    std::vector<std::string> names() const {
        std::vector<std::string> all;
        DIR *folder = ::opendir(path.c_str());
        if (!folder) return all;
        while (const dirent *entry = ::readdir(folder))
            if (entry->d_name[0] != '.') all.push_back(entry->d_name);
        ::closedir(folder);
        return all;
    }
#else
    std::string path = ".";
#endif
    std::string file(const char *name) const { return path + "/" + name; }
};

#ifdef __linux__
constexpr char file_list[] = "system.posix_acl_access", folder_list[] = "system.posix_acl_default";

// An access control list as the kernel takes it: version 2, then tag, permissions and id of each entry. User 65534 gets so much, the
// owner and the mask 6, group and all others those. False where the file system knows none.
inline bool set_list(const std::string &path, const char *list, unsigned user, unsigned group, unsigned others) {
    const uint32_t nobody = 0xffffffffu, entries[5][3] = {{1, 6, nobody}, {2, user, 65534}, {4, group, nobody}, {16, 6, nobody}, {32, others, nobody}};
    std::vector<uint32_t> words = {2};
    for (const auto &entry : entries) {
        words.push_back(entry[0] | entry[1] << 16);
        words.push_back(entry[2]);
    }
    return ::setxattr(path.c_str(), list, words.data(), 4 * words.size(), 0) == 0;
}

// Empty where there is none.
inline std::string list_of(const std::string &path) {
    char bytes[4096];
    const ssize_t size = ::getxattr(path.c_str(), file_list, bytes, sizeof bytes);
    return size < 0 ? std::string() : std::string(bytes, static_cast<size_t>(size));
}
#endif

// A builder that holds an index, and the rows that it borrows.
struct Built {
    const Rows rows;
    learnann_builder *builder = nullptr;
    explicit Built(const Rows &given) : rows(given) {
        const learnann_build_options options = build_options();
        const learnann_vectors view = rows.view();
        CHECK(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
        CHECK(learnann_builder_run(builder, &view, nullptr, nullptr) == LEARNANN_OK);
    }
    Built(const Built &) = delete;
    Built &operator=(const Built &) = delete;
    ~Built() { learnann_builder_free(builder); }
};

#if HAVE_POSIX
// Makes a file that long, with zeroes behind what it holds, which take no room on the disk. False where the disk can't.
inline bool lengthen(const std::string &path, uint64_t size) {
#ifdef __GLIBC__
    return ::truncate64(path.c_str(), static_cast<int64_t>(size)) == 0;
#else
    return ::truncate(path.c_str(), static_cast<off_t>(size)) == 0;
#endif
}
#endif

}  // namespace testdata
