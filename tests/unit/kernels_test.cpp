// kernels_test.cpp: every kernel of every table that this machine runs, against plain loops. Integers are exactly
// equal; floats are within 1e-5 of the sum of the magnitudes added up. Rows end where their memory ends, so that
// AddressSanitizer sees a kernel that reads too far.
#include "simd/dispatch.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace learnann;
using TestRandom = testdata::Random;

namespace {

constexpr float float_tolerance = 1e-5f;

// `size` bytes that end where the allocation ends, at `misalignment` behind a multiple of 16.
struct Tight {
    std::vector<u8> bytes;
    u8 *at;
    Tight(size_t size, u32 misalignment) : bytes(size + misalignment), at(bytes.data() + misalignment) {}
};

double element(learnann_type type, const u8 *p) {
    if (type == LEARNANN_U8) return *p;
    if (type == LEARNANN_I8) return static_cast<i8>(*p);
    if (type == LEARNANN_F16) return testdata::half_value(load<u16>(p));
    return load<float>(p);
}

void fill(TestRandom &random, learnann_type type, u8 *p, u32 dim) {
    for (u32 i = 0; i < dim; ++i) {
        const double v = random.gaussian();
        if (type == LEARNANN_F32) store(p + 4 * i, static_cast<float>(v));
        else if (type == LEARNANN_F16) store(p + 2 * i, testdata::to_half(v));
        else p[i] = static_cast<u8>(random.next());
    }
}

// Counts what is wrong over all tables, and names the first.
struct Wrong {
    size_t count = 0;
    std::string first;
    void check(bool right, const Kernels &k, const char *what, u64 a, u64 b) {
        if (right) return;
        if (count++ == 0)
            first = std::string(k.name) + " " + what + " " + std::to_string(a) + " " + std::to_string(b);
    }
    void done() {
        CAPTURE(first);
        CHECK(count == 0);
    }
};

}  // namespace

TEST_CASE("tables: scalar first, no name twice, and the chosen one is among them") {
    REQUIRE(kernels_at(0) == &scalar_kernels());
    std::vector<std::string> names;
    bool chosen = false;
    u32 count = 0;
    for (; const Kernels *k = kernels_at(count); ++count) {
        chosen = chosen || k == &kernels();
        names.push_back(k->name);
    }
    CHECK(chosen);
    CHECK(kernels_at(count + 1) == nullptr);
    std::sort(names.begin(), names.end());
    CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
    MESSAGE("tables on this machine: ", count);
}

TEST_CASE("float kernels: dims 1 to 300, misalignments 0 to 3") {
    Wrong wrong;
    TestRandom random(1);
    for (u32 dim = 1; dim <= 300; ++dim)
        for (u32 misalignment = 0; misalignment < 4; ++misalignment)
            for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8}) {
                const u32 size = element_bytes(type);
                // Floats and halves are always aligned to themselves; queries are floats.
                Tight row(dim * size, misalignment * (size == 1 ? 1 : size)), query(dim * 4, misalignment * 4);
                fill(random, type, row.at, dim);
                fill(random, LEARNANN_F32, query.at, dim);
                const float *q = reinterpret_cast<const float *>(query.at);
                double dot = 0, dot_size = 0, l2 = 0;
                for (u32 i = 0; i < dim; ++i) {
                    const double x = element(type, row.at + i * size);
                    dot += q[i] * x;
                    dot_size += std::fabs(q[i] * x);
                    l2 += (q[i] - x) * (q[i] - x);
                }
                for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                    wrong.check(std::fabs(k->dot[type](q, row.at, dim) - dot) <= float_tolerance * dot_size + 1e-30, *k,
                                "dot", type, dim);
                    wrong.check(std::fabs(k->l2[type](q, row.at, dim) - l2) <= float_tolerance * l2 + 1e-30, *k, "l2",
                                type, dim);
                }
            }
    wrong.done();
}

TEST_CASE("half floats of every value enter the float kernels") {
    Wrong wrong;
    std::vector<u16> halves(64);
    std::vector<float> ones(64, 1.0f);
    for (u32 begin = 0; begin < 65536; begin += 64) {
        if ((begin & 0x7c00) == 0x7c00) continue;       // infinities, NaN
        double sum = 0, size = 0;
        for (u32 i = 0; i < 64; ++i) {
            halves[i] = static_cast<u16>(begin + i);
            sum += testdata::half_value(halves[i]);
            size += std::fabs(testdata::half_value(halves[i]));
        }
        for (u32 t = 0; const Kernels *k = kernels_at(t); ++t)
            wrong.check(std::fabs(k->dot[LEARNANN_F16](ones.data(), halves.data(), 64) - sum) <= float_tolerance * size,
                        *k, "half", begin, 0);
    }
    wrong.done();
}

