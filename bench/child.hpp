// Work in a process of its own, so that its memory can be measured and is gone afterwards.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

// Runs `work` in a child and returns the numbers that it returned. Throws std::runtime_error with the child's reason
// where it failed.
std::vector<double> in_child(const std::function<std::vector<double>()> &work);

} // namespace bench
