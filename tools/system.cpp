// See system.hpp. Linux tells most, through /proc and cgroup v2; other systems answer what POSIX knows.
#include "system.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <fstream>
#include <string>

#ifdef _WIN32
#include <io.h>
#else
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace tools {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;
volatile std::time_t first_interrupt = 0;

// One that comes at once is the same one again, as timeout's: that goes to a process and then to its group.
extern "C" void on_interrupt(int signal_number) {
    const std::time_t now = std::time(nullptr);
    if (interrupt_seen && now - first_interrupt > 1) {
        std::signal(signal_number, SIG_DFL);
        std::raise(signal_number);
        return;
    }
    if (!interrupt_seen) first_interrupt = now;
    interrupt_seen = 1;
    std::signal(signal_number, on_interrupt);       // some systems forget it at each signal
}

#ifdef __linux__

// The number after `name` in a file of "name number" lines, as /proc/meminfo and memory.stat are; 0 for none.
uint64_t number_after(const std::string &path, const std::string &name) {
    std::ifstream file(path);
    std::string word;
    for (uint64_t number = 0; file >> word;) {
        if (word == name) return file >> number ? number : 0;
    }
    return 0;
}

bool whole_number(const std::string &path, uint64_t &number) {
    std::ifstream file(path);
    return static_cast<bool>(file >> number);       // "max" is none
}

// What the cgroups that hold this process leave it, UINT64_MAX where none sets a limit.
uint64_t cgroup_headroom() {
    std::ifstream own("/proc/self/cgroup");
    std::string line, group;
    while (std::getline(own, line)) {
        if (line.compare(0, 3, "0::") == 0) group = line.substr(3);
    }
    uint64_t least = UINT64_MAX;
    for (bool more = !group.empty(); more;) {
        const std::string folder = "/sys/fs/cgroup" + (group == "/" ? "" : group);
        uint64_t limit = 0, used = 0;
        if (whole_number(folder + "/memory.max", limit) && whole_number(folder + "/memory.current", used)) {
            // Cached file pages count as used there, but make room when memory is wanted.
            const uint64_t cached = std::min(used, number_after(folder + "/memory.stat", "inactive_file") +
                                                       number_after(folder + "/memory.stat", "active_file"));
            least = std::min(least, limit - std::min(limit, used - cached));
        }
        more = group != "/" && group.find('/') != std::string::npos;
        if (more) group = group.rfind('/') == 0 ? "/" : group.substr(0, group.rfind('/'));
    }
    return least;
}

#endif

} // namespace

uint64_t peak_rss_bytes() {
#ifdef _WIN32
    return 0;
#else
    struct rusage usage {};
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
#ifdef __APPLE__
    return static_cast<uint64_t>(usage.ru_maxrss);
#else
    return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
#endif
#endif
}

uint64_t rss_bytes() {
#ifdef __linux__
    std::ifstream file("/proc/self/statm");
    uint64_t total = 0, resident = 0;
    if (file >> total >> resident) return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
#endif
    return 0;
}

AvailableMemory available_memory() {
    AvailableMemory memory;
#ifdef __linux__
    memory.bytes = number_after("/proc/meminfo", "MemAvailable:") * 1024;
    const uint64_t headroom = cgroup_headroom();
    memory.contained = headroom != UINT64_MAX && (memory.bytes == 0 || headroom < memory.bytes);
    if (memory.contained) memory.bytes = std::max<uint64_t>(headroom, 1);      // 0 would mean unknown
#elif defined(_SC_PHYS_PAGES)
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) memory.bytes = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
#endif
    return memory;
}

bool stderr_is_terminal() {
#ifdef _WIN32
    return _isatty(2) != 0;
#else
    return isatty(2) != 0;
#endif
}

void catch_interrupts() {
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
#ifdef SIGHUP
    if (std::signal(SIGHUP, SIG_IGN) != SIG_IGN) std::signal(SIGHUP, on_interrupt);     // not under nohup
#endif
}

bool interrupted() { return interrupt_seen != 0; }

} // namespace tools
