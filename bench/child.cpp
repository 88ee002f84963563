// See child.hpp. The child answers through a pipe with one text: "ok" and the numbers, or the reason of its failure.
#include "child.hpp"

#include "../tools/common.hpp"

#include <exception>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

std::string answer_of(const std::function<std::vector<double>()> &work) {
    try {
        std::string text = "ok";
        for (const double number : work()) text += tools::format(" %.17g", number);
        return text;
    } catch (const std::exception &e) {
        return e.what();
    }
}

std::string read_all(int descriptor) {
    std::string text;
    char piece[512];
    for (ssize_t got; (got = read(descriptor, piece, sizeof piece)) > 0;) text.append(piece, static_cast<size_t>(got));
    return text;
}

} // namespace

std::vector<double> in_child(const std::function<std::vector<double>()> &work) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe could be made");
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no process could be made");
    if (child == 0) {
        const std::string answer = answer_of(work);
        const bool whole = write(ends[1], answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
        _exit(whole ? 0 : 1);
    }
    close(ends[1]);
    const std::string answer = read_all(ends[0]);
    close(ends[0]);
    int state = 0;
    waitpid(child, &state, 0);
    std::istringstream words(answer);
    std::string first;
    words >> first;
    if (first != "ok") throw std::runtime_error(answer.empty() ? "its process ended without an answer" : answer);
    std::vector<double> numbers;
    for (double number; words >> number;) numbers.push_back(number);
    return numbers;
}

} // namespace bench
