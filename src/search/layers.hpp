// layers.hpp: where a search of a graph with upper layers (HNSW) begins: from the top layer down it goes to the nearest neighbour as
// long as there is a nearer one. (Malkov and Yashunin, HNSW, 2016, algorithm 2 with ef = 1.)
#pragma once

#include "search/codec.hpp"

LEARNANN_BEGIN

// `Graph` as in beam.hpp.
template <class Graph> class Descent {
public:
    u32 slot = no_row;      // what was found; no_row where the file is damaged
    i32 estimate = 0;
    u32 distances = 0, hops = 0, bad_ids = 0;

    Descent(const Graph &graph, const QueryCode &query, const LayersView &layers) : graph_(graph), query_(query), layers_(layers) {
        ids_[0] = layers.slot(0);
        if (ids_[0] >= graph.rows()) {
            ++bad_ids;
            return;
        }
        u32 node = 0;
        score(1);
        take(0);
        for (u32 layer = 0; layer < layers.shown; ++layer)
            while (step(layers.blocks(layer), layers.head.nodes[layer], node)) {}
    }

private:
    // To the nearest of a node's neighbours on a layer; false where none is nearer.
    bool step(const u8 *blocks, u32 nodes, u32 &node) {
        const u8 *block = blocks + static_cast<u64>(node) * layers_.head.block_bytes();
        const u32 degree = smaller(load<u32>(block), layers_.head.degree);
        u32 count = 0;
        for (u32 i = 0; i < degree; ++i) {
            const u32 other = load<u32>(block + 4 + 4ull * i), id = other < nodes ? layers_.slot(other) : no_row;
            ids_[count] = id;
            nodes_[count] = other;
            if (id < graph_.rows()) ++count;
            else ++bad_ids;
        }
        ++hops;
        score(count);
        const i32 before = estimate;
        for (u32 i = 0; i < count; ++i)
            if (estimates_[i] < estimate) take(i), node = nodes_[i];
        return estimate < before;
    }
    void score(u32 count) {
        kernels().score(query_, graph_.records(), graph_.record_bytes(), ids_, count, estimates_);
        distances += count;
    }
    void take(u32 i) {
        slot = ids_[i];
        estimate = estimates_[i];
    }

    const Graph &graph_;
    const QueryCode &query_;
    const LayersView &layers_;
    u32 ids_[max_out_degree], nodes_[max_out_degree];
    i32 estimates_[max_out_degree];
};

LEARNANN_END
