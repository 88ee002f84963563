// A JSON writer: commas, escapes and numbers are its business, the order of the calls is the caller's.
//
// Invariants: the text is valid JSON in UTF-8 whatever goes in: NaN and infinities become null, bytes that are not
// UTF-8 become U+FFFD. Doubles are written with the fewest digits that read back as the same value. Numbers assume the
// "C" locale, which a program has unless it calls setlocale.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace tools {

class JsonWriter {
public:
    void begin_object() { open('{'); }
    void end_object() { close('}'); }
    void begin_array() { open('['); }
    void end_array() { close(']'); }

    void key(std::string_view name) {
        separate();
        quote(name);
        text_ += ':';
        comma_ = false;
    }

    void value(std::string_view string) {
        separate();
        quote(string);
        comma_ = true;
    }
    void value(const char *string) { value(std::string_view(string)); }     // or it would become a bool
    void value(bool truth) { raw(truth ? "true" : "false"); }
    void value(double number) { raw(shortest(number, 15, 17)); }
    void value(float number) { raw(shortest(static_cast<double>(number), 6, 9)); }
    void value(std::nullptr_t) { raw("null"); }
    template <class T, std::enable_if_t<std::is_integral_v<T>, int> = 0> void value(T number) {
        raw(std::to_string(number));
    }

    template <class T> void field(std::string_view name, const T &content) {
        key(name);
        value(content);
    }

    const std::string &text() const { return text_; }

private:
    void open(char bracket) {
        separate();
        text_ += bracket;
        comma_ = false;
    }
    void close(char bracket) {
        text_ += bracket;
        comma_ = true;
    }
    void separate() {
        if (comma_) text_ += ',';
    }
    void raw(std::string_view token) {
        separate();
        text_ += token;
        comma_ = true;
    }

    static std::string shortest(double number, int least, int most) {
        if (!std::isfinite(number)) return "null";
        char digits[40];
        for (int precision = least; precision <= most; ++precision) {
            std::snprintf(digits, sizeof digits, "%.*g", precision, number);
            const double back = std::strtod(digits, nullptr);
            const bool same = most < 10 ? static_cast<float>(back) == static_cast<float>(number)
                                        : std::memcmp(&back, &number, sizeof back) == 0;    // NOLINT: their bits, for -0 and NaN
            if (same) break;
        }
        return digits;
    }

    // Bytes of the UTF-8 sequence that begins `rest`, 0 where there is no valid one.
    static size_t sequence(std::string_view rest) {
        const auto byte = [&](size_t i) { return static_cast<unsigned char>(rest[i]); };
        const unsigned char lead = byte(0);
        if (lead < 0x80) return 1;
        const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
        if (length == 0 || rest.size() < length) return 0;
        for (size_t i = 1; i < length; ++i) {
            if ((byte(i) & 0xC0) != 0x80) return 0;
        }
        // Overlong forms, surrogates, and what lies past U+10FFFF show in the second byte.
        if (lead == 0xE0 && byte(1) < 0xA0) return 0;
        if (lead == 0xED && byte(1) > 0x9F) return 0;
        if (lead == 0xF0 && byte(1) < 0x90) return 0;
        if (lead == 0xF4 && byte(1) > 0x8F) return 0;
        return length;
    }

    void quote(std::string_view string) {
        text_ += '"';
        while (!string.empty()) {
            const size_t length = sequence(string);
            const char first = string[0];
            if (length == 0) {
                text_ += "\\ufffd";
            } else if (first == '"' || first == '\\') {
                text_ += '\\';
                text_ += first;
            } else if (static_cast<unsigned char>(first) < 0x20) {
                char escape[8];
                std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(first));
                text_ += escape;
            } else {
                text_ += string.substr(0, length);
            }
            string.remove_prefix(length == 0 ? 1 : length);
        }
        text_ += '"';
    }

    std::string text_;
    bool comma_ = false;    // something at this level came before
};

} // namespace tools
