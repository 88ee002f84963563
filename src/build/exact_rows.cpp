// exact_rows.cpp: see exact_rows.hpp.
#include "build/exact_rows.hpp"

#include <algorithm>

LEARNANN_BEGIN

void ExactRows::choose(const Rows &source, learnann_exact wish) {
    rows = &source;
    const u32 given = source.vectors.type;
    type = wish == LEARNANN_EXACT_AUTO ? given : wish == LEARNANN_EXACT_NONE ? 0 : static_cast<u32>(wish);
    quantised = (type == LEARNANN_I8 || type == LEARNANN_U8) && type != given;
    tail = type != 0 && !refined_bits(type) && (quantised || source.metric == LEARNANN_COS);
}

// Half floats end at 65,504.
Status ExactRows::check(learnann_error *error) const {
    if (type != LEARNANN_F16 || rows->vectors.type != LEARNANN_F32) return LEARNANN_OK;
    return rows->in_blocks([&](u32 begin, u32 end) {
        for (u32 row = begin; row < end; ++row)
            for (u32 i = 0; i < rows->dim(); ++i)
                if (std::fabs(load<float>(static_cast<const u8 *>(rows->raw(row)) + 4ull * i)) >= 65520.0f)
                    return fail(error, LEARNANN_ARGUMENT, "a value is too large for half floats: keep f32, or i8", row);
        return LEARNANN_OK;
    });
}

void ExactRows::encode(u32 row, float *x, u8 *out) const {
    const u32 d = rows->dim(), bytes = d * element_bytes(static_cast<learnann_type>(type));
    const void *raw = rows->raw(row);
    std::memset(out, 0, stride());
    ExactTail t{1, 0, 0};
    if (type == rows->vectors.type) std::memcpy(out, raw, bytes);
    if (type == rows->vectors.type && !tail) return;
    to_floats(raw, rows->vectors.type, d, x);
    if (quantised) {
        float low = x[0], high = x[0];
        for (u32 i = 1; i < d; ++i) low = smaller(low, x[i]), high = larger(high, x[i]);
        const bool is_signed = type == LEARNANN_I8;
        const float range = is_signed ? larger(std::fabs(low), std::fabs(high)) / 127 : high / 255 - low / 255;
        t.scale = range > 0 ? range : 1;
        t.offset = is_signed ? 0 : low;
        const float part = t.scale > 1 ? 0.5f : 1.0f;       // the difference of large floats may be none
        for (u32 i = 0; i < d; ++i) {
            const float v = (part * x[i] - part * t.offset) / (part * t.scale);
            const i32 whole = static_cast<i32>(v + (v < 0 ? -0.5f : 0.5f));
            out[i] = static_cast<u8>(is_signed ? clamp(whole, -127, 127) : clamp(whole, 0, 255));
            x[i] = t.offset + t.scale * static_cast<float>(is_signed ? static_cast<i8>(out[i]) : out[i]);
        }
    } else if (type == LEARNANN_F32) {
        std::memcpy(out, x, bytes);
    } else if (type == LEARNANN_F16 && type != rows->vectors.type) {
        for (u32 i = 0; i < d; ++i) {
            const u16 half = float_to_half(x[i]);
            store(out + 2ull * i, half);
            x[i] = half_to_float(half);
        }
    }
    if (!tail) return;
    double norm2 = 0;
    for (u32 i = 0; i < d; ++i) norm2 += static_cast<double>(x[i]) * x[i];
    t.norm2 = static_cast<float>(smaller(norm2, 3e38));
    store(out + stride() - sizeof t, t);
}

// ---- refined rows ----

constexpr u32 refined_together = 16;

// Some rows at a time, so that a direction of the projection is made floats once for all of them.
struct Refiner {
    const Codec &codec;
    const u32 bits, dim = codec.dim;
    Array<float> spoken, rest, directions;      // what the codes stand for; what they leave; four directions
    Array<i8> codes;                            // of records, max_code_dim each
    Array<u8> levels;

