// reader.cpp: opens a file that may be hostile. Every number is checked before it is used.
#include "format/reader.hpp"

LEARNANN_BEGIN

inline Status corrupt(learnann_error *error, const char *message, u64 offset) {
    return fail(error, LEARNANN_CORRUPT, message, LEARNANN_AT_BYTE, offset);
}

Status FileView::open(const u8 *bytes, u64 size, learnann_error *error) {
    bytes_ = bytes;
    size_ = size;
    if (size == 0) return fail(error, LEARNANN_NOT_LEARNANN, "the file is empty", LEARNANN_AT_BYTE, 0);
    if (size < 8 || std::memcmp(bytes, file_magic, 8) != 0)
        return fail(error, LEARNANN_NOT_LEARNANN, "the file does not begin with LEARNANN: it is of another kind", LEARNANN_AT_BYTE, 0);
    LEARNANN_RETURN_IF(read_table(error));
    LEARNANN_RETURN_IF(read_about(error));
    LEARNANN_RETURN_IF(check_lengths(error));
    return read_layers(error);
}

Status FileView::read_table(learnann_error *error) {
    if (size_ < sizeof(FileHeader)) return corrupt(error, "F2: the file ends within its header: it is truncated", size_);
    FileHeader header = load<FileHeader>(bytes_);
    if (header.oldest_format > format_version)
        return fail(error, LEARNANN_TOO_NEW, "the file was written by a newer learnann: update the library", LEARNANN_AT_BYTE, 16);
    if (header.oldest_format == 0 || header.format < header.oldest_format)
        return corrupt(error, "F1: the format version makes no sense", 12);
    if (header.sections == 0 || header.sections > max_sections)
        return corrupt(error, "F1: the number of sections is out of range", 20);
    if (header.file_bytes != size_)
        return corrupt(error, size_ < header.file_bytes ? "F2: the file is shorter than its header says: it is truncated"
                                                        : "F2: the file is longer than its header says", 24);
    const u64 table_end = sizeof(FileHeader) + static_cast<u64>(header.sections) * sizeof(SectionEntry);
    if (size_ < table_end) return corrupt(error, "F2: the file ends within its section table: it is truncated", size_);

    const u32 stated = header.crc;
    header.crc = 0;
    u32 crc = crc32c(0, &header, sizeof header);
    crc = crc32c(crc, bytes_ + sizeof header, table_end - sizeof header);
    if (crc != stated) return corrupt(error, "F1: the checksum of the header is wrong", 32);
    writer_version_ = header.writer_version;
    format_ = header.format;
    table_end_ = table_end;

    for (u32 i = 0; i < header.sections; ++i) {
        const u64 at = sizeof(FileHeader) + static_cast<u64>(i) * sizeof(SectionEntry);
        const SectionEntry entry = load<SectionEntry>(bytes_ + at);
        u64 end;
        if (add_overflows(entry.offset, entry.bytes, end) || end > size_ || entry.offset < table_end ||
            entry.offset % section_alignment != 0)
            return corrupt(error, "F3: a section lies outside of the file", at + 8);
        const bool known = entry.kind != 0 && entry.kind < section_kinds;
        if (!known && (entry.flags & 1))
            return fail(error, LEARNANN_TOO_NEW, "F4: the file needs a part that this library doesn't know: update it", LEARNANN_AT_BYTE, at);
        if (!known) continue;
        if (sections_[entry.kind].data) return corrupt(error, "F3: a section comes twice", at);
        sections_[entry.kind] = Span<u8>{bytes_ + entry.offset, entry.bytes};
        offsets_[entry.kind] = entry.offset;
        crcs_[entry.kind] = entry.crc;
    }
    return LEARNANN_OK;
}

void FileView::next_section(u64 from, u64 &begin, u64 &end) const {
    u64 best = size_;
    for (u64 at = sizeof(FileHeader); at < table_end_; at += sizeof(SectionEntry)) {
        const SectionEntry entry = load<SectionEntry>(bytes_ + at);
        if (entry.offset < from || entry.offset >= best) continue;
        best = begin = entry.offset;
        end = entry.offset + entry.bytes;
    }
}

inline bool positive(float v) { return v > 0 && v < 3e38f; }

