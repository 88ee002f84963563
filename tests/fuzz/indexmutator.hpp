// indexmutator.hpp: for libFuzzer: changes of index files that get past the checksums. One place is changed, which may be a field
// of the header, of the section table or of the about section, an id of an adjacency block, or some bytes of a section; then
// checksums are put right, all of them or those that opening looks at. Include it in one file of a target.
#pragma once

#include "../indexfile.hpp"

// libFuzzer's own changes. Other mains have none, and never ask for this file's.
extern "C" __attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define LEARNANN_WRITTEN(bytes, size) __msan_unpoison(bytes, size)      // by libFuzzer, which isn't instrumented
#endif
#endif
#ifndef LEARNANN_WRITTEN
#define LEARNANN_WRITTEN(bytes, size) (void)0
#endif

namespace indexmutator {

using testdata::IndexFile;

// A number that comparisons and products stumble over, or one near what is there.
inline uint64_t odd_number(testdata::Random &random, uint64_t now, uint64_t file_bytes) {
    const uint64_t edges[] = {0, 1, now + 1, now - 1, now * 2, now / 2, ~now, now ^ 1ull << random.below(64), file_bytes,
                              file_bytes - now, 1ull << random.below(64), (1ull << random.below(64)) - 1, UINT64_MAX, random.next(),
                              random.below(256), 0x7f800000, 0x7fc00000, 0x00000001, 0x80000000, 0x7f7fffff, 0x60000000 + random.below(1u << 28),
                              now + 64, now + 128};
    return edges[random.below(sizeof edges / sizeof edges[0])];
}

inline void change_field(IndexFile &file, testdata::Random &random, uint64_t at, bool wide) {
    if (wide) file.put(at, odd_number(random, file.get<uint64_t>(at), file.bytes.size()));
    else file.put(at, static_cast<uint32_t>(odd_number(random, file.get<uint32_t>(at), file.bytes.size())));
}

inline void change_number(IndexFile &file, testdata::Random &random, uint32_t kind) {
    if (file.inside(kind) && file.size(kind) >= 8) change_field(file, random, file.offset(kind) + random.next() % (file.size(kind) / 4) * 4, false);
}

inline void change_bytes(IndexFile &file, testdata::Random &random, uint32_t kind) {
    if (!file.inside(kind) || file.size(kind) == 0) return;
    const uint64_t size = std::min<uint64_t>(file.size(kind), 1 + random.below(64));
    uint8_t *at = file.bytes.data() + file.offset(kind) + random.next() % (file.size(kind) - size + 1);
    // In place: a shorter result leaves the last bytes as they were.
    if (LLVMFuzzerMutate) (void)LLVMFuzzerMutate(at, static_cast<size_t>(size), static_cast<size_t>(size));
    LEARNANN_WRITTEN(at, static_cast<size_t>(size));
}

inline void change_graph(IndexFile &file, testdata::Random &random) {
    if (!file.inside(testdata::kind_records) || !file.inside(testdata::kind_adjacency) || file.rows() == 0) return;
    const uint32_t slot = random.below(file.rows());
    switch (random.below(4)) {
    case 0: file.put(file.block(slot), static_cast<uint8_t>(random.next())); break;            // its degree
    case 1: change_field(file, random, file.record(slot) + file.about(testdata::about_record_bytes) - 4, false); break;
    default: file.put_neighbour(slot, random.below(1 + file.degree(slot)), static_cast<uint32_t>(random.next() % (file.rows() + 2ull)));
    }
}

inline void change(IndexFile &file, testdata::Random &random) {
    const uint64_t entry = 64 + 32ull * random.below(std::min(file.sections() + 1, 64u));
    switch (random.below(8)) {
    case 0: change_field(file, random, 8 + 4 * random.below(14), random.below(2)); break;       // header
    case 1: change_field(file, random, entry + 4 * random.below(8), random.below(2)); break;    // section table
    case 2:
    case 3: change_field(file, random, file.offset(testdata::kind_about) + 4 * random.below(32), random.below(4) == 0); break;
    case 4: change_graph(file, random); break;
    case 5: change_number(file, random, 1 + random.below(testdata::kind_calibration)); break;
    default: change_bytes(file, random, 1 + random.below(testdata::kind_calibration)); break;
    }
}

}  // namespace indexmutator

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    LEARNANN_WRITTEN(data, size);
    testdata::Random random(seed);
    if (random.below(8) == 0 || size < 64) return LLVMFuzzerMutate(data, size, most);
    testdata::Memory bytes;
    bytes.assign(data, size);
    testdata::IndexFile file(bytes);
    for (uint32_t changes = 1 + random.below(3); changes > 0; --changes) indexmutator::change(file, random);
    if (random.below(4) == 0) file.repair_opening();
    else file.repair_all();
    std::memcpy(data, file.bytes.data(), size);
    return size;
}