    Refiner(const Codec &c, u32 b, const Allocator &a) : codec(c), bits(b), spoken(a), rest(a), directions(a), codes(a), levels(a) {}
    Status allocate(learnann_error *error) {
        LEARNANN_RETURN_IF(spoken.allocate(static_cast<u64>(refined_together) * dim, error));
        LEARNANN_RETURN_IF(rest.allocate(dim, error));
        LEARNANN_RETURN_IF(directions.allocate(4ull * dim, error));
        LEARNANN_RETURN_IF(codes.zeroes(static_cast<u64>(refined_together) * max_code_dim, error));
        return levels.zeroes(refined_room(dim), error);
    }
    void read_codes(const u8 *records, u32 count);
    // Leaves what is then known of the row, less the mean, in `spoken`.
    void encode(const float *row, u32 i, bool zero, u8 *out);

private:
    struct Fit {
        float scale;    // that fits the levels best
        double held;    // of |rest|^2, then
    };
    Fit round(float scale);
    float fit();
    float sum = 0;      // of `rest`
};

// spoken = P^T code, of `count` rows whose records lie side by side.
void Refiner::read_codes(const u8 *records, u32 count) {
    std::memset(spoken.data(), 0, spoken.size() * sizeof(float));
    for (u32 r = 0; r < count; ++r) get_code(codec, records + static_cast<u64>(r) * codec.record_bytes, codes.data() + static_cast<u64>(r) * max_code_dim);
    const float *const four[4] = {directions.data(), directions.data() + dim, directions.data() + 2ull * dim, directions.data() + 3ull * dim};
    for (u32 i = 0; i < codec.code_dim; i += 4) {
        const u32 here = smaller(4u, codec.code_dim - i);
        float units[4] = {};
        for (u32 j = 0; j < here; ++j) {
            const u8 *direction = codec.matrix + static_cast<u64>(i + j) * projection_cols(dim);
            float *to = directions.data() + static_cast<u64>(j) * dim;
            for (u32 k = 0; k < dim; ++k) to[k] = static_cast<float>(direction[k] - 128);
            units[j] = codec.unit[i + j];
        }
        float lengths[refined_together * 4] = {};
        for (u32 r = 0; r < count; ++r) {
            const float step = code_step_of(codec, records + static_cast<u64>(r) * codec.record_bytes);
            for (u32 j = 0; j < here; ++j) lengths[4 * r + j] = step * units[j] * static_cast<float>(codes[r * max_code_dim + i + j]);
        }
        for (u32 r = 0; r < count; r += 4) kernels().axpy4(spoken.data() + static_cast<u64>(r) * dim, dim, smaller(4u, count - r), four, lengths + 4ull * r, dim);
    }
}

constexpr float least_scale = 1e-35f;
constexpr float tiny = 1e-18f, enlarged = 0x1p120f;     // a rest of tiny values is enlarged, or its squares would vanish

// Rounds `rest` to levels of that scale.
Refiner::Fit Refiner::round(float scale) {
    const i32 top = (1 << bits) - 1;
    const double squares = kernels().loops.levels(rest.data(), dim, 0.5f / scale, top, levels.data());
    const double product = 2.0 * static_cast<double>(kernels().dot[LEARNANN_U8](rest.data(), levels.data(), dim)) - static_cast<double>(top) * sum;
    return Fit{larger(static_cast<float>(product / squares), least_scale), product * product / squares};
}

// Levels for `rest`, and their scale. The steps that lose least of normal values, and of those with more outliers, each twice
// corrected: the best of them.
float Refiner::fit() {
    static const float steps[3][3] = {{0.8f}, {0.4f, 0.55f}, {0.14f, 0.2f, 0.28f}};
    const float root = std::sqrt(kernels().loops.square_sum(rest.data(), dim) / static_cast<float>(dim));
    sum = kernels().loops.sum(rest.data(), dim);
    Fit best{least_scale, -1};
    for (const float step : steps[bits / 2]) {
        if (step == 0) continue;
        Fit here{larger(root * step, least_scale), 0};
        for (u32 pass = 0; pass < 2; ++pass) here = round(here.scale);
        if (here.held > best.held) best = here;
    }
    return round(best.scale).scale;
}

