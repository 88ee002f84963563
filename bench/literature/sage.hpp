// sage.hpp: edges predicted by a graph network. Two layers of GraphSAGE with mean aggregation (Hamilton et al., 2017) describe each
// row by itself and its neighbours; a perceptron on [h_i, h_j, edge] tells how likely the edge leads a query on.
#pragma once

#include "traces.hpp"

namespace literature {

// What the network sees of each row, and of each edge.
struct Features {
    Matrix rows;            // the leading coordinates, and how far the row's neighbours are
    Matrix edges;           // length against that of the row's nearest and farthest, rank, whether it goes both ways
};
Features features(const Data &data, const Candidates &graph);

class Sage {
public:
    static constexpr Eigen::Index hidden = 32, described = 16, mixed = 24;

    Sage(const Data &data, const Candidates &graph, const Features &features);
    Vector start(Random &random) const;

    // The chance that each edge is useful, as a logit.
    Vector logits(const Vector &parameters) const;
    // The mean binary cross entropy over some edges, each weighed, and its gradient.
    double loss(const Vector &parameters, const std::vector<size_t> &edges, const Vector &useful, const Vector &weight, Vector &gradient) const;

private:
    struct Layers;
    Matrix mean_of_near(const Matrix &of) const;
    Matrix spread_to_near(const Matrix &gradient) const;    // the transpose of that
    void run(const Vector &parameters, const std::vector<size_t> &edges, Layers &layers) const;

    const Data &data_;
    const Features &features_;
    std::vector<uint32_t> from_;        // of each edge
    const std::vector<uint32_t> &to_;
    Matrix near_;                       // mean_of_near of the rows' features
    Eigen::Index size_;
};

// Trains on the traces; false where the loss is not finite, or not lower than at first.
struct SageTraining {
    uint32_t steps = 150;
    uint32_t batch = 50000;     // edges
    double rate = 0.01;
};
bool train(const Sage &sage, const Traces &traces, const SageTraining &training, Random &random, Vector &parameters, double &first, double &last);

// Of each row the edges whose chance is at least a share of the row's best, and the nearest `least` in any case; the share is such
// that a row has `degree` on the mean. Edges that nothing is known of are predicted like the others.
std::vector<std::vector<uint32_t>> select(const Candidates &graph, const Vector &logits, double degree, uint32_t least, uint32_t most);

} // namespace literature
