// corrupt_test.cpp: damaged files: truncated, with single bytes changed, and with each invariant of the format broken
// by itself behind repaired checksums. Opening refuses them, or verify names the invariant; searching them never
// crashes.
#include "indexfile.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace testdata;

namespace {

// An index with keys and calibration, large enough to be walked. `exact` chooses rows with or without a tail.
Memory make_index(learnann_exact exact = LEARNANN_EXACT_I8, learnann_metric metric = LEARNANN_L2, uint64_t n = 300) {
    const Rows rows = clustered(n, 6, LEARNANN_F32, 80), sample = clustered(30, 6, LEARNANN_F32, 81);
    std::vector<uint64_t> keys(n);
    for (uint64_t i = 0; i < n; ++i) keys[i] = 1000 + (i * 7) % n * 10;
    const learnann_vectors queries = sample.view();
    learnann_build_options options = build_options(metric, exact);
    options.code_bytes = 16;
    options.degree = 8;
    options.queries = &queries;
    Memory file;
    REQUIRE(build(rows, options, keys.data(), file) == LEARNANN_OK);
    return file;
}

// With layers: of 300 rows at a chance of a half.
Memory make_layered() {
    const Rows rows = clustered(300, 6, LEARNANN_F32, 84);
    learnann_build_options options = build_options();
    options.graph = LEARNANN_GRAPH_HNSW;
    options.degree = 5;
    Memory file;
    REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
    return file;
}

// In records of 32 bytes, of which 24 are divided among the dimensions.
Memory make_packed(uint32_t dim) {
    const Rows rows = clustered(300, dim, LEARNANN_F32, 82);
    learnann_build_options options = build_options(LEARNANN_L2, LEARNANN_EXACT_AUTO);
    options.code_bytes = 32;
    Memory file;
    REQUIRE(build(rows, options, nullptr, file) == LEARNANN_OK);
    return file;
}

struct Outcome {
    learnann_status open, verify = LEARNANN_OK;
    std::string message;
};

// Opens and verifies; searches where it opens.
Outcome look(const IndexFile &file) {
    Outcome o;
    learnann_index *index = nullptr;
    learnann_error error{};
    o.open = learnann_open_memory(file.bytes.data(), file.bytes.size(), nullptr, &index, &error);
    CHECK((index != nullptr) == (o.open == LEARNANN_OK));
    if (o.open == LEARNANN_OK) {
        o.verify = learnann_verify(index, &error);
        learnann_close(index);
        use_index(file.bytes.data(), file.bytes.size());
    }
    if (o.open != LEARNANN_OK || o.verify != LEARNANN_OK) {
        CHECK(error.status == (o.open != LEARNANN_OK ? o.open : o.verify));
        o.message = error.message ? error.message : "";
        CHECK((error.file_offset == LEARNANN_NO_OFFSET || error.file_offset <= file.bytes.size()));
    }
    return o;
}

bool sensible(learnann_status s) {
    return s == LEARNANN_NOT_LEARNANN || s == LEARNANN_TOO_NEW || s == LEARNANN_CORRUPT || s == LEARNANN_UNSUPPORTED;
}

// Refused at open for this invariant.
void check_refused(const IndexFile &file, const char *invariant, learnann_status status = LEARNANN_CORRUPT) {
    const Outcome o = look(file);
    CAPTURE(invariant);
    CAPTURE(o.message);
    CHECK(o.open == status);
    CHECK(o.message.rfind(std::string(invariant) + ":", 0) == 0);
}

// Opens, and verify names this invariant.
void check_found(const IndexFile &file, const char *invariant) {
    const Outcome o = look(file);
    CAPTURE(invariant);
    CAPTURE(o.message);
    CHECK(o.open == LEARNANN_OK);
    CHECK(o.verify == LEARNANN_CORRUPT);
    CHECK(o.message.rfind(std::string(invariant) + ":", 0) == 0);
}

// Sets a field of the about section, checksums right.
IndexFile with_about(const Memory &file, uint32_t field, uint32_t value) {
    IndexFile f(file);
    f.put(f.offset(kind_about) + field, value);
    f.repair(kind_about);
    f.repair_header();
    return f;
}
uint32_t bits_of(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    return bits;
}

// Moves section `kind` to the end of the file with other contents, checksums right.
IndexFile with_section(const Memory &file, uint32_t kind, uint64_t new_size) {
    IndexFile f(file);
    const uint64_t at = file.size(), end = (at + new_size + 63) / 64 * 64;
    Memory longer(end);
    std::memcpy(longer.data(), file.data(), file.size());
    std::memcpy(longer.data() + at, file.data() + f.offset(kind), std::min(new_size, f.size(kind)));
    const uint64_t entry = f.entry(kind);
    f.bytes = longer;
    f.put(entry + 8, at);
    f.put(entry + 16, new_size);
    f.put(24, end);
    f.repair_all();
    return f;
}

// A slot that is neither of these two nor the first one's neighbour.
uint32_t stranger(const IndexFile &f, uint32_t slot, uint32_t other) {
    for (uint32_t id = 0; id < f.rows(); ++id) {
        bool known = id == slot || id == other;
        for (uint32_t i = 0; i < f.degree(slot); ++i) known = known || f.neighbour(slot, i) == id;
        if (!known) return id;
    }
    FAIL("every row is a neighbour");
    return 0;
}

// A slot with at least that many neighbours.
uint32_t slot_with_degree(const IndexFile &f, uint32_t degree) {
    for (uint32_t slot = 0; slot < f.rows(); ++slot)
        if (f.degree(slot) >= degree) return slot;
    FAIL("no row has that many neighbours");
    return 0;
}

}  // namespace

