// collection_test.cpp: what examples/growing_collection.hpp refuses, and what it tells of failures. That it finds what was put and
// not removed is shown by examples/growing.cpp.
#include "examples/growing_collection.hpp"

#include <cmath>
#include <cstdio>
#include <doctest/doctest.h>

namespace {

Row row_of(uint64_t key) { return {float(key), float(key % 7), 1}; }

}

TEST_CASE("the growing collection: queries that no search takes, and what an index refuses") {
    const char *path = "learnann_collection_test.la";
    std::remove(path);
    {
        Collection collection(path, 3);
        for (const bool in_file : {false, true}) {
            for (uint64_t key = 0; key < 20; ++key) CHECK(collection.put(key, row_of(key)));
            if (in_file) CHECK(collection.merge());
            CHECK(collection.waiting() == (in_file ? 0 : 20));
            for (const Row &query : {Row(), Row(2), Row(4), Row(3, NAN), Row(3, INFINITY), Row(3, 1e18f)}) {
                learnann::Error error{};
                CHECK(collection.search(query, 5, error).empty());
                CHECK(error.status == LEARNANN_ARGUMENT);
                CHECK(error.message);
            }
            learnann::Error error{};
            const std::vector<learnann::Hit> hits = collection.search(row_of(4), 5, error);
            CHECK(error.status == LEARNANN_OK);
            REQUIRE(hits.size() == 5);
            CHECK(hits[0].key == 4);
        }
        // The rows that wait are no answer where the index has none.
        CHECK(collection.put(20, row_of(20)));
        learnann::Error error{};
        CHECK(collection.search(row_of(20), 0, error).empty());
        CHECK(error.status == LEARNANN_ARGUMENT);
        learnann_error of_the_index{};
        CHECK(learnann::Index::open(path, &of_the_index).info().rows == 20);
    }
    std::remove(path);
}

TEST_CASE("the growing collection: rows are in where no file can be written") {
    Collection collection("no such folder/learnann_collection_test.la", 3);
    learnann::Error error{};
    for (uint64_t key = 0; key < 700; ++key) REQUIRE(collection.put(key, row_of(key)));
    CHECK_FALSE(collection.merge());
    CHECK(collection.waiting() == 700);
    const std::vector<learnann::Hit> hits = collection.search(row_of(650), 1, error);
    REQUIRE(hits.size() == 1);
    CHECK(hits[0].key == 650);
    CHECK_FALSE(collection.put(1, Row(3, NAN)));
    CHECK_FALSE(collection.put(1, Row(2)));
    CHECK(collection.search(row_of(1), 1, error).at(0).key == 1);
}
