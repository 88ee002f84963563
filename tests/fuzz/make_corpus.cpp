// make_corpus.cpp: writes the seeds of the fuzz target: small indexes, whole and damaged. To make them anew, from the
// root:
//   c++ -std=c++17 -I. tests/fuzz/make_corpus.cpp learnann.c++ -pthread -o build/make_corpus &&
//       build/make_corpus tests/fuzz/corpus
#include "../indexfile.hpp"

#include <cstdio>
#include <fstream>
#include <string>

using namespace testdata;

static std::string folder;
static size_t total = 0;

static void write(const std::string &name, const Memory &bytes) {
    std::ofstream out(folder + "/" + name, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!out) std::fprintf(stderr, "can't write %s\n", name.c_str());
    total += bytes.size();
}

static Memory make(uint64_t n, uint32_t dim, learnann_type type, learnann_metric metric, learnann_exact exact,
                   bool keys, bool calibrated, uint32_t code_bytes = 16) {
    const Rows rows = clustered(n, dim, type, 90), sample = clustered(8, dim, LEARNANN_F32, 91);
    std::vector<uint64_t> key(n);
    for (uint64_t i = 0; i < n; ++i) key[i] = 5 * (n - i);
    const learnann_vectors queries = sample.view();
    learnann_build_options options = build_options(metric, exact);
    options.code_bytes = code_bytes;
    options.degree = 4;
    if (calibrated) options.queries = &queries;
    Memory file;
    if (build(rows, options, keys ? key.data() : nullptr, file) != LEARNANN_OK)
        std::fprintf(stderr, "a build failed\n");
    return file;
}

int main(int argc, char **argv) {
    folder = argc > 1 ? argv[1] : "tests/fuzz/corpus";
    const Memory tiny = make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_AUTO, true, true);
    write("l2_f32_keys", tiny);
    write("ip_i8", make(20, 4, LEARNANN_I8, LEARNANN_IP, LEARNANN_EXACT_AUTO, false, false));
    write("cos_u8_tail", make(20, 4, LEARNANN_U8, LEARNANN_COS, LEARNANN_EXACT_AUTO, true, false));
    write("l2_f16", make(20, 7, LEARNANN_F16, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, true));
    write("l2_quantised", make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_U8, false, false));
    write("none", make(20, 4, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_NONE, false, false));
    write("one_row", make(1, 1, LEARNANN_F32, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, false));
    write("l2_levels", make(20, 100, LEARNANN_U8, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, false, 32));
    // Large enough to be walked.
    const Memory walked = make(260, 2, LEARNANN_U8, LEARNANN_L2, LEARNANN_EXACT_AUTO, false, true);
    write("walked", walked);

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
    damaged("unknown", tiny, [](IndexFile &f) { f.put(f.entry(kind_calibration), 12u); });
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
    Memory cut;
    cut.assign(tiny.data(), 64 + 32 * 3);
    write("bad_cut", cut);
    std::printf("%zu bytes\n", total);
    return 0;
}