TEST_CASE("the file under test is whole, and this test knows its layout") {
    for (const learnann_exact exact : {LEARNANN_EXACT_F32, LEARNANN_EXACT_I8, LEARNANN_EXACT_I4, LEARNANN_EXACT_BINARY, LEARNANN_EXACT_NONE}) {
        const Memory file = make_index(exact);
        IndexFile f(file);
        CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
        const Outcome o = look(f);
        CHECK(o.open == LEARNANN_OK);
        CHECK(o.verify == LEARNANN_OK);
        CHECK(f.rows() == 300);
        CHECK(f.about(about_dim) == 6);
        CHECK(f.about(about_record_bytes) == 16);
        CHECK(f.size(kind_about) == 136);
        CHECK(f.has(kind_keys));
        CHECK(f.has(kind_calibration));
        CHECK(f.has(kind_exact) == (exact != LEARNANN_EXACT_NONE));
        f.repair_all();
        CHECK(f.bytes == file);     // the checksums were right, and this file's CRC is the library's
    }
}

TEST_CASE("truncated at every byte of header and table and at every edge of a section") {
    const Memory file = make_index();
    const IndexFile whole(file);
    std::vector<uint64_t> sizes;
    for (uint64_t size = 0; size <= whole.table_end() + 64; ++size) sizes.push_back(size);
    for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind)
        for (const uint64_t edge : {whole.offset(kind), whole.offset(kind) + whole.size(kind)})
            for (uint64_t size = edge - 1; size <= edge + 1; ++size)
                if (size < file.size()) sizes.push_back(size);
    sizes.push_back(file.size() - 1);
    for (const uint64_t size : sizes) {
        CAPTURE(size);
        IndexFile f(file);
        f.bytes.assign(file.data(), size);
        CHECK(look(f).open == (size < 8 ? LEARNANN_NOT_LEARNANN : LEARNANN_CORRUPT));
        // The header says what is there: what is missing is still missed, but for the zeroes at the end.
        f.repair_opening();
        const Outcome o = look(f);
        uint64_t used = 0;
        for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind)
            used = std::max(used, whole.offset(kind) + whole.size(kind));
        if (size < used) CHECK(sensible(o.open));
    }
    // Longer than the header says.
    IndexFile longer(file);
    longer.bytes.resize(file.size() + 64);
    std::memcpy(longer.bytes.data(), file.data(), file.size());
    check_refused(longer, "F2");
}

TEST_CASE("any changed byte is noticed: at open in header, table, about and calibration, else by verify") {
    const Memory file = make_index();
    const IndexFile whole(file);
    const auto at_open = [&](uint64_t at) {
        const auto in = [&](uint32_t kind) {
            return at >= whole.offset(kind) && at < whole.offset(kind) + whole.size(kind);
        };
        return at < whole.table_end() || in(kind_about) || in(kind_calibration);
    };
    Random random(82);
    size_t unnoticed = 0, late = 0;
    for (uint64_t at = 0; at < file.size(); at += at_open(at) ? 1 : 1 + random.below(30)) {
        IndexFile f(file);
        f.bytes.data()[at] ^= static_cast<uint8_t>(1u << random.below(8));
        learnann_index *index = nullptr;
        const learnann_status status = learnann_open_memory(f.bytes.data(), f.bytes.size(), nullptr, &index, nullptr);
        late += at_open(at) && status == LEARNANN_OK;
        if (status == LEARNANN_OK) {
            unnoticed += learnann_verify(index, nullptr) != LEARNANN_CORRUPT;
            if (at % 16 == 0) use_index(f.bytes.data(), f.bytes.size());
        } else {
            late += !sensible(status);
        }
        learnann_close(index);
    }
    CHECK(late == 0);
    CHECK(unnoticed == 0);
}

