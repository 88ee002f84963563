// See dataset.hpp.
#include "dataset.hpp"

#include "../tools/cli.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

namespace bench {
namespace {

namespace fs = std::filesystem;
using tools::fail;
using tools::Failure;
using tools::format;
using tools::Matrix;

constexpr uint64_t made_rows = 20000, made_queries = 1000;
constexpr uint32_t made_dim = 96, made_latent = 16, made_clusters = 200;

// The file FOLDER/STEM.suffix of a known suffix, or an empty text.
std::string find_file(const fs::path &folder, const char *stem) {
    for (const char *suffix : {".npy", ".fvecs", ".bvecs", ".ivecs", ".fbin", ".u8bin", ".i8bin", ".ibin"}) {
        const fs::path path = folder / (std::string(stem) + suffix);
        std::error_code ignored;
        if (fs::exists(path, ignored)) return path.string();
    }
    return "";
}

bool metric_of(const std::string &name, const std::string &given, uint32_t &metric, Failure &failure) {
    const std::string text = !given.empty() ? given : name == "gowalla" ? "ip" : name == "bge-micro" ? "cos" : "l2";
    for (const uint32_t known : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
        if (text == tools::metric_name(known)) metric = known;
    }
    return text == tools::metric_name(metric) ||
           fail(failure, name, "", "there is no metric " + text, "Give l2, ip or cos.");
}

bool load_truth(const std::string &path, Dataset &set, Failure &failure) {
    tools::MatrixFile file;
    if (!tools::open_ids(path, file, failure)) return false;
    const Matrix &m = file.matrix;
    if (m.rows != set.queries() || m.dim < hits_wanted) {
        return fail(failure, path, "", format("it must have %s rows of at least %u ids",
                                              tools::grouped(set.queries()).c_str(), hits_wanted),
                    "Give the truth that belongs to the queries.");
    }
    for (uint64_t row = 0; row < m.rows; ++row) {
        for (uint32_t column = 0; column < hits_wanted; ++column) {
            const int64_t id = tools::id_at(m, row, column);
            if (id < 0 || static_cast<uint64_t>(id) >= set.rows()) {
                return fail(failure, path, "row " + std::to_string(row), "holds an id that is no row of the base",
                            "Give the truth that belongs to the base.");
            }
            set.truth.push_back(id);
        }
        std::sort(set.truth.end() - hits_wanted, set.truth.end());
    }
    return true;
}

// FNV-1a over the shape and some 64 KiB of the rows, from all over them.
uint64_t fingerprint_of(const Matrix &m) {
    uint64_t hash = 14695981039346656037u;
    const auto mix = [&](uint64_t byte) { hash = (hash ^ byte) * 1099511628211u; };
    for (const uint64_t number : {m.rows, uint64_t{m.dim}, static_cast<uint64_t>(m.element)}) {
        for (int shift = 0; shift < 64; shift += 8) mix((number >> shift) & 255);
    }
    const uint64_t bytes = (m.rows - 1) * m.stride + m.dim, step = bytes / 65536 + 1;
    for (uint64_t at = 0; at < bytes; at += step) mix(m.data[at]);
    return hash;
}

float half_value(const uint8_t *bytes) {
    uint16_t half = 0;
    std::memcpy(&half, bytes, sizeof half);
    const int exponent = (half >> 10) & 31, fraction = half & 1023;
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                          : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

void row_to_floats(const Matrix &m, uint64_t row, float *out) {
    const uint8_t *bytes = m.data + row * m.stride;
    for (uint32_t i = 0; i < m.dim; ++i) {
        switch (m.element) {
        case tools::Element::F32: std::memcpy(out + i, bytes + 4 * size_t{i}, 4); break;
        case tools::Element::F16: out[i] = half_value(bytes + 2 * size_t{i}); break;
        case tools::Element::I8: out[i] = static_cast<float>(static_cast<int8_t>(bytes[i])); break;
        default: out[i] = static_cast<float>(bytes[i]); break;
        }
    }
}

void scale_to_unit(float *row, uint32_t dim) {
    double square = 0;
    for (uint32_t i = 0; i < dim; ++i) square += static_cast<double>(row[i]) * row[i];
    const double factor = square > 0 ? 1 / std::sqrt(square) : 0;
    for (uint32_t i = 0; i < dim; ++i) row[i] = static_cast<float>(row[i] * factor);
}

// Clusters in a space of few dimensions, turned into many by one random linear map, with a little noise on top.
std::vector<float> made_vectors() {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> map(size_t{made_latent} * made_dim), centres(size_t{made_clusters} * made_latent);
    for (float &x : map) x = normal(random);
    for (float &x : centres) x = 1.5f * normal(random);
    std::vector<float> out((made_rows + made_queries) * made_dim);
    std::vector<float> latent(made_latent);
    for (uint64_t row = 0; row < made_rows + made_queries; ++row) {
        const float *centre = &centres[random() % made_clusters * made_latent];
        for (uint32_t i = 0; i < made_latent; ++i) latent[i] = centre[i] + normal(random);
        float *vector = &out[row * made_dim];
        for (uint32_t j = 0; j < made_dim; ++j) {
            vector[j] = 0.3f * normal(random);
            for (uint32_t i = 0; i < made_latent; ++i) vector[j] += latent[i] * map[i * made_dim + j];
        }
    }
    return out;
}

std::vector<int32_t> made_truth(const std::vector<float> &vectors) {
    std::vector<int32_t> truth;
    std::vector<std::pair<double, int32_t>> order(made_rows);
    for (uint64_t q = 0; q < made_queries; ++q) {
        const float *query = &vectors[(made_rows + q) * made_dim];
        for (uint64_t row = 0; row < made_rows; ++row) {
            double sum = 0;
            for (uint32_t i = 0; i < made_dim; ++i) {
                const double difference = static_cast<double>(vectors[row * made_dim + i]) - query[i];
                sum += difference * difference;
            }
            order[row] = {sum, static_cast<int32_t>(row)};
        }
        std::partial_sort(order.begin(), order.begin() + hits_wanted, order.end());
        for (uint32_t i = 0; i < hits_wanted; ++i) truth.push_back(order[i].second);
    }
    return truth;
}

} // namespace

bool open_rows(const std::string &folder, tools::MatrixFile &base, tools::MatrixFile &query, Failure &failure) {
    const std::string rows = find_file(folder, "base"), queries = find_file(folder, "query");
    if (rows.empty() || queries.empty()) {
        return fail(failure, folder, "", "base.* or query.* is missing", "Check the folder's name.");
    }
    if (!tools::open_vectors(rows, base, failure) || !tools::open_vectors(queries, query, failure)) return false;
    return (query.matrix.dim == base.matrix.dim && query.matrix.element == base.matrix.element) ||
           fail(failure, queries, "", "its vectors are not of the kind that the base has", "Check the two files.");
}

bool open_dataset(const std::string &folder, const std::string &spelled, Dataset &set, Failure &failure) {
    const size_t equals = spelled.find('=');
    set.name = spelled.substr(0, equals);
    const std::string metric = equals == std::string::npos ? "" : spelled.substr(equals + 1);
    const fs::path place = fs::path(folder) / set.name;
    const std::string truth = find_file(place, "truth"), train = find_file(place, "train_query");
    if (truth.empty()) return fail(failure, place.string(), "", "truth.* is missing", "Check --data and --sets.");
    set.base_path = find_file(place, "base");
    set.query_path = find_file(place, "query");
    set.truth_path = truth;
    if (!metric_of(set.name, metric, set.metric, failure) || !open_rows(place.string(), set.base, set.query, failure) ||
        (!train.empty() && !tools::open_vectors(train, set.train, failure))) {
        return false;
    }
    set.has_train = !train.empty();
    set.fingerprint = fingerprint_of(set.base.matrix);
    return load_truth(truth, set, failure);
}

std::vector<std::string> list_datasets(const std::string &folder) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder, ignored)) {
        if (!find_file(entry.path(), "base").empty()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool make_dataset(const std::string &folder, Failure &failure) {
    const fs::path place = fs::path(folder) / "made";
    if (!find_file(place, "truth").empty()) return true;
    std::error_code ignored;
    fs::create_directories(place, ignored);
    const std::vector<float> vectors = made_vectors();
    const std::vector<int32_t> truth = made_truth(vectors);
    const auto write = [&](const char *name, const void *data, uint64_t rows, uint32_t dim, tools::Element element) {
        const Matrix matrix{static_cast<const uint8_t *>(data), rows, uint64_t{dim} * 4, dim, element};
        return tools::write_matrix((place / name).string(), matrix, "made", nullptr, failure);
    };
    return write("base.fbin", vectors.data(), made_rows, made_dim, tools::Element::F32) &&
           write("query.fbin", &vectors[made_rows * made_dim], made_queries, made_dim, tools::Element::F32) &&
           write("truth.ibin", truth.data(), made_queries, hits_wanted, tools::Element::I32);
}

std::vector<float> floats_of(const Matrix &matrix, bool unit) {
    std::vector<float> out(matrix.rows * matrix.dim);
    for (uint64_t row = 0; row < matrix.rows; ++row) {
        row_to_floats(matrix, row, &out[row * matrix.dim]);
        if (unit) scale_to_unit(&out[row * matrix.dim], matrix.dim);
    }
    return out;
}

double recall_of(const Dataset &set, const std::vector<int64_t> &ids) {
    uint64_t found = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
        const auto begin = set.truth.begin() + static_cast<std::ptrdiff_t>(i / hits_wanted * hits_wanted);
        found += std::binary_search(begin, begin + hits_wanted, ids[i]);
    }
    return static_cast<double>(found) / static_cast<double>(set.truth.size());
}

} // namespace bench
