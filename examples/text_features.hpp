// text_features: text into vectors without a model, for textsearch.cpp. A vector counts the words of a text and their
// character n-grams, each hashed to a place and a sign: "atomically" comes near "atomic" without being it, misspellings
// do little harm, and any language works.
#pragma once
#include <cctype>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

class TextFeatures {
public:
    static constexpr uint32_t DIM = 512;

    // Learns how rare each feature is in the texts to be found: "index" may say little there, "fsync" much.
    void learn(const std::string &text) {
        ++texts_;
        for (const auto &[feature, count] : features(text)) ++texts_with_[feature % BUCKETS];
    }

    // The vector of a text, of length 1, or 0 where it has no features. Call when all texts were learned.
    std::vector<float> embed(const std::string &text) const {
        std::vector<float> vector(DIM);
        for (const auto &[feature, count] : features(text)) {
            const float rarity = std::log((texts_ + 1) / (texts_with_[feature % BUCKETS] + 1));
            // Damped: what is there ten times does not say ten times as much. The sign lets collisions cancel out.
            vector[(feature >> 32) % DIM] += (feature >> 63 ? -1 : 1) * std::log1p(count) * rarity;
        }
        float square = 0;
        for (const float value : vector) square += value * value;
        for (float &value : vector) value /= std::sqrt(square > 0 ? square : 1);
        return vector;
    }

private:
    static constexpr uint32_t BUCKETS = 1 << 20;

    // The words of a text in lower case; an identifier gives its parts: "saveFile" and "save_file" both "save", "file".
    static std::vector<std::string> words(const std::string &text) {
        std::vector<std::string> words(1);
        bool was_lower = false;
        for (const char byte : text) {
            const auto c = static_cast<unsigned char>(byte);
            const bool letter = std::isalnum(c) || c >= 0x80;   // whatever is not ASCII is taken for letters
            if ((!letter || (was_lower && std::isupper(c))) && !words.back().empty()) words.emplace_back();
            if (letter) words.back() += char(std::tolower(c));
            was_lower = std::islower(c);
        }
        return words;
    }

    // Hashes of words and n-grams, with how often each is there. "<" and ">" mark where a word begins and ends.
    static std::unordered_map<uint64_t, float> features(const std::string &text) {
        static const std::string small_words = " a an and are as at be by can do does for how i in is it of on or that "
                                               "the there this to was what when where which who why with ";
        std::unordered_map<uint64_t, float> counts;
        for (const std::string &word : words(text)) {
            if (word.empty() || small_words.find(' ' + word + ' ') != std::string::npos) continue;
            const std::string marked = '<' + word + '>';
            ++counts[hash(marked)];
            for (size_t n = 3; n <= 5; ++n)
                for (size_t i = 0; i + n <= marked.size(); ++i) ++counts[hash(marked.substr(i, n))];
        }
        return counts;
    }

    // FNV-1a and a multiplication, which carries the low bits up to where place and sign are taken from.
    static uint64_t hash(const std::string &text) {
        uint64_t h = 0xcbf29ce484222325u;
        for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        return (h ^ h >> 32) * 0x9e3779b97f4a7c15u;
    }

    float texts_ = 0;
    std::vector<float> texts_with_ = std::vector<float>(BUCKETS);
};
