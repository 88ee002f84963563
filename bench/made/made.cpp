// learnann-made: a set of made embeddings, as large as wanted: unit rows, held-out queries of the same kind, and their true
// neighbours. One command and seed give the same bytes on any machine, and fewer rows are the first of more: every row has a random
// sequence of its own, and its arithmetic is + - * / and square roots in a fixed order, which IEEE 754 rounds in one way.
//
// A row is a smooth map of a few latent numbers (what a text says) into hidden features, moved by those of its topic, each feature along
// a random direction; and a little noise. How many latent numbers, features and how much noise was chosen so that the intrinsic
// dimension is near that of real text embeddings, and codes of as many bytes hold them. By --measure, with 20 and with 100
// neighbours: 6.1 and 9.5 for 69,481 texts embedded by bge-micro, 10.1 and 8.3 for 69,000 made rows of 384 dimensions; both are
// built with records of 128 bytes.
#include "../dataset.hpp"

#include "../../tools/cli.hpp"
#include "../../tools/npyheader.hpp"
#include "../../tools/system.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

namespace bench {
namespace {

using tools::Failure;
using tools::Matrix;

constexpr uint32_t neighbours = 100;    // of a query that are written, and that the dimension is measured by
constexpr uint64_t rows_at_once = 4096;

struct Settings {
    std::string folder;
    uint64_t rows = 1000000, dim = 768, queries = 1000, seed = 1, threads = 0;
    bool half = false, measure = false;
};

tools::Syntax syntax_of(Settings &s) {
    tools::Syntax syntax{"made", "FOLDER [options]",
                         "Writes base.npy, query.npy and truth.ibin into FOLDER: made text embeddings of unit length, queries\n"
                         "that are not among them, and the 100 rows of largest cosine of each. Tells the intrinsic dimension.\n",
                         {{"FOLDER", &s.folder}}, {}};
    syntax.options = {
        {"--rows", "N", "rows (default 1000000)", tools::Whole{&s.rows, neighbours + 1, 1u << 30}},
        {"--dim", "N", "dimensions (default 768)", tools::Whole{&s.dim, 8, 65535}},
        {"--queries", "N", "queries (default 1000)", tools::Whole{&s.queries, 1, 1u << 20}},
        {"--seed", "N", "another set of the same kind (default 1)", tools::Whole{&s.seed, 0, UINT64_MAX}},
        {"--half", "", "half floats", &s.half},
        {"--threads", "N", "0, the default: one for each core; the set does not depend on it", tools::Whole{&s.threads, 0, 64}},
        {"--measure", "", "write nothing: tell the intrinsic dimension of the set that is in FOLDER", &s.measure},
    };
    return syntax;
}

// ---- randomness: splitmix64 (Steele, Lea, Flood 2014)

class Random {
public:
    Random(uint64_t seed, uint64_t stream) : state_(seed * 0xd1342543de82ef95u + stream * 0x9e3779b97f4a7c15u) { state_ = next(); }
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }
    // Of variance 1: the sum of four uniform numbers, as near to a normal one as this needs, and without a logarithm.
    float normal() {
        const uint64_t bits = next();
        const uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        return (static_cast<float>(sum) - 131070.0f) * (1.7320508f / 65536.0f);
    }

private:
    uint64_t state_;
};

// ---- the model

class Model {
public:
    Model(uint64_t seed, uint32_t dim) : seed_(seed), dim_(dim), directions_(size_t{features} * dim) {
        Random random(seed, 0);
        const auto fill = [&](auto &values, float scale) {
            for (float &v : values) v = scale * random.normal();
        };
        fill(latent_, 1 / std::sqrt(static_cast<float>(latents)));
        fill(bias_, 1);
        fill(topics_, topic_width);
        fill(directions_, 1 / std::sqrt(static_cast<float>(dim)));
    }

