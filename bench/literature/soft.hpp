// soft.hpp: a graph that can be differentiated: P_ij = softmax over the candidates j of -|M x_i - M x_j|^2 / tau, with a low-rank M and tau
// learned by InfoNCE on edges that led queries to their neighbours, drawn by Gumbel-softmax at a falling temperature (Jang et al.,
// 2017); of each row the most likely become its edges. M is a projection too.
#pragma once

#include "traces.hpp"

namespace literature {

struct Soft {
    Matrix map;             // axes x directions
    double log_tau = 0;

    // The first coordinates, and tau as it suits the candidates.
    static Soft start(const Data &data, const Candidates &graph, Eigen::Index directions);
};

struct SoftGradient {
    Matrix map;
    double log_tau = 0;
};

// The mean over some rows of -log P of their useful edges, where `noise` (an entry an edge, or empty) is added to the logits, and all are
// divided by the temperature.
double soft_loss(const Data &data, const Candidates &graph, const Traces &traces, const Soft &soft, const std::vector<uint32_t> &rows,
                 const Vector &noise, double temperature, SoftGradient &gradient);

struct SoftTraining {
    uint32_t steps = 200;
    uint32_t batch = 512;       // rows
    double rate = 0.01;
};
// False where the loss is not finite, or not lower than at first, both without noise.
bool train(const Data &data, const Candidates &graph, const Traces &traces, const SoftTraining &training, Random &random, Soft &soft, double &first, double &last);

// The `degree` edges that a draw without replacement takes: the greatest of log P + Gumbel noise x temperature, shortest first.
std::vector<std::vector<uint32_t>> draw(const Data &data, const Candidates &graph, const Soft &soft, uint32_t degree, double temperature, Random &random);

} // namespace literature
