// vectors_fuzz.cpp: any bytes as a vector, truth or key file of any suffix. What is refused has a reason; what is taken lies
// within the file, and comes back the same from every format that it can be written to.
//   byte 0: the suffix, and the one to convert to; the file from there on
#include "memoryfiles.hpp"
#include "require.hpp"

#include "../../tools/npyheader.hpp"
#include "../../tools/vectorfile.hpp"

#include <cstring>
#include <iterator>
#include <string>

using namespace tools;

static const char *const suffixes[] = {".npy", ".fvecs", ".bvecs", ".ivecs", ".fbin",
                                       ".u8bin", ".i8bin", ".ibin", ".u64bin", ".txt"};

static const uint32_t element_bytes[] = {4, 2, 1, 1, 4, 8, 8};

static uint64_t row_bytes(const Matrix &m) { return uint64_t{m.dim} * element_bytes[static_cast<size_t>(m.element)]; }

// Each row is copied out, so that AddressSanitizer sees one that is not within the file.
static std::vector<uint8_t> rows_of(const Matrix &m) {
    REQUIRE(m.rows > 0 && m.dim > 0);
    std::vector<uint8_t> all;
    for (uint64_t row = 0; row < m.rows; ++row)
        all.insert(all.end(), m.data + row * m.stride, m.data + row * m.stride + row_bytes(m));
    return all;
}

static void convert(const Matrix &matrix, const std::string &from, const std::string &to) {
    const std::vector<uint8_t> rows = rows_of(matrix);
    Failure failure;
    if (!write_matrix(to, matrix, from, nullptr, failure)) {
        REQUIRE(!failure.reason.empty() && !failure.advice.empty());
        return;
    }
    memoryfiles::content = memoryfiles::written;
    MatrixFile back;
    REQUIRE(open_matrix(to, back, failure));
    REQUIRE(back.matrix.rows == matrix.rows && back.matrix.dim == matrix.dim);
    if (back.matrix.element == matrix.element) REQUIRE(rows_of(back.matrix) == rows);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > (1u << 16)) return 0;
    const std::string from = std::string("in") + suffixes[data[0] % std::size(suffixes)];
    const std::string to = std::string("out") + suffixes[data[0] / std::size(suffixes) % std::size(suffixes)];
    memoryfiles::content.assign(data + 1, data + size);
    memoryfiles::present = true;

    Failure failure;
    std::vector<uint64_t> keys;
    if (read_keys(from, keys, failure)) REQUIRE(!keys.empty());
    else REQUIRE(!failure.reason.empty() && !failure.advice.empty());

    MatrixFile vectors, ids, any;
    if (open_vectors(from, vectors, failure)) {
        const learnann_vectors v = as_vectors(vectors.matrix);
        REQUIRE(v.count == vectors.matrix.rows && v.dim >= 1 && v.dim <= 65535);
    }
    if (open_ids(from, ids, failure)) {
        const Matrix &m = ids.matrix;
        int64_t sum = 0;
        for (uint64_t row = 0; row < m.rows; ++row) sum ^= id_at(m, row, 0) ^ id_at(m, row, m.dim - 1);
        volatile int64_t seen = sum;
        (void)seen;
    }
    if (open_matrix(from, any, failure)) convert(any.matrix, from, to);
    else REQUIRE(!failure.reason.empty() && !failure.advice.empty());
    return 0;
}
