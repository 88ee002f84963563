// codec.cpp: see codec.hpp.
#include "search/codec.hpp"

LEARNANN_BEGIN

Codec Codec::of(const FileView &view) {
    const About &a = view.about();
    Codec c;
    c.matrix = view.matrix();
    c.unit = view.unit();
    c.mean = view.mean();
    c.dim = a.dim;
    c.code_dim = a.code_dim;
    c.record_bytes = a.record_bytes;
    c.nibbles_at = a.nibbles_at;
    c.nibble_shift = a.nibble_shift;
    c.crumbs_at = a.crumbs_at;
    c.crumb_shift = a.crumb_shift;
    c.metric = static_cast<learnann_metric>(a.metric);
    c.norm_left = a.norm_left;
    c.code_step = a.code_step;
    c.residual_unit = a.residual_unit;
    c.residual_weight = a.residual_weight;
    return c;
}

bool to_floats(const void *vector, learnann_type type, u32 dim, float *out) { return kernels().loops.widen(vector, type, dim, out); }

double length_of(const float *x, u32 dim) {
    const float square = kernels().loops.square_sum(x, dim);
    if (square > 1e-30f && square < 1e37f) return std::sqrt(static_cast<double>(square));
    double sum = 0;
    for (u32 i = 0; i < dim; ++i) sum += static_cast<double>(x[i]) * x[i];
    return std::sqrt(sum);
}

void normalise(float *x, u32 dim) {
    const double length = length_of(x, dim);
    const double scale = length > 0 ? 1 / length : 0;
    if (scale < 1e37) {
        const float factor = static_cast<float>(scale);
        for (u32 i = 0; i < dim; ++i) x[i] *= factor;
    } else {
        for (u32 i = 0; i < dim; ++i) x[i] = static_cast<float>(x[i] * scale);
    }
}

void multiply(const Codec &codec, CodecScratch *const *scratch, u32 count) {
    const i8 *x[matvec_vectors];
    i32 *sums[matvec_vectors];
    for (u32 i = 0; i < count; ++i) {
        x[i] = scratch[i]->bytes.data();
        sums[i] = scratch[i]->sums.data();
    }
    kernels().matvec(codec.matrix, codec.code_dim, projection_cols(codec.dim), x, count, sums);
}

// What rounding the centred vector to bytes lost, projected and added to scratch.y. `rest` has dim floats.
inline void add_rest(const Codec &codec, float scale, float *rest, CodecScratch &scratch) {
    constexpr float finer = 254;        // the rest is half a step at most
    if (scale == 0) return;
    for (u32 i = 0; i < codec.dim; ++i) rest[i] = scratch.centred[i] * scale - static_cast<float>(scratch.bytes[i]);
    kernels().loops.quantise(rest, codec.dim, finer, scratch.bytes.data());
    CodecScratch *const one = &scratch;
    multiply(codec, &one, 1);
    const float unscale = 1 / scale / finer;
    for (u32 i = 0; i < codec.code_dim; ++i) scratch.y[i] += static_cast<float>(scratch.sums[i]) * codec.unit[i] * unscale;
}

Centred centre(const Codec &codec, CodecScratch &scratch) {
    const Loops &loops = kernels().loops;
    float *centred = scratch.centred.data();
    const double whole = loops.centre(scratch.x.data(), codec.mean, codec.dim, centred);
    const float scale = byte_scale(loops.peak(centred, codec.dim));
    i8 *bytes = scratch.bytes.data();
    loops.quantise(centred, codec.dim, scale, bytes);
    std::memset(bytes + codec.dim, 0, projection_cols(codec.dim) - codec.dim);
    return Centred{whole, scale};
}

Projected finish_projection(const Codec &codec, const Centred &centred, const i32 *sums, CodecScratch &scratch) {
    const Loops &loops = kernels().loops;
    Projected p;
    p.y = scratch.y.data();
    loops.from_fixed(sums, codec.unit, codec.code_dim, centred.scale > 0 ? 1 / centred.scale : 0, p.y);
    p.norm2 = static_cast<float>(centred.whole);
    if (codec.is_frame()) {
        float rest[max_record_bytes];
        add_rest(codec, centred.scale, rest, scratch);
        p.kept2 = loops.square_sum(p.y, codec.code_dim);
        return p;
    }
    p.kept2 = loops.square_sum(p.y, codec.code_dim);
    const double left = centred.whole - static_cast<double>(p.kept2);       // NaN where both overflow: then it is taken to be as large as can be
    p.residual2 = left < 3e38 ? static_cast<float>(larger(left, 0.0)) : 3e38f;
    return p;
}

