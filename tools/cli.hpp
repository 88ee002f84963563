// What the commands share: options from a table, help from the same table, failures and tables printed one way.
//
// Invariants: stdout carries results only (the JSON of --json, or a table), stderr all else. A command returns exit_ok,
// exit_failed after report(), or exit_usage after usage_error(); finish() comes last and notices a stdout that is full.
#pragma once

#include "common.hpp"

#include "../learnann.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tools {

constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

// Where the value of an option goes. Each keeps its default where the option is not given.
struct Whole {
    uint64_t *value;
    uint64_t least, most;
    uint64_t multiple_of = 1;
};
struct Fraction {
    double *value;              // above 0, at most 1
};
struct Bytes {
    uint64_t *value;            // "512M": K, M and G are powers of 1,024
};
struct Word {
    const char *text;
    uint32_t value;
    bool here = true;           // false: a known word that this version can't do yet
};
struct Choice {
    uint32_t *value;
    std::vector<Word> words;
    std::string *file = nullptr;    // where there is one, what is no word and has a dot is a file's name, and `value` becomes file_value
    uint32_t file_value = 0;
};
using Target = std::variant<bool *, std::string *, Whole, Fraction, Bytes, Choice>;

struct Option {
    const char *name;           // "--metric", "-k"
    const char *value_name;     // "N", "FILE", "l2|ip|cos"; empty for a bool
    const char *help;
    Target target;
};

struct Positional {
    const char *name;
    std::string *value;
};

struct Syntax {
    const char *command;
    const char *usage;          // what follows the command's name
    const char *about;          // a paragraph or two, ended by a newline
    std::vector<Positional> positionals;    // all are required
    std::vector<Option> options;
};

// nullopt: go on. Otherwise the command is done with this exit code: help was printed, or a usage error.
std::optional<int> parse(const Syntax &syntax, const std::vector<std::string> &arguments);

// "learnann build: REASON", how to get help, and exit_usage.
int usage_error(const char *command, const std::string &reason);

// File, place, reason, what to do; returns exit_failed.
int report(const Failure &failure);

// A failed call of the library as a Failure of this file.
Failure library_failure(const std::string &file, const learnann_error &error);

// Columns two blanks apart; alignment has 'l' or 'r' for each. The first row is the heading where `heading` says so.
std::string table_text(const std::vector<std::vector<std::string>> &rows, const char *alignment, bool heading);

// Prints the text on stdout; exit_ok, or exit_failed with a message where it could not all be written.
int finish(const std::string &text);

const char *metric_name(uint32_t metric);
const char *graph_name(uint32_t graph);
const char *type_name(uint32_t type);

// The commands. Arguments are those after the command's name.
int build_command(const std::vector<std::string> &arguments);
int train_command(const std::vector<std::string> &arguments);
int search_command(const std::vector<std::string> &arguments);
int sweep_command(const std::vector<std::string> &arguments);
int spectral_report_command(const std::vector<std::string> &arguments);
int info_command(const std::vector<std::string> &arguments);
int verify_command(const std::vector<std::string> &arguments);
int convert_command(const std::vector<std::string> &arguments);

} // namespace tools