TEST_CASE(
    "every byte of header, table, about and calibration changed behind right checksums: no crash, a sensible status") {
    for (const learnann_exact exact : {LEARNANN_EXACT_I8, LEARNANN_EXACT_NONE}) {
        const Memory file = make_index(exact);
        const IndexFile whole(file);
        std::vector<uint64_t> places;
        for (uint64_t at = 8; at < whole.table_end(); ++at)
            if (at < 32 || at >= 36) places.push_back(at);
        for (const uint32_t kind : {kind_about, kind_calibration})
            for (uint64_t i = 0; i < whole.size(kind); ++i) places.push_back(whole.offset(kind) + i);
        size_t senseless = 0;
        for (const uint64_t at : places) {
            const uint8_t old = file.data()[at];
            for (const int value : {0, 1, 0x7f, 0x80, 0xff, old ^ 1, old ^ 4, old ^ 0x40, old + 1, old - 1}) {
                IndexFile f(file);
                f.bytes.data()[at] = static_cast<uint8_t>(value);
                f.repair_all();
                learnann_index *index = nullptr;
                const learnann_status status =
                    learnann_open_memory(f.bytes.data(), f.bytes.size(), nullptr, &index, nullptr);
                if (status != LEARNANN_OK) {
                    senseless += !sensible(status);
                    continue;
                }
                const learnann_status verified = learnann_verify(index, nullptr);
                senseless += verified != LEARNANN_OK && verified != LEARNANN_CORRUPT;
                learnann_close(index);
                use_index(f.bytes.data(), f.bytes.size());
            }
        }
        CHECK(senseless == 0);
    }
}

TEST_CASE("random damage anywhere behind right checksums: no crash") {
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
        const Memory file = make_index(metric == LEARNANN_IP ? LEARNANN_EXACT_F32 : LEARNANN_EXACT_I8, metric);
        Random random(83 + static_cast<uint64_t>(metric));
        for (int round = 0; round < 300; ++round) {
            IndexFile f(file);
            const uint32_t kind = kind_about + random.below(kind_calibration);
            for (uint32_t changes = 1 + random.below(20); changes > 0; --changes) {
                const uint64_t at = f.offset(kind) + random.next() % f.size(kind);
                f.bytes.data()[at] = static_cast<uint8_t>(round % 3 == 0 ? 0xff : random.next());
            }
            f.repair_all();
            use_index(f.bytes.data(), f.bytes.size());
        }
    }
}

// ---- one test for each invariant ----

TEST_CASE("F1: magic, versions, checksum of the header") {
    const Memory file = make_index();
    IndexFile f(file);
    f.bytes.data()[0] = 'l';
    f.repair_header();
    CHECK(look(f).open == LEARNANN_NOT_LEARNANN);
    f = IndexFile(file);
    f.put(16, 4u);      // readers of version 4 and up
    f.put(12, 4u);
    f.repair_header();
    CHECK(look(f).open == LEARNANN_TOO_NEW);
    f = IndexFile(file);
    f.put(12, 7u);      // a newer writer whose files this reader still understands
    f.repair_header();
    CHECK(look(f).open == LEARNANN_OK);
    f = IndexFile(file);
    f.put(16, 0u);
    f.repair_header();
    check_refused(f, "F1");
    for (const uint32_t sections : {0u, 65u, UINT32_MAX}) {
        f = IndexFile(file);
        f.put(20, sections);
        check_refused(f, "F1");
    }
    f = IndexFile(file);
    f.put(32, f.get<uint32_t>(32) ^ 1);
    check_refused(f, "F1");
}

TEST_CASE("F2: the length of the file") {
    const Memory file = make_index();
    const uint64_t end = file.size();
    for (const uint64_t length : {uint64_t(0), end - 1, end + 1, UINT64_MAX}) {
        IndexFile f(file);
        f.put(24, length);
        f.repair_header();
        check_refused(f, "F2");
    }
}

TEST_CASE("F3: sections lie within the file, aligned, each kind once") {
    const Memory file = make_index();
    const IndexFile whole(file);
    const uint64_t end = file.size();
    for (const uint64_t offset :
         {uint64_t(0), uint64_t(64), whole.offset(kind_records) + 4, end, end + 64, UINT64_MAX - 63}) {
        IndexFile f(file);
        f.put(f.entry(kind_records) + 8, offset);
        f.repair_header();
        check_refused(f, "F3");
    }
    for (const uint64_t size : {end, UINT64_MAX, UINT64_MAX - whole.offset(kind_records) + 1}) {
        IndexFile f(file);
        f.put(f.entry(kind_records) + 16, size);
        f.repair_header();
        check_refused(f, "F3");
    }
    IndexFile f(file);
    f.put(f.entry(kind_calibration), uint32_t(kind_keys));
    f.repair_header();
    check_refused(f, "F3");
}

TEST_CASE("F4: an unknown kind is refused where it is required, and skipped where not") {
    const Memory file = make_index();
    for (const uint32_t kind : {0u, 13u, 31u, UINT32_MAX}) {
        IndexFile f(file);
        const uint64_t entry = f.entry(kind_calibration);
        f.put(entry, kind);
        f.put(entry + 4, 1u);
        f.repair_header();
        check_refused(f, "F4", LEARNANN_TOO_NEW);
        f.put(entry + 4, 0u);
        f.repair_header();
        const Outcome o = look(f);
        CHECK(o.open == LEARNANN_OK);
        CHECK(o.verify == LEARNANN_OK);
    }
}

