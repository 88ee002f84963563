// format.hpp: THE file format, version 3. Little-endian, fixed width, offsets only; every section starts at a multiple of 128.
//
//   offset  size  header
//        0     8  magic "LEARNANN"
//        8     4  LEARNANN_VERSION of the writer
//       12     4  format version
//       16     4  oldest format version whose readers understand this file
//       20     4  number of sections S, 1 to 64
//       24     8  length of the file in bytes
//       32     4  CRC32C of the header and the section table, with this field 0
//       36    28  0
//       64  32*S  section table
//
//   offset  size  entry of the section table
//        0     4  kind
//        4     4  flags: bit 0 = a reader that doesn't know the kind must refuse the file
//        8     8  offset          16     8  bytes
//       24     4  CRC32C          28     4  0
//
//   kind  section      contents (n rows, d dimensions, m code dimensions, w bytes a record, s slots = rows in file order)
//      1  about        struct About
//      2  projection   u8 matrix[m][cols], v + 128, cols = d rounded up to 64; f32 unit[m]; f32 mean[d]
//      3  records      n records of w bytes: code[w-8], u32 norm << 8 | exponent << 5 | residual, u32 offset of the slot's
//                      adjacency in units of 4 bytes. The code: up to about.nibbles_at, u8 c + 128, c in [-127, 127]; then
//                      up to about.crumbs_at bytes of two nibbles u, for c = (2u - 15) 2^(nibble_shift - 1), the lower ones
//                      of all before the upper ones; then bytes of four crumbs u, for c = (2u - 3) 2^(crumb_shift - 1), those
//                      at bit 0 of all before those at 4, then 2, then 6. From dimension m on bytes are 128 and levels 0  (hot)
//      4  adjacency    n blocks at multiples of 4 bytes: u8 degree, then that many slots of b bits each, one behind the other
//                      from the lowest bit on, b = 1 to 25, the fewest that hold n - 1, or 32. At least 3 bytes follow the
//                      last block, and zeroes to a multiple of 64                                                       (hot)
//      5  entries      e records as in section 3, then u32 slot[e]; in groups of about.entry_group, the last maybe smaller,
//                      each of which begins with the entry nearest to its middle                                        (hot)
//      6  row of slot  u32 row[n]
//      7  slot of row  u32 slot[n]: the inverse
//      8  keys         u64 key[n] by row; absent where keys are row numbers
//      9  key order    u32 row[n] by ascending key, then row; present with section 8
//     10  exact        n rows of exact_stride bytes by slot: d elements, zeroes to a multiple of 4, then struct ExactTail
//                      where about.exact_tail is 1. Where exact_type is refined: levels u of b = 4, 2 or 1 bits, the first
//                      of all bytes from the lowest bit on, then the next ones, ceil(d b / 8) bytes; zeroes to a multiple
//                      of 4; then struct RefinedTail                                                                    (cold)
//     11  calibration  struct CalibrationPoint[]: grouped by k, effort ascending; optional
//     12  layers        where about.graph is hnsw: struct LayersHead; u32 slot[N] of the nodes, N those of the lowest layer, a
//                      higher layer's before the others; from the top layer down, for each of its nodes a block of
//                      1 + degree u32: how many neighbours, then that many nodes of the layer, then 0                   (hot)
//     13..31           reserved: router, second router, tombstones, appended delta, further vector spaces, user metadata
//
// Versions. 2 added refined exact rows, 3 graphs that were given: files without are of version 1 still, and written so.
//
// Invariants. Those marked O are checked at open, the rest by verify; a search never trusts them: it compares every id with n
// and every offset with its section.
//   F1  O  the magic, the versions, and the CRC of header and table are right
//   F2  O  the file is exactly as long as the header says
//   F3  O  every section lies within the file behind the table, at a multiple of 128, and no kind comes twice
//   F4  O  every required kind is known
//   F5  O  sections 1 to 7 are present, and the about section's own values are within their ranges
//   F6  O  the length of every section is what the about section implies
//   F7     the CRC of every section is right (O for about and calibration)
//   F8     bytes of codes are not 0 (c = -128); from m on bytes are 128 and levels 0
//   F9     every adjacency block lies within its section, and its degree is at most max_degree; the edges and the fingerprint
//          are those of the about section
//   F10    every neighbour and every entry is a slot below n, no slot is its own neighbour
//   F11    no slot names a neighbour twice
//   F12    row of slot is a permutation of 0..n-1 and slot of row is its inverse
//   F13    key order is a permutation that sorts the keys
//   F14    every slot is reachable from the entries
//   F15    the records of the entries are copies of the records they name
//   F16    calibration: k ascending, effort and recall ascending within k, recall within [0, 1], margin not negative
//   F17    exact rows hold no NaN and no infinity
//   F18    bytes between sections are 0
//   F19    no byte of the projection's matrix is 0 (v = -128), its units are positive, the mean is finite
//   F20    the scale and the norm of a refined row are not negative, and levels behind dimension d are 0
//   F21 O  section 12 is present where about.graph is hnsw and only there; no layer has more nodes than the one below it or than
//          there are rows
//   F22    nodes are distinct slots below n, and the first is the entry; a node's neighbours are other nodes of its layer, and
//          none comes twice
#pragma once

