// The option parser, the help texts made from its tables, and the printing of cli.hpp.
#include "cli.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace tools {
namespace {

// Each store returns an empty text, or what is wrong with the value.

std::string store(bool *target, const std::string &) {
    *target = true;
    return "";
}

std::string store(std::string *target, const std::string &text) {
    if (text.empty()) return "is empty";
    *target = text;
    return "";
}

std::string store(const Whole &target, const std::string &text) {
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    errno = 0;
    const unsigned long long number = digits ? std::strtoull(text.c_str(), nullptr, 10) : 0;
    const bool fits = errno != ERANGE && number >= target.least && number <= target.most;
    if (!digits || !fits || number % target.multiple_of != 0) {
        std::string wanted = "must be a whole number from " + std::to_string(target.least) + " to " +
                             std::to_string(target.most);
        if (target.multiple_of > 1) wanted += ", a multiple of " + std::to_string(target.multiple_of);
        return wanted;
    }
    *target.value = number;
    return "";
}

std::string store(const Fraction &target, const std::string &text) {
    char *end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(number > 0 && number <= 1)) return "must be a number above 0, at most 1";
    *target.value = number;
    return "";
}

std::string store(const Bytes &target, const std::string &text) {
    const std::string units = "KMG";
    const size_t unit = text.empty() ? std::string::npos : units.find(text.back());
    uint64_t number = 0;
    const std::string digits = unit == std::string::npos ? text : text.substr(0, text.size() - 1);
    if (!store(Whole{&number, 1, UINT64_MAX >> 30}, digits).empty()) return "must be a number of bytes, or of K, M or G, as 512M";
    *target.value = unit == std::string::npos ? number : number << 10 * (unit + 1);
    return "";
}

std::string store(const Choice &target, const std::string &text) {
    std::string here;
    for (const Word &word : target.words) {
        if (text == word.text && word.here) {
            *target.value = word.value;
            if (target.file != nullptr) target.file->clear();
            return "";
        }
        if (word.here) here += (here.empty() ? "" : ", ") + std::string(word.text);
    }
    if (target.file != nullptr && text.find('.') != std::string::npos) {
        *target.file = text;
        *target.value = target.file_value;
        return "";
    }
    if (target.file != nullptr) here += ", or a file";
    const bool known = std::any_of(target.words.begin(), target.words.end(),
                                   [&](const Word &word) { return text == word.text; });
    return (known ? "is not in this version of learnann; there is: " : "is not known; there is: ") + here;
}

std::string spelling(const Option &option) {
    return option.value_name[0] == '\0' ? option.name : std::string(option.name) + " " + option.value_name;
}

std::string help_text(const Syntax &syntax) {
    std::string text = format("usage: learnann %s %s\n\n%s", syntax.command, syntax.usage, syntax.about);
    size_t width = std::strlen("--help");
    for (const Option &option : syntax.options) width = std::max(width, spelling(option).size());
    width = std::min<size_t>(width, 24);
    const auto add = [&](const std::string &name, std::string help) {
        const std::string indent(width + 4, ' ');
        for (size_t at = 0; (at = help.find('\n', at)) != std::string::npos; at += indent.size()) {
            help.insert(at + 1, indent);
        }
        const std::string gap = name.size() > width ? "\n" + indent : std::string(width - name.size() + 2, ' ');
        text += "  " + name + gap + help + "\n";
    };
    text += "\noptions:\n";
    for (const Option &option : syntax.options) add(spelling(option), option.help);
    add("--help", "this text");
    return text;
}

struct Given {
    std::string name, value;
    bool has_value = false;
};

// "--name=value", "--name", "-kvalue", "-k"
Given split(const std::string &argument) {
    const size_t equals = argument.find('=');
    if (argument.compare(0, 2, "--") == 0) {
        if (equals == std::string::npos) return {argument, "", false};
        return {argument.substr(0, equals), argument.substr(equals + 1), true};
    }
    return {argument.substr(0, 2), argument.substr(2), argument.size() > 2};
}

// Takes the option at arguments[at] and its value, and moves `at` to its last word. Empty, or what is wrong.
std::string take_option(const Syntax &syntax, const std::vector<std::string> &arguments, size_t &at) {
    Given given = split(arguments[at]);
    const auto option = std::find_if(syntax.options.begin(), syntax.options.end(),
                                     [&](const Option &o) { return given.name == o.name; });
    if (option == syntax.options.end()) return "there is no option " + given.name;
    const bool is_flag = std::holds_alternative<bool *>(option->target);
    if (is_flag && given.has_value) return given.name + " takes no value";
    if (!is_flag && !given.has_value) {
        if (at + 1 == arguments.size()) return given.name + " needs a value: " + spelling(*option);
        given.value = arguments[++at];
    }
    const auto store_value = [&](const auto &target) { return store(target, given.value); };
    const std::string wrong = std::visit(store_value, option->target);
    return wrong.empty() ? "" : given.name + " " + given.value + ": " + wrong;
}

