// cells.cpp: see cells.hpp.
#include "learn/cells.hpp"

#include <cmath>
#include <limits>

LEARNANN_BEGIN

// Two roots of the rows: finding cells takes up to about as long as looking into them. Fewer where they would hold too little.
u32 Cells::cell_count(u64 rows) {
    const double roots = 2 * std::sqrt(static_cast<double>(rows));
    return static_cast<u32>(clamp<u64>(rows / least_cell, 1, smaller(static_cast<u64>(roots), u64{65535})));
}

u64 Cells::bytes(u64 rows, u32 code_dim) {
    const u64 cells = cell_count(rows), padded = rows + cells * tile_rows;
    return rows * (2 * smaller<u64>(most_probes, cells) + 8) + padded * (Panel::bytes_a_row(code_dim) + 8) + cells * (Panel::bytes_a_row(code_dim) + 8);
}

u64 Cells::thread_bytes(u64 rows, u32 code_dim, u32 most) {
    const u32 cells = cell_count(rows);
    const u64 asked = sizeof(PanelQuery) + 4 + Panel::padded(code_dim) + round_up(most + 1, sorted_padding) * 8 + smaller(most_probes, cells) * 4ull;
    return chunk * asked + cells * 4ull + 9 * 64ull;
}

Status Cells::reserve(u32 most, learnann_error *error) {
    for (u32 t = 0; t < build_.threads; ++t) {
        Worker &w = workers_[t];
        w.use(build_.allocator);
        LEARNANN_RETURN_IF(w.codes.allocate(1ull * chunk * middles_.cols, error));
        LEARNANN_RETURN_IF(w.queries.allocate(chunk, error));
        LEARNANN_RETURN_IF(w.offsets.allocate(chunk, error));
        LEARNANN_RETURN_IF(w.nearest.allocate(chunk * round_up(most, sorted_padding), error));
        LEARNANN_RETURN_IF(w.by_cell.allocate(1ull * chunk * probes_, error));
        LEARNANN_RETURN_IF(w.ends.allocate(starts_.size(), error));
    }
    return LEARNANN_OK;
}

// These rows are the queries now, those that are asking or, where that is NULL, all. Nothing is known of them.
void Cells::begin(Worker &w, const u32 *rows, u32 count, const u8 *asking, u32 most) const {
    i8 code[max_code_dim];
    for (u32 q = 0; q < count; ++q) {
        if (rows[q] == no_row || (asking && !asking[rows[q]])) continue;
        unpack_codes(space_, rows[q], middles_.cols, code);
        i8 *const kept = w.codes.data() + static_cast<u64>(q) * middles_.cols;
        std::memcpy(kept, code, middles_.cols);
        const QueryCode terms = terms_of_record(*space_.codec, space_.record(rows[q]), space_.inner);
        w.queries[q] = PanelQuery{kept, static_cast<float>(1u << terms.exponent), static_cast<float>(terms.residual_weight) / 16};
        w.offsets[q] = terms.offset;
    }
    std::fill(w.near(0, most), w.near(count, most), Pool::nothing);
}

// Compares queries with a panel's rows [first, first + size), and keeps the near ones.
void Cells::compare_some(Worker &w, const Panel &panel, u32 first, u32 size, const u32 *queries, u32 count, u32 most) {
    compare(panel, first, size, count, [&](u32 q) -> const PanelQuery & { return w.queries[queries[q]]; },
            [&](u32 q) { return bound_of(w.near(queries[q], most)[most - 1]); },
            [&](u32 q, u32 found, const float *distances, const u32 *places) {
                i64 fresh[panel_block];
                for (u32 i = 0; i < found; ++i) fresh[i] = item_of(distances[i], places[i]);
                kernels().insert_sorted(w.near(queries[q], most), most, fresh, found);
            });
}

// Returns the number of cells.
u32 Cells::choose_sizes(u32 rows) {
    const u32 cells = cell_count(rows), largest = most_compared / most_probes;
    const double probes = larger<double>(wanted_, least_probes);
    const double fewer = cells * smaller(most_probes / probes, 1.0);
    const u32 chosen = smaller(larger(static_cast<u32>(fewer), (rows + largest - 1) / largest), cells);
    probes_ = smaller(static_cast<u32>(smaller<double>(probes, most_probes)), chosen);
    return chosen;
}

