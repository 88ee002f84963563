// shards_mpi: more rows than one machine holds. Each rank builds and maps an index of its own rows, all search for every query, and a
// reduction merges their hits.
//   mpirun -n 4 shards_mpi [FOLDER]    returns 0 where the merged hits of searches that see every row are those of one scan of all
#include "shards_data.hpp"

#include <cstdio>
#include <mpi.h>
#include <string>

using namespace shards;
constexpr uint32_t SHARD = 20000, QUERIES = 2000, CHECKED = 100;

// Associative and commutative: MPI may combine the ranks' lists in any order. One list is one element, which is never cut.
static void merge(void *in, void *in_out, int *count, MPI_Datatype *) {
    for (int i = 0; i < *count; ++i) keep_nearest(static_cast<List *>(in_out)[i], static_cast<const List *>(in)[i]);
}

int main(int argc, char **argv) {
    int rank, ranks;
    MPI_Datatype list_type;
    MPI_Op merge_op;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Type_contiguous(sizeof(List), MPI_BYTE, &list_type);
    MPI_Type_commit(&list_type);
    MPI_Op_create(merge, 1, &merge_op);

    learnann_error error{};
    const auto check = [&](bool good) {     // the others can't go on without this rank
        if (good) return;
        std::fprintf(stderr, "rank %d: %s\n", rank, error.message);
        MPI_Abort(MPI_COMM_WORLD, 1);
    };
    const std::string path = std::string(argc > 1 ? argv[1] : ".") + "/shard" + std::to_string(rank) + ".la";
    const Bytes rows = make(SHARD, uint32_t(rank) + 1), queries = make(QUERIES, 0);
    std::vector<uint64_t> keys(SHARD);      // row numbers of the whole
    for (uint32_t i = 0; i < SHARD; ++i) keys[i] = uint64_t(rank) * SHARD + i;
    check(learnann::build(path.c_str(), rows.data(), SHARD, DIM, nullptr, keys.data(), &error) == LEARNANN_OK);
    const learnann::Index index = learnann::Index::open(path.c_str(), &error);
    const learnann::Scratch scratch = index ? index.scratch(&error) : nullptr;
    std::remove(path.c_str());              // the mapping stays
    check(scratch != nullptr);

    // The merged hits at rank 0. Every shard has K rows at least: else its lists would have to be filled up.
    const auto search = [&](uint32_t count, uint32_t effort) {
        std::vector<List> hits(count), merged(count);
        std::vector<uint32_t> counts(count);
        learnann_search_options how = learnann_search_options_default();
        how.effort = effort;
        const learnann_vectors input = learnann::vectors(queries.data(), count, DIM);
        check(learnann_search_interleaved(index.get(), scratch.get(), &input, K, &how, hits[0].data(), counts.data(), nullptr, &error) == LEARNANN_OK);
        MPI_Reduce(hits.data(), merged.data(), int(count), list_type, merge_op, 0, MPI_COMM_WORLD);
        return merged;
    };
    const std::vector<List> exhaustive = search(CHECKED, SHARD);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    const std::vector<List> found = search(QUERIES, 0);     // 0: as a recall of 0.95 needs
    const double seconds = MPI_Wtime() - start;

    Bytes whole;
    uint32_t same = 0, right = 0;
    for (int r = 1; r <= ranks && rank == 0; ++r)
        for (const uint8_t value : make(SHARD, uint32_t(r))) whole.push_back(value);
    for (uint32_t i = 0; i < CHECKED && rank == 0; ++i) {
        const List truth = scan(whole, &queries[i * DIM]);
        for (uint32_t j = 0; j < K; ++j) {
            same += exhaustive[i][j].key == truth[j].key && exhaustive[i][j].distance == truth[j].distance;
            right += holds(truth, found[i][j].key);
        }
    }
    if (rank == 0)
        std::printf("%d ranks of %u rows: %u of %u merged hits are those of one scan; at the default effort recall %.3f, %.0f queries/s\n",
                    ranks, SHARD, same, CHECKED * K, right / double(CHECKED * K), QUERIES / seconds);
    MPI_Finalize();
    return rank == 0 && same < CHECKED * K;
}
