// metric.hpp: a projection learned by gradient descent: codes are to tell the rows near a query apart as their true distances do.
//
// A query's estimates of the rows in its list should be the true distances, up to a constant of the query. The mean squared error
// of that, each list in units of its own spread, is what Adam lowers, over the map and the residual weight. (Tried as well, from the same lists:
// InfoNCE and logistic ranking; they kept fewer true neighbours, and wanted a temperature for each data set and width.)
//
// The map need not be orthonormal: a direction that stands for others beside it is worth more than its length. So |y| may exceed |x|:
// then the residual is 0 and the norm is that of the code, here as in the codec. An estimate between two codes
// is |y - y'|^2 + r^2 + r'^2 - 2 rho r r' all the same, and never negative.
#pragma once

#include "learn/nearlists.hpp"

LEARNANN_BEGIN

struct Metric {
    u32 dims = 0;
    Array<float> map;       // lists.dim x dims
    float rho = 0;          // the residual weight: learned along, as the map depends on it

    // The map that keeps the first coordinates.
    Status start(u32 lists_dim, u32 count, learnann_error *error);
};

struct MetricTraining {
    u32 steps = 400;
    u32 batch = 128;        // queries
    float rate = 0.003f;    // at first; it falls to 0 with a cosine
};

// The loss over batches of queries, with its gradient.
class MetricLoss {
public:
    MetricLoss(const NearLists &lists, u32 dims, const BuildContext &build)
        : lists_(lists), dims_(dims), threads_(build.threads), weight_(build.allocator), x_(build.allocator), y_(build.allocator),
          dy_(build.allocator), map_(build.allocator), share_(build.allocator) {}
    Status prepare(u32 batch, learnann_error *error);

    // The mean over `count` queries; leaves the gradient in map() and rho().
    double at(const Metric &metric, const u32 *queries, u32 count);
    const Array<float> &map() const { return map_; }
    double rho() const { return rho_; }

private:
    static constexpr u32 group = NearLists::depth + 1;      // a query and its list
    struct Share {
        double loss, rho;
    };
    Share of_query(const Metric &metric, u32 query, u32 count, const float *y, float *dy) const;

    const NearLists &lists_;
    u32 dims_, threads_;
    Array<float> weight_;       // of each query
    Array<float> x_, y_, dy_;   // of a batch: groups of coordinates, of codes, and the gradient there
    Array<float> map_;
    Array<Share> share_;
    double rho_ = 0;
};

// Leaves `diverged` true, and metric as it may be, where the loss is not finite or not lower than at first.
Status learn_metric(const NearLists &lists, const MetricTraining &training, u32 dims, u64 seed, const BuildContext &build,
                    Metric &metric, bool &diverged, learnann_error *error);

// A metric over the coordinates of `wide` as a basis, turned so that its strongest directions come first.
Status basis_of_metric(const Metric &metric, const NearLists &lists, const Basis &wide, const BuildContext &build, Basis &basis,
                       learnann_error *error);

LEARNANN_END
