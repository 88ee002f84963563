// entries_test.cpp: entries keep their rows when they are brought into groups, and the groups are what they should be.
#include "learn/entries.hpp"
#include "plainrecord.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace learnann;

namespace {

// Rows in tight bunches, as records of 32 bytes; the norms in their tails are right.
struct Bunches {
    static constexpr u32 stride = 32, dim = stride - record_tail;
    std::vector<u8> records;
    std::vector<u32> bunch;
    Codec codec;
    CodeSpace space;

    Bunches(u32 count, u32 bunches) : records(count * stride), bunch(count) {
        testdata::Random random(5);
        std::vector<i32> centre(bunches * dim);
        for (i32 &c : centre) c = static_cast<i32>(random.below(201)) - 100;
        for (u32 row = 0; row < count; ++row) {
            bunch[row] = random.below(bunches);
            put_plain_record(&records[row * stride], dim,
                             [&](u32 i) { return centre[bunch[row] * dim + i] + static_cast<i32>(random.below(5)) - 2; });
        }
        codec = plain_codec(dim);
        space = CodeSpace{&codec, records.data(), count, false};
    }
};

}  // namespace

TEST_CASE("entries: groups keep every row, and hold what is near") {
    for (const u32 count : {1u, 2u, 7u, 16u, 100u, 400u}) {
        Bunches data(2 * count, count < 50 ? 2 : 10);
        EntryTable entries;
        REQUIRE(entries.rows.allocate(count) == LEARNANN_OK);
        for (u32 i = 0; i < count; ++i) entries.rows[i] = 2 * i;
        REQUIRE(entries.arrange(data.space, Allocator(), nullptr) == LEARNANN_OK);
        REQUIRE(entries.rows.size() == count);
        REQUIRE(entries.group >= 1);
        REQUIRE(entries.group <= count);
        const std::set<u32> rows(entries.rows.begin(), entries.rows.end());
        CHECK(rows.size() == count);
        for (const u32 row : rows) CHECK((row % 2 == 0 && row < 2 * count));
        for (u32 i = 0; i < count; ++i)
            CHECK(std::memcmp(entries.records.data() + i * data.stride, data.space.record(entries.rows[i]), data.stride) == 0);
        if (count < 100) continue;
        u32 with_its_middle = 0;
        for (u32 i = 0; i < count; ++i)
            with_its_middle += data.bunch[entries.rows[i]] == data.bunch[entries.rows[i / entries.group * entries.group]];
        CHECK(with_its_middle > count * 7 / 10);    // groups are of one size, bunches are not
    }
}

TEST_CASE("entries: groups keep every row where some are equal, or all") {
    for (const u32 different : {1u, 2u, 9u})
        for (const u32 count : {2u, 5u, 40u, 200u}) {
            Bunches data(count, 5);
            for (u32 row = different; row < count; ++row)
                std::memcpy(&data.records[row * data.stride], &data.records[row % different * data.stride], data.stride);
            EntryTable entries;
            REQUIRE(entries.rows.allocate(count) == LEARNANN_OK);
            for (u32 i = 0; i < count; ++i) entries.rows[i] = i;
            REQUIRE(entries.arrange(data.space, Allocator(), nullptr) == LEARNANN_OK);
            CHECK(std::set<u32>(entries.rows.begin(), entries.rows.end()).size() == count);
        }
}

TEST_CASE("entries: under inner product all are one group, in the order given") {
    Bunches data(50, 5);
    data.space.inner = true;
    EntryTable entries;
    REQUIRE(entries.rows.allocate(50) == LEARNANN_OK);
    for (u32 i = 0; i < 50; ++i) entries.rows[i] = 49 - i;
    REQUIRE(entries.arrange(data.space, Allocator(), nullptr) == LEARNANN_OK);
    CHECK(entries.group == 50);
    for (u32 i = 0; i < 50; ++i) CHECK(entries.rows[i] == 49 - i);
}