    // Row `number` of a kind: kind 1 are rows, kind 2 queries.
    void make(uint64_t kind, uint64_t number, float *row) const {
        Random random(seed_ ^ kind << 56, number + 1);
        const float *topic = &topics_[static_cast<size_t>(topic_count * random.uniform() * random.uniform()) * features];
        float latent[latents], feature[features];
        for (float &z : latent) z = random.normal();
        for (uint32_t k = 0; k < features; ++k) {
            float sum = bias_[k];
            for (uint32_t l = 0; l < latents; ++l) sum += latent_[size_t{l} * features + k] * latent[l];
            feature[k] = 2 * sum / (1 + std::fabs(sum)) + topic[k];
        }
        const float grain = noise / std::sqrt(static_cast<float>(dim_));
        for (uint32_t j = 0; j < dim_; ++j) row[j] = grain * random.normal();
        for (uint32_t k = 0; k < features; ++k) {
            const float *direction = &directions_[size_t{k} * dim_];
            for (uint32_t j = 0; j < dim_; ++j) row[j] += feature[k] * direction[j];
        }
        double square = 0;
        for (uint32_t j = 0; j < dim_; ++j) square += static_cast<double>(row[j]) * row[j];
        const float length = static_cast<float>(std::sqrt(square));
        for (uint32_t j = 0; j < dim_; ++j) row[j] /= length;
    }

private:
    static constexpr uint32_t latents = 12, features = 128, topic_count = 300;
    static constexpr float topic_width = 0.8f, noise = 0.1f;

