// tiles.cpp: see tiles.hpp.
#include "learn/tiles.hpp"

#include "base/os.hpp"

#include <limits>

LEARNANN_BEGIN

void unpack_codes(const CodeSpace &space, u32 row, u32 cols, i8 *code) {
    const u32 dim = space.codec->code_dim;
    get_code(*space.codec, space.record(row), code);
    std::memset(code + dim, 0, cols - dim);
}

Status Panel::reserve(u32 padded_dim, u32 rows, const Allocator &allocator, learnann_error *error) {
    cols = padded_dim;
    codes.use(allocator);
    LEARNANN_RETURN_IF(codes.allocate(static_cast<u64>(rows) * cols, error));
    prefer_large_pages(codes.data(), codes.size());
    for (Array<float> *a : {&norms, &scales, &residuals}) {
        a->use(allocator);
        LEARNANN_RETURN_IF(a->allocate(rows, error));
    }
    return LEARNANN_OK;
}

void Panel::put(u32 place, const i8 *code, float norm, float scale, float residual) {
    u8 *to = codes.data() + in_tiles(place, cols);
    for (u32 c = 0; c < cols; c += 4, to += 4ull * tile_rows) store(to, load<u32>(code + c) ^ 0x80808080u);
    norms[place] = norm;
    scales[place] = scale;
    residuals[place] = residual;
}

void Panel::leave_empty(u32 place) {
    u8 *to = codes.data() + in_tiles(place, cols);
    for (u32 c = 0; c < cols; c += 4, to += 4ull * tile_rows) store(to, 0x80808080u);
    norms[place] = std::numeric_limits<float>::infinity();
    scales[place] = residuals[place] = 0;
}

void Panel::unpack(const CodeSpace &space, const u32 *rows, u32 first, u32 count) {
    constexpr u32 ahead = 8;
    for (u32 i = 0; i < count; ++i) {
        if (i + ahead < count && rows[i + ahead] != no_row) prefetch(space.record(rows[i + ahead]));
        if (rows[i] == no_row) {
            leave_empty(first + i);
            continue;
        }
        i8 code[max_code_dim];
        unpack_codes(space, rows[i], cols, code);
        const u32 tail = space.tail(rows[i]);
        const float norm = space.inner ? 0.0f : static_cast<float>(tail_norm(tail) << space.codec->norm_left);
        put(first + i, code, norm, static_cast<float>(2u << tail_exponent(tail)), static_cast<float>(tail_residual(tail)));
    }
}

LEARNANN_END