TEST_CASE("byte kernels: dims 1 to 300, misalignments 0 to 3, and up to 65,535 at the extremes") {
    Wrong wrong;
    TestRandom random(2);
    const auto check = [&](const u8 *a, const u8 *b, u32 dim) {
        u64 l2u = 0, dotu = 0;
        i64 l2i = 0, doti = 0;
        for (u32 i = 0; i < dim; ++i) {
            const i64 x = a[i], y = b[i], sx = static_cast<i8>(a[i]), sy = static_cast<i8>(b[i]);
            l2u += static_cast<u64>((x - y) * (x - y));
            dotu += static_cast<u64>(x * y);
            l2i += (sx - sy) * (sx - sy);
            doti += sx * sy;
        }
        for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
            wrong.check(k->l2_u8(a, b, dim) == l2u, *k, "l2_u8", dim, 0);
            wrong.check(k->l2_i8(a, b, dim) == static_cast<u64>(l2i), *k, "l2_i8", dim, 0);
            wrong.check(k->dot_u8(a, b, dim) == dotu, *k, "dot_u8", dim, 0);
            wrong.check(static_cast<i32>(k->dot_i8(a, b, dim)) == doti, *k, "dot_i8", dim, 0);
        }
    };
    for (u32 dim = 1; dim <= 300; ++dim)
        for (u32 misalignment = 0; misalignment < 4; ++misalignment) {
            Tight a(dim, misalignment), b(dim, 3 - misalignment);
            fill(random, LEARNANN_U8, a.at, dim);
            fill(random, LEARNANN_U8, b.at, dim);
            check(a.at, b.at, dim);
        }
    for (const u32 dim : {1000u, 4096u, 32767u, 65535u}) {
        Tight a(dim, 1), b(dim, 0);
        for (const int x : {0, 1, 127, 128, 255, -1})
            for (const int y : {0, 127, 128, 255, -1}) {
                for (u32 i = 0; i < dim; ++i) {
                    a.at[i] = static_cast<u8>(x < 0 ? random.next() : static_cast<u64>(x));
                    b.at[i] = static_cast<u8>(y < 0 ? random.next() : static_cast<u64>(y));
                }
                check(a.at, b.at, dim);
            }
    }
    wrong.done();
}

TEST_CASE("score: every stride, count and kind of query") {
    Wrong wrong;
    TestRandom random(3);
    for (u32 stride = 16; stride <= 256; stride += 16) {
        constexpr u32 records = 64;
        std::vector<u8> memory(stride * records + 64);
        // At a multiple of 16 that is none of 64, ending where the allocation ends.
        u8 *base = memory.data() + 64 - stride % 64 % 48;
        base = memory.data() + (memory.size() - stride * records);
        alignas(64) i8 code[256];
        for (u32 count = 1; count <= 40; ++count) {
            const u32 extreme = count % 8;      // 0: all at their largest
            for (u32 i = 0; i < stride * records; ++i)
                base[i] = static_cast<u8>(extreme == 0 ? (random.below(2) ? 1 : 255) : 1 + random.below(255));
            for (u32 r = 0; r < records; ++r)       // the tail is arbitrary, 0 included
                for (u32 i = 0; i < record_tail; ++i)
                    base[r * stride + stride - record_tail + i] = static_cast<u8>(random.below(4) ? random.next() : 0);
            std::memset(code, 0, sizeof code);
            i32 sum = 0;
            for (u32 i = 0; i < stride - record_tail; ++i) {
                code[i] = static_cast<i8>(extreme == 0 ? (random.below(2) ? 127 : -127)
                                                       : static_cast<i32>(random.below(255)) - 127);
                sum += code[i];
            }
            for (u32 variant = 0; variant < 8; ++variant) {
                QueryCode q{};
                q.code = code;
                q.bias = 128 * sum;
                // Offsets, weights and shifts as queries and records have them: nothing may leave 32 bits.
                q.offset = variant & 1 ? static_cast<i32>(random.below(1u << 29)) : 0;
                q.residual_weight = static_cast<i32>(random.below(16000000)) - 8000000;
                if (variant == 2) q.residual_weight = 8000000;
                if (variant == 3) q.residual_weight = -8000000;
                q.exponent = variant == 6 ? random.below(8) : 0;
                q.norm_left = variant & 4 ? random.below(6) : 0;
                q.norm_right = variant & 4 ? 0 : random.below(31);
                q.norm_mask = variant == 5 ? 0 : ~0u;
                std::vector<u32> ids(count);
                for (u32 &id : ids) id = random.below(records);
                for (const bool listed : {false, true}) {
                    std::vector<i32> expected(count), got(count);
                    for (u32 i = 0; i < count; ++i) {
                        const u8 *record = base + (listed ? ids[i] : i) * stride;
                        i64 dot = 0;
                        for (u32 j = 0; j < stride - record_tail; ++j) dot += (record[j] - 128) * code[j];
                        const u32 tail = load<u32>(record + stride - record_tail);
                        const i64 norm = ((tail >> 8) << q.norm_left >> q.norm_right) & q.norm_mask;
                        const i64 residual = static_cast<i64>(tail & 31) * q.residual_weight >> 4;
                        const i64 dots = dot * (i64(1) << ((tail >> 5 & 7) + q.exponent + 1));
                        expected[i] = static_cast<i32>(static_cast<u32>(norm + q.offset - dots - residual));
                    }
                    for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                        std::fill(got.begin(), got.end(), 0x5a5a5a5a);
                        k->score(q, base, stride, listed ? ids.data() : nullptr, count, got.data());
                        wrong.check(got == expected, *k, "score", stride, count);
                    }
                }
            }
        }
    }
    wrong.done();
}

