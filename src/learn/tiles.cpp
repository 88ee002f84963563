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

Status Panel::reserve(const CodeSpace &space, u32 rows, const Allocator &allocator, learnann_error *error) {
    cols = padded(space.codec->code_dim);
    codes.use(allocator);
    LEARNANN_RETURN_IF(codes.allocate(static_cast<u64>(rows) * cols, error));
    prefer_large_pages(codes.data(), codes.size());
    for (Array<float> *a : {&norms, &scales, &residuals}) {
        a->use(allocator);
        LEARNANN_RETURN_IF(a->allocate(rows, error));
    }
    return LEARNANN_OK;
}

void Panel::unpack(const CodeSpace &space, const u32 *rows, u32 first, u32 count) {
    constexpr u32 ahead = 8;
    for (u32 i = 0; i < count; ++i) {
        const u32 place = first + i;
        if (i + ahead < count && rows[i + ahead] != no_row) prefetch(space.record(rows[i + ahead]));
        i8 code[max_code_dim];
        if (rows[i] == no_row) std::memset(code, 0, cols);
        else unpack_codes(space, rows[i], cols, code);
        for (u32 c = 0; c < cols; c += 4) store(code + c, load<u32>(code + c) ^ 0x80808080u);
        put_in_tiles(reinterpret_cast<const u8 *>(code), cols, place, codes.data());
        if (rows[i] == no_row) {
            norms[place] = std::numeric_limits<float>::infinity();
            scales[place] = residuals[place] = 0;
            continue;
        }
        const u32 tail = space.tail(rows[i]);
        norms[place] = space.inner ? 0.0f : static_cast<float>(tail_norm(tail) << space.codec->norm_left);
        scales[place] = static_cast<float>(2u << tail_exponent(tail));
        residuals[place] = static_cast<float>(tail_residual(tail));
    }
}

LEARNANN_END
