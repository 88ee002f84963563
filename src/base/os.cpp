// os.cpp: POSIX and Windows bodies of os.hpp. No other file knows which system it runs on. WASI, WebAssembly's own system
// interface, is a POSIX without mappings, threads and processes.
#include "base/os.hpp"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#undef near     // it makes macros of words
#undef far
#else
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifndef __wasi__
#include <pthread.h>
#include <sys/mman.h>
#endif
#ifdef __linux__
#include <sys/xattr.h>
#endif
#endif
#include <atomic>
#include <cstdio>

LEARNANN_BEGIN

inline Status fail_io(learnann_error *error, const char *message) {
    fail(error, LEARNANN_IO, message);
#ifdef _WIN32
    if (error) error->system_error = static_cast<i32>(GetLastError());
#else
    if (error) error->system_error = errno;
#endif
    return LEARNANN_IO;
}

// From 2 GiB on a 32-bit machine, whose system may say so (EOVERFLOW) before we know the size.
constexpr char too_large[] = "the file is larger than this machine's address space";
constexpr char shortened[] = "the file grew shorter while it was read";

// A number for the temporary's name that no other save of this process uses.
inline u32 next_save() {
    static std::atomic<u32> saves{0};
    return saves.fetch_add(1, std::memory_order_relaxed);
}

// A name may be taken: by a process of that number that was killed, or one that runs in another container. So many are tried.
constexpr u32 most_names = 1000;

// How much of a path says which folder, with the separator behind it.
inline size_t folder_length(const char *path) {
    size_t length = 0;
    for (size_t i = 0; path[i]; ++i) {
        bool separator = path[i] == '/';
#ifdef _WIN32
        separator = separator || path[i] == '\\' || path[i] == ':';
#endif
        if (separator) length = i + 1;
    }
    return length;
}

// In the path's folder, by a name of its own: one that ends the file's could be longer than the system allows.
inline Status temporary_name(const char *path, u64 process, Array<char> &name, Array<char> &copy, learnann_error *error) {
    constexpr size_t own = 48;
    const size_t length = std::strlen(path), folder = folder_length(path);
    LEARNANN_RETURN_IF(name.allocate(folder + own, error));
    LEARNANN_RETURN_IF(copy.allocate(length + 1, error));
    std::memcpy(copy.data(), path, length + 1);
    std::memcpy(name.data(), path, folder);
    std::snprintf(name.data() + folder, own, "learnann-%llx-%x.tmp", static_cast<unsigned long long>(process), next_save());
    return LEARNANN_OK;
}

#ifdef _WIN32

// UTF-8 to the wide names that Windows wants; false where it is too long or no UTF-8.
class WideName {
public:
    explicit WideName(const char *utf8) {
        ok_ = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, utf8, -1, text_, 4096) > 0;
    }
    explicit operator bool() const { return ok_; }
    const wchar_t *get() const { return text_; }

private:
    wchar_t text_[4096];
    bool ok_ = false;
};

using FileHandle = HANDLE;

// A file to read, and its size, which fits size_t. Where it fails there is nothing to close.
inline Status open_to_read(const char *path, FileHandle &file, size_t &size, learnann_error *error) {
    const WideName name(path);
    if (!name) return fail(error, LEARNANN_ARGUMENT, "the path is not valid UTF-8, or too long");
    file = CreateFileW(name.get(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) return fail_io(error, "the file can't be opened");
    LARGE_INTEGER length;
    Status status = GetFileSizeEx(file, &length) ? LEARNANN_OK : fail_io(error, "the file's size can't be read");
    if (status == LEARNANN_OK && static_cast<u64>(length.QuadPart) > SIZE_MAX / 2)
        status = fail(error, LEARNANN_UNSUPPORTED, too_large);
    if (status == LEARNANN_OK) size = static_cast<size_t>(length.QuadPart);
    else CloseHandle(file);
    return status;
}

inline void close_file(HANDLE file) { CloseHandle(file); }

// Up to `size` bytes of what comes next: how many were read, 0 at the file's end, -1 where it can't be read.
inline i64 read_some(HANDLE file, u8 *to, size_t size) {
    DWORD part = 0;
    return ReadFile(file, to, static_cast<DWORD>(size), &part, nullptr) ? static_cast<i64>(part) : -1;
}

// NULL where it can't be mapped.
inline const void *map_file(HANDLE file, size_t) {
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    const void *view = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : nullptr;
    if (mapping) CloseHandle(mapping);
    return view;
}

void FileMap::close() {
    if (data_) UnmapViewOfFile(data_);
    data_ = nullptr;
    size_ = 0;
}

inline HANDLE as_handle(i64 h) { return reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(h)); }

