// open_fuzz.cpp: any bytes may be opened, searched and verified without a crash. Files whose checksums are wrong are tried as
// they are, then once more with the checksums that opening looks at put right.
#include "indexmutator.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > (1u << 20)) return 0;
    testdata::Memory bytes;
    bytes.assign(data, size);
    testdata::use_index(bytes.data(), bytes.size());
    testdata::IndexFile file(bytes);
    file.repair_opening();
    if (!(file.bytes == bytes)) testdata::use_index(file.bytes.data(), file.bytes.size());
    return 0;
}