    uint64_t seed_;
    uint32_t dim_;
    std::array<float, size_t{latents} * features> latent_;
    std::array<float, features> bias_;
    std::array<float, size_t{topic_count} * features> topics_;
    std::vector<float> directions_;     // features x dim
};

void tell(const char *what, uint64_t rows, bool done) {
    if (tools::stderr_is_terminal()) std::fprintf(stderr, "\r\033[K%s: %s rows%s", what, tools::grouped(rows).c_str(), done ? "\n" : "");
}

// work(i, thread) for every i below count, on several threads.
void parallel(uint64_t threads, uint64_t count, const std::function<void(uint64_t, uint64_t)> &work) {
    std::atomic<uint64_t> next{0};
    const auto run = [&](uint64_t thread) {
        for (uint64_t i; (i = next++) < count;) work(i, thread);
    };
    std::vector<std::thread> others;
    for (uint64_t t = 1; t < threads; ++t) others.emplace_back(run, t);
    run(0);
    for (std::thread &thread : others) thread.join();
}

// ---- the files

// Round to nearest, ties to even; values of unit rows, below 65,504.
uint16_t half_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude < 0x38800000) return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(std::fabs(value) * 0x1p24f)));
    return static_cast<uint16_t>(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

std::string path_in(const Settings &s, const char *name) { return (std::filesystem::path(s.folder) / name).string(); }

bool write_rows(const Settings &s, const Model &model, uint64_t kind, uint64_t rows, const char *name, Failure &failure) {
    const size_t dim = s.dim, element = s.half ? 2 : 4;
    tools::AtomicFile file;
    const std::string head = tools::npy_header(s.half ? "<f2" : "<f4", rows, static_cast<uint32_t>(dim));
    if (!file.create(path_in(s, name), failure) || !file.write(head.data(), head.size(), failure)) return false;
    std::vector<uint8_t> block(rows_at_once * dim * element);
    std::vector<std::vector<float>> row(s.threads, std::vector<float>(dim));
    for (uint64_t begin = 0; begin < rows; begin += rows_at_once) {
        const uint64_t count = std::min(rows_at_once, rows - begin);
        parallel(s.threads, count, [&](uint64_t i, uint64_t thread) {
            float *values = row[thread].data();
            uint8_t *out = block.data() + i * dim * element;
            model.make(kind, begin + i, values);
            if (!s.half) std::memcpy(out, values, dim * element);
            for (size_t j = 0; s.half && j < dim; ++j) {
                const uint16_t half = half_of(values[j]);
                std::memcpy(out + 2 * j, &half, 2);
            }
        });
        if (!file.write(block.data(), count * dim * element, failure)) return false;
        tell(name, begin + count, begin + count == rows);
    }
    return file.publish(failure);
}

// ---- the truth

// Sixteen sums, which the compiler keeps in vectors; their order is fixed.
float dot(const float *a, const float *b, size_t dim) {
    float sums[16] = {}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        for (size_t j = 0; j < 16; ++j) sums[j] += a[i + j] * b[i + j];
    for (; i < dim; ++i) sum += a[i] * b[i];
    for (const float part : sums) sum += part;
    return sum;
}

struct Near {
    float cosine;
    int32_t row;
    bool operator<(const Near &other) const { return cosine != other.cosine ? cosine > other.cosine : row < other.row; }
};

// The nearest rows of each query by cosine, nearest first.
std::vector<std::vector<Near>> nearest_rows(const Matrix &base, const Matrix &query, uint64_t threads) {
    const std::vector<float> queries = floats_of(query, true);
    const size_t dim = base.dim;
    std::vector<std::vector<Near>> nearest(query.rows);
    for (uint64_t begin = 0; begin < base.rows; begin += rows_at_once) {
        Matrix part = base;
        part.data += begin * base.stride;
        part.rows = std::min(rows_at_once, base.rows - begin);
        const std::vector<float> rows = floats_of(part, true);
        parallel(threads, query.rows, [&](uint64_t q, uint64_t) {
            std::vector<Near> &heap = nearest[q];
            for (uint64_t i = 0; i < part.rows; ++i) {
                const Near near{dot(&queries[q * dim], &rows[i * dim], dim), static_cast<int32_t>(begin + i)};
                if (heap.size() == neighbours && !(near < heap.front())) continue;
                heap.push_back(near);
                std::push_heap(heap.begin(), heap.end());
                if (heap.size() <= neighbours) continue;
                std::pop_heap(heap.begin(), heap.end());
                heap.pop_back();
            }
        });
        tell("true neighbours", begin + part.rows, begin + part.rows == base.rows);
    }
    for (std::vector<Near> &heap : nearest) std::sort_heap(heap.begin(), heap.end());
    return nearest;
}

bool write_truth(const Settings &s, const std::vector<std::vector<Near>> &nearest, Failure &failure) {
    std::vector<int32_t> ids;
    for (const std::vector<Near> &list : nearest)
        for (const Near &near : list) ids.push_back(near.row);
    const Matrix matrix{reinterpret_cast<const uint8_t *>(ids.data()), nearest.size(), neighbours * sizeof(int32_t), neighbours,
                        tools::Element::I32};
    return tools::write_matrix(path_in(s, "truth.ibin"), matrix, "made", nullptr, failure);
}

// Local intrinsic dimension at the queries, by maximum likelihood (Levina and Bickel, 2004) over the k nearest rows at the
// distances T_1 ... T_k: minus the inverse of the mean of ln(T_i / T_k). The mean of all queries; copies of rows don't count.
double intrinsic_dimension(const std::vector<std::vector<Near>> &nearest, uint32_t k) {
    const auto distance = [](const Near &near) { return std::sqrt(std::max(2 - 2.0 * static_cast<double>(near.cosine), 1e-12)); };
    double sum = 0, queries = 0;
    for (const std::vector<Near> &list : nearest) {
        if (list.size() < k || distance(list[0]) < 1e-4) continue;
        double logs = 0;
        for (uint32_t i = 0; i < k; ++i) logs += std::log(distance(list[i]) / distance(list[k - 1]));
        sum -= (k - 1) / logs;
        ++queries;
    }
    return queries > 0 ? sum / queries : 0;
}

int made_command(const std::vector<std::string> &arguments) {
    Settings s;
    const tools::Syntax syntax = syntax_of(s);
    if (const std::optional<int> code = tools::parse(syntax, arguments)) return *code;
    if (s.threads == 0) s.threads = std::max(1u, std::thread::hardware_concurrency());
    Failure failure;
    std::error_code ignored;
    if (!s.measure) {
        std::filesystem::create_directories(s.folder, ignored);
        const auto model = std::make_unique<Model>(s.seed, static_cast<uint32_t>(s.dim));
        if (!write_rows(s, *model, 1, s.rows, "base.npy", failure) || !write_rows(s, *model, 2, s.queries, "query.npy", failure)) {
            return tools::report(failure);
        }
    }
    tools::MatrixFile base, query;
    if (!open_rows(s.folder, base, query, failure)) return tools::report(failure);
    const std::vector<std::vector<Near>> nearest = nearest_rows(base.matrix, query.matrix, s.threads);
    if (!s.measure && !write_truth(s, nearest, failure)) return tools::report(failure);
    const auto dimension = [&](uint32_t k) { return tools::format("%.1f", intrinsic_dimension(nearest, k)); };
    return tools::finish(tools::table_text({{"rows", tools::grouped(base.matrix.rows)},
                                            {"dimensions", std::to_string(base.matrix.dim)},
                                            {"intrinsic dimension, 20 neighbours", dimension(20)},
                                            {"intrinsic dimension, 100 neighbours", dimension(100)}}, "ll", false));
}

} // namespace
} // namespace bench

int main(int count, char **words) { return bench::made_command(std::vector<std::string>(words + 1, words + count)); }
