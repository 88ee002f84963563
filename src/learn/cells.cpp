// cells.cpp: see cells.hpp.
#include "learn/cells.hpp"

#include <cmath>

LEARNANN_BEGIN

// The row's codes, of which those behind its dimensions are 0 up to `cols`. `code` has max_code_dim.
inline void unpack_codes(const CodeSpace &space, u32 row, u32 cols, i8 *code) {
    const u32 dim = space.codec->code_dim;
    get_code(*space.codec, space.record(row), code);
    std::memset(code + dim, 0, cols - dim);
}

Status Panel::reserve(const CodeSpace &space, u32 rows, const Allocator &allocator, learnann_error *error) {
    cols = static_cast<u32>(round_up(space.codec->code_dim, 4));
    codes.use(allocator);
    LEARNANN_RETURN_IF(codes.zeroes(static_cast<u64>(rows) * cols, error));
    for (Array<float> *a : {&norms, &scales, &residuals}) {
        a->use(allocator);
        LEARNANN_RETURN_IF(a->zeroes(rows, error));
    }
    return LEARNANN_OK;
}

void Panel::unpack(const CodeSpace &space, const u32 *rows, u32 count) {
    constexpr u32 ahead = 8;
    for (u32 i = 0; i < count; ++i) {
        norms[i] = std::numeric_limits<float>::infinity();
        if (i + ahead < count && rows[i + ahead] != no_row) prefetch(space.record(rows[i + ahead]));
        if (rows[i] == no_row) continue;
        i8 code[max_code_dim];
        unpack_codes(space, rows[i], cols, code);
        u8 *at = codes.data() + static_cast<u64>(i / tile_rows) * tile_rows * cols + i % tile_rows * 4ull;
        for (u32 c = 0; c < cols; c += 4, at += 4ull * tile_rows) store(at, load<u32>(code + c) ^ 0x80808080u);
        const u32 tail = space.tail(rows[i]);
        norms[i] = space.inner ? 0.0f : static_cast<float>(tail_norm(tail) << space.codec->norm_left);
        scales[i] = static_cast<float>(2u << tail_exponent(tail));
        residuals[i] = static_cast<float>(tail_residual(tail));
    }
}

// Two roots of the rows: finding cells takes up to about as long as looking into them. Fewer where they would hold too little.
u32 Cells::cell_count(u64 rows) {
    const double roots = 2 * std::sqrt(static_cast<double>(rows));
    return static_cast<u32>(clamp<u64>(rows / least_cell, 1, smaller(static_cast<u64>(roots), u64{65535})));
}

inline u64 unpacked_bytes(u32 code_dim) { return round_up(code_dim, 4) + 3 * sizeof(float); }

u64 Cells::bytes(u64 rows, u32 code_dim) {
    const u64 cells = cell_count(rows), padded = rows + cells * tile_rows;
    return rows * (2 * smaller<u64>(most_probes, cells) + 8) + padded * 8 + cells * (unpacked_bytes(code_dim) + 8);
}

u64 Cells::thread_bytes(u64 rows, u32 code_dim, u32 most) {
    const u32 cells = cell_count(rows);
    const u64 fullest_cell = smaller<u64>(rows, fullest * larger<u64>(rows / cells + 1, most_compared / most_probes)) + tile_rows;
    const u64 asked = sizeof(Query) + round_up(code_dim, 4) + round_up(most + 1, sorted_padding) * 8 + smaller(most_probes, cells) * 4ull;
    return chunk * asked + fullest_cell * unpacked_bytes(code_dim) + cells * 4ull + 9 * 64ull;
}