const char *advice_for(learnann_status status) {
    switch (status) {
    case LEARNANN_NOT_LEARNANN: return "Give an index file that `learnann build` wrote.";
    case LEARNANN_TOO_NEW: return "Update learnann; the file is fine.";
    case LEARNANN_CORRUPT: return "Copy the file again or rebuild it; `learnann verify` checks every byte.";
    case LEARNANN_IO: return "Check the path, its permissions and the free space.";
    case LEARNANN_NOMEM: return "Close other programs, or use a machine with more memory.";
    case LEARNANN_UNSUPPORTED: return "Choose another option; `--help` lists them.";
    case LEARNANN_CANCELLED: return "Nothing was written; run it again to begin anew.";
    case LEARNANN_ARGUMENT: return "Check the input: shapes, NaN and infinities; `--help` lists the options.";
    case LEARNANN_NOT_FOUND:
    case LEARNANN_OK: break;
    }
    return "Please report this as a bug.";
}

} // namespace

std::optional<int> parse(const Syntax &syntax, const std::vector<std::string> &arguments) {
    std::vector<std::string> plain;
    bool options_end = false;
    for (size_t at = 0; at < arguments.size(); ++at) {
        const std::string &argument = arguments[at];
        if (options_end || argument.size() < 2 || argument[0] != '-') {
            plain.push_back(argument);
        } else if (argument == "--") {
            options_end = true;
        } else if (argument == "--help" || argument == "-h") {
            return finish(help_text(syntax));
        } else {
            const std::string wrong = take_option(syntax, arguments, at);
            if (!wrong.empty()) return usage_error(syntax.command, wrong);
        }
    }
    if (plain.size() > syntax.positionals.size()) {
        return usage_error(syntax.command, "unexpected argument: " + plain[syntax.positionals.size()]);
    }
    if (plain.size() < syntax.positionals.size()) {
        return usage_error(syntax.command, std::string(syntax.positionals[plain.size()].name) + " is missing");
    }
    for (size_t i = 0; i < plain.size(); ++i) *syntax.positionals[i].value = plain[i];
    return std::nullopt;
}

int usage_error(const char *command, const std::string &reason) {
    std::fprintf(stderr, "learnann %s: %s\nTry: learnann %s --help\n", command, reason.c_str(), command);
    return exit_usage;
}

int report(const Failure &failure) {
    std::string text = "learnann: ";
    if (!failure.file.empty()) text += failure.file + ": ";
    if (!failure.place.empty()) text += failure.place + ": ";
    std::fprintf(stderr, "%s%s\n  %s\n", text.c_str(), failure.reason.c_str(), failure.advice.c_str());
    return exit_failed;
}

Failure library_failure(const std::string &file, const learnann_error &error) {
    static const char *const places[] = {"", "byte ", "row ", "query ", "direction "};
    Failure failure;
    failure.file = file;
    if (error.place != LEARNANN_AT_NOTHING) failure.place = places[error.place] + std::to_string(error.file_offset);
    failure.reason = error.message != nullptr ? error.message : learnann_status_text(error.status);
    if (error.system_error != 0) failure.reason += ": " + system_text(error.system_error);
    failure.advice = advice_for(error.status);
    return failure;
}

std::string table_text(const std::vector<std::vector<std::string>> &rows, const char *alignment, bool heading) {
    std::vector<size_t> widths(std::strlen(alignment), 0);
    for (const auto &row : rows) {
        for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
    }
    std::string text;
    for (size_t r = 0; r < rows.size(); ++r) {
        std::string line;
        for (size_t c = 0; c < rows[r].size(); ++c) {
            const std::string blanks(widths[c] - rows[r][c].size(), ' ');
            line += (c == 0 ? "" : "  ") + (alignment[c] == 'r' ? blanks + rows[r][c] : rows[r][c] + blanks);
        }
        text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
        if (heading && r == 0) {
            for (size_t c = 0; c < widths.size(); ++c) text += (c == 0 ? "" : "  ") + std::string(widths[c], '-');
            text += "\n";
        }
    }
    return text;
}

int finish(const std::string &text) {
    const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (whole) return exit_ok;
    const int code = errno;
    return report(Failure{"standard output", "", "could not be written: " + system_text(code),
                          "Check where it is sent to, and the free space there."});
}

const char *metric_name(uint32_t metric) {
    return metric == LEARNANN_L2 ? "l2" : metric == LEARNANN_IP ? "ip" : metric == LEARNANN_COS ? "cos" : "unknown";
}

const char *graph_name(uint32_t graph) {
    static const char *const names[] = {"unknown", "adaptive", "knn", "nsw", "hnsw", "uniform", "given"};
    return graph < sizeof names / sizeof *names ? names[graph] : "unknown";
}

const char *type_name(uint32_t type) {
    static const char *const names[] = {"none", "f32", "f16", "i8", "u8", "unknown", "i4", "i2", "binary"};
    return type < sizeof names / sizeof *names ? names[type] : "unknown";
}

} // namespace tools
