// checksum.cpp: CRC32C, and FNV-1a.
#include "format/format.hpp"

#include "simd/dispatch.hpp"

LEARNANN_BEGIN

u32 crc32c(u32 crc, const void *bytes, u64 size) { return kernels().crc32c(crc, static_cast<const u8 *>(bytes), size); }

u64 fnv1a(const void *bytes, u64 size) {
    const u8 *p = static_cast<const u8 *>(bytes);
    u64 hash = 0xcbf29ce484222325u;
    for (u64 i = 0; i < size; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

LEARNANN_END
