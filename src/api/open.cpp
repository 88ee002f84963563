// open.cpp: opening and closing: where an index's bytes come from, and which of them are held in memory.
#include "api/api.hpp"

LEARNANN_BEGIN

inline Status make_resident(learnann_index &index, learnann_error *error) {
    u64 bytes = 0;
    for (const SectionKind kind : hot_sections) bytes += round_up(index.view.section_bytes(kind), section_alignment);
    index.resident.use(index.allocator);
    LEARNANN_RETURN_IF(index.resident.allocate(bytes, error));
    prefer_large_pages(index.resident.data(), index.resident.size());
    u8 *to = index.resident.data();
    for (const SectionKind kind : hot_sections) {
        const u8 *mapped = index.view.section(kind);
        const u64 size = index.view.section_bytes(kind);
        if (!mapped) continue;      // the layers that most graphs don't have
        read_in_order(mapped, size, [&](const u8 *part, size_t part_size) { std::memcpy(to + (part - mapped), part, part_size); });
        index.view.use_copy(kind, to);
        to += round_up(size, section_alignment);
    }
    return LEARNANN_OK;
}

// Tells the system what searches will do with a mapped file.
inline void advise(FileView &view, bool flash) {
    if (flash) {
        view.ask_ahead();
        for (const SectionKind kind : hot_sections)
            if (view.section(kind)) expect_rereads(view.section(kind), view.section_bytes(kind));
    }
    for (const u32 kind : {section_projection, section_entries})    // every search reads them
        expect_reads(view.section(kind), view.section_bytes(kind));
}

// One open for both sources of bytes: `path` is NULL where bytes are given.
inline Status open_index(const char *path, const void *bytes, size_t size, const learnann_open_options *options,
                         learnann_index **out, learnann_error *error) {
    learnann_open_options o = learnann_open_options_default();
    LEARNANN_RETURN_IF(take_options(options, o, error));
    if (o.flags & ~(LEARNANN_OPEN_RESIDENT | LEARNANN_OPEN_FLASH | LEARNANN_OPEN_COPY))
        return fail(error, LEARNANN_ARGUMENT, "a flag of the open options is unknown");
    if ((o.flags & LEARNANN_OPEN_COPY) && o.flags != LEARNANN_OPEN_COPY)
        return fail(error, LEARNANN_ARGUMENT, "a copy of the file takes no other flag");
    if (!path && (o.flags & (LEARNANN_OPEN_COPY | LEARNANN_OPEN_FLASH))) return fail(error, LEARNANN_ARGUMENT, "the index is in memory already");
    const bool copy = path && (!maps_files || o.flags == LEARNANN_OPEN_COPY);
    Allocator allocator;
    LEARNANN_RETURN_IF(take_allocator(o.allocator, allocator, error));
    learnann_index *index = make<learnann_index>(allocator);
    if (!index) return fail_nomem(error, sizeof(learnann_index));
    index->allocator = allocator;
    Status status = LEARNANN_OK;
    if (copy) {
        index->resident.use(allocator);
        status = read_file(path, index->resident, error);
        bytes = index->resident.data();
        size = static_cast<size_t>(index->resident.size());
    } else if (path) {
        status = index->map.open(path, error);
        bytes = index->map.data();
        size = static_cast<size_t>(index->map.size());
    }
    if (status == LEARNANN_OK) status = index->view.open(static_cast<const u8 *>(bytes), size, error);
    if (status == LEARNANN_OK && path && !copy) advise(index->view, (o.flags & LEARNANN_OPEN_FLASH) != 0);
    if (status == LEARNANN_OK && !copy && (o.flags & LEARNANN_OPEN_RESIDENT)) status = make_resident(*index, error);
    if (status != LEARNANN_OK) destroy(index, allocator);
    else *out = index;
    return status;
}

LEARNANN_END

namespace learnann {
extern "C" {

LEARNANN_API learnann_status learnann_open(const char *path, const learnann_open_options *options, learnann_index **index,
                                           learnann_error *error) {
    clear(error);
    if (index) *index = nullptr;
    if (!path || !index) return null_argument(error);
    return open_index(path, nullptr, 0, options, index, error);
}

LEARNANN_API learnann_status learnann_open_memory(const void *bytes, size_t size, const learnann_open_options *options,
                                                  learnann_index **index, learnann_error *error) {
    clear(error);
    if (index) *index = nullptr;
    if (!index || (!bytes && size > 0)) return null_argument(error);
    if (reinterpret_cast<std::uintptr_t>(bytes) % cache_line != 0)
        return fail(error, LEARNANN_ARGUMENT, "an index in memory must be 64-byte aligned");
    return open_index(nullptr, bytes, size, options, index, error);
}

LEARNANN_API void learnann_close(learnann_index *index) {
    if (!index) return;
    const Allocator allocator = index->allocator;
    destroy(index, allocator);
}

}  // extern "C"
}  // namespace learnann
