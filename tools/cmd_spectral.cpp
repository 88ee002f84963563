// learnann spectral-report: how far codes can be trusted, by space and by width, on a sample of the rows.
//
// Invariants: nothing is written. Queries that are measured with take no part in any build. An index of a part of the rows that
// keeps no exact rows, asked for as many hits as it has rows, ranks them by their codes alone; one that keeps them tells the truth.
#include "building.hpp"
#include "cli.hpp"
#include "json.hpp"
#include "measure.hpp"
#include "system.hpp"
#include "vectorfile.hpp"

#include <algorithm>
#include <cstring>

namespace tools {
namespace {

constexpr uint32_t wanted = 10, kept = 20, near = 100;      // the true 10 among the best 20; the nearest 100, in order
constexpr uint64_t most_queries = 300, least_rows = 1000;
constexpr double reliable = 0.9;        // of the true 10: what `learnann build` asks of records of more than 64 bytes
constexpr uint32_t widths[] = {16, 32, 48, 64, 128, 256};
constexpr uint32_t tail_bytes = 8;      // of a record, that are no code
constexpr uint32_t cache_line = 64;     // as wide as builds try records that hold more directions than the rows have dimensions

struct Settings {
    std::string input, queries, directions;
    uint32_t metric = LEARNANN_L2;
    uint64_t rows = 20000, threads = 0, seed = 0;
    bool json = false;
};

Syntax syntax_of(Settings &s) {
    Syntax syntax{"spectral-report", "INPUT [options]",
                  "Tells for each space (`learnann build --spectral`) and each width of its records (--code-bytes) how far\n"
                  "codes can be trusted: the share of the true 10 neighbours that the best 20 by code hold, and how well\n"
                  "codes order the nearest 100 (Spearman's rank correlation). Measured on a sample of the rows in INPUT,\n"
                  "with 300 of them, of few rows a tenth, or of --queries, that no build sees. The more rows, the harder:\n"
                  "a share measured on a part of them is the most that all of them have.\n",
                  {{"INPUT", &s.input}}, {}};
    syntax.options = {
        {"--metric", "l2|ip|cos", "squared Euclidean (default), inner product, or cosine distance",
         Choice{&s.metric, {{"l2", LEARNANN_L2}, {"ip", LEARNANN_IP}, {"cos", LEARNANN_COS}}}},
        {"--queries", "SAMPLE", "real queries: half of them to learn from, half to measure by (default: rows)", &s.queries},
        {"--spectral", "FILE", "a map made elsewhere, besides: vectors, a direction each, as learnann build takes it", &s.directions},
        {"--rows", "N", "of the sample, spread evenly, 1,000 or more (default 20000)", Whole{&s.rows, least_rows, LEARNANN_MAX_EFFORT}},
        {"--threads", "N", "at most 64; 0, the default: one for each core; the figures do not depend on it", Whole{&s.threads, 0, LEARNANN_MAX_THREADS}},
        {"--seed", "N", "of all random choices (default 0)", Whole{&s.seed, 0, UINT64_MAX}},
        {"--json", "", "a JSON list on stdout", &s.json},
    };
    return syntax;
}

// ---- the sample

struct Vectors {
    std::vector<uint8_t> bytes;
    std::vector<uint64_t> places;       // of each in its file
    learnann_vectors view{};

