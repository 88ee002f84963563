// writer.hpp: sections -> one file. A section may be larger than memory: its bytes are produced as they are written. The header,
// which holds their checksums, is written last, to the place left for it.
#pragma once

#include "format/format.hpp"

LEARNANN_BEGIN

// Takes bytes, in order.
struct Sink {
    virtual Status write(const void *bytes, size_t size, learnann_error *error) = 0;

protected:
    ~Sink() = default;
};

// Takes those of a whole file.
struct FileSink : Sink {
    // What is written next replaces the first bytes.
    virtual Status rewind(learnann_error *error) = 0;

protected:
    ~FileSink() = default;
};

// A section: either plain bytes, or a producer that writes them to a sink.
struct Section {
    u32 kind = 0;
    u64 size = 0;
    const void *bytes = nullptr;
    Status (*produce)(const void *context, Sink &sink, learnann_error *error) = nullptr;
    const void *context = nullptr;

    Status write(Sink &sink, learnann_error *error) const {
        return produce ? produce(context, sink, error) : sink.write(bytes, static_cast<size_t>(size), error);
    }
};

class FileWriter {
public:
    // Sections are laid out in the order they are added.
    void add(const Section &section) { sections_[count_++] = section; }
    void add(u32 kind, const void *bytes, u64 size) {
        Section s;
        s.kind = kind;
        s.bytes = bytes;
        s.size = size;
        add(s);
    }
    // What a reader has to understand, at least.
    void use_format(u32 version) { format_ = larger(format_, version); }
    void clear() {
        count_ = 0;
        format_ = plain_format;
    }
    bool empty() const { return count_ == 0; }
    u64 file_bytes() const;
    Status write(FileSink &sink, learnann_error *error) const;

private:
    Section sections_[section_kinds];
    u32 count_ = 0;
    u32 format_ = plain_format;
};

// To a file that appears only when it is complete.
Status save_file(const FileWriter &writer, const char *path, const Allocator &allocator, learnann_error *error);

// To memory of at least writer.file_bytes().
Status save_memory(const FileWriter &writer, void *buffer, learnann_error *error);

LEARNANN_END