TEST_CASE("F5: sections 1 to 7 are there, and the about section's values are in range") {
    const Memory file = make_index(), plain = make_index(LEARNANN_EXACT_F32);
    for (uint32_t kind = kind_about; kind <= kind_slot_of_row; ++kind) {
        IndexFile f(file);
        const uint64_t entry = f.entry(kind);
        f.put(entry, 20u);
        f.put(entry + 4, 0u);
        f.repair_header();
        check_refused(f, "F5");
    }
    for (const uint32_t kind : {kind_keys, kind_key_order, kind_exact}) {
        IndexFile f(file);
        const uint64_t entry = f.entry(kind);
        f.put(entry, 20u);
        f.put(entry + 4, 0u);
        f.repair_header();
        check_refused(f, "F5");
    }
    const uint32_t nan = bits_of(std::numeric_limits<float>::quiet_NaN()),
                   inf = bits_of(std::numeric_limits<float>::infinity());
    const struct {
        uint32_t field, value;
    } wrong[] = {{about_rows, 0},
                 {about_rows + 4, 1},
                 {about_rows, UINT32_MAX},
                 {about_dim, 0},
                 {about_dim, 65536},
                 {about_metric, 0},
                 {about_metric, 4},
                 {about_input_type, 0},
                 {about_input_type, 5},
                 {about_exact_type, 5},
                 {about_exact_type, LEARNANN_EXACT_I4},
                 {about_exact_type, 9},
                 {about_exact_type, 0},
                 {about_exact_tail, 2},
                 {about_exact_stride, 0},
                 {about_exact_stride, 1},
                 {about_code_dim, 0},
                 {about_code_dim, 9},
                 {about_record_bytes, 0},
                 {about_record_bytes, 8},
                 {about_record_bytes, 24},
                 {about_record_bytes, 1040},
                 {about_entries, 0},
                 {about_entries, 301},
                 {about_entry_group, 0},
                 {about_entry_group, 301},
                 {about_max_degree, 256},
                 {about_norm_left, 8},
                 {about_nibbles_at, 0},
                 {about_nibbles_at, 8},
                 {about_nibbles_at, 32},
                 {about_nibble_shift, 1},
                 {about_crumbs_at, 0},
                 {about_crumbs_at, 12},
                 {about_crumbs_at, 20},
                 {about_crumb_shift, 1},
                 {about_graph, LEARNANN_GRAPH_GIVEN},     // in files of version 3 only
                 {about_graph, 7},
                 {about_code_step, 0},
                 {about_code_step, nan},
                 {about_code_step, inf},
                 {about_code_step, bits_of(-1)},
                 {about_residual_unit, 0},
                 {about_residual_unit, nan},
                 {about_residual_weight, nan},
                 {about_residual_weight, bits_of(2.5f)},
                 {about_horizon, 0},
                 {about_horizon, inf},
                 {about_code_recall, nan},
                 {about_code_recall, bits_of(1.5f)}};
    for (const Memory *m : {&file, &plain})
        for (const auto &w : wrong) {
            CAPTURE(w.field);
            CAPTURE(w.value);
            check_refused(with_about(*m, w.field, w.value), "F5");
        }
}

TEST_CASE("F5: refined exact rows have no ExactTail, a stride of their own, and need version 2") {
    const Memory file = make_index(LEARNANN_EXACT_I2);
    IndexFile f(file);
    CHECK(f.get<uint32_t>(12) == 2);
    CHECK(f.get<uint32_t>(16) == 2);
    CHECK(f.about(about_exact_stride) == 4 + 8);
    check_refused(with_about(file, about_exact_tail, 1), "F5");
    for (const uint32_t stride : {0u, 8u, 10u, 16u}) check_refused(with_about(file, about_exact_stride, stride), "F5");
    for (const uint32_t type : {5u, 9u, 1u}) check_refused(with_about(file, about_exact_type, type), "F5");
    f.put(12, 1u);
    f.put(16, 1u);
    f.repair_header();
    check_refused(f, "F5");
    f = IndexFile(make_index());        // others are left to readers of version 1
    CHECK(f.get<uint32_t>(12) == 1);
    CHECK(f.get<uint32_t>(16) == 1);
}

TEST_CASE("F20: refined rows: scale and norm, and levels behind the last dimension") {
    const Memory file = make_index(LEARNANN_EXACT_BINARY);
    const IndexFile whole(file);
    const uint64_t stride = whole.about(about_exact_stride), row = whole.offset(kind_exact) + stride * 123;
    REQUIRE(stride == 4 + 8);
    for (const uint64_t field : {0u, 4u}) {
        IndexFile f(file);
        f.put(row + 4 + field, bits_of(-0.5f));
        f.repair_all();
        check_found(f, "F20");
        f.put(row + 4 + field, bits_of(std::numeric_limits<float>::quiet_NaN()));
        f.repair_all();
        check_found(f, "F17");
    }
    for (const uint32_t bit : {6u, 7u}) {       // of 6 dimensions
        IndexFile f(file);
        f.put(row, static_cast<uint8_t>(f.get<uint8_t>(row) | 1u << bit));
        f.repair_all();
        check_found(f, "F20");
    }
}