Status Cells::divide(const u32 *rows, u32 count, u32 heads, learnann_error *error) {
    if (count == 0) return LEARNANN_OK;
    const u32 wanted = choose_sizes(count), padded = static_cast<u32>(round_up(wanted, tile_rows));
    heads = clamp(heads, wanted, count);
    Array<u32> middles(build_.allocator);
    LEARNANN_RETURN_IF(middles.allocate(padded, error));
    for (u32 c = 0; c < padded; ++c) middles[c] = c < wanted ? rows[static_cast<u64>(c) * heads / wanted] : no_row;
    std::sort(middles.begin(), middles.begin() + wanted);       // as rows lie in spatial order, near cells follow each other
    LEARNANN_RETURN_IF(middles_.reserve(Panel::padded(space_.codec->code_dim), padded, build_.allocator, error));
    middles_.unpack(space_, middles.data(), 0, padded);
    Array<u32> sorted(build_.allocator);
    LEARNANN_RETURN_IF(sorted.allocate(count, error));
    std::memcpy(sorted.data(), rows, count * sizeof(u32));
    std::sort(sorted.begin(), sorted.end());
    rows = sorted.data();
    LEARNANN_RETURN_IF(starts_.allocate(wanted + 1ull, error));
    LEARNANN_RETURN_IF(reserve(probes_, error));
    LEARNANN_RETURN_IF(probed_.allocate(static_cast<u64>(count) * probes_, error));
    LEARNANN_RETURN_IF(each_chunk(count, false, [&](u32 first, u32 size, u32 worker) {
        Worker &w = workers_[worker];
        begin(w, rows + first, size, nullptr, probes_);
        for (u32 q = 0; q < size; ++q) w.by_cell[q] = q;
        compare_some(w, middles_, 0, padded, w.by_cell.data(), size, probes_);
        for (u32 q = 0; q < size; ++q)
            for (u32 p = 0; p < probes_; ++p)
                probed_[static_cast<u64>(first + q) * probes_ + p] = static_cast<u16>(Pool::id_of(w.near(q, probes_)[p]));
    }));
    LEARNANN_RETURN_IF(share_out(rows, count, error));
    return unpack(error);
}

// Each row to the nearest cell that has room.
Status Cells::share_out(const u32 *rows, u32 count, learnann_error *error) {
    const u32 n = cells(), room = fullest * ((count + n - 1) / n);
    Array<u32> cell(build_.allocator), taken(build_.allocator);
    LEARNANN_RETURN_IF(cell.allocate(count, error));
    LEARNANN_RETURN_IF(taken.zeroes(n, error));
    u32 any = 0;        // where many rows lie as near to many middles
    for (u32 i = 0; i < count; ++i) {
        const u16 *near = probed_.data() + static_cast<u64>(i) * probes_, *const end = near + probes_;
        while (near < end && taken[*near] == room) ++near;
        while (near == end && taken[any] == room) any = (any + 1) % n;
        cell[i] = near < end ? *near : any;
        ++taken[cell[i]];
    }
    u32 end = 0;
    for (u32 c = 0; c < n; ++c) {
        const u32 places = static_cast<u32>(round_up(taken[c], tile_rows));
        starts_[c] = end;
        end += places;
        taken[c] = starts_[c];
    }
    starts_[n] = end;
    LEARNANN_RETURN_IF(rows_.allocate(end, error));
    LEARNANN_RETURN_IF(source_.allocate(end, error));
    for (u32 &row : rows_) row = no_row;
    for (u32 i = 0; i < count; ++i) {
        const u32 at = taken[cell[i]]++;
        rows_[at] = rows[i];
        source_[at] = i;
    }
    return LEARNANN_OK;
}

// All rows, once: hundreds look into each cell.
Status Cells::unpack(learnann_error *error) {
    constexpr u32 at_once = 64 * tile_rows;
    const u32 places = starts_[cells()];
    LEARNANN_RETURN_IF(panel_.reserve(middles_.cols, places, build_.allocator, error));
    parallel(build_.threads, (places + at_once - 1) / at_once, 1, [&](u64 item, u32) {
        const u32 first = static_cast<u32>(item) * at_once;
        panel_.unpack(space_, rows_.data() + first, first, smaller(at_once, places - first));
    });
    return LEARNANN_OK;
}

// Compares the queries rows_[first, first + size) with the rows of their nearest cells [from, to), cell by cell.
void Cells::look(Worker &w, u32 first, u32 size, u32 from, u32 to, u32 most) const {
    std::memset(w.ends.data(), 0, w.ends.size() * sizeof(u32));
    const auto each = [&](auto visit) {
        for (u32 q = 0; q < size; ++q)
            for (u32 p = from; p < to && asks(first + q); ++p) visit(q, probed_[static_cast<u64>(source_[first + q]) * probes_ + p]);
    };
    each([&](u32, u32 cell) { ++w.ends[cell + 1]; });
    for (u32 c = 0; c < cells(); ++c) w.ends[c + 1] += w.ends[c];
    each([&](u32 q, u32 cell) { w.by_cell[w.ends[cell]++] = q; });
    u32 begin = 0;
    for (u32 c = 0; c < cells(); begin = w.ends[c++]) {
        if (w.ends[c] == begin) continue;
        compare_some(w, panel_, starts_[c], starts_[c + 1] - starts_[c], w.by_cell.data() + begin, w.ends[c] - begin, most);
    }
}

// The nearest of rows_[first, first + size): first those of the nearest cell, so that few of the others' are near enough.
void Cells::find(Worker &w, u32 first, u32 size, u32 most) const {
    begin(w, rows_.data() + first, size, asking_, most);
    look(w, first, size, 0, 1, most);
    look(w, first, size, 1, probes_, most);
}

LEARNANN_END