TEST_CASE("project: any number of rows, any width, at the limit of 2^31") {
    Wrong wrong;
    TestRandom random(4);
    for (const u32 cols : {64u, 128u, 192u, 512u, 1024u, 1088u, 2176u})
        for (u32 rows = 1; rows <= 17; ++rows) {
            testdata::Memory matrix_bytes(static_cast<size_t>(rows) * cols), x_bytes(cols * 2);
            i8 *matrix = reinterpret_cast<i8 *>(matrix_bytes.data());
            i16 *x = reinterpret_cast<i16 *>(x_bytes.data());
            const bool extreme = rows % 4 == 0;
            // |row| |x| < 2^31: spread over all places, or all in a few.
            const u32 limit = static_cast<u32>(32000 / std::sqrt(static_cast<double>(cols)));
            for (u32 i = 0; i < rows * cols; ++i)
                matrix[i] = static_cast<i8>(static_cast<i32>(random.below(255)) - 127);
            for (u32 i = 0; i < cols; ++i)
                x[i] = static_cast<i16>(static_cast<i32>(random.below(2 * limit)) - static_cast<i32>(limit));
            if (extreme) {
                std::memset(matrix, 0, matrix_bytes.size());
                std::memset(x, 0, x_bytes.size());
                for (u32 r = 0; r < rows; ++r) {
                    matrix[r * cols + r] = static_cast<i8>(r % 2 ? 127 : -127);
                    matrix[r * cols + (r + 7) % cols] = 100;
                }
                x[rows / 2] = 32000;
                x[cols - 1] = -1;
            }
            std::vector<i32> expected(rows), got(rows);
            for (u32 r = 0; r < rows; ++r) {
                i64 sum = 0;
                for (u32 c = 0; c < cols; ++c) sum += static_cast<i64>(matrix[r * cols + c]) * x[c];
                REQUIRE(sum == static_cast<i32>(sum));
                expected[r] = static_cast<i32>(sum);
            }
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                std::fill(got.begin(), got.end(), 77);
                k->project(matrix, rows, cols, x, got.data());
                wrong.check(got == expected, *k, "project", rows, cols);
            }
        }
    wrong.done();
}

TEST_CASE("axpy4: any length and alignment, nothing behind the end touched") {
    Wrong wrong;
    TestRandom random(5);
    for (u32 n = 1; n <= 300; ++n)
        for (u32 misalignment = 0; misalignment < 4; ++misalignment) {
            std::vector<std::vector<float>> x(4);
            const float *rows[4];
            float weights[4];
            for (u32 j = 0; j < 4; ++j) {
                x[j].resize(n + misalignment);
                for (float &v : x[j]) v = static_cast<float>(random.gaussian());
                rows[j] = x[j].data() + misalignment;
                weights[j] = static_cast<float>(random.gaussian());
            }
            std::vector<float> start(n + misalignment);
            for (float &v : start) v = static_cast<float>(random.gaussian());
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                std::vector<float> y = start;
                k->axpy4(y.data() + misalignment, rows, weights, n);
                bool right = std::equal(y.begin(), y.begin() + misalignment, start.begin());
                for (u32 i = 0; i < n; ++i) {
                    double sum = start[misalignment + i], size = std::fabs(sum);
                    for (u32 j = 0; j < 4; ++j) {
                        sum += static_cast<double>(weights[j]) * rows[j][i];
                        size += std::fabs(static_cast<double>(weights[j]) * rows[j][i]);
                    }
                    right = right && std::fabs(y[misalignment + i] - sum) <= float_tolerance * size;
                }
                wrong.check(right, *k, "axpy4", n, misalignment);
            }
        }
    wrong.done();
}
