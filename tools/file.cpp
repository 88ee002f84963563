// The system calls behind file.hpp. Every result of a call is checked, that of close and flush too: a full disk often
// shows only there.
#include "file.hpp"

#include <cerrno>
#include <filesystem>
#include <utility>

#ifdef _WIN32
#include <io.h>
#include <process.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace tools {
namespace {

namespace fs = std::filesystem;

std::FILE *open_stream(const std::string &path, const char *mode) {
#ifdef _WIN32
    const std::wstring wide_mode(mode, mode + std::char_traits<char>::length(mode));
    return _wfopen(fs::u8path(path).c_str(), wide_mode.c_str());
#else
    return std::fopen(path.c_str(), mode);
#endif
}

int process_id() {
#ifdef _WIN32
    return _getpid();
#else
    return static_cast<int>(getpid());
#endif
}

// Also where there is no memory left to give.
void remove_file(const std::string &path) {
#ifdef _WIN32
    std::error_code ignored;
    fs::remove(fs::u8path(path), ignored);
#else
    (void)::unlink(path.c_str());
#endif
}

bool to_disk(std::FILE *stream) {
#ifdef _WIN32
    return std::fflush(stream) == 0 && _commit(_fileno(stream)) == 0;
#else
    return std::fflush(stream) == 0 && fsync(fileno(stream)) == 0;
#endif
}

bool fail_read(const std::string &path, int code, Failure &failure) {
    return fail(failure, path, "", "cannot be read: " + system_text(code), "Check the path and its permissions.");
}

// 2 GiB on a 32-bit machine, whose system may say so (EOVERFLOW) before we know the size.
constexpr uint64_t largest_file = SIZE_MAX / 2;

bool fail_large(const std::string &path, Failure &failure) {
    return fail(failure, path, "", "is larger than this machine's address space", "Use a 64-bit machine, or give it in parts.");
}

} // namespace

// ---- reading

MappedFile::MappedFile(MappedFile &&other) noexcept { *this = std::move(other); }

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(held_, other.held_);
    return *this;
}

#ifdef _WIN32

MappedFile::~MappedFile() = default;

bool MappedFile::open(const std::string &path, Failure &failure) {
    std::error_code code;
    const uint64_t size = fs::file_size(fs::u8path(path), code);
    std::FILE *stream = code ? nullptr : open_stream(path, "rb");
    if (stream == nullptr) return fail_read(path, code ? code.value() : errno, failure);
    if (size > largest_file) {
        std::fclose(stream);
        return fail_large(path, failure);
    }
    held_.resize(static_cast<size_t>(size));
    const bool whole = std::fread(held_.data(), 1, held_.size(), stream) == held_.size();
    std::fclose(stream);
    if (!whole) return fail(failure, path, "", "could not be read to its end", "Check the disk, then try again.");
    data_ = held_.data();
    size_ = size;
    return true;
}

void MappedFile::let_go() const {}

#else

MappedFile::~MappedFile() {
    if (data_ != nullptr) munmap(const_cast<uint8_t *>(data_), static_cast<size_t>(size_));
}

bool MappedFile::open(const std::string &path, Failure &failure) {
    // Without O_NONBLOCK a named pipe would hold us here until someone writes to it.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return errno == EOVERFLOW ? fail_large(path, failure) : fail_read(path, errno, failure);
    struct stat status {};
    const bool told = fstat(descriptor, &status) == 0;
    if ((!told && errno == EOVERFLOW) || (told && static_cast<uint64_t>(status.st_size) > largest_file)) {
        close(descriptor);
        return fail_large(path, failure);
    }
    if (!told || !S_ISREG(status.st_mode)) {
        close(descriptor);
        return fail(failure, path, "", "is not a regular file", "Save the data to a file first: it is memory-mapped.");
    }
    void *bytes = nullptr;
    if (status.st_size > 0) {
        bytes = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    const int code = errno;
    close(descriptor);
    if (bytes == MAP_FAILED) return fail_read(path, code, failure);
    *this = MappedFile();
    data_ = static_cast<const uint8_t *>(bytes);
    size_ = static_cast<uint64_t>(status.st_size);
    return true;
}

void MappedFile::let_go() const {
#ifdef MADV_DONTNEED
    if (data_ != nullptr) (void)madvise(const_cast<uint8_t *>(data_), static_cast<size_t>(size_), MADV_DONTNEED);
#endif
}

#endif

// ---- writing

AtomicFile::~AtomicFile() {
    if (stream_ != nullptr) std::fclose(stream_);
    if (!temporary_.empty()) remove_file(temporary_);
}

bool AtomicFile::fail_write(int code, Failure &failure) {
    return fail(failure, path_, "", "cannot be written: " + system_text(code),
                "Check the folder, its permissions and the free space; what was there before is untouched.");
}

bool AtomicFile::create(const std::string &path, Failure &failure) {
    if (!check_output(path, {}, failure)) return false;
    path_ = path;
    // "x" refuses what is there already, so no other file is ever followed or overwritten.
    for (int attempt = 0; attempt < 100 && stream_ == nullptr; ++attempt) {
        std::string name = path + format(".%d.%d.tmp", process_id(), attempt);
        stream_ = open_stream(name, "wbx");
        if (stream_ != nullptr) temporary_ = std::move(name);       // nothing may throw between: the file would stay
        else if (errno != EEXIST) break;
    }
    return stream_ != nullptr || fail_write(errno, failure);
}

bool AtomicFile::write(const void *bytes, size_t count, Failure &failure) {
    return count == 0 || std::fwrite(bytes, 1, count, stream_) == count || fail_write(errno, failure);
}

bool AtomicFile::publish(Failure &failure) {
    if (!to_disk(stream_)) return fail_write(errno, failure);
    const bool closed = std::fclose(std::exchange(stream_, nullptr)) == 0;
    if (!closed) return fail_write(errno, failure);
    std::error_code code;
    fs::rename(fs::u8path(temporary_), fs::u8path(path_), code);
    if (code) return fail_write(code.value(), failure);
    temporary_.clear();
    return true;
}

bool write_file(const std::string &path, const std::string &text, Failure &failure) {
    AtomicFile file;
    return file.create(path, failure) && file.write(text.data(), text.size(), failure) && file.publish(failure);
}

bool check_output(const std::string &path, std::initializer_list<std::string> inputs, Failure &failure) {
    std::error_code ignored;
    const fs::path target = fs::u8path(path);
    const fs::path folder = target.has_parent_path() ? target.parent_path() : ".";
    if (path.empty() || !target.has_filename()) {
        return fail(failure, path, "", "is not the name of a file", "Name the file to write.");
    }
    for (const std::string &input : inputs) {
        if (fs::equivalent(fs::u8path(input), target, ignored)) return fail(failure, path, "", "is also an input", "Name another output file.");
    }
    // Renaming onto a device or a folder would replace it, or fail only after all the work.
    if (fs::exists(target, ignored) && !fs::is_regular_file(target, ignored)) {
        return fail(failure, path, "", "exists and is not a regular file", "Name another file.");
    }
    if (!fs::is_directory(folder, ignored)) {
        return fail(failure, path, "", "its folder does not exist", "Create it, or name a file in another one.");
    }
#ifndef _WIN32
    if (access(folder.c_str(), W_OK | X_OK) != 0) {
        return fail(failure, path, "", "its folder cannot be written to: " + system_text(errno),
                    "Change the folder's permissions, or name a file in another one.");
    }
#endif
    return true;
}

} // namespace tools
