// kernels_test.cpp: every kernel of every table that this machine runs, against plain loops. Integers are exactly
// equal; floats are within 1e-5 of the sum of the magnitudes added up. Rows end where their memory ends, so that
// AddressSanitizer sees a kernel that reads too far.
#include "simd/dispatch.hpp"
#include "querycode.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <set>
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
        alignas(64) i8 code[6 * 256];
        for (u32 count = 1; count <= 40; ++count) {
            const u32 extreme = count % 8;      // 0: all at their largest
            // All bytes, or nibbles and crumbs from any multiples of 4 on; where all but one line is nibbles, often.
            u32 at = count % 3 ? random.below(stride / 4) * 4 : stride;
            u32 crumbs_at = at + random.below((stride - at) / 4 + 1) * 4;
            if (count % 6 == 1 && stride > 64) at = 64;
            if (count % 3 == 1) crumbs_at = stride;
            const u32 shift = 1 + random.below(max_nibble_shift), crumb_shift = 1 + random.below(max_crumb_shift);
            for (u32 i = 0; i < stride * records; ++i)
                base[i] = static_cast<u8>(extreme == 0 ? (random.below(2) ? 1 : 255) : 1 + random.below(255));
            for (u32 r = 0; r < records; ++r)       // the tail is arbitrary, 0 included
                for (u32 i = 0; i < record_tail; ++i)
                    base[r * stride + stride - record_tail + i] = static_cast<u8>(random.below(4) ? random.next() : 0);
            for (i8 &c : code)
                c = static_cast<i8>(extreme == 0 ? (random.below(2) ? 127 : -127) : static_cast<i32>(random.below(255)) - 127);
            for (u32 variant = 0; variant < 8; ++variant) {
                QueryCode q{};
                q.nibbles_at = at;
                q.crumbs_at = crumbs_at;
                q.nibble_shift = shift;
                q.crumb_shift = crumb_shift;
                complete_query(q, code, stride);
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
                        for (u32 j = 0; j < stride - record_tail; ++j) {
                            if (j < at) dot += (record[j] - 128) * code[j];
                            for (u32 p = 0; j >= at && p < (j < crumbs_at ? 2 : 4); ++p) {
                                const i32 top = j < crumbs_at ? 15 : 3, level = record[j] >> plane_bit[p] & top;
                                dot += (2 * level - top) * (1 << ((j < crumbs_at ? shift : crumb_shift) - 1)) * code[p * stride + j];
                            }
                        }
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

TEST_CASE("matvec: any number of rows and vectors, any width, any alignment of the vectors") {
    Wrong wrong;
    TestRandom random(6);
    for (const u32 cols : {64u, 128u, 192u, 256u, 1024u, 65536u})
        for (u32 rows = 1; rows <= (cols > 2000 ? 5 : 18); ++rows) {
            const size_t size = static_cast<size_t>(rows) * cols;
            const u32 extreme = rows % 3;       // 0: all at their largest, of one sign or of both
            Tight weights(size, 16);
            for (size_t i = 0; i < size; ++i)
                weights.at[i] = static_cast<u8>(extreme ? 1 + random.below(255) : rows % 2 ? 255 : 1);
            std::vector<Tight> tight;
            const i8 *x[matvec_vectors];
            std::vector<i32> expected(matvec_vectors * rows), got(expected.size());
            i32 *out[matvec_vectors];
            for (u32 q = 0; q < matvec_vectors; ++q) {
                tight.emplace_back(cols, (rows + q) % 16);
                for (u32 c = 0; c < cols; ++c)
                    tight[q].at[c] = static_cast<u8>(extreme ? static_cast<i32>(random.below(255)) - 127 : (rows + q) % 2 && random.below(2) ? 127 : -127);
                out[q] = got.data() + q * rows;
            }
            for (u32 q = 0; q < matvec_vectors; ++q) {
                x[q] = reinterpret_cast<const i8 *>(tight[q].at);
                for (u32 r = 0; r < rows; ++r)
                    for (u32 c = 0; c < cols; ++c) expected[q * rows + r] += (weights.at[static_cast<size_t>(r) * cols + c] - 128) * x[q][c];
            }
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t)
                for (u32 count = 1; count <= matvec_vectors; ++count) {
                    std::vector<i32> wanted = expected;
                    std::fill(wanted.begin() + count * rows, wanted.end(), 77);
                    std::fill(got.begin(), got.end(), 77);
                    k->matvec(weights.at, rows, cols, x, count, out);
                    wrong.check(got == wanted, *k, "matvec", rows, cols);
                }
        }
    wrong.done();
}

TEST_CASE("multiply_tiles: any number of tiles, any width, any alignment") {
    Wrong wrong;
    TestRandom random(16);
    for (const u32 cols : {4u, 8u, 60u, 64u, 68u, 124u, 168u, 256u, 65536u})
        for (u32 tiles = 1; tiles <= (cols > 2000 ? 1 : 5); ++tiles) {
            const u32 rows = tiles * tile_rows, extreme = tiles % 3;       // 0: all at their largest
            Tight tiled(static_cast<size_t>(rows) * cols, 5 * tiles);
            std::vector<u8> x(tile_vectors * cols);
            for (size_t i = 0; i < static_cast<size_t>(rows) * cols; ++i) tiled.at[i] = static_cast<u8>(extreme ? 1 + random.below(255) : 1);
            for (u8 &v : x) v = static_cast<u8>(extreme ? static_cast<i32>(random.below(255)) - 127 : -127);
            const i8 *vectors[tile_vectors];
            std::vector<Tight> tight;
            for (u32 q = 0; q < tile_vectors; ++q) {
                tight.emplace_back(cols, q);
                std::memcpy(tight[q].at, &x[q * cols], cols);
            }
            for (u32 q = 0; q < tile_vectors; ++q) vectors[q] = reinterpret_cast<const i8 *>(tight[q].at);
            std::vector<i32> expected(tile_vectors * rows), got(expected.size());
            for (u32 q = 0; q < tile_vectors; ++q)
                for (u32 r = 0; r < rows; ++r)
                    for (u32 c = 0; c < cols; ++c) {
                        const size_t at = static_cast<size_t>(r / tile_rows) * tile_rows * cols + c / 4 * 4 * tile_rows + r % tile_rows * 4 + c % 4;
                        expected[q * rows + r] += (tiled.at[at] - 128) * vectors[q][c];
                    }
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                std::fill(got.begin(), got.end(), 77);
                k->multiply_tiles(tiled.at, tiles, cols, vectors, got.data());
                wrong.check(got == expected, *k, "multiply_tiles", tiles, cols);
            }
        }
    wrong.done();
}

