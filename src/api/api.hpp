// api.hpp: what the handles of the C API are, for the files that implement it.
#pragma once

#include "base/os.hpp"
#include "search/search.hpp"

struct learnann_index {
    learnann::Allocator allocator;
    learnann::FileMap map;          // empty where the bytes are the caller's, or copied
    learnann::FileView view;
    learnann::Array<learnann::u8> resident;     // copies of the hot sections or of the whole file, where asked for
};

struct learnann_scratch {
    learnann::Allocator allocator;
    const learnann_index *index = nullptr;
    learnann::Workspace space;
};

LEARNANN_BEGIN

inline void clear(learnann_error *error) { fail(error, LEARNANN_OK, ""); }

inline Status null_argument(learnann_error *error) { return fail(error, LEARNANN_ARGUMENT, "an argument is NULL that must not be"); }

inline Status unset_size(learnann_error *error) {
    return fail(error, LEARNANN_ARGUMENT, "struct_size is not set: begin with the ..._default() function");
}

inline Status take_allocator(const learnann_allocator *hooks, Allocator &out, learnann_error *error) {
    if (!hooks) return LEARNANN_OK;
    if (!hooks->allocate || !hooks->release) return fail(error, LEARNANN_ARGUMENT, "an allocator needs both of its functions");
    out.hooks = *hooks;
    return LEARNANN_OK;
}

// Option structs may come from an older or a newer caller: what it doesn't know keeps its default.
template <class T> Status take_options(const T *given, T &out, learnann_error *error) {
    if (!given) return LEARNANN_OK;
    // No version ends within a field.
    if (given->struct_size < sizeof(u32) || given->struct_size > 4096 || given->struct_size % alignof(T) != 0) return unset_size(error);
    const u32 known = smaller(given->struct_size, static_cast<u32>(sizeof(T)));
    std::memcpy(&out, given, known);
    out.struct_size = sizeof(T);
    return LEARNANN_OK;
}

// The other way: fills as much as the caller has room for.
template <class T> Status give_struct(const T &from, T *to) {
    if (!to || to->struct_size < sizeof(u32)) return LEARNANN_ARGUMENT;
    const u32 size = smaller(to->struct_size, static_cast<u32>(sizeof(T))), stated = to->struct_size;
    std::memcpy(to, &from, size);
    to->struct_size = stated;
    return LEARNANN_OK;
}

// Callers in C may hand over any number; kinds are counted from 0.
template <class Enum> bool no_kind(Enum kind, Enum last) { return static_cast<u32>(kind) > static_cast<u32>(last); }

inline Status check_vectors(const learnann_vectors *v, learnann_error *error) {
    if (!v || (!v->data && v->count > 0)) return fail(error, LEARNANN_ARGUMENT, "no vectors were given");
    if (v->type < LEARNANN_F32 || v->type > LEARNANN_U8) return fail(error, LEARNANN_ARGUMENT, "the element type is unknown");
    if (v->dim < 1 || v->dim > max_dim) return fail(error, LEARNANN_ARGUMENT, "the dimension must be 1 to 65,535");
    const u64 row = static_cast<u64>(v->dim) * element_bytes(v->type);
    if (v->stride != 0 && v->stride < row) return fail(error, LEARNANN_ARGUMENT, "the stride is shorter than a vector");
    u64 all;
    if (mul_overflows(v->count, stride_of(*v), all) || all > SIZE_MAX / 2)
        return fail(error, LEARNANN_ARGUMENT, "count times stride is larger than memory");
    return LEARNANN_OK;
}

LEARNANN_END
