// writer.cpp: lays sections out, and sends header, table and sections to a sink.
#include "format/writer.hpp"

#include "base/os.hpp"

LEARNANN_BEGIN

struct CrcSink final : Sink {
    u32 crc = 0;
    Status write(const void *bytes, size_t size, learnann_error *) override {
        crc = crc32c(crc, bytes, size);
        return LEARNANN_OK;
    }
};

struct MemorySink final : Sink {
    u8 *to;
    explicit MemorySink(void *buffer) : to(static_cast<u8 *>(buffer)) {}
    Status write(const void *bytes, size_t size, learnann_error *) override {
        if (size) std::memcpy(to, bytes, size);
        to += size;
        return LEARNANN_OK;
    }
};

// Small writes are gathered, so that a producer may write row by row.
struct FileSink final : Sink {
    AtomicFile &file;
    Array<u8> buffer;
    size_t filled = 0;
    FileSink(AtomicFile &f, const Allocator &allocator) : file(f), buffer(allocator) {}
    Status write(const void *bytes, size_t size, learnann_error *error) override {
        if (filled + size > buffer.size()) LEARNANN_RETURN_IF(flush(error));
        if (size > buffer.size()) return file.write(bytes, size, error);
        if (size) std::memcpy(buffer.data() + filled, bytes, size);
        filled += size;
        return LEARNANN_OK;
    }
    Status flush(learnann_error *error) {
        const size_t size = filled;
        filled = 0;
        return size ? file.write(buffer.data(), size, error) : LEARNANN_OK;
    }
};

inline u64 table_bytes(u32 sections) { return round_up(sizeof(FileHeader) + sections * sizeof(SectionEntry), section_alignment); }

u64 FileWriter::file_bytes() const {
    u64 size = count_ ? table_bytes(count_) : 0;
    for (u32 i = 0; i < count_; ++i) size += round_up(sections_[i].size, section_alignment);
    return size;
}

Status FileWriter::write(Sink &sink, learnann_error *error) const {
    FileHeader header{};
    std::memcpy(header.magic, file_magic, sizeof header.magic);
    header.writer_version = LEARNANN_VERSION;
    header.format = header.oldest_format = format_;
    header.sections = count_;
    header.file_bytes = file_bytes();

    SectionEntry entries[section_kinds] = {};
    u64 offset = table_bytes(count_);
    for (u32 i = 0; i < count_; ++i) {
        CrcSink crc;
        LEARNANN_RETURN_IF(sections_[i].write(crc, error));
        entries[i] = SectionEntry{sections_[i].kind, 1, offset, sections_[i].size, crc.crc, 0};
        if (sections_[i].kind == section_calibration) entries[i].flags = 0;
        offset += round_up(sections_[i].size, section_alignment);
    }
    const size_t entry_bytes = count_ * sizeof(SectionEntry);
    header.crc = crc32c(crc32c(0, &header, sizeof header), entries, entry_bytes);

    static const u8 zeroes[section_alignment] = {};
    LEARNANN_RETURN_IF(sink.write(&header, sizeof header, error));
    LEARNANN_RETURN_IF(sink.write(entries, entry_bytes, error));
    LEARNANN_RETURN_IF(sink.write(zeroes, static_cast<size_t>(table_bytes(count_) - sizeof header - entry_bytes), error));
    for (u32 i = 0; i < count_; ++i) {
        const u64 size = sections_[i].size;
        LEARNANN_RETURN_IF(sections_[i].write(sink, error));
        LEARNANN_RETURN_IF(sink.write(zeroes, static_cast<size_t>(round_up(size, section_alignment) - size), error));
    }
    return LEARNANN_OK;
}

Status save_file(const FileWriter &writer, const char *path, const Allocator &allocator, learnann_error *error) {
    AtomicFile file(allocator);
    FileSink sink(file, allocator);
    LEARNANN_RETURN_IF(sink.buffer.allocate(1u << 20, error));
    LEARNANN_RETURN_IF(file.create(path, error));
    LEARNANN_RETURN_IF(writer.write(sink, error));
    LEARNANN_RETURN_IF(sink.flush(error));
    return file.commit(error);
}

Status save_memory(const FileWriter &writer, void *buffer, learnann_error *error) {
    MemorySink sink(buffer);
    return writer.write(sink, error);
}

LEARNANN_END
