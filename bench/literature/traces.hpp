// traces.hpp: which edges lead queries to their neighbours: what edges are learned from.
#pragma once

#include "data.hpp"

namespace literature {

// The edges that there might be: to the neighbours listed, and to those that list the row; the shortest of each row, shortest first.
struct Candidates {
    std::vector<size_t> first;      // of each row, and the end
    std::vector<uint32_t> to;
    size_t edges() const { return to.size(); }
};
Candidates candidates(const Data &data, uint32_t most);

struct Lessons {
    Matrix queries;
    std::vector<uint32_t> rows;     // of each query, which row it is, or none: a walk knows nothing of that row
    std::vector<std::vector<uint32_t>> truth;   // the nearest ten
};
constexpr uint32_t no_row = UINT32_MAX;

// Some rows as queries; or vectors from elsewhere, whose neighbours are found by comparing all.
Lessons lessons_of_rows(const Data &data, uint32_t count, Random &random);
Lessons lessons_of(const Data &data, const Matrix &queries);

// How many walks came by each edge, and of them, how many along it to a true neighbour: on the path by which the walk found it.
struct Traces {
    std::vector<uint32_t> seen, useful;
};
Traces trace(const Data &data, const Candidates &graph, const Lessons &lessons, uint32_t beam, Random &random);

} // namespace literature
