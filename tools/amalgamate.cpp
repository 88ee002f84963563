// amalgamate: makes learnann.c++ out of src/, and is the one place that knows the floors of the house.
//
//   amalgamate SRC_DIR OUT            writes OUT
//   amalgamate --check SRC_DIR OUT    compares OUT with what would be written; a difference is exit 1
//   amalgamate --layers SRC_DIR       checks the floors only
//
// Exit 0: well; 1: a rule is broken, or a difference; 2: wrong usage or a file that can't be read or written.
//
// Rules that it enforces, each failure as "file:line: what is wrong; mend: what to do":
//   - sources are src/<floor>/<name>.hpp and .cpp, and every floor is in the list below;
//   - a project include is written "floor/name.hpp", names a header that exists, and never goes up a floor;
//   - headers open with #pragma once (they are emitted once, so one that counts on being included again would break);
//   - headers include each other in no circle.
// The output depends on the names and the contents of the sources alone, so that the same src/ gives the same bytes.
//
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

struct Floor {
    const char *name;
    bool in_reader;     // false: left out of a LEARNANN_READ_ONLY build
};

// Lowest first. A file may include its own floor and those that stand before it here.
constexpr Floor FLOORS[] = {
    {"base", true}, {"simd", true}, {"format", true}, {"search", true},
    {"learn", false}, {"build", false}, {"api", true},
};
constexpr int FLOOR_COUNT = int(sizeof FLOORS / sizeof *FLOORS);

struct Include {
    std::string target;     // "floor/name.hpp"
    int line;
};

struct Source {
    int floor = 0;
    bool header = false;
    std::string content;                // as read
    std::string body;                   // without #pragma once and project includes
    std::vector<Include> includes;      // of the project, learnann.h excepted
};

// Ordered by name: everything that walks it is deterministic.
using Sources = std::map<std::string, Source>;

struct Problems {
    std::string root;
    int count = 0;

    void add(const std::string &file, int line, const std::string &what, const std::string &mend) {
        const std::string place = (fs::path(root) / file).generic_string();
        std::cerr << place << ":" << line << ": " << what << "; mend: " << mend << "\n";
        ++count;
    }
};

int floor_of(const std::string &name) {
    for (int i = 0; i < FLOOR_COUNT; ++i) {
        if (name == FLOORS[i].name) return i;
    }
    return -1;
}

std::string floor_list() {
    std::string list;
    for (const Floor &floor : FLOORS) list += (list.empty() ? "" : ", ") + std::string(floor.name);
    return list;
}

bool read_file(const fs::path &path, std::string &content) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    content = all.str();
    // A checkout with CRLF line ends must give the same output and the same hash.
    content.erase(std::remove(content.begin(), content.end(), '\r'), content.end());
    return bool(in);
}

// ---- reading one source ----------------------------------------------------------------------------------------

// Whether the text after `line` is still within a block comment, so that an #include in prose is not taken for one.
bool comment_open_after(const std::string &line, bool open) {
    char quote = 0;
    for (size_t i = 0; i < line.size(); ++i) {
        if (open) {
            if (line.compare(i, 2, "*/") == 0) { open = false; ++i; }
        } else if (quote) {
            if (line[i] == '\\') ++i;
            else if (line[i] == quote) quote = 0;
        } else if (line.compare(i, 2, "//") == 0) {
            return false;
        } else if (line.compare(i, 2, "/*") == 0) {
            open = true;
            ++i;
        } else if (line[i] == '"' || (line[i] == '\'' && (i == 0 || !isalnum((unsigned char)line[i - 1])))) {
            quote = line[i];    // an apostrophe after a digit separates digits: 1'000
        }
    }
    return open;
}

// The directive of a line and what follows it: "#  include <x>" gives "include" and "<x>". Empty where there is none.
std::pair<std::string, std::string> directive(const std::string &line) {
    size_t i = line.find_first_not_of(" \t");
    if (i == std::string::npos || line[i] != '#') return {};
    i = line.find_first_not_of(" \t", i + 1);
    if (i == std::string::npos) return {};
    size_t end = i;
    while (end < line.size() && isalpha((unsigned char)line[end])) ++end;
    size_t rest = line.find_first_not_of(" \t", end);
    return {line.substr(i, end - i), rest == std::string::npos ? "" : line.substr(rest)};
}

// Checks one project include of `file`; true where it may be kept as an edge.
bool check_include(const std::string &file, int floor, const std::string &target, int line, const Sources &sources,
                   Problems &problems) {
    const std::string quoted = "\"" + target + "\"";
    const size_t slash = target.find('/');
    const int target_floor = slash == std::string::npos ? -1 : floor_of(target.substr(0, slash));
    if (target_floor < 0) {
        problems.add(file, line, "include of " + quoted + " names no floor",
                     "write it as \"floor/name.hpp\", the floor being one of " + floor_list());
    } else if (fs::path(target).extension() == ".cpp") {
        problems.add(file, line, "include of the source file " + quoted,
                     "declare what is needed in a header and include that");
    } else if (target_floor > floor) {
        problems.add(file, line, "upward include: " + std::string(FLOORS[floor].name) + " may not include " + quoted +
                     ", as " + FLOORS[target_floor].name + " stands above it",
                     "move what is needed to " + std::string(FLOORS[floor].name) +
                     " or lower, or pass it in from above");
    } else if (!sources.count(target) || !sources.at(target).header) {
        problems.add(file, line, "include of " + quoted + ", which is not a header of the sources",
                     "mend the name, or add src/" + target);
    } else {
        return true;
    }
    return false;
}