// `row` is as the codec takes it; it is row i of those read.
void Refiner::encode(const float *row, u32 i, bool zero, u8 *out) {
    const u32 bytes = refined_bytes(dim, bits), stride = static_cast<u32>(round_up(bytes, 4));
    const i32 top = (1 << bits) - 1;
    float *const said = spoken.data() + static_cast<u64>(i) * dim;
    for (u32 j = 0; j < dim; ++j) rest[j] = row[j] - codec.mean[j] - said[j];
    const float up = kernels().loops.peak(rest.data(), dim) < tiny ? enlarged : 1;
    for (u32 j = 0; j < dim; ++j) rest[j] *= up;
    RefinedTail tail{fit() / up, 0};
    if (zero) tail.scale = 0;
    double norm2 = 0;
    for (u32 j = 0; j < dim; ++j) {
        const double v = static_cast<double>(said[j]) + static_cast<double>(tail.scale) * (2 * levels[j] - top);
        norm2 += v * v;
        said[j] = static_cast<float>(v);
    }
    tail.norm2 = static_cast<float>(smaller(norm2, 3e38));
    std::memset(out, 0, stride);
    for (u32 j = 0; j < dim; ++j) out[j % bytes] |= static_cast<u8>(levels[j] << (j / bytes * bits));
    store(out + stride, tail);
}

Status ExactRows::produce_refined(Sink &sink, learnann_error *error) const {
    const u32 n = rows->count(), d = rows->dim();
    Refiner refiner(*codec, refined_bits(type), allocator);
    Array<float> x(allocator);
    Array<u8> out(allocator);
    LEARNANN_RETURN_IF(refiner.allocate(error));
    LEARNANN_RETURN_IF(x.allocate(d, error));
    LEARNANN_RETURN_IF(out.allocate(static_cast<u64>(refined_together) * stride(), error));
    for (u32 begin = 0; begin < n; begin += refined_together) {
        const u32 count = smaller(refined_together, n - begin);
        refiner.read_codes(records + static_cast<u64>(begin) * codec->record_bytes, count);
        rows->each(count, [&](u32 i) { return row_of_slot[begin + i]; }, [&](u32 i) {
            (void)rows->floats(row_of_slot[begin + i], x.data());       // finite: checked before
            const bool zero = rows->metric == LEARNANN_COS && !(kernels().loops.peak(x.data(), d) > 0);
            refiner.encode(x.data(), i, zero, out.data() + static_cast<u64>(i) * stride());
        });
        LEARNANN_RETURN_IF(sink.write(out.data(), static_cast<size_t>(count) * stride(), error));
    }
    return LEARNANN_OK;
}

// ---- how what is kept ranks ----

// By which hits are ranked, up to a constant.
float ExactRows::distance(const float *query, const float *row) const {
    const Kernels &k = kernels();
    if (rows->metric == LEARNANN_L2) return static_cast<float>(k.l2[LEARNANN_F32](query, row, rows->dim()));
    const double dot = k.dot[LEARNANN_F32](query, row, rows->dim());
    if (rows->metric == LEARNANN_IP) return static_cast<float>(-dot);
    const float norm2 = k.loops.square_sum(row, rows->dim());
    return norm2 > 0 ? static_cast<float>(-dot / std::sqrt(norm2)) : 0.0f;
}

// Of the first k, how many are among the k least.
inline u32 still_first(const float *distances, u32 count, u32 k) {
    float sorted[Holdout::depth];
    std::memcpy(sorted, distances, count * sizeof(float));
    std::nth_element(sorted, sorted + k - 1, sorted + count);
    return static_cast<u32>(std::count_if(distances, distances + k, [&](float d) { return d <= sorted[k - 1]; }));
}

