// literature.cpp: trains what the literature proposes to learn of an index, a linear map or a graph, and writes it in the form that
// `learnann build --spectral FILE` and `--graph FILE` take. `make literature` compares them with what the library builds by itself.
//
// Invariants: seeded; a training that diverges writes nothing, and says so.
#include "eigenmaps.hpp"
#include "sage.hpp"
#include "soft.hpp"

#include "../../tools/cli.hpp"
#include "../../tools/file.hpp"
#include "../../tools/vectorfile.hpp"

#include <chrono>

namespace literature {
namespace {

using tools::Failure;
using tools::format;

struct Settings {
    std::string kind, input, lists, output, queries;
    uint32_t metric = LEARNANN_L2;
    uint64_t dims = 60, nearest = 15, degree = 16, seed = 0, sample = 6000, landmarks = 0;
};

tools::Syntax syntax_of(Settings &s) {
    tools::Syntax syntax{"literature", "KIND INPUT LISTS -o FILE [options]",
                         "Trains a map or a graph on the rows of INPUT and writes it to FILE, for learnann build. LISTS names the nearest\n"
                         "rows of each row: learnann search INDEX INPUT -k 33 --recall 0.99 --out LISTS. KIND is one of\n"
                         "  laplacian   map      Laplacian eigenmaps, made linear by ridge regression\n"
                         "  lpp         map      locality preserving projections; olpp: in orthonormal directions\n"
                         "  metric      map      the metric of a differentiable graph, of low rank\n"
                         "  soft        graph    edges drawn from that graph by Gumbel-softmax\n"
                         "  sage        graph    edges predicted by GraphSAGE, a threshold for each row\n",
                         {{"KIND", &s.kind}, {"INPUT", &s.input}, {"LISTS", &s.lists}}, {}};
    syntax.options = {
        {"-o", "FILE", "what to write: .fvecs, .npy or .fbin of directions, .ivecs, .ibin or .npy of a graph", &s.output},
        {"--metric", "l2|ip|cos", "squared Euclidean (default), inner product, or cosine distance",
         tools::Choice{&s.metric, {{"l2", LEARNANN_L2}, {"ip", LEARNANN_IP}, {"cos", LEARNANN_COS}}}},
        {"--queries", "SAMPLE", "real queries to learn edges from (default: rows)", &s.queries},
        {"--sample", "N", "queries to learn from, at most (default 6000)", tools::Whole{&s.sample, 100, 1000000}},
        {"--dims", "N", "directions of a map (default 60)", tools::Whole{&s.dims, 1, most_axes}},
        {"--nearest", "N", "neighbours of a row in the graph of a map (default 15)", tools::Whole{&s.nearest, 1, 1000}},
        {"--landmarks", "N", "laplacian: takes so many rows, and places the others by Nystroem's formula (default: all rows)",
         tools::Whole{&s.landmarks, 500, 1000000}},
        {"--degree", "N", "edges of a row, of sage on the mean (default 16)", tools::Whole{&s.degree, 4, 64}},
        {"--seed", "N", "of all random choices (default 0)", tools::Whole{&s.seed, 0, UINT64_MAX}},
    };
    return syntax;
}

bool diverged(const Settings &s, Failure &failure) {
    return tools::fail(failure, s.input, "", "training diverged, or there was nothing to learn; nothing was written", "Try more queries, or another seed.");
}

// On all rows, or on landmarks, from which the others are placed.
bool make_laplacian(const Settings &s, const Data &data, std::string &said, Failure &failure) {
    const uint32_t nearest = static_cast<uint32_t>(s.nearest);
    const bool all = s.landmarks == 0 || s.landmarks >= data.rows();
    const Data some = all ? Data() : landmarks(data, static_cast<uint32_t>(s.landmarks), nearest);
    const Data &base = all ? data : some;
    const Affinity graph = affinity(base, nearest);
    Spectrum spectrum;
    if (!lowest(graph, static_cast<uint32_t>(s.dims), spectrum)) return tools::fail(failure, s.input, "", "the eigenvectors did not converge", "Ask for fewer: --dims.");
    said = format(", %u components, eigenvalues from %.3g to %.3g", spectrum.components, spectrum.values[0],
                  spectrum.values[spectrum.values.size() - 1]);
    const Matrix placed = all ? embedding(graph, spectrum) : nystroem(base, graph, spectrum, data.x, nearest_rows(base.x, data.x, nearest, false), nearest);
    return save_map(s.output, data, scaled(data, ridge(data.x, placed)), failure);
}

bool make_map(const Settings &s, const Data &data, std::string &said, Failure &failure) {
    if (s.kind == "laplacian") return make_laplacian(s, data, said, failure);
    const Matrix map = locality_preserving(data, affinity(data, static_cast<uint32_t>(s.nearest)), static_cast<uint32_t>(s.dims));
    return save_map(s.output, data, s.kind == "olpp" ? orthonormal(map) : scaled(data, map), failure);
}

bool make_graph(const Settings &s, const Data &data, std::string &said, Failure &failure) {
    constexpr uint32_t most_candidates = 64, most_edges = 48, walk_beam = 48, least = 2;
    Random random(s.seed);
    const Candidates graph = candidates(data, most_candidates);
    Lessons lessons;
    if (s.queries.empty()) {
        lessons = lessons_of_rows(data, static_cast<uint32_t>(s.sample), random);
    } else {
        Matrix queries;
        if (!load_queries(s.queries, s.metric, data, queries, failure)) return false;
        lessons = lessons_of(data, queries.topRows(std::min<Eigen::Index>(queries.rows(), static_cast<Eigen::Index>(s.sample))));
    }
    const Traces traces = trace(data, graph, lessons, walk_beam, random);
    double first = 0, last = 0;
    if (s.kind == "sage") {
        const Features seen = features(data, graph);
        const Sage sage(data, graph, seen);
        Vector parameters;
        if (!train(sage, traces, SageTraining{}, random, parameters, first, last)) return diverged(s, failure);
        said = format(", loss %.3f to %.3f", first, last);
        return save_lists(s.output, select(graph, sage.logits(parameters), static_cast<double>(s.degree), least, most_edges), most_edges, failure);
    }
    Soft soft = Soft::start(data, graph, static_cast<Eigen::Index>(s.dims));
    if (!train(data, graph, traces, SoftTraining{}, random, soft, first, last)) return diverged(s, failure);
    said = format(", loss %.3f to %.3f", first, last);
    if (s.kind == "metric") return save_map(s.output, data, scaled(data, soft.map), failure);
    const uint32_t degree = static_cast<uint32_t>(s.degree);
    return save_lists(s.output, draw(data, graph, soft, degree, 0.2, random), degree, failure);
}

int literature_command(const std::vector<std::string> &arguments) {
    Settings s;
    const tools::Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;
    if (s.output.empty()) return tools::usage_error("literature", "-o FILE is missing");
    const bool map = s.kind == "laplacian" || s.kind == "lpp" || s.kind == "olpp", graph = s.kind == "soft" || s.kind == "sage" || s.kind == "metric";
    if (!map && !graph) return tools::usage_error("literature", "KIND '" + s.kind + "' is not known");

    Failure failure;
    Data data;
    std::string said;
    const auto begin = std::chrono::steady_clock::now();
    if (s.landmarks != 0 && s.landmarks <= s.nearest) return tools::usage_error("literature", "--landmarks must be more than --nearest");
    if (!tools::check_matrix_suffix(s.output, failure) || !tools::check_output(s.output, {s.input, s.lists}, failure) || !load(s.input, s.lists, s.metric, data, failure)) return tools::report(failure);
    if (!(map ? make_map(s, data, said, failure) : make_graph(s, data, said, failure))) return tools::report(failure);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return tools::finish(format("%s of %s: %.1f s%s\n", s.kind.c_str(), s.input.c_str(), seconds, said.c_str()));
}

} // namespace
} // namespace literature

int main(int count, char **words) { return literature::literature_command(std::vector<std::string>(words + 1, words + count)); }
