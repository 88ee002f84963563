// base.hpp: what every floor stands on: status values, checked arithmetic, fallible arrays, half floats, random numbers.
// Invariants: nothing here throws, prints or aborts; every allocation goes through an Allocator and can fail.
#pragma once

#include "learnann.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#if __cplusplus < 201703L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 201703L)
#error "learnann is C++17: compile with -std=c++17 (or /std:c++17), which is not this compiler's default"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "learnann runs on little-endian machines only: its files are little-endian, and searched where they lie"
#endif

// In the amalgamation everything but the C API has internal linkage, so that an app sees learnann_* symbols only.
#ifdef LEARNANN_AMALGAMATION
#define LEARNANN_BEGIN namespace learnann { namespace {
#else
#define LEARNANN_BEGIN namespace learnann { inline namespace internal {
#endif
#define LEARNANN_END } }

#define LEARNANN_RETURN_IF(expression)                                  \
    do {                                                                \
        const ::learnann_status status_ = (expression);                 \
        if (status_ != LEARNANN_OK) return status_;                     \
    } while (0)

#if defined(_MSC_VER)
#define LEARNANN_NOINLINE __declspec(noinline)
#else
#define LEARNANN_NOINLINE __attribute__((noinline))
#endif

LEARNANN_BEGIN

using i8 = std::int8_t;
using u8 = std::uint8_t;
using i16 = std::int16_t;
using u16 = std::uint16_t;
using i32 = std::int32_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;
using u64 = std::uint64_t;

using Status = learnann_status;

constexpr u32 no_row = 0xffffffffu;

// ---- errors ----

inline Status fail(learnann_error *error, Status status, const char *message, learnann_place place = LEARNANN_AT_NOTHING,
                   u64 number = LEARNANN_NO_OFFSET) {
    if (error) *error = learnann_error{status, 0, number, 0, message, place};
    return status;
}

inline Status fail_nomem(learnann_error *error, u64 needed) {
    fail(error, LEARNANN_NOMEM, "out of memory");
    if (error) error->needed = needed;
    return LEARNANN_NOMEM;
}

// ---- arithmetic that says when it overflows ----

inline bool add_overflows(u64 a, u64 b, u64 &sum) {
    sum = a + b;
    return sum < a;
}

inline bool mul_overflows(u64 a, u64 b, u64 &product) {
    product = a * b;
    return a != 0 && product / a != b;
}

template <class T> constexpr T smaller(T a, T b) { return b < a ? b : a; }
template <class T> constexpr T larger(T a, T b) { return a < b ? b : a; }
template <class T> constexpr T clamp(T v, T low, T high) { return low < v ? (v < high ? v : high) : low; }     // NaN: low
constexpr u64 round_up(u64 v, u64 to) { return (v + to - 1) / to * to; }

