// eigenmaps.hpp: linear maps that keep a graph of neighbours: Laplacian eigenmaps (Belkin and Niyogi, 2003), out of sample by ridge
// regression or by Nystroem's formula (Bengio et al., 2004), and locality preserving projections (He and Niyogi, 2003).
#pragma once

#include "data.hpp"

#include <Eigen/SparseCore>

namespace literature {

using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;

// Symmetric: exp(-d^2 / s) where one of two rows is among the first `nearest` of the other, s the mean of all d^2.
struct Affinity {
    Sparse weights;
    Vector degrees;
    double scale = 1;       // s
};
Affinity affinity(const Data &data, uint32_t nearest);

// Of the normalised Laplacian I - D^-1/2 W D^-1/2: the lowest eigenvalues above 0, ascending, and their eigenvectors, by Lanczos with implicit
// restarts. 0 is an eigenvalue as many times as the graph has connected components: of each the vector D^1/2 1, which is taken out
// (Lanczos would see one direction of that space). False where they don't converge.
struct Spectrum {
    uint32_t components = 0;
    Vector values;
    Matrix vectors;         // rows x values
};
bool lowest(const Affinity &graph, uint32_t count, Spectrum &out);

// Coordinates of the rows: D^-1/2 times the eigenvectors.
Matrix embedding(const Affinity &graph, const Spectrum &spectrum);
// The same of other vectors, from their affinities to the rows nearest to them (`nearest` of each): the eigenvectors' own equation, read for
// one row more.
Matrix nystroem(const Data &data, const Affinity &graph, const Spectrum &spectrum, const Matrix &vectors, const std::vector<uint32_t> &near, uint32_t nearest);

// axes x coordinates: what maps vectors to their embedding with the least squared error.
Matrix ridge(const Matrix &x, const Matrix &embedded);

// axes x count: minimises a^T X^T L X a where a^T X^T D X a = 1.
Matrix locality_preserving(const Data &data, const Affinity &graph, uint32_t count);

// The same span in orthonormal columns; or the columns scaled, all alike, so that neighbours keep their distances on the mean.
Matrix orthonormal(const Matrix &map);
Matrix scaled(const Data &data, const Matrix &map);

} // namespace literature
