// Files as the tools need them: a whole file to read, and a file that appears complete or not at all.
//
// Invariants: paths are UTF-8. A MappedFile's bytes stay where they are until it is destroyed, moves included. An
// AtomicFile that was not published leaves nothing behind, and the file that it would have replaced is untouched.
#pragma once

#include "common.hpp"

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <vector>

namespace tools {

// Read-only. Mapped where there is mmap, read into memory elsewhere.
class MappedFile {
public:
    MappedFile() = default;
    MappedFile(MappedFile &&other) noexcept;
    MappedFile &operator=(MappedFile &&other) noexcept;
    ~MappedFile();

    bool open(const std::string &path, Failure &failure);
    const uint8_t *data() const { return data_; }
    uint64_t size() const { return size_; }
    bool mapped() const { return data_ != nullptr && held_.empty(); }
    // What was read of it need not stay in memory, where it is mapped.
    void let_go() const;

private:
    const uint8_t *data_ = nullptr;
    uint64_t size_ = 0;
    std::vector<uint8_t> held_;     // the bytes, where they are not mapped
};

// Written under a temporary name beside the target; publish() flushes it to the disk and renames it.
class AtomicFile {
public:
    AtomicFile() = default;
    AtomicFile(const AtomicFile &) = delete;
    AtomicFile &operator=(const AtomicFile &) = delete;
    ~AtomicFile();

    bool create(const std::string &path, Failure &failure);
    bool write(const void *bytes, size_t count, Failure &failure);
    bool publish(Failure &failure);

private:
    bool fail_write(int code, Failure &failure);

    std::string path_, temporary_;
    std::FILE *stream_ = nullptr;
};

bool write_file(const std::string &path, const std::string &text, Failure &failure);

// Says early what would go wrong when `path` is written at the end of long work. It must be none of the inputs; empty ones are none.
bool check_output(const std::string &path, std::initializer_list<std::string> inputs, Failure &failure);

} // namespace tools
