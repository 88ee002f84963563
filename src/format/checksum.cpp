// checksum.cpp: CRC32C (Castagnoli), eight bytes a step by tables (Kounavis and Berry 2005), and FNV-1a.
#include "format/format.hpp"

LEARNANN_BEGIN

struct CrcTables {
    u32 at[8][256];
    CrcTables() {
        for (u32 i = 0; i < 256; ++i) {
            u32 c = i;
            for (int bit = 0; bit < 8; ++bit) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
            at[0][i] = c;
        }
        for (u32 i = 0; i < 256; ++i)
            for (int t = 1; t < 8; ++t) at[t][i] = at[t - 1][i] >> 8 ^ at[0][at[t - 1][i] & 255];
    }
};

u32 crc32c(u32 crc, const void *bytes, u64 size) {
    static const CrcTables tables;
    const auto &t = tables.at;
    const u8 *p = static_cast<const u8 *>(bytes);
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        const u64 v = load<u64>(p) ^ crc;
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^
              t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; size > 0; --size, ++p) crc = crc >> 8 ^ t[0][(crc ^ *p) & 255];
    return ~crc;
}

u64 fnv1a(const void *bytes, u64 size) {
    const u8 *p = static_cast<const u8 *>(bytes);
    u64 hash = 0xcbf29ce484222325u;
    for (u64 i = 0; i < size; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

LEARNANN_END