void parse(const std::string &file, Source &source, const Sources &sources, Problems &problems) {
    std::istringstream in(source.content);
    std::string line;
    bool in_comment = false, once = false;
    for (int number = 1; std::getline(in, line); ++number) {
        const bool was_in_comment = in_comment;
        in_comment = comment_open_after(line, in_comment);
        const auto [name, rest] = was_in_comment ? std::pair<std::string, std::string>() : directive(line);
        if (name == "pragma" && rest.compare(0, 4, "once") == 0) {
            once = true;
            continue;
        }
        const size_t close = rest.find('"', 1);
        if (name == "include" && rest[0] == '"' && close != std::string::npos) {
            const std::string target = rest.substr(1, close - 1);
            if (target == "learnann.h") continue;   // emitted once, at the top
            if (check_include(file, source.floor, target, number, sources, problems))
                source.includes.push_back({target, number});
            continue;
        }
        source.body += line + '\n';
    }
    if (source.header && !once)
        problems.add(file, 1, "a header without #pragma once", "add #pragma once above its first code");
}

Sources read_sources(const fs::path &root, Problems &problems) {
    Sources sources;
    for (const fs::directory_entry &entry : fs::recursive_directory_iterator(root)) {
        const std::string extension = entry.path().extension().string();
        if (!entry.is_regular_file() || (extension != ".hpp" && extension != ".cpp")) continue;
        const fs::path relative = entry.path().lexically_relative(root);
        const std::string file = relative.generic_string();
        const std::string folder = relative.parent_path().generic_string();
        const int floor = floor_of(folder);
        if (floor < 0) {
            problems.add(file, 1, "unknown floor \"" + folder + "\"", "move the file into one of " + floor_list() +
                         ", or add the floor to FLOORS in tools/amalgamate.cpp");
            continue;
        }
        Source &source = sources[file];
        source.floor = floor;
        source.header = extension == ".hpp";
        if (!read_file(entry.path(), source.content)) problems.add(file, 1, "can't be read", "check its permissions");
    }
    if (sources.empty()) problems.add("", 1, "no sources at all", "name the folder that holds " + floor_list());
    for (auto &[file, source] : sources) parse(file, source, sources, problems);
    return sources;
}

// ---- order -----------------------------------------------------------------------------------------------------

// Depth first: a header is emitted after those that it includes. A header that is met again while it is being visited
// closes a circle.
class HeaderOrder {
public:
    HeaderOrder(const Sources &sources, Problems &problems) : sources_(sources), problems_(problems) {
        for (int floor = 0; floor < FLOOR_COUNT; ++floor) {
            for (const auto &[file, source] : sources) {
                if (source.header && source.floor == floor && !state_[file]) visit(file);
            }
        }
    }

    std::vector<std::string> files;

private:
    enum { NEW = 0, OPEN = 1, DONE = 2 };

    void visit(const std::string &file) {
        state_[file] = OPEN;
        path_.push_back(file);
        for (const Include &include : sources_.at(file).includes) {
            if (state_[include.target] == NEW) visit(include.target);
            else if (state_[include.target] == OPEN) report(file, include);
        }
        path_.pop_back();
        state_[file] = DONE;
        files.push_back(file);
    }

    void report(const std::string &file, const Include &include) {
        std::string circle;
        auto it = std::find(path_.begin(), path_.end(), include.target);
        for (; it != path_.end(); ++it) circle += *it + " -> ";
        problems_.add(file, include.line, "include cycle: " + circle + include.target,
                      "move what both sides need into a header of its own, or declare it forward");
    }

    const Sources &sources_;
    Problems &problems_;
    std::map<std::string, int> state_;
    std::vector<std::string> path_;
};

// ---- output ----------------------------------------------------------------------------------------------------

// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/
uint64_t fnv1a(const std::string &bytes, uint64_t hash) {
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    return hash;
}

std::string inputs_hash(const Sources &sources) {
    uint64_t hash = 0xcbf29ce484222325u;
    const std::string end(1, '\0');     // keeps "ab" + "c" apart from "a" + "bc"
    for (const auto &[file, source] : sources) hash = fnv1a(source.content + end, fnv1a(file + end, hash));
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return text;
}

void emit_files(const Sources &sources, const std::vector<std::string> &files, std::string &out) {
    int floor = -1;
    const auto move_to = [&](int next) {
        if (floor >= 0 && !FLOORS[floor].in_reader) out += "\n#endif // LEARNANN_READ_ONLY\n";
        if (next >= 0 && !FLOORS[next].in_reader) out += "\n#ifndef LEARNANN_READ_ONLY\n";
        floor = next;
    };
    for (const std::string &file : files) {
        const Source &source = sources.at(file);
        if (source.floor != floor) move_to(source.floor);
        out += "\n// ==== src/" + file + " ====\n" + source.body;
    }
    move_to(-1);
}