TEST_CASE("crc32c: any length, any alignment, and on from any crc") {
    Wrong wrong;
    TestRandom random(18);
    for (u32 size = 0; size <= 100; ++size) {
        Tight bytes(size, size);
        fill(random, LEARNANN_U8, bytes.at, size);
        const u32 before = size % 3 ? static_cast<u32>(random.next()) : 0;
        u32 expected = ~before;
        for (u32 i = 0; i < size; ++i) {        // as the polynomial says, bit by bit
            expected ^= bytes.at[i];
            for (int bit = 0; bit < 8; ++bit) expected = expected >> 1 ^ (expected & 1 ? 0x82f63b78u : 0);
        }
        for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) wrong.check(k->crc32c(before, bytes.at, size) == ~expected, *k, "crc32c", size, before);
    }
    wrong.done();
}

TEST_CASE("nearer: all tables find the same rows, at the same distances to the bit") {
    Wrong wrong;
    TestRandom random(17);
    for (u32 count = 16; count <= 96; count += 16)
        for (const u32 share : {0u, 5u, 50u, 100u}) {
            std::vector<i32> dots(count);
            std::vector<float> norms(count), scales(count), residuals(count), distances(count);
            for (u32 i = 0; i < count; ++i) {
                dots[i] = static_cast<i32>(random.below(4000000)) - 2000000;
                norms[i] = random.below(100) < share ? static_cast<float>(random.below(100000)) : std::numeric_limits<float>::infinity();
                scales[i] = static_cast<float>(2u << random.below(3));
                residuals[i] = static_cast<float>(random.below(32));
            }
            const loops::Compared rows{dots.data(), norms.data(), scales.data(), residuals.data(), count};
            std::vector<u32> places(count);
            std::vector<float> expected_distances;
            std::vector<u32> expected;
            for (u32 i = 0; i < count; ++i) {
                const float product = static_cast<float>(dots[i]) * 1.0f * scales[i], residual = residuals[i] * 3.3125f;
                const float rest = norms[i] - product, distance = rest - residual;
                if (distance < 1000000.0f) expected.push_back(i), expected_distances.push_back(distance);
            }
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                const u32 found = k->loops.nearer(rows, 1.0f, 3.3125f, 1000000.0f, distances.data(), places.data());
                wrong.check(std::vector<u32>(places.begin(), places.begin() + found) == expected &&
                                std::vector<float>(distances.begin(), distances.begin() + found) == expected_distances,
                            *k, "nearer", count, share);
            }
        }
    wrong.done();
}

