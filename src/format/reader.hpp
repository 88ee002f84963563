// reader.hpp: the bytes of a file as typed, bounds-checked views. Nothing here allocates or copies a row.
#pragma once

#include "format/format.hpp"

LEARNANN_BEGIN

// The upper layers of a graph. Nodes have numbers; those of a layer come before the others of the layer below.
struct LayersView {
    LayersHead head{};              // checked: the counts are right, what the blocks hold may be anything
    const u8 *body = nullptr;       // slots of the nodes, then the blocks
    u32 shown = 0;                  // of the layers, from the top: all but while more are being built

    // May be >= rows in a damaged file: compare at use.
    u32 slot(u32 node) const { return load<u32>(body + 4ull * node); }
    // The blocks of a layer.
    const u8 *blocks(u32 layer) const {
        u64 before = 0;
        for (u32 i = 0; i < layer; ++i) before += head.nodes[i];
        return body + 4ull * head.all_nodes() + before * head.block_bytes();
    }
};

// Valid as long as the bytes are. Slots are rows in file order.
class FileView {
public:
    // O(sections): checks the invariants marked O in format.hpp.
    Status open(const u8 *bytes, u64 size, learnann_error *error);

    // Searches read this copy of a section from now on; it must outlive the view.
    void use_copy(u32 kind, const u8 *copy) { sections_[kind].data = copy; }

    // Searches ask for all exact rows that they are about to read at once: for files that memory does not hold.
    void ask_ahead() { asks_ahead_ = true; }
    bool asks_ahead() const { return asks_ahead_; }

    const About &about() const { return about_; }
    u64 file_bytes() const { return size_; }
    u32 rows() const { return static_cast<u32>(about_.rows); }
    u32 writer_version() const { return writer_version_; }
    u32 format() const { return format_; }
    u64 section_bytes(u32 kind) const { return sections_[kind].size; }
    u64 section_offset(u32 kind) const { return offsets_[kind]; }
    const u8 *section(u32 kind) const { return sections_[kind].data; }
    const u8 *bytes() const { return bytes_; }
    u64 table_end() const { return table_end_; }
    // The section (known or not) that begins first at or behind `from`; begin and end unchanged where there is none.
    void next_section(u64 from, u64 &begin, u64 &end) const;
    u32 section_crc(u32 kind) const { return crcs_[kind]; }

    const u8 *matrix() const { return section(section_projection); }
    const float *unit() const {
        return reinterpret_cast<const float *>(matrix() + static_cast<u64>(about_.code_dim) * projection_cols(about_.dim));
    }
    const float *mean() const { return unit() + about_.code_dim; }

    const u8 *records() const { return section(section_records); }
    const u8 *record(u32 slot) const { return records() + static_cast<u64>(slot) * about_.record_bytes; }
    const u8 *entry_records() const { return section(section_entries); }
    u32 entry_slot(u32 i) const {
        return load<u32>(entry_records() + static_cast<u64>(about_.entries) * about_.record_bytes + 4ull * i);
    }

    // Where a slot's block begins in the adjacency section, or says that it does.
    u64 adjacency_at(u32 slot) const { return 4ull * load<u32>(record(slot) + about_.record_bytes - 4); }
    void prefetch_adjacency(u32 slot) const {
        const u64 at = adjacency_at(slot);
        if (at + list_bytes_ > section_bytes(section_adjacency)) return;
        const u8 *block = section(section_adjacency) + at;
        for (u32 line = 0; line < list_bytes_; line += cache_line) prefetch(block + line);
        prefetch(block + list_bytes_ - 1);      // lists don't start at a cache line
    }
    // False where the block is not within its section: the file is damaged.
    bool neighbours(u32 slot, IdList &out) const {
        const u64 at = adjacency_at(slot);
        const u64 end = section_bytes(section_adjacency);
        if (at >= end) return false;
        const u8 *block = section(section_adjacency) + at;
        const u32 degree = block[0];
        if (at + adjacency_bytes(degree, id_bits_) + adjacency_slack > end) return false;
        out = IdList{block + adjacency_head, id_bits_, degree};
        return true;
    }

    // May be >= rows() in a damaged file: compare at use.
    u32 row_of_slot(u32 slot) const { return load<u32>(section(section_row_of_slot) + 4ull * slot); }
    void prefetch_row_of_slot(u32 slot) const { prefetch(section(section_row_of_slot) + 4ull * slot); }
    u32 slot_of_row(u32 row) const { return load<u32>(section(section_slot_of_row) + 4ull * row); }

    bool has_keys() const { return section(section_keys) != nullptr; }
    u64 key_of_row(u32 row) const { return has_keys() ? load<u64>(section(section_keys) + 8ull * row) : row; }
    // The smallest row with that key, no_row where there is none.
    u32 row_of_key(u64 key) const;

    bool has_exact() const { return section(section_exact) != nullptr; }
    const u8 *exact_row(u32 slot) const { return section(section_exact) + static_cast<u64>(slot) * about_.exact_stride; }
    void prefetch_exact(u32 slot) const {
        const u8 *row = exact_row(slot);
        for (u32 line = 0; line < about_.exact_stride; line += cache_line) prefetch(row + line);
        prefetch(row + about_.exact_stride - 1);    // rows don't start at a cache line
    }
    ExactTail exact_tail(u32 slot) const {
        return load<ExactTail>(exact_row(slot) + about_.exact_stride - sizeof(ExactTail));
    }

    RefinedTail refined_tail(u32 slot) const {
        return load<RefinedTail>(exact_row(slot) + about_.exact_stride - sizeof(RefinedTail));
    }

    // Where the graph has layers.
    bool has_layers() const { return section(section_layers) != nullptr; }
    LayersView layers() const { return LayersView{layers_, section(section_layers) + sizeof(LayersHead), layers_.count}; }

    u32 calibration_points() const { return static_cast<u32>(section_bytes(section_calibration) / sizeof(CalibrationPoint)); }
    CalibrationPoint calibration(u32 i) const {
        return load<CalibrationPoint>(section(section_calibration) + sizeof(CalibrationPoint) * i);
    }

private:
    Status read_table(learnann_error *error);
    Status read_about(learnann_error *error);
    Status check_lengths(learnann_error *error) const;
    Status read_layers(learnann_error *error);

    const u8 *bytes_ = nullptr;
    u64 size_ = 0;
    u64 table_end_ = 0;
    u32 writer_version_ = 0;
    u32 format_ = 0;
    Span<u8> sections_[section_kinds];
    u64 offsets_[section_kinds] = {};
    u32 crcs_[section_kinds] = {};
    About about_{};
    LayersHead layers_{};
    u32 id_bits_ = 32;
    u32 list_bytes_ = 1;        // of a list of so many edges as rows have on the mean
    bool asks_ahead_ = false;
};

LEARNANN_END
