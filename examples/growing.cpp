// growing: 12,000 times a row comes, is replaced or goes, and every 50th time a search is compared with the truth. Every 100th time
// rows come that no index takes.
//   growing           returns 0 where searches found, at any time, what was there and nothing else
#include "growing_collection.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <random>

namespace {

constexpr uint32_t DIM = 24, K = 10;

std::mt19937 generator(1);

Row random_row() {
    std::normal_distribution<float> normal;
    Row row(DIM);
    for (float &x : row) x = normal(generator);
    return row;
}

// None of these may get in, nor change what its key has.
bool refuses(Collection &collection, uint64_t key) {
    bool refused = !collection.put(key, Row(DIM - 1));
    for (const float bad : {NAN, INFINITY, -INFINITY, 1e19f}) {
        Row row = random_row();
        row[generator() % DIM] = bad;
        refused = !collection.put(key, row) && refused;
    }
    return refused;
}

} // namespace

int main() {
    const std::string path = (std::filesystem::temp_directory_path() / "learnann-growing.index").string();
    std::filesystem::remove(path);
    Collection collection(path, DIM);
    std::map<uint64_t, Row> truth;
    size_t found = 0, wanted = 0, wrong = 0;
    learnann::Error error;
    for (uint32_t step = 1; step <= 12000; ++step) {
        const uint64_t key = generator() % 6000;
        if (step % 100 == 1 && !refuses(collection, generator() % 6000)) ++wrong;
        if (step % 4 == 0) {
            truth.erase(key);
            collection.remove(key);
        } else if (!collection.put(key, truth[key] = random_row())) {
            return 1;
        }
        if (step % 50) continue;
        const Row query = random_row();
        std::vector<float> distances;
        for (const auto &[k, row] : truth) distances.push_back(distance(row, query));
        std::nth_element(distances.begin(), distances.begin() + K - 1, distances.end());
        wanted += std::min<size_t>(K, truth.size());    // where a search fails, none is found
        for (const learnann::Hit &hit : collection.search(query, K, error)) {
            const auto at = truth.find(hit.key);
            if (at == truth.end() || std::abs(distance(at->second, query) - hit.distance) > 1e-3f) ++wrong;
            else found += hit.distance <= distances[K - 1] * 1.0001f;
        }
    }
    const bool kept = !Collection(path, DIM).search(random_row(), K, error).empty();      // as the next run of an app would find it
    std::printf("%zu rows after 12,000 changes, recall %.3f, wrong hits: %zu\n", truth.size(), double(found) / double(wanted), wrong);
    std::filesystem::remove(path);
    return kept && wrong == 0 && double(found) >= 0.93 * double(wanted) ? 0 : 1;
}