#include "base/base.hpp"
#include "simd/kernels.hpp"

LEARNANN_BEGIN

constexpr char file_magic[8] = {'L', 'E', 'A', 'R', 'N', 'A', 'N', 'N'};
constexpr u32 format_version = 3;
constexpr u32 plain_format = 1;             // of files that readers of version 1 understand
constexpr u32 refined_format = 2;           // of those with refined exact rows
constexpr u32 given_format = 3;             // of those whose graph was given
constexpr u32 max_sections = 64;
constexpr u32 cache_line = 64;
constexpr u32 section_alignment = 128;      // lines are often fetched in pairs
constexpr u32 max_dim = 65535;
constexpr u32 min_record_bytes = 16;
constexpr u32 max_record_bytes = 1024;
constexpr u32 max_code_dim = 4 * max_record_bytes;
constexpr u32 max_out_degree = 255;
constexpr u32 max_entries = 65536;
constexpr u32 max_effort = LEARNANN_MAX_EFFORT;

enum SectionKind : u32 {
    section_about = 1,
    section_projection,
    section_records,
    section_adjacency,
    section_entries,
    section_row_of_slot,
    section_slot_of_row,
    section_keys,
    section_key_order,
    section_exact,
    section_calibration,
    section_layers,
    section_kinds
};

// What a search touches at random.
constexpr SectionKind hot_sections[] = {section_projection, section_records, section_adjacency, section_entries, section_layers};

struct FileHeader {
    char magic[8];
    u32 writer_version;
    u32 format;
    u32 oldest_format;
    u32 sections;
    u64 file_bytes;
    u32 crc;
    u32 zero[7];
};
static_assert(sizeof(FileHeader) == 64, "the header is 64 bytes");

struct SectionEntry {
    u32 kind;
    u32 flags;
    u64 offset;
    u64 bytes;
    u32 crc;
    u32 zero;
};
static_assert(sizeof(SectionEntry) == 32, "an entry of the section table is 32 bytes");

struct About {
    u64 rows;
    u64 edges;
    u64 seed;
    u64 fingerprint;        // FNV-1a over the adjacency section
    u32 dim;
    u32 metric;             // learnann_metric
    u32 input_type;         // learnann_type of the rows given
    u32 exact_type;         // of section 10: a learnann_type, or refined: LEARNANN_EXACT_I4, _I2, _BINARY; 0 where absent
    u32 exact_tail;         // 1: each exact row ends in an ExactTail
    u32 exact_stride;       // bytes
    u32 code_dim;           // m; more than dim where the projection is a frame (search/codec.hpp)
    u32 record_bytes;       // w
    u32 entries;            // e
    u32 max_degree;
    u32 norm_left;          // record norms are in units of code_step^2 << norm_left
    float code_step;        // a code of 1 at exponent 0, in the rows' own units; no row is longer than 20,000 steps
    float residual_unit;    // a residual byte of 1 is this many code steps
    float residual_weight;  // rho
    float horizon;          // a walk expands the nearest share of its beam: more of it is kept for reranking only
    float code_recall;      // held-out, -1 where unknown
    u32 entry_group;        // 1 to e
    u32 nibbles_at;         // a multiple of 4, up to crumbs_at: equal where there are none
    u32 nibble_shift;       // 1 to 4, 0 where there are none
    u32 crumbs_at;          // a multiple of 4, w where there are none
    u32 crumb_shift;        // 1 to 6, 0 where there are none
    u32 graph;              // learnann_graph; 0 in files older than the field: adaptive
    u32 zero[4];
};
static_assert(sizeof(About) == 136, "the about section is 136 bytes");