TEST_CASE("F6: the lengths of sections") {
    const Memory file = make_index();
    const IndexFile whole(file);
    for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind) {
        if (kind == kind_adjacency) continue;
        CAPTURE(kind);
        for (const int64_t by : {-8, -1, 1, 8})
            check_refused(with_section(file, kind, whole.size(kind) + static_cast<uint64_t>(by)), "F6");
    }
    check_refused(with_section(file, kind_adjacency, 256), "F6");       // below a byte a row
    for (const int64_t by : {-4, 4, 32})
        check_refused(with_section(file, kind_adjacency, whole.size(kind_adjacency) + static_cast<uint64_t>(by)), "F6");
    check_refused(with_section(file, kind_calibration, 4096 + 16), "F6");
}

TEST_CASE("F6: lengths that are right in their lower 32 bits only") {
    const Memory file = make_index(LEARNANN_EXACT_F32);
    for (const uint64_t more : {1ull << 28, 1ull << 30, 3ull << 30}) {
        IndexFile f(file);
        const uint64_t rows = f.rows() + more;
        REQUIRE(static_cast<uint32_t>(rows * f.about(about_record_bytes)) == f.size(kind_records));
        f.put(f.offset(kind_about) + about_rows, rows);
        f.repair(kind_about);
        f.repair_header();
        check_refused(f, "F6");
    }
}

TEST_CASE("F7: the checksums of sections") {
    const Memory file = make_index();
    for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind) {
        CAPTURE(kind);
        IndexFile f(file);
        f.put(f.entry(kind) + 24, f.get<uint32_t>(f.entry(kind) + 24) ^ 0x80000000u);
        f.repair_header();
        if (kind == kind_about || kind == kind_calibration) check_refused(f, "F7");
        else check_found(f, "F7");
    }
}

TEST_CASE("F8: codes are not 0, and 128 behind the last dimension") {
    const Memory file = make_packed(22);
    IndexFile f(file);
    REQUIRE(f.about(about_code_dim) == 22);
    f.put(f.record(17) + 2, uint8_t(0));
    f.repair_all();
    check_found(f, "F8");
    f = IndexFile(file);
    f.put(f.record(299) + 23, uint8_t(129));
    f.repair_all();
    check_found(f, "F8");
}

TEST_CASE("F5: nibbles and crumbs") {
    const Memory file = make_packed(100);
    const IndexFile whole(file);
    const uint32_t nibbles_at = whole.about(about_nibbles_at), crumbs_at = whole.about(about_crumbs_at);
    REQUIRE(whole.about(about_record_bytes) == 32);
    REQUIRE(nibbles_at < crumbs_at);
    REQUIRE(crumbs_at < 24);
    CHECK(look(whole).verify == LEARNANN_OK);
    check_refused(with_about(file, about_code_dim, nibbles_at + 2 * (crumbs_at - nibbles_at) + 4 * (24 - crumbs_at) + 1), "F5");
    for (const uint32_t at : {nibbles_at + 2, crumbs_at + 4, 36u}) check_refused(with_about(file, about_nibbles_at, at), "F5");
    for (const uint32_t at : {crumbs_at + 2, nibbles_at - 4, nibbles_at, 32u, 36u, 0xfffffffcu})
        check_refused(with_about(file, about_crumbs_at, at), "F5");
    for (const uint32_t shift : {0u, 5u}) check_refused(with_about(file, about_nibble_shift, shift), "F5");
    for (const uint32_t shift : {0u, 7u}) check_refused(with_about(file, about_crumb_shift, shift), "F5");
}

TEST_CASE("F8: bytes, nibbles and crumbs") {
    for (const uint32_t dim : {30u, 31u, 37u, 100u}) {
        const Memory file = make_packed(dim);
        const IndexFile whole(file);
        const uint32_t dims = whole.about(about_code_dim), bytes = whole.about(about_nibbles_at);
        const uint32_t crumbs_at = std::min(24u, whole.about(about_crumbs_at));
        IndexFile f(file);
        f.put(f.record(7) + 3, uint8_t(0));
        f.repair_all();
        check_found(f, "F8");
        // Each level that is no dimension's.
        uint32_t level_dim = bytes;
        const auto fill = [&](uint32_t begin, uint32_t end, std::initializer_list<uint32_t> bits) {
            for (const uint32_t bit : bits)
                for (uint32_t at = begin; at < end; ++at, ++level_dim) {
                    if (level_dim < dims) continue;
                    IndexFile g(file);
                    g.put(g.record(7) + at, static_cast<uint8_t>(g.get<uint8_t>(g.record(7) + at) | 1u << bit));
                    g.repair_all();
                    check_found(g, "F8");
                }
        };
        fill(bytes, crumbs_at, {0, 4});
        fill(crumbs_at, 24, {0, 4, 2, 6});
    }
}

