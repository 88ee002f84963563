/* faults.c: a preloaded library that makes one system call of its host fail, or one allocation. In the environment:
 *   FAULT=open|chmod|write|short|fsync|close|rename|mmap|read|cut|malloc|memory
 *                   which call; `short` writes half of what it is asked to; `cut` reads as if the file ended; `malloc` is any allocation, operator new's too,
 *                   `memory` that one and all after it
 *   FAULT_AT=N      its N-th call, from 1 on; only calls on files count: not those on standard streams
 *   FAULT_SEEN=FILE is made when the call was reached */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int due(const char *name, int *counter) {
    const char *fault = getenv("FAULT"), *at = getenv("FAULT_AT"), *seen = getenv("FAULT_SEEN");
    if (!fault || !at || !seen || strcmp(fault, name) != 0 || ++*counter != atoi(at)) return 0;
    close(creat(seen, 0600));
    return 1;
}

#define REAL(function, name) __typeof__(&function) real = (__typeof__(&function))dlsym(RTLD_NEXT, name)

static int open_any(const char *name, const char *path, int flags, mode_t mode) {
    static int count;
    REAL(open, name);
    if ((flags & O_CREAT) && due("open", &count)) {
        errno = EACCES;
        return -1;
    }
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments) { return flags & O_CREAT ? (mode_t)va_arg(arguments, int) : 0; }

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_any("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_any("open64", path, flags, mode);
}

int fchmod(int file, mode_t mode) {
    static int count;
    REAL(fchmod, "fchmod");
    if (due("chmod", &count)) {
        errno = EPERM;
        return -1;
    }
    return real(file, mode);
}

ssize_t write(int file, const void *bytes, size_t size) {
    static int full, half;
    REAL(write, "write");
    if (file > 2 && due("write", &full)) {
        errno = ENOSPC;
        return -1;
    }
    if (file > 2 && size > 1 && due("short", &half)) size /= 2;
    return real(file, bytes, size);
}

ssize_t read(int file, void *bytes, size_t size) {
    static int bad, cut;
    REAL(read, "read");
    if (file > 2 && due("read", &bad)) {
        errno = EIO;
        return -1;
    }
    return file > 2 && due("cut", &cut) ? 0 : real(file, bytes, size);
}

int fsync(int file) {
    static int count;
    REAL(fsync, "fsync");
    if (due("fsync", &count)) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

/* The descriptor is closed all the same, as it is on Linux. */
int close(int file) {
    static int count, inside;
    REAL(close, "close");
    if (inside) return real(file);
    inside = 1;
    const int fails = file > 2 && due("close", &count);
    inside = 0;
    const int result = real(file);
    if (fails) errno = EIO;
    return fails ? -1 : result;
}

int rename(const char *from, const char *to) {
    static int count;
    REAL(rename, "rename");
    if (due("rename", &count)) {
        errno = EXDEV;
        return -1;
    }
    return real(from, to);
}

void *mmap(void *where, size_t size, int protection, int flags, int file, off_t offset) {
    static int count;
    REAL(mmap, "mmap");
    if (file >= 0 && due("mmap", &count)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(where, size, protection, flags, file, offset);
}

/* Of glibc only: elsewhere a preloaded malloc has no other to go on to. */
#ifdef __GLIBC__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static int out_of_memory(void) {
    static int one, first, inside, out;     /* threads of the host may count alike: then one of them fails */
    if (inside) return 0;
    inside = 1;
    out = out || due("memory", &first);
    const int fails = out || due("malloc", &one);
    inside = 0;
    if (fails) errno = ENOMEM;
    return fails;
}

void *malloc(size_t size) { return out_of_memory() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return out_of_memory() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return out_of_memory() ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { return out_of_memory() ? NULL : __libc_memalign(alignment, size); }
void *memalign(size_t alignment, size_t size) { return out_of_memory() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *given = out_of_memory() ? NULL : __libc_memalign(alignment, size);
    if (!given) return ENOMEM;
    *memory = given;
    return 0;
}
#endif
