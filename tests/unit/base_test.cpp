// base_test.cpp: half floats, checked arithmetic, arrays whose allocation fails, random numbers, checksums, parallel
// loops.
#include "base/parallel.hpp"
#include "format/format.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace learnann;

TEST_CASE("halves: all 65,536 become the float they mean, and come back") {
    size_t wrong = 0;
    for (u32 h = 0; h < 65536; ++h) {
        const double expected = testdata::half_value(static_cast<u16>(h));
        const float f = half_to_float(static_cast<u16>(h));
        if (std::isnan(expected)) {
            const u16 back = float_to_half(f);
            wrong += !std::isnan(f) || (back & 0x7c00) != 0x7c00 || (back & 0x3ff) == 0;
        } else {
            wrong +=
                f != static_cast<float>(expected) || std::signbit(f) != std::signbit(expected) || float_to_half(f) != h;
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("floats become the nearest half, ties to even") {
    size_t wrong = 0;
    const auto check = [&](float f) {
        const u16 expected = testdata::to_half(f), got = float_to_half(f);
        wrong += std::isnan(f) ? (got & 0x7c00) != 0x7c00 || (got & 0x3ff) == 0 : got != expected;
    };
    for (u32 h = 0; h < 0x7c00; ++h) {      // each half, the middle to the next, and both sides of that
        const float a = half_to_float(static_cast<u16>(h));
        const double b = h + 1 < 0x7c00 ? half_to_float(static_cast<u16>(h + 1)) : 65536.0;
        const float middle = static_cast<float>((a + b) / 2);
        for (const float f : {a, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
            check(f);
            check(-f);
        }
    }
    testdata::Random random(1);
    for (u32 i = 0; i < 200000; ++i) {
        const u32 bits = static_cast<u32>(random.next());
        check(load<float>(&bits));
    }
    for (const float f : {0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, 1e30f, 1e-30f,
                          std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::denorm_min()})
        check(f);
    CHECK(wrong == 0);
}

TEST_CASE("arithmetic that says when it overflows") {
    u64 r = 0;
    CHECK_FALSE(add_overflows(1, 2, r));
    CHECK(r == 3);
    CHECK_FALSE(add_overflows(UINT64_MAX, 0, r));
    CHECK(add_overflows(UINT64_MAX, 1, r));
    CHECK(add_overflows(1ull << 63, 1ull << 63, r));
    CHECK_FALSE(mul_overflows(0, UINT64_MAX, r));
    CHECK(r == 0);
    CHECK_FALSE(mul_overflows(UINT64_MAX, 1, r));
    CHECK(r == UINT64_MAX);
    CHECK_FALSE(mul_overflows(1ull << 32, (1ull << 32) - 1, r));
    CHECK(mul_overflows(1ull << 32, 1ull << 32, r));
    CHECK(mul_overflows(3, UINT64_MAX / 2, r));
    CHECK(round_up(0, 64) == 0);
    CHECK(round_up(1, 64) == 64);
    CHECK(round_up(64, 64) == 64);
    CHECK(clamp(5, 1, 3) == 3);
    CHECK(clamp(-5, 1, 3) == 1);
    CHECK(clamp(2, 1, 3) == 2);
}

TEST_CASE("arrays: aligned, growing, moving, and empty where memory ran out") {
    testdata::CountingAllocator counter;
    Allocator allocator;
    allocator.hooks = counter.hooks();
    {
        Array<u32> a(allocator);
        CHECK(a.empty());
        REQUIRE(a.allocate(100) == LEARNANN_OK);
        CHECK(a.size() == 100);
        CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
        for (u32 i = 0; i < 100; ++i) a[i] = i;
        REQUIRE(a.grow(1000) == LEARNANN_OK);
        for (u32 i = 0; i < 100; ++i) CHECK(a[i] == i);
        REQUIRE(a.grow(10) == LEARNANN_OK);
        CHECK(a.size() == 1000);
        REQUIRE(a.at_least(500) == LEARNANN_OK);
        CHECK(a.size() == 1000);
        Array<u32> b(std::move(a));
        CHECK(b.size() == 1000);
        CHECK(b[99] == 99);
        Array<u32> c;
        c = std::move(b);
        CHECK(c.size() == 1000);
        CHECK(counter.live == 1);

        counter.fail_after(0);
        learnann_error error{};
        CHECK(c.grow(2000, &error) == LEARNANN_NOMEM);
        CHECK(error.needed >= 8000);
        CHECK(c.size() == 1000);        // what it held is kept
        CHECK(c[99] == 99);
        CHECK(c.allocate(10, &error) == LEARNANN_NOMEM);
        CHECK(c.empty());
        CHECK(c.zeroes(10, &error) == LEARNANN_NOMEM);
        CHECK(counter.live == 0);
        counter.fail_after(-1);
        REQUIRE(c.zeroes(10) == LEARNANN_OK);
        for (const u32 v : c) CHECK(v == 0);
        CHECK(c.allocate(0) == LEARNANN_OK);
        CHECK(c.empty());
        for (const u64 count : {UINT64_MAX, UINT64_MAX / 4, UINT64_MAX / 4 - 5, u64(1) << 62}) {
            CHECK(c.allocate(count, &error) == LEARNANN_NOMEM);
            CHECK(error.status == LEARNANN_NOMEM);
        }
    }
    CHECK(counter.live == 0);
    CHECK(counter.live_bytes == 0);
}

TEST_CASE("random numbers are those of splitmix64, and in their ranges") {
    Random zero(0);
    CHECK(zero.next() == 0xe220a8397b1dcdafull);    // the generator's published first outputs for seed 0
    CHECK(zero.next() == 0x6e789e6aa1b965f4ull);
    CHECK(zero.next() == 0x06c45d188009454full);
    Random a(42), b(42), c(43);
    bool same = true, differs = false;
    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; ++i) {
        const u64 x = a.next();
        same = same && x == b.next();
        differs = differs || x != c.next();
    }
    CHECK(same);
    CHECK(differs);
    std::vector<u32> counts(7);
    for (int i = 0; i < 70000; ++i) {
        const u32 v = a.below(7);
        REQUIRE(v < 7);
        ++counts[v];
        const float u = a.uniform(), g = a.gaussian();
        REQUIRE((u >= 0 && u < 1));
        sum += g;
        squares += static_cast<double>(g) * g;
    }
    for (const u32 n : counts) CHECK((n > 9500 && n < 10500));
    CHECK(std::fabs(sum / 70000) < 0.02);
    CHECK(std::fabs(squares / 70000 - 1) < 0.03);
    CHECK(a.below(1) == 0);
}

TEST_CASE("shuffle gives a permutation, by seed") {
    for (const u32 count : {0u, 1u, 2u, 10u, 1000u}) {
        std::vector<u32> a(count), b(count), c(count);
        shuffle(a.data(), count, 1);
        shuffle(b.data(), count, 1);
        shuffle(c.data(), count, 2);
        CHECK(a == b);
        if (count == 1000) CHECK(a != c);
        const std::set<u32> all(a.begin(), a.end());
        CHECK(all.size() == count);
        if (count) CHECK(*all.rbegin() == count - 1);
    }
}

TEST_CASE("CRC32C: known vectors, and in parts as at once") {
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283u);
    u8 bytes[32] = {};
    CHECK(crc32c(0, bytes, 32) == 0x8a9136aau);     // RFC 3720, B.4
    std::memset(bytes, 0xff, 32);
    CHECK(crc32c(0, bytes, 32) == 0x62a8ab43u);
    for (u32 i = 0; i < 32; ++i) bytes[i] = static_cast<u8>(i);
    CHECK(crc32c(0, bytes, 32) == 0x46dd794eu);
    for (u32 i = 0; i < 32; ++i) bytes[i] = static_cast<u8>(31 - i);
    CHECK(crc32c(0, bytes, 32) == 0x113fdb5cu);
    CHECK(crc32c(0, "", 0) == 0);
    testdata::Random random(2);
    std::vector<u8> data(1000);
    for (u8 &b : data) b = static_cast<u8>(random.next());
    const u32 whole = crc32c(0, data.data(), data.size());
    for (size_t cut = 0; cut <= data.size(); ++cut)
        REQUIRE(crc32c(crc32c(0, data.data(), cut), data.data() + cut, data.size() - cut) == whole);
}

TEST_CASE("FNV-1a: known vectors") {
    CHECK(fnv1a("", 0) == 0xcbf29ce484222325ull);
    CHECK(fnv1a("a", 1) == 0xaf63dc4c8601ec8cull);
    CHECK(fnv1a("foobar", 6) == 0x85944171f73967e8ull);
}

TEST_CASE("parallel: every item once, workers below the threads") {
    for (const u32 threads : {1u, 2u, 5u})
        for (const u64 count : {0u, 1u, 7u, 1000u})
            for (const u64 block : {1u, 16u, 5000u}) {
                std::vector<std::atomic<u32>> seen(count + 1);
                std::atomic<u32> bad{0};
                parallel(threads, count, block, [&](u64 item, u32 worker) {
                    ++seen[item];
                    if (worker >= threads || item >= count) ++bad;
                });
                u64 once = 0;
                for (u64 i = 0; i < count; ++i) once += seen[i] == 1;
                CHECK(once == count);
                CHECK(bad == 0);
            }
}
