// memoryfiles.hpp: in the place of tools/file.cpp: files that are bytes in memory. Nothing outside of the process is read
// or written, the bytes end where their memory ends, and a fuzzer goes through ten thousands of files a second.
#pragma once

#include <cstdint>
#include <vector>

namespace memoryfiles {

// What a file of any name holds, and whether there is one.
extern std::vector<uint8_t> content;
extern bool present;
// What was written last.
extern std::vector<uint8_t> written;

}  // namespace memoryfiles
