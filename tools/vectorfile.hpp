// Vector, truth and key files: read without a copy, written atomically. All are little-endian.
//
//   suffix                         layout
//   .npy                           NumPy 1.0 or 2.0, C order, 1-d or 2-d, of f4 f2 i1 u1 i4 i8 u8
//   .fvecs .bvecs .ivecs           each row: int32 dim, then dim of float32 / uint8 / int32; one dim for all rows
//   .fbin .u8bin .i8bin .ibin      int32 rows, int32 dim, then rows * dim of float32 / uint8 / int8 / int32
//   .u64bin                        the same of uint64, for keys: dim is 1
//   keys, any other suffix         text, one decimal number a line
//
// Invariants: every byte of a file is hostile. The suffix says what a file is, its length must say the same to the
// byte, and all is checked before a Matrix is handed out: its rows lie inside the file; there is at least one row, and
// one column. A Matrix borrows; that of a MatrixFile is valid while the MatrixFile lives, moves included.
#pragma once

#include "common.hpp"
#include "file.hpp"

#include "../learnann.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

enum class Element { F32, F16, I8, U8, I32, I64, U64 };

const char *element_name(Element element);

struct Matrix {
    const uint8_t *data = nullptr;  // row i begins at data + i * stride; nothing is aligned
    uint64_t rows = 0;
    uint64_t stride = 0;            // bytes
    uint32_t dim = 0;
    Element element = Element::F32;
};

struct MatrixFile {
    std::string path;
    MappedFile bytes;
    Matrix matrix;
    bool flat = false;              // a 1-d array: each element is a row of dim 1
};

// Any matrix; then those that additionally can be vectors (f32 f16 i8 u8, dim up to 65,535) or row ids (i32 i64).
bool open_matrix(const std::string &path, MatrixFile &file, Failure &failure);
bool open_vectors(const std::string &path, MatrixFile &file, Failure &failure);
bool open_ids(const std::string &path, MatrixFile &file, Failure &failure);

// The matrix of open_vectors as the library takes it.
learnann_vectors as_vectors(const Matrix &matrix);

// Element (row, column) of an i32 or i64 matrix.
int64_t id_at(const Matrix &matrix, uint64_t row, uint32_t column);

bool read_keys(const std::string &path, std::vector<uint64_t> &keys, Failure &failure);

// Whether `path` has a suffix that write_matrix knows; that it writes whole numbers of 32 bits to.
bool check_matrix_suffix(const std::string &path, Failure &failure);
bool check_numbers_suffix(const std::string &path, Failure &failure);

// Writes what the suffix of `path` says. Values never change: one that the file's element type can't hold exactly is a
// failure (`source` names the file it came from). .npy keeps the element type. `stop`, where there is one, is asked now
// and then and ends the work.
bool write_matrix(const std::string &path, const Matrix &matrix, const std::string &source, bool (*stop)(),
                  Failure &failure);

} // namespace tools
