// How searches and builds grow with the number of rows: measured on prefixes of shuffled rows, fitted, foretold. `make scale` runs it.
//
// Invariants: all sizes share their queries; truth is a scan of all rows of that size; every figure of a search is that of a recall
// of 0.95, between the two efforts on either side of it.
#include "scale_fit.hpp"

#include "../tools/cli.hpp"
#include "../tools/measure.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <numeric>
#include <random>

namespace bench {
namespace {

using tools::Failure;
using tools::format;

constexpr double wanted_recall = 0.95;
constexpr uint32_t wanted_hits = 10;

struct Rows {
    std::string name;
    uint32_t dim = 0;
    std::vector<uint8_t> base, queries;         // rows of dim bytes, shuffled
    std::vector<uint64_t> sizes;                // ascending; the last is held out of the fit
};

// What is measured of each size.
enum Quantity { distances, hops, reranked, pages, hot_bytes, build_us, quantities };
constexpr const char *quantity_names[quantities] = {"code distances", "hops", "exact rows", "pages read cold", "hot bytes a row", "build, us of CPU a row"};

struct Point {
    double rows = 0, effort = 0, build_seconds = 0;
    double values[quantities] = {};
};

// ---- rows ----

std::vector<uint8_t> bytes_of(const tools::Matrix &m) {
    std::vector<uint8_t> out(m.rows * m.dim);
    for (uint64_t i = 0; i < m.rows; ++i) std::memcpy(&out[i * m.dim], m.data + i * m.stride, m.dim);
    return out;
}

void shuffle_rows(std::vector<uint8_t> &rows, uint32_t dim) {
    std::mt19937_64 random(1);
    for (uint64_t i = rows.size() / dim - 1; i > 0; --i)
        std::swap_ranges(&rows[i * dim], &rows[i * dim] + dim, &rows[random() % i * dim]);
}

bool read_rows(const std::string &folder, Rows &rows, Failure &failure) {
    tools::MatrixFile base, queries;
    if (!tools::open_vectors(folder + "/base.bvecs", base, failure) || !tools::open_vectors(folder + "/query.bvecs", queries, failure))
        return false;
    rows.name = "sift-photo";
    rows.dim = base.matrix.dim;
    rows.base = bytes_of(base.matrix);
    rows.queries = bytes_of(queries.matrix);
    shuffle_rows(rows.base, rows.dim);
    for (const uint64_t size : {10000u, 20000u, 50000u, 100000u, 200000u, 300000u})
        if (size <= base.matrix.rows) rows.sizes.push_back(size);
    return rows.sizes.size() >= 3 || tools::fail(failure, folder, "", "too few rows", "Give sift-photo, of 300,000 rows.");
}

// A random linear image of 12 normal latent variables in 64 dimensions, with a tenth of noise; whole numbers.
void make_rows(uint64_t most, Rows &rows) {
    constexpr uint32_t latent = 12, queries = 1000;
    rows.name = "made rows";
    rows.dim = 64;
    std::mt19937_64 random(2);
    std::normal_distribution<float> normal;
    std::vector<float> map(size_t{latent} * rows.dim), t(latent);
    for (float &x : map) x = normal(random);
    for (uint64_t row = 0; row < most + queries; ++row) {
        for (float &x : t) x = normal(random);
        for (uint32_t j = 0; j < rows.dim; ++j) {
            float v = 128 + normal(random);
            for (uint32_t i = 0; i < latent; ++i) v += 8 * map[i * rows.dim + j] * t[i];
            (row < queries ? rows.queries : rows.base).push_back(static_cast<uint8_t>(std::clamp(v, 0.0f, 255.0f)));
        }
    }
    for (uint64_t size = 10000; 2 * size < most; size *= 3) rows.sizes.push_back(size);
    rows.sizes.push_back(most);
}

// ---- one size ----

struct Files {
    std::string queries, index, truth;
};

bool build(const Rows &rows, uint64_t size, uint32_t threads, const std::string &path, Point &point, Failure &failure) {
    learnann_build_options options = learnann_build_options_default();
    options.threads = threads;
    learnann_build_report report = learnann_build_report_default();
    learnann_error error{};
    learnann_builder *builder = nullptr;
    const learnann_vectors input = learnann::vectors(rows.base.data(), size, rows.dim);
    const std::clock_t start = std::clock();        // of all threads, and not of what else the machine does
    const bool built = learnann_builder_create(&options, &builder, &error) == LEARNANN_OK &&
                       learnann_builder_run(builder, &input, nullptr, &error) == LEARNANN_OK &&
                       learnann_builder_save(builder, path.c_str(), &error) == LEARNANN_OK;
    if (built) learnann_builder_report(builder, &report);
    else failure = tools::library_failure(path, error);
    learnann_builder_free(builder);
    point.rows = static_cast<double>(size);
    point.build_seconds = report.seconds;
    point.values[build_us] = 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / point.rows;
    point.values[hot_bytes] = report.hot_bytes_per_row;
    return built;
}

// An effort of all rows is a scan of them.
bool write_truth(const Files &files, const Rows &rows, Failure &failure) {
    tools::Measurement scan;
    tools::Figures figures;
    tools::Plan plan;
    plan.effort = LEARNANN_MAX_EFFORT;
    plan.threads = 0;
    if (!scan.open(files.index, files.queries, "", wanted_hits, {}, failure) || !scan.run(plan, figures, failure)) return false;
    const std::vector<int64_t> hits = scan.hit_rows();
    const tools::Matrix matrix{reinterpret_cast<const uint8_t *>(hits.data()), rows.queries.size() / rows.dim, uint64_t{wanted_hits} * 8,
                               wanted_hits, tools::Element::I64};
    return tools::write_matrix(files.truth, matrix, files.truth, nullptr, failure);
}

bool measure(const Files &files, Point &point, Failure &failure) {
    tools::Measurement measurement;
    if (!measurement.open(files.index, files.queries, files.truth, wanted_hits, {}, failure)) return false;
    tools::Plan plan;
    tools::Figures above, below;
    const auto at = [&](uint32_t effort, tools::Figures &figures) {
        plan.effort = effort;
        return measurement.run(plan, figures, failure);
    };
    uint32_t low = wanted_hits, high = 4096;    // the least effort that reaches the recall is above low, or it
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (!at(middle, above)) return false;
        if (above.recall >= wanted_recall) high = middle;
        else low = middle + 1;
    }
    if (!at(low, above) || !at(std::max(low - 1, wanted_hits), below)) return false;
    const double gained = above.recall - below.recall;
    const double share = gained > 0 ? std::clamp((wanted_recall - below.recall) / gained, 0.0, 1.0) : 1.0;
    const auto between = [&](double a, double b) { return a + (b - a) * share; };
    point.effort = between(below.effort, above.effort);
    point.values[distances] = between(below.distances + below.entry_distances, above.distances + above.entry_distances);
    point.values[hops] = between(below.hops, above.hops);
    point.values[reranked] = between(below.reranked, above.reranked);
    plan.effort = low;
    if (!measurement.run_cold(plan, above, failure)) return false;
    point.values[pages] = above.cold_bytes / 4096;
    return true;
}

// ---- the report ----

std::string number(double value) {
    return value >= 100 ? tools::grouped(static_cast<uint64_t>(value + 0.5)) : format("%.1f", value);
}

std::string points_table(const std::vector<Point> &points) {
    std::vector<std::vector<std::string>> table = {{"rows", "effort"}};
    for (const char *name : quantity_names) table[0].push_back(name);
    table[0].push_back("build, s");
    for (const Point &p : points) {
        table.push_back({tools::grouped(static_cast<uint64_t>(p.rows)), number(p.effort)});
        for (const double value : p.values) table.back().push_back(number(value));
        table.back().push_back(number(p.build_seconds));
    }
    return tools::table_text(table, "rrrrrrrrr", true);
}

std::string laws_table(const std::vector<Point> &points) {
    std::vector<std::vector<std::string>> table = {{"", "law", "a log n + b errs", "c n^p errs", "1 million", "10 million", "100 million"}};
    std::vector<double> sizes;
    for (const Point &p : points) sizes.push_back(p.rows);
    for (int q = 0; q < quantities; ++q) {
        std::vector<double> values;
        for (const Point &p : points) values.push_back(p.values[q]);
        const Growth g = growth_of(sizes, values);
        const std::string law = g.law.power ? format("%.3g n^%.3f", std::exp(g.law.b), g.law.a) : format("%.3g ln n %+.3g", g.law.a, g.law.b);
        table.push_back({quantity_names[q], law, format("%+.1f %%", 100 * g.log_error), format("%+.1f %%", 100 * g.power_error)});
        for (const double n : {1e6, 1e7, 1e8}) table.back().push_back(number(g.law.at(n)));
    }
    return tools::table_text(table, "llrrrrr", true);
}

bool run(const Rows &rows, uint32_t threads, const std::string &folder, std::string &report, Failure &failure) {
    const Files files{folder + "/scale-queries.u8bin", folder + "/scale.la", folder + "/scale-truth.ivecs"};
    const tools::Matrix queries{rows.queries.data(), rows.queries.size() / rows.dim, rows.dim, rows.dim, tools::Element::U8};
    if (!tools::write_matrix(files.queries, queries, files.queries, nullptr, failure)) return false;
    std::vector<Point> points;
    for (const uint64_t size : rows.sizes) {
        std::fprintf(stderr, "%s: %s rows\n", rows.name.c_str(), tools::grouped(size).c_str());
        Point point;
        if (!build(rows, size, threads, files.index, point, failure) || !write_truth(files, rows, failure) || !measure(files, point, failure))
            return false;
        points.push_back(point);
    }
    for (const std::string &path : {files.queries, files.index, files.truth}) std::filesystem::remove(path);
    report += format("%s, %u dimensions, recall@10 0.95, built by %u threads\n", rows.name.c_str(), rows.dim, threads) + points_table(points) +
              "\nfitted; what either law errs at the largest size, foretold from the others\n" + laws_table(points) + "\n";
    return true;
}

int scale(const std::vector<std::string> &arguments) {
    std::string data = "../shared/data", folder = "build";
    uint64_t made = 1000000, threads = 2;
    const tools::Syntax syntax{"scale", "[options]",
                               "How code distances, hops, pages and build time grow with the rows: on sift-photo, where it is, and on made\n"
                               "rows; fitted, and foretold up to 100 million.\n", {},
                               {{"--data", "DIR", "the folder that holds sift-photo (default ../shared/data)", &data},
                                {"--made", "N", "the most made rows (default 1000000), 0 for none", tools::Whole{&made, 0, 100000000}},
                                {"--threads", "N", "threads of the builds (default 2)", tools::Whole{&threads, 1, 64}},
                                {"--folder", "DIR", "for files that are removed again (default build)", &folder}}};
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;
    if (made != 0 && made < 100000) return tools::usage_error("scale", "--made needs 100000 rows at least");
    Failure failure;
    std::string report;
    Rows real, invented;
    if (!std::filesystem::exists(data + "/sift-photo")) std::fprintf(stderr, "left out: sift-photo is not in %s\n", data.c_str());
    else if (!read_rows(data + "/sift-photo", real, failure) || !run(real, static_cast<uint32_t>(threads), folder, report, failure))
        return tools::report(failure);
    if (made != 0) make_rows(made, invented);
    if (made != 0 && !run(invented, static_cast<uint32_t>(threads), folder, report, failure)) return tools::report(failure);
    return tools::finish(report);
}

} // namespace
} // namespace bench

int main(int count, char **words) { return bench::scale(std::vector<std::string>(words + 1, words + count)); }