TEST_CASE("unseen: counts 0 to 200, ids of every width, anywhere in a line, colliding places, ids that are none") {
    Wrong wrong;
    TestRandom random(7);
    for (const u32 bits : {4u, 10u, 16u})
        for (u32 count = 0; count <= 200; ++count) {
            const u32 width = count % 3 == 0 ? 32 : 1 + random.below(25);
            const u32 rows = 1 + random.below(width == 32 ? 0xfffffffe / 2 : 1u << width);
            const u32 base = 1 + random.below(0xfffffffe - rows);
            std::vector<u32> tags(size_t(1) << bits);
            for (u32 &tag : tags) tag = random.below(2) ? base + random.below(rows) : random.below(base);
            const u64 size = IdList::bytes_for(count, width), place = random.below(64);     // in whole lines
            testdata::Memory lines(round_up(place + size + 3, 64));
            std::memset(lines.data(), 0, lines.size());
            u8 *bytes = lines.data() + place;
            IdList ids{bytes, width, count};
            for (u32 i = 0; i < count; ++i) {
                u32 id = random.below(rows);
                if (random.below(4) == 0) id = (tags[random.below(1u << bits)] - base) % rows;     // more often seen
                if (random.below(8) == 0) id = random.below(2) ? rows + random.below(10) : 0xffffffffu - random.below(3);
                id &= ids.mask();
                put_id(bytes, width, i, id);
                REQUIRE(ids[i] == id);
            }
            std::vector<u32> tags_after = tags, fresh;
            u64 bad = 0;
            for (u32 begin = 0; begin < count; begin += unseen_block) {
                const u32 end = smaller(begin + unseen_block, count);
                const size_t first = fresh.size();
                for (u32 i = begin; i < end; ++i) {
                    const u32 id = ids[i];
                    if (id >= rows) ++bad;
                    else if (tags_after[id * 2654435769u >> (32 - bits)] != base + id) fresh.push_back(id);
                }
                for (size_t i = first; i < fresh.size(); ++i)
                    tags_after[fresh[i] * 2654435769u >> (32 - bits)] = base + fresh[i];
            }
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                std::vector<u32> got_tags = tags, got(count + unseen_padding);
                u64 got_bad = 5;
                const SeenTags seen{got_tags.data(), 32 - bits, base};
                const u32 found = k->unseen(ids, seen, rows, got.data(), got_bad);
                got.resize(smaller(found, count));
                wrong.check(found == fresh.size() && got == fresh, *k, "unseen", bits, count);
                wrong.check(got_bad == bad + 5, *k, "unseen, bad", bits, count);
                wrong.check(got_tags == tags_after, *k, "unseen, tags", bits, count);
            }
        }
    wrong.done();
}