// Hacker's Delight (Warren), figure 5-2; compilers make vectors of it.
constexpr u32 count_bits(u64 v) {
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    return static_cast<u32>(((v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56);
}
// The place of the lowest bit that is set; 64 where none is.
constexpr u32 lowest_bit(u64 v) { return count_bits((v & (0 - v)) - 1); }

// ---- unaligned loads and stores; files are little-endian and so are the machines this compiles for ----

template <class T> T load(const void *from) {
    static_assert(std::is_trivially_copyable<T>::value, "bytes only");
    T v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class T> void store(void *to, const T &v) { std::memcpy(to, &v, sizeof v); }

// ---- memory ----

struct Allocator {
    learnann_allocator hooks{nullptr, nullptr, nullptr};    // allocate == NULL: malloc and free

    void *allocate(size_t bytes) const {
        return hooks.allocate ? hooks.allocate(hooks.context, bytes) : std::malloc(bytes);
    }
    void release(void *memory, size_t bytes) const {
        if (!memory) return;
        if (hooks.release) hooks.release(hooks.context, memory, bytes);
        else std::free(memory);
    }
};

// An object in memory of an allocator; NULL where there is none left. destroy() gives it back.
template <class T, class... Arguments> T *make(const Allocator &allocator, Arguments &&...arguments) {
    void *memory = allocator.allocate(sizeof(T));
    return memory ? new (memory) T(std::forward<Arguments>(arguments)...) : nullptr;
}

template <class T> void destroy(T *object, const Allocator &allocator) {
    object->~T();
    allocator.release(object, sizeof(T));
}

// Brings the cache line of an address near, where the compiler knows how. The empty statement is an effect: GCC drops calls of functions
// that have none, and takes a prefetch for none.
inline void prefetch(const void *address) {
#if defined(__GNUC__)
    __builtin_prefetch(address);
    __asm__ volatile("");
#else
    (void)address;
#endif
}

// A fixed-size array of plain values, 64-byte aligned, whose allocation can fail. Contents are NOT initialised by
// allocate(); zeroes() clears them.
template <class T> class Array {
    static_assert(std::is_trivially_copyable<T>::value && std::is_trivially_destructible<T>::value, "plain values only");

public:
    Array() = default;
    explicit Array(const Allocator &a) : allocator_(a) {}
    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;
    Array(Array &&o) noexcept { swap(o); }
    Array &operator=(Array &&o) noexcept {
        swap(o);
        return *this;
    }
    ~Array() { release(); }

    void use(const Allocator &a) {
        release();
        allocator_ = a;
    }

    // Drops the contents. On failure the array is empty.
    Status allocate(u64 count, learnann_error *error = nullptr) {
        release();
        if (count == 0) return LEARNANN_OK;
        u64 bytes;
        if (mul_overflows(count, sizeof(T), bytes) || add_overflows(bytes, 64, bytes) || bytes > SIZE_MAX / 2)
            return fail_nomem(error, UINT64_MAX);
        memory_ = allocator_.allocate(static_cast<size_t>(bytes));
        if (!memory_) return fail_nomem(error, bytes);
        bytes_ = static_cast<size_t>(bytes);
        const auto address = reinterpret_cast<std::uintptr_t>(memory_);
        data_ = reinterpret_cast<T *>((address + 63) / 64 * 64);
        size_ = static_cast<size_t>(count);
        return LEARNANN_OK;
    }

    Status zeroes(u64 count, learnann_error *error = nullptr) {
        LEARNANN_RETURN_IF(allocate(count, error));
        if (size_) std::memset(static_cast<void *>(data_), 0, size_ * sizeof(T));
        return LEARNANN_OK;
    }

    // At least `count` items, contents dropped when it has to grow: for working memory that warms up.
    Status at_least(u64 count, learnann_error *error = nullptr) {
        return count <= size_ ? LEARNANN_OK : allocate(count, error);
    }

    // At least `count` items, contents kept.
    Status grow(u64 count, learnann_error *error = nullptr) {
        if (count <= size_) return LEARNANN_OK;
        Array<T> larger_one(allocator_);
        LEARNANN_RETURN_IF(larger_one.allocate(count, error));
        if (size_) std::memcpy(static_cast<void *>(larger_one.data_), data_, size_ * sizeof(T));
        swap(larger_one);
        return LEARNANN_OK;
    }

    void release() {
        allocator_.release(memory_, bytes_);
        memory_ = nullptr;
        data_ = nullptr;
        size_ = bytes_ = 0;
    }

    void swap(Array &o) noexcept {
        std::swap(allocator_, o.allocator_);
        std::swap(memory_, o.memory_);
        std::swap(data_, o.data_);
        std::swap(size_, o.size_);
        std::swap(bytes_, o.bytes_);
    }

    T *data() { return data_; }
    const T *data() const { return data_; }
    size_t size() const { return size_; }
    size_t bytes() const { return bytes_; }
    bool empty() const { return size_ == 0; }
    T &operator[](u64 i) { return data_[static_cast<size_t>(i)]; }      // i < size(), so it fits
    const T &operator[](u64 i) const { return data_[static_cast<size_t>(i)]; }
    T *begin() { return data_; }
    T *end() { return data_ + size_; }
    const T *begin() const { return data_; }
    const T *end() const { return data_ + size_; }

private:
    Allocator allocator_{};
    void *memory_ = nullptr;
    T *data_ = nullptr;
    size_t size_ = 0;
    size_t bytes_ = 0;
};

// A borrowed, read-only run of values.
template <class T> struct Span {
    const T *data = nullptr;
    u64 size = 0;
    const T &operator[](u64 i) const { return data[i]; }
    const T *begin() const { return data; }
    const T *end() const { return data + size; }
};

// ---- half floats (IEEE 754 binary16), round to nearest even ----

inline float half_to_float(u16 h) {
    const u32 sign = static_cast<u32>(h & 0x8000u) << 16;
    const u32 exponent = (h >> 10) & 31u;
    const u32 mantissa = h & 1023u;
    if (exponent == 0) {
        const float tiny = static_cast<float>(mantissa) * (1.0f / 16777216.0f);
        return sign ? -tiny : tiny;
    }
    const u32 bits = exponent == 31 ? sign | 0x7f800000u | mantissa << 13 : sign | (exponent + 112) << 23 | mantissa << 13;
    return load<float>(&bits);
}

// Of a finite half, without a branch: its bits, moved to where a float keeps them, are the value times 2^-112.
inline float finite_half_to_float(u32 h) {
    const u32 bits = (h & 0x8000u) << 16 | (h & 0x7fffu) << 13;
    return load<float>(&bits) * 5.192296858534828e33f;
}

inline u16 float_to_half(float f) {
    const u32 bits = load<u32>(&f);
    const u32 sign = bits >> 16 & 0x8000u;
    const u32 magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x7f800000u) return static_cast<u16>(sign | 0x7c00u | (magnitude > 0x7f800000u ? 0x200u : 0u));
    if (magnitude >= 0x477ff000u) return static_cast<u16>(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 in a float whose ulp is 2^-24 rounds to the right place
        const float shifted = load<float>(&magnitude) + 0.5f;
        return static_cast<u16>(sign | (load<u32>(&shifted) - 0x3f000000u));
    }
    const u32 rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return static_cast<u16>(sign | ((rounded - 0x38000000u) >> 13));
}

// ---- random numbers: the same on every machine. splitmix64 (Steele, Lea, Flood 2014) ----

class Random {
public:
    explicit Random(u64 seed) : state_(seed) {}
    u64 next() {
        u64 z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }
    u32 below(u32 limit) { return static_cast<u32>((next() >> 32) * limit >> 32); }
    float uniform() { return static_cast<float>(next() >> 40) * (1.0f / 16777216.0f); }
    float gaussian() {  // Box-Muller
        const float r = std::sqrt(-2.0f * std::log(uniform() + 1e-9f));
        return r * std::cos(6.28318531f * uniform());
    }

private:
    u64 state_;
};

// A random order of 0..count-1 (Fisher-Yates), for sampling.
inline void shuffle(u32 *items, u32 count, u64 seed) {
    Random random(seed);
    for (u32 i = 0; i < count; ++i) items[i] = i;
    for (u32 i = count; i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

// ---- vectors that are given ----

inline u32 element_bytes(learnann_type type) {
    return type == LEARNANN_F32 ? 4 : type == LEARNANN_F16 ? 2 : 1;
}

inline u64 stride_of(const learnann_vectors &v) {
    return v.stride ? v.stride : static_cast<u64>(v.dim) * element_bytes(v.type);
}

inline const void *vector_at(const learnann_vectors &v, u64 i) { return static_cast<const u8 *>(v.data) + i * stride_of(v); }

LEARNANN_END