TEST_CASE("F9: adjacency within its section, degrees up to max_degree, as many edges as promised") {
    const Memory file = make_index();
    const IndexFile whole(file);
    for (const uint32_t at : {static_cast<uint32_t>(whole.size(kind_adjacency) / 4), 0x40000000u, UINT32_MAX}) {
        IndexFile f(file);
        f.put(f.record(5) + 12, at);
        f.repair_all();
        check_found(f, "F9");
    }
    IndexFile f(file);      // a block that begins inside and ends outside
    uint32_t last = 0;
    for (uint32_t slot = 1; slot < 300; ++slot)
        if (f.block(slot) > f.block(last)) last = slot;
    f.put(f.block(last), uint8_t(255));
    f.repair_all();
    check_found(f, "F9");
    f = with_about(file, about_max_degree, whole.about(about_max_degree) - 1);
    check_found(f, "F9");
    f = with_about(file, about_edges, whole.about(about_edges) + 1);
    check_found(f, "F9");
    f = with_about(file, about_fingerprint, whole.about(about_fingerprint) + 1);
    check_found(f, "F9");
}

TEST_CASE("F10: neighbours and entries are slots, and no slot is its own neighbour") {
    const Memory file = make_index();
    for (const uint32_t id : {300u, UINT32_MAX, 0x8000012cu}) {     // of a neighbour, the lower 9 bits
        IndexFile f(file);
        const uint32_t slot = slot_with_degree(f, 2);
        f.put_neighbour(slot, 1, id);
        f.repair_all();
        check_found(f, "F10");
        f = IndexFile(file);
        f.put(f.offset(kind_entries) + f.about(about_entries) * 16ull, id);
        f.repair_all();
        check_found(f, "F10");
    }
    IndexFile f(file);
    const uint32_t slot = slot_with_degree(f, 2);
    f.put_neighbour(slot, 0, slot);
    f.repair_all();
    check_found(f, "F10");
    // Every id of every list wrong: searches still answer, by a scan.
    f = IndexFile(file);
    for (uint32_t s = 0; s < 300; ++s)
        for (uint32_t i = 0; i < f.degree(s); ++i) f.put_neighbour(s, i, 300 + i);
    f.repair_all();
    check_found(f, "F10");
    Index index{f.bytes};
    REQUIRE(index.status == LEARNANN_OK);
    const Rows rows = clustered(1, 6, LEARNANN_F32, 84);
    learnann_search_stats stats = learnann_search_stats_default();
    CHECK(index.search(rows.one(0), 100, 1, nullptr, &stats).size() == 100);
    CHECK(stats.bad_ids > 0);
}

TEST_CASE("F11: no neighbour twice") {
    const Memory file = make_index();
    IndexFile f(file);
    const uint32_t slot = slot_with_degree(f, 3);
    f.put_neighbour(slot, 2, f.neighbour(slot, 0));
    f.repair_all();
    check_found(f, "F11");
}

TEST_CASE("F12: row of slot and slot of row are inverses") {
    const Memory file = make_index();
    for (const uint32_t kind : {kind_row_of_slot, kind_slot_of_row}) {
        IndexFile f(file);
        const uint64_t at = f.offset(kind);
        f.put(at, f.get<uint32_t>(at + 4));     // twice the same
        f.repair_all();
        check_found(f, "F12");
        f.put(at, 300u);
        f.repair_all();
        check_found(f, "F12");
        f.put(at, UINT32_MAX);
        f.repair_all();
        check_found(f, "F12");
    }
}

TEST_CASE("F13: the key order sorts the keys") {
    const Memory file = make_index();
    IndexFile f(file);
    const uint64_t at = f.offset(kind_key_order);
    const uint32_t first = f.get<uint32_t>(at), second = f.get<uint32_t>(at + 4);
    f.put(at, second);
    f.put(at + 4, first);
    f.repair_all();
    check_found(f, "F13");
    f = IndexFile(file);
    f.put(at + 4, first);       // twice the same row
    f.repair_all();
    check_found(f, "F13");
    f = IndexFile(file);
    f.put(at + 40, 300u);
    f.repair_all();
    check_found(f, "F13");
    f = IndexFile(file);        // equal keys, rows descending
    const uint32_t low = std::min(first, second), high = std::max(first, second);
    f.put(f.offset(kind_keys) + 8ull * first, uint64_t(0));
    f.put(f.offset(kind_keys) + 8ull * second, uint64_t(0));
    f.put(at, high);
    f.put(at + 4, low);
    f.repair_all();
    check_found(f, "F13");
}