    explicit Vectors(const learnann_vectors &like) : view(like) { view.stride = (like.stride + 3) / 4 * 4, view.count = 0; }
    void add(const learnann_vectors &from, uint64_t i) {
        const uint8_t *at = static_cast<const uint8_t *>(from.data) + i * from.stride;
        bytes.resize(++view.count * view.stride);
        std::memcpy(&bytes[(view.count - 1) * view.stride], at, from.dim * size_of(from.type));
        view.data = bytes.data();
        places.push_back(i);
    }
    static uint64_t size_of(learnann_type type) { return type == LEARNANN_F32 ? 4 : type == LEARNANN_F16 ? 2 : 1; }
};

struct Sample {
    Vectors rows, learnt, asked;        // `learnt`: queries for builds, where there are any
    const learnann_vectors *directions; // of a map made elsewhere, or NULL
};

// Where part i of `parts` even ones begins.
uint64_t part_begin(uint64_t i, uint64_t parts, uint64_t all) {
    return static_cast<uint64_t>(static_cast<double>(i) / static_cast<double>(parts) * static_cast<double>(all));
}

bool take_sample(const Settings &s, const learnann_vectors &rows, const learnann_vectors *queries, Sample &out, Failure &failure) {
    const uint64_t taken = std::min(s.rows, rows.count), held = queries != nullptr ? 0 : std::min(most_queries, taken / 10);
    if (rows.count < least_rows) {
        return fail(failure, s.input, "", format("holds %s rows", grouped(rows.count).c_str()), "A report takes 1,000 or more.");
    }
    for (uint64_t i = 0; i < taken; ++i) {
        const bool hold = out.asked.view.count < held && i >= part_begin(out.asked.view.count, held, taken);
        (hold ? out.asked : out.rows).add(rows, part_begin(i, taken, rows.count));
    }
    if (queries == nullptr) return true;
    const uint64_t pairs = std::min<uint64_t>(queries->count / 2, 2000), asked = std::min(pairs, most_queries);
    if (pairs < 20) {
        return fail(failure, s.queries, "", format("holds %s queries", grouped(queries->count).c_str()), "A report takes 40 or more.");
    }
    for (uint64_t i = 0; i < pairs; ++i) {
        const uint64_t first = part_begin(i, pairs, queries->count / 2) * 2;
        out.learnt.add(*queries, first);
        if (out.asked.view.count < asked && i >= part_begin(out.asked.view.count, asked, pairs)) out.asked.add(*queries, first + 1);
    }
    return true;
}

// ---- an index in memory

struct alignas(64) Line64 {
    uint8_t bytes[64];
};

struct Trial {
    std::vector<Line64> file;       // aligned as the library wants it
    Index index;
    learnann_build_report report = learnann_build_report_default();
};

bool build_trial(const Settings &s, const Sample &sample, learnann_build_options options, Trial &out, Failure &failure) {
    ProgressLine progress;
    progress.attach(options);
    options.metric = static_cast<learnann_metric>(s.metric);
    options.threads = static_cast<uint32_t>(s.threads);
    options.seed = s.seed;
    options.queries = sample.learnt.view.count > 0 ? &sample.learnt.view : nullptr;
    learnann_builder *raw = nullptr;
    learnann_index *index = nullptr;
    learnann_error error{};
    learnann_status status = learnann_builder_create(&options, &raw, &error);
    const Builder builder(raw);
    if (status == LEARNANN_OK) status = learnann_builder_run(raw, &sample.rows.view, nullptr, &error);
    progress.clear();
    if (status == LEARNANN_CANCELLED) return fail(failure, s.input, "", "interrupted", "Run it again to begin anew.");
    if (status == LEARNANN_OK) {
        learnann_builder_report(raw, &out.report);
        const uint64_t bytes = learnann_builder_bytes(raw);
        out.file.resize((bytes + sizeof(Line64) - 1) / sizeof(Line64));
        status = learnann_builder_write(raw, out.file.data(), bytes, &error);
        if (status == LEARNANN_OK) status = learnann_open_memory(out.file.data(), bytes, nullptr, &index, &error);
    }
    out.index.reset(index);
    if (status == LEARNANN_OK) return true;
    if (error.place == LEARNANN_AT_ROW) error.file_offset = sample.rows.places[error.file_offset];
    if (error.place == LEARNANN_AT_QUERY) error.file_offset = sample.learnt.places[error.file_offset];
    failure = input_failure(s.input, s.queries, s.directions, error);
    return false;
}

// The first k rows of all, for each of `count` queries from `begin` on.
bool rank(const Settings &s, const Sample &sample, const Trial &trial, uint64_t begin, uint64_t count, uint32_t k, std::vector<learnann_hit> &hits,
          Failure &failure) {
    learnann_vectors queries = sample.asked.view;
    queries.data = static_cast<const uint8_t *>(queries.data) + begin * queries.stride;
    queries.count = count;
    learnann_search_options options = learnann_search_options_default();
    options.effort = static_cast<uint32_t>(sample.rows.view.count);
    options.threads = static_cast<uint32_t>(s.threads);
    hits.resize(count * k);
    std::vector<uint32_t> counts(count);
    learnann_error error{};
    if (learnann_search_batch(trial.index.get(), &queries, k, &options, hits.data(), counts.data(), nullptr, &error) == LEARNANN_OK) return true;
    const bool of_rows = s.queries.empty();
    if (error.place == LEARNANN_AT_QUERY) {
        error.file_offset = sample.asked.places[begin + error.file_offset];
        if (of_rows) error.place = LEARNANN_AT_ROW;
    }
    failure = library_failure(of_rows ? s.input : s.queries, error);
    return false;
}

// ---- what is told

struct Line {
    std::string space;
    std::string note;
    uint32_t bytes, dims;
    double held, correlation;
};

// Of the true `wanted` of a query, how many are among the first `kept` of all `rows` by code; and how its true `near` rows follow each
// other there. Adds both to the line.
void compare(const learnann_hit *truth, const learnann_hit *by_code, uint64_t rows, Line &line) {
    std::vector<uint32_t> place(rows);
    for (uint32_t i = 0; i < rows; ++i) place[by_code[i].row] = i;
    uint32_t places[near];
    for (uint32_t i = 0; i < near; ++i) places[i] = place[truth[i].row];
    line.held += static_cast<double>(std::count_if(places, places + wanted, [](uint32_t p) { return p < kept; })) / wanted;
    double squares = 0;
    for (uint32_t i = 0; i < near; ++i) {
        const auto rank = std::count_if(places, places + near, [&](uint32_t p) { return p < places[i]; });
        squares += (static_cast<double>(rank) - i) * (static_cast<double>(rank) - i);
    }
    line.correlation += 1 - 6 * squares / (near * (near * near - 1.0));
}

bool measure_trial(const Settings &s, const Sample &sample, const Trial &trial, const std::vector<learnann_hit> &truth, Line &line, Failure &failure) {
    constexpr uint64_t together = 32;       // whose hits are all the rows each
    const uint64_t rows = sample.rows.view.count, queries = sample.asked.view.count;
    std::vector<learnann_hit> hits;
    for (uint64_t begin = 0; begin < queries; begin += together) {
        const uint64_t count = std::min(together, queries - begin);
        if (!rank(s, sample, trial, begin, count, static_cast<uint32_t>(rows), hits, failure)) return false;
        for (uint64_t i = 0; i < count; ++i) compare(&truth[(begin + i) * near], &hits[i * rows], rows, line);
    }
    line.held /= static_cast<double>(queries);
    line.correlation /= static_cast<double>(queries);
    return true;
}

bool measure(const Settings &s, const Sample &sample, std::vector<Line> &lines, Failure &failure) {
    std::vector<learnann_hit> truth;
    Trial exact;
    if (!build_trial(s, sample, learnann_build_options_default(), exact, failure) ||
        !rank(s, sample, exact, 0, sample.asked.view.count, near, truth, failure)) return false;
    std::vector<learnann_spectral> spaces = {LEARNANN_SPECTRAL_PCA, LEARNANN_SPECTRAL_LEARNED};
    if (sample.directions != nullptr) spaces.push_back(LEARNANN_SPECTRAL_GIVEN);
    for (const learnann_spectral spectral : spaces) {
        for (const uint32_t width : widths) {
            learnann_build_options options = learnann_build_options_default();
            options.spectral = spectral;
            options.directions = spectral == LEARNANN_SPECTRAL_GIVEN ? sample.directions : nullptr;
            options.code_bytes = width;
            options.exact = LEARNANN_EXACT_NONE;
            Trial trial;
            if (!build_trial(s, sample, options, trial, failure)) return false;
            Line line{spectral_name(spectral), trial.report.spectral == spectral ? "" : "no better than pca", width, trial.report.code_dim, 0, 0};
            if (!measure_trial(s, sample, trial, truth, line, failure)) return false;
            lines.push_back(line);
            const bool tells_more = width < cache_line && spectral != LEARNANN_SPECTRAL_GIVEN;     // a wider one, by more directions
            if (width - tail_bytes >= sample.rows.view.dim && !tells_more) break;      // every dimension has its byte
        }
    }
    return true;
}

std::string json_of(const std::vector<Line> &lines) {
    JsonWriter json;
    json.begin_array();
    for (const Line &l : lines) {
        json.begin_object();
        json.field("spectral", l.space);
        json.field("code_bytes", l.bytes);
        json.field("code_dim", l.dims);
        json.field("best_20_hold", l.held);
        json.field("rank_correlation", l.correlation);
        json.field("reliable", l.held >= reliable);
        if (!l.note.empty()) json.field("note", l.note);
        json.end_object();
    }
    json.end_array();
    return json.text() + "\n";
}

std::string verdict_of(const std::vector<Line> &lines, const std::string &space) {
    const auto first = std::find_if(lines.begin(), lines.end(), [&](const Line &l) { return l.space == space && l.held >= reliable; });
    return first != lines.end() ? format("%s: reliable from %u bytes on\n", space.c_str(), first->bytes)
                                : format("%s: reliable at none of these widths: exact rows must decide, at more effort\n", space.c_str());
}

std::string table_of(const Settings &s, const Sample &sample, const std::vector<Line> &lines) {
    std::vector<std::vector<std::string>> rows = {{"space", "bytes", "dimensions", "best 20 hold", "correlation", ""}};
    for (const Line &l : lines) {
        const bool good = l.held >= reliable;
        rows.push_back({l.space, std::to_string(l.bytes), std::to_string(l.dims), format("%.3f", l.held), format("%.3f", l.correlation),
                        (good ? "reliable" : "not reliable") + (l.note.empty() ? "" : ", " + l.note)});
    }
    std::string verdicts;
    for (size_t i = 0; i < lines.size(); ++i)       // of each space one
        if (i == 0 || lines[i].space != lines[i - 1].space) verdicts += verdict_of(lines, lines[i].space);
    return format("%s: %s rows of %u, %s, %s queries\n\n", s.input.c_str(), grouped(sample.rows.view.count).c_str(), sample.rows.view.dim,
                  metric_name(s.metric), grouped(sample.asked.view.count).c_str()) +
           table_text(rows, "lrrrrl", true) + "\n" + verdicts;
}

} // namespace

int spectral_report_command(const std::vector<std::string> &arguments) {
    Settings s;
    const Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = parse(syntax, arguments)) return *code;
    Failure failure;
    MatrixFile rows, queries, map;
    catch_interrupts();
    const bool sampled = !s.queries.empty(), given = !s.directions.empty();
    if (!open_vectors(s.input, rows, failure) ||
        (sampled && !open_vectors_for(s.queries, s.input, rows.matrix.dim, queries, failure)) ||
        (given && !open_vectors_for(s.directions, s.input, rows.matrix.dim, map, failure))) return report(failure);
    const learnann_vectors all = as_vectors(rows.matrix), asking = sampled ? as_vectors(queries.matrix) : all;
    const learnann_vectors directions = given ? as_vectors(map.matrix) : all;
    Sample sample{Vectors(all), Vectors(asking), Vectors(asking), given ? &directions : nullptr};
    std::vector<Line> lines;
    if (!take_sample(s, all, sampled ? &asking : nullptr, sample, failure) || !measure(s, sample, lines, failure)) return report(failure);
    return finish(s.json ? json_of(lines) : table_of(s, sample, lines));
}

} // namespace tools