Status FileView::read_about(learnann_error *error) {
    for (u32 kind = section_about; kind <= section_slot_of_row; ++kind)
        if (!sections_[kind].data) return corrupt(error, "F5: a section that every index has is missing", 64);
    const u64 at = section_offset(section_about);
    if (section_bytes(section_about) != sizeof(About)) return corrupt(error, "F6: the about section has the wrong length", at);
    if (crc32c(0, section(section_about), sizeof(About)) != crcs_[section_about])
        return corrupt(error, "F7: the checksum of the about section is wrong", at);
    about_ = load<About>(section(section_about));
    id_bits_ = IdList::bits_for(static_cast<u32>(smaller<u64>(about_.rows, no_row)));
    const About &a = about_;
    const bool sizes = a.rows >= 1 && a.rows < no_row && a.dim >= 1 && a.dim <= max_dim && a.entries >= 1 &&
                       a.entries <= smaller<u64>(a.rows, max_entries) && a.max_degree <= max_out_degree &&
                       a.entry_group >= 1 && a.entry_group <= a.entries;
    if (!sizes) return corrupt(error, "F5: rows, dimension, entries or degree out of range", at);
    const bool kinds = a.metric >= LEARNANN_L2 && a.metric <= LEARNANN_COS && a.input_type >= LEARNANN_F32 &&
                       a.input_type <= LEARNANN_U8 && a.exact_tail <= 1 &&
                       (a.graph <= LEARNANN_GRAPH_UNIFORM || (a.graph == LEARNANN_GRAPH_GIVEN && format_ >= given_format)) &&
                       (a.exact_type <= LEARNANN_U8 || (refined_bits(a.exact_type) && !a.exact_tail && format_ >= refined_format));
    if (!kinds) return corrupt(error, "F5: metric, element type or graph unknown", at);
    const bool record = a.record_bytes >= min_record_bytes && a.record_bytes <= max_record_bytes && a.record_bytes % 16 == 0 &&
                        a.nibbles_at <= a.crumbs_at && a.nibbles_at % 4 == 0 && a.nibble_shift <= max_nibble_shift &&
                        (a.nibble_shift > 0) == (a.nibbles_at < a.crumbs_at) &&
                        a.crumbs_at <= a.record_bytes && a.crumbs_at % 4 == 0 && a.crumb_shift <= max_crumb_shift &&
                        (a.crumb_shift > 0) == (a.crumbs_at < a.record_bytes) && a.code_dim >= 1 &&
                        a.code_dim <= CodeZones::of(a.record_bytes, a.nibbles_at, a.crumbs_at).room() && a.norm_left <= 7;
    if (!record) return corrupt(error, "F5: record or code size out of range", at);
    const bool scales = positive(a.code_step) && positive(a.residual_unit) && a.horizon > 0 && a.horizon <= 1 &&
                        a.residual_weight >= -2 && a.residual_weight <= 2 && a.code_recall >= -1 && a.code_recall <= 1;
    if (!scales) return corrupt(error, "F5: a scale is not a number in its range", at);
    const bool exact = a.exact_type == 0 ? !has_exact() && a.exact_tail == 0 && a.exact_stride == 0
                                         : has_exact() && a.exact_stride == exact_stride_of(a.dim, a.exact_type, a.exact_tail);
    if (!exact) return corrupt(error, "F5: exact rows and their description don't agree", at);
    list_bytes_ = static_cast<u32>(adjacency_bytes(static_cast<u32>(smaller<u64>(a.edges / a.rows, max_out_degree)), id_bits_));
    return LEARNANN_OK;
}

Status FileView::check_lengths(learnann_error *error) const {
    const About &a = about_;
    const u64 n = a.rows;
    const struct {
        u32 kind;
        u64 bytes;
    } rules[] = {{section_projection, projection_bytes(a)},
                 {section_records, n * a.record_bytes},
                 {section_entries, static_cast<u64>(a.entries) * (a.record_bytes + 4u)},
                 {section_row_of_slot, n * 4},
                 {section_slot_of_row, n * 4},
                 {section_keys, n * 8},
                 {section_key_order, n * 4},
                 {section_exact, n * a.exact_stride}};
    for (const auto &rule : rules)
        if (section(rule.kind) && section_bytes(rule.kind) != rule.bytes)
            return corrupt(error, "F6: a section has the wrong length", section_offset(rule.kind));
    if ((section(section_keys) != nullptr) != (section(section_key_order) != nullptr))
        return corrupt(error, "F5: keys and their order come together or not at all", 64);
    if (section_bytes(section_adjacency) < n * adjacency_head || section_bytes(section_adjacency) % cache_line != 0)
        return corrupt(error, "F6: the adjacency section has the wrong length", section_offset(section_adjacency));
    if (section(section_calibration)) {
        const u64 bytes = section_bytes(section_calibration), at = section_offset(section_calibration);
        if (bytes % sizeof(CalibrationPoint) != 0 || bytes > 4096)
            return corrupt(error, "F6: the calibration section has the wrong length", at);
        if (crc32c(0, section(section_calibration), bytes) != crcs_[section_calibration])
            return corrupt(error, "F7: the checksum of the calibration section is wrong", at);
    }
    return LEARNANN_OK;
}

Status FileView::read_layers(learnann_error *error) {
    const bool wanted = about_.graph == LEARNANN_GRAPH_HNSW;
    const u64 at = section_offset(section_layers), bytes = section_bytes(section_layers);
    if (wanted != has_layers()) return corrupt(error, "F21: a graph has layers that it should not have, or lacks them", 64);
    if (!wanted) return LEARNANN_OK;
    if (bytes < sizeof(LayersHead)) return corrupt(error, "F6: the layers section has the wrong length", at);
    const LayersHead head = load<LayersHead>(section(section_layers));
    bool fits = head.count >= 1 && head.count <= max_layers && head.degree >= 1 && head.degree <= max_out_degree;
    for (u32 layer = 0; fits && layer < max_layers; ++layer) {
        const u32 least = layer > 0 ? head.nodes[layer - 1] : 1;
        fits = layer < head.count ? head.nodes[layer] >= least && head.nodes[layer] <= about_.rows : head.nodes[layer] == 0;
    }
    if (!fits) return corrupt(error, "F21: the sizes of the layers make no sense", at);
    if (bytes != layers_bytes(head)) return corrupt(error, "F6: the layers section has the wrong length", at);
    layers_ = head;
    return LEARNANN_OK;
}

u32 FileView::row_of_key(u64 key) const {
    const u32 n = rows();
    if (!has_keys()) return key < n ? static_cast<u32>(key) : no_row;
    const u8 *order = section(section_key_order);
    const auto row_at = [&](u32 i) { return load<u32>(order + 4ull * i); };
    u32 low = 0, high = n;
    while (low < high) {
        const u32 middle = low + (high - low) / 2, row = row_at(middle);
        if (row >= n) return no_row;
        if (key_of_row(row) < key) low = middle + 1;
        else high = middle;
    }
    if (low == n) return no_row;
    const u32 row = row_at(low);
    return row < n && key_of_row(row) == key ? row : no_row;
}

LEARNANN_END