// value = offset + scale * element; norm2 = squared norm of the row of values.
struct ExactTail {
    float scale;
    float offset;
    float norm2;
};

// row - mean = what the record's code stands for + scale * (2u - (2^b - 1)); norm2 = its squared length. Under cosine the row is
// normalised, and a scale of 0 is the zero vector's alone.
struct RefinedTail {
    float scale;
    float norm2;
};

struct CalibrationPoint {
    u32 k;
    u32 effort;
    float recall;
    float margin;           // of estimates behind the k-th, up to which candidates are reranked: search/effort.hpp
};
static_assert(sizeof(CalibrationPoint) == 16, "a calibration point is 16 bytes");

constexpr u32 max_layers = 14;

// The layers of a graph above the one that all rows are on, from the top down.
struct LayersHead {
    u32 count;                  // 1 to max_layers
    u32 degree;                 // 1 to max_out_degree
    u32 nodes[max_layers];      // of each layer, 0 behind the last

    u32 all_nodes() const { return nodes[count - 1]; }
    u32 block_bytes() const { return 4 * (1 + degree); }
};
static_assert(sizeof(LayersHead) == 64, "the head of the layers is 64 bytes");

inline u64 layers_bytes(const LayersHead &head) {
    u64 blocks = 0;
    for (u32 layer = 0; layer < head.count; ++layer) blocks += head.nodes[layer];
    return sizeof(LayersHead) + 4ull * head.all_nodes() + blocks * head.block_bytes();
}

// ---- what About implies ----

inline u32 projection_cols(u32 dim) { return static_cast<u32>(round_up(dim, cache_line)); }
inline u32 code_capacity(u32 record_bytes) { return record_bytes - record_tail; }

// The bytes of a record that hold one dimension each, two, and four.
struct CodeZones {
    u32 whole;
    u32 nibbles;
    u32 crumbs;

    static CodeZones of(u32 record_bytes, u32 nibbles_at, u32 crumbs_at) {
        const u32 capacity = code_capacity(record_bytes), first = smaller(nibbles_at, capacity), second = smaller(crumbs_at, capacity);
        return CodeZones{first, second - first, capacity - second};
    }
    // The dimensions that there is room for.
    u32 room() const { return whole + 2 * nibbles + 4 * crumbs; }
};

// Whether rows of `input_type` are kept in so few bits that some rank otherwise than they should.
inline bool rounds_rows(u32 exact_type, u32 input_type) {
    return exact_type != input_type && exact_type != LEARNANN_F16 && exact_type != LEARNANN_F32;
}

// Bits a dimension, 0 where the type is not refined.
inline u32 refined_bits(u32 exact_type) {
    return exact_type == LEARNANN_EXACT_I4 ? 4 : exact_type == LEARNANN_EXACT_I2 ? 2 : exact_type == LEARNANN_EXACT_BINARY ? 1 : 0;
}
inline u32 refined_bytes(u32 dim, u32 bits) { return (dim * bits + 7) / 8; }

inline u32 exact_stride_of(u32 dim, u32 type, bool tail) {
    if (const u32 bits = refined_bits(type)) return static_cast<u32>(round_up(refined_bytes(dim, bits), 4) + sizeof(RefinedTail));
    const u64 row = static_cast<u64>(dim) * element_bytes(static_cast<learnann_type>(type));
    return static_cast<u32>(tail ? round_up(row, 4) + sizeof(ExactTail) : row);
}

inline u64 projection_bytes(const About &a) {
    return static_cast<u64>(a.code_dim) * projection_cols(a.dim) + static_cast<u64>(a.code_dim) * 4 +
           static_cast<u64>(a.dim) * 4;
}

// ---- an adjacency block: the degree, the ids ----

constexpr u32 adjacency_head = 1, adjacency_slack = 3;
inline u64 adjacency_bytes(u32 degree, u32 bits) { return adjacency_head + IdList::bytes_for(degree, bits); }

u32 crc32c(u32 crc, const void *bytes, u64 size);
u64 fnv1a(const void *bytes, u64 size);

LEARNANN_END