Status ExactRows::measure_ranking(const Holdout &h, const u32 *slot_of_row, float share[3], learnann_error *error) const {
    const CodeSpace space{codec, records, rows->count(), rows->metric == LEARNANN_IP};
    const u32 d = rows->dim(), near = smaller(Holdout::depth, h.neighbours);
    Refiner refiner(*codec, refined_bits(type), allocator);
    QueryMemory memory;
    Array<float> x(allocator);
    Array<u8> out(allocator);
    LEARNANN_RETURN_IF(refiner.allocate(error));
    LEARNANN_RETURN_IF(memory.prepare(space, allocator, error));
    LEARNANN_RETURN_IF(x.allocate(d, error));
    LEARNANN_RETURN_IF(out.allocate(stride(), error));
    u64 kept[3] = {}, all[3] = {};
    for (u32 q = 0; q < h.measured; ++q) {
        const u32 *truth = h.truth_rows.data() + static_cast<u64>(q) * Holdout::depth;
        float distances[Holdout::depth] = {};
        EncodedQuery query{};
        if (!type) {
            std::memcpy(memory.codec.x.data(), h.query(q, d), d * sizeof(float));
            query = memory.encode(space);
        }
        rows->each(near, [&](u32 i) { return truth[i]; }, [&](u32 i) {
            const u32 slot = slot_of_row[truth[i]];
            if (!type) {
                i32 estimate;
                kernels().score(query.code, space.records, space.stride(), &slot, 1, &estimate);
                distances[i] = static_cast<float>(estimate);
            } else if (refined_bits(type)) {
                refiner.read_codes(space.record(slot), 1);
                (void)rows->floats(truth[i], x.data());
                refiner.encode(x.data(), 0, false, out.data());
                for (u32 j = 0; j < d; ++j) x[j] = codec->mean[j] + refiner.spoken[j];
                distances[i] = distance(h.query(q, d), x.data());
            } else {
                encode(truth[i], x.data(), out.data());
                distances[i] = distance(h.query(q, d), x.data());
            }
        });
        for (u32 j = 0; j < 3; ++j) {
            const u32 k = smaller(ranked_k[j], near);
            kept[j] += still_first(distances, near, k);
            all[j] += k;
        }
    }
    for (u32 j = 0; j < 3; ++j) share[j] = all[j] ? static_cast<float>(kept[j]) / static_cast<float>(all[j]) : 1;
    return LEARNANN_OK;
}

// In blocks of slots, within each in the order of the rows: a disk reads forwards.
Status ExactRows::produce(const void *context, Sink &sink, learnann_error *error) {
    const ExactRows &self = *static_cast<const ExactRows *>(context);
    if (refined_bits(self.type)) return self.produce_refined(sink, error);
    const u32 n = self.rows->count(), stride = self.stride(), block = clamp(static_cast<u32>(Rows::window / larger(stride, 1u)), 1u, n);
    Array<float> x(self.allocator);
    Array<u8> out(self.allocator);
    Array<u64> order(self.allocator);       // row << 32 | place in the block
    LEARNANN_RETURN_IF(x.allocate(self.rows->dim(), error));
    LEARNANN_RETURN_IF(out.allocate(static_cast<u64>(block) * stride, error));
    LEARNANN_RETURN_IF(order.allocate(block, error));
    for (u32 begin = 0; begin < n; begin += smaller(block, n - begin)) {
        const u32 count = smaller(block, n - begin);
        for (u32 i = 0; i < count; ++i) order[i] = static_cast<u64>(self.row_of_slot[begin + i]) << 32 | i;
        std::sort(order.begin(), order.begin() + count);
        const auto row_at = [&](u32 i) { return static_cast<u32>(order[i] >> 32); };
        self.rows->each(count, row_at, [&](u32 i) {
            self.encode(row_at(i), x.data(), out.data() + static_cast<u64>(static_cast<u32>(order[i])) * stride);
        });
        LEARNANN_RETURN_IF(sink.write(out.data(), static_cast<size_t>(count) * stride, error));
    }
    return LEARNANN_OK;
}

LEARNANN_END
