// train_fuzz.cpp: any bytes whose checksums are right may be trained on: refused, or learned from. What was learned is a file
// that verifies, whose rows are those of the file that it came from.
#include "indexmutator.hpp"
#include "require.hpp"

using testdata::Memory;

namespace {

// Some near the rows of a made index, some far from them.
std::vector<float> made_queries(uint32_t count, uint32_t dim) {
    testdata::Random random(7);
    std::vector<float> values(size_t{count} * dim);
    for (float &v : values) v = static_cast<float>(random.below(4) ? 4 * random.uniform() - 2 : 300 * random.uniform());
    return values;
}

void check_trained(learnann_builder *builder, const learnann_index_info &before) {
    Memory file(learnann_builder_bytes(builder));
    REQUIRE(learnann_builder_write(builder, file.data(), file.size(), nullptr) == LEARNANN_OK);
    learnann_index *index = nullptr;
    REQUIRE(learnann_open_memory(file.data(), file.size(), nullptr, &index, nullptr) == LEARNANN_OK);
    learnann_index_info after = learnann_index_info_default();
    learnann_get_info(index, &after);
    REQUIRE(after.rows == before.rows && after.dim == before.dim && after.metric == before.metric && after.has_keys == before.has_keys);
    learnann_error error{};
    if (learnann_verify(index, &error) != LEARNANN_OK) std::fprintf(stderr, "%s\n", error.message);
    REQUIRE(error.status == LEARNANN_OK);
    learnann_close(index);
}

// `chance` is any number that changes with the file.
void train(const learnann_index *index, uint32_t chance) {
    learnann_index_info info = learnann_index_info_default();
    learnann_get_info(index, &info);
    if (info.rows > 2000 || info.dim > 256) return;     // as many as a short while allows
    // A few only calibrate. A graph large enough to be walked is taught now and then.
    const uint32_t count = info.rows > 200 && chance % 1024 == 0 ? 1600 : 24;
    const std::vector<float> values = made_queries(count, info.dim);
    const learnann_vectors queries{values.data(), count, 0, info.dim, LEARNANN_F32};
    learnann_build_options options = testdata::build_options();
    options.memory_limit = 256u << 20;
    learnann_builder *builder = nullptr;
    REQUIRE(learnann_builder_create(&options, &builder, nullptr) == LEARNANN_OK);
    learnann_error error{};
    if (learnann_builder_train(builder, index, &queries, &error) == LEARNANN_OK) check_trained(builder, info);
    else REQUIRE(error.message[0] && learnann_builder_bytes(builder) == 0);
    learnann_builder_free(builder);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > (1u << 16)) return 0;
    Memory bytes;
    bytes.assign(data, size);
    testdata::IndexFile file(bytes);
    file.put(24, static_cast<uint64_t>(size));
    file.repair_all();
    learnann_index *index = nullptr;
    if (learnann_open_memory(file.bytes.data(), file.bytes.size(), nullptr, &index, nullptr) != LEARNANN_OK) return 0;
    train(index, file.get<uint32_t>(32));     // the checksum of header and table
    learnann_close(index);
    return 0;
}
