// What every tool shares: the value that says why something failed, and numbers as people read them.
//
// Invariants: a function that can fail returns false and has then filled its Failure, reason and advice both; it leaves
// the Failure alone otherwise. Nothing here prints.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#if defined(__GNUC__)
#define TOOLS_PRINTF __attribute__((format(printf, 1, 2)))
#else
#define TOOLS_PRINTF
#endif

namespace tools {

struct Failure {
    std::string file;       // empty where no file is at fault
    std::string place;      // "byte 12", "row 3", or empty
    std::string reason;
    std::string advice;     // what to do about it
};

inline bool fail(Failure &failure, std::string file, std::string place, std::string reason, std::string advice) {
    failure = Failure{std::move(file), std::move(place), std::move(reason), std::move(advice)};
    return false;
}

// strerror on POSIX, FormatMessage on Windows.
inline std::string system_text(int code) { return std::system_category().message(code); }

TOOLS_PRINTF inline std::string format(const char *pattern, ...) {
    va_list arguments, again;
    va_start(arguments, pattern);
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, pattern, arguments);
    std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
    if (length > 0) std::vsnprintf(text.data(), text.size() + 1, pattern, again);
    va_end(again);
    va_end(arguments);
    return text;
}

// 1234567 -> "1,234,567"
inline std::string grouped(uint64_t number) {
    std::string text = std::to_string(number);
    for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
    return text;
}

// 1536 -> "1.50 KiB"
inline std::string size_text(double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit < 5; ++unit) bytes /= 1024;
    return unit == 0 ? format("%.0f B", bytes) : format("%.*f %s", bytes < 10 ? 2 : 1, bytes, units[unit]);
}

inline std::string size_text(uint64_t bytes) { return size_text(static_cast<double>(bytes)); }

inline std::string byte_place(uint64_t offset) { return "byte " + std::to_string(offset); }

} // namespace tools
