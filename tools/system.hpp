// What the tools ask the operating system about themselves: memory, terminal, Ctrl-C.
//
// Invariant: a figure that the system does not tell is 0, and a caller reports it as unknown.
#pragma once

#include <cstdint>

namespace tools {

uint64_t peak_rss_bytes();      // the most memory that this process ever had resident
uint64_t rss_bytes();           // what it has resident now, mapped files included

struct AvailableMemory {
    uint64_t bytes = 0;
    bool contained = false;     // the limit of a container, not what the machine has free, is what binds
};

AvailableMemory available_memory();

bool stderr_is_terminal();

// From catch_interrupts() on, a first Ctrl-C (or SIGTERM, or SIGHUP where that is not ignored) makes interrupted() true; one that comes
// a second or two later ends the process.
void catch_interrupts();
bool interrupted();

} // namespace tools
