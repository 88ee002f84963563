// A recursive-descent parser for the one Python dictionary that a .npy header is; see npyheader.hpp.
#include "npyheader.hpp"

#include <cstring>

namespace tools {
namespace {

const char *const mend = "The file is damaged or not of NumPy: save it again with numpy.save.";

class DictionaryParser {
public:
    DictionaryParser(const uint8_t *bytes, uint64_t begin, uint64_t end) : bytes_(bytes), at_(begin), end_(end) {}

    uint64_t at() const { return at_; }
    const char *reason() const { return reason_; }

    bool parse(NpyHeader &header) {
        bool has_descr = false, has_order = false, has_shape = false;
        if (!take('{')) return expected("'{'");
        while (!take('}')) {
            std::string key;
            if (!string(key)) return expected("a key in quotes");
            if (!take(':')) return expected("':' after a key");
            blanks();
            bool ok = false;
            if (key == "descr" && !has_descr) ok = has_descr = descr(header);
            else if (key == "fortran_order" && !has_order) ok = has_order = order(header);
            else if (key == "shape" && !has_shape) ok = has_shape = shape(header);
            else return expected("'descr', 'fortran_order' and 'shape', each once");
            if (!ok) return false;
            if (!take(',') && peek() != '}') return expected("',' or '}'");
        }
        blanks();
        if (at_ != end_) return expected("nothing after '}'");
        return (has_descr && has_order && has_shape) || expected("'descr', 'fortran_order' and 'shape'");
    }

private:
    bool expected(const char *what) {
        reason_ = what;
        return false;
    }
    int peek() const { return at_ < end_ ? bytes_[at_] : -1; }
    void blanks() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\t') ++at_;
    }
    bool take(char wanted) {
        blanks();
        if (peek() != wanted) return false;
        ++at_;
        return true;
    }
    bool word(const char *wanted) {
        const size_t length = std::strlen(wanted);
        if (end_ - at_ < length || std::memcmp(bytes_ + at_, wanted, length) != 0) return false;
        at_ += length;
        return true;
    }
    bool string(std::string &out) {
        blanks();
        const int mark = peek();
        if (mark != '\'' && mark != '"') return false;
        uint64_t close = at_ + 1;
        while (close < end_ && bytes_[close] != mark && bytes_[close] >= ' ' && bytes_[close] < 127) ++close;
        if (close >= end_ || bytes_[close] != mark) return false;
        out.assign(reinterpret_cast<const char *>(bytes_ + at_ + 1), static_cast<size_t>(close - at_ - 1));
        at_ = close + 1;
        return true;
    }
    bool descr(NpyHeader &header) {
        header.descr_offset = at_;
        return string(header.descr) || expected("a plain dtype (structured arrays hold no vectors)");
    }
    bool order(NpyHeader &header) {
        header.fortran_offset = at_;
        header.fortran_order = word("True");
        return header.fortran_order || word("False") || expected("True or False");
    }
    bool shape(NpyHeader &header) {
        header.shape_offset = at_;
        if (!take('(')) return expected("'(' of a shape");
        while (!take(')')) {
            uint64_t length = 0;
            if (header.shape.size() == 32) return expected("at most 32 axes");
            if (!number(length)) return expected("a length of the shape below 2^63");
            header.shape.push_back(length);
            if (!take(',') && peek() != ')') return expected("',' or ')'");
        }
        return true;
    }
    bool number(uint64_t &out) {
        blanks();
        const uint64_t begin = at_;
        for (; peek() >= '0' && peek() <= '9'; ++at_) {
            const uint64_t digit = static_cast<uint64_t>(peek() - '0');
            if (out > (static_cast<uint64_t>(INT64_MAX) - digit) / 10) return false;
            out = out * 10 + digit;
        }
        return at_ > begin;
    }

    const uint8_t *bytes_;
    uint64_t at_, end_;
    const char *reason_ = "";
};

} // namespace

bool parse_npy_header(const std::string &path, const uint8_t *bytes, uint64_t size, NpyHeader &header,
                      Failure &failure) {
    if (size < 10) return fail(failure, path, byte_place(size), "ends within the .npy header", mend);
    if (std::memcmp(bytes, "\x93NUMPY", 6) != 0) return fail(failure, path, "byte 0", "is not a .npy file", mend);
    if ((bytes[6] != 1 && bytes[6] != 2) || bytes[7] != 0) {
        const std::string version = format("%d.%d", bytes[6], bytes[7]);
        return fail(failure, path, "byte 6", ".npy version " + version + "; 1.0 and 2.0 are read", mend);
    }
    const uint64_t begin = bytes[6] == 1 ? 10 : 12;
    uint64_t length = static_cast<uint64_t>(bytes[8]) | static_cast<uint64_t>(bytes[9]) << 8;
    if (begin == 12 && size >= 12) {
        length |= static_cast<uint64_t>(bytes[10]) << 16 | static_cast<uint64_t>(bytes[11]) << 24;
    }
    if (size < begin || length > size - begin) {
        return fail(failure, path, "byte 8", "the file ends within its header of " + grouped(length) + " bytes", mend);
    }
    DictionaryParser parser(bytes, begin, begin + length);
    if (!parser.parse(header)) {
        const std::string reason = std::string("the .npy header should have ") + parser.reason() + " here";
        return fail(failure, path, byte_place(parser.at()), reason, mend);
    }
    header.bytes = begin + length;
    return true;
}

std::string npy_header(const char *descr, uint64_t rows, uint32_t dim) {
    std::string text = format("{'descr': '%s', 'fortran_order': False, 'shape': (%s, %s), }", descr,
                              std::to_string(rows).c_str(), std::to_string(dim).c_str());
    const size_t unpadded = 10 + text.size() + 1;
    text.append((64 - unpadded % 64) % 64, ' ');
    text += '\n';
    const size_t length = text.size();      // well below 2^16: two numbers and a dtype
    std::string head("\x93NUMPY\x01\x00", 8);
    head += static_cast<char>(length & 255);
    head += static_cast<char>(length >> 8);
    return head + text;
}

} // namespace tools
