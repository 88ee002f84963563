// hnsw.hpp: a graph with layers. A row stands on the lowest layer, and on each one above with a chance of one in M; a layer is
// linked by search-based insertion that starts where the layers above lead. Layers are built from the top down, so that each is
// searched as a search of the index will be. (Malkov and Yashunin, HNSW, 2016, algorithms 1, 2 and 4.)
#pragma once

#include "learn/graph.hpp"

LEARNANN_BEGIN

class HnswBuilder {
public:
    // 2 M edges a row on the lowest layer, M on the others: edges.capacity is 2 M. The entry table's layers lie in `section`.
    HnswBuilder(const CodeSpace &space, EdgeLists &edges, EntryTable &entries, Array<u8> &section,
                const BuildContext &build)
        : space_(space), edges_(edges), entries_(entries), section_(section), build_(build), node_of_(build.allocator) {}

    // Draws which of order[0..count) stand above the lowest layer, brings these to the front, and links all layers. The first of
    // the rows becomes the entry, and `section` the section of the file.
    Status build(u32 *order, u32 count, u64 seed, learnann_error *error);

    // Adds rows to the lowest layer, where `linked` stand already.
    Status insert(const u32 *order, u32 count, u32 linked, learnann_error *error);

private:
    Status draw_layers(u32 *order, u32 count, u64 seed, learnann_error *error);
    Status link_layer(u32 layer, const u32 *order, u32 count, learnann_error *error);
    void take_layer(u32 layer);
    void show_layers(u32 count);
    u32 m() const { return larger(edges_degree_ / 2, 1u); }
    GraphOptions options(u32 layer) const;

    const CodeSpace &space_;
    EdgeLists &edges_;
    EntryTable &entries_;
    Array<u8> &section_;
    BuildContext build_;
    Array<u32> node_of_;        // of each row: its node, where it stands on a layer
    LayersHead head_{};
    u32 edges_degree_ = edges_.capacity;
    u64 left_ = 0;              // nodes to be linked, of all layers
};

LEARNANN_END
