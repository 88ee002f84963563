// text_passages: the text files below a folder, cut into passages of a few lines, for textsearch.cpp.
#pragma once
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

struct Passage {
    std::string file;   // relative to the folder
    uint32_t line;      // where it begins, from 1
    std::string text;
};

// Sorted, so that the same folder gives the same rows. Leaves out what is hidden or built, and what is too large to be
// somebody's writing.
inline std::vector<std::filesystem::path> files_below(const std::filesystem::path &folder) {
    namespace fs = std::filesystem;
    std::vector<fs::path> files;
    std::error_code error;      // a folder that may not be read ends the walk; what was found until then counts
    const auto options = fs::directory_options::skip_permission_denied;
    for (auto entry = fs::recursive_directory_iterator(folder, options, error); entry != end(entry) && !error;
         entry.increment(error)) {
        const bool built = entry.depth() == 0 && entry->path().filename() == "build";
        if (built || entry->path().filename().string()[0] == '.') entry.disable_recursion_pending();
        else if (entry->is_regular_file(error) && entry->file_size(error) < (1 << 20)) files.push_back(entry->path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

// A passage ends with its paragraph, or after six lines or some 400 bytes: short enough to be about one thing.
inline void cut_into_passages(const std::string &name, const std::string &content, std::vector<Passage> &passages) {
    std::istringstream lines(content);
    Passage passage{name, 1, ""};
    uint32_t line = 0;
    for (std::string text; std::getline(lines, text);) {
        ++line;
        if (passage.text.empty()) passage.line = line;
        if (!passage.text.empty() || !text.empty()) passage.text += text + '\n';
        const uint32_t length = line + 1 - passage.line;
        const bool ends = length >= 6 || passage.text.size() >= 400 || (text.empty() && length >= 4);
        if (!ends && lines.peek() != EOF) continue;
        const auto letters = std::count_if(passage.text.begin(), passage.text.end(), [](unsigned char c) {
            return std::isalpha(c) || c >= 0x80;    // letters of any alphabet
        });
        if (letters >= 40) passages.push_back(passage);     // not some closing braces
        passage.text.clear();
    }
}

inline std::vector<Passage> read_passages(const std::filesystem::path &folder) {
    std::vector<Passage> passages;
    for (const std::filesystem::path &file : files_below(folder)) {
        std::ifstream in(file, std::ios::binary);
        const std::string content(std::istreambuf_iterator<char>(in), {});
        const bool text = content.find('\0') == std::string::npos;
        if (text) cut_into_passages(file.lexically_relative(folder).generic_string(), content, passages);
    }
    return passages;
}
