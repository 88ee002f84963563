// os.hpp: the system calls (but for asking the processor what it can: simd/): map a file, replace a file atomically, run threads, read the clock.
#pragma once

#include "base/base.hpp"

LEARNANN_BEGIN

// Whether this system maps files: where it doesn't, they are read whole.
#ifdef __wasi__
constexpr bool maps_files = false;
#else
constexpr bool maps_files = true;
#endif

// A whole file, mapped read-only. An empty file maps to size 0. The system is told that it is read here and there, a little at a
// time: reading ahead would fill memory with what nobody needs. Who reads a lot in order says so (read_in_order).
class FileMap {
public:
    FileMap() = default;
    FileMap(const FileMap &) = delete;
    FileMap &operator=(const FileMap &) = delete;
    ~FileMap() { close(); }

    Status open(const char *path, learnann_error *error);
    void close();
    const u8 *data() const { return data_; }
    u64 size() const { return size_; }

private:
    const u8 *data_ = nullptr;
    u64 size_ = 0;
};

// The whole of a file. Where it grows shorter meanwhile, an error.
Status read_file(const char *path, Array<u8> &bytes, learnann_error *error);

// A new file that takes its name only when it is complete: written beside `path`, flushed, renamed, the folder flushed.
// Destroyed before commit() succeeded, it leaves nothing behind and `path` as it was.
class AtomicFile {
public:
    explicit AtomicFile(const Allocator &allocator) : name_(allocator), path_(allocator) {}
    AtomicFile(const AtomicFile &) = delete;
    AtomicFile &operator=(const AtomicFile &) = delete;
    ~AtomicFile();

    Status create(const char *path, learnann_error *error);
    Status write(const void *bytes, size_t size, learnann_error *error);
    Status rewind(learnann_error *error);   // what is written next replaces the file's first bytes
    Status commit(learnann_error *error);

private:
    Array<char> name_;  // of the temporary
    Array<char> path_;
    i64 handle_ = -1;
    bool exists_ = false;
};

// Hints to the system about bytes of a mapped file. expect_reads: they will be needed soon. expect_rereads: they will be needed again
// and again, so read ahead and keep them when memory is short (Linux otherwise drops what is read here and there first).
void expect_reads(const void *bytes, u64 size);
void expect_rereads(const void *bytes, u64 size);

// A hint that nobody will read these bytes of a mapped file soon: they no longer count as this process's memory. For mappings that
// nobody wrote to only: other memory would lose its contents.
void give_back(const void *bytes, u64 size);

// visit(bytes, size) for one part after the other of mapped bytes, the next of which is on its way.
template <class Visit> void read_in_order(const u8 *bytes, u64 size, Visit visit) {
    constexpr u64 part = 4u << 20;
    for (u64 at = 0; at < size; at += part) {
        if (at == 0) expect_reads(bytes, smaller(part, size));
        if (at + part < size) expect_reads(bytes + at + part, smaller(part, size - at - part));
        visit(bytes + at, static_cast<size_t>(smaller(part, size - at)));
    }
}

// Asks for large pages under a large block of memory. Only a wish.
void prefer_large_pages(void *memory, size_t bytes);

double seconds_now();
u32 core_count();

// Runs work(context, worker) for worker = 0..threads-1, worker 0 on the calling thread, and returns when all are done. Where
// the system grants fewer threads, the ones it grants must do all the work: share it out by an atomic counter.
void run_threads(u32 threads, void (*work)(void *context, u32 worker), void *context);

constexpr u32 max_threads = LEARNANN_MAX_THREADS;    // each costs a build up to 6 KB of stack

LEARNANN_END