Projected project(const Codec &codec, CodecScratch &scratch) {
    const Centred centred = centre(codec, scratch);
    CodecScratch *const one = &scratch;
    multiply(codec, &one, 1);
    return finish_projection(codec, centred, scratch.sums.data(), scratch);
}

void project_rest(const Codec &codec, CodecScratch &scratch) {
    if (codec.is_frame()) return;
    add_rest(codec, byte_scale(kernels().loops.peak(scratch.centred.data(), codec.dim)), scratch.x.data(), scratch);
}

// The smallest exponent at which a value of `steps` code steps fits 127.
inline u32 exponent_for(double steps, u32 most) {
    u32 exponent = 0;
    while (exponent < most && steps > 127.0 * static_cast<double>(1u << exponent)) ++exponent;
    return exponent;
}

// Rounds y * scale to levels, `parts` in each of the bytes, which were 0. Returns the sum of their squared codes.
inline double put_levels(const float *y, u32 count, float scale, i32 top, u32 shift, u8 *to, u32 bytes, u32 parts) {
    u8 level[max_code_dim];
    const i32 squares = kernels().loops.levels(y, count, scale / static_cast<float>(1u << shift), top, level);
    std::memset(level + count, 0, parts * bytes - count);
    for (u32 p = 0; p < parts; ++p)
        for (u32 i = 0; i < bytes; ++i) to[i] |= static_cast<u8>(level[p * bytes + i] << plane_bit[p]);
    return std::ldexp(static_cast<double>(squares), 2 * (static_cast<i32>(shift) - 1));
}

double put_code(const Codec &codec, const float *y, float scale, u8 *record) {
    const CodeZones zones = codec.zones();
    const u32 bytes = codec.byte_dims(), nibbles = codec.nibble_dims(), crumbs = codec.code_dim - bytes - nibbles;
    i8 code[max_record_bytes];
    kernels().loops.quantise(y, bytes, scale, code);
    for (u32 i = 0; i < bytes; ++i) record[i] = static_cast<u8>(code[i] + 128);
    const u8 *signed_bytes = reinterpret_cast<const u8 *>(code);
    double squares = kernels().dot_i8(signed_bytes, signed_bytes, bytes);
    std::memset(record + bytes, 128, zones.whole - bytes);
    u8 *const packed = record + zones.whole;
    std::memset(packed, 0, zones.nibbles + zones.crumbs);
    if (zones.nibbles) squares += put_levels(y + bytes, nibbles, scale, 15, codec.nibble_shift, packed, zones.nibbles, 2);
    if (zones.crumbs) squares += put_levels(y + bytes + nibbles, crumbs, scale, 3, codec.crumb_shift, packed + zones.nibbles, zones.crumbs, 4);
    return squares;
}

// Bytes c + 128 to codes, eight at a time: of a loop of unknown length compilers make no vectors.
inline void get_bytes(const u8 *bytes, u32 count, i8 *code) {
    u32 i = 0;
    for (; i + 8 <= count; i += 8) store(code + i, load<u64>(bytes + i) ^ 0x8080808080808080u);
    for (; i < count; ++i) code[i] = static_cast<i8>(bytes[i] ^ 128);
}

void get_code(const Codec &codec, const u8 *record, i8 *code) {
    const CodeZones zones = codec.zones();
    const Loops &loops = kernels().loops;
    get_bytes(record, zones.whole, code);
    record += zones.whole;
    code += zones.whole;
    for (u32 p = 0; p < 2 && zones.nibbles; ++p, code += zones.nibbles)
        loops.level_codes(record, zones.nibbles, plane_bit[p], 15, codec.nibble_shift, code);
    for (u32 p = 0; p < 4 && zones.crumbs; ++p, code += zones.crumbs)
        loops.level_codes(record + zones.nibbles, zones.crumbs, plane_bit[p], 3, codec.crumb_shift, code);
}

