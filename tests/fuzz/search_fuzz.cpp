// search_fuzz.cpp: queries of any bits, searched for with any options in sound indexes. Refused as an argument, or hits: nearest
// first, no distance NaN, the same from each kind of search.
#include "../testdata.hpp"

#include "input.hpp"
#include "require.hpp"

#include <memory>

using testdata::Index;

namespace {

constexpr uint32_t rows = 300, dim = 5, most = 40;

// One of each kind of rows and metric, made once.
Index &sound_index(uint32_t which) {
    static std::vector<std::unique_ptr<Index>> all;
    if (all.empty()) {
        const learnann_type types[] = {LEARNANN_F32, LEARNANN_F16, LEARNANN_I8, LEARNANN_U8, LEARNANN_F32, LEARNANN_F32, LEARNANN_F32};
        const learnann_exact exacts[] = {LEARNANN_EXACT_AUTO, LEARNANN_EXACT_AUTO, LEARNANN_EXACT_AUTO,
                                         LEARNANN_EXACT_AUTO, LEARNANN_EXACT_U8,   LEARNANN_EXACT_NONE, LEARNANN_EXACT_I4};
        for (int kind = 0; kind < 7; ++kind)
            for (const learnann_metric metric : {LEARNANN_L2, LEARNANN_IP, LEARNANN_COS})
                all.push_back(std::make_unique<Index>(testdata::clustered(rows, dim, types[kind], 93), testdata::build_options(metric, exacts[kind])));
    }
    return *all[which % all.size()];
}

float any_float(Input &in) {
    const uint32_t bits = in.word();
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct Answer {
    learnann_status status;
    std::vector<learnann_hit> hits;
};

// `search` is one of the library's; it writes up to k hits and their number.
template <class Search> Answer answer(uint32_t k, Search search) {
    learnann_error error{};
    uint32_t count = 77;
    Answer a{LEARNANN_OK, std::vector<learnann_hit>(k)};
    a.status = search(a.hits.data(), &count, &error);
    REQUIRE(a.status == LEARNANN_OK || a.status == LEARNANN_ARGUMENT);
    REQUIRE(error.status == a.status && (a.status == LEARNANN_OK || (error.message[0] && count == 0)));
    REQUIRE(count <= k);
    a.hits.resize(count);
    for (const learnann_hit &hit : a.hits) REQUIRE(hit.row < rows && hit.key == hit.row && !std::isnan(hit.distance));
    REQUIRE(testdata::in_order(a.hits));
    return a;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) return 0;
    Input in(data, size);
    Index &index = sound_index(in.number(18));
    const uint32_t k = in.number(most);
    learnann_search_options options = learnann_search_options_default();
    options.effort = in.number(2) ? in.number(400) : 0;
    options.threads = 1;
    if (in.number(2)) options.target_recall = any_float(in);
    if (in.number(64) == 63) options.effort = in.word();
    const float radius = any_float(in);
    const uint32_t filtered = in.number(4);
    uint64_t bits[5];
    const learnann_filter filter{static_cast<learnann_filter_kind>(filtered), bits, in.number(sizeof bits * 8 + 1),
                                 [](void *, uint64_t key) -> int { return key % 7 == 0; }, nullptr};
    if (filtered) options.filter = &filter;
    testdata::Rows one(1, dim, static_cast<learnann_type>(1 + in.number(4)));
    in.fill(one.bytes.data(), one.bytes.size());
    in.fill(bits, sizeof bits);
    const learnann_vectors query = one.view();

    const Answer single = answer(k, [&](learnann_hit *hits, uint32_t *count, learnann_error *error) {
        return learnann_search(index.handle, index.scratch, &query, k, &options, hits, count, nullptr, error);
    });
    const Answer interleaved = answer(k, [&](learnann_hit *hits, uint32_t *count, learnann_error *error) {
        return learnann_search_interleaved(index.handle, index.scratch, &query, k, &options, hits, count, nullptr, error);
    });
    REQUIRE(interleaved.status == single.status && testdata::same_hits(interleaved.hits, single.hits));
    const Answer within = answer(k, [&](learnann_hit *hits, uint32_t *count, learnann_error *error) {
        return learnann_search_range(index.handle, index.scratch, &query, radius, k, &options, hits, count, nullptr, error);
    });
    for (const learnann_hit &hit : within.hits) REQUIRE(hit.distance <= radius);
    return 0;
}