TEST_CASE("insert_sorted: widths 1 to 300, like a set") {
    Wrong wrong;
    TestRandom random(8);
    constexpr i64 sentinel = 0x5a5a5a5a5a5a5a5a;
    for (u32 width = 1; width <= 300; ++width) {
        const u32 padded = static_cast<u32>(round_up(width, sorted_padding));
        for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
            testdata::Memory memory((padded + 8) * sizeof(i64));
            i64 *items = reinterpret_cast<i64 *>(memory.data());
            for (u32 i = 0; i < padded + 8; ++i) items[i] = i < padded ? INT64_MAX : sentinel;
            const auto smaller_twin = [](i64 a, i64 b) { return (a | 1) < (b | 1); };
            std::set<i64, decltype(smaller_twin)> best(smaller_twin);       // at most `width`, without the padding
            const u64 range = width % 3 == 0 ? ~u64(0) : width % 3 == 1 ? 40 : 1000;
            for (u32 round = 0; round < 40; ++round) {
                std::vector<i64> fresh(1 + random.below(round % 4 == 0 ? 40 : 4));
                for (i64 &item : fresh) {
                    item = static_cast<i64>(random.next() % range - range / 2) & ~i64(1);
                    if (random.below(50) == 0) item = random.below(2) ? INT64_MIN : INT64_MAX - 3;
                    if (random.below(4) == 0 && !best.empty())
                        item = items[random.below(static_cast<u32>(best.size()))] & ~i64(1);
                }
                const std::vector<i64> before(items, items + width);
                for (const i64 item : fresh) {
                    best.insert(item);
                    if (best.size() > width) best.erase(std::prev(best.end()));
                }
                const u32 place = k->insert_sorted(items, width, fresh.data(), static_cast<u32>(fresh.size()));
                std::vector<i64> expected(best.begin(), best.end());
                const u32 taken = static_cast<u32>(expected.size());
                expected.resize(width, INT64_MAX);
                wrong.check(std::equal(expected.begin(), expected.end(), items), *k, "insert_sorted", width, round);
                u32 changed = 0;
                while (changed < width && before[changed] == items[changed]) ++changed;
                wrong.check(changed < width ? place == changed : place >= taken, *k, "insert_sorted, place", width, round);
                wrong.check(std::all_of(items + padded, items + padded + 8, [](i64 v) { return v == sentinel; }), *k,
                            "insert_sorted, behind the end", width, round);
                // As a search marks the rows that it expands.
                if (taken > 0) {
                    const u32 at = random.below(taken);
                    best.erase(items[at]);
                    best.insert(items[at] |= 1);
                }
            }
        }
    }
    wrong.done();
}

TEST_CASE("loops: the same bits on every table, sizes 1 to 300") {
    Wrong wrong;
    TestRandom random(9);
    const Loops &plain = scalar_kernels().loops;
    const auto same = [](const auto &a, const auto &b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0; };
    const auto same_bits = [](float a, float b) { return load<u32>(&a) == load<u32>(&b); };
    for (u32 n = 1; n <= 300; ++n) {
        const u32 misalignment = n % 4;
        Tight x_bytes(n * 4, 4 * misalignment), y_bytes(n * 4, 12 - 4 * misalignment);
        fill(random, LEARNANN_F32, x_bytes.at, n);
        fill(random, LEARNANN_F32, y_bytes.at, n);
        const float *x = reinterpret_cast<const float *>(x_bytes.at), *y = reinterpret_cast<const float *>(y_bytes.at);
        std::vector<i32> sums(n);
        for (i32 &sum : sums) sum = static_cast<i32>(random.next());
        std::vector<float> whole(n);
        for (float &v : whole) v = static_cast<float>(static_cast<i32>(random.below(256)) - 128);
        if (n % 3 == 0) whole[random.below(n)] += n % 2 ? 0.5f : 300.0f;
        for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
            const Loops &loops = k->loops;
            wrong.check(same_bits(loops.sum(x, n), plain.sum(x, n)), *k, "sum", n, 0);
            wrong.check(same_bits(loops.square_sum(x, n), plain.square_sum(x, n)), *k, "square_sum", n, 0);
            wrong.check(same_bits(loops.peak(x, n), plain.peak(x, n)), *k, "peak", n, 0);

            std::vector<u8> bytes(n), plain_bytes(n);
            const bool narrow = loops.narrow(whole.data(), n, -128, 127, bytes.data());
            wrong.check(narrow == plain.narrow(whole.data(), n, -128, 127, plain_bytes.data()) && same(bytes, plain_bytes), *k,
                        "narrow", n, 0);
            wrong.check(narrow == (n % 3 != 0), *k, "narrow, result", n, 0);

            std::vector<float> floats(n), plain_floats(n);
            const float square = loops.centre(x, y, n, floats.data());
            wrong.check(same_bits(square, plain.centre(x, y, n, plain_floats.data())) && same(floats, plain_floats), *k, "centre", n, 0);
            loops.from_fixed(sums.data(), x, n, 1.0f / 3, floats.data());
            plain.from_fixed(sums.data(), x, n, 1.0f / 3, plain_floats.data());
            wrong.check(same(floats, plain_floats), *k, "from_fixed", n, 0);

            std::vector<i8> code(n), plain_code(n);
            loops.quantise(x, n, 60.0f, code.data());
            plain.quantise(x, n, 60.0f, plain_code.data());
            wrong.check(same(code, plain_code), *k, "quantise", n, 0);

            for (const i32 top : {15, 3}) {
                const i32 squares = loops.levels(x, n, 4.0f, top, bytes.data());
                wrong.check(squares == plain.levels(x, n, 4.0f, top, plain_bytes.data()) && same(bytes, plain_bytes), *k, "levels", n, 0);
                i32 expected_squares = 0;
                for (u32 i = 0; i < n; ++i) {
                    const float half = static_cast<float>(top + 1) / 2;
                    const i32 u = static_cast<i32>(clamp(std::floor(x[i] * 4.0f) + half, 0.0f, static_cast<float>(top)));
                    wrong.check(bytes[i] == u, *k, "levels, value", n, i);
                    expected_squares += (2 * u - top) * (2 * u - top);
                }
                wrong.check(squares == expected_squares, *k, "levels, squares", n, 0);
            }
        }
    }
    wrong.done();
}

