// input.hpp: a fuzzer's bytes, taken as numbers first and then as data of any length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

class Input {
public:
    Input(const uint8_t *data, size_t size) : at_(data), end_(data + size), next_(data) {}

    // Two bytes, below the limit; 0 where the input has ended.
    uint32_t number(uint32_t limit) {
        uint32_t value = 0;
        for (int i = 0; i < 2 && at_ < end_; ++i) value = value << 8 | *at_++;
        return value % limit;
    }
    uint32_t word() {
        const uint32_t upper = number(65536);
        return upper << 16 | number(65536);
    }
    // The rest, over and over; from here on there are no more numbers.
    void fill(void *to, size_t size) {
        uint8_t *out = static_cast<uint8_t *>(to);
        if (at_ == end_) std::memset(out, 0, size);
        while (at_ < end_ && size > 0) {
            if (next_ < at_ || next_ == end_) next_ = at_;
            const size_t left = static_cast<size_t>(end_ - next_), part = size < left ? size : left;
            std::memcpy(out, next_, part);
            next_ += part, out += part, size -= part;
        }
    }

private:
    const uint8_t *at_, *end_, *next_;
};
