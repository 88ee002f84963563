// tiles_test.cpp: rows that are encoded, and compared with queries, several at a time come out as one by one.
#include "learn/codec_fit.hpp"
#include "learn/scan.hpp"
#include "testdata.hpp"

#include <doctest/doctest.h>

#include <atomic>

using namespace learnann;

namespace {

struct Coded {
    testdata::Rows data;
    std::vector<float> norms;
    Rows rows;
    Basis basis;
    FittedCodec fitted;
    std::vector<u8> records;

    Coded(u32 count, u32 dim, learnann_metric metric, u32 record_bytes, u32 threads) : data(count, dim, LEARNANN_F32) {
        testdata::Random random(dim);
        for (u64 i = 0; i < count; ++i)
            for (u32 j = 0; j < dim; ++j) data.set(i, j, random.gaussian() / (1 + 0.1 * j) + (j == 0 ? 2 : 0));
        if (metric == LEARNANN_COS)
            for (u32 j = 0; j < dim; ++j) data.set(count / 2, j, 0);
        for (u64 i = 0; i < count; ++i) {
            double length2 = 0;
            for (u32 j = 0; j < dim; ++j) length2 += data.value(i, j) * data.value(i, j);
            norms.push_back(static_cast<float>(std::sqrt(length2)));
        }
        rows.norms = norms.data();
        rows.vectors = data.view();
        rows.metric = metric;
        BuildContext build;
        build.threads = threads;
        REQUIRE(fit_pca(rows, Holdout{}, most_code_dims(record_bytes, dim), 1, build, basis, nullptr) == LEARNANN_OK);
        REQUIRE(fit_codec(rows, basis, record_bytes, Holdout{}, 2, Allocator{}, fitted, nullptr) == LEARNANN_OK);
        fitted.codec.residual_weight = 0.5f;
        records.resize(static_cast<size_t>(count) * record_bytes);
        std::vector<u32> place;
        for (u32 i = 0; i < count; ++i) place.push_back(count - 1 - i);
        REQUIRE(encode_rows(rows, fitted.codec, place.data(), build, records.data(), nullptr) == LEARNANN_OK);
    }
    CodeSpace space() const { return CodeSpace{&fitted.codec, records.data(), rows.count(), rows.metric == LEARNANN_IP}; }
};

}  // namespace

TEST_CASE("rows encoded four at a time are the same as one by one") {
    for (const u32 count : {1001u, 1003u})
        for (const u32 dim : {5u, 37u, 130u})
            for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS}) {
                CAPTURE(count);
                CAPTURE(dim);
                CAPTURE(metric);
                const Coded coded(count, dim, metric, 64, 3);
                CodecScratch scratch;
                REQUIRE(scratch.allocate(coded.fitted.codec, nullptr) == LEARNANN_OK);
                u32 wrong = 0;
                for (u32 row = 0; row < count; ++row) {
                    if (metric == LEARNANN_COS && row == count / 2) continue;       // the zero row, which lies where none does
                    coded.rows.floats(row, scratch.x.data());
                    u8 record[64];
                    encode_record(coded.fitted.codec, project(coded.fitted.codec, scratch), record);
                    wrong += std::memcmp(record, coded.records.data() + (count - 1 - row) * 64, 64) != 0;
                }
                CHECK(wrong == 0);
            }
}

TEST_CASE("the best rows by code are those of the least estimates, for near queries and far ones") {
    constexpr u32 count = 3005, dim = 90, queries = 135, best = 30;
    for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS})
        for (const u32 threads : {1u, 3u}) {
            CAPTURE(metric);
            CAPTURE(threads);
            const Coded coded(count, dim, metric, 64, threads);
            const CodeSpace space = coded.space();
            BuildContext build;
            build.threads = threads;
            const auto load = [&](u32 q, float *x) {
                coded.rows.floats(7 * q, x);
                const float away = q % 5 == 0 && metric != LEARNANN_COS ? 1000.0f : 1.01f;
                for (u32 j = 0; j < dim; ++j) x[j] *= away;
            };
            const auto skip = [&](u32 q, u32 row) { return row % 10 == q % 10; };
            std::vector<std::atomic<u32>> visits(queries);
            std::atomic<u32> wrong{0};
            const auto visit = [&](u32 q, const BestRows &found, QueryMemory &memory) {
                load(q, memory.codec.x.data());
                std::vector<i32> estimates(count), wanted;
                kernels().score(memory.encode(space).code, space.records, space.stride(), nullptr, count, estimates.data());
                for (u32 row = 0; row < count; ++row)
                    if (!skip(q, row)) wanted.push_back(estimates[row]);
                std::sort(wanted.begin(), wanted.end());
                ++visits[q];
                wrong += found.count != best;
                for (u32 i = 0; i < found.count; ++i) {
                    const double got = estimates[found.row(i)];
                    wrong += skip(q, found.row(i)) || std::fabs(got - wanted[i]) > 4 + 1e-6 * std::fabs(got);     // floats beside integers
                }
            };
            REQUIRE(each_best(space, 0, queries, best, build, load, skip, visit, nullptr) == LEARNANN_OK);
            CHECK(wrong == 0);
            for (const std::atomic<u32> &times : visits) CHECK(times == 1);
        }
    // Fewer rows than are wanted.
    const Coded few(20, dim, LEARNANN_L2, 64, 1);
    u32 found = 0;
    REQUIRE(each_best(few.space(), 0, 1, best, BuildContext{}, [&](u32, float *x) { few.rows.floats(0, x); }, [](u32, u32) { return false; },
                      [&](u32, const BestRows &near, QueryMemory &) { found = near.count; }, nullptr) == LEARNANN_OK);
    CHECK(found == 20);
}

TEST_CASE("a damaged record that is farther than any estimate can say is far, not near") {
    constexpr u32 count = 300, dim = 24, damaged = 10, asked = 20, stride = 32;
    Coded coded(count, dim, LEARNANN_L2, stride, 1);
    coded.fitted.codec.norm_left = 7;
    const CodeSpace space = coded.space();
    u8 *const records = coded.records.data(), *const near = records + (count - 1 - asked) * stride;
    for (u32 slot = 0; slot < damaged; ++slot) {
        u8 *const record = records + slot * stride;
        for (u32 i = 0; i < dim; ++i) record[i] = static_cast<u8>(256 - near[i]);     // opposite to the query
        store(record + stride - record_tail, tail_of(0xffffff, 0, 0));
    }
    u32 found = 0, wrong = 0;
    REQUIRE(each_best(space, 0, 1, 30, BuildContext{}, [&](u32, float *x) { coded.rows.floats(asked, x); }, [](u32, u32) { return false; },
                      [&](u32, const BestRows &best, QueryMemory &) {
                          found = best.count;
                          for (u32 i = 0; i < best.count; ++i) wrong += best.row(i) < damaged;
                      }, nullptr) == LEARNANN_OK);
    CHECK(found == 30);
    CHECK(wrong == 0);
}