TEST_CASE("F14: every slot is reachable") {
    const Memory file = make_index();
    IndexFile f(file);
    // A row that is no entry loses all edges that lead to it: they lead to another neighbour instead.
    const uint32_t entries = f.about(about_entries);
    const auto is_entry = [&](uint32_t slot) {
        for (uint32_t i = 0; i < entries; ++i)
            if (f.get<uint32_t>(f.offset(kind_entries) + 16ull * entries + 4ull * i) == slot) return true;
        return false;
    };
    uint32_t lost = 0;
    while (is_entry(lost)) ++lost;
    for (uint32_t slot = 0; slot < 300; ++slot)
        for (uint32_t i = 0; i < f.degree(slot); ++i)
            if (f.neighbour(slot, i) == lost) f.put_neighbour(slot, i, stranger(f, slot, lost));
    f.repair_all();
    check_found(f, "F14");
}

TEST_CASE("F15: records of entries are copies") {
    IndexFile f(make_index());
    const uint64_t at = f.offset(kind_entries);
    f.put(at, static_cast<uint8_t>(f.get<uint8_t>(at) == 7 ? 8 : 7));
    f.repair_all();
    check_found(f, "F15");
}

TEST_CASE("F16: calibration points in order and in range") {
    const Memory file = make_index();
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const auto with_point = [&](uint32_t k, uint32_t effort, float recall) {
        IndexFile f(file);
        const uint64_t at = f.offset(kind_calibration);
        f.put(at, k);
        f.put(at + 4, effort);
        f.put(at + 8, recall);
        f.repair_all();
        return f;
    };
    check_found(with_point(0, 5, 0.1f), "F16");
    check_found(with_point(1000000, 5, 0.1f), "F16");
    check_found(with_point(1, 0, 0.1f), "F16");
    check_found(with_point(1, UINT32_MAX, 0.1f), "F16");
    for (const float recall : {-0.5f, 1.5f, nan, inf, -inf}) check_found(with_point(1, 1, recall), "F16");
    for (const float recall : {nan, inf, -inf})
        for (const uint32_t effort : {0u, UINT32_MAX}) check_found(with_point(10, effort, recall), "F16");
    for (const float margin : {-1.0f, nan, -inf}) {
        IndexFile f(file);
        f.put(f.offset(kind_calibration) + 12, margin);
        f.repair_all();
        check_found(f, "F16");
    }
}

TEST_CASE("F19: the projection's matrix and scales") {
    const Memory file = make_index();
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const IndexFile right(file);
    const uint64_t m = right.about(about_code_dim), units = right.offset(kind_projection) + m * 64;    // dim is below 64
    REQUIRE(right.about(about_dim) <= 64);
    const auto with = [&](uint64_t at, float value) {
        IndexFile f(file);
        f.put(at, value);
        f.repair_all();
        return f;
    };
    for (const float value : {nan, inf, -inf, 0.0f, -1.0f}) check_found(with(units + 4 * (m - 1), value), "F19");
    for (const float value : {nan, inf}) {
        check_found(with(units + 4 * m, value), "F19");         // the first value of the mean
    }
    // -128, by which instruction sets multiply differently: found by fuzzing them against each other.
    for (const uint64_t at : {right.offset(kind_projection), units - 1}) {
        IndexFile f(file);
        f.put(at, uint8_t(0));
        f.repair_all();
        check_found(f, "F19");
    }
}

TEST_CASE("F17: exact rows are finite") {
    const uint32_t nan = bits_of(std::numeric_limits<float>::quiet_NaN()),
                   inf = bits_of(std::numeric_limits<float>::infinity());
    const Memory plain = make_index(LEARNANN_EXACT_F32), tailed = make_index(LEARNANN_EXACT_I8);
    const Memory half = make_index(LEARNANN_EXACT_F16);
    for (const uint32_t value : {nan, inf, inf | 0x80000000u}) {
        IndexFile f(plain);
        f.put(f.offset(kind_exact) + 24 * 100 + 8, value);
        f.repair_all();
        check_found(f, "F17");
        const uint32_t stride = IndexFile(tailed).about(about_exact_stride);
        for (uint32_t field = 0; field < 3; ++field) {
            f = IndexFile(tailed);
            f.put(f.offset(kind_exact) + stride * 101ull - 12 + 4 * field, value);
            f.repair_all();
            check_found(f, "F17");
        }
        f = IndexFile(half);
        f.put(f.offset(kind_exact) + 12 * 299 + 10, static_cast<uint16_t>(value == nan ? 0x7e00 : 0xfc00));
        f.repair_all();
        check_found(f, "F17");
    }
}

TEST_CASE("F18: bytes between sections are 0") {
    const Memory file = make_index();
    const IndexFile whole(file);
    std::vector<char> used(file.size(), 0);
    std::fill(used.begin(), used.begin() + static_cast<ptrdiff_t>(whole.table_end()), 1);
    for (uint32_t kind = kind_about; kind <= kind_calibration; ++kind)
        std::fill_n(used.begin() + static_cast<ptrdiff_t>(whole.offset(kind)), whole.size(kind), 1);
    size_t gaps = 0;
    for (uint64_t at = 0; at < file.size(); ++at) {
        if (used[at]) continue;
        ++gaps;
        IndexFile f(file);
        f.put(at, uint8_t(1));
        learnann_index *index = nullptr;
        learnann_error error{};
        REQUIRE(learnann_open_memory(f.bytes.data(), f.bytes.size(), nullptr, &index, nullptr) == LEARNANN_OK);
        CHECK(learnann_verify(index, &error) == LEARNANN_CORRUPT);
        CHECK(std::string(error.message).rfind("F18:", 0) == 0);
        CHECK(error.file_offset == at);
        CHECK(error.place == LEARNANN_AT_BYTE);
        learnann_close(index);
    }
    CHECK(gaps > 50);
}