AtomicFile::~AtomicFile() {
    if (handle_ != -1) CloseHandle(as_handle(handle_));
    if (exists_) {
        const WideName name(name_.data());
        if (name) DeleteFileW(name.get());
    }
}

Status AtomicFile::create(const char *path, learnann_error *error) {
    HANDLE file = INVALID_HANDLE_VALUE;
    for (u32 tries = 0; file == INVALID_HANDLE_VALUE && tries < most_names; ++tries) {
        LEARNANN_RETURN_IF(temporary_name(path, GetCurrentProcessId(), name_, path_, error));
        const WideName name(name_.data());
        if (!name) return fail(error, LEARNANN_ARGUMENT, "the path is not valid UTF-8, or too long");
        file = CreateFileW(name.get(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
        if (file == INVALID_HANDLE_VALUE && GetLastError() != ERROR_FILE_EXISTS) break;
    }
    if (file == INVALID_HANDLE_VALUE) return fail_io(error, "no file can be created in that folder");
    handle_ = static_cast<i64>(reinterpret_cast<std::intptr_t>(file));
    exists_ = true;
    return LEARNANN_OK;
}

Status AtomicFile::write(const void *bytes, size_t size, learnann_error *error) {
    const char *from = static_cast<const char *>(bytes);
    while (size > 0) {
        DWORD written = 0;
        const DWORD part = static_cast<DWORD>(smaller<size_t>(size, size_t(1) << 24));
        if (!WriteFile(as_handle(handle_), from, part, &written, nullptr) || written == 0)
            return fail_io(error, "the file can't be written (is the disk full?)");
        from += written;
        size -= written;
    }
    return LEARNANN_OK;
}

Status AtomicFile::rewind(learnann_error *error) {
    LARGE_INTEGER start{};
    return SetFilePointerEx(as_handle(handle_), start, nullptr, FILE_BEGIN) ? LEARNANN_OK : fail_io(error, "the file can't be written to again");
}

Status AtomicFile::commit(learnann_error *error) {
    if (!FlushFileBuffers(as_handle(handle_))) return fail_io(error, "the file can't be flushed to the disk");
    const bool closed = CloseHandle(as_handle(handle_)) != 0;
    handle_ = -1;
    if (!closed) return fail_io(error, "the file can't be closed");
    const WideName from(name_.data()), to(path_.data());
    if (!from || !to) return fail(error, LEARNANN_ARGUMENT, "the path is not valid UTF-8, or too long");
    if (!MoveFileExW(from.get(), to.get(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        return fail_io(error, "the finished file can't take its name");
    exists_ = false;
    return LEARNANN_OK;
}

void prefer_large_pages(void *, size_t) {}
void expect_reads(const void *, u64) {}
void expect_rereads(const void *, u64) {}
void give_back(const void *, u64) {}

double seconds_now() {
    LARGE_INTEGER frequency, ticks;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    return static_cast<double>(ticks.QuadPart) / static_cast<double>(frequency.QuadPart);
}

u32 core_count() {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return clamp<u32>(info.dwNumberOfProcessors, 1, max_threads);
}

struct ThreadStart {
    void (*work)(void *, u32);
    void *context;
    u32 worker;
};

inline DWORD WINAPI thread_main(void *p) {
    const ThreadStart &start = *static_cast<ThreadStart *>(p);
    start.work(start.context, start.worker);
    return 0;
}

void run_threads(u32 threads, void (*work)(void *, u32), void *context) {
    HANDLE handles[max_threads];
    ThreadStart starts[max_threads];
    u32 running = 0;
    for (u32 worker = 1; worker < smaller(threads, max_threads); ++worker) {
        starts[worker] = {work, context, worker};
        const HANDLE h = CreateThread(nullptr, 0, thread_main, &starts[worker], 0, nullptr);
        if (h) handles[running++] = h;
    }
    work(context, 0);
    for (u32 i = 0; i < running; ++i) {
        WaitForSingleObject(handles[i], INFINITE);
        CloseHandle(handles[i]);
    }
}

#else

using FileHandle = int;

// Of a folder the system has an error, of a device or a pipe it has none that says more.
inline Status fail_irregular(learnann_error *error, const struct stat &about, const char *message) {
    if (!S_ISDIR(about.st_mode)) return fail(error, LEARNANN_IO, message);
    errno = EISDIR;
    return fail_io(error, message);
}

// A regular file to read, and its size, which fits size_t. Where it fails there is nothing to close.
inline Status open_to_read(const char *path, FileHandle &file, size_t &size, learnann_error *error) {
    file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);    // a pipe must not keep us waiting
    if (file < 0 && errno == EOVERFLOW) return fail(error, LEARNANN_UNSUPPORTED, too_large);
    if (file < 0) return fail_io(error, errno == ENOENT ? "there is no such file" : "the file can't be opened");
    struct stat about;
    Status status = LEARNANN_OK;
    if (::fstat(file, &about) != 0)
        status = errno == EOVERFLOW ? fail(error, LEARNANN_UNSUPPORTED, too_large) : fail_io(error, "the file's size can't be read");
    if (status == LEARNANN_OK && !S_ISREG(about.st_mode)) status = fail_irregular(error, about, "that is not a regular file");
    if (status == LEARNANN_OK && static_cast<u64>(about.st_size) > SIZE_MAX / 2)
        status = fail(error, LEARNANN_UNSUPPORTED, too_large);
    if (status == LEARNANN_OK) size = static_cast<size_t>(about.st_size);
    else ::close(file);
    return status;
}

inline void close_file(int file) { ::close(file); }

// Up to `size` bytes of what comes next: how many were read, 0 at the file's end, -1 where it can't be read.
inline i64 read_some(int file, u8 *to, size_t size) {
    ssize_t part;
    do part = ::read(file, to, size);
    while (part < 0 && errno == EINTR);
    return part;
}

#ifdef __wasi__

inline u64 process_number() { return 0; }

inline const void *map_file(int, size_t) { return nullptr; }
void FileMap::close() {}

void expect_reads(const void *, u64) {}
void expect_rereads(const void *, u64) {}
void give_back(const void *, u64) {}
void prefer_large_pages(void *, size_t) {}

u32 core_count() { return 1; }
void run_threads(u32, void (*work)(void *, u32), void *context) { work(context, 0); }

// Links can't be resolved, so they stay what they are: no regular files. Permissions there are none.
constexpr size_t longest_path = 1;
inline Status follow_link(const char *, char *, struct stat &, learnann_error *) { return LEARNANN_OK; }
inline bool take_permissions(int, const char *, const struct stat &) { return true; }

#else

inline u64 process_number() { return static_cast<u64>(::getpid()); }

// `call` is posix_madvise or madvise, for the pages that the bytes lie on.
inline void advise(const void *bytes, u64 size, int advice, int (*call)(void *, size_t, int) = ::posix_madvise) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<std::uintptr_t>(bytes), begin = address / page * page;
    if (size > 0) (void)call(reinterpret_cast<void *>(begin), static_cast<size_t>(address + size - begin), advice);
}

// NULL where it can't be mapped.
inline const void *map_file(int file, size_t size) {
    void *view = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    if (view == MAP_FAILED) return nullptr;
    advise(view, size, POSIX_MADV_RANDOM);
    return view;
}

void FileMap::close() {
    if (data_) ::munmap(const_cast<u8 *>(data_), static_cast<size_t>(size_));
    data_ = nullptr;
    size_ = 0;
}

void expect_reads(const void *bytes, u64 size) { advise(bytes, size, POSIX_MADV_WILLNEED); }
void expect_rereads(const void *bytes, u64 size) { advise(bytes, size, POSIX_MADV_NORMAL); }

void give_back(const void *bytes, u64 size) {
#ifdef MADV_DONTNEED
    advise(bytes, size, MADV_DONTNEED, ::madvise);      // posix_madvise does nothing of the kind in glibc
#else
    (void)bytes;
    (void)size;
#endif
}

void prefer_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
    constexpr std::uintptr_t large = 2u << 20;
    const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + large - 1) / large * large;
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / large * large;
    if (begin < end) (void)::madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

u32 core_count() {
    const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : static_cast<u32>(smaller<long>(cores, max_threads));
}

struct ThreadStart {
    void (*work)(void *, u32);
    void *context;
    u32 worker;
};

inline void *thread_main(void *p) {
    const ThreadStart &start = *static_cast<ThreadStart *>(p);
    start.work(start.context, start.worker);
    return nullptr;
}

void run_threads(u32 threads, void (*work)(void *, u32), void *context) {
    pthread_t handles[max_threads];
    ThreadStart starts[max_threads];
    u32 running = 0;
    for (u32 worker = 1; worker < smaller(threads, max_threads); ++worker) {
        starts[worker] = {work, context, worker};
        if (::pthread_create(&handles[running], nullptr, thread_main, &starts[worker]) == 0) ++running;
    }
    work(context, 0);
    for (u32 i = 0; i < running; ++i) ::pthread_join(handles[i], nullptr);
}

constexpr size_t longest_path = PATH_MAX;

// Where a symbolic link leads to, and about the file there. stat() knows whether the system lets us follow it (not everybody's link in
// /tmp), realpath() does not: so both must come to the same file.
inline Status follow_link(const char *link, char *target, struct stat &about, learnann_error *error) {
    if (::stat(link, &about) != 0) return fail_io(error, "the path is a symbolic link that can't be followed to a file");
    struct stat there;
    if (!::realpath(link, target) || ::stat(target, &there) != 0) return fail_io(error, "the path's symbolic link can't be resolved");
    if (there.st_dev == about.st_dev && there.st_ino == about.st_ino) return LEARNANN_OK;
    errno = EAGAIN;
    return fail_io(error, "the path's symbolic link was changed meanwhile");
}

// The access control list of the file that is replaced, for the new one, or none where it has none: not what the new one has of its
// folder's defaults. With a list the mode's group bits are the most that it grants to any but the owner and all others, and without
// it they would be the group's. False where that can't be had.
inline bool take_list(int file, const char *path, bool group_kept) {
#ifdef __linux__
    constexpr char name[] = "system.posix_acl_access";
    u8 list[4096];
    const bool bare = ::fremovexattr(file, name) == 0 || errno == ENODATA || errno == ENOTSUP;
    const ssize_t size = ::getxattr(path, name, list, sizeof list);
    if (size >= 0) return group_kept && ::fsetxattr(file, name, list, static_cast<size_t>(size), 0) == 0;
    return bare && (errno == ENODATA || errno == ENOTSUP);
#else
    (void)file;
    (void)path;
    (void)group_kept;
    return true;
#endif
}

// Those of the file that is replaced, for the new one, which nobody but us may read until then; and its owner and group. Where the
// group can't be kept, others are in it: then group and all others get what both had. Where its list can't be kept they get nothing.
inline bool take_permissions(int file, const char *path, const struct stat &old) {
    struct stat fresh;
    if (::fstat(file, &fresh) != 0) return false;
    u32 mode = old.st_mode & 0777;
    const bool ours = old.st_uid == fresh.st_uid && old.st_gid == fresh.st_gid;
    const bool group_kept = ours || ::fchown(file, old.st_uid, old.st_gid) == 0 || ::fchown(file, static_cast<uid_t>(-1), old.st_gid) == 0;
    if (!take_list(file, path, group_kept)) {
        mode &= 0700;
    } else if (!group_kept) {
        const u32 both = mode & mode >> 3 & 7;
        mode = (mode & 0700) | both << 3 | both;
    }
    return (fresh.st_mode & 0777) == mode || ::fchmod(file, static_cast<mode_t>(mode)) == 0;
}

#endif

AtomicFile::~AtomicFile() {
    if (handle_ != -1) ::close(static_cast<int>(handle_));
    if (exists_) ::unlink(name_.data());
}

Status AtomicFile::create(const char *path, learnann_error *error) {
    struct stat old;
    char target[longest_path];
    const bool there = ::lstat(path, &old) == 0;
    if (!there && errno != ENOENT) return fail_io(error, "whether there is a file of that name already can't be told");
    if (there && S_ISLNK(old.st_mode)) {
        LEARNANN_RETURN_IF(follow_link(path, target, old, error));
        path = target;
    }
    if (there && !S_ISREG(old.st_mode)) {       // rename would replace a device
        return fail_irregular(error, old, "the path names something that is not a regular file");
    }
    for (u32 tries = 0; handle_ < 0 && tries < most_names; ++tries) {
        LEARNANN_RETURN_IF(temporary_name(path, process_number(), name_, path_, error));
        handle_ = ::open(name_.data(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, there ? 0600 : 0666);
        if (handle_ < 0 && errno != EEXIST) break;
    }
    if (handle_ < 0) return fail_io(error, "no file can be created in that folder");
    exists_ = true;
    if (there && !take_permissions(static_cast<int>(handle_), path, old)) return fail_io(error, "the new file can't have the old one's permissions");
    return LEARNANN_OK;
}

Status AtomicFile::write(const void *bytes, size_t size, learnann_error *error) {
    const char *from = static_cast<const char *>(bytes);
    while (size > 0) {
        const ssize_t written = ::write(static_cast<int>(handle_), from, smaller<size_t>(size, size_t(1) << 30));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail_io(error, "the file can't be written (is the disk full?)");
        from += written;
        size -= static_cast<size_t>(written);
    }
    return LEARNANN_OK;
}

Status AtomicFile::rewind(learnann_error *error) {
    return ::lseek(static_cast<int>(handle_), 0, SEEK_SET) == 0 ? LEARNANN_OK : fail_io(error, "the file can't be written to again");
}

// Flushes the folder's entry for the new name. A system that can't open or flush folders has no more to offer: not an error.
inline void flush_folder_of(char *path) {
    char *slash = std::strrchr(path, '/');
    const char *folder = ".";
    if (slash) {
        slash[slash == path ? 1 : 0] = '\0';
        folder = path;
    }
    const int handle = ::open(folder, O_RDONLY | O_CLOEXEC);
    if (handle < 0) return;
    (void)::fsync(handle);
    ::close(handle);
}

Status AtomicFile::commit(learnann_error *error) {
    if (::fsync(static_cast<int>(handle_)) != 0) return fail_io(error, "the file can't be flushed to the disk");
    const int closed = ::close(static_cast<int>(handle_));
    handle_ = -1;
    if (closed != 0) return fail_io(error, "the file can't be closed");
    if (::rename(name_.data(), path_.data()) != 0) return fail_io(error, "the finished file can't take its name");
    exists_ = false;
    flush_folder_of(path_.data());
    return LEARNANN_OK;
}

double seconds_now() {
    struct timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

#endif

// ---- the same everywhere ----

Status FileMap::open(const char *path, learnann_error *error) {
    close();
    FileHandle file;
    size_t size;
    LEARNANN_RETURN_IF(open_to_read(path, file, size, error));
    Status status = LEARNANN_OK;
    if (size > 0) {
        data_ = static_cast<const u8 *>(map_file(file, size));
        if (!data_) status = fail_io(error, "the file can't be mapped");
    }
    close_file(file);
    if (status == LEARNANN_OK) size_ = size;
    return status;
}

Status read_file(const char *path, Array<u8> &bytes, learnann_error *error) {
    FileHandle file;
    size_t size;
    LEARNANN_RETURN_IF(open_to_read(path, file, size, error));
    Status status = bytes.allocate(size, error);
    if (status == LEARNANN_OK) prefer_large_pages(bytes.data(), size);
    for (size_t at = 0; status == LEARNANN_OK && at < size;) {
        const i64 part = read_some(file, bytes.data() + at, smaller<size_t>(size - at, size_t(1) << 30));
        if (part < 0) status = fail_io(error, "the file can't be read");
        else if (part == 0) status = fail(error, LEARNANN_IO, shortened);
        else at += static_cast<size_t>(part);
    }
    close_file(file);
    return status;
}

LEARNANN_END
