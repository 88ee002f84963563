// What is in memory of a file, and how much memory there is: the system's page cache emptied of a file, looked at, and capped.
#pragma once

#include "common.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace tools {

// Makes the system forget what it holds of a file that no process has mapped. A wish: what is being written stays.
bool drop_cached(const std::string &path, Failure &failure);

// Bytes of a file that are in memory now, in whole pages.
bool cached_bytes(const std::string &path, uint64_t &bytes, Failure &failure);

// Runs the work in a child process whose memory, cached pages of files included, may not exceed `bytes`; nothing of `file` is in
// memory when it begins. By a control group of its own, which has to be granted. `code` is what the work returned.
bool run_capped(uint64_t bytes, const std::string &file, const std::function<int()> &work, int &code, Failure &failure);

} // namespace tools
