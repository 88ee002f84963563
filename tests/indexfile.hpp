// indexfile.hpp: the file format as seen from outside, for tests that damage files: own offsets, own CRC32C. The truth
// is src/format/format.hpp; nothing of it is included here, so that a change of the format that was not meant is seen.
#pragma once

#include "testdata.hpp"

namespace testdata {

inline uint32_t crc32c(uint32_t crc, const void *bytes, uint64_t size) {
    static const std::vector<uint32_t> table = [] {
        std::vector<uint32_t> t(256);
        for (uint32_t i = 0; i < 256; ++i) {
            t[i] = i;
            for (int bit = 0; bit < 8; ++bit) t[i] = t[i] >> 1 ^ (t[i] & 1 ? 0x82f63b78u : 0);
        }
        return t;
    }();
    const uint8_t *p = static_cast<const uint8_t *>(bytes);
    crc = ~crc;
    for (uint64_t i = 0; i < size; ++i) crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

enum Kind : uint32_t {
    kind_about = 1,
    kind_projection,
    kind_records,
    kind_adjacency,
    kind_entries,
    kind_row_of_slot,
    kind_slot_of_row,
    kind_keys,
    kind_key_order,
    kind_exact,
    kind_calibration,
    kind_layers
};

// Offsets within the about section.
enum AboutField : uint32_t {
    about_rows = 0,
    about_edges = 8,
    about_fingerprint = 24,
    about_dim = 32,
    about_metric = 36,
    about_input_type = 40,
    about_exact_type = 44,
    about_exact_tail = 48,
    about_exact_stride = 52,
    about_code_dim = 56,
    about_record_bytes = 60,
    about_entries = 64,
    about_max_degree = 68,
    about_norm_left = 72,
    about_code_step = 76,
    about_residual_unit = 80,
    about_residual_weight = 84,
    about_horizon = 88,
    about_code_recall = 92,
    about_entry_group = 96,
    about_nibbles_at = 100,
    about_nibble_shift = 104,
    about_crumbs_at = 108,
    about_crumb_shift = 112,
    about_graph = 116
};

// The bytes of an index, to be changed. Every access is checked: the bytes may be anything.
class IndexFile {
public:
    Memory bytes;

    explicit IndexFile(const Memory &b) : bytes(b) {}

    template <class T> T get(uint64_t at) const {
        T v{};
        if (at <= bytes.size() && bytes.size() - at >= sizeof v) std::memcpy(&v, bytes.data() + at, sizeof v);
        return v;
    }
    template <class T> void put(uint64_t at, T v) {
        if (at <= bytes.size() && bytes.size() - at >= sizeof v) std::memcpy(bytes.data() + at, &v, sizeof v);
    }

    uint32_t sections() const { return get<uint32_t>(20); }
    uint64_t table_end() const { return 64 + 32ull * sections(); }
    // Where the entry of a kind lies in the table; 0 where there is none.
    uint64_t entry(uint32_t kind) const {
        for (uint64_t i = 0; i < sections() && i < 64; ++i)
            if (get<uint32_t>(64 + 32 * i) == kind && 64 + 32 * (i + 1) <= bytes.size()) return 64 + 32 * i;
        return 0;
    }
    bool has(uint32_t kind) const { return entry(kind) != 0; }
    uint64_t offset(uint32_t kind) const { return get<uint64_t>(entry(kind) + 8); }
    uint64_t size(uint32_t kind) const { return get<uint64_t>(entry(kind) + 16); }
    bool inside(uint32_t kind) const {
        return has(kind) && offset(kind) <= bytes.size() && size(kind) <= bytes.size() - offset(kind);
    }
    uint32_t about(uint32_t field) const { return get<uint32_t>(offset(kind_about) + field); }
    uint32_t rows() const { return about(about_rows); }
    uint64_t record(uint32_t slot) const {
        return offset(kind_records) + static_cast<uint64_t>(slot) * about(about_record_bytes);
    }
    uint64_t block(uint32_t slot) const {       // the slot's adjacency
        return offset(kind_adjacency) + 4ull * get<uint32_t>(record(slot) + about(about_record_bytes) - 4);
    }

    uint32_t degree(uint32_t slot) const { return get<uint8_t>(block(slot)); }
    uint32_t id_bits() const {
        uint32_t bits = 1;
        while (bits < 32 && (rows() - 1) >> bits) ++bits;
        return bits <= 25 ? bits : 32;
    }
    uint32_t neighbour(uint32_t slot, uint32_t i) const {
        uint32_t id = 0;
        for (uint64_t b = 0; b < id_bits(); ++b) {
            const uint64_t bit = i * uint64_t{id_bits()} + b;
            id |= uint32_t{get<uint8_t>(block(slot) + 1 + bit / 8)} >> bit % 8 << 31 >> (31 - b);
        }
        return id;
    }
    // The lower bits of id.
    void put_neighbour(uint32_t slot, uint32_t i, uint32_t id) {
        for (uint64_t b = 0; b < id_bits(); ++b) {
            const uint64_t bit = i * uint64_t{id_bits()} + b, at = block(slot) + 1 + bit / 8;
            const uint32_t others = get<uint8_t>(at) & ~(1u << bit % 8);
            put(at, static_cast<uint8_t>(others | (id >> b & 1) << bit % 8));
        }
    }

    // The checksums of one section, and of header and table.
    void repair(uint32_t kind) {
        if (inside(kind)) put(entry(kind) + 24, crc32c(0, bytes.data() + offset(kind), size(kind)));
    }
    void repair_header() {
        if (table_end() > bytes.size() || sections() > 64) return;
        put(32, uint32_t(0));
        put(32, crc32c(0, bytes.data(), table_end()));
    }
    void repair_all() {
        for (uint32_t kind = kind_about; kind <= kind_layers; ++kind) repair(kind);
        repair_header();
    }
    // What opening checks: header, about, calibration.
    void repair_opening() {
        put(24, static_cast<uint64_t>(bytes.size()));
        repair(kind_about);
        repair(kind_calibration);
        repair_header();
    }
};

// Everything that can be done with an index, so that a damaged one gets the chance to crash. The answers are not looked
// at.
inline void use_index(const void *data, size_t size) {
    learnann_index *index = nullptr;
    learnann_scratch *scratch = nullptr;
    if (learnann_open_memory(data, size, nullptr, &index, nullptr) != LEARNANN_OK) return;
    learnann_index_info info = learnann_index_info_default();
    learnann_get_info(index, &info);
    uint32_t effort = 0, row = 0;
    float recall = 0;
    for (const uint32_t k : {1u, 10u, 100u})
        for (uint32_t point = 0; point < 3; ++point) (void)learnann_calibration(index, k, point, &effort, &recall);
    uint64_t key = 0;
    const uint32_t rows = static_cast<uint32_t>(info.rows);
    std::vector<float> values(info.dim);
    for (uint32_t i = 0; i < 4; ++i) {
        if (learnann_key(index, i * (rows / 4), &key) == LEARNANN_OK) (void)learnann_find(index, key, &row);
        (void)learnann_fetch(index, key, values.data(), info.dim);
        (void)learnann_find(index, i * 0x5555555555555555ull, &row);
    }
    if (learnann_scratch_create(index, &scratch, nullptr) == LEARNANN_OK) {
        const learnann_filter filter{LEARNANN_FILTER_PREDICATE, nullptr, 0,
                                     [](void *, uint64_t k) -> int { return k % 3 != 0; }, nullptr};
        const uint64_t word = 0x00ff00ff00ff00ffull;
        const learnann_filter bitmap{LEARNANN_FILTER_ROWS, &word, 64, nullptr, nullptr};
        std::vector<float> q(info.dim);
        for (uint32_t j = 0; j < info.dim; ++j) q[j] = static_cast<float>(j % 7) - 2.5f;
        const learnann_vectors query{q.data(), 1, 0, info.dim, LEARNANN_F32};
        learnann_hit hits[10];
        uint32_t count = 0;
        learnann_search_options options = learnann_search_options_default();
        for (const uint32_t e : {8u, 0u, 100u}) {
            options.effort = e;
            options.filter = nullptr;
            (void)learnann_search(index, scratch, &query, 10, &options, hits, &count, nullptr, nullptr);
            options.filter = e ? &filter : &bitmap;
            (void)learnann_search(index, scratch, &query, 10, &options, hits, &count, nullptr, nullptr);
        }
        options.effort = 8;
        for (const float radius : {0.5f, 1e30f, -1e30f}) {
            options.filter = radius > 1 ? &filter : nullptr;
            (void)learnann_search_range(index, scratch, &query, radius, 10, &options, hits, &count, nullptr, nullptr);
        }
    }
    (void)learnann_verify(index, nullptr);
    learnann_scratch_free(scratch);
    learnann_close(index);
}

}  // namespace testdata
