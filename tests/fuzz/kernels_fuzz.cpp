// kernels_fuzz.cpp: every kernel of every table that this machine runs, against the scalar table, over any bytes, lengths and
// alignments. Integers are equal, and so are the loops' bits; sums of floats are within rounding of each other.
//   byte 0: which kernels; then lengths, two bytes each, as the kernels want them; the rest, over and over, is the data
// It is compiled with the library's source, whose kernels have no names outside.
#define LEARNANN_IMPLEMENTATION
#include "../testdata.hpp"

#include "../querycode.hpp"

#include "input.hpp"
#include "require.hpp"

using namespace learnann;

namespace {

// Elements that end where their memory ends, at a misalignment in elements.
template <class T> class Tight {
public:
    explicit Tight(size_t count, u32 misalignment = 0) : items_(count + misalignment), skip_(misalignment) {}
    T *data() { return items_.data() + skip_; }
    T &operator[](size_t i) { return items_[skip_ + i]; }
    bool operator==(const Tight &o) const { return std::memcmp(items_.data(), o.items_.data(), items_.size() * sizeof(T)) == 0; }

private:
    std::vector<T> items_;
    size_t skip_;
};

// The scalar table is the first.
template <class Check> void each_other_table(Check check) {
    for (u32 t = 1; const Kernels *k = kernels_at(t); ++t) check(*k);
}

const Kernels &scalar_table() { return *kernels_at(0); }

// `size` is the sum of the magnitudes added up; where that is near overflow one order of addition may get there.
bool near(double a, double b, double size) { return !(size < 1e37) || std::fabs(a - b) <= 2e-5 * size + 1e-30; }

bool same_bits(float a, float b) { return load<u32>(&a) == load<u32>(&b); }

// Finite: exponents of all ones lose a bit. Every other `small` ones are kept within 2^+-15, so that sums stay finite.
void fill_floats(Input &in, float *to, u32 count, bool small) {
    in.fill(to, count * sizeof(float));
    for (u32 i = 0; i < count; ++i) {
        u32 bits = load<u32>(to + i);
        if ((bits & 0x7f800000u) == 0x7f800000u) bits &= ~0x40000000u;
        if (small) bits = (bits & 0x87ffffffu) | 0x38000000u;
        store(to + i, bits);
    }
}

double element(learnann_type type, const u8 *p) {
    if (type == LEARNANN_U8) return *p;
    if (type == LEARNANN_I8) return static_cast<i8>(*p);
    if (type == LEARNANN_F16) return testdata::half_value(load<u16>(p));
    return load<float>(p);
}

void fuzz_floats(Input &in) {
    const learnann_type type = static_cast<learnann_type>(1 + in.number(4));
    const u32 size = element_bytes(type), dim = 1 + in.number(200), misalignment = in.number(4);
    const bool small = in.number(2) == 0;
    Tight<u8> row(dim * size, misalignment * (size == 1 ? 1 : size));
    Tight<float> query(dim, in.number(4));
    fill_floats(in, query.data(), dim, small);
    in.fill(row.data(), dim * size);
    if (type == LEARNANN_F32) fill_floats(in, reinterpret_cast<float *>(row.data()), dim, small);
    double dot_size = 0, l2_size = 0;
    for (u32 i = 0; i < dim; ++i) {
        const double q = query[i], x = element(type, row.data() + i * size);
        dot_size += std::fabs(q * x);
        l2_size += (q - x) * (q - x);
    }
    const Kernels &scalar = scalar_table();
    const float dot = scalar.dot[type](query.data(), row.data(), dim), l2 = scalar.l2[type](query.data(), row.data(), dim);
    each_other_table([&](const Kernels &k) {
        REQUIRE(near(k.dot[type](query.data(), row.data(), dim), dot, dot_size));
        REQUIRE(near(k.l2[type](query.data(), row.data(), dim), l2, l2_size));
    });
}

void fuzz_bytes(Input &in) {
    const u32 dim = 1 + (in.number(64) != 63 ? in.number(300) : in.number(65535));
    Tight<u8> a(dim, in.number(64)), b(dim, in.number(64));
    in.fill(a.data(), dim);
    in.fill(b.data(), dim);
    const Kernels &scalar = scalar_table();
    each_other_table([&](const Kernels &k) {
        REQUIRE(k.l2_u8(a.data(), b.data(), dim) == scalar.l2_u8(a.data(), b.data(), dim));
        REQUIRE(k.l2_i8(a.data(), b.data(), dim) == scalar.l2_i8(a.data(), b.data(), dim));
        REQUIRE(k.dot_u8(a.data(), b.data(), dim) == scalar.dot_u8(a.data(), b.data(), dim));
        REQUIRE(k.dot_i8(a.data(), b.data(), dim) == scalar.dot_i8(a.data(), b.data(), dim));
    });
}

// Records as F8 of the format has them: no byte of a code is 0. Tails are any bytes; the query is as queries are made.
void fuzz_score(Input &in) {
    const u32 stride = 16 * (1 + (in.number(16) != 15 ? in.number(16) : in.number(max_record_bytes / 16))), count = 1 + in.number(14);
    const u32 records = 1 + in.number(14);
    const bool listed = in.number(2);
    QueryCode q{};
    q.nibbles_at = in.number(2) ? stride : 4 * in.number(stride / 4);
    q.crumbs_at = q.nibbles_at + 4 * in.number((stride - q.nibbles_at) / 4 + 1);
    q.nibble_shift = 1 + in.number(max_nibble_shift);
    q.crumb_shift = 1 + in.number(max_crumb_shift);
    q.offset = static_cast<i32>(in.word());
    q.residual_weight = static_cast<i32>(in.word() % 16000001) - 8000000;
    q.exponent = in.number(8);
    q.norm_left = in.number(8);
    q.norm_right = in.number(32);
    q.norm_mask = in.number(2) ? ~0u : 0;
    std::vector<u32> ids(count);
    for (u32 &id : ids) id = in.number(records);
    Tight<u8> memory((listed ? records : count) * stride);
    alignas(64) i8 code[query_bytes(max_record_bytes)];
    in.fill(code, query_bytes(stride));
    for (i8 &c : code) c = larger<i8>(c, -127);
    complete_query(q, code, stride);
    in.fill(memory.data(), (listed ? records : count) * stride);
    for (u32 i = 0; i < (listed ? records : count) * stride; ++i)
        if (i % stride < smaller(q.nibbles_at, stride - record_tail)) memory[i] = larger<u8>(memory[i], 1);
    Tight<i32> expected(count), got(count);
    scalar_table().score(q, memory.data(), stride, listed ? ids.data() : nullptr, count, expected.data());
    each_other_table([&](const Kernels &k) {
        k.score(q, memory.data(), stride, listed ? ids.data() : nullptr, count, got.data());
        REQUIRE(got == expected);
    });
}

// No element of either is -128: the format promises it of the matrix, and queries are made so.
void fuzz_matvec(Input &in) {
    const u32 rows = 1 + in.number(9), cols = 64 * (1 + (in.number(64) != 63 ? in.number(4) : in.number(1024))), count = 1 + in.number(matvec_vectors);
    Tight<u8> matrix(static_cast<size_t>(rows) * cols, in.number(64));
    Tight<i8> x(static_cast<size_t>(count) * cols, in.number(64));
    in.fill(matrix.data(), static_cast<size_t>(rows) * cols);
    in.fill(x.data(), count * cols);
    for (u32 i = 0; i < rows * cols; ++i) matrix[i] = larger<u8>(matrix[i], 1);
    for (u32 c = 0; c < count * cols; ++c) x[c] = larger<i8>(x[c], -127);
    Tight<i32> expected(static_cast<size_t>(count) * rows), got(static_cast<size_t>(count) * rows);
    const i8 *vectors[matvec_vectors];
    i32 *right[matvec_vectors], *out[matvec_vectors];
    for (u32 q = 0; q < count; ++q) {
        vectors[q] = x.data() + q * cols;
        right[q] = expected.data() + q * rows;
        out[q] = got.data() + q * rows;
    }
    scalar_table().matvec(matrix.data(), rows, cols, vectors, count, right);
    each_other_table([&](const Kernels &k) {
        k.matvec(matrix.data(), rows, cols, vectors, count, out);
        REQUIRE(got == expected);
    });
}

void fuzz_tiles(Input &in) {
    const u32 tiles = 1 + in.number(5), cols = 4 * (1 + in.number(40));
    Tight<u8> rows(static_cast<size_t>(tiles) * tile_rows * cols, in.number(64));
    Tight<i8> x(tile_vectors * cols, in.number(64));
    in.fill(rows.data(), static_cast<size_t>(tiles) * tile_rows * cols);
    in.fill(x.data(), tile_vectors * cols);
    for (u32 i = 0; i < tiles * tile_rows * cols; ++i) rows[i] = larger<u8>(rows[i], 1);
    for (u32 i = 0; i < tile_vectors * cols; ++i) x[i] = larger<i8>(x[i], -127);
    const i8 *vectors[tile_vectors];
    for (u32 q = 0; q < tile_vectors; ++q) vectors[q] = x.data() + q * cols;
    Tight<i32> expected(tile_vectors * tiles * tile_rows), got(tile_vectors * tiles * tile_rows);
    scalar_table().multiply_tiles(rows.data(), tiles, cols, vectors, expected.data());
    each_other_table([&](const Kernels &k) {
        k.multiply_tiles(rows.data(), tiles, cols, vectors, got.data());
        REQUIRE(got == expected);
    });
}

void fuzz_unseen(Input &in) {
    const u32 bits = 4 + in.number(7), count = in.number(100), width = in.number(4) ? 1 + in.number(25) : 32;
    const u32 rows = 1 + in.word() % (width == 32 ? 0xfffffff0u : 1u << width), base = 1 + in.word() % (0xfffffffeu - rows);
    const u64 size = IdList::bytes_for(count, width), place = in.number(64);
    testdata::Memory lines(round_up(place + size + 3, 64));     // which may be read whole
    in.fill(lines.data() + place, size);
    const IdList ids{lines.data() + place, width, count};
    Tight<u32> tags(size_t(1) << bits);
    for (u32 i = 0; i < 1u << bits; ++i) {      // some as if seen
        in.fill(&tags[i], sizeof(u32));
        tags[i] = tags[i] & 1 && count > 0 ? base + ids[tags[i] / 2 % count] : tags[i];
    }
    Tight<u32> tags_after = tags;
    std::vector<u32> expected(count + unseen_padding), got(count + unseen_padding);
    u64 bad = 0;
    const u32 found = scalar_table().unseen(ids, SeenTags{tags_after.data(), 32 - bits, base}, rows, expected.data(), bad);
    REQUIRE(found + bad <= count);
    each_other_table([&](const Kernels &k) {
        Tight<u32> got_tags = tags;
        u64 got_bad = 0;
        REQUIRE(k.unseen(ids, SeenTags{got_tags.data(), 32 - bits, base}, rows, got.data(), got_bad) == found);
        REQUIRE(std::equal(got.begin(), got.begin() + found, expected.begin()));
        REQUIRE(got_bad == bad && got_tags == tags_after);
    });
}

// Several insertions one after the other; between them an item is marked, as a search marks what it expands.
void fuzz_insert_sorted(Input &in) {
    const u32 width = 1 + in.number(120), rounds = 1 + in.number(12), most = 1 + in.number(40);
    const i64 mask = in.number(2) ? ~i64(1) : 0xfe;     // few values: many twins
    const u32 padded = static_cast<u32>(round_up(width, sorted_padding));
    std::vector<std::vector<i64>> fresh(rounds);
    for (std::vector<i64> &items : fresh) {
        items.resize(1 + in.number(most));
        for (i64 &item : items) item = 0;
    }
    for (std::vector<i64> &items : fresh) {
        in.fill(items.data(), items.size() * sizeof(i64));
        for (i64 &item : items) item = item == INT64_MAX ? 0 : item & mask;
    }
    const auto run = [&](const Kernels &k, std::vector<i64> &result) {
        testdata::Memory memory(padded * sizeof(i64));
        i64 *items = reinterpret_cast<i64 *>(memory.data());
        std::fill(items, items + padded, INT64_MAX);
        for (const std::vector<i64> &more : fresh) {
            result.push_back(k.insert_sorted(items, width, more.data(), static_cast<u32>(more.size())));
            result.insert(result.end(), items, items + width);
            i64 &marked = items[static_cast<size_t>(more[0] >> 1) % width];
            if (marked != INT64_MAX) marked |= 1;
        }
    };
    std::vector<i64> expected;
    run(scalar_table(), expected);
    each_other_table([&](const Kernels &k) {
        std::vector<i64> got;
        run(k, got);
        // The place may be anything past the last item where nothing changed.
        REQUIRE(got.size() == expected.size());
        for (size_t i = 0; i < got.size(); ++i)
            if (i % (width + 1) != 0) REQUIRE(got[i] == expected[i]);
    });
}

void fuzz_loops(Input &in) {
    const u32 n = 1 + in.number(120);
    const bool small = in.number(4) != 0;
    Tight<float> x(n, in.number(4)), y(n, in.number(4)), expected(n), got(n);
    Tight<u8> bytes(n), got_bytes(n);
    Tight<i8> codes(n), got_codes(n);
    Tight<i32> sums(n);
    fill_floats(in, x.data(), n, small);
    fill_floats(in, y.data(), n, small);
    in.fill(sums.data(), n * sizeof(i32));
    const Loops &plain = scalar_table().loops;
    const auto same = [](float a, float b) { return same_bits(a, b) || (std::isnan(a) && std::isnan(b)); };
    each_other_table([&](const Kernels &k) {
        const Loops &loops = k.loops;
        REQUIRE(same(loops.sum(x.data(), n), plain.sum(x.data(), n)));
        REQUIRE(same(loops.square_sum(x.data(), n), plain.square_sum(x.data(), n)));
        REQUIRE(same(loops.peak(x.data(), n), plain.peak(x.data(), n)));
        REQUIRE(same(loops.centre(x.data(), y.data(), n, got.data()), plain.centre(x.data(), y.data(), n, expected.data())));
        REQUIRE(got == expected);
        REQUIRE(loops.narrow(x.data(), n, -128, 127, got_bytes.data()) == plain.narrow(x.data(), n, -128, 127, bytes.data()));
        REQUIRE(got_bytes == bytes);
        loops.from_fixed(sums.data(), x.data(), n, 0.3f, got.data());
        plain.from_fixed(sums.data(), x.data(), n, 0.3f, expected.data());
        REQUIRE(got == expected);
        loops.quantise(x.data(), n, 3.0f, got_codes.data());
        plain.quantise(x.data(), n, 3.0f, codes.data());
        REQUIRE(got_codes == codes);
        REQUIRE(loops.sum_codes(codes.data(), n) == plain.sum_codes(codes.data(), n));
        if (small) {        // below 2^24
            for (const i32 top : {15, 3}) {
                REQUIRE(loops.levels(x.data(), n, 4.0f, top, got_bytes.data()) == plain.levels(x.data(), n, 4.0f, top, bytes.data()));
                REQUIRE(got_bytes == bytes);
            }
        }
        const u32 shift = 1 + n % max_nibble_shift;
        for (const u32 bit : plane_bit) {
            const i32 top = bit % 4 ? 3 : 15;
            loops.level_codes(bytes.data(), n, bit, top, shift, got_codes.data());
            plain.level_codes(bytes.data(), n, bit, top, shift, codes.data());
            REQUIRE(got_codes == codes);
        }
    });
}

// Any bytes of a row, NaN too.
void fuzz_widen(Input &in) {
    const learnann_type type = static_cast<learnann_type>(1 + in.number(4));
    const u32 n = 1 + in.number(120);
    Tight<u8> from(n * element_bytes(type), in.number(4));
    Tight<float> expected(n), got(n);
    in.fill(from.data(), n * element_bytes(type));
    const bool finite = scalar_table().loops.widen(from.data(), type, n, expected.data());
    each_other_table([&](const Kernels &k) {
        REQUIRE(k.loops.widen(from.data(), type, n, got.data()) == finite);
        REQUIRE(got == expected);
    });
}

void fuzz_axpy4(Input &in) {
    const u32 n = 1 + in.number(120), misalignment = in.number(4), count = 1 + in.number(6), stride = n + in.number(3), all = (count - 1) * stride + n;
    Tight<float> start(all, misalignment), rows[4] = {Tight<float>(n), Tight<float>(n, 1), Tight<float>(n, 2), Tight<float>(n, 3)};
    Tight<float> weights(4 * count);
    fill_floats(in, weights.data(), 4 * count, true);
    fill_floats(in, start.data(), all, true);
    for (Tight<float> &row : rows) fill_floats(in, row.data(), n, true);
    const float *const x[4] = {rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data()};
    Tight<float> expected = start;
    scalar_table().axpy4(expected.data(), stride, count, x, weights.data(), n);
    each_other_table([&](const Kernels &k) {
        Tight<float> got = start;
        k.axpy4(got.data(), stride, count, x, weights.data(), n);
        for (u32 at = 0; at < all; ++at) {
            const u32 row = at / stride, i = at % stride;
            double size = std::fabs(start[at]);
            for (u32 j = 0; i < n && j < 4; ++j) size += std::fabs(double{weights[4 * row + j]} * x[j][i]);
            REQUIRE(near(got[at], expected[at], size));
        }
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 4096) return 0;
    void (*const kinds[])(Input &) = {fuzz_floats, fuzz_bytes, fuzz_score,  fuzz_matvec, fuzz_unseen,
                                      fuzz_insert_sorted, fuzz_loops, fuzz_widen, fuzz_axpy4, fuzz_tiles};
    Input in(data + 1, size - 1);
    kinds[data[0] % (sizeof kinds / sizeof kinds[0])](in);
    return 0;
}