// The squares of what clamping cuts off.
inline double clamped_off(const float *y, u32 dim, float scale, float most) {
    double lost = 0;
    for (u32 i = 0; i < dim; ++i) {
        const double over = larger(std::fabs(y[i] * scale) - most, 0.0f);
        lost += over * over;
    }
    return lost;
}
inline double clamped_off(const Codec &codec, const float *y, float peak, float scale) {
    const u32 bytes = codec.byte_dims(), nibbles = codec.nibble_dims(), crumbs = codec.code_dim - bytes - nibbles;
    double lost = peak * scale > 127 ? clamped_off(y, bytes, scale, 127) : 0;
    if (nibbles) lost += clamped_off(y + bytes, nibbles, scale, static_cast<float>(8u << codec.nibble_shift));
    if (crumbs) lost += clamped_off(y + bytes + nibbles, crumbs, scale, static_cast<float>(2u << codec.crumb_shift));
    return lost;
}

// A peak may be cut off by so much rather than cost all values of its vector a bit.
constexpr double uncut = 0.98;

void encode_record(const Codec &codec, const Projected &p, u8 *record) {
    // A row farther out than max_steps is coded as if it lay there, in its direction.
    const double length = std::sqrt(static_cast<double>(p.kept2) + p.residual2) / codec.code_step;
    const double step = codec.code_step * larger(length / max_steps, 1.0);
    const float peak = kernels().loops.peak(p.y, codec.byte_dims());
    const u32 exponent = exponent_for(uncut * peak / step, max_exponent);
    const double up = static_cast<double>(1u << exponent);
    const float scale = static_cast<float>(1 / (step * up));
    const double code2 = put_code(codec, p.y, scale, record) * up * up;
    const double residual2 = p.residual2 / (step * step) + clamped_off(codec, p.y, peak, scale) * up * up;
    const double whole = smaller((code2 + residual2) / (1u << codec.norm_left) + 0.5, 16777215.0);
    const double residual = smaller(std::sqrt(residual2) / codec.residual_unit + 0.5, static_cast<double>(max_residual));
    const u32 capacity = code_capacity(codec.record_bytes);
    store(record + capacity, tail_of(static_cast<u32>(whole), exponent, static_cast<u32>(residual)));
    store(record + capacity + 4, u32{0});
}

// What a query tells the kernels of the records' layout; its planes are for the caller to fill, and 0.
inline void begin_planes(const Codec &codec, i8 *code, QueryCode &q) {
    const size_t stride = codec.record_bytes;
    q.code = code;
    q.nibbles_at = codec.nibbles_at;
    q.crumbs_at = codec.crumbs_at;
    q.nibble_shift = codec.nibble_shift;
    q.crumb_shift = codec.crumb_shift;
    std::memset(code, 0, codec.nibbles_at == stride ? stride : query_planes * stride);
    if (codec.nibbles_at == stride) return;
    const auto describe = [&](u32 begin, u32 end, u32 mask, u32 shift) {
        std::memset(code + query_planes * stride + begin, static_cast<int>(mask), end - begin);
        for (u32 at = begin; at < end; at += 2) store(code + (query_planes + 1) * stride + at, static_cast<u16>(1u << shift));
    };
    describe(0, codec.nibbles_at, 255, 0);
    describe(codec.nibbles_at, codec.crumbs_at, 15, codec.nibble_shift);
    describe(codec.crumbs_at, codec.record_bytes, 3, codec.crumb_shift);
}

// Calls fill(plane, first dimension, how many, where in the record) for each part of a plane that meets dimensions, and adds up the
// biases of what it leaves there.
template <class Fill> inline void fill_planes(const Codec &codec, i8 *code, QueryCode &q, Fill fill) {
    const CodeZones zones = codec.zones();
    const size_t stride = codec.record_bytes;
    u32 dim = 0;
    const auto fill_zone = [&](u32 dims, u32 at, u32 width) {
        i32 sum = 0;
        const u32 end = dim + dims;
        for (u32 p = 0; dim < end; ++p) {
            const u32 part = smaller(end - dim, width);
            i8 *plane = code + p * stride + at;
            fill(p, dim, part, at, plane);
            sum += kernels().loops.sum_codes(plane, part);
            dim += part;
        }
        return sum;
    };
    const u32 bytes = codec.byte_dims(), nibbles = codec.nibble_dims(), crumbs = codec.code_dim - bytes - nibbles;
    q.bias = 128 * fill_zone(bytes, 0, zones.whole);
    if (nibbles) q.packed_bias += 15 * (1 << (codec.nibble_shift - 1)) * fill_zone(nibbles, zones.whole, zones.nibbles);
    if (crumbs) q.packed_bias += 3 * (1 << (codec.crumb_shift - 1)) * fill_zone(crumbs, zones.whole + zones.nibbles, zones.crumbs);
}

