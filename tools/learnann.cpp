// learnann: the command line, on the public header alone. Here: which command, and the short info, verify and convert.
//
// Scripts rely on: exit 0 ok, 1 failed, 2 usage; --json prints JSON on stdout and nothing else goes there.
#include "cli.hpp"
#include "json.hpp"
#include "measure.hpp"
#include "system.hpp"
#include "vectorfile.hpp"

#include <cmath>
#include <exception>
#include <new>

namespace tools {
namespace {

struct Command {
    const char *name, *usage, *summary;
    int (*run)(const std::vector<std::string> &arguments);
};

const Command commands[] = {
    {"build", "INPUT -o FILE", "vectors -> an index file", build_command},
    {"train", "FILE --queries LOG", "learn from real queries, the rows as they are", train_command},
    {"search", "FILE QUERIES", "run queries, measure recall and speed", search_command},
    {"sweep", "FILE QUERIES --truth TRUTH", "recall against speed over efforts, as table or plot", sweep_command},
    {"spectral-report", "INPUT", "how far codes of each width can be trusted", spectral_report_command},
    {"info", "FILE", "what an index file holds", info_command},
    {"verify", "FILE", "check every byte of an index file", verify_command},
    {"convert", "IN OUT", "one vector file format to another", convert_command},
};

std::string version_text(uint32_t version) {
    return format("%u.%u.%u", version / 10000, version / 100 % 100, version % 100);
}

std::string general_help() {
    std::string text = "usage: learnann COMMAND [arguments] [options]\n\ncommands:\n";
    std::vector<std::vector<std::string>> rows;
    for (const Command &c : commands) rows.push_back({std::string("  ") + c.name + " " + c.usage, c.summary});
    text += table_text(rows, "ll", false);
    return text +
           "\nlearnann COMMAND --help explains a command, learnann --version tells the version.\n"
           "Vector files: .npy .fvecs .bvecs .ivecs .fbin .u8bin .i8bin .ibin, told by suffix.\n"
           "Exit status: 0 ok, 1 failed, 2 wrong usage. LEARNANN_ISA in the environment chooses the\n"
           "instruction set: scalar, sse2, ssse3, avx2, avx512, neon or dotprod.\n";
}

// ---- info

struct Calibration {
    uint32_t k, effort;
    float recall;
};

std::vector<Calibration> calibration_of(const learnann_index *index) {
    std::vector<Calibration> all;
    for (const uint32_t k : {1u, 4u, 10u, 20u, 30u, 50u, 100u}) {
        Calibration c{k, 0, 0};
        for (uint32_t i = 0; learnann_calibration(index, k, i, &c.effort, &c.recall) == LEARNANN_OK; ++i) {
            all.push_back(c);
        }
    }
    return all;
}

double a_row(uint64_t bytes, const learnann_index_info &info) {
    return info.rows == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(info.rows);
}

std::string info_json(const learnann_index_info &info, const std::vector<Calibration> &calibration) {
    JsonWriter json;
    json.begin_object();
    json.field("format_version", info.format_version);
    json.field("writer_version", version_text(info.writer_version));
    json.field("rows", info.rows);
    json.field("dim", info.dim);
    json.field("metric", metric_name(info.metric));
    json.field("input_type", type_name(info.input_type));
    json.field("exact_type", type_name(info.exact_type));
    json.field("has_keys", info.has_keys != 0);
    json.field("code_dim", info.code_dim);
    json.field("code_bytes", info.code_bytes);
    json.field("code_recall", info.code_recall < 0 ? std::nanf("") : info.code_recall);
    json.field("residual_weight", info.residual_weight);
    json.field("entries", info.entries);
    json.field("graph", graph_name(info.graph));
    json.field("edges", info.edges);
    json.field("max_degree", info.max_degree);
    json.field("mean_degree", a_row(info.edges, info));
    json.field("file_bytes", info.file_bytes);
    json.field("hot_bytes", info.hot_bytes);
    json.field("cold_bytes", info.cold_bytes);
    json.field("hot_bytes_per_row", a_row(info.hot_bytes, info));
    json.field("cold_bytes_per_row", a_row(info.cold_bytes, info));
    json.field("private_bytes", info.private_bytes);
    json.field("fingerprint", format("%016llx", static_cast<unsigned long long>(info.fingerprint)));
    json.field("router", "none");
    json.field("isa", learnann_isa());
    json.key("calibration");
    json.begin_array();
    for (const Calibration &c : calibration) {
        json.begin_object();
        json.field("k", c.k);
        json.field("effort", c.effort);
        json.field("recall", c.recall);
        json.end_object();
    }
    json.end_array();
    json.end_object();
    return json.text() + "\n";
}

std::string info_table(const std::string &path, const learnann_index_info &info,
                       const std::vector<Calibration> &calibration) {
    const double code_recall = static_cast<double>(info.code_recall);
    std::string text = table_text({
        {"file", path},
        {"format", format("version %u, written by learnann %s", info.format_version,
                          version_text(info.writer_version).c_str())},
        {"rows", format("%s x %u, %s", grouped(info.rows).c_str(), info.dim, metric_name(info.metric))},
        {"row type", format("%s, kept as %s", type_name(info.input_type), type_name(info.exact_type))},
        {"keys", info.has_keys != 0 ? "the caller's" : "row numbers"},
        {"record", format("%u bytes, %u spectral dimensions", info.code_bytes, info.code_dim)},
        {"code recall", code_recall < 0 ? "unknown" : format("%.4f (true 10 in the best 20)", code_recall)},
        {"residual", format("weight %.3f", static_cast<double>(info.residual_weight))},
        {"graph", format("%s, %s edges, %.1f a row, %u at most; fingerprint %016llx", graph_name(info.graph), grouped(info.edges).c_str(),
                         a_row(info.edges, info), info.max_degree, static_cast<unsigned long long>(info.fingerprint))},
        {"entries", grouped(info.entries)},
        {"router", "none"},
        {"file size", size_text(info.file_bytes)},
        {"  hot", format("%s, %.1f bytes a row", size_text(info.hot_bytes).c_str(), a_row(info.hot_bytes, info))},
        {"  cold", format("%s, %.1f bytes a row", size_text(info.cold_bytes).c_str(), a_row(info.cold_bytes, info))},
        {"heap", size_text(info.private_bytes) + " while open"},
        {"isa", learnann_isa()},
    }, "ll", false);
    if (calibration.empty()) return text + "\nno calibration\n";
    std::vector<std::vector<std::string>> rows = {{"k", "effort", "recall"}};
    for (const Calibration &c : calibration) {
        rows.push_back({grouped(c.k), grouped(c.effort), format("%.4f", static_cast<double>(c.recall))});
    }
    return text + "\ncalibration\n" + table_text(rows, "rrr", true);
}

// ---- verify

std::string verify_json(const std::string &path, const learnann_index_info &info, const learnann_error &error) {
    JsonWriter json;
    json.begin_object();
    json.field("file", path);
    json.field("ok", error.status == LEARNANN_OK);
    json.field("status", learnann_status_text(error.status));
    if (error.status == LEARNANN_OK) {
        json.field("rows", info.rows);
        json.field("file_bytes", info.file_bytes);
    } else {
        if (error.file_offset != LEARNANN_NO_OFFSET) json.field("file_offset", error.file_offset);
        json.field("reason", error.message != nullptr ? error.message : "");
    }
    json.end_object();
    return json.text() + "\n";
}

} // namespace

int info_command(const std::vector<std::string> &arguments) {
    std::string path;
    bool as_json = false;
    const Syntax syntax{"info", "FILE [--json]", "Prints what the index FILE holds, without reading its data.\n",
                        {{"FILE", &path}}, {{"--json", "", "one JSON object on stdout", &as_json}}};
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    Index index;
    Failure failure;
    if (!open_index(path, {}, index, failure)) return report(failure);
    learnann_index_info info = learnann_index_info_default();
    learnann_get_info(index.get(), &info);
    const std::vector<Calibration> calibration = calibration_of(index.get());
    return finish(as_json ? info_json(info, calibration) : info_table(path, info, calibration));
}

int verify_command(const std::vector<std::string> &arguments) {
    std::string path;
    bool as_json = false;
    const Syntax syntax{"verify", "FILE [--json]",
                        "Reads every byte of the index FILE: checksums, and all that the format promises.\n"
                        "Exit status 0 only where all of it holds.\n",
                        {{"FILE", &path}}, {{"--json", "", "one JSON object on stdout, also on failure", &as_json}}};
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    learnann_index *raw = nullptr;
    learnann_error error{};
    learnann_index_info info = learnann_index_info_default();
    learnann_status status = learnann_open(path.c_str(), nullptr, &raw, &error);
    const Index index(raw);
    if (status == LEARNANN_OK) {
        learnann_get_info(raw, &info);
        status = learnann_verify(raw, &error);
    }
    error.status = status;
    if (status != LEARNANN_OK) report(library_failure(path, error));
    int code = exit_ok;
    if (as_json) code = finish(verify_json(path, info, error));
    else if (status == LEARNANN_OK) {
        code = finish(format("%s: ok, %s rows, %s\n", path.c_str(), grouped(info.rows).c_str(),
                             size_text(info.file_bytes).c_str()));
    }
    return status == LEARNANN_OK ? code : exit_failed;
}

int convert_command(const std::vector<std::string> &arguments) {
    std::string in, out;
    bool as_json = false;
    const Syntax syntax{"convert", "IN OUT [--json]",
                        "Writes the rows of IN to OUT. The suffixes say the formats: .npy .fvecs .bvecs .ivecs .fbin\n"
                        ".u8bin .i8bin .ibin .u64bin. Values never change: what the new type can't hold exactly is\n"
                        "refused, with its row; .npy keeps the element type. OUT appears complete or not at all.\n",
                        {{"IN", &in}, {"OUT", &out}}, {{"--json", "", "one JSON object on stdout", &as_json}}};
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    MatrixFile file;
    Failure failure;
    catch_interrupts();
    if (!check_matrix_suffix(out, failure) || !open_matrix(in, file, failure) ||
        !write_matrix(out, file.matrix, in, interrupted, failure)) {
        return report(failure);
    }
    const Matrix &m = file.matrix;
    if (!as_json) return finish(format("%s: %s x %u\n", out.c_str(), grouped(m.rows).c_str(), m.dim));
    JsonWriter json;
    json.begin_object();
    json.field("rows", m.rows);
    json.field("dim", m.dim);
    json.end_object();
    return finish(json.text() + "\n");
}

namespace {

int run(const std::vector<std::string> &arguments) {
    if (arguments.empty()) {
        std::fputs(general_help().c_str(), stderr);
        return exit_usage;
    }
    const std::string &first = arguments[0];
    if (first == "--help" || first == "-h") return finish(general_help());
    if (first == "--version") {
        return finish("learnann " + version_text(learnann_version()) + ", " + learnann_isa() + "\n");
    }
    for (const Command &command : commands) {
        if (first == command.name) return command.run({arguments.begin() + 1, arguments.end()});
    }
    std::fprintf(stderr, "learnann: there is no command %s\nTry: learnann --help\n", first.c_str());
    return exit_usage;
}

} // namespace
} // namespace tools

int main(int argc, char **argv) {
    // The library throws nothing; the standard library's containers may, when memory ends.
    try {
        return tools::run({argv + (argc > 0 ? 1 : 0), argv + argc});
    } catch (const std::bad_alloc &) {      // what says so must not allocate
        std::fputs("learnann: out of memory\n  Close other programs, or give smaller files or a smaller -k.\n", stderr);
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "learnann: stopped: %s\n  Please report this as a bug.\n", problem.what());
    }
    return tools::exit_failed;
}