std::string amalgamation(const Sources &sources, const std::vector<std::string> &headers) {
    // learnann.h includes this file where LEARNANN_IMPLEMENTATION is defined. Compiled by itself with that macro on the
    // command line, it must not come back a second time by way of its own include: hence the first two guards.
    std::string out =
        "// generated by tools/amalgamate from src/; never edit: edit src/ and run `make amalgamate`\n"
        "// inputs: fnv1a64 " + inputs_hash(sources) + "\n"
        "// SPDX-License-Identifier: Apache-2.0\n"
        "#ifndef LEARNANN_AMALGAMATION_INCLUDED\n"
        "#define LEARNANN_AMALGAMATION_INCLUDED\n"
        "#ifndef LEARNANN_IMPLEMENTATION_INCLUDED\n"
        "#define LEARNANN_IMPLEMENTATION_INCLUDED\n"
        "#endif\n"
        "#define LEARNANN_AMALGAMATION 1\n"
        // gcc 12 at -O2 leaves most of the short loops as they stand: a quarter of the speed of a search. A product and a sum
        // that are fused round differently, and searches must walk alike on every machine (simd/loops.hpp).
        "#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)\n"
        "#pragma GCC push_options\n"
        "#pragma GCC optimize(\"O3\", \"fp-contract=off\")\n"
        "#define LEARNANN_POP_OPTIONS\n"
        "#endif\n"
        "#include \"learnann.h\"\n"
        // Everything is in an anonymous namespace: handles hold such types on purpose, and a reader leaves functions unused.
        "#if defined(__GNUC__)\n"
        "#pragma GCC diagnostic push\n"
        "#pragma GCC diagnostic ignored \"-Wunused-function\"\n"
        "#if !defined(__clang__)\n"
        "#pragma GCC diagnostic ignored \"-Wsubobject-linkage\"\n"
        "#endif\n"
        "#endif\n";
    std::vector<std::string> units;
    for (int floor = 0; floor < FLOOR_COUNT; ++floor) {
        for (const auto &[file, source] : sources) {
            if (!source.header && source.floor == floor) units.push_back(file);
        }
    }
    emit_files(sources, headers, out);
    emit_files(sources, units, out);
    return out +
           "\n#if defined(__GNUC__)\n#pragma GCC diagnostic pop\n#endif\n"
           "#ifdef LEARNANN_POP_OPTIONS\n#pragma GCC pop_options\n#endif\n"
           "#endif // LEARNANN_AMALGAMATION_INCLUDED\n";
}

// By way of a temporary, so that an interrupted run leaves no half file that make takes for a new one.
int write_output(const fs::path &path, const std::string &text) {
    const fs::path temporary = path.string() + ".tmp";
    std::ofstream out(temporary, std::ios::binary);
    out << text;
    out.close();
    std::error_code error;
    if (out) fs::rename(temporary, path, error);
    if (out && !error) return 0;
    fs::remove(temporary, error);
    std::cerr << path.string() << ": can't be written\n";
    return 2;
}

int check_output(const fs::path &path, const std::string &text) {
    std::string found;
    if (!read_file(path, found)) {
        std::cerr << path.string() << ": can't be read; mend: make amalgamate\n";
        return 1;
    }
    if (found == text) return 0;
    const auto first = std::mismatch(text.begin(), text.end(), found.begin(), found.end()).first;
    const auto line = 1 + std::count(text.begin(), first, '\n');
    std::cerr << path.string() << ':' << line << ": differs from what the sources give; mend: make amalgamate\n";
    return 1;
}

int run(const std::string &mode, const std::string &source_folder, const std::string &output) {
    Problems problems{source_folder};
    const Sources sources = read_sources(source_folder, problems);
    const HeaderOrder headers(sources, problems);
    if (problems.count) {
        std::cerr << "amalgamate: " << problems.count << " broken rule" << (problems.count == 1 ? "" : "s") << '\n';
        return 1;
    }
    if (mode == "--layers") return 0;
    const std::string text = amalgamation(sources, headers.files);
    return mode == "--check" ? check_output(output, text) : write_output(output, text);
}

} // namespace

int main(int argc, char **argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    std::string mode;
    if (!arguments.empty() && arguments[0].compare(0, 2, "--") == 0) {
        mode = arguments[0];
        arguments.erase(arguments.begin());
    }
    const bool known = mode.empty() || mode == "--check" || mode == "--layers";
    if (!known || arguments.size() != (mode == "--layers" ? 1u : 2u)) {
        std::cerr << "usage: amalgamate [--check] SRC_DIR OUT | amalgamate --layers SRC_DIR\n";
        return 2;
    }
    try {
        return run(mode, arguments[0], arguments.size() > 1 ? arguments[1] : "");
    } catch (const std::exception &error) {    // std::filesystem throws where a folder is missing
        std::cerr << "amalgamate: " << error.what() << '\n';
        return 2;
    }
}
