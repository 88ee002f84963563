// golden_test.cpp: files that earlier versions of the library wrote still open, verify, and give the same hits.
// Run from the root, or compile with -DGOLDEN_DIR=\"folder\". tests/golden/make_golden.cpp wrote the files.
#include "../golden/golden.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#ifndef GOLDEN_DIR
#define GOLDEN_DIR "tests/golden"
#endif

using namespace testdata;

TEST_CASE("golden files of every format version") {
    for (const golden::Case &c : golden::cases) {
        const std::string path = std::string(GOLDEN_DIR) + "/" + c.name;
        CAPTURE(path);
        learnann_error error{};
        learnann_index *handle = nullptr;
        learnann_open(((path + ".la").c_str()), nullptr, &handle, &error);
        CAPTURE(error.message);
        REQUIRE(handle != nullptr);
        CHECK(learnann_verify(handle, &error) == LEARNANN_OK);
        learnann_index_info info = learnann_index_info_default();
        learnann_get_info(handle, &info);
        CHECK(info.format_version == golden::format_of(c));
        CHECK(info.rows == golden::rows);
        CHECK(info.dim == c.dim);
        CHECK(info.metric == c.metric);
        CHECK(info.input_type == c.type);
        CHECK(info.has_keys == (c.keys ? 1 : 0));

        // Rows and keys as they were given.
        const Rows rows = golden::rows_of(c);
        size_t wrong = 0;
        double off = 0, all = 0;
        std::vector<float> values(c.dim);
        for (uint32_t row = 0; row < golden::rows; ++row) {
            uint64_t key = 0;
            wrong +=
                learnann_key(handle, row, &key) != LEARNANN_OK || key != (c.keys ? 1000 + row * 7 % golden::rows : row);
            wrong += learnann_fetch(handle, key, values.data(), c.dim) != LEARNANN_OK;
            for (uint32_t j = 0; j < c.dim; ++j) {
                const double value = rows.value(row, j);
                wrong += std::fabs(values[j] - value) > 1e-6 && !golden::rough(c);
                off += (values[j] - value) * (values[j] - value), all += value * value;
            }
        }
        CHECK(off < 0.05 * all);
        CHECK(wrong == 0);
        learnann_close(handle);

        std::ifstream bytes(path + ".la", std::ios::binary);
        const std::vector<char> content((std::istreambuf_iterator<char>(bytes)), std::istreambuf_iterator<char>());
        Memory file;
        file.assign(content.data(), content.size());
        Index index{file};
        REQUIRE(index.status == LEARNANN_OK);
        std::ifstream text(path + ".txt");
        std::string line;
        std::vector<learnann_hit> expected[golden::queries][2];
        size_t lines = 0;
        for (; std::getline(text, line); ++lines) {
            std::istringstream in(line);
            uint32_t query = 0;
            std::string kind;
            learnann_hit hit{};
            in >> query >> kind >> hit.key >> hit.row >> hit.distance;
            REQUIRE((in && query < golden::queries));
            expected[query][kind == "range"].push_back(hit);
        }
        CHECK(lines >= golden::queries * golden::k);
        for (uint32_t i = 0; i < golden::queries; ++i) {
            const std::vector<float> q = golden::query(c, i);
            const learnann_vectors query{q.data(), 1, 0, c.dim, LEARNANN_F32};
            for (const bool range : {false, true}) {
                const auto hits = range ? index.range(query, c.radius, golden::k, golden::effort)
                                        : index.search(query, golden::k, golden::effort);
                const auto &want = expected[i][range];
                REQUIRE(hits.size() == want.size());
                for (size_t j = 0; j < hits.size(); ++j) {
                    CHECK(hits[j].key == want[j].key);
                    CHECK(hits[j].row == want[j].row);
                    CHECK(std::fabs(hits[j].distance - want[j].distance) <= 1e-5 * (1 + std::fabs(want[j].distance)));
                }
            }
        }
    }
}
