// The header of a .npy file, read and written.
//
//   0  6  "\x93NUMPY"
//   6  2  version: 1.0 or 2.0
//   8  2  bytes of the text that follows, little-endian; 4 bytes in version 2.0
//   ...   {'descr': '<f4', 'fortran_order': False, 'shape': (70481, 384), }   padded with blanks, ended by a newline
//
// Invariants: the parser takes just this dictionary, each key once, in any order; it reads nothing beyond `size`. The
// writer leaves the data 64-byte aligned.
#pragma once

#include "common.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

struct NpyHeader {
    std::string descr;
    bool fortran_order = false;
    std::vector<uint64_t> shape;
    uint64_t bytes = 0;             // where the data begins
    uint64_t descr_offset = 0;      // where each value stands, for error texts
    uint64_t fortran_offset = 0;
    uint64_t shape_offset = 0;
};

bool parse_npy_header(const std::string &path, const uint8_t *bytes, uint64_t size, NpyHeader &header,
                      Failure &failure);

std::string npy_header(const char *descr, uint64_t rows, uint32_t dim);

} // namespace tools
