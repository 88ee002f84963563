// filter_test.cpp: filters asked by slot, and the heap of hits.
#include "search/filter.hpp"
#include "search/hits.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

using namespace learnann;

namespace {

struct Opened {
    testdata::Memory file;
    FileView view;
    explicit Opened(u64 rows, const u64 *keys = nullptr) {
        REQUIRE(testdata::build(testdata::clustered(rows, 3, LEARNANN_F32, 1), testdata::build_options(), keys, file) ==
                LEARNANN_OK);
        REQUIRE(view.open(file.data(), file.size(), nullptr) == LEARNANN_OK);
    }
};

int multiple_of_ten(void *, u64 key) { return key % 10 == 0; }

}  // namespace

TEST_CASE("filters: by row, by key, by predicate") {
    const u32 n = 500;
    std::vector<u64> keys(n);
    for (u32 i = 0; i < n; ++i) keys[i] = 3 * ((i * 7u) % n);
    const Opened plain(n), keyed(n, keys.data());
    std::vector<u64> bits(n / 64 + 1 + 20, 0);
    testdata::Random random(2);
    for (u64 &w : bits) w = random.next() & random.next();
    for (const Opened *o : {&plain, &keyed})
        for (const u64 bit_count : {u64(0), u64(1), u64(64), u64(130), u64(n), u64(3 * n)}) {
            const learnann_filter by_row{LEARNANN_FILTER_ROWS, bits.data(), bit_count, nullptr, nullptr};
            const learnann_filter by_key{LEARNANN_FILTER_KEYS, bits.data(), bit_count, nullptr, nullptr};
            const learnann_filter asked{LEARNANN_FILTER_PREDICATE, nullptr, 0, multiple_of_ten, nullptr};
            const learnann_filter none{LEARNANN_FILTER_NONE, nullptr, 0, nullptr, nullptr};
            const RowFilter rows(o->view, &by_row), ks(o->view, &by_key), predicate(o->view, &asked),
                off(o->view, &none), absent(o->view, nullptr);
            CHECK(rows.active());
            CHECK_FALSE(off.active());
            CHECK_FALSE(absent.active());
            CHECK(rows.by_row());
            CHECK(ks.by_row() == (o == &plain));
            CHECK_FALSE(predicate.by_row());
            const auto bit = [&](u64 i) { return i < bit_count && (bits[i / 64] >> i % 64 & 1); };
            size_t wrong = 0, passing = 0, keys_passing = 0;
            for (u32 slot = 0; slot < n; ++slot) {
                const u32 row = o->view.row_of_slot(slot);
                const u64 key = o == &keyed ? keys[row] : row;
                wrong += rows.pass(slot) != bit(row);
                wrong += ks.pass(slot) != bit(key);
                wrong += predicate.pass(slot) != (key % 10 == 0);
                wrong += !off.pass(slot) || !absent.pass(slot);
                passing += bit(row);
                keys_passing += bit(key);
            }
            CHECK(wrong == 0);
            CHECK(rows.expected_passes() == static_cast<double>(passing));
            CHECK(std::fabs(ks.expected_passes() - static_cast<double>(keys_passing)) <= n / 10.0);
            CHECK(off.expected_passes() == n);
            size_t visited = 0;
            CHECK(rows.each_passing([&](u32 slot) { visited += bit(o->view.row_of_slot(slot)); }) == 0);
            CHECK(visited == passing);
            visited = 0;
            CHECK(ks.each_passing([&](u32 slot) { visited += ks.pass(slot); }) == 0);
            CHECK(visited == keys_passing);
            CHECK(rows.asked() == 0);
            CHECK(predicate.asked() == n);
        }
}

TEST_CASE("bits of words, and of bitmaps: exact where there are few words or few bits, else within a few hundredths") {
    testdata::Random random(9);
    for (u32 i = 0; i < 200; ++i) {
        const u64 word = random.next() & (i % 3 ? random.next() : ~u64(0)) & (i % 7 ? ~u64(0) : random.next() & random.next());
        u32 bits = 0, lowest = 64;
        for (u32 b = 64; b-- > 0;)
            if (word >> b & 1) ++bits, lowest = b;
        CHECK(count_bits(word) == bits);
        CHECK(lowest_bit(word) == lowest);
    }
    CHECK(count_bits(0) == 0);
    CHECK(count_bits(~u64(0)) == 64);
    CHECK(lowest_bit(0) == 64);
    for (const u64 words : {u64(0), u64(1), u64(4095), u64(4096), u64(50000)})
        for (const u64 every : {1u, 2u, 64u, 20000u}) {
            const auto word = [&](u64 i) { return i % every == 0 ? u64(0xff00ff) << i % 40 : 0; };
            u64 set = 0;
            for (u64 i = 0; i < words; ++i) set += count_bits(word(i));
            const double tolerance = words <= 4096 || set < 4096 ? 0 : 0.2 * static_cast<double>(set);
            CHECK(std::fabs(static_cast<double>(about_set(words, word)) - static_cast<double>(set)) <= tolerance);
        }
}

TEST_CASE("hits: the nearest k, ties by key, like a sorted list") {
    const u32 n = 300;
    std::vector<u64> keys(n);
    for (u32 i = 0; i < n; ++i) keys[i] = (i * 7u) % n / 2;      // every key twice
    const Opened plain(n), keyed(n, keys.data());
    testdata::Random random(3);
    for (const Opened *o : {&plain, &keyed})
        for (const u32 k : {1u, 2u, 10u, 299u, 300u, 400u}) {
            std::vector<learnann_hit> out(k), all;
            Hits hits(o->view, out.data(), k);
            std::vector<u32> order(n);
            shuffle(order.data(), n, k);
            for (const u32 slot : order) {
                const float d = static_cast<float>(random.below(k > 5 ? 8 : 300));
                CHECK(hits.offer(slot, d));
                const u32 row = o->view.row_of_slot(slot);
                all.push_back(learnann_hit{o->view.key_of_row(row), row, d});
            }
            std::sort(all.begin(), all.end(), Nearer());
            all.resize(smaller(n, k));
            CHECK(hits.finish() == all.size());
            out.resize(all.size());
            CHECK(testdata::same_hits(out, all));
        }
}
