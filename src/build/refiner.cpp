// refiner.cpp: see refiner.hpp.
#include "build/refiner.hpp"

LEARNANN_BEGIN

Status Refiner::allocate(learnann_error *error) {
    LEARNANN_RETURN_IF(spoken.allocate(static_cast<u64>(together) * dim, error));
    LEARNANN_RETURN_IF(rest.allocate(dim, error));
    LEARNANN_RETURN_IF(directions.allocate(4ull * dim, error));
    LEARNANN_RETURN_IF(codes.zeroes(static_cast<u64>(together) * max_code_dim, error));
    return levels.zeroes(refined_room(dim), error);
}

// spoken = P^T code.
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
        float lengths[together * 4] = {};
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

LEARNANN_END
