// The sets that the benchmark runs on: base rows, queries and true neighbours, read in place.
//
//   FOLDER/NAME/base.*  query.*  truth.*  and, where there are, train_query.*: any format that vectorfile.hpp reads
//
// Invariants: base and queries have one dimension and one element type, every query has its true neighbours, and all of
// their ids are rows of the base. A Dataset borrows nothing; its matrices live as long as it does.
#pragma once

#include "../tools/vectorfile.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

constexpr uint32_t hits_wanted = 10;

struct Dataset {
    std::string name, base_path, query_path, truth_path;
    uint32_t metric = LEARNANN_L2;
    tools::MatrixFile base, query, train;
    bool has_train = false;             // sample queries, other than `query`, to tune on
    std::vector<int64_t> truth;         // hits_wanted ids a query, sorted
    uint64_t fingerprint = 0;           // of the base rows: tells cached indexes apart

    uint64_t rows() const { return base.matrix.rows; }
    uint32_t dim() const { return base.matrix.dim; }
    uint64_t queries() const { return query.matrix.rows; }
};

// base.* and query.* of a folder, which must be of one kind.
bool open_rows(const std::string &folder, tools::MatrixFile &base, tools::MatrixFile &query, tools::Failure &failure);

// `spelled` is NAME or NAME=l2|ip|cos; the sets of this project's own need no metric. False with a reason otherwise.
bool open_dataset(const std::string &folder, const std::string &spelled, Dataset &set, tools::Failure &failure);

// The names of the sets in a folder, sorted.
std::vector<std::string> list_datasets(const std::string &folder);

// Writes a set called "made" into the folder, unless it is there: clustered rows of low intrinsic dimension.
bool make_dataset(const std::string &folder, tools::Failure &failure);

// All elements as floats, row after row; `unit` scales each row to length 1.
std::vector<float> floats_of(const tools::Matrix &matrix, bool unit);

// The share of the true neighbours among the ids of all queries, hits_wanted for each.
double recall_of(const Dataset &set, const std::vector<int64_t> &ids);

} // namespace bench
