// exact_rows.cpp: see exact_rows.hpp. What is written.
#include "build/exact_rows.hpp"

#include "build/refiner.hpp"

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
                    return fail(error, LEARNANN_ARGUMENT, "a value is too large for half floats: keep f32, or i8", LEARNANN_AT_ROW, row);
        return LEARNANN_OK;
    });
}

void ExactRows::encode(u32 row, float *x, u8 *out) const {
    const u32 d = rows->dim(), bytes = d * element_bytes(static_cast<learnann_type>(type));
    const void *raw = rows->raw(row);
    std::memset(out, 0, stride());
    ExactTail t{1, 0, 0};
    const bool as_given = static_cast<learnann_type>(type) == rows->vectors.type;
    if (as_given) std::memcpy(out, raw, bytes);
    if (as_given && !tail) return;
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
    } else if (type == LEARNANN_F16 && !as_given) {
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

Status ExactRows::produce_refined(Sink &sink, learnann_error *error) const {
    const u32 n = rows->count(), d = rows->dim();
    Refiner refiner(*codec, refined_bits(type), allocator);
    Array<float> x(allocator);
    Array<u8> out(allocator);
    LEARNANN_RETURN_IF(refiner.allocate(error));
    LEARNANN_RETURN_IF(x.allocate(d, error));
    LEARNANN_RETURN_IF(out.allocate(static_cast<u64>(Refiner::together) * stride(), error));
    for (u32 begin = 0; begin < n; begin += Refiner::together) {
        const u32 count = smaller(Refiner::together, n - begin);
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
