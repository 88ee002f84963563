// cache.cpp: see cache.hpp. Linux only; elsewhere each of them says so.
#include "cache.hpp"

#ifdef __linux__
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
#endif

namespace tools {

#ifdef __linux__

namespace {

bool system_failure(const std::string &path, const char *what, Failure &failure) {
    return fail(failure, path, "", std::string(what) + ": " + system_text(errno), "Check the path and its permissions.");
}

class Descriptor {
public:
    explicit Descriptor(const std::string &path) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    Descriptor(const Descriptor &) = delete;
    Descriptor &operator=(const Descriptor &) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int number() const { return number_; }

private:
    int number_;
};

bool write_number(const std::string &path, uint64_t number) {
    std::ofstream file(path);
    file << number << std::endl;
    return file.good();
}

// A control group for this process's child: of version 2 beside the own one or below the root, or of version 1.
class MemoryGroup {
public:
    explicit MemoryGroup(uint64_t limit) {
        const std::string name = "/learnann-" + std::to_string(::getpid());
        std::ifstream own("/proc/self/cgroup");
        std::vector<std::pair<std::string, const char *>> places;      // a folder, and its file for the limit
        for (std::string line; std::getline(own, line);) {
            const std::string path = line.substr(line.rfind(':') + 1), parent = path.substr(0, path.rfind('/'));
            if (line.compare(0, 3, "0::") == 0) places.emplace_back("/sys/fs/cgroup" + parent, "/memory.max");
            if (line.find(":memory:") != std::string::npos) {
                places.emplace_back("/sys/fs/cgroup/memory" + path, "/memory.limit_in_bytes");
                places.emplace_back("/sys/fs/cgroup/memory", "/memory.limit_in_bytes");
            }
        }
        for (const auto &[folder, limit_file] : places) {
            const std::string group = folder + name;
            if (::mkdir(group.c_str(), 0755) != 0) continue;
            if (::access((group + limit_file).c_str(), W_OK) == 0 && write_number(group + limit_file, limit)) {
                folder_ = group;
                return;
            }
            ::rmdir(group.c_str());
        }
    }
    MemoryGroup(const MemoryGroup &) = delete;
    MemoryGroup &operator=(const MemoryGroup &) = delete;
    ~MemoryGroup() {
        if (!folder_.empty()) ::rmdir(folder_.c_str());
    }
    bool granted() const { return !folder_.empty(); }
    bool join() const { return write_number(folder_ + "/cgroup.procs", static_cast<uint64_t>(::getpid())); }

private:
    std::string folder_;
};

} // namespace

bool drop_cached(const std::string &path, Failure &failure) {
    const Descriptor file(path);
    if (file.number() < 0) return system_failure(path, "it can't be opened", failure);
    (void)::fdatasync(file.number());       // pages not yet written stay otherwise
    const int code = ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_DONTNEED);
    if (code == 0) return true;
    errno = code;
    return system_failure(path, "the system doesn't let go of it", failure);
}

bool cached_bytes(const std::string &path, uint64_t &bytes, Failure &failure) {
    const Descriptor file(path);
    struct stat about {};
    if (file.number() < 0 || ::fstat(file.number(), &about) != 0) return system_failure(path, "it can't be opened", failure);
    bytes = 0;
    if (about.st_size == 0) return true;
    const size_t size = static_cast<size_t>(about.st_size), page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    void *memory = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, file.number(), 0);
    if (memory == MAP_FAILED) return system_failure(path, "it can't be mapped", failure);
    std::vector<unsigned char> there((size + page - 1) / page);
    const bool told = ::mincore(memory, size, there.data()) == 0;
    for (const unsigned char in_memory : there) bytes += in_memory & 1 ? page : 0;
    ::munmap(memory, size);
    return told || system_failure(path, "the system doesn't tell what of it is in memory", failure);
}

bool run_capped(uint64_t bytes, const std::string &file, const std::function<int()> &work, int &code, Failure &failure) {
    if (Descriptor(file).number() < 0) return system_failure(file, "it can't be opened", failure);
    const MemoryGroup group(bytes);
    if (!group.granted()) {
        return fail(failure, "", "", "no control group with a memory limit can be made here",
                    "Run it as root, or in a container that grants control groups.");
    }
    const pid_t child = ::fork();
    if (child < 0) return system_failure("", "no process can be started", failure);
    if (child == 0) {
        Failure trouble;
        const bool ready = (group.join() || system_failure("", "its control group can't be joined", trouble)) && drop_cached(file, trouble);
        const int result = ready ? work() : 1;
        if (!ready) std::fprintf(stderr, "learnann: the capped process could not begin: %s\n", trouble.reason.c_str());
        std::fflush(nullptr);
        ::_exit(result);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status)) {
        code = WEXITSTATUS(status);
        return true;
    }
    return fail(failure, "", "", "the capped process was ended by signal " + std::to_string(WTERMSIG(status)),
                "It may have needed more memory than that: give it more.");
}

#else

namespace {
bool not_here(Failure &failure) {
    return fail(failure, "", "", "this system doesn't say what it holds of a file", "Measure on Linux.");
}
} // namespace

bool drop_cached(const std::string &, Failure &failure) { return not_here(failure); }
bool cached_bytes(const std::string &, uint64_t &, Failure &failure) { return not_here(failure); }
bool run_capped(uint64_t, const std::string &, const std::function<int()> &, int &, Failure &failure) { return not_here(failure); }

#endif

} // namespace tools