Status Cells::reserve(u32 most, learnann_error *error) {
    for (u32 t = 0; t < build_.threads; ++t) {
        Worker &w = workers_[t];
        w.use(build_.allocator);
        LEARNANN_RETURN_IF(w.cell.reserve(space_, fullest_cell_, build_.allocator, error));
        LEARNANN_RETURN_IF(w.codes.allocate(1ull * chunk * middles_.cols, error));
        LEARNANN_RETURN_IF(w.queries.allocate(chunk, error));
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
        std::memcpy(w.codes.data() + static_cast<u64>(q) * middles_.cols, code, middles_.cols);
        const QueryCode terms = terms_of_record(*space_.codec, space_.record(rows[q]), space_.inner);
        w.queries[q] = Query{static_cast<float>(1u << terms.exponent), static_cast<float>(terms.residual_weight) / 16, terms.offset};
    }
    std::fill(w.near(0, most), w.near(count, most), Pool::nothing);
}

// Compares queries with a panel's rows, named from first_id on, block by block: one tells what the next must beat.
void Cells::compare(Worker &w, const Panel &panel, u32 size, u32 first_id, const u32 *queries, u32 count, u32 most) const {
    for (u32 begin = 0; begin < count; begin += tile_vectors) {
        const i8 *codes[tile_vectors];
        const u32 last = smaller(begin + tile_vectors, count) - 1;
        for (u32 q = 0; q < tile_vectors; ++q) codes[q] = w.codes.data() + static_cast<u64>(queries[smaller(begin + q, last)]) * panel.cols;
        for (u32 at = 0; at < size; at += block) {
            const u32 rows = smaller(block, size - at);
            i32 dots[tile_vectors * block];
            kernels().multiply_tiles(panel.of(at), rows / tile_rows, panel.cols, codes, dots);
            const i32 *dots_of_query = dots;
            for (u32 q = begin; q <= last; ++q, dots_of_query += rows) keep(w, panel, at, rows, first_id, queries[q], dots_of_query, most);
        }
    }
}

// Of the panel's rows [first, first + size), whose products with a query are known, the near ones.
void Cells::keep(Worker &w, const Panel &panel, u32 first, u32 size, u32 first_id, u32 query, const i32 *dots, u32 most) const {
    float distances[block];
    u32 places[block];
    i64 fresh[block], *near = w.near(query, most);
    const i64 worst = near[most - 1];
    const float bound = worst == Pool::nothing ? std::numeric_limits<float>::max() : static_cast<float>(Pool::estimate_of(worst) + 2);
    const loops::Compared compared{dots, panel.norms.data() + first, panel.scales.data() + first, panel.residuals.data() + first, size};
    const Query &q = w.queries[query];
    const u32 found = kernels().loops.nearer(compared, q.scale, q.weight, bound, distances, places);
    for (u32 i = 0; i < found; ++i) fresh[i] = Pool::item(static_cast<i32>(distances[i]), first_id + first + places[i]);
    if (found) kernels().insert_sorted(near, most, fresh, found);
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
    LEARNANN_RETURN_IF(middles_.reserve(space_, padded, build_.allocator, error));
    middles_.unpack(space_, middles.data(), padded);
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
        compare(w, middles_, padded, 0, w.by_cell.data(), size, probes_);
        for (u32 q = 0; q < size; ++q)
            for (u32 p = 0; p < probes_; ++p)
                probed_[static_cast<u64>(first + q) * probes_ + p] = static_cast<u16>(Pool::id_of(w.near(q, probes_)[p]));
    }));
    return share_out(rows, count, error);
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
    fullest_cell_ = 0;
    for (u32 c = 0; c < n; ++c) {
        const u32 places = static_cast<u32>(round_up(taken[c], tile_rows));
        fullest_cell_ = larger(fullest_cell_, places);
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
        const u32 places = starts_[c + 1] - starts_[c];
        w.cell.unpack(space_, rows_.data() + starts_[c], places);
        compare(w, w.cell, places, starts_[c], w.by_cell.data() + begin, w.ends[c] - begin, most);
    }
}

// The nearest of rows_[first, first + size): first those of the nearest cell, so that few of the others' are near enough.
void Cells::find(Worker &w, u32 first, u32 size, u32 most) const {
    begin(w, rows_.data() + first, size, asking_, most);
    look(w, first, size, 0, 1, most);
    look(w, first, size, 1, probes_, most);
}

LEARNANN_END
