// make_corpus.cpp: writes seeds of the fuzz targets: small indexes, whole and damaged, vector files, lengths for kernels. (The
// command lines were written by hand; what has a hash for a name was found by a fuzzer.) To make them anew, from the root:
//   c++ -std=c++17 -I. tests/fuzz/make_corpus.cpp tools/npyheader.cpp learnann.c++ -pthread -o build/make_corpus &&
//       build/make_corpus tests/fuzz/corpus
#include "../indexfile.hpp"

#include "../../tools/npyheader.hpp"

#include <cstdio>
#include <fstream>
#include <string>

using namespace testdata;

static std::string folder;
static size_t total = 0;

static void write(const std::string &name, const std::string &bytes) {
    std::ofstream out(folder + "/" + name, std::ios::binary | std::ios::trunc);
    out << bytes;
    if (!out) std::fprintf(stderr, "can't write %s\n", name.c_str());
    total += bytes.size();
}

static std::string text_of(const Memory &bytes) {
    return std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

// ---- indexes

static Memory make(uint64_t n, uint32_t dim, learnann_type type, learnann_metric metric, learnann_exact exact,
                   bool keys, bool calibrated, uint32_t code_bytes = 16, learnann_graph graph = LEARNANN_GRAPH_AUTO) {
    const Rows rows = clustered(n, dim, type, 90), sample = clustered(8, dim, LEARNANN_F32, 91);
    std::vector<uint64_t> key(n);
    for (uint64_t i = 0; i < n; ++i) key[i] = 5 * (n - i);
    const learnann_vectors queries = sample.view();
    learnann_build_options options = build_options(metric, exact);
    options.code_bytes = code_bytes;
    options.degree = 4;
    options.graph = graph;
    if (calibrated) options.queries = &queries;
    Memory file;
    if (build(rows, options, keys ? key.data() : nullptr, file) != LEARNANN_OK)
        std::fprintf(stderr, "a build failed\n");
    return file;
}

// For the targets open and train.
static void write_indexes() {
    const auto write = [](const std::string &name, const Memory &bytes) { ::write("open/" + name, text_of(bytes)); };
    const Memory tiny = make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_AUTO, true, true);
    write("l2_f32_keys", tiny);
    write("ip_i8", make(20, 4, LEARNANN_I8, LEARNANN_IP, LEARNANN_EXACT_AUTO, false, false));
    write("cos_u8_tail", make(20, 4, LEARNANN_U8, LEARNANN_COS, LEARNANN_EXACT_AUTO, true, false));
    write("l2_f16", make(20, 7, LEARNANN_F16, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, true));
    write("l2_quantised", make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_U8, false, false));
    write("l2_i4", make(20, 7, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_I4, false, false));
    write("cos_binary", make(20, 11, LEARNANN_F16, LEARNANN_COS, LEARNANN_EXACT_BINARY, true, false));
    write("none", make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_NONE, false, false));
    write("one_row", make(1, 1, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, false));
    write("l2_levels", make(20, 100, LEARNANN_U8, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, false, 32));
    // Large enough to be walked.
    const Memory walked = make(260, 2, LEARNANN_U8, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, true);
    write("walked", walked);

    const Memory layered = make(260, 2, LEARNANN_U8, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, false, 16, LEARNANN_GRAPH_HNSW);
    write("layered", layered);

    // Damaged behind right checksums, one place each.
    const auto damaged = [&](const std::string &name, const Memory &from, auto change) {
        IndexFile f(from);
        change(f);
        f.repair_all();
        write("bad_" + name, f.bytes);
    };
    const auto about = [&](const std::string &name, uint32_t field, uint32_t value) {
        damaged(name, tiny, [&](IndexFile &f) { f.put(f.offset(kind_about) + field, value); });
    };
    about("rows_more", about_rows, 21);
    about("rows_huge", about_rows, 0xfffffffeu);
    about("dim_more", about_dim, 5);
    about("dim_huge", about_dim, 65535);
    about("metric_cos", about_metric, LEARNANN_COS);
    about("exact_none", about_exact_type, 0);
    about("code_dim_more", about_code_dim, 8);
    about("record_more", about_record_bytes, 32);
    about("entries_more", about_entries, 20);
    about("nibbles_0", about_nibbles_at, 0);
    about("step_tiny", about_code_step, 1);
    about("weight_nan", about_residual_weight, 0x7fc00000u);
    damaged("no_order", tiny, [](IndexFile &f) { f.put(f.entry(kind_key_order), 20u); });
    damaged("twice", tiny, [](IndexFile &f) { f.put(f.entry(kind_keys), uint32_t(kind_records)); });
    damaged("overlap", tiny, [](IndexFile &f) { f.put(f.entry(kind_slot_of_row) + 8, f.offset(kind_row_of_slot)); });
    damaged("unknown", tiny, [](IndexFile &f) { f.put(f.entry(kind_calibration), 31u); });
    damaged("calibration_nan", tiny, [](IndexFile &f) {
        for (uint64_t at = 0; at < f.size(kind_calibration); at += 16)
            f.put(f.offset(kind_calibration) + at + 8, 0xffc00000u);
    });
    damaged("mean_inf", tiny,
            [](IndexFile &f) { f.put(f.offset(kind_projection) + f.size(kind_projection) - 4, 0x7f800000u); });
    damaged("exact_nan", tiny, [](IndexFile &f) { f.put(f.offset(kind_exact), 0x7fc00000u); });
    damaged("ids", walked, [](IndexFile &f) {
        for (uint32_t s = 0; s < f.rows(); s += 3) f.put_neighbour(s, 0, 0xfffffff0u + s);
    });
    damaged("degrees", walked, [](IndexFile &f) {
        for (uint32_t s = 0; s < f.rows(); s += 5) f.put(f.block(s), uint8_t(255));
    });
    damaged("blocks", walked, [](IndexFile &f) {
        for (uint32_t s = 0; s < f.rows(); s += 7) f.put(f.record(s) + 12, 0xffffffffu - s);
    });
    damaged("layers", layered, [](IndexFile &f) {
        for (uint64_t at = 64; at < f.size(kind_layers); at += 28) f.put(f.offset(kind_layers) + at, 0xfffffff0u + static_cast<uint32_t>(at));
    });
    Memory cut;
    cut.assign(tiny.data(), 64 + 32 * 3);
    write("bad_cut", cut);
    ::write("train/l2_f32_keys", text_of(tiny));
    ::write("train/ip_i8", text_of(make(20, 4, LEARNANN_I8, LEARNANN_IP, LEARNANN_EXACT_AUTO, false, false)));
    ::write("train/cos_u8", text_of(make(20, 4, LEARNANN_U8, LEARNANN_COS, LEARNANN_EXACT_AUTO, true, false)));
    ::write("train/walked", text_of(walked));
}