// The weight of a record's residual in an estimate, in sixteenths (QueryCode): 2 rho |r_q|. Bounded, so that its product with the largest
// residual, of five bits, stays within 32.
inline i32 residual_weight_of(const Codec &codec, double residual) {
    constexpr double most = 8.0e6;
    return static_cast<i32>(clamp(16 * 2 * codec.residual_weight * residual * codec.residual_unit, -most, most));
}

EncodedQuery quantise_query(const Codec &codec, const Projected &p, i8 *code) {
    const u32 dim = codec.code_dim;
    const Loops &loops = kernels().loops;
    const double length = p.residual2 + p.kept2, largest = loops.peak(p.y, dim);
    const double s = codec.code_step, residual = std::sqrt(p.residual2);
    EncodedQuery q{};
    q.rounding = 0.6f * static_cast<float>(1u << larger(codec.nibble_shift, codec.crumb_shift));
    if (codec.metric == LEARNANN_IP) {      // only the direction matters: the query has a step of its own
        const double step = largest > 0 ? largest / 127 : 1;
        loops.quantise(p.y, dim, static_cast<float>(1 / step), code);
        q.code.residual_weight = residual_weight_of(codec, residual / step);
        q.unit = static_cast<float>(s * step / 2);
        q.residual = static_cast<float>(residual / step);
    } else {
        // A query far outside of the rows is taken in steps of 2^j, and all distances with it: they are large there.
        const u32 j = exponent_for(uncut * largest / s, 30);
        const double up = static_cast<double>(1u << j);
        loops.quantise(p.y, dim, static_cast<float>(1 / (s * up)), code);
        q.code.residual_weight = residual_weight_of(codec, residual / (s * up));
        q.code.norm_left = codec.norm_left > j ? codec.norm_left - j : 0;
        q.code.norm_right = j > codec.norm_left ? j - codec.norm_left : 0;
        q.code.norm_mask = ~0u;
        const double scale = codec.metric == LEARNANN_COS ? 0.5 : 1.0;      // |a - b|^2 = 2 (1 - cos) for unit vectors
        q.unit = static_cast<float>(s * s * up * scale);
        // Of far queries nothing is known: they were not calibrated with, and far rows have rounder codes.
        q.residual = j > 0 ? 3e38f : static_cast<float>(residual / s);
        q.origin = static_cast<float>(smaller(length / (s * s), 3e38));
        q.up = static_cast<float>(up);
        q.base = static_cast<float>(smaller(length * scale, 3e38));
    }
    return q;
}

EncodedQuery encode_query(const Codec &codec, const Projected &p, i8 *code) {
    i8 dims[max_code_dim];
    EncodedQuery q = quantise_query(codec, p, dims);
    begin_planes(codec, code, q.code);
    fill_planes(codec, code, q.code, [&](u32, u32 dim_at, u32 count, u32, i8 *plane) { std::memcpy(plane, dims + dim_at, count); });
    return q;
}

QueryCode terms_of_record(const Codec &codec, const u8 *record, bool inner) {
    const u32 tail = load<u32>(record + code_capacity(codec.record_bytes));
    QueryCode q{};
    q.residual_weight = residual_weight_of(codec, tail_residual(tail) * static_cast<double>(codec.residual_unit));
    q.exponent = tail_exponent(tail);
    if (!inner) {
        q.norm_left = codec.norm_left;
        q.norm_mask = ~0u;
        q.offset = static_cast<i32>(tail_norm(tail) << codec.norm_left);
    }
    return q;
}

QueryCode query_of_record(const Codec &codec, const u8 *record, bool inner, i8 *code) {
    QueryCode q = terms_of_record(codec, record, inner);
    const Loops &loops = kernels().loops;
    begin_planes(codec, code, q);
    fill_planes(codec, code, q, [&](u32 p, u32, u32 count, u32 at, i8 *plane) {      // a plane's part lies where the record's does
        if (at < codec.nibbles_at) get_bytes(record, count, plane);
        else if (at < codec.crumbs_at) loops.level_codes(record + at, count, plane_bit[p], 15, codec.nibble_shift, plane);
        else loops.level_codes(record + at, count, plane_bit[p], 3, codec.crumb_shift, plane);
    });
    return q;
}

LEARNANN_END
