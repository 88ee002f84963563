// memoryfiles.cpp: see memoryfiles.hpp. The members are those of tools/file.hpp.
#include "memoryfiles.hpp"

#include "../../tools/file.hpp"

#include <algorithm>

namespace memoryfiles {
std::vector<uint8_t> content, written;
bool present = false;
}  // namespace memoryfiles

namespace tools {

MappedFile::MappedFile(MappedFile &&other) noexcept { *this = std::move(other); }
MappedFile::~MappedFile() = default;

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(held_, other.held_);
    return *this;
}

bool MappedFile::open(const std::string &path, Failure &failure) {
    if (!memoryfiles::present) return fail(failure, path, "", "there is no such file", "Check the path.");
    held_ = memoryfiles::content;
    held_.shrink_to_fit();
    data_ = held_.data();
    size_ = held_.size();
    return true;
}

void MappedFile::let_go() const {}

AtomicFile::~AtomicFile() = default;

bool AtomicFile::create(const std::string &path, Failure &) {
    path_ = path;
    memoryfiles::written.clear();
    return true;
}

bool AtomicFile::write(const void *bytes, size_t count, Failure &) {
    const uint8_t *from = static_cast<const uint8_t *>(bytes);
    memoryfiles::written.insert(memoryfiles::written.end(), from, from + count);
    return true;
}

bool AtomicFile::publish(Failure &) { return true; }

bool write_file(const std::string &path, const std::string &text, Failure &failure) {
    AtomicFile file;
    return file.create(path, failure) && file.write(text.data(), text.size(), failure) && file.publish(failure);
}

bool check_output(const std::string &path, std::initializer_list<std::string> inputs, Failure &failure) {
    const bool is_input = memoryfiles::present && std::find(inputs.begin(), inputs.end(), path) != inputs.end();
    return !is_input || fail(failure, path, "", "is also an input", "Name another output file.");
}

}  // namespace tools
