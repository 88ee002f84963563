// textsearch: offline text search. Indexes the text files below a folder by hashed character n-grams, with no model and
// no download, and answers questions with file, line and text.
//
//   textsearch [DIR] [-q QUESTION]... [--index FILE]
//
// Without -q it reads questions from a terminal, and elsewhere puts some of its own. FILE keeps the index, which is a
// temporary file else. Returns 0 where the index finds at least 0.9 of what a look at every row finds.
#include "text_quality.hpp"

#include <cstdio>
#include <iostream>
#include <unistd.h>

namespace {
constexpr uint32_t DIM = TextFeatures::DIM;

void answer(const learnann::Index &index, const std::vector<Passage> &passages, const TextFeatures &features,
            const std::string &question) {
    learnann::Scratch scratch = index.scratch();
    std::printf("\n? %s\n", question.c_str());
    for (const learnann::Hit &hit : index.search(scratch, features.embed(question).data(), DIM, 3)) {
        const auto &[file, line, text] = passages[hit.row];
        std::printf("%s:%u (%.2f)\n%s", file.c_str(), line, 1 - double(hit.distance), text.c_str());
    }
}

} // namespace

int main(int argc, char **argv) {
    std::string folder = ".", path, question;
    std::vector<std::string> questions;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "-q" && i + 1 < argc) questions.push_back(argv[++i]);
        else if (argument == "--index" && i + 1 < argc) path = argv[++i];
        else folder = argument;
    }
    const std::vector<Passage> passages = read_passages(folder);
    TextFeatures features;
    for (const Passage &passage : passages) features.learn(passage.text);
    if (passages.empty()) return std::fprintf(stderr, "%s: no text files\n", folder.c_str()), 1;
    std::vector<float> rows;
    for (const Passage &passage : passages) {
        const std::vector<float> row = features.embed(passage.text);
        rows.insert(rows.end(), row.begin(), row.end());
    }

    const bool keep = !path.empty();
    if (!keep) path = (std::filesystem::temp_directory_path() / "learnann-textsearch.index").string();
    // Half a passage is not like a row, so what the index measures itself by is a sample of such queries.
    const std::vector<float> sample = remembered_queries(passages, features, 0, 400);
    const learnann_vectors queries = learnann::vectors(sample.data(), sample.size() / DIM, DIM);
    learnann_build_options options = learnann_build_options_default();
    options.queries = &queries;
    options.metric = LEARNANN_COS;
    options.exact = LEARNANN_EXACT_I8;      // a quarter of the bytes, and the ranks hardly change
    learnann::Error error{};
    const double begin = seconds_now();
    learnann::Index index;
    if (learnann::build(path.c_str(), rows.data(), passages.size(), DIM, &options, nullptr, &error) == LEARNANN_OK)
        index = learnann::Index::open(path.c_str(), &error);
    if (!index) return std::fprintf(stderr, "%s: %s\n", path.c_str(), error.message), 1;
    if (!keep) std::filesystem::remove(path);   // what is mapped stays until it is closed

    std::printf("%zu rows, %.1f MB, built in %.2f s\n", passages.size(), double(index.info().file_bytes) / 1e6,
                seconds_now() - begin);
    const Quality quality = measure_quality(index, rows, remembered_queries(passages, features, 1, 200));
    std::printf("%.0f queries a second, recall@10 %.3f\n", quality.queries_a_second, quality.recall);
    std::printf("resident: %.1f MB, %.1f MB of it float rows, kept for the comparison only\n", resident_megabytes(),
                double(rows.size()) * 4e-6);
    if (questions.empty() && isatty(0)) {
        while (std::printf("\n? "), std::getline(std::cin, question)) answer(index, passages, features, question);
    } else if (questions.empty()) {
        questions = {"how is a file saved atomically", "can several threads search at once", "is a corrupt file refused"};
    }
    for (const std::string &each : questions) answer(index, passages, features, each);
    return quality.recall >= 0.9 ? 0 : 1;
}
