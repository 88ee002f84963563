// writer.cpp: lays sections out, and sends header, table and sections to a sink.
#include "format/writer.hpp"

#include "base/os.hpp"

LEARNANN_BEGIN

// One section on its way.
struct CrcSink final : Sink {
    Sink &to;
    u32 crc = 0;
    explicit CrcSink(Sink &sink) : to(sink) {}
    Status write(const void *bytes, size_t size, learnann_error *error) override {
        crc = crc32c(crc, bytes, size);
        return to.write(bytes, size, error);
    }
};

struct MemorySink final : FileSink {
    u8 *const start;
    u8 *to;
    explicit MemorySink(void *buffer) : start(static_cast<u8 *>(buffer)), to(start) {}
    Status rewind(learnann_error *) override {
        to = start;
        return LEARNANN_OK;
    }
    Status write(const void *bytes, size_t size, learnann_error *) override {
        if (size) std::memcpy(to, bytes, size);
        to += size;
        return LEARNANN_OK;
    }
};

// Small writes are gathered, so that a producer may write row by row.
struct DiskSink final : FileSink {
    AtomicFile &file;
    Array<u8> buffer;
    size_t filled = 0;
    DiskSink(AtomicFile &f, const Allocator &allocator) : file(f), buffer(allocator) {}
    Status write(const void *bytes, size_t size, learnann_error *error) override {
        if (filled + size > buffer.size()) LEARNANN_RETURN_IF(flush(error));
        if (size > buffer.size()) return file.write(bytes, size, error);
        if (size) std::memcpy(buffer.data() + filled, bytes, size);
        filled += size;
        return LEARNANN_OK;
    }
    Status rewind(learnann_error *error) override {
        LEARNANN_RETURN_IF(flush(error));
        return file.rewind(error);
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

Status FileWriter::write(FileSink &sink, learnann_error *error) const {
    FileHeader header{};
    std::memcpy(header.magic, file_magic, sizeof header.magic);
    header.writer_version = LEARNANN_VERSION;
    header.format = header.oldest_format = format_;
    header.sections = count_;
    header.file_bytes = file_bytes();

    static const u8 zeroes[section_alignment] = {};
    const u64 head = table_bytes(count_);
    for (u64 at = 0; at < head; at += section_alignment) LEARNANN_RETURN_IF(sink.write(zeroes, section_alignment, error));
    SectionEntry entries[section_kinds] = {};
    u64 offset = head;
    for (u32 i = 0; i < count_; ++i) {
        const Section &s = sections_[i];
        CrcSink crc(sink);
        LEARNANN_RETURN_IF(s.write(crc, error));
        LEARNANN_RETURN_IF(sink.write(zeroes, static_cast<size_t>(round_up(s.size, section_alignment) - s.size), error));
        entries[i] = SectionEntry{s.kind, s.kind == section_calibration ? 0u : 1u, offset, s.size, crc.crc, 0};
        offset += round_up(s.size, section_alignment);
    }
    const size_t entry_bytes = count_ * sizeof(SectionEntry);
    header.crc = crc32c(crc32c(0, &header, sizeof header), entries, entry_bytes);
    LEARNANN_RETURN_IF(sink.rewind(error));
    LEARNANN_RETURN_IF(sink.write(&header, sizeof header, error));
    return sink.write(entries, entry_bytes, error);
}

Status save_file(const FileWriter &writer, const char *path, const Allocator &allocator, learnann_error *error) {
    AtomicFile file(allocator);
    DiskSink sink(file, allocator);
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
