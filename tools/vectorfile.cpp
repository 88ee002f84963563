// The formats of vectorfile.hpp. Reading: one function for each container turns a mapped file into a checked Matrix.
// Writing: rows are converted one by one; the container decides only what comes before the rows and before each row.
//
// Invariant: nothing is read from a mapped file before its length was compared with what is to be read.
#include "vectorfile.hpp"

#include "npyheader.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "These files are little-endian and are used where they lie: a big-endian machine needs a copying reader."
#endif

namespace tools {
namespace {

enum class Container { Npy, Vecs, Bin };

struct Format {
    const char *suffix;
    Container container;
    Element element;        // of .npy: unused, its header says
};

const Format formats[] = {
    {".npy", Container::Npy, Element::F32},   {".fvecs", Container::Vecs, Element::F32},
    {".bvecs", Container::Vecs, Element::U8}, {".ivecs", Container::Vecs, Element::I32},
    {".fbin", Container::Bin, Element::F32},  {".u8bin", Container::Bin, Element::U8},
    {".i8bin", Container::Bin, Element::I8},  {".ibin", Container::Bin, Element::I32},
    {".u64bin", Container::Bin, Element::U64},
};

const char *const known_suffixes = ".npy .fvecs .bvecs .ivecs .fbin .u8bin .i8bin .ibin .u64bin";

// Rows come in files of up to 2^32 bytes a row, so that rows * row_bytes is all that can overflow.
constexpr uint64_t most_columns = INT32_MAX;

struct TypeInfo {
    const char *name;
    const char *descr;      // NumPy's name for it
    uint32_t bytes;
};

const TypeInfo types[] = {{"float32", "<f4", 4}, {"float16", "<f2", 2}, {"int8", "|i1", 1},  {"uint8", "|u1", 1},
                          {"int32", "<i4", 4},   {"int64", "<i8", 8},   {"uint64", "<u8", 8}};

const TypeInfo &info_of(Element element) { return types[static_cast<size_t>(element)]; }

template <class T> T load(const uint8_t *bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

template <class T> void store(T value, uint8_t *bytes) { std::memcpy(bytes, &value, sizeof value); }

const Format *format_of(const std::string &path) {
    const size_t dot = path.find_last_of("./\\");
    std::string suffix = dot == std::string::npos ? "" : path.substr(dot);
    for (char &c : suffix) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const Format &f : formats) {
        if (suffix == f.suffix) return &f;
    }
    return nullptr;
}

bool fail_suffix(const std::string &path, Failure &failure) {
    return fail(failure, path, "", "its suffix names no known vector format",
                std::string("Rename or convert it to one of ") + known_suffixes + ".");
}

const char *const mend_file = "The file is damaged, cut short, or not what its suffix says: fetch or export it again.";

// ---- reading

// Whether the file holds exactly rows * row_bytes bytes after `head`.
bool check_length(const MatrixFile &file, uint64_t head, uint64_t rows, uint64_t row_bytes, Failure &failure) {
    const uint64_t size = file.bytes.size();
    const bool too_many = rows > (std::numeric_limits<uint64_t>::max() - head) / row_bytes;
    if (!too_many && head + rows * row_bytes == size) return true;
    const std::string shape = grouped(rows) + " rows of " + grouped(row_bytes) + " bytes";
    if (too_many) {
        return fail(failure, file.path, "byte 0", "its header promises " + shape + ", more than can be", mend_file);
    }
    const uint64_t expected = head + rows * row_bytes;
    return fail(failure, file.path, byte_place(std::min(size, expected)),
                format("its header promises %s, which end at byte %s, but the file %s %s", shape.c_str(),
                       grouped(expected).c_str(), size < expected ? "ends at" : "goes on to", grouped(size).c_str()),
                mend_file);
}

bool check_shape(const std::string &path, const char *place_of_dim, uint64_t rows, uint64_t dim, Failure &failure) {
    if (dim == 0 || dim > most_columns) {
        return fail(failure, path, place_of_dim, "rows of " + grouped(dim) + " elements; it must be 1 to 2,147,483,647",
                    mend_file);
    }
    if (rows == 0) return fail(failure, path, place_of_dim, "it holds no rows", "Give a file with at least one row.");
    return true;
}

bool open_bin(MatrixFile &file, Element element, Failure &failure) {
    if (file.bytes.size() < 8) {
        return fail(failure, file.path, byte_place(file.bytes.size()), "ends within its header of 8 bytes", mend_file);
    }
    const uint64_t rows = load<uint32_t>(file.bytes.data());
    const uint64_t dim = load<uint32_t>(file.bytes.data() + 4);
    const uint64_t row_bytes = dim * info_of(element).bytes;
    if (!check_shape(file.path, rows == 0 ? "byte 0" : "byte 4", rows, dim, failure)) return false;
    if (!check_length(file, 8, rows, row_bytes, failure)) return false;
    file.matrix = Matrix{file.bytes.data() + 8, rows, row_bytes, static_cast<uint32_t>(dim), element};
    return true;
}

bool open_vecs(MatrixFile &file, Element element, Failure &failure) {
    const uint64_t size = file.bytes.size();
    const uint8_t *bytes = file.bytes.data();
    if (size < 4) return fail(failure, file.path, byte_place(size), "ends within the dim of the first row", mend_file);
    const uint64_t dim = load<uint32_t>(bytes);
    if (!check_shape(file.path, "byte 0", 1, dim, failure)) return false;
    const uint64_t stride = 4 + dim * info_of(element).bytes;
    constexpr uint64_t part = 16u << 20;
    for (uint64_t at = 0; at < size; at += stride) {
        if (at / part != (at + stride) / part) file.bytes.let_go();     // every row is looked at here
        const std::string row = "row " + grouped(at / stride);
        if (size - at < stride) {
            return fail(failure, file.path, byte_place(at),
                        format("%s has %s bytes left, it needs %s", row.c_str(), grouped(size - at).c_str(),
                               grouped(stride).c_str()),
                        mend_file);
        }
        const int32_t here = load<int32_t>(bytes + at);
        if (static_cast<uint32_t>(here) != dim) {
            return fail(failure, file.path, byte_place(at),
                        format("%s has dim %d, the rows before it %s", row.c_str(), here, grouped(dim).c_str()),
                        "All rows must have the same dim. If they should, the file is damaged: fetch it again.");
        }
    }
    file.matrix = Matrix{bytes + 4, size / stride, stride, static_cast<uint32_t>(dim), element};
    return true;
}

bool open_npy(MatrixFile &file, Failure &failure) {
    NpyHeader header;
    if (!parse_npy_header(file.path, file.bytes.data(), file.bytes.size(), header, failure)) return false;
    const TypeInfo *type = std::find_if(std::begin(types), std::end(types),
                                        [&](const TypeInfo &t) { return header.descr == t.descr; });
    if (type == std::end(types)) {
        return fail(failure, file.path, byte_place(header.descr_offset), "the dtype is '" + header.descr + "'",
                    "It must be one of <f4 <f2 |i1 |u1 <i4 <i8 <u8, little-endian: save array.astype('<f4'), for one.");
    }
    if (header.fortran_order) {
        return fail(failure, file.path, byte_place(header.fortran_offset), "the array is in Fortran order",
                    "Save numpy.ascontiguousarray(array).");
    }
    if (header.shape.empty() || header.shape.size() > 2) {
        return fail(failure, file.path, byte_place(header.shape_offset),
                    format("the array has %d axes", static_cast<int>(header.shape.size())),
                    "Save it as 2-d: array.reshape(-1, array.shape[-1]).");
    }
    const uint64_t rows = header.shape[0];
    const uint64_t dim = header.shape.size() == 2 ? header.shape[1] : 1;
    if (!check_shape(file.path, byte_place(header.shape_offset).c_str(), rows, dim, failure)) return false;
    const uint64_t row_bytes = dim * type->bytes;
    if (!check_length(file, header.bytes, rows, row_bytes, failure)) return false;
    file.flat = header.shape.size() == 1;
    file.matrix = Matrix{file.bytes.data() + header.bytes, rows, row_bytes, static_cast<uint32_t>(dim),
                         static_cast<Element>(type - types)};
    return true;
}

bool fail_flat(const MatrixFile &file, Failure &failure) {
    return fail(failure, file.path, "", "it is a 1-d array, and rows are needed",
                "Save it as 2-d: array.reshape(1, -1) for one row, array.reshape(-1, 1) for rows of one element.");
}

// ---- keys

// One decimal number a line; spaces around it and blank lines at the end are let pass, nothing else.
bool parse_keys(const std::string &path, const uint8_t *bytes, uint64_t size, std::vector<uint64_t> &keys,
                Failure &failure) {
    const auto is_space = [](uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (size > 0 && (is_space(bytes[size - 1]) || bytes[size - 1] == '\n')) --size;
    for (uint64_t at = 0; at < size; ++at) {
        const uint64_t begin = at;
        uint64_t key = 0, digits = 0;
        bool overflow = false;
        while (at < size && is_space(bytes[at])) ++at;
        for (; at < size && bytes[at] >= '0' && bytes[at] <= '9'; ++at, ++digits) {
            const uint64_t digit = static_cast<uint64_t>(bytes[at] - '0');
            overflow = overflow || key > (UINT64_MAX - digit) / 10;
            key = key * 10 + digit;
        }
        while (at < size && is_space(bytes[at])) ++at;
        if (digits == 0 || overflow || (at < size && bytes[at] != '\n')) {
            return fail(failure, path, byte_place(begin),
                        format("line %s is not a whole number from 0 to 18446744073709551615",
                               grouped(keys.size() + 1).c_str()),
                        "Write one decimal number a line, or give keys as .npy of uint64 or int64, or .u64bin.");
        }
        keys.push_back(key);
    }
    if (keys.empty()) return fail(failure, path, "byte 0", "it holds no keys", "Write one decimal number a line.");
    return true;
}

bool keys_of_matrix(const MatrixFile &file, std::vector<uint64_t> &keys, Failure &failure) {
    const Matrix &m = file.matrix;
    const bool whole = m.element == Element::U64 || m.element == Element::I64 || m.element == Element::I32;
    if (!whole || m.dim != 1) {
        return fail(failure, file.path, "", format("keys are one whole number a row; this is %s x %s of %s",
                                                   grouped(m.rows).c_str(), grouped(m.dim).c_str(),
                                                   element_name(m.element)),
                    "Save them as a 1-d array of uint64 or int64.");
    }
    keys.reserve(static_cast<size_t>(m.rows));
    for (uint64_t row = 0; row < m.rows; ++row) {
        const uint64_t key = m.element == Element::U64 ? load<uint64_t>(m.data + row * m.stride)
                                                       : static_cast<uint64_t>(id_at(m, row, 0));
        if (m.element != Element::U64 && static_cast<int64_t>(key) < 0) {
            const uint64_t offset = static_cast<uint64_t>(m.data - file.bytes.data()) + row * m.stride;
            return fail(failure, file.path, byte_place(offset),
                        "the key of row " + grouped(row) + " is negative", "Keys are 0 to 18446744073709551615.");
        }
        keys.push_back(key);
    }
    return true;
}

// ---- conversion

double half_value(uint16_t half) {
    const int exponent = (half >> 10) & 31, fraction = half & 1023;
    double magnitude = 0;
    if (exponent == 31) magnitude = fraction != 0 ? std::nan("") : HUGE_VAL;
    else if (exponent == 0) magnitude = std::ldexp(fraction, -24);
    else magnitude = std::ldexp(1024 + fraction, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

double value_at(const uint8_t *bytes, Element element) {
    switch (element) {
    case Element::F32: return static_cast<double>(load<float>(bytes));
    case Element::F16: return half_value(load<uint16_t>(bytes));
    case Element::I8: return load<int8_t>(bytes);
    case Element::U8: return *bytes;
    case Element::I32: return load<int32_t>(bytes);
    case Element::I64: return static_cast<double>(load<int64_t>(bytes));
    case Element::U64: return static_cast<double>(load<uint64_t>(bytes));
    }
    return 0;
}

// Just past the largest T, which itself a double may not hold.
template <class T> constexpr double past = 2.0 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1);

// Whether value_at says what the file says: above 2^53 doubles skip whole numbers.
template <class T> bool double_holds(T whole) {
    const double value = static_cast<double>(whole);
    return value < past<T> && static_cast<T>(value) == whole;
}

bool value_is_exact(const uint8_t *bytes, Element element) {
    if (element == Element::I64) return double_holds(load<int64_t>(bytes));
    return element != Element::U64 || double_holds(load<uint64_t>(bytes));
}

std::string value_text(const uint8_t *bytes, Element element) {
    if (element == Element::I64) return std::to_string(load<int64_t>(bytes));
    if (element == Element::U64) return std::to_string(load<uint64_t>(bytes));
    return format("%.17g", value_at(bytes, element));
}

template <class T> bool store_whole(double value, uint8_t *bytes) {
    if (!(value >= static_cast<double>(std::numeric_limits<T>::min()) && value < past<T>) || value != std::floor(value)) return false;
    store(static_cast<T>(value), bytes);
    return true;
}

bool store_float(double value, uint8_t *bytes) {
    // Out of float's range the cast would be undefined; infinities and NaN pass as they are.
    if (std::isfinite(value) && std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max())) return false;
    const float narrow = static_cast<float>(value);
    store(narrow, bytes);
    return std::isnan(value) || static_cast<double>(narrow) == value;
}

// False where `to` can't hold the value exactly.
bool convert_element(const uint8_t *in, Element from, uint8_t *out, Element to) {
    if (from == Element::I64 && to == Element::U64) {
        std::memcpy(out, in, 8);
        return load<int64_t>(in) >= 0;
    }
    if (!value_is_exact(in, from)) return false;        // every value of the types below is a double
    const double value = value_at(in, from);
    switch (to) {
    case Element::F32: return store_float(value, out);
    case Element::I8: return store_whole<int8_t>(value, out);
    case Element::U8: return store_whole<uint8_t>(value, out);
    case Element::I32: return store_whole<int32_t>(value, out);
    case Element::U64: return store_whole<uint64_t>(value, out);
    case Element::F16:
    case Element::I64: break;       // only .npy holds these, and it keeps the type
    }
    return false;
}

// ---- writing

std::string header_bytes(Container container, const Matrix &matrix) {
    if (container == Container::Npy) return npy_header(info_of(matrix.element).descr, matrix.rows, matrix.dim);
    if (container == Container::Vecs) return "";
    std::string head(8, '\0');
    store(static_cast<uint32_t>(matrix.rows), reinterpret_cast<uint8_t *>(head.data()));
    store(matrix.dim, reinterpret_cast<uint8_t *>(head.data()) + 4);
    return head;
}

struct RowConverter {
    const Matrix &matrix;
    Element to;
    std::vector<uint8_t> out;   // what comes before each row, then the row
    size_t before;

    // The first column that does not fit, or matrix.dim.
    uint32_t convert(uint64_t row) {
        const uint8_t *in = matrix.data + row * matrix.stride;
        const uint32_t from_bytes = info_of(matrix.element).bytes, to_bytes = info_of(to).bytes;
        if (to == matrix.element) {
            std::memcpy(out.data() + before, in, out.size() - before);
            return matrix.dim;
        }
        uint32_t column = 0;
        uint8_t *next = out.data() + before;
        for (; column < matrix.dim; ++column, in += from_bytes, next += to_bytes) {
            if (!convert_element(in, matrix.element, next, to)) break;
        }
        return column;
    }
};

bool write_rows(AtomicFile &file, RowConverter &rows, const std::string &source, bool (*stop)(), Failure &failure) {
    const Matrix &m = rows.matrix;
    for (uint64_t row = 0; row < m.rows; ++row) {
        if (row % 1024 == 0 && stop != nullptr && stop()) {
            return fail(failure, source, "", "interrupted", "Nothing was written; run it again to begin anew.");
        }
        const uint32_t column = rows.convert(row);
        if (column < m.dim) {
            const uint8_t *at = m.data + row * m.stride + uint64_t{column} * info_of(m.element).bytes;
            return fail(failure, source, "row " + grouped(row),
                        format("element %s is %s, which %s can't hold exactly", grouped(column).c_str(),
                               value_text(at, m.element).c_str(), element_name(rows.to)),
                        "Write to .npy, which keeps the element type, or round the values first.");
        }
        if (!file.write(rows.out.data(), rows.out.size(), failure)) return false;
    }
    return true;
}

} // namespace

const char *element_name(Element element) { return info_of(element).name; }

bool open_matrix(const std::string &path, MatrixFile &file, Failure &failure) {
    const Format *known = format_of(path);
    if (known == nullptr) return fail_suffix(path, failure);
    MatrixFile opened;
    opened.path = path;
    if (!opened.bytes.open(path, failure)) return false;
    const bool ok = known->container == Container::Npy    ? open_npy(opened, failure)
                    : known->container == Container::Vecs ? open_vecs(opened, known->element, failure)
                                                          : open_bin(opened, known->element, failure);
    if (ok) file = std::move(opened);
    return ok;
}

bool open_vectors(const std::string &path, MatrixFile &file, Failure &failure) {
    if (!open_matrix(path, file, failure)) return false;
    const Matrix &m = file.matrix;
    if (m.element == Element::I32 || m.element == Element::I64 || m.element == Element::U64) {
        return fail(failure, path, "", std::string("its elements are ") + element_name(m.element) +
                                       "; vectors are float32, float16, int8 or uint8",
                    "Is this a truth or key file? Otherwise save the vectors as one of those types.");
    }
    if (file.flat) return fail_flat(file, failure);
    if (m.dim > 65535) {
        return fail(failure, path, "", "its vectors have " + grouped(m.dim) + " elements; 65,535 is the most",
                    "Is the shape right? It should be rows x dim.");
    }
    return true;
}

bool open_ids(const std::string &path, MatrixFile &file, Failure &failure) {
    if (!open_matrix(path, file, failure)) return false;
    const Element element = file.matrix.element;
    if (element != Element::I32 && element != Element::I64) {
        return fail(failure, path, "", std::string("its elements are ") + element_name(element) +
                                       "; ids are int32 or int64",
                    "Give the row numbers of the true neighbours: .ivecs, .ibin, or .npy of i4 or i8.");
    }
    return !file.flat || fail_flat(file, failure);
}

learnann_vectors as_vectors(const Matrix &matrix) {
    learnann_vectors v{matrix.data, matrix.rows, matrix.stride, matrix.dim, LEARNANN_F32};
    if (matrix.element == Element::F16) v.type = LEARNANN_F16;
    if (matrix.element == Element::I8) v.type = LEARNANN_I8;
    if (matrix.element == Element::U8) v.type = LEARNANN_U8;
    return v;
}

int64_t id_at(const Matrix &matrix, uint64_t row, uint32_t column) {
    const uint8_t *begin = matrix.data + row * matrix.stride;
    return matrix.element == Element::I64 ? load<int64_t>(begin + uint64_t{column} * 8)
                                          : load<int32_t>(begin + uint64_t{column} * 4);
}

bool read_keys(const std::string &path, std::vector<uint64_t> &keys, Failure &failure) {
    keys.clear();
    if (format_of(path) != nullptr) {
        MatrixFile file;
        return open_matrix(path, file, failure) && keys_of_matrix(file, keys, failure);
    }
    MappedFile file;
    return file.open(path, failure) && parse_keys(path, file.data(), file.size(), keys, failure);
}

bool check_matrix_suffix(const std::string &path, Failure &failure) {
    return format_of(path) != nullptr || fail_suffix(path, failure);
}

bool check_numbers_suffix(const std::string &path, Failure &failure) {
    const Format *known = format_of(path);
    if (known != nullptr && (known->container == Container::Npy || known->element == Element::I32)) return true;
    return fail(failure, path, "", "its suffix names no format for row numbers", "Name it .ivecs, .ibin or .npy.");
}

bool write_matrix(const std::string &path, const Matrix &matrix, const std::string &source, bool (*stop)(),
                  Failure &failure) {
    const Format *known = format_of(path);
    if (known == nullptr) return fail_suffix(path, failure);
    if (known->container == Container::Bin && matrix.rows > INT32_MAX) {
        return fail(failure, path, "", grouped(matrix.rows) + " rows; this format counts them in an int32",
                    "Write to .npy.");
    }
    const Element to = known->container == Container::Npy ? matrix.element : known->element;
    const size_t before = known->container == Container::Vecs ? 4 : 0;
    const size_t row_bytes = size_t{matrix.dim} * info_of(to).bytes;
    RowConverter rows{matrix, to, std::vector<uint8_t>(before + row_bytes), before};
    if (before != 0) store(matrix.dim, rows.out.data());

    AtomicFile file;
    const std::string head = header_bytes(known->container, matrix);
    return file.create(path, failure) && file.write(head.data(), head.size(), failure) &&
           write_rows(file, rows, source, stop, failure) && file.publish(failure);
}

} // namespace tools
