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