TEST_CASE("F21: layers where the graph has some, and of sizes that make sense") {
    const Memory file = make_layered(), flat = make_index();
    const IndexFile whole(file);
    const uint64_t at = whole.offset(kind_layers);
    const uint32_t count = whole.get<uint32_t>(at), top = whole.get<uint32_t>(at + 8), lowest = whole.get<uint32_t>(at + 4 + 4ull * count);
    REQUIRE(look(whole).verify == LEARNANN_OK);
    REQUIRE(count >= 4);
    REQUIRE(top < lowest);
    REQUIRE(lowest > 100);
    check_refused(with_about(file, about_graph, LEARNANN_GRAPH_NSW), "F21");
    check_refused(with_about(flat, about_graph, LEARNANN_GRAPH_HNSW), "F21");
    const auto with_head = [&](uint32_t word, uint32_t value) {
        IndexFile f(file);
        f.put(at + 4ull * word, value);
        f.repair_all();
        return f;
    };
    for (const uint32_t value : {0u, 15u, UINT32_MAX}) check_refused(with_head(0, value), "F21");
    for (const uint32_t value : {0u, 256u, UINT32_MAX}) check_refused(with_head(1, value), "F21");
    check_refused(with_head(2, 0), "F21");                      // the top layer is empty
    check_refused(with_head(2, lowest + 1), "F21");             // larger than the one below it
    check_refused(with_head(1 + count, 301), "F21");            // more nodes than rows
    check_refused(with_head(2 + count, 1), "F21");              // a size behind the last
    // Sizes that make sense, of a section of another length.
    check_refused(with_head(1, 3), "F6");
    check_refused(with_head(1 + count, lowest + 1), "F6");
    for (const uint64_t size : {uint64_t(0), uint64_t(63), whole.size(kind_layers) - 4, whole.size(kind_layers) + 4})
        check_refused(with_section(file, kind_layers, size), "F6");
}

TEST_CASE("F22: nodes and neighbours of the layers") {
    const Memory file = make_layered();
    const IndexFile whole(file);
    const uint64_t head = whole.offset(kind_layers), slots = head + 64;
    const uint32_t count = whole.get<uint32_t>(head), degree = whole.get<uint32_t>(head + 4), top = whole.get<uint32_t>(head + 8),
                   all = whole.get<uint32_t>(head + 4 + 4ull * count);
    REQUIRE(degree == 2);
    const uint64_t lowest = head + whole.size(kind_layers) - 12ull * all;     // blocks of the lowest layer of these
    const auto with = [&](uint64_t place, uint32_t value) {
        IndexFile f(file);
        f.put(place, value);
        f.repair_all();
        return f;
    };
    check_found(with(slots + 40, 300u), "F22");
    check_found(with(slots + 40, UINT32_MAX), "F22");
    check_found(with(slots + 40, whole.get<uint32_t>(slots + 44)), "F22");      // twice
    check_found(with(slots, whole.get<uint32_t>(head + 64 + 4ull * (all - 1))), "F22");      // the first is not the entry
    uint32_t full = 0, single = 0;
    while (full < all && whole.get<uint32_t>(lowest + 12ull * full) != 2) ++full;
    while (single < all && whole.get<uint32_t>(lowest + 12ull * single) != 1) ++single;
    REQUIRE(full < all);
    const uint64_t block = lowest + 12ull * full;
    check_found(with(block, 3u), "F22");
    check_found(with(block, UINT32_MAX), "F22");
    check_found(with(block + 4, all), "F22");           // no node
    check_found(with(block + 4, full), "F22");          // itself
    check_found(with(block + 4, whole.get<uint32_t>(block + 8)), "F22");       // twice
    if (single < all) check_found(with(lowest + 12ull * single + 8, 1u), "F22");      // behind the last
    check_found(with(slots + 4ull * all + 4, top), "F22");      // a node of a lower layer in the top one
}

TEST_CASE("random damage to the layers behind right checksums: no crash") {
    const Memory file = make_layered();
    Random random(85);
    for (int round = 0; round < 500; ++round) {
        IndexFile f(file);
        for (uint32_t changes = 1 + random.below(20); changes > 0; --changes) {
            const uint64_t past = round % 2 ? 64 : 0, at = f.offset(kind_layers) + past + random.next() % (f.size(kind_layers) - past);
            f.bytes.data()[at] = static_cast<uint8_t>(round % 3 == 0 ? 0xff : random.next());
        }
        f.repair_all();
        use_index(f.bytes.data(), f.bytes.size());
    }
}
