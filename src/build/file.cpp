// file.cpp: all that was built -> the sections of a file.
#include "build/pipeline.hpp"

#include <algorithm>

LEARNANN_BEGIN

Status Pipeline::order_keys(learnann_error *error) {
    const u32 n = rows_.count();
    if (!keys_) return key_order_.allocate(0, error);
    LEARNANN_RETURN_IF(key_order_.allocate(n, error));
    for (u32 row = 0; row < n; ++row) key_order_[row] = row;
    std::sort(key_order_.begin(), key_order_.end(), [this](u32 a, u32 b) {
        return keys_[a] != keys_[b] ? keys_[a] < keys_[b] : a < b;
    });
    return LEARNANN_OK;
}

// The graph as the file keeps it.
Status Pipeline::lay_out(learnann_error *error) {
    LEARNANN_RETURN_IF(begin("layout"));
    Array<Bridge> bridges(allocator_);
    u32 bridge_count = 0;
    adjacency_ = Adjacency{};
    LEARNANN_RETURN_IF(bridge_gaps(space_, edges_, entries_, allocator_, bridges, bridge_count, error));
    LEARNANN_RETURN_IF(lay_out_edges(space_, edges_, bridges, bridge_count, records_.data(), allocator_, adjacency_, error));
    edges_ = EdgeLists{};
    report_.repaired = bridge_count;

    // Entries again, now that the records hold their adjacency offsets.
    LEARNANN_RETURN_IF(entries_.fill(space_, error));
    const size_t entry_records = entries_.records.size(), entries = entries_.rows.size();
    LEARNANN_RETURN_IF(entry_section_.allocate(entry_records + entries * 4, error));
    std::memcpy(entry_section_.data(), entries_.records.data(), entry_records);
    std::memcpy(entry_section_.data() + entry_records, entries_.rows.data(), entries * 4);
    return LEARNANN_OK;
}

// The calibration reranked the rows as given: what those kept rank otherwise comes off the recall.
Status Pipeline::discount_calibration(learnann_error *error) {
    float share[3];
    if (!calibration_.count || !exact_.rounds()) return LEARNANN_OK;
    LEARNANN_RETURN_IF(exact_.measure_ranking(holdout_, slot_of_row_.data(), share, error));
    for (u32 i = 0; i < calibration_.count; ++i) {
        CalibrationPoint &p = calibration_.points[i];
        p.recall *= share[p.k == 1 ? 0 : p.k <= 20 ? 1 : 2];    // of the nearest hundred nothing shows what 100 lose: as 50 do
    }
    return LEARNANN_OK;
}

Status Pipeline::finish(learnann_error *error) {
    exact_.row_of_slot = row_of_slot_.data();
    exact_.codec = &fitted_.codec;
    exact_.records = records_.data();
    LEARNANN_RETURN_IF(discount_calibration(error));
    LEARNANN_RETURN_IF(lay_out(error));
    const size_t matrix = fitted_.matrix.size(), scales = fitted_.unit.size() * 4, mean = fitted_.mean.size() * 4;
    LEARNANN_RETURN_IF(projection_section_.allocate(matrix + scales + mean, error));
    std::memcpy(projection_section_.data(), fitted_.matrix.data(), matrix);
    std::memcpy(projection_section_.data() + matrix, fitted_.unit.data(), scales);
    std::memcpy(projection_section_.data() + matrix + scales, fitted_.mean.data(), mean);

    LEARNANN_RETURN_IF(order_keys(error));
    collect_sections();
    return LEARNANN_OK;
}

void Pipeline::collect_sections() {
    const Codec &c = fitted_.codec;
    const u32 n = rows_.count();
    About &a = about_;
    a = About{};
    a.rows = n;
    a.seed = options_.seed;
    a.dim = rows_.dim();
    a.metric = rows_.metric;
    a.input_type = rows_.vectors.type;
    a.exact_type = exact_.type;
    a.exact_tail = exact_.tail;
    a.exact_stride = exact_.stride();
    a.code_dim = c.code_dim;
    a.record_bytes = c.record_bytes;
    a.norm_left = c.norm_left;
    a.code_step = c.code_step;
    a.residual_unit = c.residual_unit;
    a.residual_weight = c.residual_weight;
    a.nibbles_at = c.nibbles_at;
    a.nibble_shift = c.nibble_shift;
    a.crumbs_at = c.crumbs_at;
    a.crumb_shift = c.crumb_shift;
    a.graph = larger(static_cast<u32>(options_.graph), static_cast<u32>(LEARNANN_GRAPH_ADAPTIVE));
    describe_graph();

    if (refined_bits(exact_.type)) writer_.use_format(refined_format);
    if (options_.graph == LEARNANN_GRAPH_GIVEN) writer_.use_format(given_format);
    add_hot_sections(projection_section_.data(), projection_section_.size());
    writer_.add(section_row_of_slot, row_of_slot_.data(), 4ull * n);
    writer_.add(section_slot_of_row, slot_of_row_.data(), 4ull * n);
    if (keys_) {
        writer_.add(section_keys, keys_, 8ull * n);
        writer_.add(section_key_order, key_order_.data(), 4ull * n);
    }
    if (exact_.type) {
        Section s;
        s.kind = section_exact;
        s.size = static_cast<u64>(n) * exact_.stride();
        s.produce = ExactRows::produce;
        s.context = &exact_;
        writer_.add(s);
    }
    report_.spectral = learned_.count ? options_.spectral : LEARNANN_SPECTRAL_PCA;
    report_sections();
}

void Pipeline::describe_graph() {
    about_.edges = adjacency_.edges;
    about_.fingerprint = fnv1a(adjacency_.bytes.data(), adjacency_.bytes.size());
    about_.entries = static_cast<u32>(entries_.rows.size());
    about_.max_degree = adjacency_.max_degree;
    about_.horizon = calibration_.horizon;
    about_.code_recall = code_recall_;
    about_.entry_group = entries_.group;
}

void Pipeline::add_hot_sections(const u8 *projection, u64 projection_bytes) {
    writer_.add(section_about, &about_, sizeof about_);
    writer_.add(section_projection, projection, projection_bytes);
    writer_.add(section_entries, entry_section_.data(), entry_section_.size());
    writer_.add(section_records, records_.data(), records_.size());
    writer_.add(section_adjacency, adjacency_.bytes.data(), adjacency_.bytes.size());
    if (!layers_.empty()) writer_.add(section_layers, layers_.data(), layers_.size());
    if (calibration_.count)
        writer_.add(section_calibration, calibration_.points, calibration_.count * sizeof(CalibrationPoint));
    report_.hot_bytes_per_row = static_cast<double>(projection_bytes + entry_section_.size() + records_.size() + adjacency_.bytes.size() + layers_.size()) /
                                static_cast<double>(about_.rows);
}

void Pipeline::report_sections() {
    const double n = static_cast<double>(about_.rows);
    report_.rows = about_.rows;
    report_.dim = about_.dim;
    report_.metric = static_cast<learnann_metric>(about_.metric);
    report_.file_bytes = writer_.file_bytes();
    report_.cold_bytes_per_row = static_cast<double>(report_.file_bytes) / n - report_.hot_bytes_per_row;
    report_.mean_degree = static_cast<double>(adjacency_.edges) / n;
    report_.entries = about_.entries;
    report_.code_bytes = about_.record_bytes;
    report_.code_dim = about_.code_dim;
    report_.code_recall = about_.code_recall;
    report_.residual_weight = about_.residual_weight;
}

LEARNANN_END