TEST_CASE("widen: every type, misalignments 0 to 3, the same bits on every table; a value that is none is told") {
    Wrong wrong;
    TestRandom random(10);
    for (u32 n = 1; n <= 300; ++n)
        for (u32 misalignment = 0; misalignment < 4; ++misalignment)
            for (const learnann_type type : {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8}) {
                const u32 size = element_bytes(type);
                Tight from(n * size, misalignment);
                fill(random, type, from.at, n);
                const bool floating = type == LEARNANN_F32 || type == LEARNANN_F16;
                const bool good = !floating || n % 3 != misalignment % 3;
                u8 *at = from.at + random.below(n) * size;
                if (!good && type == LEARNANN_F32) store(at, random.below(2) ? 0x7fc00001u : 0xff800000u);
                if (!good && type == LEARNANN_F16) store(at, static_cast<u16>(random.below(2) ? 0x7e01 : 0xfc00));
                std::vector<float> expected(n);
                scalar_kernels().loops.widen(from.at, type, n, expected.data());
                for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                    std::vector<float> got(n + 1, 77.0f);
                    wrong.check(k->loops.widen(from.at, type, n, got.data()) == good, *k, "widen, result", type, n);
                    wrong.check(got[n] == 77.0f && std::memcmp(got.data(), expected.data(), n * 4) == 0, *k, "widen", type, n);
                    for (u32 i = 0; good && i < n; ++i)
                        wrong.check(got[i] == element(type, from.at + i * size), *k, "widen, value", type, n);
                }
            }
    wrong.done();
}

TEST_CASE("axpy4: any length, number of rows and alignment, nothing behind the end touched") {
    Wrong wrong;
    TestRandom random(5);
    for (u32 n = 1; n <= 300; ++n)
        for (u32 misalignment = 0; misalignment < 4; ++misalignment) {
            const u32 rows = 1 + (n + misalignment) % 6, stride = n + n % 3;
            std::vector<std::vector<float>> x(4);
            const float *four[4];
            for (u32 j = 0; j < 4; ++j) {
                x[j].resize(n + misalignment);
                for (float &v : x[j]) v = static_cast<float>(random.gaussian());
                four[j] = x[j].data() + misalignment;
            }
            std::vector<float> weights(4 * rows), start(misalignment + rows * stride);
            for (float &v : weights) v = static_cast<float>(random.gaussian());
            for (float &v : start) v = static_cast<float>(random.gaussian());
            for (u32 t = 0; const Kernels *k = kernels_at(t); ++t) {
                std::vector<float> y = start;
                k->axpy4(y.data() + misalignment, stride, rows, four, weights.data(), n);
                bool right = std::equal(y.begin(), y.begin() + misalignment, start.begin());
                for (u32 row = 0; row < rows; ++row)
                    for (u32 i = 0; i < stride; ++i) {
                        const u32 at = misalignment + row * stride + i;
                        double sum = start[at], size = std::fabs(sum);
                        for (u32 j = 0; i < n && j < 4; ++j) {
                            sum += static_cast<double>(weights[4 * row + j]) * four[j][i];
                            size += std::fabs(static_cast<double>(weights[4 * row + j]) * four[j][i]);
                        }
                        right = right && std::fabs(y[at] - sum) <= (i < n ? float_tolerance * size : 0);
                    }
                wrong.check(right, *k, "axpy4", n, misalignment);
            }
        }
    wrong.done();
}