// ---- vector files

template <class T> static std::string bytes_of(const std::vector<T> &values) {
    return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

// The first byte says by which suffixes the target reads and converts: their numbers in vectors_fuzz.cpp.
static void vectors(const std::string &name, int from, int to, const std::string &file) {
    write("vectors/" + name, static_cast<char>(10 * to + from) + file);
}

static void write_vector_files() {
    const std::vector<float> floats = {0, 1, -2.5f, 255, 3e9f, -0.0f};
    const std::vector<uint8_t> u8 = {0, 1, 127, 128, 254, 255};
    const std::vector<int32_t> i32 = {0, 1, -1, 77, INT32_MAX, INT32_MIN};
    const std::vector<uint64_t> u64 = {0, 1, 1ull << 63};
    const std::vector<int64_t> i64 = {0, 5, INT64_MAX};
    const std::string head = bytes_of<int32_t>({2, 3}), dim = bytes_of<int32_t>({3});
    vectors("npy_f4", 0, 1, tools::npy_header("<f4", 2, 3) + bytes_of(floats));
    vectors("npy_f2", 0, 4, tools::npy_header("<f2", 2, 3) + bytes_of<uint16_t>({0, 0x3c00, 0x7c00, 0x7e00, 1, 0xbc00}));
    vectors("npy_i1", 0, 6, tools::npy_header("|i1", 2, 3) + bytes_of(u8));
    vectors("npy_u1", 0, 2, tools::npy_header("|u1", 2, 3) + bytes_of(u8));
    vectors("npy_i4", 0, 7, tools::npy_header("<i4", 2, 3) + bytes_of(i32));
    vectors("npy_i8_keys", 0, 8, tools::npy_header("<i8", 3, 1) + bytes_of(i64));
    vectors("npy_u8_keys", 0, 0, tools::npy_header("<u8", 3, 1) + bytes_of(u64));
    const std::string flat = "{\"shape\": (3,), 'fortran_order': True, 'descr': '<u8'}\n";
    vectors("npy_2_flat", 0, 8, std::string("\x93NUMPY\2\0", 8) + bytes_of<uint32_t>({uint32_t(flat.size())}) + flat + bytes_of(u64));
    vectors("fvecs", 1, 0, dim + bytes_of(floats).substr(0, 12) + dim + bytes_of(floats).substr(12));
    vectors("bvecs", 2, 5, dim + bytes_of(u8).substr(0, 3) + dim + bytes_of(u8).substr(3));
    vectors("ivecs", 3, 7, dim + bytes_of(i32).substr(0, 12) + dim + bytes_of(i32).substr(12));
    vectors("fbin", 4, 5, head + bytes_of(floats));
    vectors("u8bin", 5, 1, head + bytes_of(u8));
    vectors("i8bin", 6, 3, head + bytes_of(u8));
    vectors("ibin", 7, 0, head + bytes_of(i32));
    vectors("u64bin", 8, 4, bytes_of<int32_t>({3, 1}) + bytes_of(u64));
    vectors("keys", 9, 0, "0\n  18446744073709551615\r\n7 \n\n");
    vectors("huge", 4, 0, bytes_of<uint32_t>({0xffffffffu, 0x7fffffffu}));
}

// ---- what input.hpp takes numbers and data from: data that is small, spread, or at the edges, in a few shapes of each target

static std::string data_bytes(int shape, size_t size) {
    Random random(92 + static_cast<uint64_t>(shape));
    std::string bytes;
    for (size_t i = 0; i < size; ++i) {
        const uint64_t edge = random.below(2) ? 0xff : 0x80;
        bytes += static_cast<char>(shape == 0 ? random.below(4) : shape == 1 ? random.next() : random.below(3) ? edge : 0);
    }
    return bytes;
}

static std::string numbers(const std::vector<int> &values) {
    std::string bytes;
    for (const int v : values) bytes += {static_cast<char>(v >> 8), static_cast<char>(v)};
    return bytes;
}

static void write_inputs() {
    const char *const kinds[] = {"floats", "bytes", "score", "matvec", "unseen", "insert", "loops", "widen", "axpy4", "tiles"};
    for (int shape = 0; shape < 3; ++shape) {
        const std::string number = std::to_string(shape);
        for (int kind = 0; kind < 10; ++kind)
            write("kernels/" + std::string(kinds[kind]) + number, static_cast<char>(kind) + data_bytes(shape, 120));
        // Rows, dim, type, metric, exact, code, degree, seed (two), keys.
        for (int type = 0; type < 4; ++type)
            write("build/" + std::to_string(type) + "_" + number, numbers({30, 3, type, 1 + shape, shape, 0, 0, 0, 0, shape % 2}) + data_bytes(shape, 200));
        // Index, k, effort, recall, radius, filter, type.
        for (int filter = 0; filter < 4; ++filter)
            write("search/" + std::to_string(filter) + "_" + number, numbers({5 * shape + filter, 10, 0, 0, 0, 0x4000, 0, filter, 300, filter}) +
                                                                         data_bytes(shape, 60));
    }
}

int main(int argc, char **argv) {
    folder = argc > 1 ? argv[1] : "tests/fuzz/corpus";
    write_indexes();
    write_vector_files();
    write_inputs();
    std::printf("%zu bytes\n", total);
    return 0;
}
