// truth.cpp: see truth.hpp.
#include "learn/truth.hpp"

#include <algorithm>
#include <cmath>

LEARNANN_BEGIN

// A vector is step times its codes, and no farther from that than `error`.
struct Rounded {
    float step;
    float error;
};

// `code` has room for `cols` bytes, those behind the dimensions 0.
inline Rounded round_to_bytes(const float *x, u32 dim, u32 cols, float length, i8 *code) {
    const Loops &loops = kernels().loops;
    const float scale = byte_scale(loops.peak(x, dim));
    loops.quantise(x, dim, scale, code);
    std::memset(code + dim, 0, cols - dim);
    if (scale == 0) return Rounded{0, length};
    return Rounded{1 / scale, smaller(0.501f / scale * std::sqrt(static_cast<float>(dim)), length)};
}

// With q' and x' the rounded vectors, |<q, x> - <q', x'>| <= |q - q'| |x| + |q'| |x - x'|, by Cauchy and Schwarz. That is kept beside the
// rows as what each length of a query adds to it at most, and so much for the sums of floats that nobody knows the order of.
constexpr float float_error = 1e-5f;

Status Sieve::prepare(const Rows &rows, const Holdout &h, u32 first, u32 end, const BuildContext &build, learnann_error *error) {
    constexpr u32 cached = 1u << 20;        // bytes
    const u32 dim = rows.dim(), cols = Panel::padded(dim);
    room_ = clamp(cached / cols, panel_block, 1024u) / tile_rows * tile_rows;
    codes_.use(build.allocator);
    queries_.use(build.allocator);
    floats_.use(build.allocator);
    bytes_.use(build.allocator);
    LEARNANN_RETURN_IF(panel_.reserve(cols, room_, build.allocator, error));
    LEARNANN_RETURN_IF(codes_.allocate(static_cast<u64>(end - first) * cols, error));
    LEARNANN_RETURN_IF(queries_.allocate(end - first, error));
    LEARNANN_RETURN_IF(floats_.allocate(static_cast<u64>(build.threads) * dim, error));
    LEARNANN_RETURN_IF(bytes_.allocate(static_cast<u64>(build.threads) * cols, error));
    farther_ = 0;
    for (u32 q = first; q < end; ++q) {
        i8 *const code = codes_.data() + static_cast<u64>(q - first) * cols;
        const float length = static_cast<float>(length_of(h.query(q, dim), dim));
        const Rounded rounded = round_to_bytes(h.query(q, dim), dim, cols, length, code);
        const float least = rows.metric == LEARNANN_L2 ? length * length * (1 - float_error) : 0;
        queries_[q - first] = Asked{PanelQuery{code, rounded.step, length}, least};
        if (length > 0) farther_ = larger(farther_, rounded.error / length);
    }
    return LEARNANN_OK;
}

void Sieve::load(const Rows &rows, u32 begin, u32 end, const BuildContext &build) {
    const u32 dim = rows.dim(), cols = panel_.cols;
    begin_ = begin;
    loaded_ = end - begin;
    parallel(build.threads, round_up(loaded_, tile_rows), tile_rows, [&](u64 item, u32 worker) {
        const u32 place = static_cast<u32>(item), row = begin + place;
        if (row >= end) {
            panel_.leave_empty(place);
            return;
        }
        float *const x = floats_.data() + static_cast<u64>(worker) * dim;
        i8 *const code = bytes_.data() + static_cast<u64>(worker) * cols;
        (void)to_floats(rows.raw(row), rows.vectors.type, dim, x);      // they are finite
        const float length = rows.norm(row);
        const Rounded rounded = round_to_bytes(x, dim, cols, length, code);
        const float added = (1 + farther_) * rounded.error + (farther_ + float_error) * length;
        switch (rows.metric) {
        case LEARNANN_L2: panel_.put(place, code, length * length * (1 - float_error), 2 * rounded.step, 2 * added); break;
        case LEARNANN_IP: panel_.put(place, code, 0, rounded.step, added); break;
        default: panel_.put(place, code, 0, length > 0 ? rounded.step / length : 0, length > 0 ? added / length : 0);
        }
    });
}

Status Truth::prepare(learnann_error *error) {
    const u32 room = NearestRows::room(h_.neighbours), query_bytes = sieved_ ? 0 : rows_.dim();
    LEARNANN_RETURN_IF(nearest_.allocate(count_, error));
    LEARNANN_RETURN_IF(queries_.allocate(count_, error));
    LEARNANN_RETURN_IF(items_.allocate(static_cast<u64>(count_) * room, error));
    LEARNANN_RETURN_IF(bytes_.allocate(static_cast<u64>(count_) * query_bytes, error));
    for (u32 q = 0; q < count_; ++q) {
        nearest_[q] = NearestRows(items_.data() + static_cast<u64>(q) * room, h_.neighbours);
        queries_[q] = rows_.exact_query(h_.query(first_ + q, rows_.dim()), bytes_.data() + static_cast<u64>(q) * query_bytes);
    }
    return sieved_ ? sieve_.prepare(rows_, h_, first_, first_ + count_, build_, error) : LEARNANN_OK;
}

// Rows [begin, end) that are not held out, to a group of queries.
void Truth::offer_all(u32 first, u32 begin, u32 end) {
    const u32 last = smaller(first + together, count_);
    const u32 *held = std::lower_bound(h_.query_rows.begin(), h_.query_rows.end(), begin);     // none where they are not rows
    for (u32 row = begin; row < end; ++row) {
        if (held != h_.query_rows.end() && *held == row) {
            ++held;
            continue;
        }
        for (u32 q = first; q < last; ++q) offer(q, row);
    }
}

// Those in the sieve.
void Truth::offer_near(u32 first) {
    sieve_.each_near(first, smaller(first + together, count_), [&](u32 q) { return nearest_[q].bound.distance; },
                     [&](u32 q, u32 row) {
                         if (!h_.holds(row)) offer(q, row);
                     });
}

Status Truth::find(learnann_error *error) {
    const u32 groups = (count_ + together - 1) / together;
    LEARNANN_RETURN_IF(prepare(error));
    LEARNANN_RETURN_IF(rows_.in_blocks([&](u32 begin, u32 end) {
        const u32 step = sieved_ ? sieve_.rows_at_once() : end - begin;
        for (u32 at = begin; at < end; at += smaller(step, end - at)) {
            const u32 some = smaller(step, end - at);
            if (sieved_) sieve_.load(rows_, at, at + some, build_);
            parallel(build_.threads, groups, 1, [&](u64 group, u32) {
                if (sieved_) offer_near(static_cast<u32>(group) * together);
                else offer_all(static_cast<u32>(group) * together, at, at + some);
            });
        }
        return build_.progress.at(static_cast<double>(end) / rows_.count());
    }));
    for (u32 q = 0; q < count_; ++q) {
        const u64 at = static_cast<u64>(first_ + q) * Holdout::depth;
        nearest_[q].sort();
        for (u32 i = 0; i < nearest_[q].size; ++i) {
            h_.truth[at + i] = nearest_[q].items[i].distance;
            h_.truth_rows[at + i] = nearest_[q].items[i].row;
        }
    }
    return LEARNANN_OK;
}

LEARNANN_END
