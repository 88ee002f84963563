// spectral.hpp: the directions of a projection: fitted to the rows (PCA), or given.
#pragma once

#include "learn/holdout.hpp"
#include "learn/linalg.hpp"

LEARNANN_BEGIN

// A set of directions, strongest first, and the point they start from.
struct Basis {
    u32 dim = 0;
    u32 count = 0;
    float stretch = 1;          // no vector becomes longer than so many times its length
    Array<float> mean;          // dim; zero for inner product
    Array<float> directions;    // count x dim; orthonormal but for those of metric.hpp, of a frame, and those given

    void use(const Allocator &allocator) {
        mean.use(allocator);
        directions.use(allocator);
    }
};

// A row as far from the mean as this, in medians, may be an outlier.
constexpr double outlier_medians = 16;

// So many rows tell the leading directions.
constexpr u32 pca_sample(u32 dim) { return dim <= 256 ? 8192 : 4096; }

// Of at most so many dimensions the covariance may be held: 16 MiB.
constexpr u32 covariance_dims = 2048;

// PCA of a sample of the rows: up to 256 dimensions all eigenvectors of the covariance, above that block subspace iteration (Halko,
// Martinsson and Tropp 2011, algorithm 4.4) on it or on the sample itself, whichever costs less. Under inner product the second moment, not centred: distances
// from the mean mean nothing there. `count` directions, or as many as there are dimensions; 0 where the rows span
// fewer. Of rows that `unknown` holds out nothing is known.
Status fit_pca(const Rows &rows, const Holdout &unknown, u32 count, u64 seed, const BuildContext &build, Basis &basis, learnann_error *error);

// A basis of all dimensions as a tight frame of `count` directions, more than there are dimensions: every vector keeps its length.
// The frame is harmonic, columns of a discrete cosine transform (Casazza and Kutyniok, Finite Frames, 2013, chapter 1).
Status make_frame(const Basis &basis, u32 count, const Allocator &allocator, Basis &frame, learnann_error *error);

// Turns a basis so that the strongest directions come first, as `y` tells, coordinates along them of a sample of so many rows, which
// is destroyed; and measures its stretch.
Status turn_basis(Array<float> &y, u32 sample, const BuildContext &build, Basis &basis, learnann_error *error);

// No vector may become longer than so many times its length by a map that is given: distances of the longest would overflow.
constexpr float most_stretch = 8;

// A linear map, a direction a vector, as a basis from the mean that PCA has by the same seed. ARGUMENT where it is not finite, or stretches more.
Status basis_of_map(const Rows &rows, const learnann_vectors &map, u64 seed, const BuildContext &build, Basis &basis,
                    learnann_error *error);

// `count` of the rows, or all there are, ascending.
Status sample_rows(u32 rows, u32 count, u64 seed, Array<u32> &sample, learnann_error *error);

LEARNANN_END
